/* Tests of slow start over all strategies: a pool that grows gives its new backends what their shares say, and no more. */
#include "tests/lib/fiber_test.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rand.h"
#include "upstream/pool.h"

Suite *slow_start_suite(void);

enum { OLD = 2, N = 10, FLYING = 40, PICKS = 20000 };
static struct pool_conf conf;
static struct backend_conf backends[N];
static struct pool *pool;

static void open_pool(const struct strategy_ops *ops, uint32_t share)
{
    static char names[N][32];

    conf = (struct pool_conf){ .name = "warm", .strategy = ops, .backends = { .v = backends, .n = N } };
    for (size_t i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof names[i], "127.0.0.1:%zu", i + 1);
        backends[i] = (struct backend_conf){ .address_text = names[i], .weight = 1 };
        ck_assert_ptr_null(addr_parse(names[i], &backends[i].address, NULL));
    }
    pool = pool_new(&conf, 1, NULL);
    ck_assert_ptr_nonnull(pool);
    for (size_t i = 0; i < N; i++) {
        struct backend *b = pool_set_now(pool)->members[i];
        atomic_store(&b->candidate.share, i < OLD ? SHARE_WHOLE : share);
        backend_note_outcome(b, 5000, false, fiber_now());
    }
}

static bool is_old(const struct backend *b)
{
    for (size_t i = 0; i < OLD; i++)
        if (pool_set_now(pool)->members[i] == b)
            return true;
    return false;
}

/* Of all requests, percent. */
static double to_new_ones(void)
{
    static struct backend *flying[FLYING];
    const struct tried none = { .n = 0 };
    unsigned got = 0;

    for (size_t i = 0; i < PICKS; i++) {
        struct backend **b = &flying[i % FLYING];
        if (i >= FLYING)
            atomic_fetch_sub(&(*b)->candidate.inflight, 1);
        *b = pool_pick(pool, hash_u64(i + 1), &none);
        ck_assert_ptr_nonnull(*b);
        atomic_fetch_add(&(*b)->candidate.inflight, 1);
        got += !is_old(*b);
    }
    for (size_t i = 0; i < FLYING; i++)
        atomic_fetch_sub(&flying[i]->candidate.inflight, 1);
    return 100.0 * got / PICKS;
}

FIBER_TEST(eight_that_warm_up_beside_two_get_their_shares)
{
    rand_seed(21);
    for (size_t k = 0; strategy_at(k) != NULL; k++)
        for (unsigned share = 2; share <= 8; share += 3) {
            /* who looks at loads gives none to one that can't do a whole request; who hashes asks each backend once */
            bool by_load = strcmp(strategy_at(k)->name, "least_conn") == 0 || strcmp(strategy_at(k)->name, "ewma") == 0;
            double due = 100.0 * (N - OLD) * share / ((N - OLD) * share + 100.0 * OLD), got;
            open_pool(strategy_at(k), SHARE_WHOLE * share / 100);
            got = to_new_ones();
            ck_assert_msg(got < due * 1.3 && (by_load || got > due * 0.6), "%s at %u %% gave %.1f %%, due are %.1f",
                          strategy_at(k)->name, share, got, due);
            pool_free(&pool);
        }
}

FIBER_TEST(where_all_warm_up_all_serve)
{
    for (size_t k = 0; strategy_at(k) != NULL; k++) {
        double got;
        open_pool(strategy_at(k), SHARE_WHOLE / 50);
        for (size_t i = 0; i < OLD; i++)
            atomic_store(&pool_set_now(pool)->members[i]->candidate.share, SHARE_WHOLE / 50);
        got = to_new_ones();
        ck_assert_msg(got > 65 && got < 95, "%s gave %.1f %%", strategy_at(k)->name, got);
        pool_free(&pool);
    }
}

Suite *slow_start_suite(void)
{
    Suite *s = suite_create("slow_start");
    TCase *t = tcase_create("slow_start");

    tcase_add_test(t, eight_that_warm_up_beside_two_get_their_shares);
    tcase_add_test(t, where_all_warm_up_all_serve);
    suite_add_tcase(s, t);
    return s;
}
