/* Tests of base/clock. */
#include <check.h>
#include <time.h>

#include "base/clock.h"

Suite *clock_suite(void);

START_TEST(the_monotonic_clock_never_goes_back)
{
    int64_t last = clock_now();

    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_now();
        if (now < last)
            ck_abort_msg("%lld after %lld", (long long)now, (long long)last);
        last = now;
    }
}
END_TEST

START_TEST(the_wall_clock_counts_microseconds_since_1970)
{
    int64_t before = (int64_t)time(NULL), now = clock_wall() / CLOCK_S;

    ck_assert_int_ge(now, before - 1); /* time() may be a tick behind */
    ck_assert_int_le(now, (int64_t)time(NULL) + 1);
}
END_TEST

START_TEST(never_is_never_however_long_one_waits)
{
    ck_assert_int_eq(clock_after(5, 7), 12);
    ck_assert_int_eq(clock_after(0, 0), 0);
    ck_assert_int_eq(clock_after(5, CLOCK_NEVER), CLOCK_NEVER);
    ck_assert_int_eq(clock_after(CLOCK_NEVER - 1, 1), CLOCK_NEVER);
    ck_assert_int_eq(clock_after(CLOCK_NEVER - 2, 1), CLOCK_NEVER - 1);
    ck_assert_int_eq(clock_after(CLOCK_NEVER, 1), CLOCK_NEVER);
    ck_assert_int_eq(clock_after(CLOCK_NEVER, CLOCK_NEVER), CLOCK_NEVER);
}
END_TEST

static int64_t frozen(void) { return 77; }

START_TEST(a_test_may_own_time)
{
    static const struct clock_source ours = { frozen, frozen };
    const struct clock_source *real = clock_source;

    clock_source = &ours;
    ck_assert_int_eq(clock_now(), 77);
    ck_assert_int_eq(clock_wall(), 77);
    clock_source = real;
}
END_TEST

Suite *clock_suite(void)
{
    Suite *s = suite_create("clock");
    TCase *t = tcase_create("clock");

    tcase_add_test(t, the_monotonic_clock_never_goes_back);
    tcase_add_test(t, the_wall_clock_counts_microseconds_since_1970);
    tcase_add_test(t, never_is_never_however_long_one_waits);
    tcase_add_test(t, a_test_may_own_time);
    suite_add_tcase(s, t);
    return s;
}
