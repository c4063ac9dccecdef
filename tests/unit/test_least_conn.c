/* Tests of strategies/least_conn: always the least loaded one, and turns among equals. */
#include <check.h>

#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *least_conn_suite(void);

static const uint32_t equal[6] = { 2, 2, 2, 2, 2, 2 };

static void open_set(struct ready_set *s, const uint32_t *weights, size_t n)
{
    ready_set_open(s, strategy_find("least_conn"), weights, n);
}

static void set_inflight(struct ready_set *s, size_t i, uint32_t n) { atomic_store(&s->backends[i].candidate.inflight, n); }

START_TEST(the_idle_one_is_picked)
{
    struct ready_set s;

    open_set(&s, equal, 3);
    set_inflight(&s, 0, 4);
    set_inflight(&s, 2, 2);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(ready_set_pick(&s, 0), 1);
    ready_set_close(&s);
}
END_TEST

START_TEST(equal_ones_take_turns)
{
    struct ready_set s;

    open_set(&s, equal, 6);
    for (size_t i = 0; i < 18; i++)
        ck_assert_uint_eq(ready_set_pick(&s, 0), i % 6);
    ready_set_close(&s);
}
END_TEST

START_TEST(two_heavy_ones_share_what_an_idle_pool_gets)
{
    static const uint32_t weights[6] = { 1, 1, 9, 9, 1, 1 };
    unsigned got[6] = { 0 };
    struct ready_set s;

    open_set(&s, weights, 6);
    for (int i = 0; i < 10; i++)
        got[ready_set_pick(&s, 0)]++;
    ck_assert_uint_eq(got[2], 5);
    ck_assert_uint_eq(got[3], 5);
    ready_set_close(&s);
}
END_TEST

/* What looking at each of them would say; all numbers are small, so that this is exact. */
static bool is_least(const struct ready_set *s, size_t at)
{
    uint64_t load = backend_inflight(&s->backends[at]) + 1, capacity = backend_capacity(&s->backends[at]);

    for (size_t i = 0; i < s->n; i++)
        if ((backend_inflight(&s->backends[i]) + 1) * capacity < load * backend_capacity(&s->backends[i]))
            return false;
    return true;
}

START_TEST(nobody_ever_has_less_load_than_the_one_picked)
{
    uint32_t weights[40];

    rand_seed(41);
    for (int round = 0; round < 2000; round++) {
        struct ready_set s;
        size_t n = 1 + rand_below(40), most = 1 + rand_below(30), got;
        for (size_t i = 0; i < n; i++)
            weights[i] = 1 + (uint32_t)rand_below(round % 3 == 0 ? 1 : round % 3 == 1 ? 4 : 1000);
        open_set(&s, weights, n);
        for (size_t i = 0; i < n; i++) {
            set_inflight(&s, i, (uint32_t)rand_below(most));
            if (rand_below(5) == 0)
                atomic_store(&s.backends[i].candidate.share, 1 + (uint32_t)rand_below(SHARE_WHOLE));
        }
        got = ready_set_pick(&s, 0);
        ck_assert_msg(is_least(&s, got), "round %d: %zu of %zu is not the least loaded", round, got, n);
        ready_set_close(&s);
    }
}
END_TEST

/* It has nothing in flight, since errors come at once. */
START_TEST(one_that_answers_with_errors_does_not_attract_requests)
{
    struct ready_set s;

    open_set(&s, equal, 6);
    for (size_t i = 0; i < 6; i++)
        set_inflight(&s, i, i == 2 ? 0 : 3);
    for (int i = 0; i < 20; i++)
        backend_note_outcome(&s.backends[2], 500, true, 0);
    for (int i = 0; i < 50; i++)
        ck_assert_uint_ne(ready_set_pick(&s, 0), 2);
    ready_set_close(&s);
}
END_TEST

START_TEST(one_that_failed_is_tried_again_after_a_while)
{
    struct ready_set s;

    open_set(&s, equal, 2);
    for (int i = 0; i < 20; i++)
        backend_note_outcome(&s.backends[0], 500, true, 0);
    set_inflight(&s, 1, 1);
    ck_assert_uint_eq(ready_set_pick_by(&s, &(struct pick_key){ .now = 1000000 }), 1);
    ck_assert_uint_eq(ready_set_pick_by(&s, &(struct pick_key){ .now = 60000000 }), 0);
    ready_set_close(&s);
}
END_TEST

Suite *least_conn_suite(void)
{
    Suite *s = suite_create("least_conn");
    TCase *t = tcase_create("least_conn");

    tcase_add_test(t, the_idle_one_is_picked);
    tcase_add_test(t, equal_ones_take_turns);
    tcase_add_test(t, two_heavy_ones_share_what_an_idle_pool_gets);
    tcase_add_test(t, nobody_ever_has_less_load_than_the_one_picked);
    tcase_add_test(t, one_that_answers_with_errors_does_not_attract_requests);
    tcase_add_test(t, one_that_failed_is_tried_again_after_a_while);
    suite_add_tcase(s, t);
    return s;
}
