/*
 * least_conn.c - fewest requests in flight per unit of weight; equal ones take turns.
 *
 * Exact, by looking at all: no estimate, no sample.  The backends are looked at in groups of one weight, the heaviest first, so
 * that the search may end early: an idle one of the heaviest group can't be beaten, nor can what is found be beaten by a group
 * in which even an idle one has more load.  Only with all of 5,000 busy are all 5,000 looked at, a cache line each.
 */
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "strategies/cost.h"
#include "upstream/chance.h"

struct group {
    uint32_t weight;
    uint32_t end; /* in v */
};

struct groups {
    size_t n;
    struct group *group;
    struct backend *v[]; /* heaviest first */
};

struct best {
    struct backend *b;
    double load, capacity;
};

enum { AHEAD = 8 }; /* lines are asked for before they are looked at: they are scattered over the memory */

struct weighed {
    struct backend *b;
    uint32_t weight; /* as it was when the set was built */
};

static int heavier(const void *a, const void *b)
{
    uint32_t left = ((const struct weighed *)a)->weight, right = ((const struct weighed *)b)->weight;

    return left < right ? 1 : left > right ? -1 : 0;
}

static void make_groups(struct groups *g, const struct weighed *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g->v[i] = w[i].b;
        if (i == 0 || w[i - 1].weight != w[i].weight)
            g->group[g->n++].weight = w[i].weight;
        g->group[g->n - 1].end = (uint32_t)i + 1;
    }
}

static int least_conn_rebuild(struct ready *r)
{
    struct weighed *w = malloc(r->n * sizeof *w);
    struct groups *g = r->take(r, sizeof *g + r->n * (sizeof(struct backend *) + sizeof(struct group)));

    if (w == NULL || g == NULL) {
        free(w);
        return -ERR_NOMEM;
    }
    g->group = (struct group *)(void *)(g->v + r->n);
    for (size_t i = 0; i < r->n; i++)
        w[i] = (struct weighed){ r->v[i], backend_weight(r->v[i]) };
    qsort(w, r->n, sizeof *w, heavier);
    make_groups(g, w, r->n);
    free(w);
    r->table = g;
    return 0;
}

/* Compares loads as they would be with this request, so that weight counts on an idle pool, too. */
static void look(struct best *best, struct backend *b, const struct pick_key *key)
{
    double load = load_of(b, key->now), capacity = (double)backend_capacity(b);

    if ((best->b == NULL || load * best->capacity < best->load * capacity) && pick_may(key, b))
        *best = (struct best){ b, load, capacity };
}

/* The load that one of that weight must be below to be better than the best, however warm and well it is. */
static double limit_of(const struct best *best, uint32_t weight)
{
    return best->b == NULL ? HUGE_VAL : best->load * weight * SHARE_WHOLE / best->capacity;
}

/* One group, from where it is whose turn. */
static void look_at_group(struct best *best, struct backend *const *v, size_t n, uint32_t weight, size_t start,
                          const struct pick_key *key)
{
    double limit = limit_of(best, weight);

    for (size_t i = 0, at = start; i < n && limit > 1; i++, at = at + 1 < n ? at + 1 : 0) {
        __builtin_prefetch(v[at + AHEAD < n ? at + AHEAD : n - 1]);
        if ((double)backend_inflight(v[at]) + 1 >= limit)
            continue;
        look(best, v[at], key);
        limit = limit_of(best, weight);
    }
}

static struct backend *least_conn_pick(void *state, struct ready *r, const struct pick_key *key)
{
    const struct groups *g = r->table;
    uint64_t turn = atomic_fetch_add_explicit(r->turn, 1, memory_order_relaxed);
    struct best best = { 0 };
    size_t begin = 0;

    (void)state;
    for (size_t i = 0; i < g->n; begin = g->group[i++].end) {
        size_t n = g->group[i].end - begin;
        look_at_group(&best, g->v + begin, n, g->group[i].weight, chance_start(g->v + begin, n, (size_t)(turn % n), key), key);
    }
    return best.b != NULL ? best.b : r->v[turn % r->n];
}

const struct strategy_ops strategy_least_conn = {
    .name = "least_conn",
    .reads_latency = true,
    .warms_up = true,
    .rebuild = least_conn_rebuild,
    .pick = least_conn_pick,
};
