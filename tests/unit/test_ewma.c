/* Tests of strategies/ewma: the cheapest of a small pool, a good one of a large. */
#include <check.h>

#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *ewma_suite(void);

static uint32_t ones[5000];

static void open_set(struct ready_set *s, size_t n)
{
    rand_seed(61);
    for (size_t i = 0; i < 5000; i++)
        ones[i] = 1;
    ready_set_open(s, strategy_find("ewma"), ones, n);
}

static uint64_t cost(const struct backend *b) { return (uint64_t)backend_latency(b, 0) * (backend_inflight(b) + 1); }

static void make_up(struct ready_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        atomic_store(&s->backends[i].candidate.latency, 1000 + (uint32_t)rand_below(100000));
        atomic_store(&s->backends[i].candidate.inflight, (uint32_t)rand_below(5));
    }
}

START_TEST(of_a_small_pool_nobody_costs_less_than_the_one_picked)
{
    for (int round = 0; round < 500; round++) {
        struct ready_set s;
        size_t got;
        open_set(&s, 1 + rand_below(64));
        make_up(&s);
        got = ready_set_pick(&s, 0);
        for (size_t i = 0; i < s.n; i++)
            if (cost(&s.backends[i]) < cost(&s.backends[got]))
                ck_abort_msg("round %d: %zu costs less than %zu", round, i, got);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(of_a_large_pool_one_of_the_best_is_picked)
{
    struct ready_set s;
    double worse = 0;

    open_set(&s, 5000);
    make_up(&s);
    for (int i = 0; i < 100; i++) {
        uint64_t picked = cost(&s.backends[ready_set_pick(&s, 0)]);
        for (size_t k = 0; k < s.n; k++)
            worse += cost(&s.backends[k]) < picked;
    }
    /* the best of 64 by chance is one of the best 2 in 65 on average */
    ck_assert_double_lt(worse / 100, 5000 * 0.03);
    ready_set_close(&s);
}
END_TEST

START_TEST(one_that_is_new_is_tried_with_one_request_at_a_time)
{
    struct ready_set s;

    open_set(&s, 10);
    for (size_t i = 0; i < 10; i++)
        atomic_store(&s.backends[i].candidate.latency, i == 4 ? 0 : 5000);
    ck_assert_uint_eq(ready_set_pick(&s, 0), 4);
    atomic_store(&s.backends[4].candidate.inflight, 1);
    for (int i = 0; i < 20; i++)
        ck_assert_uint_ne(ready_set_pick(&s, 0), 4);
    ready_set_close(&s);
}
END_TEST

START_TEST(one_peak_keeps_requests_away)
{
    struct ready_set s;

    open_set(&s, 2);
    backend_note_outcome(&s.backends[0], 5000, false, 0);
    backend_note_outcome(&s.backends[1], 5000, false, 0);
    backend_note_outcome(&s.backends[0], 80000, false, 1000);
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(ready_set_pick_by(&s, &(struct pick_key){ .now = 2000 }), 1);
    ready_set_close(&s);
}
END_TEST

START_TEST(the_one_that_fails_at_once_is_not_the_cheapest)
{
    struct ready_set s;

    open_set(&s, 3);
    for (size_t i = 0; i < 3; i++)
        atomic_store(&s.backends[i].candidate.inflight, i == 1 ? 0 : 5);
    for (int i = 0; i < 60; i++) {
        backend_note_outcome(&s.backends[0], 20000, false, i * 1000);
        backend_note_outcome(&s.backends[1], i % 3 > 0 ? 100 : 20000, i % 3 > 0, i * 1000); /* two of three are errors */
        backend_note_outcome(&s.backends[2], 20000, false, i * 1000);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_uint_ne(ready_set_pick_by(&s, &(struct pick_key){ .now = 60000 }), 1);
    ready_set_close(&s);
}
END_TEST

Suite *ewma_suite(void)
{
    Suite *s = suite_create("ewma");
    TCase *t = tcase_create("ewma");

    tcase_add_test(t, of_a_small_pool_nobody_costs_less_than_the_one_picked);
    tcase_add_test(t, of_a_large_pool_one_of_the_best_is_picked);
    tcase_add_test(t, one_that_is_new_is_tried_with_one_request_at_a_time);
    tcase_add_test(t, one_peak_keeps_requests_away);
    tcase_add_test(t, the_one_that_fails_at_once_is_not_the_cheapest);
    suite_add_tcase(s, t);
    return s;
}
