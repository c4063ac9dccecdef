/*
 * tunnel.h - bytes both ways between a client and a backend, until both have ended: upgrades and TCP mode.
 *
 * A direction is a fiber only while bytes move in it: an idle tunnel holds no fiber, no stack, no buffer and no pipe.
 * Half-close passes on; a reset on one side resets the other.
 *
 * Threads: one worker.  Memory: a tunnel owns its connection and its lease and frees itself.
 */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H
#include "proxy/conn.h"
#include "upstream/lease.h"

struct access_record;
struct route_conf;
struct served;
struct pool;

/* What there was before the tunnel began.  What is malloc'ed is taken over, and may be NULL. */
struct tunnel_start {
    char *from_client, *from_backend; /* what each side had sent: malloc'ed */
    size_t n_from_client, n_from_backend;
    struct access_record *record;   /* malloc'ed, of an exchange that became the tunnel: written when that ends */
    char *name;                     /* malloc'ed, in TCP mode: read from a ClientHello that is passed on */
    const struct route_conf *route; /* of what is served; NULL: none chose the pool */
    unsigned attempts;              /* backends tried, this one included */
};

/* Takes over *conn, *lease and what start holds.  -ERR_NOMEM: then they are still the caller's. */
int tunnel_open(struct conn **conn, struct lease *lease, struct pool *pool, struct served *served, struct tunnel_start *start, int64_t idle);
/* Ends all of the worker's tunnels. */
struct worker;
void tunnels_close(struct worker *w);
/* TCP mode: finds a backend for the connection and opens the tunnel, or closes it. */
void tunnel_tcp(struct conn *c);
#endif
