/* Tests of health/checker: when it probes and what it tells, on a clock of our own and with probes that do as they are told. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/rand.h"
#include "fiber/fiber.h"
#include "fiber/netpoll.h"
#include "fiber/sched.h"
#include "health/checker.h"

Suite *health_checker_suite(void);

#define MS CLOCK_MS
#define S  CLOCK_S

/* ---- virtual time: the poll moves the clock to the next timer ---- */

static int64_t virtual_now;
static int64_t virtual_clock(void) { return virtual_now; }
static const struct clock_source virtual_source = { virtual_clock, virtual_clock };

static void *engine_open(void *arg) { return arg; }
static void engine_close(void *state) { (void)state; }
static void engine_wake(void *state) { (void)state; }
static void engine_remove(void *state, struct pd *p) { (void)state, (void)p; }
static int engine_add(void *state, struct pd *p)
{
    (void)state, (void)p;
    return 0;
}
static void engine_poll(void *state, int64_t until)
{
    (void)state;
    ck_assert_msg(until != CLOCK_NEVER, "everybody waits for ever");
    if (until > virtual_now)
        virtual_now = until;
}
static const struct netpoll_engine engine = { engine_open, engine_close, engine_add, engine_remove, engine_poll, engine_wake };

static void run_virtually(fiber_fn *fn)
{
    const struct clock_source *real = clock_source;
    struct sched *s;
    struct sched_stats stats;
    static char state;

    clock_source = &virtual_source;
    virtual_now = 1000 * S;
    rand_seed(7);
    s = sched_open_on("virtual", false, &engine, &state);
    ck_assert_ptr_nonnull(s);
    ck_assert_int_eq(fiber_go(NULL, "test", fn, NULL), 0);
    sched_run(s);
    sched_stats_get(s, &stats);
    ck_assert_uint_eq(stats.fibers, 0);
    sched_close(&s);
    clock_source = real;
}

#define VIRTUAL_TEST(name)                            \
    static void name##_body(void);                    \
    static void name##_fiber(void *unused)            \
    {                                                 \
        (void)unused;                                 \
        name##_body();                                \
        sched_stop(sched_self());                     \
    }                                                 \
    START_TEST(name) { run_virtually(name##_fiber); } \
    END_TEST                                          \
    static void name##_body(void)

static void pass(int64_t time) { ck_assert_int_eq(fiber_sleep(fiber_now() + time), 0); }

/* ---- probes that do as they are told ---- */

enum { TOLD_MOST = 8192 };
static struct {
    const char *results; /* "+-." one after the other; the last one again and again */
    int64_t takes;       /* how long each lasts; CLOCK_NEVER: until it is called off */
    size_t n;
    int64_t began[TOLD_MOST];
    unsigned at_once, most_at_once, called_off;
    const struct check_conf *conf; /* of the last one */
} told;

static enum probe_result told_probe(struct probe *p, int64_t deadline)
{
    size_t last = strlen(told.results) - 1, i = told.n < last ? told.n : last;
    int rc = 0;

    (void)deadline;
    if (told.n < TOLD_MOST)
        told.began[told.n] = clock_now();
    told.n++;
    told.conf = p->conf;
    if (++told.at_once > told.most_at_once)
        told.most_at_once = told.at_once;
    if (told.takes > 0)
        rc = fiber_sleep(told.takes == CLOCK_NEVER ? CLOCK_NEVER : clock_now() + told.takes);
    told.called_off += rc == -ERR_CANCELED;
    told.at_once--;
    strcpy(p->detail, told.results[i] == '+' ? "" : "as told");
    return told.results[i] == '+' ? PROBE_OK : told.results[i] == '-' ? PROBE_REFUSED : PROBE_LOCAL;
}

static const struct check_type told_type = { .name = "told", .probe = told_probe };
static struct check_conf conf;
static const struct addr nowhere = { .len = sizeof nowhere.in, .in = { .sin_family = AF_INET } };

static struct {
    unsigned n;
    struct health_change last;
    char detail[PROBE_DETAIL_MAX];
    bool well;
    int64_t at;
} heard;

static void changed(void *arg, const struct health_change *c)
{
    ck_assert_ptr_eq(arg, &heard);
    heard.n++;
    heard.last = *c;
    heard.at = clock_now();
    strcpy(heard.detail, c->detail);
}

static bool is_well(void *arg)
{
    ck_assert_ptr_eq(arg, &heard);
    return heard.well;
}

static const struct checker_hooks hooks = { changed, is_well };

static void prepare(const char *results)
{
    memset(&told, 0, sizeof told);
    memset(&heard, 0, sizeof heard);
    told.results = results;
    conf = (struct check_conf){ .type = &told_type,
                                .interval = 5 * S,
                                .timeout = 2 * S,
                                .fast_interval = 1 * S,
                                .down_interval = 15 * S,
                                .rise = 2,
                                .fall = 3 };
}

static struct checker *start(bool at_once, const struct health_record *record)
{
    struct checker *c = checker_start(&conf, &nowhere, "host", record, at_once, &hooks, &heard);

    ck_assert_ptr_nonnull(c);
    return c;
}

/* How long after the i-th probe the next one began, in ms. */
static int64_t gap(size_t i)
{
    ck_assert_uint_gt(told.n, i + 1);
    return (told.began[i + 1] - told.began[i] + MS / 2) / MS;
}

VIRTUAL_TEST(at_once_means_now_and_the_first_result_is_told)
{
    struct checker *c;
    int64_t t0 = clock_now();

    prepare("-");
    c = start(true, NULL);
    pass(5 * MS);
    ck_assert_uint_eq(told.n, 1);
    ck_assert_int_le(told.began[0] - t0, 2 * MS);
    ck_assert_uint_eq(heard.n, 1);
    ck_assert_int_eq(heard.last.from, HEALTH_UNKNOWN);
    ck_assert_int_eq(heard.last.to, HEALTH_DOWN);
    ck_assert_int_eq(heard.last.reason, PROBE_REFUSED);
    ck_assert_str_eq(heard.detail, "as told");
    ck_assert_uint_eq(heard.last.failures, 1);
    checker_stop(&c);
    ck_assert_ptr_null(c);
}

VIRTUAL_TEST(a_change_is_told_once_with_what_it_was_and_is)
{
    struct checker *c;

    prepare("++---");
    c = start(true, NULL);
    pass(60 * S);
    ck_assert_uint_eq(heard.n, 2);
    ck_assert_int_eq(heard.last.from, HEALTH_UP);
    ck_assert_int_eq(heard.last.to, HEALTH_DOWN);
    ck_assert_uint_eq(heard.last.failures, 3);
    ck_assert_int_eq(checker_record(c)->since, heard.at);
    checker_stop(&c);
}

VIRTUAL_TEST(probes_come_fast_while_it_falls_and_back_off_while_it_is_down)
{
    static const int64_t gaps[] = { 5000, 1000, 1000, 5000, 10000, 15000, 15000 };
    struct checker *c;

    prepare("+-");
    c = start(true, NULL);
    pass(70 * S);
    for (size_t i = 0; i < ARRAY_LEN(gaps); i++)
        ck_assert_msg(gap(i) >= gaps[i] && gap(i) <= gaps[i] + 1, "gap %zu is %ld ms, not %ld", i, (long)gap(i), (long)gaps[i]);
    checker_stop(&c);
}

VIRTUAL_TEST(well_traffic_makes_probes_rarer)
{
    struct checker *c;

    prepare("+");
    c = start(true, NULL);
    pass(1 * S);
    heard.well = true;
    pass(29 * S);
    ck_assert_int_ge(gap(1), 15000);
    ck_assert_int_le(gap(1), 15001);
    checker_stop(&c);
}

VIRTUAL_TEST(a_long_probe_does_not_make_the_rhythm_slower)
{
    struct checker *c;

    prepare("+");
    told.takes = 1800 * MS;
    c = start(true, NULL);
    pass(30 * S);
    ck_assert_int_ge(gap(3), 5000);
    ck_assert_int_le(gap(3), 5001);
    checker_stop(&c);
}

VIRTUAL_TEST(there_is_one_probe_at_a_time_even_if_it_takes_longer_than_the_interval)
{
    struct checker *c;

    prepare("+");
    told.takes = 7 * S;
    c = start(true, NULL);
    pass(60 * S);
    ck_assert_uint_eq(told.most_at_once, 1);
    ck_assert_int_le(gap(2), 7002); /* and the next one follows at once */
    checker_stop(&c);
}

VIRTUAL_TEST(first_probes_of_many_are_spread_evenly_over_the_interval)
{
    enum { N = 5000, SLOTS = 50 };
    static struct checker *c[N];
    unsigned in_slot[SLOTS] = { 0 };
    int64_t t0 = clock_now();

    prepare("+");
    for (size_t i = 0; i < N; i++)
        c[i] = start(false, NULL);
    pass(5 * S - 1);
    ck_assert_uint_ge(told.n, N - 2);
    for (size_t i = 0; i < told.n; i++)
        in_slot[(told.began[i] - t0) * SLOTS / (5 * S + 2 * MS)]++;
    for (size_t i = 0; i < SLOTS; i++)
        ck_assert_msg(in_slot[i] >= N / SLOTS - 6 && in_slot[i] <= N / SLOTS + 6, "%u of %d in slot %zu", in_slot[i], N, i);
    for (size_t i = 0; i < N; i++)
        checker_stop(&c[i]);
}

VIRTUAL_TEST(jitter_keeps_many_from_falling_into_step)
{
    enum { N = 1000, SLOTS = 20 };
    static struct checker *c[N];
    unsigned in_slot[SLOTS] = { 0 };
    int64_t t0 = clock_now();

    prepare("+");
    conf.jitter = 50; /* what 10 does in 25 times as many rounds */
    for (size_t i = 0; i < N; i++)
        c[i] = start(true, NULL); /* all in the same tenth of a second */
    pass(12 * 5 * S);
    t0 = clock_now();
    memset(told.began, 0, sizeof told.began);
    told.n = 0;
    pass(5 * S);
    for (size_t i = 0; i < told.n && i < TOLD_MOST; i++)
        in_slot[(told.began[i] - t0) * SLOTS / (5 * S + 2 * MS)]++;
    for (size_t i = 0; i < SLOTS; i++)
        ck_assert_msg(in_slot[i] >= 15 && in_slot[i] <= 110, "%u of %d in slot %zu", in_slot[i], N, i);
    for (size_t i = 0; i < N; i++)
        checker_stop(&c[i]);
}

VIRTUAL_TEST(a_thousand_at_once_do_not_begin_in_one_moment)
{
    enum { N = 1000 };
    static struct checker *c[N];
    int64_t t0 = clock_now();

    prepare("+");
    for (size_t i = 0; i < N; i++)
        c[i] = start(true, NULL);
    pass(110 * MS);
    ck_assert_uint_eq(told.n, N);
    for (size_t i = 12; i < N; i++)
        ck_assert_int_gt(told.began[i], told.began[i - 12]);
    ck_assert_int_gt(told.began[N - 1] - t0, 90 * MS);
    for (size_t i = 0; i < N; i++)
        checker_stop(&c[i]);
}

VIRTUAL_TEST(hurry_probes_now_and_fast_until_it_is_sure)
{
    struct checker *c;

    prepare("+");
    c = start(true, NULL);
    pass(3 * S);
    ck_assert_uint_eq(told.n, 1);
    checker_hurry(c);
    pass(2 * MS);
    ck_assert_uint_eq(told.n, 2);
    pass(10 * S);
    ck_assert_int_le(gap(1), 1001); /* two results must agree: rise */
    ck_assert_int_ge(gap(2), 5000);
    checker_stop(&c);
}

VIRTUAL_TEST(hurry_for_each_of_many_failures_makes_one_probe_a_fast_interval)
{
    struct checker *c;

    prepare("+");
    c = start(true, NULL);
    for (int i = 0; i < 5000; i++) {
        checker_hurry(c);
        pass(1 * MS);
    }
    ck_assert_uint_ge(told.n, 5);
    ck_assert_uint_le(told.n, 6);
    checker_stop(&c);
}

VIRTUAL_TEST(hurry_before_the_first_probe_brings_it_forward)
{
    struct checker *c;

    prepare("+");
    conf.interval = 3600 * S;
    c = start(false, NULL);
    checker_hurry(c);
    pass(2 * MS);
    ck_assert_uint_eq(told.n, 1);
    checker_stop(&c);
}

VIRTUAL_TEST(hurry_while_it_probes_is_kept_for_the_next)
{
    struct checker *c;

    prepare("+");
    told.takes = 500 * MS;
    c = start(true, NULL);
    pass(100 * MS);
    checker_hurry(c);
    ck_assert_uint_eq(told.n, 1);
    pass(1 * S);
    ck_assert_uint_eq(told.n, 2);
    checker_stop(&c);
}

VIRTUAL_TEST(stopping_calls_a_probe_off_and_tells_nothing)
{
    struct checker *c;
    int64_t t0;

    prepare("-");
    told.takes = CLOCK_NEVER;
    c = start(true, NULL);
    pass(1 * S);
    t0 = clock_now();
    checker_stop(&c);
    ck_assert_int_eq(clock_now(), t0);
    ck_assert_uint_eq(told.called_off, 1);
    ck_assert_uint_eq(heard.n, 0);
    pass(60 * S);
    ck_assert_uint_eq(told.n, 1);
    checker_stop(&c); /* NULL */
}

VIRTUAL_TEST(a_record_is_gone_on_with)
{
    struct health_record known = { .state = HEALTH_UP, .passes = 9, .probes = 9, .last_probe = clock_now() - 2 * S };
    int64_t t0 = clock_now();
    struct checker *c;

    prepare("+");
    c = start(false, &known);
    pass(4 * S);
    ck_assert_uint_eq(heard.n, 0); /* it was up, and is */
    ck_assert_uint_eq(checker_record(c)->passes, 10);
    ck_assert_uint_eq(told.n, 1);
    ck_assert_int_ge(told.began[0] - t0, 3 * S); /* two of the five seconds had gone by */
    ck_assert_int_le(told.began[0] - t0, 3 * S + 2 * MS);
    checker_stop(&c);
}

VIRTUAL_TEST(an_old_record_is_probed_soon)
{
    struct health_record known = { .state = HEALTH_UP, .last_probe = clock_now() - 60 * S };
    struct checker *c;

    prepare("+");
    c = start(false, &known);
    pass(5 * MS);
    ck_assert_uint_eq(told.n, 1);
    checker_stop(&c);
}

VIRTUAL_TEST(other_times_hold_from_now_on)
{
    struct check_conf quick;
    struct checker *c;

    prepare("+");
    conf.interval = 3600 * S;
    c = start(true, NULL);
    pass(1 * S);
    quick = conf;
    quick.interval = 2 * S;
    checker_reconfigure(c, &quick);
    memset(&conf, 0xff, sizeof conf); /* nobody may look there any more */
    pass(7 * S);
    ck_assert_uint_eq(told.n, 4);
    ck_assert_ptr_eq(told.conf, &quick);
    checker_stop(&c);
}

VIRTUAL_TEST(a_probe_in_progress_is_made_anew_by_the_new_conf)
{
    struct check_conf other;
    struct checker *c;

    prepare("+");
    told.takes = 1500 * MS;
    c = start(true, NULL);
    pass(1 * S);
    other = conf;
    checker_reconfigure(c, &other);
    memset(&conf, 0xff, sizeof conf);
    ck_assert_uint_eq(told.called_off, 1);
    pass(1 * MS);
    ck_assert_uint_eq(told.n, 2);
    ck_assert_ptr_eq(told.conf, &other);
    pass(2 * S);
    ck_assert_uint_eq(heard.n, 1);
    ck_assert_uint_eq(checker_record(c)->probes, 1);
    checker_stop(&c);
}

VIRTUAL_TEST(what_we_lack_ourselves_takes_nobody_down)
{
    struct checker *c;

    prepare("+....+");
    c = start(true, NULL);
    pass(30 * S);
    ck_assert_uint_eq(heard.n, 1);
    ck_assert_int_eq(checker_record(c)->state, HEALTH_UP);
    ck_assert_uint_eq(checker_record(c)->failed, 0);
    checker_stop(&c);
}

Suite *health_checker_suite(void)
{
    Suite *s = suite_create("health_checker");
    TCase *tc = tcase_create("health_checker");

    tcase_add_test(tc, at_once_means_now_and_the_first_result_is_told);
    tcase_add_test(tc, a_change_is_told_once_with_what_it_was_and_is);
    tcase_add_test(tc, probes_come_fast_while_it_falls_and_back_off_while_it_is_down);
    tcase_add_test(tc, well_traffic_makes_probes_rarer);
    tcase_add_test(tc, a_long_probe_does_not_make_the_rhythm_slower);
    tcase_add_test(tc, there_is_one_probe_at_a_time_even_if_it_takes_longer_than_the_interval);
    tcase_add_test(tc, first_probes_of_many_are_spread_evenly_over_the_interval);
    tcase_add_test(tc, jitter_keeps_many_from_falling_into_step);
    tcase_add_test(tc, a_thousand_at_once_do_not_begin_in_one_moment);
    tcase_add_test(tc, hurry_probes_now_and_fast_until_it_is_sure);
    tcase_add_test(tc, hurry_for_each_of_many_failures_makes_one_probe_a_fast_interval);
    tcase_add_test(tc, hurry_before_the_first_probe_brings_it_forward);
    tcase_add_test(tc, hurry_while_it_probes_is_kept_for_the_next);
    tcase_add_test(tc, stopping_calls_a_probe_off_and_tells_nothing);
    tcase_add_test(tc, a_record_is_gone_on_with);
    tcase_add_test(tc, an_old_record_is_probed_soon);
    tcase_add_test(tc, other_times_hold_from_now_on);
    tcase_add_test(tc, a_probe_in_progress_is_made_anew_by_the_new_conf);
    tcase_add_test(tc, what_we_lack_ourselves_takes_nobody_down);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}
