/*
 * sockets.h - pairs of connected sockets: one end a stream under test, the other a plain blocking descriptor.
 *
 * Threads: the caller's.  Memory: end_open() opens both, end_close() closes what is still open.
 */
#ifndef TESTS_SOCKETS_H
#define TESTS_SOCKETS_H
#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/stream.h"

struct end {
    struct stream s;
    int peer; /* -1: closed; its reads and writes time out rather than hang a test */
};
void end_open(struct end *e);     /* Unix sockets */
void end_open_tcp(struct end *e); /* over the loopback device */
void end_close(struct end *e);
void peer_close(struct end *e);
void peer_send(const struct end *e, const void *p, size_t n);
void peer_say(const struct end *e, const char *text);
/* Reads n bytes; fails the test when fewer come. */
void peer_take(const struct end *e, void *p, size_t n);
void peer_expect(const struct end *e, const char *text);

/* A listening socket on a free port of the loopback device. */
int listen_anywhere(struct addr *a);
/* An address of the loopback device where nobody listens. */
struct addr nobody_there(void);
/* Accepts, as a peer: blocking, with time-outs. */
int accept_peer(int listening);
#endif
