/*
 * pool.h - a group of backends and the strategy that chooses among them.
 *
 * Who is eligible stands here (and in pool_set.c) and nowhere else: weight above 0, well, its priority in use, not tried yet by
 * this request, room for a connection, warm enough.  A strategy only sees backends that may be picked.
 *
 * Threads: pool_new() on the main thread, pool_free() on any; picking on any worker, without a lock.  Sets are published by one
 *     thread at a time; an older one is freed when no worker can be looking at it any more (upstream/members.h).
 * Memory: a pool is built for one configuration and freed with it; its backends live on if the next one names them too.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H
#include "base/arena.h"
#include "upstream/backend.h"
#include "upstream/pool_conf.h"
#include "upstream/pool_set.h"
#include "upstream/strategy.h"

#define POOL_MAGIC 0x504f4f4cu
struct pool {
    uint32_t magic;
    const struct pool_conf *conf; /* outlives the pool */
    struct tally *tally;
    struct sticky *sticky; /* NULL unless the pool is sticky */
    _Atomic(struct pool_set *) set;
    void **state; /* the strategy's, one a worker */
    unsigned n_workers;
    struct arena arena;
};

/* With the backends of `conf`, and those that `old` (may be NULL: the pool of that name in the configuration before) has found
 * out beside its own.  NULL: out of memory. */
struct pool *pool_new(const struct pool_conf *conf, unsigned n_workers, const struct pool *old);
void pool_free(struct pool **pp);

/* Good until the calling thread next waits. */
static inline const struct pool_set *pool_set_now(const struct pool *p)
{
    return atomic_load_explicit(&p->set, memory_order_acquire);
}
/* Puts a set of these members in place; *old is for the caller to free, once nobody can be looking at it.  -ERR_NOMEM: the set
 * that is there stays. */
int pool_publish(struct pool *p, struct backend *const *members, size_t n, struct pool_set **old);

/* Backends that a request has been to already; holds references. */
enum { TRIED_MOST = 8 };
struct tried {
    struct backend *v[TRIED_MOST];
    unsigned n;
};
/* False: no room for more. */
bool tried_add(struct tried *t, struct backend *b);
void tried_free(struct tried *t);

/* NULL: no backend may be used.  Good until the caller next waits, and as long as `tried` holds it.  `hash`: of the request's
 * key (forward.c), for strategies that hash. */
struct backend *pool_pick(struct pool *p, uint64_t hash, const struct tried *tried);
/* The backend of that id in a cookie (upstream/sticky.h), whatever its weight and priority; NULL: there is none, or it is out, full
 * or tried.  Good as long as what pool_pick() returns. */
struct backend *pool_pick_known(struct pool *p, uint64_t id, const struct tried *tried);
/* The exchange with a backend that was picked has ended. */
void pool_done(struct pool *p, struct backend *b, const struct outcome *o);

/* Told on a worker when live requests have taken a backend out (BACKEND_REFUSED, BACKEND_EJECTED): set once, before workers run.
 * NULL: nobody wants to know, then nobody brings it back either, and none is taken out. */
typedef void pool_notice_fn(struct backend *b, enum backend_out why);
extern pool_notice_fn *pool_notice;
#endif
