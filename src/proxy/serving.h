/*
 * serving.h - what the workers serve by: a snapshot and what was built from it (routes indexed, pools with their backends).
 *
 * Immutable but for the pools' own atomics; published whole.  A worker counts its users itself (struct served), so that
 * the shared count is touched once a reload and worker, not once a request.
 *
 * Threads: built on the main thread; the last reference may go on any.
 * Memory: counted.
 */
#ifndef PROXY_SERVING_H
#define PROXY_SERVING_H
#include <stdatomic.h>
#include <stdint.h>

#include "conf/snapshot.h"
#include "proxy/route.h"
#include "upstream/pool.h"

#define SERVING_MAGIC 0x53455256u
struct serving {
    uint32_t magic;
    _Atomic uint32_t refs;
    struct snapshot *conf; /* a reference */
    struct router *router;
    struct pool **pools; /* as conf->pools */
    unsigned n_workers;
};

/* Takes over nothing: the caller keeps its reference to `conf`.  Pools that `old` (may be NULL) has too keep what it has discovered.
 * NULL: out of memory. */
struct serving *serving_new(struct snapshot *conf, unsigned n_workers, const struct serving *old);
/* It is not to be served by after all: weights and the like are again as `old` says. */
void serving_undo(const struct serving *old);
struct serving *serving_ref(struct serving *s);
void serving_unref(struct serving **sp);
/* The pool that `conf` (one of s->conf->pools) became. */
struct pool *serving_pool(const struct serving *s, const struct pool_conf *conf);
#endif
