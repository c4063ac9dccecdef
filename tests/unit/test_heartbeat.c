/* test_heartbeat.c - the register: what is over goes, and who waits is told. */
#include "tests/lib/fiber_test.h"

#include <stdio.h>

#include "discovery/heartbeat.h"
#include "tests/lib/source_owner.h"

Suite *heartbeat_suite(void);

static struct addr addr_of(unsigned id)
{
    char text[32];
    struct addr a;

    (void)snprintf(text, sizeof text, "10.%u.%u.%u:80", id >> 16, id >> 8 & 255, id & 255);
    ck_assert_ptr_null(addr_parse(text, &a, NULL));
    return a;
}

static int beat(const char *pool, unsigned id, int64_t ttl)
{
    struct found f = { .addr = addr_of(id), .weight = 1 };

    return heartbeat_put(pool, &f, ttl, in_ms(1000));
}

static size_t count(const char *pool)
{
    struct heartbeat_view v;
    size_t n;

    ck_assert_int_eq(heartbeat_look(pool, &v, in_ms(1000)), 0);
    n = v.list.n;
    heartbeat_view_free(&v);
    return n;
}

static uint64_t version(const char *pool)
{
    struct heartbeat_view v;
    uint64_t now;

    ck_assert_int_eq(heartbeat_look(pool, &v, in_ms(1000)), 0);
    now = v.version;
    heartbeat_view_free(&v);
    return now;
}

FIBER_TEST(a_registration_is_over_when_its_beat_stops)
{
    ck_assert_int_eq(beat("a", 1, 10 * CLOCK_S), 1);
    owner_clock_jump(9 * CLOCK_S);
    ck_assert_uint_eq(count("a"), 1);
    owner_clock_jump(CLOCK_S);
    ck_assert_uint_eq(count("a"), 0);
    owner_clock_restore();
}

FIBER_TEST(each_beat_prolongs_and_changes_nothing_else)
{
    uint64_t before;

    ck_assert_int_eq(beat("a", 1, 10 * CLOCK_S), 1);
    before = version("a");
    for (int i = 0; i < 5; i++) {
        owner_clock_jump(9 * CLOCK_S);
        ck_assert_int_eq(beat("a", 1, 10 * CLOCK_S), 0);
    }
    ck_assert_uint_eq(version("a"), before);
    ck_assert_uint_eq(count("a"), 1);
    owner_clock_restore();
}

FIBER_TEST(pools_do_not_see_each_others)
{
    beat("a", 1, CLOCK_S);
    beat("b", 2, CLOCK_S);
    ck_assert_uint_eq(count("a"), 1);
    ck_assert_uint_eq(count("c"), 0);
}

FIBER_TEST(what_is_removed_is_gone_at_once)
{
    struct addr a = addr_of(1);

    beat("a", 1, CLOCK_S);
    ck_assert_int_eq(heartbeat_remove("a", &a, in_ms(1000)), 1);
    ck_assert_int_eq(heartbeat_remove("a", &a, in_ms(1000)), 0);
    ck_assert_uint_eq(count("a"), 0);
}

FIBER_TEST(a_pool_that_is_full_takes_no_more_until_one_goes)
{
    struct addr a = addr_of(5);

    for (unsigned i = 0; i < FOUND_MOST; i++)
        ck_assert_int_eq(beat("a", i, 60 * CLOCK_S), 1);
    ck_assert_int_eq(beat("a", FOUND_MOST, 60 * CLOCK_S), -ERR_INVALID);
    ck_assert_int_eq(beat("a", 7, 60 * CLOCK_S), 0);
    ck_assert_int_eq(heartbeat_remove("a", &a, in_ms(1000)), 1);
    ck_assert_int_eq(beat("a", FOUND_MOST, 60 * CLOCK_S), 1);
}

FIBER_TEST(registrations_of_a_pool_that_nobody_reads_are_freed)
{
    beat("gone", 1, CLOCK_S);
    owner_clock_jump(2 * CLOCK_S);
    beat("a", 1, CLOCK_S);
    ck_assert_uint_eq(version("gone"), 0);
    owner_clock_restore();
}

FIBER_TEST(who_waits_is_told_by_the_deadline_at_the_latest)
{
    beat("a", 1, CLOCK_S);
    ck_assert_int_eq(heartbeat_wait("a", version("a"), in_ms(5)), -ERR_TIMEOUT);
    ck_assert_int_eq(heartbeat_wait("a", version("a") - 1, in_ms(5000)), 0);
}

static void put_from_elsewhere(void *arg)
{
    (void)arg;
    beat("a", 2, CLOCK_S);
}

/* The register belongs to no thread: one waits, another one writes. */
FIBER_TEST_ON(2, a_change_on_another_thread_ends_the_wait)
{
    if (fiber_test_thread() == 0)
        ck_assert_int_eq(heartbeat_wait("a", 0, in_ms(10000)), 0);
    else
        put_from_elsewhere(NULL);
}

FIBER_TEST(a_source_publishes_what_goes_silent)
{
    struct discovery_conf conf = { .type = "heartbeat", .ttl = 10 * CLOCK_S };
    struct owner o;

    owner_start(&o, &conf);
    AWAIT_NONE(&o);
    beat("app", 10 << 16 | 1, CLOCK_S);
    ck_assert_int_eq(heartbeat_wait("app", 0, in_ms(5000)), 0);
    while (o.n != 1)
        ck_assert_int_eq(fiber_sleep(in_ms(1)), 0);
    owner_clock_jump(2 * CLOCK_S);
    AWAIT_NONE(&o);
    owner_stop(&o);
    owner_clock_restore();
}

FIBER_TEST(a_source_that_starts_anew_has_all_at_once)
{
    struct discovery_conf conf = { .type = "heartbeat", .ttl = 10 * CLOCK_S };
    struct found f = { .weight = 4 };
    struct owner o;

    ck_assert_ptr_null(addr_parse("10.0.0.1:80", &f.addr, NULL));
    ck_assert_int_eq(heartbeat_put("app", &f, 60 * CLOCK_S, in_ms(1000)), 1);
    for (int i = 0; i < 3; i++) {
        owner_start(&o, &conf);
        AWAIT(&o, { 1, 4, 0 });
        ck_assert_uint_eq(o.published, 1);
        owner_stop(&o);
    }
}

Suite *heartbeat_suite(void)
{
    Suite *s = suite_create("heartbeat");
    TCase *t = tcase_create("heartbeat");

    tcase_add_test(t, a_registration_is_over_when_its_beat_stops);
    tcase_add_test(t, each_beat_prolongs_and_changes_nothing_else);
    tcase_add_test(t, pools_do_not_see_each_others);
    tcase_add_test(t, what_is_removed_is_gone_at_once);
    tcase_add_test(t, a_pool_that_is_full_takes_no_more_until_one_goes);
    tcase_add_test(t, registrations_of_a_pool_that_nobody_reads_are_freed);
    tcase_add_test(t, who_waits_is_told_by_the_deadline_at_the_latest);
    tcase_add_test(t, a_change_on_another_thread_ends_the_wait);
    tcase_add_test(t, a_source_publishes_what_goes_silent);
    tcase_add_test(t, a_source_that_starts_anew_has_all_at_once);
    suite_add_tcase(s, t);
    return s;
}
