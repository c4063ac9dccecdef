/*
 * alias.h - a backend by chance, in proportion to the weights, in two reads whatever the number (Walker's alias method; Vose 1991).
 *
 * Threads: alias_build() where a set is built; drawing on any worker.  Memory: the set's, or none for equal weights.
 */
#ifndef STRATEGIES_ALIAS_H
#define STRATEGIES_ALIAS_H
#include "base/rand.h"
#include "upstream/strategy.h"

/* Drawing lands in a column and then takes its own backend below `keep` of 2^32, and `other` above. */
struct alias {
    uint32_t keep, other;
};

/* Makes r->table; of equal weights none.  For strategy_ops.rebuild. */
int alias_build(struct ready *r);

static inline struct backend *alias_draw(const struct ready *r)
{
    const struct alias *columns = r->table;
    uint64_t x = rand_u64();
    size_t i = (size_t)(((x >> 32) * r->n) >> 32);

    if (columns != NULL && (uint32_t)x >= columns[i].keep)
        i = columns[i].other;
    return r->v[i];
}

/* The same among those for which pick_may() holds.  If there are none, any. */
struct backend *alias_draw_that_may(const struct ready *r, const struct pick_key *key);
/* The same, and of those that are warming up only as much as their share. */
struct backend *alias_draw_warm(const struct ready *r, const struct pick_key *key);
#endif
