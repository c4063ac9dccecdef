/*
 * acceptor.h - a listening socket whose few connections are each served by a fiber: control socket, admin listener, demo.
 *
 * Promise: never more than `most` connections at once; a newcomer takes the place of the one that has been idle longest, and
 * waits where all are busy.  Out of descriptors or memory, it waits and goes on.
 * Threads: acceptor_listen() on any; the rest on the scheduler that serves.
 * Memory: the caller's; it outlives the group's fibers.
 */
#ifndef ADMIN_ACCEPTOR_H
#define ADMIN_ACCEPTOR_H
#include <stdint.h>

#include "base/list.h"
#include "fiber/netpoll.h"
#include "fiber/sync.h"
#include "net/addr.h"

struct buf;
struct stream;

struct acceptor {
    int fd; /* -1: none */
    struct pd pd;
    struct fiber_sem room;
    struct list idle; /* struct visit, the longest first */
    struct group *group;
    const char *name;                           /* of the fibers: static */
    void (*serve)(struct stream *s, void *arg); /* in a fiber of its own; the stream is closed when it returns */
    void *arg;
};

/* Opens a listening socket.  -ERR_x and a reason for people in `why` ("127.0.0.1:9901 is in use"). */
int acceptor_listen(struct acceptor *a, const struct addr *at, struct buf *why);
/* From a fiber or not: begins to serve, in fibers of `g`.  -ERR_NOMEM. */
int acceptor_start(struct acceptor *a, struct group *g, const char *name, uint32_t most, void (*serve)(struct stream *, void *),
                   void *arg);
/* From serve(): nothing but the peer's next request is awaited now; the wait may be called off (-ERR_CANCELED).  And when it has
 * come. */
void acceptor_idle(struct stream *s);
void acceptor_busy(struct stream *s);
/* When the group's fibers have ended. */
void acceptor_close(struct acceptor *a);
#endif
