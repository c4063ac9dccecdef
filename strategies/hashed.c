/* hashed.c - the walk of a key: who has been there, who is full, who is still warming up. */
#include "strategies/hashed.h"

#include <math.h>
#include <stdlib.h>

#include "strategies/cost.h"

enum { RANK_BEST = 3 };

static int by_id(const void *a, const void *b)
{
    uint64_t left = ((const struct member *)a)->id, right = ((const struct member *)b)->id;

    return left < right ? -1 : left > right ? 1 : 0;
}

struct member *hashed_members(const struct ready *r, uint64_t *weights)
{
    struct member *m = malloc(r->n * sizeof *m);

    if (m == NULL)
        return NULL;
    *weights = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint32_t weight = backend_weight(r->v[i]);
        m[i] = (struct member){ backend_id(r->v[i]), r->v[i], weight > 0 ? weight : 1 };
        *weights += m[i].weight;
    }
    qsort(m, r->n, sizeof *m, by_id);
    return m;
}

void walk_begin(struct walk *w, const struct ready *r, const struct pick_key *key)
{
    w->r = r;
    w->key = key;
    w->skip = key->attempt < PASSED_MOST ? key->attempt : PASSED_MOST;
    w->n_passed = 0;
    w->inflight = r->bound > 0 ? (uint64_t)atomic_load_explicit(r->inflight, memory_order_relaxed) + 1 : 0;
    w->away = false;
    w->fallback = NULL;
    w->rank = 0;
}

/* While it warms up, it has a part of its keys, always the same ones, and more from second to second. */
static bool is_warm_for(const struct backend *b, const struct pick_key *key)
{
    uint32_t share = atomic_load_explicit(&candidate_of(b)->share, memory_order_relaxed);

    return share >= SHARE_WHOLE || hash_u64(key->hash ^ backend_id(b)) % SHARE_WHOLE < share;
}

/* This request counted.  Away from home failures count as load, too: a backend that answers with errors, at once, has few in
 * flight, and would get all that others have no room for.  Its own keys stay with it. */
static bool has_room(const struct walk *w, const struct backend *b)
{
    double most = w->r->bound * (double)w->inflight * backend_weight(b) / (double)w->r->weight;

    return w->inflight == 0 || (w->away ? load_of(b, w->key->now) : backend_inflight(b) + 1.0) <= ceil(most);
}

static bool was_passed(const struct walk *w, const struct backend *b)
{
    for (unsigned i = 0; i < w->n_passed; i++)
        if (w->passed[i] == b)
            return true;
    return false;
}

/* How well it would do, from 0: better than nothing. */
static unsigned rank_of(struct walk *w, struct backend *b)
{
    bool may = pick_may(w->key, b);

    if (w->n_passed < w->skip) {
        w->passed[w->n_passed++] = b;
        return may ? 1 : 0;
    }
    return !may ? 0 : has_room(w, b) && is_warm_for(b, w->key) ? RANK_BEST : 2;
}

bool walk_takes(struct walk *w, struct backend *b)
{
    unsigned rank;

    if (was_passed(w, b))
        return false;
    rank = rank_of(w, b);
    if (rank == RANK_BEST)
        return true;
    w->away = true;
    if (w->fallback == NULL || rank > w->rank) {
        w->fallback = b;
        w->rank = rank;
    }
    return false;
}

double hashed_time(uint64_t hash, uint64_t id, uint32_t weight)
{
    double u = ((double)(hash_u64(hash ^ id) >> 11) + 0.5) / (double)(UINT64_C(1) << 53);

    return -log(u) / weight;
}

struct backend *walk_rest(struct walk *w, struct backend *const *v)
{
    struct backend *best = NULL;
    double least = 0;

    for (size_t i = 0; i < w->r->n; i++) {
        uint32_t weight = backend_weight(v[i]);
        double at;
        if (!walk_takes(w, v[i]))
            continue;
        at = hashed_time(w->key->hash, backend_id(v[i]), weight > 0 ? weight : 1);
        if (best == NULL || at < least) {
            best = v[i];
            least = at;
        }
    }
    return best != NULL ? best : w->fallback;
}
