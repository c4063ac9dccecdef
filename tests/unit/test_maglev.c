/* Tests of strategies/maglev: nearly exact shares, and few keys that move without need. */
#include <check.h>

#include "tests/lib/ready_set.h"

Suite *maglev_suite(void);

enum { N = 50, KEYS = 400000 };
static const uint32_t equal[N] = { [0 ... N - 1] = 3 };

static void open_set(struct ready_set *s, const uint32_t *weights, size_t n)
{
    ready_set_open(s, strategy_find("maglev"), weights, n);
}

/* Keys at even distances: each slot of the table is met as often as any other, so shares are the table's own. */
static uint64_t key_of(size_t i) { return UINT64_MAX / KEYS * i; }

START_TEST(equal_weights_have_the_same_number_of_slots)
{
    unsigned got[N] = { 0 };
    struct ready_set s;

    open_set(&s, equal, N);
    for (size_t i = 0; i < KEYS; i++)
        got[ready_set_pick(&s, key_of(i))]++;
    for (size_t i = 0; i < N; i++)
        ck_assert_msg(got[i] > KEYS / N * 0.99 && got[i] < KEYS / N * 1.01, "%zu got %u of %d", i, got[i], KEYS / N);
    ready_set_close(&s);
}
END_TEST

START_TEST(slots_follow_the_weights)
{
    static const uint32_t weights[5] = { 1, 10, 100, 33, 56 }; /* of 200 */
    unsigned got[5] = { 0 };
    struct ready_set s;

    open_set(&s, weights, 5);
    for (size_t i = 0; i < KEYS; i++)
        got[ready_set_pick(&s, key_of(i))]++;
    for (size_t i = 0; i < 5; i++) {
        double fair = KEYS / 200.0 * weights[i];
        ck_assert_msg(got[i] > fair * 0.97 && got[i] < fair * 1.03, "%zu got %u of %.0f", i, got[i], fair);
    }
    ready_set_close(&s);
}
END_TEST

START_TEST(the_lightest_has_a_slot)
{
    static const uint32_t weights[3] = { UINT32_MAX, 1, UINT32_MAX };
    bool met = false;
    struct ready_set s;

    open_set(&s, weights, 3);
    for (size_t i = 0; i < KEYS && !met; i++)
        met = ready_set_pick(&s, key_of(i)) == 1;
    ck_assert(met);
    ready_set_close(&s);
}
END_TEST

START_TEST(few_keys_move_that_need_not)
{
    static uint8_t before[KEYS];
    size_t needless = 0;
    struct ready_set s;

    open_set(&s, equal, N);
    for (size_t i = 0; i < KEYS; i++)
        before[i] = (uint8_t)ready_set_pick(&s, key_of(i));
    ready_set_remove(&s, 11);
    for (size_t i = 0; i < KEYS; i++)
        needless += before[i] != 11 && ready_set_pick(&s, key_of(i)) != before[i];
    ck_assert_msg(needless < KEYS / 200, "%zu of %d moved without need", needless, KEYS);
    ready_set_close(&s);
}
END_TEST

START_TEST(the_first_and_the_last_hash_have_an_owner)
{
    struct ready_set s;

    open_set(&s, equal, 7);
    (void)ready_set_pick(&s, UINT64_MAX);
    (void)ready_set_pick(&s, 0);
    ready_set_close(&s);
}
END_TEST

Suite *maglev_suite(void)
{
    Suite *s = suite_create("maglev");
    TCase *t = tcase_create("maglev");

    tcase_add_test(t, equal_weights_have_the_same_number_of_slots);
    tcase_add_test(t, slots_follow_the_weights);
    tcase_add_test(t, the_lightest_has_a_slot);
    tcase_add_test(t, few_keys_move_that_need_not);
    tcase_add_test(t, the_first_and_the_last_hash_have_an_owner);
    suite_add_tcase(s, t);
    return s;
}
