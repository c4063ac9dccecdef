/*
 * h2_single.h - an HTTP/2 connection to a server for one exchange, such as a probe: what is asked and answered goes by its codec.
 *
 * A fiber of its own works for the connection while there is something to do.
 * Threads: one fiber's.  Memory: the caller's struct; what it refers to is freed by h2_single_close().
 */
#ifndef HTTP_H2_SINGLE_H
#define HTTP_H2_SINGLE_H
#include "fiber/fiber.h"
#include "http/h2_session.h"

struct h2_single {
    struct h2_session *session;
    struct h2_stream *st; /* st->codec is the exchange's */
    struct group group;   /* of the fiber */
    bool running;         /* there is one */
};

/* On `s`, which stays the caller's; HTTP/2 begins there at once.  0, or -ERR_NOMEM: then there is nothing to close. */
int h2_single_open(struct h2_single *c, struct stream *s, const struct h2_conf *conf);
/* Says goodbye without waiting for the peer; waits for the fiber to end. */
void h2_single_close(struct h2_single *c);
#endif
