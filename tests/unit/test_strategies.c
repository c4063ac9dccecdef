/* Tests of strategies/: what every strategy of the registry promises. */
#include <check.h>
#include <string.h>

#include "base/hash.h"
#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *strategies_suite(void);

enum { MOST = 64 };
static const uint32_t equal[MOST] = { [0 ... MOST - 1] = 3 };
static const uint32_t mixed[7] = { 1, 100, 3, 7, 1, 50, 2 };

#define EACH_STRATEGY(ops) for (size_t i_ = 0; ((ops) = strategy_at(i_)) != NULL; i_++)

/* Keys as requests have them: all different. */
static uint64_t key_of(size_t i) { return hash_bytes(&i, sizeof i, 1); }

START_TEST(each_is_found_by_its_name)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    ck_assert_ptr_eq(strategy_find(ops->name), ops);
}
END_TEST

START_TEST(there_is_no_strategy_of_an_unknown_name)
{
    ck_assert_ptr_null(strategy_find("round_robi"));
    ck_assert_ptr_null(strategy_find(""));
}
END_TEST

START_TEST(only_members_are_picked)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    {
        struct ready_set s;
        ready_set_open(&s, ops, mixed, 7);
        for (size_t i = 0; i < 2000; i++)
            (void)ready_set_pick(&s, key_of(i)); /* it looks */
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(a_single_backend_is_always_picked)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    {
        struct ready_set s;
        ready_set_open(&s, ops, mixed + 1, 1);
        for (size_t i = 0; i < 100; i++)
            ck_assert_uint_eq(ready_set_pick(&s, key_of(i)), 0);
        ready_set_close(&s);
    }
}
END_TEST

/* State goes on while sets of other sizes come and go, as after a change of health. */
START_TEST(the_set_may_change_between_picks)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    {
        void *state = calloc(1, ops->state_size + 1);
        uint64_t turn = UINT64_MAX - 20; /* and over the end of the count */

        for (size_t n = 1; n <= 7; n++) {
            struct ready_set s;
            ready_set_open(&s, ops, mixed, n);
            atomic_store(&s.turn, turn);
            free(s.state);
            s.state = state;
            for (size_t i = 0; i < 10; i++)
                (void)ready_set_pick(&s, key_of(i));
            turn = atomic_load(&s.turn);
            s.state = NULL;
            ready_set_close(&s);
        }
        free(state);
    }
}
END_TEST

START_TEST(equal_weights_get_equal_shares)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    {
        enum { N = 10, PICKS = 20000, FAIR = PICKS / N };
        unsigned got[N] = { 0 };
        struct ready_set s;

        ready_set_open(&s, ops, equal, N);
        for (size_t i = 0; i < PICKS; i++)
            got[ready_set_pick(&s, key_of(i))]++;
        for (size_t i = 0; i < N; i++) /* hashes and chance may be somewhat off */
            ck_assert_msg(got[i] > FAIR * 3 / 4 && got[i] < FAIR * 5 / 4, "%s gave %u of %d", ops->name, got[i], FAIR);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(weights_show_in_the_shares)
{
    static const uint32_t weights[4] = { 1, 2, 3, 10 };
    const struct strategy_ops *ops;

    rand_seed(11);
    EACH_STRATEGY(ops)
    {
        enum { PICKS = 40000 };
        unsigned got[4] = { 0 };
        struct ready_set s;

        ready_set_open(&s, ops, weights, 4);
        ready_set_fly(&s, 320, PICKS, got);
        for (size_t i = 0; i < 4; i++) {
            double fair = PICKS * weights[i] / 16.0;
            ck_assert_msg(got[i] > fair * 0.75 && got[i] < fair * 1.25, "%s gave %u of %.0f", ops->name, got[i], fair);
        }
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(weights_that_change_show_after_the_next_set)
{
    static const uint32_t weights[2] = { 1, 1 };
    const struct strategy_ops *ops;

    rand_seed(12);
    EACH_STRATEGY(ops)
    {
        unsigned got[2] = { 0 };
        struct ready_set s;

        ready_set_open(&s, ops, weights, 2);
        atomic_store(&s.backends[1].candidate.weight, 9);
        ready_set_rebuild(&s);
        ready_set_fly(&s, 100, 10000, got);
        ck_assert_msg(got[1] > 8500 && got[1] < 9500, "%s gave %u of 9000", ops->name, got[1]);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(the_largest_and_the_least_weight_may_stand_together)
{
    static const uint32_t weights[4] = { 1, UINT32_MAX, 1, 1000 };
    const struct strategy_ops *ops;

    rand_seed(13);
    EACH_STRATEGY(ops)
    {
        unsigned got[4] = { 0 };
        struct ready_set s;

        ready_set_open(&s, ops, weights, 4);
        s.ready.bound = ops->hashes ? 1.5 : 0;
        ready_set_fly(&s, 50, 5000, got);
        /* what has never answered is tried now and then by some */
        ck_assert_msg(got[1] > 4500, "%s gave %u of 5000", ops->name, got[1]);
        ready_set_close(&s);
    }
}
END_TEST

struct barred {
    const struct backend *v[MOST];
    size_t n;
};

static bool is_not_barred(const struct pick_key *key, const struct backend *b)
{
    const struct barred *barred = key->request;

    for (size_t i = 0; i < barred->n; i++)
        if (barred->v[i] == b)
            return false;
    return true;
}

START_TEST(what_a_request_may_not_have_is_not_picked_while_there_is_another)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    {
        struct ready_set s;
        struct barred barred = { .n = 5 };

        ready_set_open(&s, ops, mixed, 7);
        for (size_t i = 0; i < 5; i++)
            barred.v[i] = &s.backends[i + 1]; /* all but the first and the last */
        for (size_t i = 0; i < 500; i++) {
            size_t got = ready_set_pick_by(&s, &(struct pick_key){ key_of(i), .request = &barred, .may = is_not_barred });
            ck_assert_msg(got == 0 || got == 6, "%s picked %zu", ops->name, got);
        }
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(a_run_that_may_not_be_had_leaves_its_part_to_all_others)
{
    const struct strategy_ops *ops;

    rand_seed(16);
    EACH_STRATEGY(ops)
    {
        enum { N = 40, PICKS = 8000 };
        unsigned got[N] = { 0 };
        struct ready_set s;
        struct barred barred = { .n = N - 2 };

        ready_set_open(&s, ops, equal, N);
        for (size_t i = 0; i < N - 2; i++)
            barred.v[i] = &s.backends[i + 1]; /* all but the first and the last */
        for (size_t i = 0; i < PICKS; i++)
            got[ready_set_pick_by(&s, &(struct pick_key){ key_of(i), .request = &barred, .may = is_not_barred })]++;
        ck_assert_msg(got[0] > PICKS * 2 / 5 && got[N - 1] > PICKS * 2 / 5, "%s gave %u and %u", ops->name, got[0], got[N - 1]);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(what_others_may_not_have_is_shared_by_weight)
{
    static const uint32_t weights[7] = { 1, 5, 5, 5, 5, 5, 3 };
    static const char *const names[] = { "round_robin", "random" };

    rand_seed(17);
    for (size_t k = 0; k < 2; k++) {
        enum { PICKS = 8000 };
        unsigned got[7] = { 0 };
        struct ready_set s;
        struct barred barred = { .n = 5 };

        ready_set_open(&s, strategy_find(names[k]), weights, 7);
        for (size_t i = 0; i < 5; i++)
            barred.v[i] = &s.backends[i + 1];
        for (size_t i = 0; i < PICKS; i++)
            got[ready_set_pick_by(&s, &(struct pick_key){ key_of(i), .request = &barred, .may = is_not_barred })]++;
        ck_assert_msg(got[6] > PICKS * 7 / 10 && got[6] < PICKS * 8 / 10, "%s gave %u of %d", names[k], got[6], PICKS * 3 / 4);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(where_none_may_be_had_one_of_them_is_picked)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    {
        struct ready_set s;
        struct barred barred = { .n = 7 };

        ready_set_open(&s, ops, mixed, 7);
        for (size_t i = 0; i < 7; i++)
            barred.v[i] = &s.backends[i];
        for (unsigned attempt = 0; attempt < 20; attempt++)
            (void)ready_set_pick_by(&s, &(struct pick_key){ 17, attempt, .request = &barred, .may = is_not_barred });
        ready_set_close(&s);
    }
}
END_TEST

/* As a pool does it: what failed is barred, and each counts as an attempt. */
START_TEST(a_retry_gets_another_backend_until_all_have_been_tried)
{
    const struct strategy_ops *ops;

    EACH_STRATEGY(ops)
    {
        struct ready_set s;

        ready_set_open(&s, ops, mixed, 7);
        for (size_t i = 0; i < 200; i++) {
            struct barred tried = { .n = 0 };
            while (tried.n < 7) {
                struct pick_key key = { key_of(i), (unsigned)tried.n, .request = &tried, .may = is_not_barred };
                struct backend *b = &s.backends[ready_set_pick_by(&s, &key)];
                ck_assert_msg(is_not_barred(&key, b), "%s picked one twice", ops->name);
                tried.v[tried.n++] = b;
            }
        }
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(one_that_warms_up_gets_less_and_not_nothing)
{
    const struct strategy_ops *ops;

    rand_seed(14);
    EACH_STRATEGY(ops)
    {
        enum { N = 10, PICKS = 40000, FAIR = PICKS / N };
        unsigned got[N] = { 0 };
        struct ready_set s;

        if (!ops->warms_up)
            continue; /* the pool sees to it */
        ready_set_open(&s, ops, equal, N);
        atomic_store(&s.backends[4].candidate.share, SHARE_WHOLE / 5);
        ready_set_fly(&s, 300, PICKS, got);
        ck_assert_msg(got[4] > FAIR / 20 && got[4] < FAIR / 2, "%s gave %u of %d", ops->name, got[4], FAIR / 5);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(five_thousand_backends_all_get_some)
{
    enum { N = 5000, PICKS = 12 * N };
    static uint32_t weights[N];
    static unsigned got[N];
    const struct strategy_ops *ops;

    rand_seed(15);
    for (size_t i = 0; i < N; i++)
        weights[i] = 1 + i % 2;
    EACH_STRATEGY(ops)
    {
        size_t none = 0;
        struct ready_set s;

        memset(got, 0, sizeof got);
        ready_set_open(&s, ops, weights, N);
        ready_set_fly(&s, 2 * N, PICKS, got);
        for (size_t i = 0; i < N; i++)
            none += got[i] == 0;
        ck_assert_msg(none < N / 100, "%s gave nothing to %zu", ops->name, none);
        ready_set_close(&s);
    }
}
END_TEST

Suite *strategies_suite(void)
{
    Suite *s = suite_create("strategies");
    TCase *t = tcase_create("strategies");

    tcase_add_test(t, each_is_found_by_its_name);
    tcase_add_test(t, there_is_no_strategy_of_an_unknown_name);
    tcase_add_test(t, only_members_are_picked);
    tcase_add_test(t, a_single_backend_is_always_picked);
    tcase_add_test(t, the_set_may_change_between_picks);
    tcase_add_test(t, equal_weights_get_equal_shares);
    tcase_add_test(t, weights_show_in_the_shares);
    tcase_add_test(t, weights_that_change_show_after_the_next_set);
    tcase_add_test(t, the_largest_and_the_least_weight_may_stand_together);
    tcase_add_test(t, what_a_request_may_not_have_is_not_picked_while_there_is_another);
    tcase_add_test(t, a_run_that_may_not_be_had_leaves_its_part_to_all_others);
    tcase_add_test(t, what_others_may_not_have_is_shared_by_weight);
    tcase_add_test(t, where_none_may_be_had_one_of_them_is_picked);
    tcase_add_test(t, a_retry_gets_another_backend_until_all_have_been_tried);
    tcase_add_test(t, one_that_warms_up_gets_less_and_not_nothing);
    tcase_add_test(t, five_thousand_backends_all_get_some);
    suite_add_tcase(s, t);
    return s;
}
