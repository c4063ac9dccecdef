/*
 * ewma.c - the one that costs least (strategies/cost.h): peak moving average of latency times requests in flight.
 *
 * Looks at all of a small pool, and at LOOKS_MOST in a row, from a place by chance, of a larger one: the best of 64 is among
 * the best 5 percent of any number (but for one time in 25), and a pick stays as quick with 5,000 as with 64.
 */
#include "base/rand.h"
#include "strategies/cost.h"
#include "upstream/chance.h"

enum {
    LOOKS_MOST = 64,
    AHEAD = 8, /* lines are asked for before they are looked at */
};

static struct backend *cheapest(const struct ready *r, const struct pick_key *key, size_t start, size_t looks)
{
    struct backend *best = NULL;
    double least = 0;

    for (size_t i = 0; i < looks; i++) {
        size_t at = start + i < r->n ? start + i : start + i - r->n;
        struct backend *b = r->v[at];
        double cost;
        __builtin_prefetch(r->v[at + AHEAD < r->n ? at + AHEAD : 0]);
        cost = cost_of(b, key->now);
        if ((best == NULL || cost < least) && pick_may(key, b)) {
            best = b;
            least = cost;
        }
    }
    return best;
}

static struct backend *ewma_pick(void *state, struct ready *r, const struct pick_key *key)
{
    size_t start = chance_start(r->v, r->n, (size_t)rand_below(r->n), key), looks = r->n < LOOKS_MOST ? r->n : LOOKS_MOST;
    struct backend *b = cheapest(r, key, start, looks);

    (void)state;
    if (b == NULL && looks < r->n)
        b = cheapest(r, key, start, r->n);
    return b != NULL ? b : r->v[start];
}

const struct strategy_ops strategy_ewma = {
    .name = "ewma",
    .reads_latency = true,
    .warms_up = true,
    .pick = ewma_pick,
};
