/* Tests of strategies/p2c: two looks are enough, and neither the slow nor the quickly failing one is taken twice. */
#include <check.h>

#include "base/clock.h"
#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *p2c_suite(void);

enum { N = 10, PICKS = 20000, FAIR = PICKS / N };
static const uint32_t equal[200] = { [0 ... 199] = 1 };

static void open_set(struct ready_set *s, const char *strategy, size_t n)
{
    rand_seed(51);
    ready_set_open(s, strategy_find(strategy), equal, n);
    for (size_t i = 0; i < n; i++)
        atomic_store(&s->backends[i].candidate.latency, 5000);
}

/* Throws a ball a backend, which all stay; how many has the fullest? */
static uint32_t fullest_of(const char *strategy)
{
    unsigned got[200] = { 0 };
    uint32_t most = 0;
    struct ready_set s;

    open_set(&s, strategy, 200);
    ready_set_fly(&s, 200, 200, got);
    for (size_t i = 0; i < 200; i++)
        most = got[i] > most ? got[i] : most;
    ready_set_close(&s);
    return most;
}

START_TEST(two_choices_are_much_evener_than_one)
{
    ck_assert_uint_ge(fullest_of("random"), 4);
    ck_assert_uint_le(fullest_of("p2c"), 3);
}
END_TEST

START_TEST(the_slow_one_gets_little)
{
    unsigned got[N] = { 0 };
    struct ready_set s;

    open_set(&s, "p2c", N);
    atomic_store(&s.backends[3].candidate.latency, 250000);
    ready_set_fly(&s, 50, PICKS, got);
    ck_assert_msg(got[3] < FAIR / 10, "it got %u of %d", got[3], FAIR);
    ready_set_close(&s);
}
END_TEST

START_TEST(the_one_that_fails_at_once_gets_little)
{
    unsigned got[N] = { 0 };
    struct ready_set s;

    open_set(&s, "p2c", N);
    for (int i = 0; i < 20; i++)
        backend_note_outcome(&s.backends[3], 100, true, 0);
    ready_set_fly(&s, 50, PICKS, got);
    ck_assert_msg(got[3] < FAIR / 10, "it got %u of %d", got[3], FAIR);
    ready_set_close(&s);
}
END_TEST

START_TEST(one_that_has_failed_from_the_start_gets_little)
{
    unsigned got[N] = { 0 };
    struct ready_set s;

    open_set(&s, "p2c", N);
    atomic_store(&s.backends[3].candidate.latency, 0);
    backend_note_outcome(&s.backends[3], -1, true, 0);
    ready_set_fly(&s, 50, PICKS, got);
    ck_assert_msg(got[3] < FAIR / 10, "it got %u of %d", got[3], FAIR);
    ready_set_close(&s);
}
END_TEST

START_TEST(a_slow_one_is_tried_again_later)
{
    struct pick_key key = { .now = 120 * CLOCK_S };
    unsigned got = 0;
    struct ready_set s;

    open_set(&s, "p2c", N);
    for (size_t i = 0; i < N; i++) { /* others are well known; what is known of it is two minutes old */
        atomic_store(&s.backends[i].candidate.latency, i == 3 ? 250000 : 5000);
        atomic_store(&s.backends[i].candidate.latency_at, i == 3 ? 0 : 120000);
    }
    for (int i = 0; i < 1000; i++)
        got += ready_set_pick_by(&s, &key) == 3;
    ck_assert_uint_gt(got, 100);
    ready_set_close(&s);
}
END_TEST

Suite *p2c_suite(void)
{
    Suite *s = suite_create("p2c");
    TCase *t = tcase_create("p2c");

    tcase_add_test(t, two_choices_are_much_evener_than_one);
    tcase_add_test(t, the_slow_one_gets_little);
    tcase_add_test(t, the_one_that_fails_at_once_gets_little);
    tcase_add_test(t, one_that_has_failed_from_the_start_gets_little);
    tcase_add_test(t, a_slow_one_is_tried_again_later);
    suite_add_tcase(s, t);
    return s;
}
