/* Tests of health/state: what every sequence of results makes of a backend, and which interval follows. */
#include <check.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "health/state.h"

Suite *health_state_suite(void);

#define S CLOCK_S

static struct check_conf conf_of(uint32_t rise, uint32_t fall)
{
    return (struct check_conf){
        .interval = 5 * S, .timeout = 2 * S, .fast_interval = 1 * S, .down_interval = 15 * S, .rise = rise, .fall = fall
    };
}

/* Takes "+-." (passed, failed, local); after each result the state must be that in `states` ("?UD"). */
static void check_states(uint32_t rise, uint32_t fall, const char *results, const char *states)
{
    struct check_conf conf = conf_of(rise, fall);
    struct health h;
    char before = '?';

    health_init(&h, NULL);
    for (size_t i = 0; results[i] != '\0'; i++) {
        enum probe_result r = results[i] == '+' ? PROBE_OK : results[i] == '-' ? PROBE_REFUSED : PROBE_LOCAL;
        bool changed = health_take(&h, &conf, r, (int64_t)i + 1);
        /* not ck_assert: it takes note of every claim that holds, and there are half a million */
        if ("?UD"[h.record.state] != states[i] || changed != (states[i] != before) ||
            (changed && h.record.since != (int64_t)i + 1))
            ck_abort_msg("rise %u fall %u: %.*s makes %c, not %c", rise, fall, (int)i + 1, results, "?UD"[h.record.state],
                         states[i]);
        before = states[i];
    }
}

START_TEST(the_first_result_decides_alone_and_then_rise_and_fall_count)
{
    static const struct {
        uint32_t rise, fall;
        const char *results, *states;
    } rows[] = {
        { 2, 3, "+", "U" },       { 2, 3, "-", "D" },
        { 2, 3, "+---", "UUUD" }, { 2, 3, "+--+--+---", "UUUUUUUUUD" },
        { 2, 3, "-++", "DDU" },   { 2, 3, "-+-+-++", "DDDDDDU" },
        { 1, 1, "+-+-", "UDUD" }, { 3, 1, "+-++-+++", "UDDDDDDU" },
        { 2, 3, "...+", "???U" }, { 2, 3, "+--.-", "UUUUD" },
        { 2, 3, "-+.+", "DDDU" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_states(rows[i].rise, rows[i].fall, rows[i].results, rows[i].states);
}
END_TEST

/* By the words of the contract, from the whole history, looking back anew each time. */
static char state_after(const char *results, size_t n, uint32_t rise, uint32_t fall)
{
    char state = '?';
    uint32_t row = 0;
    char last = 0;

    for (size_t i = 0; i < n; i++) {
        if (results[i] == '.')
            continue;
        row = results[i] == last ? row + 1 : 1;
        last = results[i];
        if (state == '?' || (last == '+' && row >= rise) || (last == '-' && row >= fall))
            state = last == '+' ? 'U' : 'D';
    }
    return state;
}

START_TEST(every_sequence_of_eight_results_ends_in_the_state_that_the_contract_says)
{
    for (uint32_t limits = 0; limits < 9; limits++) {
        uint32_t rise = limits % 3 + 1, fall = limits / 3 + 1;
        for (unsigned code = 0; code < 6561; code++) {
            char results[9] = "", states[9] = "";
            unsigned rest = code;
            for (size_t i = 0; i < 8; i++, rest /= 3)
                results[i] = "+-."[rest % 3];
            for (size_t i = 0; i < 8; i++)
                states[i] = state_after(results, i + 1, rise, fall);
            check_states(rise, fall, results, states);
        }
    }
}
END_TEST

START_TEST(a_local_failure_is_told_but_counts_for_nothing)
{
    struct check_conf conf = conf_of(2, 3);
    struct health h;

    health_init(&h, NULL);
    (void)health_take(&h, &conf, PROBE_OK, 1);
    (void)health_take(&h, &conf, PROBE_TIMEOUT, 2);
    (void)health_take(&h, &conf, PROBE_LOCAL, 3);
    ck_assert_int_eq(h.record.last, PROBE_LOCAL);
    ck_assert_uint_eq(h.record.failures, 1);
    ck_assert_uint_eq(h.record.failed, 1);
    ck_assert_uint_eq(h.record.probes, 3);
}
END_TEST

START_TEST(counts_in_a_row_stop_at_their_end_and_do_not_begin_anew)
{
    struct check_conf conf = conf_of(2, 3);
    struct health h;

    health_init(&h, &(struct health_record){ .state = HEALTH_DOWN, .failures = UINT32_MAX });
    ck_assert(!health_take(&h, &conf, PROBE_REFUSED, 1));
    ck_assert_uint_eq(h.record.failures, UINT32_MAX);
}
END_TEST

/* The delays in seconds after each result; "!" is a doubt, "w" turns well traffic on. */
static void check_delays(const struct check_conf *conf, const char *results, const char *const *seconds)
{
    struct health h;
    bool well = false;
    size_t k = 0;

    health_init(&h, NULL);
    for (size_t i = 0; results[i] != '\0'; i++) {
        int64_t delay;
        if (results[i] == '!') {
            health_doubt(&h, conf);
            continue;
        }
        if (results[i] == 'w') {
            well = true;
            continue;
        }
        (void)health_take(&h, conf, results[i] == '+' ? PROBE_OK : results[i] == '-' ? PROBE_REFUSED : PROBE_LOCAL, 1);
        delay = health_delay(&h, conf, well, 12345);
        ck_assert_msg(delay == strtoll(seconds[k], NULL, 10) * S, "%.*s: %ld us, not %s s", (int)i + 1, results, (long)delay,
                      seconds[k]);
        k++;
    }
    ck_assert_ptr_null(seconds[k]);
}

START_TEST(the_interval_follows_the_state)
{
    struct check_conf conf = conf_of(2, 3), slow_fast = conf, quick_down = conf;
    static const struct {
        const char *results;
        const char *seconds[12];
    } rows[] = {
        { "+++", { "5", "5", "5" } },
        { "..+", { "1", "1", "5" } },
        { "+--+", { "5", "1", "1", "5" } },
        { "+-----", { "5", "1", "1", "5", "10", "15" } },
        { "------", { "5", "10", "15", "15", "15", "15" } },
        { "---+-++", { "5", "10", "15", "1", "5", "1", "5" } },
        { "+w++-+", { "5", "15", "15", "1", "15" } },
        { "+!+++", { "5", "1", "5", "5" } },
        { "+w!++", { "5", "1", "15" } },
        { "+!-+++", { "5", "1", "1", "5", "5" } },
        { "--!----", { "5", "10", "1", "1", "15", "15" } },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_delays(&conf, rows[i].results, rows[i].seconds);
    slow_fast.fast_interval = 60 * S;
    check_delays(&slow_fast, "+--", (const char *[]){ "5", "5", "5", NULL });
    quick_down.down_interval = 2 * S;
    check_delays(&quick_down, "---", (const char *[]){ "2", "2", "2", NULL });
}
END_TEST

START_TEST(jitter_moves_the_interval_by_at_most_its_percentage_either_way)
{
    struct check_conf conf = conf_of(2, 3);
    int64_t least = INT64_MAX, most = 0;
    struct health h;

    conf.jitter = 10;
    health_init(&h, &(struct health_record){ .state = HEALTH_UP });
    for (uint64_t chance = 0; chance < 4 * 1000001; chance += 997) {
        int64_t d = health_delay(&h, &conf, false, chance);
        least = d < least ? d : least;
        most = d > most ? d : most;
    }
    ck_assert_int_ge(least, 4500 * CLOCK_MS);
    ck_assert_int_lt(least, 4510 * CLOCK_MS);
    ck_assert_int_le(most, 5500 * CLOCK_MS);
    ck_assert_int_gt(most, 5490 * CLOCK_MS);
}
END_TEST

Suite *health_state_suite(void)
{
    Suite *s = suite_create("health_state");
    TCase *tc = tcase_create("health_state");

    tcase_add_test(tc, the_first_result_decides_alone_and_then_rise_and_fall_count);
    tcase_add_test(tc, every_sequence_of_eight_results_ends_in_the_state_that_the_contract_says);
    tcase_add_test(tc, a_local_failure_is_told_but_counts_for_nothing);
    tcase_add_test(tc, counts_in_a_row_stop_at_their_end_and_do_not_begin_anew);
    tcase_add_test(tc, the_interval_follows_the_state);
    tcase_add_test(tc, jitter_moves_the_interval_by_at_most_its_percentage_either_way);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}
