/* Tests of upstream/pool_set: which priorities are used, who is in them, and when all are. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "upstream/pool_conf.h"
#include "upstream/pool_set.h"

Suite *pool_set_suite(void);

enum { N = 6 };
static struct pool_conf conf;
static struct tally *tally;
static struct backend *backends[N];
static struct pool_set *set;

static void setup(void)
{
    static char names[N][32];

    conf = (struct pool_conf){ .name = "set",
                               .strategy = strategy_find("round_robin"),
                               .outlier = { .panic = 50, .max_ejected = 100, .eject = CLOCK_S, .eject_most = CLOCK_S } };
    tally = tally_find("set");
    for (size_t i = 0; i < N; i++) {
        struct backend_conf b = { .address_text = names[i], .weight = 1 };
        (void)snprintf(names[i], sizeof names[i], "127.0.0.1:%zu", i + 1);
        ck_assert_ptr_null(addr_parse(names[i], &b.address, NULL));
        backends[i] = backend_find("set", &b, 1);
        ck_assert_ptr_nonnull(backends[i]);
        backend_join(backends[i]);
    }
}

static void teardown(void)
{
    pool_set_free(&set);
    for (size_t i = 0; i < N; i++) {
        backend_leave(backends[i]);
        backend_unref(&backends[i]);
    }
    ck_assert_uint_eq(tally->n_serving, 0);
    ck_assert_uint_eq(tally->n_out, 0);
    ck_assert_uint_eq(tally->n_ejected, 0);
    tally_unref(&tally);
}

static void apply(size_t i, uint32_t weight, uint32_t priority)
{
    backend_apply(backends[i], &(struct backend_conf){ .weight = weight, .priority = priority });
}

static void make(size_t n)
{
    pool_set_free(&set);
    set = pool_set_new(&conf, tally, backends, n);
    ck_assert_ptr_nonnull(set);
}

static bool has(unsigned level, size_t i)
{
    for (size_t k = 0; k < set->levels[level].ready.n; k++)
        if (set->levels[level].ready.v[k] == backends[i])
            return true;
    return false;
}

START_TEST(all_that_are_well_are_in_one_level)
{
    make(3);
    ck_assert_uint_eq(set->n_levels, 1);
    ck_assert_uint_eq(set->levels[0].ready.n, 3);
    ck_assert_uint_eq(set->levels[0].ready.weight, 3);
    ck_assert(!set->panic);
}
END_TEST

START_TEST(no_members_make_no_level)
{
    make(0);
    ck_assert_uint_eq(set->n_levels, 0);
}
END_TEST

START_TEST(priorities_come_in_their_order_whatever_the_listing)
{
    apply(0, 1, 7);
    apply(1, 1, 0);
    apply(2, 1, 3);
    make(3);
    ck_assert_uint_eq(set->n_levels, 3);
    ck_assert(has(0, 1) && has(1, 2) && has(2, 0));
}
END_TEST

START_TEST(weight_0_is_a_member_and_in_no_level)
{
    apply(0, 0, 0);
    make(2);
    ck_assert_uint_eq(set->n_members, 2);
    ck_assert(!has(0, 0) && has(0, 1));
}
END_TEST

START_TEST(each_reason_to_be_out_keeps_one_out)
{
    for (uint32_t flag = 1; flag < 16; flag <<= 1) {
        (void)backend_take_out(backends[1], (enum backend_out)flag);
        make(3);
        ck_assert(has(0, 0) && !has(0, 1) && has(0, 2));
        (void)backend_bring_back(backends[1], (enum backend_out)flag);
    }
}
END_TEST

START_TEST(a_priority_without_anybody_well_is_left_out)
{
    apply(1, 1, 1);
    (void)backend_take_out(backends[0], BACKEND_DOWN);
    make(2);
    ck_assert_uint_eq(set->n_levels, 1);
    ck_assert(has(0, 1));
    ck_assert(!set->panic);
}
END_TEST

START_TEST(below_the_threshold_all_of_a_priority_are_used)
{
    (void)backend_take_out(backends[0], BACKEND_DOWN);
    (void)backend_take_out(backends[1], BACKEND_EJECTED);
    make(4);
    ck_assert(!set->panic); /* half of them are well */
    (void)backend_take_out(backends[2], BACKEND_REFUSED);
    make(4);
    ck_assert(set->panic && set->levels[0].panic);
    ck_assert_uint_eq(set->levels[0].ready.n, 4);
}
END_TEST

START_TEST(where_too_few_are_well_the_next_priority_joins_them)
{
    for (size_t i = 3; i < 6; i++)
        apply(i, 1, 1);
    (void)backend_take_out(backends[0], BACKEND_DOWN);
    make(6);
    ck_assert_uint_eq(set->n_levels, 2); /* two of three are enough */
    (void)backend_take_out(backends[1], BACKEND_DOWN);
    make(6);
    ck_assert_uint_eq(set->n_levels, 1);
    ck_assert(!set->panic && !has(0, 0) && !has(0, 1) && has(0, 2) && has(0, 3) && has(0, 4) && has(0, 5));
    (void)backend_take_out(backends[3], BACKEND_DOWN);
    make(6);
    ck_assert(!set->panic && !has(0, 3) && has(0, 4) && has(0, 5));
    (void)backend_take_out(backends[4], BACKEND_DOWN);
    make(6);
    ck_assert(set->panic && set->n_levels == 1 && set->levels[0].ready.n == 6);
    ck_assert_uint_eq(set->n_well, 2);
    ck_assert_uint_eq(set->n_serving, 6);
}
END_TEST

START_TEST(a_single_backup_that_is_well_stands_in_for_all_others)
{
    apply(5, 1, 1);
    for (size_t i = 0; i < 5; i++)
        (void)backend_take_out(backends[i], BACKEND_DOWN);
    make(6);
    ck_assert(!set->panic && set->n_levels == 1 && set->levels[0].ready.n == 1 && has(0, 5));
}
END_TEST

START_TEST(the_last_priority_waits_although_few_of_it_are_well)
{
    for (size_t i = 2; i < 6; i++)
        apply(i, 1, 1);
    for (size_t i = 3; i < 6; i++)
        (void)backend_take_out(backends[i], BACKEND_DOWN);
    make(6);
    ck_assert(!set->panic && set->n_levels == 2);
    ck_assert_uint_eq(set->levels[0].ready.n, 2);
    ck_assert(set->levels[1].ready.n == 1 && has(1, 2));
}
END_TEST

START_TEST(new_ones_say_nothing_of_how_many_are_well)
{
    for (size_t i = 2; i < 5; i++)
        (void)backend_take_out(backends[i], BACKEND_NEW);
    (void)backend_take_out(backends[4], BACKEND_DOWN);
    make(5);
    ck_assert(!set->panic && has(0, 0) && has(0, 1));
    ck_assert_uint_eq(set->levels[0].ready.n, 2);
    ck_assert_uint_eq(set->n_serving, 2);
    ck_assert_uint_eq(set->n_well, 2);
    ck_assert_uint_eq(tally->n_serving, N - 3);
    ck_assert_uint_eq(tally->n_out, 0);
    (void)backend_bring_back(backends[3], BACKEND_NEW);
    make(5);
    ck_assert_uint_eq(set->levels[0].ready.n, 3);
}
END_TEST

START_TEST(panic_does_not_use_new_ones_while_somebody_is_well)
{
    (void)backend_take_out(backends[0], BACKEND_DOWN);
    (void)backend_take_out(backends[1], BACKEND_DOWN);
    (void)backend_take_out(backends[3], BACKEND_NEW);
    make(4);
    ck_assert(set->panic && has(0, 0) && has(0, 1) && has(0, 2) && !has(0, 3));
    (void)backend_take_out(backends[2], BACKEND_DOWN);
    make(4);
    ck_assert(set->panic && has(0, 3)); /* nobody is better than another */
}
END_TEST

START_TEST(with_nobody_well_the_first_priority_is_used_whole)
{
    apply(1, 1, 1);
    (void)backend_take_out(backends[0], BACKEND_DOWN);
    (void)backend_take_out(backends[1], BACKEND_DOWN);
    make(2);
    ck_assert_uint_eq(set->n_levels, 2);
    ck_assert(has(0, 0) && has(1, 1) && set->panic);
}
END_TEST

START_TEST(without_a_threshold_nobody_well_is_nobody)
{
    conf.outlier.panic = 0;
    (void)backend_take_out(backends[0], BACKEND_DOWN);
    make(1);
    ck_assert_uint_eq(set->n_levels, 0);
}
END_TEST

START_TEST(a_backend_is_out_until_the_last_reason_has_gone)
{
    ck_assert(backend_take_out(backends[0], BACKEND_DOWN));
    ck_assert(backend_take_out(backends[0], BACKEND_EJECTED));
    ck_assert(!backend_take_out(backends[0], BACKEND_DOWN));
    ck_assert_uint_eq(tally->n_out, 1);
    ck_assert(backend_bring_back(backends[0], BACKEND_DOWN));
    ck_assert_uint_eq(tally->n_out, 1);
    ck_assert(backend_bring_back(backends[0], BACKEND_EJECTED));
    ck_assert(!backend_bring_back(backends[0], BACKEND_EJECTED));
    ck_assert_uint_eq(tally->n_out, 0);
}
END_TEST

static bool live(size_t i, enum backend_out why)
{
    return backend_take_out_live(backends[i], why, &conf.outlier, OUTLIER_IN_A_ROW, CLOCK_S);
}

static void leave_but(size_t n)
{
    for (size_t i = n; i < N; i++)
        backend_leave(backends[i]);
}

START_TEST(live_requests_never_take_out_the_last)
{
    leave_but(3);
    ck_assert(live(0, BACKEND_REFUSED));
    ck_assert(live(1, BACKEND_EJECTED));
    ck_assert(!live(2, BACKEND_REFUSED));
    ck_assert_uint_eq(backend_out(backends[2]), 0);
    ck_assert(live(0, BACKEND_EJECTED)); /* it is out already */
}
END_TEST

START_TEST(one_of_weight_0_that_is_down_keeps_no_other_in)
{
    leave_but(3);
    backend_set_weight(backends[2], 0);
    (void)backend_take_out(backends[2], BACKEND_DOWN);
    ck_assert_uint_eq(tally->n_out, 0);
    ck_assert(live(1, BACKEND_EJECTED));
    ck_assert(!live(0, BACKEND_EJECTED));
    backend_set_weight(backends[2], -1); /* it counts again, and it is out */
    ck_assert_uint_eq(tally->n_serving, 3);
    ck_assert_uint_eq(tally->n_out, 2);
    ck_assert(!live(0, BACKEND_EJECTED));
    backend_set_weight(backends[2], 0);
}
END_TEST

START_TEST(what_has_left_is_not_taken_out_and_counts_for_nothing)
{
    leave_but(3);
    ck_assert(live(0, BACKEND_EJECTED));
    backend_leave(backends[0]);
    ck_assert_uint_eq(tally->n_ejected, 0);
    ck_assert(!live(0, BACKEND_REFUSED));
    ck_assert(!live(3, BACKEND_EJECTED));
    ck_assert_uint_eq(tally->n_serving, 2);
    ck_assert_uint_eq(tally->n_out, 0);
    ck_assert(live(1, BACKEND_EJECTED));
    backend_join(backends[0]); /* nothing is held against it */
    ck_assert_uint_eq(backend_out(backends[0]), 0);
    ck_assert_uint_eq(tally->n_out, 1);
}
END_TEST

START_TEST(what_a_dry_run_would_take_out_stays_in)
{
    conf.outlier.dry_run = true;
    ck_assert(live(0, BACKEND_EJECTED));
    ck_assert_uint_eq(backend_out(backends[0]), 0);
    ck_assert_uint_eq(tally->n_ejected, 0);
}
END_TEST

static _Atomic int begun;

static void *eject_one(void *arg)
{
    struct backend **b = arg;

    atomic_fetch_add(&begun, 1);
    while (atomic_load(&begun) < N)
        ;
    for (int i = 0; i < 200; i++) {
        (void)backend_take_out_live(*b, BACKEND_EJECTED, &conf.outlier, OUTLIER_RATIO, i + CLOCK_S);
        if ((backend_out(*b) & BACKEND_EJECTED) != 0 && atomic_load(&(*b)->ejected_until) == 0)
            return *b; /* out without an end */
    }
    return NULL;
}

START_TEST(workers_that_eject_at_once_keep_to_the_limit_together)
{
    pthread_t threads[N];
    void *wrong;

    conf.outlier.max_ejected = 50;
    for (int round = 0; round < 20; round++) {
        atomic_store(&begun, 0);
        for (size_t i = 0; i < N; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, eject_one, &backends[i]), 0);
        for (size_t i = 0; i < N; i++) {
            ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
            ck_assert_ptr_null(wrong);
        }
        ck_assert_uint_eq(tally->n_ejected, N / 2);
        for (size_t i = 0; i < N; i++)
            (void)backend_bring_back(backends[i], BACKEND_EJECTED);
        ck_assert_uint_eq(tally->n_ejected, 0);
        ck_assert_uint_eq(tally->n_out, 0);
    }
}
END_TEST

START_TEST(latency_jumps_up_and_sinks_slowly)
{
    struct backend *b = backends[0];
    int64_t now = 1000 * CLOCK_S;

    backend_note_outcome(b, 1000, false, now);
    ck_assert_uint_eq(backend_latency(b, now), 1000);
    backend_note_outcome(b, 50000, false, now);
    ck_assert_uint_eq(backend_latency(b, now), 50000);
    for (int i = 0; i < 10; i++)
        backend_note_outcome(b, 1000, false, now += 100 * CLOCK_MS);
    ck_assert_uint_gt(backend_latency(b, now), 30000);
    for (int i = 0; i < 1000; i++)
        backend_note_outcome(b, 1000, false, now += 100 * CLOCK_MS);
    ck_assert_uint_lt(backend_latency(b, now), 3000);
}
END_TEST

START_TEST(a_quick_failure_makes_nobody_look_quick)
{
    int64_t now = 1000 * CLOCK_S;

    backend_note_outcome(backends[0], 30000, false, now);
    backend_note_outcome(backends[0], 50, true, now);
    ck_assert_uint_eq(backend_latency(backends[0], now), 30000);
    ck_assert_uint_gt(backend_failing(backends[0], now), 0);
}
END_TEST

START_TEST(what_was_slow_long_ago_is_unknown)
{
    backend_note_outcome(backends[0], 90000000, false, 1000 * CLOCK_S);
    ck_assert_uint_eq(backend_latency(backends[0], 1400 * CLOCK_S), 0);
}
END_TEST

Suite *pool_set_suite(void)
{
    Suite *s = suite_create("pool_set");
    TCase *t = tcase_create("pool_set");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, all_that_are_well_are_in_one_level);
    tcase_add_test(t, no_members_make_no_level);
    tcase_add_test(t, priorities_come_in_their_order_whatever_the_listing);
    tcase_add_test(t, weight_0_is_a_member_and_in_no_level);
    tcase_add_test(t, each_reason_to_be_out_keeps_one_out);
    tcase_add_test(t, a_priority_without_anybody_well_is_left_out);
    tcase_add_test(t, below_the_threshold_all_of_a_priority_are_used);
    tcase_add_test(t, where_too_few_are_well_the_next_priority_joins_them);
    tcase_add_test(t, a_single_backup_that_is_well_stands_in_for_all_others);
    tcase_add_test(t, the_last_priority_waits_although_few_of_it_are_well);
    tcase_add_test(t, new_ones_say_nothing_of_how_many_are_well);
    tcase_add_test(t, panic_does_not_use_new_ones_while_somebody_is_well);
    tcase_add_test(t, with_nobody_well_the_first_priority_is_used_whole);
    tcase_add_test(t, without_a_threshold_nobody_well_is_nobody);
    tcase_add_test(t, a_backend_is_out_until_the_last_reason_has_gone);
    tcase_add_test(t, live_requests_never_take_out_the_last);
    tcase_add_test(t, one_of_weight_0_that_is_down_keeps_no_other_in);
    tcase_add_test(t, what_has_left_is_not_taken_out_and_counts_for_nothing);
    tcase_add_test(t, what_a_dry_run_would_take_out_stays_in);
    tcase_add_test(t, workers_that_eject_at_once_keep_to_the_limit_together);
    tcase_add_test(t, latency_jumps_up_and_sinks_slowly);
    tcase_add_test(t, a_quick_failure_makes_nobody_look_quick);
    tcase_add_test(t, what_was_slow_long_ago_is_unknown);
    suite_add_tcase(s, t);
    return s;
}
