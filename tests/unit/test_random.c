/* Tests of strategies/random: exact proportions, however far apart the weights are. */
#include <check.h>
#include <math.h>

#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *random_suite(void);

/* Within five standard deviations of what chance gives. */
static void shares_are_fair(const uint32_t *weights, size_t n, unsigned picks)
{
    unsigned *got = calloc(n, sizeof *got);
    struct ready_set s;

    rand_seed(31);
    ready_set_open(&s, strategy_find("random"), weights, n);
    for (unsigned i = 0; i < picks; i++)
        got[ready_set_pick(&s, 0)]++;
    for (size_t i = 0; i < n; i++) {
        double p = weights[i] / (double)s.ready.weight, fair = picks * p;
        ck_assert_msg(fabs(got[i] - fair) <= 5 * sqrt(fair * (1 - p)) + 1, "%zu got %u of %.0f", i, got[i], fair);
    }
    ready_set_close(&s);
    free(got);
}

START_TEST(shares_follow_the_weights)
{
    static const uint32_t weights[7] = { 1, 2, 3, 4, 50, 6, 7 };
    shares_are_fair(weights, 7, 100000);
}
END_TEST

START_TEST(equal_weights_need_no_table)
{
    static const uint32_t weights[5] = { 4, 4, 4, 4, 4 };
    struct ready_set s;

    ready_set_open(&s, strategy_find("random"), weights, 5);
    ck_assert_ptr_null(s.ready.table);
    ready_set_close(&s);
    shares_are_fair(weights, 5, 100000);
}
END_TEST

START_TEST(one_in_a_hundred_thousand_gets_its_share)
{
    static const uint32_t weights[3] = { 100000, 1, 100000 };
    shares_are_fair(weights, 3, 2000000);
}
END_TEST

START_TEST(a_thousand_different_weights_get_their_shares)
{
    static uint32_t weights[1000];

    for (size_t i = 0; i < 1000; i++)
        weights[i] = 1 + (uint32_t)i;
    shares_are_fair(weights, 1000, 500000);
}
END_TEST

START_TEST(no_two_sequences_are_the_same)
{
    static const uint32_t weights[16] = { [0 ... 15] = 1 };
    struct ready_set s;
    unsigned same = 0;
    size_t first[50];

    ready_set_open(&s, strategy_find("random"), weights, 16);
    for (size_t i = 0; i < 50; i++)
        first[i] = ready_set_pick(&s, 0);
    for (size_t i = 0; i < 50; i++)
        same += ready_set_pick(&s, 0) == first[i];
    ck_assert_uint_lt(same, 50);
    ready_set_close(&s);
}
END_TEST

Suite *random_suite(void)
{
    Suite *s = suite_create("random");
    TCase *t = tcase_create("random");

    tcase_add_test(t, shares_follow_the_weights);
    tcase_add_test(t, equal_weights_need_no_table);
    tcase_add_test(t, one_in_a_hundred_thousand_gets_its_share);
    tcase_add_test(t, a_thousand_different_weights_get_their_shares);
    tcase_add_test(t, no_two_sequences_are_the_same);
    suite_add_tcase(s, t);
    return s;
}
