/* Tests of fiber/fiber and fiber/group: order, sleeping, calling off, joining, listings, overflow. */
#include "tests/lib/fiber_test.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *fiber_suite(void);

/* --- order --- */

static char written[64];
static size_t n_written;

static void put(char c) { written[n_written++] = c; }

static void writes_twice(void *arg)
{
    put(*(const char *)arg);
    fiber_yield();
    put(*(const char *)arg);
}

FIBER_TEST(fibers_run_in_the_order_they_were_started_and_yield_to_the_end)
{
    static char names[] = "abc";
    struct group g;

    group_init(&g);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(fiber_go(&g, "writer", writes_twice, &names[i]), 0);
    put('.');
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_str_eq(written, ".abcabc");
}

FIBER_TEST(a_yield_with_nobody_else_ready_returns)
{
    for (int i = 0; i < 1000; i++)
        fiber_yield();
    ck_assert_uint_eq(fiber_test_alive(), 1);
}

START_TEST(there_is_no_fiber_outside_of_a_scheduler) { ck_assert_ptr_null(fiber_self()); }
END_TEST

/* --- sleep and park --- */

FIBER_TEST(a_sleep_is_not_too_short)
{
    int64_t until = in_ms(12);

    ck_assert_int_eq(fiber_sleep(until), 0);
    ck_assert_int_ge(clock_now(), until);
}

FIBER_TEST(a_sleep_until_the_past_returns_at_once)
{
    ck_assert_int_eq(fiber_sleep(1), 0);
    ck_assert_int_eq(fiber_sleep(0), 0);
}

FIBER_TEST(a_wait_with_a_deadline_in_the_past_times_out_and_is_claimed)
{
    _Atomic int claim = 0;

    ck_assert_int_eq(fiber_park(NULL, 1), -ERR_TIMEOUT);
    ck_assert_int_eq(fiber_park(&claim, 1), -ERR_TIMEOUT);
    ck_assert_int_eq(claim, CLAIM_EXPIRED);
}

static void sleeps_for(void *arg)
{
    int64_t ms = *(int *)arg;

    ck_assert_int_eq(fiber_sleep(in_ms(ms)), 0);
    put((char)('0' + ms / 10));
}

FIBER_TEST(sleepers_wake_in_the_order_of_their_deadlines)
{
    static int ms[] = { 40, 10, 30, 20 };
    struct group g;

    group_init(&g);
    for (int i = 0; i < 4; i++)
        fiber_go(&g, "sleeper", sleeps_for, &ms[i]);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_str_eq(written, "1234");
}

struct waiter_of {
    struct fiber *fiber;
    int64_t deadline;
    int result, cause, next_result;
    bool started, shielded;
};

static void parks(void *arg)
{
    struct waiter_of *w = arg;

    w->fiber = fiber_self();
    w->started = true;
    if (w->shielded)
        fiber_shield(true);
    w->result = fiber_park(NULL, w->deadline);
    w->cause = fiber_cause();
    w->next_result = fiber_park(NULL, 1);
}

FIBER_TEST(a_wake_gives_its_result_and_beats_a_later_deadline)
{
    struct waiter_of w = { .deadline = in_ms(20) };
    struct group g;

    group_init(&g);
    fiber_go(&g, "waiter", parks, &w);
    fiber_yield();
    fiber_wake(w.fiber, 77);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(w.result, 77);
    ck_assert_int_eq(w.next_result, -ERR_TIMEOUT);
}

static void shortens(void *arg)
{
    int *order = arg;

    ck_assert_int_eq(fiber_park(NULL, in_ms(5)), -ERR_TIMEOUT); /* leaves a timer that fires early for the next */
    ck_assert_int_eq(fiber_sleep(in_ms(30)), 0);
    *order = 1;
}

FIBER_TEST(a_later_deadline_after_an_earlier_one_is_kept)
{
    int64_t start = clock_now();
    struct group g;
    int done = 0;

    group_init(&g);
    fiber_go(&g, "shortens", shortens, &done);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(done, 1);
    ck_assert_int_ge(clock_now() - start, 35 * CLOCK_MS);
}

FIBER_TEST(an_earlier_deadline_after_a_later_one_is_kept)
{
    struct waiter_of w = { .deadline = in_ms(60000) };
    struct group g;
    int64_t start;

    group_init(&g);
    fiber_go(&g, "waiter", parks, &w);
    fiber_yield();
    fiber_wake(w.fiber, 0); /* its timer stays armed for a minute */
    start = clock_now();
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(w.next_result, -ERR_TIMEOUT);
    ck_assert_int_lt(clock_now() - start, 10 * CLOCK_S);
}

/* --- calling off --- */

FIBER_TEST(a_waiting_fiber_that_is_called_off_learns_it_and_its_cause)
{
    struct waiter_of w = { .deadline = CLOCK_NEVER };
    struct group g;

    group_init(&g);
    fiber_go(&g, "waiter", parks, &w);
    fiber_yield();
    fiber_cancel(w.fiber, ERR_DRAINING);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(w.result, -ERR_CANCELED);
    ck_assert_int_eq(w.cause, ERR_DRAINING);
    ck_assert_int_eq(w.next_result, -ERR_CANCELED);
}

FIBER_TEST(the_first_cause_stays)
{
    struct waiter_of w = { .deadline = CLOCK_NEVER };
    struct group g;

    group_init(&g);
    fiber_go(&g, "waiter", parks, &w);
    fiber_yield();
    fiber_cancel(w.fiber, ERR_DRAINING);
    fiber_cancel(w.fiber, ERR_TIMEOUT);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(w.cause, ERR_DRAINING);
}

FIBER_TEST(a_fiber_called_off_before_it_started_waits_for_nothing)
{
    struct waiter_of w = { .deadline = CLOCK_NEVER };
    struct group g;

    group_init(&g);
    fiber_go(&g, "waiter", parks, &w);
    group_cancel(&g, ERR_DRAINING);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert(w.started);
    ck_assert_int_eq(w.result, -ERR_CANCELED);
}

static void cancels_itself(void *arg)
{
    int64_t start = clock_now();

    (void)arg;
    ck_assert_int_eq(fiber_cause(), 0);
    fiber_cancel(fiber_self(), ERR_DRAINING);
    fiber_yield(); /* not a place where it shows */
    ck_assert_int_eq(fiber_sleep(in_ms(60000)), -ERR_CANCELED);
    ck_assert_int_lt(clock_now() - start, 10 * CLOCK_S);
}

FIBER_TEST(a_fiber_may_call_itself_off)
{
    struct group g;

    group_init(&g);
    fiber_go(&g, "cancels itself", cancels_itself, NULL);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
}

static void says_goodbye(void *arg)
{
    (void)arg;
    ck_assert_int_eq(fiber_sleep(CLOCK_NEVER), -ERR_CANCELED);
    ck_assert(!fiber_shield(true));
    ck_assert_int_eq(fiber_sleep(in_ms(5)), 0);
    ck_assert(fiber_shield(false));
    ck_assert_int_eq(fiber_sleep(in_ms(5)), -ERR_CANCELED);
}

FIBER_TEST(a_shielded_fiber_may_wait_again_until_it_lowers_the_shield)
{
    struct group g;

    group_init(&g);
    fiber_go(&g, "says goodbye", says_goodbye, NULL);
    fiber_yield();
    group_cancel(&g, ERR_DRAINING);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
}

FIBER_TEST(a_shield_that_was_up_before_keeps_the_wait)
{
    struct waiter_of w = { .deadline = CLOCK_NEVER, .shielded = true };
    struct group g;

    group_init(&g);
    fiber_go(&g, "waiter", parks, &w);
    fiber_yield();
    fiber_cancel(w.fiber, ERR_DRAINING);
    fiber_yield();
    fiber_wake(w.fiber, 5);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(w.result, 5);
    ck_assert_int_eq(w.cause, ERR_DRAINING);
}

struct claimed {
    struct fiber *fiber;
    _Atomic int claim;
    int result;
};

static void parks_with_a_claim(void *arg)
{
    struct claimed *c = arg;

    c->fiber = fiber_self();
    c->result = fiber_park(&c->claim, in_ms(5));
}

FIBER_TEST(a_wait_that_somebody_has_claimed_is_neither_called_off_nor_timed_out)
{
    struct claimed c = { .claim = 0 };
    struct group g;

    group_init(&g);
    fiber_go(&g, "claimed", parks_with_a_claim, &c);
    fiber_yield();
    c.claim = 1;
    fiber_cancel(c.fiber, ERR_DRAINING);
    fiber_sleep(in_ms(10));
    fiber_wake(c.fiber, 3);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(c.result, 3);
}

/* --- groups --- */

FIBER_TEST(an_empty_group_is_joined_at_once)
{
    struct group g;

    group_init(&g);
    ck_assert_int_eq(group_join(&g, 0), 0);
}

FIBER_TEST(a_join_that_times_out_leaves_the_children_running)
{
    struct waiter_of w = { .deadline = CLOCK_NEVER };
    struct group g;

    group_init(&g);
    fiber_go(&g, "waiter", parks, &w);
    ck_assert_int_eq(group_join(&g, in_ms(5)), -ERR_TIMEOUT);
    ck_assert_uint_eq(fiber_test_alive(), 2);
    fiber_wake(w.fiber, 9);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(w.result, 9);
}

FIBER_TEST(children_started_after_the_group_was_called_off_are_called_off)
{
    struct waiter_of w = { .deadline = CLOCK_NEVER };
    struct group g;

    group_init(&g);
    group_cancel(&g, ERR_DRAINING);
    fiber_go(&g, "late", parks, &w);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(w.result, -ERR_CANCELED);
    ck_assert_int_eq(w.cause, ERR_DRAINING);
}

static void sleeps_until(void *arg) { (void)fiber_sleep(*(int64_t *)arg); }

/* The child is readied first, since it began to wait first; it ends while its parent is ready, but has not run. */
FIBER_TEST(a_join_whose_deadline_comes_with_the_last_child_s_end_is_woken_once)
{
    int64_t at = in_ms(5);
    struct group g;

    group_init(&g);
    fiber_go(&g, "child", sleeps_until, &at);
    fiber_yield();
    ck_assert_int_eq(group_join(&g, at), 0);
}

static void joins_for_ever(void *arg)
{
    int rc = group_join(arg, CLOCK_NEVER);

    ck_assert_int_eq(rc, -ERR_CANCELED);
}

static void cancels_its_parent(void *parent) { group_cancel(parent, ERR_DRAINING); }

FIBER_TEST(a_joiner_that_the_last_child_calls_off_before_it_ends_is_woken_once)
{
    struct group parent, children;

    group_init(&parent);
    group_init(&children);
    fiber_go(&parent, "joiner", joins_for_ever, &children);
    fiber_go(&children, "child", cancels_its_parent, &parent);
    ck_assert_int_eq(group_join(&parent, CLOCK_NEVER), 0);
    ck_assert(list_is_empty(&children.fibers));
}

static struct waiter_of grandchild;

static void has_a_child(void *arg)
{
    struct group g;

    group_init(&g);
    fiber_go(&g, "grandchild", parks, &grandchild);
    *(int *)arg = group_join(&g, CLOCK_NEVER);
    ck_assert(list_is_empty(&g.fibers));
}

FIBER_TEST(a_joining_parent_that_is_called_off_calls_its_children_off_and_waits_for_them)
{
    struct group g;
    int rc = 0;

    grandchild.deadline = CLOCK_NEVER;
    group_init(&g);
    fiber_go(&g, "parent", has_a_child, &rc);
    fiber_yield();
    fiber_yield();
    group_cancel(&g, ERR_DRAINING);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(rc, -ERR_CANCELED);
    ck_assert_int_eq(grandchild.result, -ERR_CANCELED);
    ck_assert_int_eq(grandchild.cause, ERR_DRAINING);
}

/* --- what listings see --- */

struct seen {
    int n;
    struct fiber_info of_waiter;
};

static void see(const struct fiber_info *info, void *arg)
{
    struct seen *s = arg;

    s->n++;
    if (strcmp(info->name, "shown") == 0)
        s->of_waiter = *info;
}

static void shown(void *arg)
{
    fiber_about(arg);
    fiber_doing("waiting to be seen");
    ck_assert_int_eq(fiber_park(NULL, CLOCK_NEVER), -ERR_CANCELED);
}

FIBER_TEST(a_listing_tells_what_each_fiber_is_doing)
{
    struct seen s = { 0 };
    struct group g;
    int subject;

    group_init(&g);
    fiber_go(&g, "shown", shown, &subject);
    fiber_yield();
    fiber_each(see, &s);
    ck_assert_int_eq(s.n, 2);
    ck_assert_str_eq(s.of_waiter.doing, "waiting to be seen");
    ck_assert_ptr_eq(s.of_waiter.subject, &subject);
    ck_assert(s.of_waiter.waiting);
    ck_assert_int_eq(s.of_waiter.deadline, CLOCK_NEVER);
    ck_assert_uint_gt(s.of_waiter.id, 0);
    ck_assert_uint_gt(s.of_waiter.stack_used, 64);
    ck_assert_uint_lt(s.of_waiter.stack_used, 16384);
    group_cancel(&g, ERR_DRAINING);
    group_join(&g, CLOCK_NEVER);
}

FIBER_TEST(a_fiber_that_has_ended_is_not_listed_and_its_successor_has_another_id)
{
    struct seen s = { 0 };
    struct group g;
    uint64_t first;

    group_init(&g);
    fiber_go(&g, "shown", shown, NULL);
    fiber_yield();
    fiber_each(see, &s);
    first = s.of_waiter.id;
    group_cancel(&g, ERR_DRAINING);
    group_join(&g, CLOCK_NEVER);
    s = (struct seen){ 0 };
    fiber_each(see, &s);
    ck_assert_int_eq(s.n, 1);
    group_init(&g);
    fiber_go(&g, "shown", shown, NULL);
    fiber_yield();
    fiber_each(see, &s);
    ck_assert_uint_ne(s.of_waiter.id, first);
    group_cancel(&g, ERR_DRAINING);
    group_join(&g, CLOCK_NEVER);
}

/* --- stacks --- */

static uintptr_t called_at;
static bool called_in_fiber;

static void notes_its_stack(void *arg)
{
    volatile char deep[200 * 1024]; /* more than a fiber has */

    deep[0] = deep[sizeof deep - 1] = *(char *)arg;
    called_at = (uintptr_t)deep + (uintptr_t)(deep[0] & 1);
    called_in_fiber = fiber_self() != NULL;
}

FIBER_TEST(a_call_on_the_thread_stack_has_its_room_and_returns_to_the_fiber)
{
    char x = 2;
    uintptr_t here = (uintptr_t)&x;

    fiber_on_thread_stack(notes_its_stack, &x);
    ck_assert(called_at > here + (1 << 20) || called_at < here - (1 << 20));
    ck_assert(!called_in_fiber);
    ck_assert_ptr_nonnull(fiber_self());
}

static void calls_off(void *f) { fiber_cancel(f, ERR_DRAINING); }

static void is_called_off_on_the_thread_stack(void *arg)
{
    (void)arg;
    fiber_on_thread_stack(calls_off, fiber_self());
    put('x');
    ck_assert_int_eq(fiber_sleep(CLOCK_NEVER), -ERR_CANCELED);
    put('y');
}

FIBER_TEST(a_fiber_that_is_called_off_during_a_call_on_the_thread_stack_returns_from_it_once)
{
    struct group g;

    group_init(&g);
    fiber_go(&g, "called off", is_called_off_on_the_thread_stack, NULL);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_str_eq(written, "xy");
}

static void sleeps_for_ever(void *arg)
{
    ck_assert_int_eq(fiber_sleep(CLOCK_NEVER), -ERR_CANCELED);
    ++*(int *)arg;
}

FIBER_TEST(a_hundred_thousand_fibers_live_at_once)
{
    int n = FIBER_TEST_SLOW ? 5000 : FIBER_TEST_SANITIZED ? 20000 : 100000, ended = 0;
    struct group g;

    group_init(&g);
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(fiber_go(&g, "sleeper", sleeps_for_ever, &ended), 0);
    fiber_yield();
    ck_assert_uint_eq(fiber_test_alive(), (uint32_t)n + 1);
    group_cancel(&g, ERR_DRAINING);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_int_eq(ended, n);
}

static void ends(void *arg) { ++*(int *)arg; }

FIBER_TEST(stacks_are_used_again)
{
    struct sched_stats stats;
    int ended = 0;

    for (int i = 0; i < 2000; i++) {
        fiber_go(NULL, "short", ends, &ended);
        fiber_yield();
    }
    sched_stats_get(sched_self(), &stats);
    ck_assert_int_eq(ended, 2000);
    ck_assert_uint_eq(stats.stacks_warm + stats.stacks_cold, 1);
    ck_assert_uint_eq(stats.stacks_unguarded, 0);
}

static uint64_t touched;

__attribute__((noinline)) static void dirties_its_stack(void *arg)
{
    volatile uint64_t a[512];

    for (int i = 0; i < 512; i++)
        a[i] = (uintptr_t)arg + (uint64_t)i;
    fiber_yield();
    for (int i = 0; i < 512; i++)
        touched += a[i] != (uintptr_t)arg + (uint64_t)i;
}

FIBER_TEST(stacks_do_not_overlap)
{
    struct group g;

    group_init(&g);
    for (uintptr_t i = 0; i < 1000; i++)
        fiber_go(&g, "dirties", dirties_its_stack, (void *)(i * 1000));
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
    ck_assert_uint_eq(touched, 0);
}

/* --- overflow --- */

__attribute__((noinline)) static int digs(int depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    return depth == 0 ? frame[0] : digs(depth - 1) + frame[0];
}

static void overflows(void *arg)
{
    fiber_doing("digging a hole");
    *(int *)arg = digs(1 << 20);
}

static void run_overflowing(void *arg)
{
    static int sink;

    (void)arg;
    fiber_go(NULL, "digger", overflows, &sink);
    fiber_yield();
}

/* Runs fn in a child; what it says on stderr comes back, and how it ended. */
static int in_child(void (*fn)(void *), char *said, size_t size)
{
    int pipes[2], status;
    ssize_t n;
    size_t have = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(pipes), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(pipes[1], STDERR_FILENO);
        sched_catch_overflow();
        fiber_test_run(fn, NULL);
        _exit(0);
    }
    close(pipes[1]);
    while (have < size - 1 && (n = read(pipes[0], said + have, size - 1 - have)) > 0)
        have += (size_t)n;
    said[have] = '\0';
    close(pipes[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

START_TEST(an_overflow_kills_the_process_and_names_the_fiber)
{
    char said[1024];
    int status = in_child(run_overflowing, said, sizeof said);

    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
    ck_assert_msg(strstr(said, "'digger'") != NULL, "it said: %s", said);
    ck_assert_ptr_nonnull(strstr(said, "digging a hole"));
    ck_assert_ptr_nonnull(strstr(said, "overflow"));
}
END_TEST

static void faults(void *arg)
{
    int *volatile nowhere = (int *)(uintptr_t)16;

    (void)arg;
    *nowhere = 1;
}

static void run_faulting(void *arg)
{
    (void)arg;
    fiber_go(NULL, "clumsy", faults, NULL);
    fiber_yield();
}

START_TEST(another_fault_is_not_called_an_overflow)
{
    char said[1024];
    int status = in_child(run_faulting, said, sizeof said);

    ck_assert(WIFSIGNALED(status));
    ck_assert_ptr_nonnull(strstr(said, "'clumsy'"));
    ck_assert_ptr_null(strstr(said, "overflow"));
}
END_TEST

Suite *fiber_suite(void)
{
    Suite *s = suite_create("fiber");
    TCase *run = tcase_create("running"), *off = tcase_create("calling off"), *group = tcase_create("groups");
    TCase *show = tcase_create("listings"), *stack = tcase_create("stacks");

    tcase_add_test(run, fibers_run_in_the_order_they_were_started_and_yield_to_the_end);
    tcase_add_test(run, a_yield_with_nobody_else_ready_returns);
    tcase_add_test(run, there_is_no_fiber_outside_of_a_scheduler);
    tcase_add_test(run, a_sleep_is_not_too_short);
    tcase_add_test(run, a_sleep_until_the_past_returns_at_once);
    tcase_add_test(run, a_wait_with_a_deadline_in_the_past_times_out_and_is_claimed);
    tcase_add_test(run, sleepers_wake_in_the_order_of_their_deadlines);
    tcase_add_test(run, a_wake_gives_its_result_and_beats_a_later_deadline);
    tcase_add_test(run, a_later_deadline_after_an_earlier_one_is_kept);
    tcase_add_test(run, an_earlier_deadline_after_a_later_one_is_kept);
    suite_add_tcase(s, run);

    tcase_add_test(off, a_waiting_fiber_that_is_called_off_learns_it_and_its_cause);
    tcase_add_test(off, the_first_cause_stays);
    tcase_add_test(off, a_fiber_called_off_before_it_started_waits_for_nothing);
    tcase_add_test(off, a_fiber_may_call_itself_off);
    tcase_add_test(off, a_shielded_fiber_may_wait_again_until_it_lowers_the_shield);
    tcase_add_test(off, a_shield_that_was_up_before_keeps_the_wait);
    tcase_add_test(off, a_wait_that_somebody_has_claimed_is_neither_called_off_nor_timed_out);
    suite_add_tcase(s, off);

    tcase_add_test(group, an_empty_group_is_joined_at_once);
    tcase_add_test(group, a_join_that_times_out_leaves_the_children_running);
    tcase_add_test(group, a_join_whose_deadline_comes_with_the_last_child_s_end_is_woken_once);
    tcase_add_test(group, a_joiner_that_the_last_child_calls_off_before_it_ends_is_woken_once);
    tcase_add_test(group, children_started_after_the_group_was_called_off_are_called_off);
    tcase_add_test(group, a_joining_parent_that_is_called_off_calls_its_children_off_and_waits_for_them);
    suite_add_tcase(s, group);

    tcase_add_test(show, a_listing_tells_what_each_fiber_is_doing);
    tcase_add_test(show, a_fiber_that_has_ended_is_not_listed_and_its_successor_has_another_id);
    suite_add_tcase(s, show);

    tcase_set_timeout(stack, 120);
    tcase_add_test(stack, a_call_on_the_thread_stack_has_its_room_and_returns_to_the_fiber);
    tcase_add_test(stack, a_fiber_that_is_called_off_during_a_call_on_the_thread_stack_returns_from_it_once);
    tcase_add_test(stack, a_hundred_thousand_fibers_live_at_once);
    tcase_add_test(stack, stacks_are_used_again);
    tcase_add_test(stack, stacks_do_not_overlap);
    if (!FIBER_TEST_SANITIZED) { /* which report such faults themselves */
        tcase_add_test(stack, an_overflow_kills_the_process_and_names_the_fiber);
        tcase_add_test(stack, another_fault_is_not_called_an_overflow);
    } else {
        (void)an_overflow_kills_the_process_and_names_the_fiber;
        (void)another_fault_is_not_called_an_overflow;
    }
    suite_add_tcase(s, stack);
    return s;
}
