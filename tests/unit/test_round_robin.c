/* Tests of strategies/round_robin: exact shares in each round, spread evenly in time. */
#include <check.h>

#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *round_robin_suite(void);

static void open_set(struct ready_set *s, const uint32_t *weights, size_t n)
{
    ready_set_open(s, strategy_find("round_robin"), weights, n);
}

START_TEST(equal_ones_take_turns_in_order)
{
    static const uint32_t weights[3] = { 9, 9, 9 };
    struct ready_set s;

    open_set(&s, weights, 3);
    for (size_t i = 0; i < 9; i++)
        ck_assert_uint_eq(ready_set_pick(&s, 0), i % 3);
    ready_set_close(&s);
}
END_TEST

START_TEST(each_round_gives_the_exact_shares)
{
    static const uint32_t weights[5] = { 10, 2, 6, 40, 12 }; /* of a round of 35 */
    struct ready_set s;

    open_set(&s, weights, 5);
    for (int round = 0; round < 20; round++) {
        unsigned got[5] = { 0 };
        for (int i = 0; i < 35; i++)
            got[ready_set_pick(&s, 0)]++;
        for (int i = 0; i < 5; i++)
            ck_assert_uint_eq(got[i], weights[i] / 2);
    }
    ready_set_close(&s);
}
END_TEST

START_TEST(a_heavy_one_does_not_get_its_turns_in_a_row)
{
    static const uint32_t weights[3] = { 5, 1, 1 };
    struct ready_set s;
    unsigned in_a_row = 0;

    open_set(&s, weights, 3);
    for (int i = 0; i < 70; i++) {
        in_a_row = ready_set_pick(&s, 0) == 0 ? in_a_row + 1 : 0;
        ck_assert_uint_le(in_a_row, 4);
    }
    ready_set_close(&s);
}
END_TEST

/* From every start to every end: the turns of one lie within three of its share of the window.  Two would be the best there is,
 * and is not what the phases give: about one such set in sixty has a window that is off by up to 2.5. */
static void windows_are_smooth(struct ready_set *s, const uint32_t *weights, size_t n, int picks)
{
    double sum = 0, low[16] = { 0 }, high[16] = { 0 };
    unsigned got[16] = { 0 };

    for (size_t i = 0; i < n; i++)
        sum += weights[i];
    for (int k = 1; k <= picks; k++) {
        got[ready_set_pick(s, 0)]++;
        for (size_t i = 0; i < n; i++) { /* how far it is ahead; a window's lead is the difference of two of these */
            double lead = got[i] - k * (weights[i] / sum);
            low[i] = lead < low[i] ? lead : low[i];
            high[i] = lead > high[i] ? lead : high[i];
            ck_assert_msg(lead - low[i] <= 3.001 && high[i] - lead <= 3.001, "backend %zu of %zu at pick %d", i, n, k);
        }
    }
}

START_TEST(over_any_window_nobody_is_more_than_three_turns_off_its_share)
{
    uint32_t weights[12];

    rand_seed(7);
    for (int round = 0; round < 100; round++) {
        struct ready_set s;
        size_t n = 2 + rand_below(11);
        for (size_t i = 0; i < n; i++)
            weights[i] = 1 + (uint32_t)rand_below(round % 2 == 0 ? 10 : 200);
        open_set(&s, weights, n);
        windows_are_smooth(&s, weights, n, 1000);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(five_thousand_backends_all_get_their_share)
{
    enum { N = 5000 };
    static uint32_t weights[N], got[N];
    struct ready_set s;

    for (size_t i = 0; i < N; i++)
        weights[i] = 1 + i % 3;
    open_set(&s, weights, N);
    for (size_t i = 0; i < 2 * N - 1; i++) /* 1,667 ones, 1,667 twos and 1,666 threes: a round */
        got[ready_set_pick(&s, 0)]++;
    for (size_t i = 0; i < N; i++)
        ck_assert_uint_eq(got[i], weights[i]);
    ready_set_close(&s);
}
END_TEST

START_TEST(weights_too_large_for_a_round_are_rounded_and_nobody_goes_without)
{
    static const uint32_t weights[3] = { 1000000, 999999, 1 };
    unsigned got[3] = { 0 };
    struct ready_set s;

    open_set(&s, weights, 3);
    for (int i = 0; i < 65536; i++)
        got[ready_set_pick(&s, 0)]++;
    ck_assert_uint_ge(got[2], 1);
    ck_assert_uint_le(got[2], 2);
    ck_assert_int_le(abs((int)got[0] - (int)got[1]), 2);
    ready_set_close(&s);
}
END_TEST

Suite *round_robin_suite(void)
{
    Suite *s = suite_create("round_robin");
    TCase *t = tcase_create("round_robin");

    tcase_add_test(t, equal_ones_take_turns_in_order);
    tcase_add_test(t, each_round_gives_the_exact_shares);
    tcase_add_test(t, a_heavy_one_does_not_get_its_turns_in_a_row);
    tcase_add_test(t, over_any_window_nobody_is_more_than_three_turns_off_its_share);
    tcase_add_test(t, five_thousand_backends_all_get_their_share);
    tcase_add_test(t, weights_too_large_for_a_round_are_rounded_and_nobody_goes_without);
    suite_add_tcase(s, t);
    return s;
}
