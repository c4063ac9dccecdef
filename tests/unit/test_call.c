/* Tests of fiber/call: it runs on the other thread, may wait there, and the caller sees what it did. */
#include "tests/lib/fiber_test.h"

#include <stdatomic.h>

#include "fiber/call.h"

Suite *call_suite(void);

static void say_where(void *arg)
{
    (void)fiber_sleep(in_ms(1));
    *(int *)arg = fiber_test_thread();
}

FIBER_TEST_ON(2, it_runs_on_the_other_thread_and_is_waited_for)
{
    int where = -1, other = 1 - fiber_test_thread();

    ck_assert_int_eq(fiber_call(fiber_test_sched(other), "where", say_where, &where), 0);
    ck_assert_int_eq(where, other);
}

FIBER_TEST(one_may_call_ones_own_thread)
{
    int where = -1;

    ck_assert_int_eq(fiber_call(sched_self(), "where", say_where, &where), 0);
    ck_assert_int_ne(where, -1);
}

static void call_all(void *arg)
{
    int where = -1;

    ck_assert_int_eq(fiber_call(sched_self(), "where", say_where, &where), 0);
    *(bool *)arg = where != -1; /* on the stack of this fiber, which was called off: still there */
}

FIBER_TEST(who_is_called_off_still_waits)
{
    struct group g;
    bool done = false;

    group_init(&g);
    ck_assert_int_eq(fiber_go(&g, "caller", call_all, &done), 0);
    fiber_yield();
    group_cancel(&g, ERR_CANCELED);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert(done);
}

Suite *call_suite(void)
{
    Suite *s = suite_create("call");
    TCase *t = tcase_create("call");

    tcase_add_test(t, it_runs_on_the_other_thread_and_is_waited_for);
    tcase_add_test(t, one_may_call_ones_own_thread);
    tcase_add_test(t, who_is_called_off_still_waits);
    suite_add_tcase(s, t);
    return s;
}
