/*
 * route.h - which route a request takes: the first in the file's order whose conditions all hold.
 *
 * Hosts and paths are found by hashing, so the cost is flat in the number of routes; only routes that share host and path
 * are looked at one by one.  Host matching ignores case and the port; a path is compared after route_path() has made it
 * plain (dot segments resolved, doubled slashes merged, percent-encoded unreserved characters decoded), so that no
 * spelling of a path slips past a route.  What is forwarded stays as received.
 *
 * Source: RFC 3986 6.2.2 (normalisation), RFC 9110 7.2 (Host).
 * Threads: a router is immutable; any thread.  Memory: the router refers to the snapshot, which must outlive it.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H
#include "base/arena.h"
#include "conf/snapshot.h"
#include "http/message.h"

struct router;
/* The host that routes are compared with: without port and without the dot that ends a fully qualified name. */
struct slice route_host(struct slice authority);
/* NULL: out of memory. */
struct router *router_new(const struct snapshot *s);
void router_free(struct router **rp);

/* Makes the path of a target plain.  Without anything to change it returns `path` itself, else a copy from `a`.  -> *out.
 * -ERR_BAD_TARGET: it climbs above the root, or has a malformed or NUL escape; -ERR_NOMEM. */
int route_path(struct slice path, struct arena *a, struct slice *out);

/* NULL: none matches (the listener's pool is next).  `path` is plain. */
const struct route_conf *router_find(const struct router *r, const struct message *m, struct slice path);
/* Of the name that a TLS client asks for (listeners with `sni`): as of a request of which only the host is known.  NULL: none matches,
 * or it names nobody.  The route's pool may be NULL: then there is no backend for such a connection. */
static inline const struct route_conf *router_find_name(const struct router *r, struct slice name)
{
    struct message m = { .authority = name };

    return name.n > 0 ? router_find(r, &m, SLICE("")) : NULL;
}

/* Tells in words, for each route up to the one that matches, why it doesn't, and what the one that does leads to. */
struct buf;
void router_explain(const struct router *r, const struct message *m, struct slice path, struct buf *out);
void router_explain_name(const struct router *r, struct slice name, struct buf *out);
/* A pool, how it chooses, and among whom; `m` NULL: there is no request (mode "tcp"), and no path. */
void route_explain_pool(const struct pool_conf *pool, const struct message *m, struct slice path, struct buf *out);
#endif
