/* Tests of picking by several workers at once while sets come and go, for each strategy: what the thread sanitizer looks at. */
#include <check.h>
#include <stdio.h>

#include "base/rand.h"
#include "tests/lib/fiber_test.h"
#include "upstream/pool.h"

Suite *pick_threads_suite(void);

enum { WORKERS = 3, BACKENDS = 20, FLYING = 10, ROUNDS = FIBER_TEST_SLOW ? 3000 : 20000 };

static struct pool_conf conf;
static struct backend_conf backends[BACKENDS];
static char names[BACKENDS][32];
static struct pool *pool;
static _Atomic unsigned long quiet[WORKERS]; /* counts up where a worker holds nothing of any set */
static _Atomic int working;

static void make_pool(const struct strategy_ops *ops)
{
    conf = (struct pool_conf){ .name = "app", .strategy = ops, .backends = { .v = backends, .n = BACKENDS } };
    conf.hash.bound = ops->hashes ? 1.5 : 0;
    for (size_t i = 0; i < BACKENDS; i++) {
        (void)snprintf(names[i], sizeof names[i], "127.0.0.1:%zu", 2000 + i);
        backends[i] = (struct backend_conf){ .address_text = names[i], .weight = 1 + i % 3 };
        ck_assert_ptr_null(addr_parse(names[i], &backends[i].address, NULL));
    }
    pool = pool_new(&conf, WORKERS, NULL);
    ck_assert_ptr_nonnull(pool);
}

static void begins(struct backend *b)
{
    atomic_fetch_add_explicit(&b->candidate.inflight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->tally->inflight, 1, memory_order_relaxed);
}

static void ends(struct backend **bp)
{
    struct backend *b = *bp;

    atomic_fetch_sub_explicit(&b->candidate.inflight, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&b->tally->inflight, 1, memory_order_relaxed);
    pool_done(pool, b, &(struct outcome){ .latency = (int64_t)rand_below(10000), .status = rand_below(50) == 0 ? 503 : 200 });
    backend_unref(bp);
}

static void work(unsigned index)
{
    struct backend *flying[FLYING] = { NULL };

    worker_index_set(index);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct backend **slot = &flying[i % FLYING], *b;
        if (*slot != NULL)
            ends(slot);
        b = pool_pick(pool, rand_u64(), &(struct tried){ .n = 0 });
        if (b != NULL) {
            *slot = backend_ref(b);
            begins(b);
        }
        atomic_fetch_add_explicit(&quiet[index], 1, memory_order_release);
        if (i % 64 == 0)
            fiber_yield(); /* so that time goes on */
    }
    for (unsigned i = 0; i < FLYING; i++)
        if (flying[i] != NULL)
            ends(&flying[i]);
    atomic_fetch_sub(&working, 1);
}

/* Each worker has passed a point where it holds nothing, or has ended. */
static void await_quiet(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        unsigned long was = atomic_load_explicit(&quiet[i], memory_order_acquire);
        while (atomic_load_explicit(&quiet[i], memory_order_acquire) < was + 2 && atomic_load(&working) == WORKERS)
            fiber_yield();
    }
}

/* Members come, go and change their weights, and what no worker can be looking at any more is freed. */
static void change_sets(void)
{
    struct backend *members[BACKENDS];

    for (size_t i = 0; i < BACKENDS; i++)
        members[i] = backend_ref(pool_set_now(pool)->members[i]);
    for (size_t n = BACKENDS; atomic_load(&working) == WORKERS; n = n > 2 ? n - 1 : BACKENDS) {
        struct pool_set *old = NULL;
        backend_set_weight(members[rand_below(n)], 1 + (int64_t)rand_below(9));
        ck_assert_int_eq(pool_publish(pool, members, n, &old), 0);
        await_quiet();
        if (atomic_load(&working) < WORKERS) { /* the others still pick: the set lives until all have ended */
            while (atomic_load(&working) > 0)
                fiber_yield();
        }
        pool_set_free(&old);
    }
    while (atomic_load(&working) > 0)
        fiber_yield();
    for (size_t i = 0; i < BACKENDS; i++) {
        ck_assert_uint_eq(backend_inflight(members[i]), 0);
        backend_unref(&members[i]);
    }
}

static void part(void *unused)
{
    (void)unused;
    rand_seed(71 + (uint64_t)fiber_test_thread());
    if (fiber_test_thread() < WORKERS)
        work((unsigned)fiber_test_thread());
    else
        change_sets();
}

START_TEST(workers_pick_while_sets_are_exchanged)
{
    make_pool(strategy_at((size_t)_i));
    atomic_store(&working, WORKERS);
    fiber_test_run_on(WORKERS + 1, part, NULL);
    ck_assert_uint_eq(atomic_load(&pool->tally->inflight), 0);
    pool_free(&pool);
}
END_TEST

Suite *pick_threads_suite(void)
{
    Suite *s = suite_create("pick_threads");
    TCase *t = tcase_create("pick_threads");
    int n = 0;

    while (strategy_at((size_t)n) != NULL)
        n++;
    tcase_add_loop_test(t, workers_pick_while_sets_are_exchanged, 0, n);
    suite_add_tcase(s, t);
    return s;
}
