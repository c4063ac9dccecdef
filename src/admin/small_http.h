/*
 * small_http.h - answers few, small HTTP requests by the project's own codec: the admin listener and the demo's backends.
 *
 * Promise: a head of at most 8 KiB within SMALL_HTTP_DEADLINE, else the connection is closed; the answer is whole or the
 * connection ends.  A body of at most `body_most` bytes is read whole before; a longer one gets a 413; with 0 none is read, the
 * request is answered and the connection closed.
 * Threads: fibers of one scheduler.  Memory: a reply's body is freed here.
 */
#ifndef ADMIN_SMALL_HTTP_H
#define ADMIN_SMALL_HTTP_H
#include "base/buf.h"
#include "base/clock.h"
#include "http/message.h"
#include "net/stream.h"

#define SMALL_HTTP_DEADLINE (10 * CLOCK_S)

struct small_reply {
    unsigned status; /* 200 unless set */
    const char *content_type;
    const char *allow; /* for a 405: NULL or "GET, HEAD" */
    struct buf body;
};

struct small_site {
    void (*answer)(const struct message *m, struct slice body, struct small_reply *r, void *arg);
    void *arg;
    uint32_t body_most;
    int64_t idle; /* how long a connection may wait for its next request */
};

/* Serves one connection of an acceptor, as its `serve`: with a struct small_site as argument. */
void small_http_serve(struct stream *s, void *site);
#endif
