/* Tests of fiber/mailbox: order, nothing lost, and the sleeper is woken. */
#include "tests/lib/fiber_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

Suite *mailbox_suite(void);

struct note {
    struct mail mail;
    int sender, number;
};

enum { SENDERS = 3 };
static int got, next_of[SENDERS], per_sender, woken_fibers;
static struct fiber *reader;
static int reader_waits_for;

static void take(struct mail *m)
{
    struct note *n = CONTAINER_OF(m, struct note, mail);

    ck_assert_ptr_null(fiber_self());
    ck_assert_int_eq(n->number, next_of[n->sender]);
    next_of[n->sender]++;
    free(n);
    if (++got == reader_waits_for)
        fiber_wake(reader, 0);
}

static void post(struct mailbox *to, int sender, int number)
{
    struct note *n = malloc(sizeof *n);

    ck_assert_ptr_nonnull(n);
    *n = (struct note){ .mail.fn = take, .sender = sender, .number = number };
    mailbox_send(to, &n->mail);
}

static void wait_for(int n)
{
    reader = fiber_self();
    reader_waits_for = n;
    if (got < n)
        ck_assert_int_eq(fiber_park(NULL, in_ms(30000)), 0);
}

FIBER_TEST(messages_to_oneself_arrive_in_order)
{
    for (int i = 0; i < 100; i++)
        post(sched_mailbox(sched_self()), 0, i);
    ck_assert_int_eq(got, 0); /* not before the next turn */
    wait_for(100);
}

static void counts_itself(void *arg)
{
    (void)arg;
    woken_fibers++;
}

static void starts_a_fiber(struct mail *m)
{
    (void)m;
    ck_assert_int_eq(fiber_go(NULL, "by mail", counts_itself, NULL), 0);
}

FIBER_TEST(a_message_may_start_a_fiber)
{
    struct mail m = { .fn = starts_a_fiber };

    mailbox_send(sched_mailbox(sched_self()), &m);
    fiber_sleep(in_ms(3));
    ck_assert_int_eq(woken_fibers, 1);
}

static struct mailbox *target;

/* A thread without a scheduler. */
static void *sends_from_a_thread(void *arg)
{
    for (int i = 0; i < per_sender; i++)
        post(target, (int)(intptr_t)arg, i);
    return NULL;
}

FIBER_TEST(of_many_senders_nothing_is_lost_and_each_ones_order_is_kept)
{
    pthread_t threads[SENDERS];

    per_sender = SCALED(100000);
    target = sched_mailbox(sched_self());
    for (int i = 0; i < SENDERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, sends_from_a_thread, (void *)(intptr_t)i), 0);
    wait_for(SENDERS * per_sender);
    for (int i = 0; i < SENDERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < SENDERS; i++)
        ck_assert_int_eq(next_of[i], per_sender);
}

/* Ball games between two schedulers: each goes to sleep before the other's message comes. */
static int rallies;
static struct mail ball;
static struct fiber *player[2]; /* who waits for the ball; NULL: it comes before that */
static int in_hand[2];

static void catches(struct mail *m)
{
    int me = fiber_test_thread();

    (void)m;
    in_hand[me] = 1;
    if (player[me] != NULL)
        fiber_wake(player[me], 0);
}

static void plays(void *arg)
{
    int me = fiber_test_thread();

    (void)arg;
    for (int i = 0; i < rallies; i++) {
        if (me == 0)
            mailbox_send(sched_mailbox(fiber_test_sched(1)), &ball);
        if (in_hand[me] == 0) {
            player[me] = fiber_self();
            ck_assert_int_eq(fiber_park(NULL, in_ms(30000)), 0);
            player[me] = NULL;
        }
        ck_assert_int_eq(in_hand[me], 1);
        in_hand[me] = 0;
        if (me == 1)
            mailbox_send(sched_mailbox(fiber_test_sched(0)), &ball);
    }
}

START_TEST(a_sleeping_scheduler_is_woken_by_every_message)
{
    rallies = SCALED(3000);
    ball.fn = catches;
    fiber_test_run_on(2, plays, NULL);
}
END_TEST

Suite *mailbox_suite(void)
{
    Suite *s = suite_create("mailbox");
    TCase *tc = tcase_create("mail");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, messages_to_oneself_arrive_in_order);
    tcase_add_test(tc, a_message_may_start_a_fiber);
    tcase_add_test(tc, of_many_senders_nothing_is_lost_and_each_ones_order_is_kept);
    tcase_add_test(tc, a_sleeping_scheduler_is_woken_by_every_message);
    suite_add_tcase(s, tc);
    return s;
}
