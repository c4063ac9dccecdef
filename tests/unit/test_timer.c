/* Tests of fiber/timer: the wheel against what a sorted list would do. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "fiber/timer.h"

Suite *timer_suite(void);

#define TICK TIMER_TICK
/* For claims made a million times: ck_assert() writes down each one that holds, too. */
#define CLAIM(cond) ((cond) ? (void)0 : ck_abort_msg("not so: %s", #cond))

struct probe {
    struct timer t;
    int64_t fired_at; /* -1: not yet */
    int times, rank;
    int64_t again;    /* armed again for that time, once, when > 0 */
    struct probe *victim; /* disarmed when this one fires */
};

static struct timer_wheel wheel;
static int64_t now;
static int fired;

static void fire(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, t);
    int64_t again = p->again;

    CLAIM(!timer_is_armed(t));
    p->fired_at = now;
    p->times++;
    p->rank = fired++;
    p->again = 0;
    if (again > 0)
        timer_wheel_arm(&wheel, t, again);
    if (p->victim != NULL)
        timer_wheel_disarm(&wheel, &p->victim->t);
}

static void probe_init(struct probe *p)
{
    memset(p, 0, sizeof *p);
    timer_init(&p->t, fire);
    p->fired_at = -1;
}

static void start_at(int64_t when)
{
    now = when;
    fired = 0;
    timer_wheel_init(&wheel, when);
}

static void turn_to(int64_t when)
{
    now = when;
    timer_wheel_turn(&wheel, when);
}

/* Follows timer_wheel_next(), as the scheduler does, until nothing is armed. */
static void follow(void)
{
    for (int steps = 0; wheel.armed > 0; steps++) {
        int64_t next = timer_wheel_next(&wheel);

        ck_assert_int_lt(steps, 10000);
        ck_assert_int_ne(next, CLOCK_NEVER);
        ck_assert_int_gt(next, now - TICK); /* it goes on */
        turn_to(next > now ? next : now + TICK);
    }
}

static const int64_t starts[] = { 0, 1, 123456, 255 * TICK, 256 * TICK, 65535 * TICK + 7, INT64_C(1234567890123) };
static const int64_t delays[] = {
    1, 999, 1000, 1001, 254 * TICK, 255 * TICK, 256 * TICK, 257 * TICK, 511 * TICK, 512 * TICK + 3, 65534 * TICK, 65535 * TICK,
    65536 * TICK, 65537 * TICK, 65791 * TICK, (1 << 24) * TICK - TICK, (1 << 24) * TICK, (1 << 24) * TICK + 255 * TICK,
    (INT64_C(1) << 32) * TICK - TICK, (INT64_C(1) << 32) * TICK, (INT64_C(1) << 32) * TICK + 77777 * TICK, (INT64_C(1) << 35) * TICK,
};

START_TEST(a_timer_of_any_level_fires_on_time)
{
    for (size_t s = 0; s < ARRAY_LEN(starts); s++)
        for (size_t d = 0; d < ARRAY_LEN(delays); d++) {
            struct probe p;
            int64_t when = starts[s] + delays[d];

            start_at(starts[s]);
            probe_init(&p);
            timer_wheel_arm(&wheel, &p.t, when);
            follow();
            ck_assert_int_eq(p.times, 1);
            ck_assert_msg(p.fired_at >= when && p.fired_at < when + TICK, "start %ld delay %ld: off by %ld", (long)starts[s],
                          (long)delays[d], (long)(p.fired_at - when));
        }
}
END_TEST

START_TEST(every_delay_over_two_levels_fires_in_its_tick)
{
    enum { MOST = 66500 };
    struct probe *all = calloc(MOST, sizeof *all);
    int64_t start = 200 * TICK;

    ck_assert_ptr_nonnull(all);
    start_at(start);
    for (int i = 0; i < MOST; i++) {
        probe_init(&all[i]);
        timer_wheel_arm(&wheel, &all[i].t, start + (i + 1) * TICK);
    }
    for (int i = 0; i < MOST; i++) {
        turn_to(start + (i + 1) * TICK);
        CLAIM(fired == i + 1);
        CLAIM(all[i].times == 1);
    }
    free(all);
}
END_TEST

START_TEST(timers_fire_in_the_order_of_their_ticks_in_one_turn)
{
    enum { N = 1000 };
    static struct probe all[N];

    start_at(0);
    rand_seed(3);
    for (int i = 0; i < N; i++) {
        probe_init(&all[i]);
        timer_wheel_arm(&wheel, &all[i].t, (int64_t)rand_below(100000) * TICK + 1);
    }
    turn_to(100001 * TICK);
    ck_assert_int_eq(fired, N);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            if (all[i].t.when < all[k].t.when)
                CLAIM(all[i].rank < all[k].rank);
}
END_TEST

START_TEST(a_time_in_the_past_fires_at_the_next_tick)
{
    struct probe p;

    start_at(1000 * TICK);
    probe_init(&p);
    timer_wheel_arm(&wheel, &p.t, 5);
    turn_to(1000 * TICK);
    ck_assert_int_eq(p.times, 0);
    turn_to(1001 * TICK);
    ck_assert_int_eq(p.times, 1);
}
END_TEST

START_TEST(a_disarmed_timer_does_not_fire)
{
    struct probe p;

    start_at(0);
    probe_init(&p);
    timer_wheel_arm(&wheel, &p.t, 300 * TICK);
    timer_wheel_disarm(&wheel, &p.t);
    timer_wheel_disarm(&wheel, &p.t);
    ck_assert(!timer_is_armed(&p.t));
    ck_assert_int_eq(timer_wheel_next(&wheel), CLOCK_NEVER);
    turn_to(1000 * TICK);
    ck_assert_int_eq(p.times, 0);
}
END_TEST

START_TEST(arming_an_armed_timer_moves_it)
{
    struct probe p;

    start_at(0);
    probe_init(&p);
    timer_wheel_arm(&wheel, &p.t, 10 * TICK);
    timer_wheel_arm(&wheel, &p.t, 5000 * TICK);
    ck_assert_uint_eq(wheel.armed, 1);
    turn_to(4999 * TICK);
    ck_assert_int_eq(p.times, 0);
    turn_to(5000 * TICK);
    ck_assert_int_eq(p.times, 1);
}
END_TEST

START_TEST(a_timer_may_arm_itself_while_it_fires)
{
    struct probe p;

    start_at(0);
    probe_init(&p);
    p.again = 20 * TICK;
    timer_wheel_arm(&wheel, &p.t, 10 * TICK);
    follow();
    ck_assert_int_eq(p.times, 2);
    ck_assert_int_eq(p.fired_at, 20 * TICK);
}
END_TEST

START_TEST(arming_itself_for_the_past_does_not_hold_up_the_turn)
{
    struct probe p;

    start_at(0);
    probe_init(&p);
    p.again = 1;
    timer_wheel_arm(&wheel, &p.t, 10 * TICK);
    turn_to(10 * TICK);
    ck_assert_int_eq(p.times, 1);
    turn_to(11 * TICK);
    ck_assert_int_eq(p.times, 2);
}
END_TEST

START_TEST(a_timer_may_disarm_another_of_the_same_tick)
{
    struct probe first, second;

    start_at(0);
    probe_init(&first);
    probe_init(&second);
    first.victim = &second;
    timer_wheel_arm(&wheel, &first.t, 10 * TICK);
    timer_wheel_arm(&wheel, &second.t, 10 * TICK);
    turn_to(12 * TICK);
    ck_assert_int_eq(first.times, 1);
    ck_assert_int_eq(second.times, 0);
    ck_assert_uint_eq(wheel.armed, 0);
}
END_TEST

START_TEST(no_timer_fires_before_the_next_expiry)
{
    static struct probe all[50];

    rand_seed(11);
    for (int round = 0; round < 200; round++) {
        int64_t first = CLOCK_NEVER;

        start_at((int64_t)rand_below(1 << 20) * TICK);
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            int64_t when = now + 1 + (int64_t)rand_below(INT64_C(1) << (10 + rand_below(30)));

            probe_init(&all[i]);
            timer_wheel_arm(&wheel, &all[i].t, when);
            first = when < first ? when : first;
        }
        ck_assert_int_le(timer_wheel_next(&wheel), first + TICK);
        turn_to(timer_wheel_next(&wheel) - 1);
        ck_assert_int_eq(fired, 0);
        follow();
        ck_assert_int_eq(fired, (int)ARRAY_LEN(all));
    }
}
END_TEST

/* --- against a model --- */

enum { MODEL = 200 };
static struct probe model[MODEL];
static int64_t due[MODEL]; /* CLOCK_NEVER: not armed */

static int64_t tick_up(int64_t when) { return (when + TICK - 1) / TICK; }

static void model_turn(int64_t to)
{
    int64_t earliest = CLOCK_NEVER;

    turn_to(to);
    for (int i = 0; i < MODEL; i++) {
        bool is_due = due[i] != CLOCK_NEVER && tick_up(due[i]) <= now / TICK;

        CLAIM(model[i].times == (is_due ? 1 : 0));
        model[i].times = 0;
        if (is_due)
            due[i] = CLOCK_NEVER;
        CLAIM(timer_is_armed(&model[i].t) == (due[i] != CLOCK_NEVER));
        earliest = due[i] < earliest ? due[i] : earliest;
    }
    if (earliest == CLOCK_NEVER)
        ck_assert_int_eq(timer_wheel_next(&wheel), CLOCK_NEVER);
    else
        ck_assert_int_le(timer_wheel_next(&wheel), tick_up(earliest) * TICK);
}

START_TEST(the_wheel_does_what_a_sorted_list_would)
{
    start_at(987654321);
    rand_seed((uint64_t)_i + 1);
    for (int i = 0; i < MODEL; i++) {
        probe_init(&model[i]);
        due[i] = CLOCK_NEVER;
    }
    for (int step = 0; step < 20000; step++) {
        int i = (int)rand_below(MODEL);
        int64_t span = INT64_C(1) << (8 + rand_below(28));

        switch (rand_below(4)) {
        case 0:
        case 1: /* never in a tick that is past: that would be one later than the model says */
            due[i] = now + TICK + (int64_t)rand_below((uint64_t)span);
            timer_wheel_arm(&wheel, &model[i].t, due[i]);
            break;
        case 2:
            due[i] = CLOCK_NEVER;
            timer_wheel_disarm(&wheel, &model[i].t);
            break;
        default:
            model_turn(now + (int64_t)rand_below((uint64_t)(INT64_C(1) << (8 + rand_below(24)))));
        }
    }
}
END_TEST

Suite *timer_suite(void)
{
    Suite *s = suite_create("timer");
    TCase *tc = tcase_create("wheel");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_timer_of_any_level_fires_on_time);
    tcase_add_test(tc, every_delay_over_two_levels_fires_in_its_tick);
    tcase_add_test(tc, timers_fire_in_the_order_of_their_ticks_in_one_turn);
    tcase_add_test(tc, a_time_in_the_past_fires_at_the_next_tick);
    tcase_add_test(tc, a_disarmed_timer_does_not_fire);
    tcase_add_test(tc, arming_an_armed_timer_moves_it);
    tcase_add_test(tc, a_timer_may_arm_itself_while_it_fires);
    tcase_add_test(tc, arming_itself_for_the_past_does_not_hold_up_the_turn);
    tcase_add_test(tc, a_timer_may_disarm_another_of_the_same_tick);
    tcase_add_test(tc, no_timer_fires_before_the_next_expiry);
    tcase_add_loop_test(tc, the_wheel_does_what_a_sorted_list_would, 0, 5);
    suite_add_tcase(s, tc);
    return s;
}
