/* Tests of strategies/rendezvous: exact shares for any weights, and no key moves that need not. */
#include <check.h>
#include <math.h>

#include "tests/lib/ready_set.h"

Suite *rendezvous_suite(void);

enum { N = 20, KEYS = 100000 };
static const uint32_t mixed[N] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 1, 1, 1, 1, 50, 50, 7, 7, 7 };

static void open_set(struct ready_set *s) { ready_set_open(s, strategy_find("rendezvous"), mixed, N); }

static uint64_t key_of(size_t i) { return hash_u64(i + 77); }

START_TEST(shares_follow_the_weights)
{
    unsigned got[N] = { 0 };
    struct ready_set s;

    open_set(&s);
    for (size_t i = 0; i < KEYS; i++)
        got[ready_set_pick(&s, key_of(i))]++;
    for (size_t i = 0; i < N; i++) { /* within five standard deviations of what chance gives */
        double p = mixed[i] / (double)s.ready.weight, fair = KEYS * p;
        ck_assert_msg(fabs(got[i] - fair) <= 5 * sqrt(fair * (1 - p)), "%zu got %u of %.0f", i, got[i], fair);
    }
    ready_set_close(&s);
}
END_TEST

/* `changed` in whatever way: a key either stays or moves to it or from it. */
static void only_its_keys_move(struct ready_set *s, size_t changed, void (*change)(struct ready_set *, size_t))
{
    static size_t before[KEYS];
    size_t moved = 0, strayed = 0;

    for (size_t i = 0; i < KEYS; i++)
        before[i] = ready_set_pick(s, key_of(i));
    change(s, changed);
    for (size_t i = 0; i < KEYS; i++) {
        size_t now = ready_set_pick(s, key_of(i));
        strayed += now != before[i] && now != changed && before[i] != changed;
        moved += now != before[i];
    }
    ck_assert_uint_eq(strayed, 0);
    ck_assert_uint_gt(moved, 0);
}

static void double_weight(struct ready_set *s, size_t i)
{
    atomic_store(&s->backends[i].candidate.weight, 2 * backend_weight(&s->backends[i]));
    ready_set_rebuild(s);
}

START_TEST(only_keys_of_the_one_that_goes_move)
{
    struct ready_set s;

    open_set(&s);
    only_its_keys_move(&s, 5, ready_set_remove);
    ready_set_close(&s);
}
END_TEST

START_TEST(only_keys_of_the_one_whose_weight_changes_move)
{
    struct ready_set s;

    open_set(&s);
    only_its_keys_move(&s, 5, double_weight);
    ready_set_close(&s);
}
END_TEST

Suite *rendezvous_suite(void)
{
    Suite *s = suite_create("rendezvous");
    TCase *t = tcase_create("rendezvous");

    tcase_add_test(t, shares_follow_the_weights);
    tcase_add_test(t, only_keys_of_the_one_that_goes_move);
    tcase_add_test(t, only_keys_of_the_one_whose_weight_changes_move);
    suite_add_tcase(s, t);
    return s;
}
