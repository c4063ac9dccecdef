/*
 * lease.h - a borrowed connection to a backend: opened or taken from keep-alive, and given back when it is clean.
 *
 * Reuse is safe: an idle connection is watched, and dropped as soon as the backend closes it or says a word nobody asked
 * for; how long a backend keeps idle connections is learned from its own closes, and unlearned when one that outlives that
 * time (unused, at growing intervals) is not closed any more.  A connection goes back only when the caller vouches
 * (`reusable`) that both directions ended where they should.
 *
 * Threads: a connection belongs to the worker that opened it.
 * Memory: the connection is the lease's; lease_end() is a must.
 */
#ifndef UPSTREAM_LEASE_H
#define UPSTREAM_LEASE_H
#include "fiber/timer.h"
#include "net/stream.h"
#include "upstream/origin.h"
#include "upstream/pool.h"

#define BACKEND_CONN_MAGIC 0x42434f4eu
struct backend_conn {
    uint32_t magic;
    bool idle;   /* counted as such */
    bool probes; /* whether the lesson still holds */
    struct stream stream;
    struct backend *backend;
    struct list link;   /* of the worker's idle ones at that backend */
    struct list in_all; /* of the worker's idle ones */
    struct list of_origin; /* of those kept for its client's connection, where that was announced */
    uint8_t announced;     /* enum proxy_send: how */
    int64_t idle_since, idle_until;
    struct timer timer; /* armed at or before idle_until, filed anew lazily */
};

struct h2_stream;
struct lease {
    struct backend *backend;   /* NULL: no lease */
    struct backend_conn *conn; /* NULL: `stream` it is */
    struct h2_stream *stream;  /* of a connection that others use, too (share.h) */
    struct origin *origin;     /* for whom; NULL: the pool announces nobody */
    int64_t keep_for;          /* of the pool's configuration */
    int64_t idled;             /* how long a kept one had, when it was taken */
    uint32_t keep_most;
    bool reused;   /* it has carried a request before */
    bool in_tally; /* counted in the pool's requests in flight, too */
    bool reusable; /* set by the caller when the exchange ended clean */
};

/* RAW: a new connection of its own, whatever the pool speaks.  FRESH: not one that may turn out dead (a replay).  SURE: a kept one only
 * if it has idled far less than this backend is known to allow, and shows no sign of an end: for requests that can't be sent twice. */
enum lease_want { LEASE_ANY, LEASE_SURE, LEASE_FRESH, LEASE_RAW };

/* `origin`: for whom, a must in a pool with send_proxy_protocol, and NULL elsewhere.
 * With the pool's TLS, if it has any; the deadline is for its handshake, too.  0; -ERR_CONNECT_REFUSED, -ERR_CONNECT_TIMEOUT, -ERR_CONNECT_FAILED,
 * -ERR_BACKEND_RESET (right after it was taken), -ERR_BACKEND_TLS_x,
 * -ERR_BACKEND_CERT_REFUSED, -ERR_BACKEND_IDENTITY, -ERR_NOFILE, -ERR_NOMEM, -ERR_CANCELED. */
int lease_begin(struct lease *l, struct pool *p, struct backend *b, enum lease_want want, struct origin *origin,
                int64_t connect_deadline);
void lease_end(struct lease *l);

/* A connection as such.  Codes as lease_begin(). */
int backend_conn_open(struct backend *b, const struct pool_conf *conf, const struct origin *origin, struct backend_conn **out,
                      int64_t deadline);
void backend_conn_close(struct backend_conn **cp);
/* It was opened under other certificates or rules than those of now, or with another header. */
bool backend_conn_is_outdated(const struct backend_conn *c, const struct pool_conf *conf);

/* It waits for a request from now on; false: so many do already. */
bool backend_conn_go_idle(struct backend_conn *c, uint32_t most);
/* It is in use, if it was idle. */
void backend_conn_end_idle(struct backend_conn *c);

/* Closes this worker's idle connections: all, or those to backends that are retired. */
void keepalive_close(bool only_retired);
/* Those that were kept for it. */
void keepalive_close_of(struct origin *o);
/* The thread is a worker, and has its worker_index(). */
void lease_thread_begins(void);
/* The thread ends: no fiber runs any more. */
void lease_thread_ends(void);
#endif
