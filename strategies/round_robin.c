/*
 * round_robin.c - backends take turns, by weight, spread evenly in time (a heavy one's turns don't come in a row).
 *
 * One round is worked out beforehand: backend i has its k-th turn at the time (k + phase[i]) / weight[i], and turns are taken
 * in order of time.  Phases are multiples of the golden ratio, so that backends of one weight don't all fall due together
 * (Weyl's sequence: the fractions of i * phi lie as evenly as can be, however many there are).  A pick is then one step in a table, whatever the number of backends; all workers share the step, so the
 * turns are the machine's and not each worker's own.
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "base/rand.h"
#include "upstream/chance.h"

#define ROUND_MOST 65536u /* turns; weights beyond that are rounded */

struct round {
    uint32_t n;
    uint32_t turn[]; /* index into ready.v */
};

struct runner {
    uint32_t backend, weight, taken;
    uint32_t phase; /* in units of 2^-16 */
};

static uint32_t phase_of(size_t i) { return (uint32_t)(((i + 1) * UINT64_C(0x9e3779b97f4a7c15)) >> 48); }

/* Whose next turn comes first?  (taken + phase) / weight, compared without division; equals keep their order. */
static bool before(const struct runner *a, const struct runner *b)
{
    uint64_t left = (((uint64_t)a->taken << 16) + a->phase) * b->weight,
             right = (((uint64_t)b->taken << 16) + b->phase) * a->weight;

    return left != right ? left < right : a->backend < b->backend;
}

static void sift_down(struct runner *heap, size_t n, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1, first = i;
        struct runner swap;

        if (child < n && before(&heap[child], &heap[first]))
            first = child;
        if (child + 1 < n && before(&heap[child + 1], &heap[first]))
            first = child + 1;
        if (first == i)
            return;
        swap = heap[i];
        heap[i] = heap[first];
        heap[first] = swap;
        i = first;
    }
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Weights in lowest terms and small enough for the table; returns their sum. */
static uint64_t reduce_weights(struct runner *runners, size_t n)
{
    uint64_t sum = 0, reduced = 0, most = n > ROUND_MOST / 4 ? 4 * (uint64_t)n : ROUND_MOST;
    uint32_t divisor = 0;

    for (size_t i = 0; i < n; i++) {
        divisor = common_divisor(runners[i].weight, divisor);
        sum += runners[i].weight;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t w = runners[i].weight / divisor;
        if (sum / divisor > most)
            w = runners[i].weight * most / sum;
        runners[i].weight = w > 0 ? (uint32_t)w : 1;
        reduced += runners[i].weight;
    }
    return reduced;
}

static bool all_equal(const struct ready *r)
{
    for (size_t i = 1; i < r->n; i++)
        if (backend_weight(r->v[i]) != backend_weight(r->v[0]))
            return false;
    return true;
}

static int round_robin_rebuild(struct ready *r)
{
    struct runner *heap;
    struct round *round;
    uint64_t n;

    if (all_equal(r))
        return 0; /* and no table */
    heap = malloc(r->n * sizeof *heap);
    if (heap == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < r->n; i++)
        heap[i] = (struct runner){ .backend = (uint32_t)i, .weight = backend_weight(r->v[i]), .phase = phase_of(i) };
    n = reduce_weights(heap, r->n);
    round = r->take(r, sizeof *round + n * sizeof *round->turn);
    if (round == NULL) {
        free(heap);
        return -ERR_NOMEM;
    }
    for (size_t i = r->n / 2; i-- > 0;)
        sift_down(heap, r->n, i);
    round->n = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++) {
        round->turn[i] = heap[0].backend;
        heap[0].taken++;
        sift_down(heap, r->n, 0);
    }
    free(heap);
    r->table = round;
    return 0;
}

static struct backend *at_turn(const struct ready *r, uint64_t turn)
{
    const struct round *round = r->table;

    return round == NULL ? r->v[turn % r->n] : r->v[round->turn[turn % round->n]];
}

/* Whoever can't be used must not hand all its turns to the one behind it. */
static struct backend *by_chance_that_may(const struct ready *r, const struct pick_key *key)
{
    for (int i = 0; i < CHANCE_DRAWS; i++) {
        struct backend *b = at_turn(r, rand_u64());
        if (pick_may(key, b))
            return b;
    }
    return chance_pick(r, key);
}

static struct backend *round_robin_pick(void *state, struct ready *r, const struct pick_key *key)
{
    uint64_t turn = key->attempt == 0 ? atomic_fetch_add_explicit(r->turn, 1, memory_order_relaxed) : rand_u64();
    struct backend *b = at_turn(r, turn), *other;

    (void)state;
    if (pick_may(key, b))
        return b;
    other = by_chance_that_may(r, key);
    return other != NULL ? other : b;
}

const struct strategy_ops strategy_round_robin = {
    .name = "round_robin",
    .rebuild = round_robin_rebuild,
    .pick = round_robin_pick,
};
