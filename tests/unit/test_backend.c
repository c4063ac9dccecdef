/* Tests of upstream/backend: which one is found again, and what a new configuration changes in it. */
#include <check.h>

#include "base/clock.h"
#include "upstream/backend.h"
#include "upstream/pool_conf.h"

Suite *backend_suite(void);

static struct backend_conf conf_of(const char *address)
{
    struct backend_conf c = { .address_text = address, .weight = 1 };

    ck_assert_ptr_null(addr_parse(address, &c.address, NULL));
    return c;
}

static struct backend *find(const char *pool, const char *address)
{
    struct backend_conf c = conf_of(address);
    struct backend *b = backend_find(pool, &c, 2);

    ck_assert_ptr_nonnull(b);
    return b;
}

START_TEST(the_same_pool_and_address_is_the_same_backend)
{
    struct backend *a = find("app", "127.0.0.1:1"), *b = find("app", "127.0.0.1:1");

    ck_assert_ptr_eq(a, b);
    backend_unref(&a);
    backend_unref(&b);
}
END_TEST

START_TEST(another_pool_or_address_is_another_backend)
{
    struct backend *a = find("app", "127.0.0.1:1"), *b = find("api", "127.0.0.1:1"), *c = find("app", "127.0.0.1:2");

    ck_assert(a != b && a != c && b != c);
    backend_unref(&a);
    backend_unref(&b);
    backend_unref(&c);
}
END_TEST

START_TEST(what_the_new_configuration_says_is_taken_over_and_the_counts_stay)
{
    struct backend_conf c = conf_of("127.0.0.1:1");
    struct backend *a = backend_find("app", &c, 2), *b;

    atomic_store(&a->requests, 17);
    c.weight = 5;
    c.priority = 1;
    c.max_connections = 9;
    b = backend_find("app", &c, 2);
    backend_apply(b, &c);
    ck_assert_uint_eq(backend_weight(a), 5);
    ck_assert_uint_eq(atomic_load(&a->level), 1);
    ck_assert_uint_eq(atomic_load(&a->max_connections), 9);
    ck_assert_uint_eq(atomic_load(&a->requests), 17);
    backend_unref(&a);
    backend_unref(&b);
}
END_TEST

START_TEST(one_that_joins_again_is_no_longer_retired)
{
    struct backend *a = find("app", "127.0.0.1:1"), *b;

    backend_join(a);
    backend_leave(a);
    ck_assert(atomic_load(&a->retired));
    b = find("app", "127.0.0.1:1");
    backend_join(b);
    ck_assert(!atomic_load(&b->retired));
    backend_leave(b);
    backend_unref(&a);
    backend_unref(&b);
}
END_TEST

START_TEST(one_that_nobody_refers_to_is_forgotten)
{
    struct backend *a = find("app", "127.0.0.1:1");

    atomic_store(&a->requests, 17);
    backend_unref(&a);
    ck_assert_ptr_null(a);
    a = find("app", "127.0.0.1:1");
    ck_assert_uint_eq(atomic_load(&a->requests), 0);
    backend_unref(&a);
}
END_TEST

START_TEST(nothing_is_known_at_first_of_how_long_it_keeps_connections)
{
    struct backend *a = find("app", "127.0.0.1:1");

    for (unsigned i = 0; i < 2; i++) {
        ck_assert(list_is_empty(&a->worker[i].idle));
        ck_assert_int_eq(atomic_load(&a->worker[i].lesson.limit), CLOCK_NEVER);
    }
    backend_unref(&a);
}
END_TEST

START_TEST(there_is_room_up_to_the_limit_and_always_without_one)
{
    struct backend *a = find("app", "127.0.0.1:1");

    atomic_store(&a->in_use, 3);
    ck_assert(backend_has_room(a));
    atomic_store(&a->max_connections, 4);
    ck_assert(backend_has_room(a));
    atomic_store(&a->max_connections, 3);
    ck_assert(!backend_has_room(a));
    backend_unref(&a);
}
END_TEST

START_TEST(latency_jumps_up_and_sinks_slowly)
{
    struct backend *a = find("app", "127.0.0.1:1");

    backend_note_outcome(a, 5000, false, CLOCK_S);
    ck_assert_uint_eq(backend_latency(a, CLOCK_S), 5000);
    backend_note_outcome(a, 80000, false, CLOCK_S + 10 * CLOCK_MS);
    ck_assert_uint_eq(backend_latency(a, CLOCK_S + 10 * CLOCK_MS), 80000);
    backend_note_outcome(a, 5000, false, CLOCK_S + 110 * CLOCK_MS);
    ck_assert_uint_gt(backend_latency(a, CLOCK_S + 110 * CLOCK_MS), 70000);
    backend_unref(&a);
}
END_TEST

START_TEST(latency_that_nobody_notes_is_forgotten)
{
    struct backend *a = find("app", "127.0.0.1:1");

    backend_note_outcome(a, 80000, false, CLOCK_S);
    ck_assert_uint_eq(backend_latency(a, 21 * CLOCK_S), 20000);
    ck_assert_uint_eq(backend_latency(a, 600 * CLOCK_S), 0);
    backend_unref(&a);
}
END_TEST

START_TEST(a_quick_error_is_no_low_latency)
{
    struct backend *a = find("app", "127.0.0.1:1");

    backend_note_outcome(a, 100, true, CLOCK_S);
    ck_assert_uint_eq(backend_latency(a, CLOCK_S), 0);
    backend_note_outcome(a, 5000, false, CLOCK_S);
    for (int i = 1; i < 100; i++)
        backend_note_outcome(a, 100, true, CLOCK_S + i * 50 * CLOCK_MS);
    ck_assert_uint_eq(backend_latency(a, CLOCK_S), 5000);
    backend_note_outcome(a, 900000, true, 7 * CLOCK_S); /* a slow one is */
    ck_assert_uint_eq(backend_latency(a, 7 * CLOCK_S), 900000);
    backend_unref(&a);
}
END_TEST

START_TEST(the_share_of_failures_rises_with_them_and_sinks_with_successes_and_time)
{
    struct backend *a = find("app", "127.0.0.1:1");
    uint32_t high;

    backend_note_outcome(a, 5000, false, CLOCK_S);
    ck_assert_uint_eq(backend_failing(a, CLOCK_S), 0);
    for (int i = 0; i < 40; i++)
        backend_note_outcome(a, -1, true, CLOCK_S);
    high = backend_failing(a, CLOCK_S);
    ck_assert_uint_gt(high, SHARE_WHOLE * 0.9);
    ck_assert_uint_le(high, SHARE_WHOLE);
    ck_assert_uint_eq(backend_failing(a, 11 * CLOCK_S), high / 2);
    for (int i = 0; i < 200; i++)
        backend_note_outcome(a, 5000, false, CLOCK_S);
    ck_assert_uint_eq(backend_failing(a, CLOCK_S), 0);
    backend_unref(&a);
}
END_TEST

/* backend.h: what a request touches is one line. */
START_TEST(what_failures_write_is_not_on_the_line_that_requests_read)
{
    ck_assert_uint_le(offsetof(struct backend, requests) + sizeof(uint64_t), 64);
    ck_assert_uint_ge(offsetof(struct backend, outlier), 64);
    ck_assert_uint_ge(offsetof(struct backend, failures), 64);
}
END_TEST

Suite *backend_suite(void)
{
    Suite *s = suite_create("backend");
    TCase *t = tcase_create("backend");

    tcase_add_test(t, the_same_pool_and_address_is_the_same_backend);
    tcase_add_test(t, another_pool_or_address_is_another_backend);
    tcase_add_test(t, what_the_new_configuration_says_is_taken_over_and_the_counts_stay);
    tcase_add_test(t, one_that_joins_again_is_no_longer_retired);
    tcase_add_test(t, one_that_nobody_refers_to_is_forgotten);
    tcase_add_test(t, nothing_is_known_at_first_of_how_long_it_keeps_connections);
    tcase_add_test(t, there_is_room_up_to_the_limit_and_always_without_one);
    tcase_add_test(t, latency_jumps_up_and_sinks_slowly);
    tcase_add_test(t, latency_that_nobody_notes_is_forgotten);
    tcase_add_test(t, a_quick_error_is_no_low_latency);
    tcase_add_test(t, the_share_of_failures_rises_with_them_and_sinks_with_successes_and_time);
    tcase_add_test(t, what_failures_write_is_not_on_the_line_that_requests_read);
    suite_add_tcase(s, t);
    return s;
}
