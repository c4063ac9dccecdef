/*
 * pool_set.h - who may be picked now: the members of a pool and, priority by priority, those of them that are well.
 *
 * Levels are what is used one after the other: a priority, or several where too few of the first are well to do without the next.
 * Only when too few are well in every priority, there is panic, and all are used.
 *
 * Immutable but for atomics behind pointers; built aside and published whole (pool.h).
 * Threads: any may read; building and freeing are for threads that serve nothing.
 * Memory: its own; it holds references on its members.
 */
#ifndef UPSTREAM_POOL_SET_H
#define UPSTREAM_POOL_SET_H
#include "base/arena.h"
#include "upstream/backend.h"
#include "upstream/strategy.h"

struct pool_conf;
struct sticky;

struct level {
    struct ready ready;
    struct arena *arena; /* of the set */
    bool panic;          /* too few are well anywhere, so all are in it */
};

/* What a cookie calls a member: one entry for each secret. */
struct known_backend {
    uint64_t id;
    struct backend *backend;
};

struct pool_set {
    struct pool_set *next; /* while it waits to be freed */
    struct arena arena;
    struct backend **members; /* all, those of weight 0 and those that are out, too; in the order of the configuration */
    size_t n_members;
    struct level *levels; /* in the order in which they are used; none is empty */
    unsigned n_levels;
    size_t n_serving, n_well; /* of weight above 0 and not BACKEND_NEW; of those, who may be picked */
    bool panic;
    struct known_backend *by_id; /* sorted; NULL unless the pool is sticky */
    size_t n_by_id;
};

/* NULL: out of memory. */
struct pool_set *pool_set_new(const struct pool_conf *conf, struct tally *tally, struct backend *const *members, size_t n);
void pool_set_free(struct pool_set **sp);

/* So that pool_set_find() works.  Ids cost a microsecond each: of an older set with the same members (may be NULL) they are taken
 * over.  -ERR_NOMEM. */
int pool_set_index(struct pool_set *s, const struct sticky *sticky, const struct pool_set *older);
/* The member of that id, whether it may be picked or not; NULL: there is none. */
struct backend *pool_set_find(const struct pool_set *s, uint64_t id);
#endif
