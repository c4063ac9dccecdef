/* Tests of upstream/pool: who may be picked, and what a new configuration takes over. */
#include <check.h>
#include <string.h>

#include "base/err.h"
#include "upstream/pool.h"
#include "upstream/sticky.h"

Suite *pool_suite(void);

static struct pool_conf conf;
static struct backend_conf backends[3];
static struct pool *pool;
static const struct tried none;

static void setup(void)
{
    static const char *const names[3] = { "127.0.0.1:1001", "127.0.0.1:1002", "127.0.0.1:1003" };

    conf = (struct pool_conf){ .name = "app", .strategy = strategy_find("round_robin"), .backends = { .v = backends, .n = 3 } };
    for (size_t i = 0; i < 3; i++) {
        backends[i] = (struct backend_conf){ .address_text = names[i], .weight = 1 };
        ck_assert_ptr_null(addr_parse(names[i], &backends[i].address, NULL));
    }
}

static void teardown(void) { pool_free(&pool); }

static void make(void)
{
    pool = pool_new(&conf, 2, NULL);
    ck_assert_ptr_nonnull(pool);
}

static struct backend *member(size_t i) { return pool_set_now(pool)->members[i]; }

/* By its place in the configuration; -1: none. */
static int pick(const struct tried *tried)
{
    struct backend *b = pool_pick(pool, 0, tried);

    for (size_t i = 0; b != NULL && i < conf.backends.n; i++)
        if (member(i) == b)
            return (int)i;
    ck_assert_ptr_null(b);
    return -1;
}

static void each_is(int a, int b)
{
    bool seen_a = false, seen_b = false;

    for (int i = 0; i < 30; i++) {
        int got = pick(&none);
        ck_assert(got == a || got == b);
        seen_a |= got == a;
        seen_b |= got == b;
    }
    ck_assert(seen_a && seen_b);
}

START_TEST(a_weight_of_0_gets_nothing)
{
    backends[1].weight = 0;
    make();
    each_is(0, 2);
}
END_TEST

START_TEST(a_backup_gets_nothing_while_another_may_be_used)
{
    backends[0].priority = 1;
    make();
    each_is(1, 2);
}
END_TEST

START_TEST(backups_are_used_when_no_other_may_be)
{
    backends[0].priority = 1;
    make();
    ck_assert_int_eq(pick(&(struct tried){ .v = { member(1), member(2) }, .n = 2 }), 0);
}
END_TEST

START_TEST(what_was_tried_is_not_picked_again)
{
    make();
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(pick(&(struct tried){ .v = { member(0), member(2) }, .n = 2 }), 1);
}
END_TEST

START_TEST(with_all_tried_there_is_none)
{
    make();
    ck_assert_int_eq(pick(&(struct tried){ .v = { member(0), member(1), member(2) }, .n = 3 }), -1);
}
END_TEST

START_TEST(a_pool_of_nothing_but_weight_0_has_none)
{
    backends[0].weight = backends[1].weight = backends[2].weight = 0;
    make();
    ck_assert_int_eq(pick(&none), -1);
}
END_TEST

START_TEST(a_full_backend_is_passed_over_until_it_has_room)
{
    backends[1].max_connections = 2;
    make();
    atomic_store(&member(1)->in_use, 2);
    each_is(0, 2);
    atomic_store(&member(1)->in_use, 1);
    ck_assert_int_eq(pick(&(struct tried){ .v = { member(0), member(2) }, .n = 2 }), 1);
    atomic_store(&member(1)->in_use, 0);
}
END_TEST

START_TEST(the_turns_go_on_in_the_next_configuration)
{
    struct pool *old;

    make();
    ck_assert_int_eq(pick(&none), 0);
    old = pool;
    pool = pool_new(&conf, 2, old);
    pool_free(&old);
    ck_assert_int_eq(pick(&none), 1);
}
END_TEST

START_TEST(only_failures_are_counted_as_such)
{
    make();
    pool_done(pool, member(0), &(struct outcome){ .status = 500 });
    ck_assert_uint_eq(atomic_load(&member(0)->failures), 0);
    pool_done(pool, member(0), &(struct outcome){ .code = -ERR_BACKEND_RESET });
    ck_assert_uint_eq(atomic_load(&member(0)->failures), 1);
}
END_TEST

START_TEST(a_success_is_what_ended_well)
{
    make();
    pool_done(pool, member(0), &(struct outcome){ .code = -ERR_FIRST_BYTE_TIMEOUT });
    pool_done(pool, member(0), &(struct outcome){ .code = -ERR_CLIENT_CLOSED });
    atomic_store(&member(0)->requests, 17);
    ck_assert(!backend_has_succeeded(member(0)));
    pool_done(pool, member(0), &(struct outcome){ .status = 200 });
    ck_assert(backend_has_succeeded(member(0)));
    ck_assert(!backend_has_succeeded(member(0)));
}
END_TEST

/* ---- the backend of a cookie ---- */

static const char *secrets[] = { "0123456789abcdef", "fedcba9876543210" };
static struct sticky_conf sticky = { .cookie = "weir", .secrets = { secrets, 2 } };

static void make_sticky(void)
{
    conf.sticky = &sticky;
    make();
}

static uint64_t id_of(size_t i, size_t secret)
{
    uint64_t id;

    ck_assert_int_eq(sticky_id(pool->sticky, secret, &backends[i].address, &id), 0);
    return id;
}

START_TEST(the_backend_of_a_cookie_is_found_by_each_secret)
{
    make_sticky();
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_eq(pool_pick_known(pool, id_of(i, 0), &none), member(i));
        ck_assert_ptr_eq(pool_pick_known(pool, id_of(i, 1), &none), member(i));
    }
    ck_assert_ptr_null(pool_pick_known(pool, id_of(0, 0) + 1, &none));
    ck_assert_ptr_null(pool_pick_known(pool, 0, &none));
}
END_TEST

START_TEST(the_backend_of_a_cookie_may_have_weight_0_or_be_a_backup)
{
    backends[0].weight = 0;
    backends[1].priority = 1;
    make_sticky();
    ck_assert_ptr_eq(pool_pick_known(pool, id_of(0, 0), &none), member(0));
    ck_assert_ptr_eq(pool_pick_known(pool, id_of(1, 0), &none), member(1));
}
END_TEST

START_TEST(the_backend_of_a_cookie_is_not_picked_when_it_is_out_full_or_tried)
{
    backends[1].max_connections = 1;
    make_sticky();
    (void)backend_take_out(member(0), BACKEND_DOWN);
    ck_assert_ptr_null(pool_pick_known(pool, id_of(0, 0), &none));
    (void)backend_bring_back(member(0), BACKEND_DOWN);
    ck_assert_ptr_eq(pool_pick_known(pool, id_of(0, 0), &none), member(0));
    atomic_store(&member(1)->in_use, 1);
    ck_assert_ptr_null(pool_pick_known(pool, id_of(1, 0), &none));
    atomic_store(&member(1)->in_use, 0);
    ck_assert_ptr_null(pool_pick_known(pool, id_of(2, 0), &(struct tried){ .v = { member(2) }, .n = 1 }));
}
END_TEST

START_TEST(a_new_set_knows_the_same_ids_and_no_others)
{
    struct backend *members[3];
    struct pool_set *old;

    make_sticky();
    memcpy(members, pool_set_now(pool)->members, sizeof members);
    for (size_t n = 3; n >= 2; n--) { /* the same members, then one less */
        ck_assert_int_eq(pool_publish(pool, members, n, &old), 0);
        pool_set_free(&old);
        for (size_t i = 0; i < 3; i++)
            ck_assert_ptr_eq(pool_pick_known(pool, id_of(i, 1), &none), i < n ? members[i] : NULL);
    }
}
END_TEST

START_TEST(a_pool_that_is_not_sticky_knows_no_ids)
{
    make();
    ck_assert_ptr_null(pool_pick_known(pool, 0, &none));
}
END_TEST

Suite *pool_suite(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_weight_of_0_gets_nothing);
    tcase_add_test(t, a_backup_gets_nothing_while_another_may_be_used);
    tcase_add_test(t, backups_are_used_when_no_other_may_be);
    tcase_add_test(t, what_was_tried_is_not_picked_again);
    tcase_add_test(t, with_all_tried_there_is_none);
    tcase_add_test(t, a_pool_of_nothing_but_weight_0_has_none);
    tcase_add_test(t, a_full_backend_is_passed_over_until_it_has_room);
    tcase_add_test(t, the_turns_go_on_in_the_next_configuration);
    tcase_add_test(t, only_failures_are_counted_as_such);
    tcase_add_test(t, a_success_is_what_ended_well);
    tcase_add_test(t, the_backend_of_a_cookie_is_found_by_each_secret);
    tcase_add_test(t, the_backend_of_a_cookie_may_have_weight_0_or_be_a_backup);
    tcase_add_test(t, the_backend_of_a_cookie_is_not_picked_when_it_is_out_full_or_tried);
    tcase_add_test(t, a_new_set_knows_the_same_ids_and_no_others);
    tcase_add_test(t, a_pool_that_is_not_sticky_knows_no_ids);
    suite_add_tcase(s, t);
    return s;
}
