/* Tests of resilience/outlier: when failures of live requests eject, for how long, and which answers are failures. */
#include <check.h>

#include "base/clock.h"
#include "resilience/outlier.h"

Suite *outlier_suite(void);

static struct outlier o;
static struct outlier_conf conf;
static uint64_t requests, failures;
static int64_t now;

static void setup(void)
{
    o = (struct outlier){ 0 };
    conf = (struct outlier_conf){
        .consecutive = 5,
        .ratio = 50,
        .least_requests = 20,
        .window = 10 * CLOCK_S,
        .eject = 10 * CLOCK_S,
        .eject_most = 300 * CLOCK_S,
        .max_ejected = 30,
    };
    requests = failures = 0;
    now = 1000 * CLOCK_S;
}

static void succeed(int n)
{
    for (int i = 0; i < n; i++) {
        requests++;
        outlier_success(&o);
    }
}

static enum outlier_verdict one_fails(void)
{
    requests++;
    failures++;
    return outlier_failure(&o, &conf, requests, failures, now);
}

START_TEST(so_many_failures_in_a_row_eject_and_not_one_less)
{
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(one_fails(), OUTLIER_WELL);
    ck_assert_int_eq(one_fails(), OUTLIER_IN_A_ROW);
}
END_TEST

START_TEST(a_success_in_between_begins_anew)
{
    for (int i = 0; i < 20; i++) {
        conf.ratio = 0;
        for (int k = 0; k < 4; k++)
            ck_assert_int_eq(one_fails(), OUTLIER_WELL);
        succeed(1);
    }
}
END_TEST

START_TEST(without_a_count_no_row_is_too_long)
{
    conf.consecutive = 0;
    conf.ratio = 0;
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(one_fails(), OUTLIER_WELL);
}
END_TEST

START_TEST(half_of_the_requests_of_a_window_eject_once_there_are_enough)
{
    conf.consecutive = 0;
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(one_fails(), OUTLIER_WELL); /* 19 requests at the last */
        succeed(1);
    }
    ck_assert_int_eq(one_fails(), OUTLIER_RATIO);
}
END_TEST

START_TEST(less_than_the_ratio_never_ejects)
{
    conf.consecutive = 0;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(one_fails(), OUTLIER_WELL);
        succeed(2);
        now += CLOCK_MS;
    }
}
END_TEST

START_TEST(what_is_older_than_the_window_does_not_count)
{
    conf.consecutive = 0;
    for (int i = 0; i < 10; i++)
        (void)one_fails();
    now += conf.window + 1;
    for (int i = 0; i < 19; i++)
        ck_assert_int_eq(one_fails(), OUTLIER_WELL);
    ck_assert_int_eq(one_fails(), OUTLIER_RATIO);
}
END_TEST

START_TEST(failures_to_connect_count_although_they_are_no_requests)
{
    enum outlier_verdict last = OUTLIER_WELL;

    conf.consecutive = 0;
    for (int i = 0; i < 20; i++)
        last = outlier_failure(&o, &conf, requests, ++failures, now);
    ck_assert_int_eq(last, OUTLIER_RATIO);
}
END_TEST

START_TEST(each_ejection_is_longer_up_to_the_most)
{
    ck_assert_int_eq(outlier_eject(&o, &conf), 10 * CLOCK_S);
    ck_assert_int_eq(outlier_eject(&o, &conf), 20 * CLOCK_S);
    for (int i = 0; i < 100; i++)
        (void)outlier_eject(&o, &conf);
    ck_assert_int_eq(outlier_eject(&o, &conf), 300 * CLOCK_S);
}
END_TEST

START_TEST(a_forgiven_ejection_makes_the_next_one_shorter)
{
    (void)outlier_eject(&o, &conf);
    (void)outlier_eject(&o, &conf);
    outlier_forgive(&o);
    outlier_forgive(&o);
    outlier_forgive(&o); /* there is nothing left to forgive */
    ck_assert_int_eq(outlier_eject(&o, &conf), 10 * CLOCK_S);
}
END_TEST

START_TEST(after_an_ejection_the_count_begins_anew)
{
    for (int i = 0; i < 5; i++)
        (void)one_fails();
    (void)outlier_eject(&o, &conf);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(one_fails(), OUTLIER_WELL);
    ck_assert_int_eq(one_fails(), OUTLIER_IN_A_ROW);
}
END_TEST

START_TEST(so_many_of_a_pool_may_be_ejected_but_always_one)
{
    ck_assert(outlier_may_eject(&conf, 10, 2));
    ck_assert(!outlier_may_eject(&conf, 10, 3));
    ck_assert(outlier_may_eject(&conf, 2, 0));
    ck_assert(!outlier_may_eject(&conf, 2, 1));
    conf.max_ejected = 0;
    ck_assert(!outlier_may_eject(&conf, 10, 0));
}
END_TEST

START_TEST(statuses_are_read_as_people_write_them)
{
    struct status_set s;

    ck_assert_ptr_null(status_set_parse("502-504", &s));
    ck_assert(!status_set_has(&s, 501) && status_set_has(&s, 502) && status_set_has(&s, 504) && !status_set_has(&s, 505));
    ck_assert_ptr_null(status_set_parse("500, 503,429", &s));
    ck_assert(status_set_has(&s, 500) && status_set_has(&s, 503) && status_set_has(&s, 429) && !status_set_has(&s, 501));
    ck_assert_ptr_null(status_set_parse(" 5xx ", &s));
    ck_assert(status_set_has(&s, 500) && status_set_has(&s, 599) && !status_set_has(&s, 499));
    ck_assert_ptr_null(status_set_parse("", &s));
    for (unsigned i = 0; i < 700; i++)
        ck_assert(!status_set_has(&s, i));
}
END_TEST

START_TEST(what_is_no_status_is_refused)
{
    static const char *const wrong[] = { "99",   "600",     "5x",   "5xxx",     "0xx",
                                         "6xx",  "504-502", "500-", "-500",     "500-600",
                                         "five", "500;501", "+500", "500 501x", "99999999999999999999" };
    struct status_set s;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(status_set_parse(wrong[i], &s) != NULL, "%s", wrong[i]);
}
END_TEST

Suite *outlier_suite(void)
{
    Suite *s = suite_create("outlier");
    TCase *t = tcase_create("outlier");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, so_many_failures_in_a_row_eject_and_not_one_less);
    tcase_add_test(t, a_success_in_between_begins_anew);
    tcase_add_test(t, without_a_count_no_row_is_too_long);
    tcase_add_test(t, half_of_the_requests_of_a_window_eject_once_there_are_enough);
    tcase_add_test(t, less_than_the_ratio_never_ejects);
    tcase_add_test(t, what_is_older_than_the_window_does_not_count);
    tcase_add_test(t, failures_to_connect_count_although_they_are_no_requests);
    tcase_add_test(t, each_ejection_is_longer_up_to_the_most);
    tcase_add_test(t, a_forgiven_ejection_makes_the_next_one_shorter);
    tcase_add_test(t, after_an_ejection_the_count_begins_anew);
    tcase_add_test(t, so_many_of_a_pool_may_be_ejected_but_always_one);
    tcase_add_test(t, statuses_are_read_as_people_write_them);
    tcase_add_test(t, what_is_no_status_is_refused);
    suite_add_tcase(s, t);
    return s;
}
