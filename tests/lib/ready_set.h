/*
 * ready_set.h - sets of backends as a strategy sees them, built as a pool builds them.
 *
 * Threads: the caller's.  Memory: ready_set_open() makes all, ready_set_close() frees it.
 */
#ifndef TESTS_READY_SET_H
#define TESTS_READY_SET_H
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/must.h"
#include "upstream/backend.h"
#include "upstream/strategy.h"

struct ready_set {
    const struct strategy_ops *ops;
    struct ready ready;
    struct arena arena;
    struct backend *backends;
    bool *is_member;
    size_t n; /* of both */
    void *state;
    _Atomic uint64_t turn;
    _Atomic uint32_t inflight;
};

static inline void *ready_set_take(struct ready *r, size_t size)
{
    return arena_take_zero(&CONTAINER_OF(r, struct ready_set, ready)->arena, size);
}

/* After a change of `v`, `n` or weights: as a pool makes a new set of them. */
static inline void ready_set_rebuild(struct ready_set *s)
{
    s->ready.table = NULL;
    s->ready.weight = 0;
    memset(s->is_member, 0, s->n * sizeof *s->is_member);
    for (size_t i = 0; i < s->ready.n; i++) {
        s->ready.weight += backend_weight(s->ready.v[i]);
        s->is_member[s->ready.v[i] - s->backends] = true;
    }
    if (s->ops->rebuild != NULL)
        ck_assert_int_eq(s->ops->rebuild(&s->ready), 0);
}

static inline void ready_set_open(struct ready_set *s, const struct strategy_ops *ops, const uint32_t *weights, size_t n)
{
    *s = (struct ready_set){ .ops = ops };
    arena_init(&s->arena, NULL, 0);
    s->backends = aligned_alloc(64, n * sizeof *s->backends);
    s->ready.v = calloc(n, sizeof *s->ready.v);
    s->state = calloc(1, ops->state_size + 1);
    s->is_member = calloc(n, sizeof *s->is_member);
    s->n = n;
    ck_assert(s->backends != NULL && s->is_member != NULL && s->ready.v != NULL && s->state != NULL);
    s->ready.n = n;
    s->ready.turn = &s->turn;
    s->ready.inflight = &s->inflight;
    s->ready.take = ready_set_take;
    for (size_t i = 0; i < n; i++) {
        s->backends[i] = (struct backend){ .magic = BACKEND_MAGIC, .name = "b" };
        s->backends[i].candidate.id = hash_u64(i + 1);
        atomic_store(&s->backends[i].candidate.weight, weights[i]);
        atomic_store(&s->backends[i].candidate.share, SHARE_WHOLE);
        s->ready.v[i] = &s->backends[i];
    }
    ready_set_rebuild(s);
}

static inline void ready_set_close(struct ready_set *s)
{
    arena_free(&s->arena);
    free(s->ready.v);
    free(s->is_member);
    free(s->backends);
    free(s->state);
}

/* Takes one out, by its place at ready_set_open(); the rest is listed in the opposite order. */
static inline void ready_set_remove(struct ready_set *s, size_t gone)
{
    size_t n = 0;

    for (size_t i = 0; i < s->ready.n; i++)
        if (s->ready.v[i] != &s->backends[gone])
            s->ready.v[n++] = s->ready.v[i];
    s->ready.n = n;
    for (size_t i = 0; i < n / 2; i++) {
        struct backend *swap = s->ready.v[i];
        s->ready.v[i] = s->ready.v[n - 1 - i];
        s->ready.v[n - 1 - i] = swap;
    }
    ready_set_rebuild(s);
}

/* Which one is picked for that key, by its place at ready_set_open(); fails the test when it is no member. */
static inline size_t ready_set_pick_by(struct ready_set *s, const struct pick_key *key)
{
    struct backend *b = s->ops->pick(s->state, &s->ready, key);

    size_t at = (size_t)(b - s->backends);

    if (at >= s->n || !s->is_member[at])
        ck_abort_msg("%s picked what is not in the set", s->ops->name);
    return at;
}

static inline size_t ready_set_pick(struct ready_set *s, uint64_t hash)
{
    return ready_set_pick_by(s, &(struct pick_key){ .hash = hash });
}

/* Requests that begin and end: `n` are in flight at any time, and the oldest ends when another begins.  Counts who had them. */
static inline void ready_set_fly(struct ready_set *s, size_t n, size_t requests, unsigned *got)
{
    size_t *flying = malloc(n * sizeof *flying);

    ck_assert_ptr_nonnull(flying);
    for (size_t i = 0; i < requests; i++) {
        size_t at;
        if (i >= n) {
            atomic_fetch_sub(&s->backends[flying[i % n]].candidate.inflight, 1);
            atomic_fetch_sub(&s->inflight, 1);
        }
        at = flying[i % n] = ready_set_pick(s, hash_u64(i + 1));
        atomic_fetch_add(&s->backends[at].candidate.inflight, 1);
        atomic_fetch_add(&s->inflight, 1);
        got[at]++;
    }
    free(flying);
}
#endif
