/*
 * chance.h - draws that are fair although not everybody that is drawn can be had.
 *
 * Some may not be had by this request, and when a few draws met none that may, one is drawn among all: who can't be had leaves its part
 * to all others, and not to the one behind it.  Some are warming up, and are had as often as their share says.
 * Threads: any.  Memory: none.
 */
#ifndef UPSTREAM_CHANCE_H
#define UPSTREAM_CHANCE_H
#include "base/must.h"
#include "base/rand.h"
#include "upstream/strategy.h"

enum { CHANCE_DRAWS = 8 }; /* before all are looked at */

/* One for which pick_may() holds, in proportion to the weights.  NULL: there is none. */
struct backend *chance_pick(const struct ready *r, const struct pick_key *key);
/* Where to begin looking through `v`: at `first`, or if that may not be had, at any other that may. */
size_t chance_start(struct backend *const *v, size_t n, size_t first, const struct pick_key *key);

/* Draws until one is warm enough: each backend then has requests in proportion to its share, also where most are warming up, since
 * a pool that grows has more cold ones than warm ones. */
enum { WARM_DRAWS = 64 };
struct warming {
    struct backend *kept; /* one that was turned down, in proportion to the shares, for when all were */
    uint64_t shares;
};
static inline bool is_warming(const struct backend *b)
{
    return UNLIKELY(atomic_load_explicit(&candidate_of(b)->share, memory_order_relaxed) < SHARE_WHOLE);
}
static inline bool warming_turns_down(struct warming *w, struct backend *b)
{
    uint64_t share = atomic_load_explicit(&candidate_of(b)->share, memory_order_relaxed);

    if (LIKELY(share >= SHARE_WHOLE) || rand_below(SHARE_WHOLE) < share)
        return false;
    w->shares += share;
    if (w->kept == NULL || (share > 0 && rand_below(w->shares) < share))
        w->kept = b;
    return true;
}
#endif
