/*
 * ring_hash.c - consistent hashing on a ring with many points a backend (Karger et al. 1997; the points as in ketama).
 *
 * A key belongs to the backend whose point comes next; on a retry, or where that one is full, to the next other one.  A
 * backend's points hang on its id and its own weight alone, so that one that comes or goes moves only the keys on its own arcs,
 * and a changed weight only a part of them.  One exception: the ring has a most of points, and where the sum of weights passes
 * 4,096, and each doubling of that, all weights count half as many.
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "strategies/hashed.h"

#define POINTS_MOST     (UINT64_C(1) << 20) /* and one for each backend that would have none */
#define POINTS_A_WEIGHT 256u
#define LOOKS_MOST      512u

struct point {
    uint32_t at;
    uint32_t owner; /* in `v` */
};

struct ring {
    uint32_t n;
    unsigned shift;      /* of a position, to its bucket */
    uint32_t *bucket;    /* its first point; about four points each, so that no search is needed */
    struct point *point; /* by position; of the same position, by id of the owner */
    struct backend *v[]; /* by id */
};

static uint32_t points_of(uint32_t weight, uint64_t weights)
{
    uint64_t factor = POINTS_A_WEIGHT, divisor = 1, n;

    while (factor > 1 && weights > POINTS_MOST / factor)
        factor /= 2;
    while (weights / divisor > POINTS_MOST)
        divisor *= 2;
    n = weight * factor / divisor;
    return n > 0 ? (uint32_t)n : 1;
}

/* By position, eight bits at a time; equal ones keep their order. */
static void sort_points(struct point *points, struct point *spare, size_t n)
{
    for (unsigned shift = 0; shift < 32; shift += 8) {
        uint32_t next[256] = { 0 }, sum = 0;
        struct point *swap = points;
        for (size_t i = 0; i < n; i++)
            next[points[i].at >> shift & 255]++;
        for (size_t i = 0; i < 256; i++) {
            uint32_t here = next[i];
            next[i] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++)
            spare[next[points[i].at >> shift & 255]++] = points[i];
        points = spare;
        spare = swap;
    }
}

static void place_points(struct ring *ring, const struct member *m, size_t n, uint64_t weights)
{
    uint32_t at = 0;

    for (size_t i = 0; i < n; i++) {
        ring->v[i] = m[i].b;
        for (uint32_t k = points_of(m[i].weight, weights); k > 0; k--)
            ring->point[at++] = (struct point){ (uint32_t)(hash_u64(m[i].id + k * UINT64_C(0x9e3779b97f4a7c15)) >> 32),
                                                (uint32_t)i };
    }
}

static void fill_buckets(struct ring *ring, size_t n)
{
    uint32_t at = 0;

    for (size_t i = 0; i < n; i++) {
        while (at < ring->n && ring->point[at].at >> ring->shift < i)
            at++;
        ring->bucket[i] = at;
    }
}

static int make_ring(struct ready *r, const struct member *m, uint64_t weights)
{
    uint64_t n_points = 0;
    size_t n_buckets = 4;
    struct ring *ring;
    struct point *spare;

    for (size_t i = 0; i < r->n; i++)
        n_points += points_of(m[i].weight, weights);
    MUST(n_points > 0); /* a set has a member, and a member a weight */
    while (n_buckets * 4 < n_points)
        n_buckets *= 2;
    ring = r->take(r, sizeof *ring + r->n * sizeof(struct backend *) + n_points * sizeof *spare + n_buckets * sizeof(uint32_t));
    spare = malloc(n_points * sizeof *spare);
    if (ring == NULL || spare == NULL) {
        free(spare);
        return -ERR_NOMEM;
    }
    ring->n = (uint32_t)n_points;
    ring->shift = 32u - (unsigned)__builtin_ctzll(n_buckets);
    ring->point = (struct point *)(void *)(ring->v + r->n);
    ring->bucket = (uint32_t *)(void *)(ring->point + n_points);
    place_points(ring, m, r->n, weights);
    sort_points(ring->point, spare, n_points);
    fill_buckets(ring, n_buckets);
    free(spare);
    r->table = ring;
    return 0;
}

static int ring_hash_rebuild(struct ready *r)
{
    uint64_t weights;
    struct member *m = hashed_members(r, &weights);
    int rc = m == NULL ? -ERR_NOMEM : make_ring(r, m, weights);

    free(m);
    return rc;
}

static struct backend *ring_hash_pick(void *state, struct ready *r, const struct pick_key *key)
{
    const struct ring *ring = r->table;
    uint32_t hash = (uint32_t)(key->hash >> 32), at = ring->bucket[hash >> ring->shift];
    struct walk w;

    (void)state;
    walk_begin(&w, r, key);
    while (at < ring->n && ring->point[at].at < hash)
        at++;
    for (uint32_t i = 0; i < ring->n && i < LOOKS_MOST; i++, at++) {
        struct backend *b;
        at = at < ring->n ? at : 0;
        b = ring->v[ring->point[at].owner];
        if (walk_takes(&w, b))
            return b;
    }
    return walk_rest(&w, ring->v);
}

const struct strategy_ops strategy_ring_hash = {
    .name = "ring_hash",
    .hashes = true,
    .reads_latency = true,
    .warms_up = true,
    .rebuild = ring_hash_rebuild,
    .pick = ring_hash_pick,
};
