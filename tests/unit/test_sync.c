/* Tests of fiber/sync: who holds what, in which order, and what a deadline or a cancel leaves behind. */
#include "tests/lib/fiber_test.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "fiber/sync.h"

Suite *sync_suite(void);

static int order[16], n_order;

struct locker {
    struct fiber_mutex *m;
    int64_t deadline;
    int id, result;
    struct fiber *fiber;
};

static void locks(void *arg)
{
    struct locker *l = arg;

    l->fiber = fiber_self();
    l->result = fiber_mutex_lock(l->m, l->deadline);
    if (l->result < 0)
        return;
    order[n_order++] = l->id;
    fiber_yield();
    fiber_mutex_unlock(l->m);
}

static void start_locker(struct group *g, struct locker *l, struct fiber_mutex *m, int id)
{
    *l = (struct locker){ .m = m, .id = id, .deadline = CLOCK_NEVER };
    fiber_go(g, "locker", locks, l);
    fiber_yield();
}

static void join(struct group *g) { ck_assert_int_eq(group_join(g, in_ms(30000)), 0); }

/* --- mutex --- */

FIBER_TEST(a_mutex_is_held_by_one)
{
    struct fiber_mutex m = { 0 };

    ck_assert_int_eq(fiber_mutex_lock(&m, CLOCK_NEVER), 0);
    ck_assert(!fiber_mutex_try(&m));
    ck_assert_int_eq(fiber_mutex_lock(&m, 0), -ERR_TIMEOUT);
    ck_assert_int_eq(fiber_mutex_lock(&m, in_ms(5)), -ERR_TIMEOUT);
    fiber_mutex_unlock(&m);
    ck_assert(fiber_mutex_try(&m));
    fiber_mutex_unlock(&m);
}

FIBER_TEST(a_mutex_goes_to_those_who_wait_in_their_order)
{
    struct fiber_mutex m = { 0 };
    struct locker l[4];
    struct group g;

    group_init(&g);
    fiber_mutex_lock(&m, CLOCK_NEVER);
    for (int i = 0; i < 4; i++)
        start_locker(&g, &l[i], &m, i);
    fiber_mutex_unlock(&m);
    ck_assert(!fiber_mutex_try(&m)); /* nobody overtakes */
    join(&g);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(order[i], i);
    ck_assert(fiber_mutex_try(&m));
    fiber_mutex_unlock(&m);
}

FIBER_TEST(who_is_called_off_while_waiting_for_a_mutex_does_not_get_it)
{
    struct fiber_mutex m = { 0 };
    struct locker l[3];
    struct group g;

    group_init(&g);
    fiber_mutex_lock(&m, CLOCK_NEVER);
    for (int i = 0; i < 3; i++)
        start_locker(&g, &l[i], &m, i);
    fiber_cancel(l[1].fiber, ERR_DRAINING);
    fiber_mutex_unlock(&m); /* while the one called off still stands in the queue */
    join(&g);
    ck_assert_int_eq(l[1].result, -ERR_CANCELED);
    ck_assert_int_eq(n_order, 2);
    ck_assert_int_eq(order[1], 2);
    ck_assert(fiber_mutex_try(&m));
}

FIBER_TEST(a_free_mutex_is_taken_whatever_the_deadline)
{
    struct fiber_mutex m = { 0 };

    fiber_cancel(fiber_self(), ERR_DRAINING);
    ck_assert_int_eq(fiber_mutex_lock(&m, 1), 0);
    ck_assert_int_eq(fiber_mutex_lock(&m, CLOCK_NEVER), -ERR_CANCELED);
    fiber_mutex_unlock(&m);
}

/* --- condition --- */

struct conditional {
    struct fiber_mutex m;
    struct fiber_cond c;
    int woken, holding;
};

static void waits_for_condition(void *arg)
{
    struct conditional *k = arg;

    ck_assert_int_eq(fiber_mutex_lock(&k->m, CLOCK_NEVER), 0);
    ck_assert_int_eq(fiber_cond_wait(&k->c, &k->m, CLOCK_NEVER), 0);
    ck_assert_int_eq(k->holding++, 0);
    fiber_yield();
    k->holding--;
    k->woken++;
    fiber_mutex_unlock(&k->m);
}

FIBER_TEST(a_signal_wakes_one_and_a_broadcast_the_rest_one_after_the_other)
{
    struct conditional k = { 0 };
    struct group g;

    group_init(&g);
    for (int i = 0; i < 5; i++)
        fiber_go(&g, "conditional", waits_for_condition, &k);
    fiber_sleep(in_ms(5));
    fiber_cond_signal(&k.c);
    fiber_sleep(in_ms(5));
    ck_assert_int_eq(k.woken, 1);
    fiber_cond_broadcast(&k.c);
    join(&g);
    ck_assert_int_eq(k.woken, 5);
}

FIBER_TEST(a_signal_nobody_waits_for_is_gone)
{
    struct conditional k = { 0 };

    fiber_cond_signal(&k.c);
    fiber_cond_broadcast(&k.c);
    fiber_mutex_lock(&k.m, CLOCK_NEVER);
    ck_assert_int_eq(fiber_cond_wait(&k.c, &k.m, in_ms(5)), -ERR_TIMEOUT);
    ck_assert(!fiber_mutex_try(&k.m)); /* held again */
    fiber_mutex_unlock(&k.m);
}

static void waits_and_is_called_off(void *arg)
{
    struct conditional *k = arg;

    ck_assert_int_eq(fiber_mutex_lock(&k->m, CLOCK_NEVER), 0);
    k->woken = fiber_cond_wait(&k->c, &k->m, CLOCK_NEVER);
    k->holding = !fiber_mutex_try(&k->m);
    fiber_mutex_unlock(&k->m);
}

FIBER_TEST(who_is_called_off_in_a_condition_holds_the_mutex_again_even_if_it_has_to_wait)
{
    struct conditional k = { 0 };
    struct group g;

    group_init(&g);
    fiber_go(&g, "called off", waits_and_is_called_off, &k);
    fiber_yield();
    fiber_mutex_lock(&k.m, CLOCK_NEVER);
    group_cancel(&g, ERR_DRAINING);
    fiber_sleep(in_ms(5));
    ck_assert_int_eq(k.woken, 0); /* it waits for the mutex */
    fiber_mutex_unlock(&k.m);
    join(&g);
    ck_assert_int_eq(k.woken, -ERR_CANCELED);
    ck_assert_int_eq(k.holding, 1);
}

/* --- semaphore --- */

FIBER_TEST(a_semaphore_gives_as_many_as_it_has)
{
    struct fiber_sem s;

    fiber_sem_init(&s, 2);
    ck_assert_int_eq(fiber_sem_take(&s, 0), 0);
    ck_assert_int_eq(fiber_sem_take(&s, 1), 0);
    ck_assert_int_eq(fiber_sem_take(&s, 0), -ERR_TIMEOUT);
    ck_assert_int_eq(fiber_sem_take(&s, in_ms(5)), -ERR_TIMEOUT);
    fiber_sem_give(&s);
    ck_assert_int_eq(fiber_sem_take(&s, 0), 0);
}

struct taker {
    struct fiber_sem *s;
    int id, result;
};

static void takes(void *arg)
{
    struct taker *t = arg;

    t->result = fiber_sem_take(t->s, CLOCK_NEVER);
    order[n_order++] = t->id;
}

FIBER_TEST(units_go_to_those_who_wait_in_their_order_and_are_not_overtaken)
{
    struct taker t[3];
    struct fiber_sem s;
    struct group g;

    group_init(&g);
    fiber_sem_init(&s, 0);
    for (int i = 0; i < 3; i++) {
        t[i] = (struct taker){ .s = &s, .id = i };
        fiber_go(&g, "taker", takes, &t[i]);
    }
    fiber_yield();
    fiber_sem_give(&s);
    ck_assert_int_eq(fiber_sem_take(&s, 0), -ERR_TIMEOUT);
    fiber_sem_give(&s);
    fiber_sem_give(&s);
    fiber_sem_give(&s);
    ck_assert_int_eq(fiber_sem_take(&s, 0), 0);
    join(&g);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(order[i], i);
}

/* --- wait group --- */

static struct wait_group work;

static void works(void *arg)
{
    fiber_sleep(in_ms(3));
    ++*(int *)arg;
    wait_group_done(&work);
}

FIBER_TEST(a_wait_group_is_waited_for_until_all_is_done)
{
    int done = 0;

    ck_assert_int_eq(wait_group_wait(&work, 0), 0);
    wait_group_add(&work, 3);
    ck_assert_int_eq(wait_group_wait(&work, 0), -ERR_TIMEOUT);
    ck_assert_int_eq(wait_group_wait(&work, 1), -ERR_TIMEOUT);
    for (int i = 0; i < 3; i++)
        fiber_go(NULL, "worker", works, &done);
    ck_assert_int_eq(wait_group_wait(&work, CLOCK_NEVER), 0);
    ck_assert_int_eq(done, 3);
    fiber_yield();
}

static void waits_for_work(void *arg) { *(int *)arg = wait_group_wait(&work, CLOCK_NEVER); }

FIBER_TEST(all_who_wait_for_a_group_are_woken)
{
    struct group g;
    int rc[3] = { 1, 1, 1 };

    group_init(&g);
    wait_group_add(&work, 1);
    for (int i = 0; i < 3; i++)
        fiber_go(&g, "waiter", waits_for_work, &rc[i]);
    fiber_yield();
    wait_group_done(&work);
    join(&g);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rc[i], 0);
}

/* --- once --- */

static int ran;

static void runs_slowly(void *arg)
{
    (void)arg;
    fiber_sleep(in_ms(5));
    ran++;
}

static struct fiber_once only;

static void calls_once(void *arg)
{
    (void)arg;
    ck_assert_int_eq(fiber_once(&only, runs_slowly, NULL, CLOCK_NEVER), 0);
    ck_assert_int_eq(ran, 1);
}

FIBER_TEST(once_runs_once_and_all_callers_return_after_it)
{
    struct group g;

    group_init(&g);
    for (int i = 0; i < 5; i++)
        fiber_go(&g, "caller", calls_once, NULL);
    fiber_yield();
    ck_assert_int_eq(fiber_once(&only, runs_slowly, NULL, 1), -ERR_TIMEOUT);
    join(&g);
    ck_assert_int_eq(fiber_once(&only, runs_slowly, NULL, 1), 0);
    ck_assert_int_eq(ran, 1);
}

/* --- two threads --- */

static struct fiber_mutex shared_mutex;
static struct fiber_sem shared_sem;
static int rounds, plain_counter; /* not atomic: the mutex, or the sanitizer, tells */
static _Atomic int inside, most_inside, gave_up;

static void counts(void *arg)
{
    (void)arg;
    for (int i = 0; i < rounds; i++) {
        int rc = fiber_mutex_lock(&shared_mutex, i % 8 == 0 ? clock_now() + 50 : CLOCK_NEVER);

        if (rc == -ERR_TIMEOUT) {
            atomic_fetch_add(&gave_up, 1);
            continue;
        }
        ck_assert_int_eq(rc, 0);
        plain_counter++;
        if (i % 16 == 0)
            fiber_yield(); /* held over a yield */
        fiber_mutex_unlock(&shared_mutex);
    }
}

static void four_count(void *arg)
{
    struct group g;

    (void)arg;
    group_init(&g);
    for (int i = 0; i < 4; i++)
        fiber_go(&g, "counter", counts, NULL);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
}

START_TEST(a_mutex_between_threads_keeps_a_counter_exact)
{
    rounds = SCALED(10000);
    fiber_test_run_on(2, four_count, NULL);
    ck_assert_int_eq(plain_counter + gave_up, 2 * 4 * rounds);
    ck_assert(!shared_mutex.held);
}
END_TEST

static void passes(void *arg)
{
    (void)arg;
    for (int i = 0; i < rounds; i++) {
        int now;

        ck_assert_int_eq(fiber_sem_take(&shared_sem, CLOCK_NEVER), 0);
        now = atomic_fetch_add(&inside, 1) + 1;
        if (now > atomic_load(&most_inside))
            atomic_store(&most_inside, now);
        fiber_yield();
        atomic_fetch_sub(&inside, 1);
        fiber_sem_give(&shared_sem);
    }
}

static void five_pass(void *arg)
{
    struct group g;

    (void)arg;
    group_init(&g);
    for (int i = 0; i < 5; i++)
        fiber_go(&g, "passer", passes, NULL);
    ck_assert_int_eq(group_join(&g, CLOCK_NEVER), 0);
}

START_TEST(a_semaphore_between_threads_lets_no_more_in_than_it_has)
{
    rounds = SCALED(5000);
    fiber_sem_init(&shared_sem, 3);
    fiber_test_run_on(2, five_pass, NULL);
    ck_assert_int_le(most_inside, 3);
    ck_assert_uint_eq(shared_sem.count, 3);
}
END_TEST

static struct fiber_cond not_empty;
static int stock, consumed;

static void makes_and_takes(void *arg)
{
    (void)arg;
    for (int i = 0; i < rounds; i++) {
        fiber_mutex_lock(&shared_mutex, CLOCK_NEVER);
        if (fiber_test_thread() == 0) {
            stock++;
            fiber_cond_signal(&not_empty);
        } else {
            while (stock == 0)
                ck_assert_int_eq(fiber_cond_wait(&not_empty, &shared_mutex, in_ms(60000)), 0);
            stock--;
            consumed++;
        }
        fiber_mutex_unlock(&shared_mutex);
    }
}

START_TEST(no_signal_between_threads_is_lost)
{
    rounds = SCALED(5000);
    fiber_test_run_on(2, makes_and_takes, NULL);
    ck_assert_int_eq(consumed, rounds);
    ck_assert_int_eq(stock, 0);
}
END_TEST

Suite *sync_suite(void)
{
    Suite *s = suite_create("sync");
    TCase *one = tcase_create("one thread"), *two = tcase_create("two threads");

    tcase_add_test(one, a_mutex_is_held_by_one);
    tcase_add_test(one, a_mutex_goes_to_those_who_wait_in_their_order);
    tcase_add_test(one, who_is_called_off_while_waiting_for_a_mutex_does_not_get_it);
    tcase_add_test(one, a_free_mutex_is_taken_whatever_the_deadline);
    tcase_add_test(one, a_signal_wakes_one_and_a_broadcast_the_rest_one_after_the_other);
    tcase_add_test(one, a_signal_nobody_waits_for_is_gone);
    tcase_add_test(one, who_is_called_off_in_a_condition_holds_the_mutex_again_even_if_it_has_to_wait);
    tcase_add_test(one, a_semaphore_gives_as_many_as_it_has);
    tcase_add_test(one, units_go_to_those_who_wait_in_their_order_and_are_not_overtaken);
    tcase_add_test(one, a_wait_group_is_waited_for_until_all_is_done);
    tcase_add_test(one, all_who_wait_for_a_group_are_woken);
    tcase_add_test(one, once_runs_once_and_all_callers_return_after_it);
    suite_add_tcase(s, one);

    tcase_set_timeout(two, 120);
    tcase_add_test(two, a_mutex_between_threads_keeps_a_counter_exact);
    tcase_add_test(two, a_semaphore_between_threads_lets_no_more_in_than_it_has);
    tcase_add_test(two, no_signal_between_threads_is_lost);
    suite_add_tcase(s, two);
    return s;
}
