/* Tests of base/date, with the C library as the judge. */
#include <check.h>
#include <time.h>

#include "base/date.h"
#include "base/rand.h"

Suite *date_suite(void);

static void check_second(int64_t second)
{
    time_t t = (time_t)second;
    struct tm tm;
    struct date d;

    date_of(second, &d);
    if (gmtime_r(&t, &tm) == NULL || d.year != tm.tm_year + 1900 || d.month != tm.tm_mon + 1 || d.day != tm.tm_mday ||
        d.hour != tm.tm_hour || d.minute != tm.tm_min || d.second != tm.tm_sec || d.weekday != tm.tm_wday)
        ck_abort_msg("%lld", (long long)second);
}

START_TEST(every_day_of_a_thousand_years_is_right)
{
    for (int64_t day = -150000; day < 220000; day++) {
        check_second(day * 86400);
        check_second(day * 86400 - 1);
    }
}
END_TEST

START_TEST(any_second_is_right)
{
    rand_seed(3);
    for (int i = 0; i < 100000; i++)
        check_second((int64_t)rand_below(INT64_C(250000000000)) - INT64_C(60000000000));
}
END_TEST

START_TEST(digits_are_padded_with_zeros)
{
    char text[8] = "";

    ck_assert_ptr_eq(date_digits(text, 7, 3), text + 3);
    ck_assert_str_eq(text, "007");
}
END_TEST

Suite *date_suite(void)
{
    Suite *s = suite_create("date");
    TCase *t = tcase_create("date");

    tcase_add_test(t, every_day_of_a_thousand_years_is_right);
    tcase_add_test(t, any_second_is_right);
    tcase_add_test(t, digits_are_padded_with_zeros);
    suite_add_tcase(s, t);
    return s;
}
