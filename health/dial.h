/*
 * dial.h - connects for a probe, and makes as little of it as can be.
 *
 * A probe is SYN, SYN-ACK and a reset: its own ACK is held back for the request to carry, or for the reset that comes instead,
 * so a backend's accept() never sees a connection on which nothing is asked (a MySQL server, say, would count it as an
 * error and lock us out).  The reset leaves no TIME_WAIT and is one packet instead of three.
 * A socket that was connected is disconnected and used again, since making and destroying one, and telling epoll of it, costs
 * more than half of what a probe does.
 *
 * With TLS it is otherwise: the backend's side of the handshake must come to its end, so there is a close_notify and no reset.
 * Each handshake is a whole one, without an earlier session, so what is verified is verified each time.
 *
 * Threads: a fiber's; each thread has its own spare sockets.
 * Memory: a stream belongs to the dialler until dial_close().  Spare sockets (at most DIAL_SPARE) are there only between
 * dial_users(1) and the dial_users(-1) that undoes the last of them.
 */
#ifndef HEALTH_DIAL_H
#define HEALTH_DIAL_H
#include "health/check_type.h"
#include "net/stream.h"

#define DIAL_SPARE 64

/* PROBE_OK: connected, and the caller closes *out.  Else *out is NULL, and p->detail says why. */
enum probe_result dial(struct probe *p, struct stream **out, int64_t deadline);
/* As dial(), then the header of the PROXY protocol, if the pool's connections begin with one, and the handshake, unless the
 * definition is in clear.  `protocol`: what is going to be spoken, for ALPN; NULL: what the pool speaks. */
enum probe_result dial_tls(struct probe *p, const char *protocol, struct stream **out, int64_t deadline);
/* Closes at once, also what is on its way.  Takes the address, accepts NULL inside. */
void dial_close(struct stream **sp);
/* The scheduler of this thread will dial again and again: who says 1 says -1 before it goes. */
void dial_users(int more);

/* What a code of err.h, met by a probe while it was `doing` (present participle), says about the backend. */
enum probe_result dial_failed(struct probe *p, int code, const char *doing);
/* Writes p->detail. */
void dial_detail(struct probe *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
