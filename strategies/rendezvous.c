/*
 * rendezvous.c - highest random weight (Thaler, Ravishankar 1998): each backend draws a number for the key, and the best has it.
 *
 * The exact one of the three, for pools of up to a hundred or so: shares follow the weights exactly, and when a backend comes,
 * goes or changes its weight, no key moves but to it or from it.  There is no table of keys, so a pick looks at all.
 *
 * With weights the number is -ln(u) / weight and the least has it (u is even between 0 and 1): an exponential clock that rings
 * first in proportion to its rate.  Within one weight the greatest u has the least, so there is one logarithm a weight, not one
 * a backend.
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "strategies/hashed.h"

struct lot {
    uint64_t id;
    struct backend *b;
    uint32_t weight;
};

struct lots {
    struct backend **v; /* by id */
    struct lot lot[];   /* by weight, then by id */
};

static int by_weight(const void *a, const void *b)
{
    const struct lot *left = a, *right = b;

    if (left->weight != right->weight)
        return left->weight < right->weight ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id ? 1 : 0;
}

static int rendezvous_rebuild(struct ready *r)
{
    uint64_t weights;
    struct member *m = hashed_members(r, &weights);
    struct lots *l = r->take(r, sizeof *l + r->n * (sizeof(struct lot) + sizeof(struct backend *)));

    if (m == NULL || l == NULL) {
        free(m);
        return -ERR_NOMEM;
    }
    l->v = (struct backend **)(void *)(l->lot + r->n);
    for (size_t i = 0; i < r->n; i++) {
        l->v[i] = m[i].b;
        l->lot[i] = (struct lot){ m[i].id, m[i].b, m[i].weight };
    }
    free(m);
    qsort(l->lot, r->n, sizeof(struct lot), by_weight);
    r->table = l;
    return 0;
}

struct seen {
    size_t n;
    struct backend *v[PASSED_MOST];
};

static bool was_seen(const struct seen *seen, const struct backend *b)
{
    for (size_t i = 0; i < seen->n; i++)
        if (seen->v[i] == b)
            return true;
    return false;
}

/* The best of those of one weight, from `*i` on; moves it behind them.  NULL: all were seen. */
static const struct lot *best_of_weight(const struct lots *l, size_t n, size_t *i, uint64_t hash, const struct seen *seen)
{
    uint32_t weight = l->lot[*i].weight;
    const struct lot *best = NULL;
    uint64_t most = 0;

    for (; *i < n && l->lot[*i].weight == weight; ++*i) {
        uint64_t drawn = hash_u64(hash ^ l->lot[*i].id);
        if ((best == NULL || drawn > most) && !was_seen(seen, l->lot[*i].b)) {
            best = &l->lot[*i];
            most = drawn;
        }
    }
    return best;
}

/* The best of all that were not seen yet; there is one. */
static struct backend *best_of(const struct lots *l, size_t n, uint64_t hash, const struct seen *seen)
{
    struct backend *best = NULL;
    double least = 0;
    size_t i = 0;

    while (i < n) {
        const struct lot *lot = best_of_weight(l, n, &i, hash, seen);
        double at;
        if (lot == NULL)
            continue;
        if (best == NULL && i == n)
            return lot->b; /* all of one weight */
        at = hashed_time(hash, lot->id, lot->weight);
        if (best == NULL || at < least) {
            best = lot->b;
            least = at;
        }
    }
    MUST(best != NULL);
    return best;
}

static struct backend *rendezvous_pick(void *state, struct ready *r, const struct pick_key *key)
{
    const struct lots *l = r->table;
    struct seen seen = { 0 };
    struct walk w;

    (void)state;
    walk_begin(&w, r, key);
    while (seen.n < PASSED_MOST && seen.n < r->n) {
        struct backend *b = best_of(l, r->n, key->hash, &seen);
        if (walk_takes(&w, b))
            return b;
        seen.v[seen.n++] = b;
    }
    return walk_rest(&w, l->v);
}

const struct strategy_ops strategy_rendezvous = {
    .name = "rendezvous",
    .hashes = true,
    .reads_latency = true,
    .warms_up = true,
    .rebuild = rendezvous_rebuild,
    .pick = rendezvous_pick,
};
