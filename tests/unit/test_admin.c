/* test_admin.c - what the admin side and the demo print. */
#include <check.h>

#include "admin/text.h"
#include "base/buf.h"
#include "base/clock.h"
#include "daemon/demo.h"

Suite *admin_suite(void);

static void assert_duration(int64_t us, const char *text)
{
    struct buf b = { 0 };

    text_duration(&b, us);
    ck_assert_str_eq(b.p, text);
    buf_free(&b);
}

START_TEST(a_duration_is_written_in_the_unit_that_fits)
{
    assert_duration(0, "0us");
    assert_duration(999, "999us");
    assert_duration(12345, "12.3ms");
    assert_duration(1234000, "1.234s");
    assert_duration(307 * CLOCK_S, "5m07s");
    assert_duration(11040 * CLOCK_S, "3h04m");
    assert_duration((12 * 86400 + 3 * 3600) * CLOCK_S, "12d03h");
}
END_TEST

START_TEST(a_duration_that_lies_behind_is_none)
{
    assert_duration(-5 * CLOCK_S, "0us");
}
END_TEST

static char *table_of(const struct demo_count *v, size_t n)
{
    static char text[1000];
    struct buf b = { 0 };

    demo_table(v, n, &b);
    ck_assert(!b.failed && b.n < sizeof text);
    memcpy(text, b.p, b.n + 1);
    buf_free(&b);
    return text;
}

START_TEST(the_demos_table_sets_the_share_beside_the_weight)
{
    const struct demo_count v[] = { { "red", 3, 60 }, { "green", 1, 20 } };
    const char *text = table_of(v, 2);

    ck_assert_ptr_nonnull(strstr(text, "red              3        60    75.0%     75.0%\n"));
    ck_assert_ptr_nonnull(strstr(text, "green            1        20    25.0%     25.0%\n"));
}
END_TEST

START_TEST(the_demos_table_of_no_requests_divides_by_nothing)
{
    const struct demo_count v[] = { { "red", 3, 0 } };

    ck_assert_ptr_nonnull(strstr(table_of(v, 1), " 0.0%    100.0%\n"));
}
END_TEST

Suite *admin_suite(void)
{
    Suite *s = suite_create("admin");
    TCase *t = tcase_create("texts");

    tcase_add_test(t, a_duration_is_written_in_the_unit_that_fits);
    tcase_add_test(t, a_duration_that_lies_behind_is_none);
    tcase_add_test(t, the_demos_table_sets_the_share_beside_the_weight);
    tcase_add_test(t, the_demos_table_of_no_requests_divides_by_nothing);
    suite_add_tcase(s, t);
    return s;
}
