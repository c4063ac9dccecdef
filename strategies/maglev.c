/*
 * maglev.c - consistent hashing by a table of slots (Eisenbud et al. 2016): the evenest of the three, and the quickest pick.
 *
 * Each backend has its own order of all slots, made of its id, and they take turns at taking their next free one until all are
 * taken.  A backend that comes or goes moves its own keys and a few others (about one in a hundred).  On a retry, or where that
 * one is full, the key goes on to the next slots, whose owners are as good as chance.
 *
 * A heavier one has more turns: in round k as many as keep it at k * weight / unit, and the unit is a power of two near the
 * average, so that it mostly stays when a weight changes.  All have at least one slot.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "strategies/hashed.h"

/* For each backend, where that is to be had below 3 MB; fewer mean that more keys move that need not. */
#define SLOTS_WANTED 1000u
#define SLOTS_LEAST  100u
#define FREE         UINT32_MAX
#define LOOKS_MOST   512u

/* Primes, so that every step comes by every slot. */
static const uint32_t sizes[] = { 65537, 655373, 5000011 };

struct maglev {
    uint32_t n;
    uint32_t *slot;      /* indexes into v */
    struct backend *v[]; /* by id */
};

struct seeker {
    uint32_t at, step;
    uint32_t weight;
    uint64_t turns;
};

static uint32_t slots_for(size_t n)
{
    return n * SLOTS_WANTED <= sizes[0] ? sizes[0] : n * SLOTS_LEAST <= sizes[1] ? sizes[1] : sizes[2];
}

static void take_slot(struct maglev *g, struct seeker *s, uint32_t owner)
{
    while (g->slot[s->at] != FREE)
        s->at = s->at + s->step < g->n ? s->at + s->step : s->at + s->step - g->n;
    g->slot[s->at] = owner;
    s->turns++;
}

static void fill(struct maglev *g, struct seeker *s, size_t n, uint64_t weights)
{
    uint64_t unit = 1;
    uint32_t left = g->n;

    while (unit * 2 * n <= weights)
        unit *= 2;
    for (uint64_t round = 1;; round++)
        for (size_t i = 0; i < n; i++) {
            uint64_t due = (uint64_t)((unsigned __int128)round * s[i].weight / unit);
            while (s[i].turns < due || s[i].turns == 0) {
                take_slot(g, &s[i], (uint32_t)i);
                if (--left == 0)
                    return;
            }
        }
}

static int make_table(struct ready *r, const struct member *m, uint64_t weights)
{
    uint32_t n_slots = slots_for(r->n);
    struct maglev *g = r->take(r, sizeof *g + r->n * sizeof(struct backend *) + n_slots * sizeof(uint32_t));
    struct seeker *s = malloc(r->n * sizeof *s);

    if (g == NULL || s == NULL) {
        free(s);
        return -ERR_NOMEM;
    }
    g->n = n_slots;
    g->slot = (uint32_t *)(void *)(g->v + r->n);
    memset(g->slot, 0xff, n_slots * sizeof(uint32_t)); /* FREE */
    for (size_t i = 0; i < r->n; i++) {
        uint64_t at = hash_u64(m[i].id), step = hash_u64(~m[i].id);
        g->v[i] = m[i].b;
        s[i] = (struct seeker){ (uint32_t)(at % n_slots), (uint32_t)(step % (n_slots - 1)) + 1, m[i].weight, 0 };
    }
    fill(g, s, r->n, weights);
    free(s);
    r->table = g;
    return 0;
}

static int maglev_rebuild(struct ready *r)
{
    uint64_t weights;
    struct member *m = hashed_members(r, &weights);
    int rc = m == NULL ? -ERR_NOMEM : make_table(r, m, weights);

    free(m);
    return rc;
}

static struct backend *maglev_pick(void *state, struct ready *r, const struct pick_key *key)
{
    const struct maglev *g = r->table;
    uint32_t at = (uint32_t)(((unsigned __int128)key->hash * g->n) >> 64);
    struct walk w;

    (void)state;
    walk_begin(&w, r, key);
    for (uint32_t i = 0; i < LOOKS_MOST; i++, at = at + 1 < g->n ? at + 1 : 0) {
        struct backend *b = g->v[g->slot[at]];
        if (walk_takes(&w, b))
            return b;
    }
    return walk_rest(&w, g->v);
}

const struct strategy_ops strategy_maglev = {
    .name = "maglev",
    .hashes = true,
    .reads_latency = true,
    .warms_up = true,
    .rebuild = maglev_rebuild,
    .pick = maglev_pick,
};
