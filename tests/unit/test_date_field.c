/* Tests of http/date_field: the form, and when it is written anew. */
#include <check.h>

#include "base/clock.h"
#include "http/date_field.h"

Suite *date_field_suite(void);

static int64_t wall;
static int64_t wall_clock(void) { return wall; }
static const struct clock_source source = { wall_clock, wall_clock };
static const struct clock_source *real;

static void setup(void)
{
    real = clock_source;
    clock_source = &source;
    wall = 784111777 * CLOCK_S + 400 * CLOCK_MS;
}

static void teardown(void) { clock_source = real; }

static void assert_line(int64_t now, const char *line)
{
    struct slice s = date_field(now);

    ck_assert_msg(slice_eq(s, slice_str(line)), SLICE_FMT, SLICE_ARG(s));
}

START_TEST(it_has_the_form_of_rfc_9110) { assert_line(5 * CLOCK_S, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"); }
END_TEST

START_TEST(it_changes_with_the_second_of_the_wall_clock)
{
    assert_line(5 * CLOCK_S, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    wall += 599 * CLOCK_MS;
    assert_line(5 * CLOCK_S + 599 * CLOCK_MS, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    wall += CLOCK_MS;
    assert_line(5 * CLOCK_S + 600 * CLOCK_MS, "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
}
END_TEST

START_TEST(within_a_second_nobody_reads_the_clock)
{
    assert_line(5 * CLOCK_S, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    wall += 3600 * CLOCK_S;
    assert_line(5 * CLOCK_S + 1, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
}
END_TEST

Suite *date_field_suite(void)
{
    Suite *s = suite_create("date_field");
    TCase *t = tcase_create("line");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, it_has_the_form_of_rfc_9110);
    tcase_add_test(t, it_changes_with_the_second_of_the_wall_clock);
    tcase_add_test(t, within_a_second_nobody_reads_the_clock);
    suite_add_tcase(s, t);
    return s;
}
