/* test_limits.c - how many connections fit. */
#include <check.h>

#include "base/buf.h"
#include "base/err.h"
#include "daemon/limits.h"

Suite *limits_suite(void);

static const uint64_t plenty = UINT64_C(1) << 40;
static struct buf why;

static void setup(void) { why = (struct buf){ 0 }; }
static void teardown(void) { buf_free(&why); }

static int decide(uint32_t configured, uint64_t files, uint64_t memory, uint32_t *out)
{
    struct limits_room room = { .files = files, .memory = memory };

    return limits_connections(configured, &room, out, &why);
}

START_TEST(unset_it_is_half_of_the_files_less_those_of_our_own)
{
    uint32_t n = 0;

    ck_assert_int_eq(decide(0, 20200, plenty, &n), 0);
    ck_assert_uint_eq(n, 10000);
}
END_TEST

START_TEST(unset_little_memory_bounds_it)
{
    uint32_t n = 0;

    ck_assert_int_eq(decide(0, 1000000, UINT64_C(64) << 20, &n), 0);
    ck_assert_uint_eq(n, 1024);
}
END_TEST

START_TEST(a_process_with_few_files_still_takes_some_connections)
{
    uint32_t n = 0;

    ck_assert_int_eq(decide(0, 64, plenty, &n), 0);
    ck_assert_uint_eq(n, 16);
    ck_assert_int_eq(decide(0, 1, plenty, &n), 0);
    ck_assert_uint_ge(n, 1);
}
END_TEST

START_TEST(without_a_limit_of_files_it_stays_within_the_keys_range)
{
    uint32_t n = 0;

    ck_assert_int_eq(decide(0, UINT64_MAX, UINT64_MAX, &n), 0);
    ck_assert_uint_eq(n, 10000000);
}
END_TEST

START_TEST(what_is_configured_and_fits_is_taken_in_silence)
{
    uint32_t n = 0;

    ck_assert_int_eq(decide(5000, 20000, plenty, &n), 0);
    ck_assert_uint_eq(n, 5000);
    ck_assert_uint_eq(why.n, 0);
}
END_TEST

START_TEST(what_only_fits_without_backends_is_warned_of)
{
    uint32_t n = 0;

    ck_assert_int_eq(decide(15000, 20000, plenty, &n), 0);
    ck_assert_uint_eq(n, 15000);
    ck_assert_ptr_nonnull(strstr(why.p, "limits.connections"));
}
END_TEST

START_TEST(what_cannot_fit_the_files_is_refused_with_the_most_that_does)
{
    uint32_t n = 7;

    ck_assert_int_eq(decide(1000000, 1024, plenty, &n), -ERR_INVALID);
    ck_assert_uint_eq(n, 7);
    ck_assert_ptr_nonnull(strstr(why.p, "at most 412"));
}
END_TEST

START_TEST(what_may_need_more_memory_than_there_is_is_warned_of)
{
    uint32_t n = 0;

    ck_assert_int_eq(decide(10000, 1000000, UINT64_C(64) << 20, &n), 0);
    ck_assert_ptr_nonnull(strstr(why.p, "memory"));
}
END_TEST

static uint32_t pipes(uint32_t connections, uint64_t files)
{
    struct limits_room room = { .files = files, .memory = plenty };

    return limits_pipes(connections, &room);
}

START_TEST(pipes_take_what_connections_leave_and_keep_a_hundred_files_free)
{
    ck_assert_uint_eq(pipes(412, 1024), 50);
    ck_assert_uint_eq(pipes(75, 300), 25);
    ck_assert_uint_eq(pipes(32, 128), 0);
    ck_assert_uint_eq(pipes(1000, 20200), 9050);
    ck_assert_uint_eq(pipes(100000, 20200), 50);
    ck_assert_uint_eq(pipes(1000, UINT64_MAX), UINT32_MAX);
}
END_TEST

START_TEST(the_soft_limit_of_files_is_raised_to_the_hard_one)
{
    struct limits_room room = { 0 };

    limits_read(&room);
    ck_assert_uint_ge(room.files, 64);
    ck_assert_uint_gt(room.memory, 1 << 20);
}
END_TEST

Suite *limits_suite(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("limits");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, unset_it_is_half_of_the_files_less_those_of_our_own);
    tcase_add_test(t, unset_little_memory_bounds_it);
    tcase_add_test(t, a_process_with_few_files_still_takes_some_connections);
    tcase_add_test(t, without_a_limit_of_files_it_stays_within_the_keys_range);
    tcase_add_test(t, what_is_configured_and_fits_is_taken_in_silence);
    tcase_add_test(t, pipes_take_what_connections_leave_and_keep_a_hundred_files_free);
    tcase_add_test(t, what_only_fits_without_backends_is_warned_of);
    tcase_add_test(t, what_cannot_fit_the_files_is_refused_with_the_most_that_does);
    tcase_add_test(t, what_may_need_more_memory_than_there_is_is_warned_of);
    tcase_add_test(t, the_soft_limit_of_files_is_raised_to_the_hard_one);
    suite_add_tcase(s, t);
    return s;
}
