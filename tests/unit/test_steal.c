/* Tests of fiber/steal: fresh work of a busy worker is taken by an idle one; what has started stays. */
#include "tests/lib/fiber_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "fiber/sync.h"

Suite *steal_suite(void);

static _Atomic int ran_on[2], moved;
static struct wait_group all;

static void is_light(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran_on[fiber_test_thread()], 1);
    wait_group_done(&all);
}

/* Holds the CPU until somebody else has run a piece of work, or for ten seconds. */
static void is_busy_until_robbed(void)
{
    int64_t until = in_ms(10000);

    while (atomic_load(&ran_on[1]) == 0 && clock_now() < until) {
        struct timespec ts = { .tv_nsec = 100000 };
        nanosleep(&ts, NULL);
    }
}

static void offers_and_stays_busy(void *arg)
{
    (void)arg;
    if (fiber_test_thread() == 0) {
        for (int i = 0; i < 20; i++)
            ck_assert_int_eq(fiber_go_anywhere("light", is_light, NULL), 0);
        is_busy_until_robbed();
    }
    ck_assert_int_eq(wait_group_wait(&all, in_ms(30000)), 0);
}

START_TEST(fresh_work_of_a_busy_worker_is_taken_by_an_idle_one)
{
    wait_group_add(&all, 20);
    fiber_test_run_on(2, offers_and_stays_busy, NULL);
    ck_assert_int_gt(ran_on[1], 0);
    ck_assert_int_eq(ran_on[0] + ran_on[1], 20);
}
END_TEST

static void wanders_not(void *arg)
{
    pthread_t first = pthread_self();
    struct sched *home = sched_self();

    (void)arg;
    for (int i = 0; i < 50; i++) {
        if (i % 10 == 0)
            fiber_sleep(in_ms(1));
        else
            fiber_yield();
        if (!pthread_equal(first, pthread_self()) || home != sched_self())
            atomic_fetch_add(&moved, 1);
    }
    atomic_fetch_add(&ran_on[fiber_test_thread()], 1);
    wait_group_done(&all);
}

static int offered;

static void offers(void *arg)
{
    (void)arg;
    for (int i = 0; i < offered; i++) {
        ck_assert_int_eq(fiber_go_anywhere("stays", wanders_not, NULL), 0);
        if (i % 50 == 0)
            fiber_yield();
    }
    ck_assert_int_eq(wait_group_wait(&all, in_ms(60000)), 0);
}

START_TEST(a_started_fiber_never_changes_its_thread)
{
    offered = SCALED(5000);
    wait_group_add(&all, 2 * offered);
    fiber_test_run_on(2, offers, NULL);
    ck_assert_int_eq(moved, 0);
    ck_assert_int_eq(ran_on[0] + ran_on[1], 2 * offered);
}
END_TEST

static void offers_more_than_the_ring_holds(void *arg)
{
    (void)arg;
    if (fiber_test_thread() == 0)
        for (int i = 0; i < 2000; i++)
            ck_assert_int_eq(fiber_go_anywhere("light", is_light, NULL), 0);
    ck_assert_int_eq(wait_group_wait(&all, in_ms(30000)), 0);
}

START_TEST(what_the_ring_can_not_hold_is_not_lost)
{
    wait_group_add(&all, 2000);
    fiber_test_run_on(2, offers_more_than_the_ring_holds, NULL);
    ck_assert_int_eq(ran_on[0] + ran_on[1], 2000); /* a quick thief may get them all */
}
END_TEST

/* Bursts of tiny work from one side while the other steals all the time: slots are filled again while thieves look. */
static void bursts(void *arg)
{
    (void)arg;
    if (fiber_test_thread() == 0)
        for (int i = 0; i < offered; i++) {
            ck_assert_int_eq(fiber_go_anywhere("light", is_light, NULL), 0);
            if (i % 7 == 0)
                fiber_yield();
        }
    while (wait_group_wait(&all, 0) != 0)
        fiber_yield();
}

START_TEST(under_a_greedy_thief_every_piece_of_work_runs_once)
{
    offered = SCALED(100000);
    wait_group_add(&all, offered);
    fiber_test_run_on(2, bursts, NULL);
    ck_assert_int_eq(ran_on[0] + ran_on[1], offered);
}
END_TEST

FIBER_TEST(without_sharing_fresh_work_runs_here)
{
    wait_group_add(&all, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(fiber_go_anywhere("light", is_light, NULL), 0);
    ck_assert_int_eq(wait_group_wait(&all, in_ms(10000)), 0);
    ck_assert_int_eq(ran_on[0], 3);
}

Suite *steal_suite(void)
{
    Suite *s = suite_create("steal");
    TCase *tc = tcase_create("fresh work");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, fresh_work_of_a_busy_worker_is_taken_by_an_idle_one);
    tcase_add_test(tc, a_started_fiber_never_changes_its_thread);
    tcase_add_test(tc, what_the_ring_can_not_hold_is_not_lost);
    tcase_add_test(tc, under_a_greedy_thief_every_piece_of_work_runs_once);
    tcase_add_test(tc, without_sharing_fresh_work_runs_here);
    suite_add_tcase(s, tc);
    return s;
}
