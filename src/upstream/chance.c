/* chance.c - a draw among those that may be had, in one pass, whose number is not known before (reservoir sampling, Vitter 1985). */
#include "upstream/chance.h"

#include "base/rand.h"

struct backend *chance_pick(const struct ready *r, const struct pick_key *key)
{
    struct backend *drawn = NULL;
    uint64_t sum = 0;

    for (size_t i = 0; i < r->n; i++) {
        uint32_t weight = backend_weight(r->v[i]);
        if (!pick_may(key, r->v[i]))
            continue;
        weight = weight > 0 ? weight : 1; /* drained since the set was built */
        sum += weight;
        if (rand_below(sum) < weight)
            drawn = r->v[i];
    }
    return drawn;
}

size_t chance_start(struct backend *const *v, size_t n, size_t first, const struct pick_key *key)
{
    uint64_t n_that_may = 0;

    for (int i = 0; i < CHANCE_DRAWS; i++, first = (size_t)rand_below(n))
        if (pick_may(key, v[first]))
            return first;
    for (size_t i = 0; i < n; i++)
        if (pick_may(key, v[i]) && rand_below(++n_that_may) == 0)
            first = i;
    return first;
}
