/* Tests of strategies/ring_hash: only the keys of who goes move, weights count, and the ring stays small. */
#include <check.h>

#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *ring_hash_suite(void);

enum { N = 50, KEYS = 50000 };
static const uint32_t equal[N] = { [0 ... N - 1] = 2 };

static void open_set(struct ready_set *s, const uint32_t *weights, size_t n)
{
    ready_set_open(s, strategy_find("ring_hash"), weights, n);
}

static uint64_t key_of(size_t i) { return hash_u64(i + 7); }

START_TEST(no_key_moves_but_those_of_the_one_that_goes)
{
    static size_t before[KEYS];
    size_t strayed = 0;
    struct ready_set s;

    open_set(&s, equal, N);
    for (size_t i = 0; i < KEYS; i++)
        before[i] = ready_set_pick(&s, key_of(i));
    ready_set_remove(&s, 11);
    for (size_t i = 0; i < KEYS; i++)
        strayed += before[i] != 11 && ready_set_pick(&s, key_of(i)) != before[i];
    ck_assert_uint_eq(strayed, 0);
    ready_set_close(&s);
}
END_TEST

START_TEST(a_greater_weight_takes_keys_and_gives_none_away)
{
    static size_t before[KEYS];
    size_t strayed = 0;
    struct ready_set s;

    open_set(&s, equal, N);
    for (size_t i = 0; i < KEYS; i++)
        before[i] = ready_set_pick(&s, key_of(i));
    atomic_store(&s.backends[11].candidate.weight, 5);
    ready_set_rebuild(&s);
    for (size_t i = 0; i < KEYS; i++) {
        size_t now = ready_set_pick(&s, key_of(i));
        strayed += now != before[i] && now != 11;
    }
    ck_assert_uint_eq(strayed, 0);
    ready_set_close(&s);
}
END_TEST

START_TEST(the_keys_of_the_one_that_goes_are_spread_over_all_others)
{
    bool heir[N] = { false };
    size_t heirs = 0;
    struct ready_set s, without;

    open_set(&s, equal, N);
    open_set(&without, equal, N);
    ready_set_remove(&without, 11);
    for (size_t i = 0; i < KEYS; i++)
        if (ready_set_pick(&s, key_of(i)) == 11)
            heir[ready_set_pick(&without, key_of(i))] = true;
    for (size_t i = 0; i < N; i++)
        heirs += heir[i];
    ck_assert_uint_eq(heirs, N - 1);
    ready_set_close(&s);
    ready_set_close(&without);
}
END_TEST

START_TEST(the_fullest_has_at_most_a_third_more_than_the_average)
{
    unsigned got[N] = { 0 };
    struct ready_set s;

    open_set(&s, equal, N);
    for (size_t i = 0; i < KEYS; i++)
        got[ready_set_pick(&s, key_of(i))]++;
    for (size_t i = 0; i < N; i++)
        ck_assert_uint_lt(got[i], KEYS / N * 4 / 3);
    ready_set_close(&s);
}
END_TEST

static size_t taken;
static void *count_and_take(struct ready *r, size_t size)
{
    taken += size;
    return ready_set_take(r, size);
}

START_TEST(the_ring_has_a_most_whatever_the_weights)
{
    static const uint32_t weights[4] = { UINT32_MAX, 1000000, 1, UINT32_MAX };
    unsigned got[4] = { 0 };
    struct ready_set s;

    open_set(&s, weights, 4);
    taken = 0;
    s.ready.take = count_and_take;
    ready_set_rebuild(&s);
    ck_assert_uint_lt(taken, 12u << 20);
    for (size_t i = 0; i < KEYS; i++)
        got[ready_set_pick(&s, key_of(i))]++;
    ck_assert_uint_gt(got[0], KEYS * 0.48);
    ck_assert_uint_gt(got[3], KEYS * 0.48);
    ready_set_close(&s);
}
END_TEST

START_TEST(the_first_and_the_last_hash_have_an_owner)
{
    struct ready_set s;

    for (size_t n = 1; n < 20; n++) {
        open_set(&s, equal, n);
        ck_assert_uint_eq(ready_set_pick(&s, UINT64_MAX), ready_set_pick(&s, 0)); /* the ring is closed */
        ready_set_close(&s);
    }
}
END_TEST

Suite *ring_hash_suite(void)
{
    Suite *s = suite_create("ring_hash");
    TCase *t = tcase_create("ring_hash");

    tcase_add_test(t, no_key_moves_but_those_of_the_one_that_goes);
    tcase_add_test(t, a_greater_weight_takes_keys_and_gives_none_away);
    tcase_add_test(t, the_keys_of_the_one_that_goes_are_spread_over_all_others);
    tcase_add_test(t, the_fullest_has_at_most_a_third_more_than_the_average);
    tcase_add_test(t, the_ring_has_a_most_whatever_the_weights);
    tcase_add_test(t, the_first_and_the_last_hash_have_an_owner);
    suite_add_tcase(s, t);
    return s;
}
