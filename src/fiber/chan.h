/*
 * chan.h - channels between fibers, also of different workers, and select over several.
 *
 * Promise: values arrive in the order sent; each is received once; an unbuffered send returns when a receiver has the value;
 * after close, what is buffered is still received, then -ERR_CLOSED.  Whoever waits is served first come, first served;
 * select takes one of the ready cases at random, so none starves.
 * Threads: any fiber of any scheduler.  Memory: counted by nobody: chan_free() when no one uses it any more.
 */
#ifndef FIBER_CHAN_H
#define FIBER_CHAN_H
#include <stddef.h>
#include <stdint.h>

struct chan;

/* `capacity` 0: unbuffered.  Elements are copied.  NULL: out of memory. */
struct chan *chan_new(size_t elem_size, size_t capacity);
void chan_free(struct chan **cp);
/* Wakes all who wait: receivers get what is left, senders -ERR_CLOSED.  Closing twice does nothing. */
void chan_close(struct chan *c);

/* 0; -ERR_CLOSED, -ERR_TIMEOUT, -ERR_CANCELED.  A deadline of 0 doesn't wait: -ERR_TIMEOUT if it would have to.
 * A deadline in the past still succeeds when nothing has to be waited for. */
int chan_send(struct chan *c, const void *elem, int64_t deadline);
int chan_recv(struct chan *c, void *elem, int64_t deadline);

enum chan_op { CHAN_SEND, CHAN_RECV };
struct chan_case {
    struct chan *chan; /* NULL: never ready, as if it were not there */
    enum chan_op op;
    void *elem;        /* sent from or received into */
    int result;        /* of the case that was taken: 0 or -ERR_CLOSED */
};
#define CHAN_CASES_MOST 16
/* Waits until one case can go on, does it, and returns its index; -ERR_TIMEOUT, -ERR_CANCELED. */
int chan_select(struct chan_case *cases, int n, int64_t deadline);
#endif
