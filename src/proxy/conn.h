/*
 * conn.h - a client's connection: a small record while it idles, a fiber while it has something to do.
 *
 * Threads: made by the worker that accepted it; belongs to the worker that starts it, for good.
 * Memory: its own; it frees itself when the connection ends.
 */
#ifndef PROXY_CONN_H
#define PROXY_CONN_H
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/stream.h"

struct arena;
struct codec;
struct door;
struct fiber;
struct h2_conn;
struct listener;
struct origin;
struct pool;

/* What becomes of a client's connection after an exchange. */
enum exchange_end {
    EXCHANGE_NEXT,   /* it is good for another request */
    EXCHANGE_CLOSE,  /* close it in an orderly way */
    EXCHANGE_ABORT,  /* close it so that the client sees a cut answer as cut, and at once */
    EXCHANGE_TUNNEL, /* a tunnel has taken it over */
};

#define CONN_MAGIC 0x434f4e4eu
struct conn {
    uint32_t magic;
    bool idle;             /* on one of the worker's idle lists, without a fiber */
    bool counted;          /* by client, for limits.per_client */
    bool unannounced;      /* a header of the PROXY protocol must come before anything else (announced.h) */
    struct stream stream;
    struct listener *listener; /* until it starts: a reference; then NULL */
    struct door *door;         /* from then on: of its worker */
    struct list link;          /* of idle_new, idle_kept or busy */
    int64_t idle_since;
    struct ip peer;
    uint32_t requests, requests_most;
    int64_t retire_at;     /* after that it gets no more requests (timeouts.connection_age) */
    struct h2_conn *h2;    /* once it speaks HTTP/2 */
    struct origin *origin; /* for backends that are told; NULL: none was, yet, and nobody announced the client */
    struct fiber *fiber; /* while it has one */
};

static inline bool conn_is_secure(const struct conn *c) { return c->stream.tls != NULL; }

/* A new connection's first fiber, to be started on any worker (fiber_go_anywhere). */
void conn_start(void *arg);
/* A new record for an accepted descriptor; NULL: out of memory, the descriptor is still the caller's. */
struct conn *conn_new(int fd, struct listener *l, const struct sockaddr *peer, socklen_t peer_len);
/* Closes and frees; `reset`: so that the client can't take what it got for the whole. */
void conn_free(struct conn **cp, bool reset);
/* Calls its fiber off. */
void conn_cancel(struct conn *c, int cause);
/* Should it end now, in good order?  The proxy drains, its door is closed, it is old or has had many requests. */
bool conn_must_end(const struct conn *c);
/* For whom connections to that pool are leased, *out: NULL where that is not told.  0, -ERR_NOMEM. */
int conn_origin(struct conn *c, const struct pool *p, struct origin **out);
/* One exchange over `client`, whose memory is `a`. */
enum exchange_end conn_exchange(struct conn *c, struct codec *client, struct arena *a);
/* It has nothing to do: its fiber ends, the record waits.  False: it can't be watched. */
bool conn_go_idle(struct conn *c);
/* An idle one gets a fiber again.  -ERR_NOMEM: nothing has changed. */
int conn_wake(struct conn *c);
/* Our last word is said: takes what the client still sends, for a while, then closes. */
void conn_close_gently(struct conn *c);
/* Closes an idle one, unless a request has come in the meantime: that is answered first. */
void conn_drop_idle(struct conn *c);
#endif
