/*
 * relay.h - an upgrade that no tunnel can take over, since one of its sides is a stream of an HTTP/2 connection.
 *
 * Bytes go both ways through the two codecs until both have ended: a fiber a direction for as long as it lasts (a tunnel's
 * fibers end when nothing moves; a stream is waited for by a fiber).
 *
 * Threads: one worker.  Memory: the exchange's.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H
#include <stdint.h>

struct exchange;

/* After the answer that accepts the upgrade.  0 when both sides have ended in good order; a code. */
int relay(struct exchange *x, int64_t most_idle);
#endif
