/* Tests of base/metric: rows, counting by threads, buckets. */
#include <check.h>
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "base/rand.h"

Suite *metric_suite(void);

static unsigned bucket_by_looking(int64_t us)
{
    unsigned i = 0;

    while (i < METRIC_BUCKETS && us > metric_bounds[i])
        i++;
    return i;
}

START_TEST(a_duration_falls_into_the_first_bucket_that_holds_it)
{
    ck_assert_uint_eq(metric_bucket(0), 0);
    ck_assert_uint_eq(metric_bucket(-5), 0);
    ck_assert_uint_eq(metric_bucket(INT64_MAX), METRIC_BUCKETS);
    for (int bit = 0; bit < 63; bit++)
        for (int64_t d = -2; d <= 2; d++)
            ck_assert_uint_eq(metric_bucket((INT64_C(1) << bit) + d), bucket_by_looking((INT64_C(1) << bit) + d));
    for (size_t i = 0; i < METRIC_BUCKETS; i++)
        for (int64_t d = -2; d <= 2; d++)
            ck_assert_uint_eq(metric_bucket(metric_bounds[i] + d), bucket_by_looking(metric_bounds[i] + d));
    rand_seed(1);
    for (int i = 0; i < 100000; i++) {
        int64_t us = (int64_t)(rand_u64() >> rand_below(64) >> 1);
        if (metric_bucket(us) != bucket_by_looking(us))
            ck_abort_msg("%lld", (long long)us);
    }
}
END_TEST

START_TEST(rows_follow_prometheus_rules_for_names)
{
    for (size_t i = 0; i < metric_n_rows; i++) {
        const struct metric_row *row = &metric_rows[i];
        bool counts = row->kind == METRIC_COUNTER || row->kind == METRIC_ASKED_COUNTER;
        size_t n = strlen(row->name);

        ck_assert_msg(strncmp(row->name, "weir_", 5) == 0, "%s", row->name);
        for (const char *p = row->name; *p != '\0'; p++)
            ck_assert_msg(islower((unsigned char)*p) || *p == '_', "%s", row->name);
        ck_assert_msg(counts == (strcmp(row->name + n - 6, "_total") == 0), "%s", row->name);
        ck_assert_msg(row->help[strlen(row->help) - 1] == '.', "%s: help is a sentence", row->name);
        ck_assert_msg(strchr(row->help, '|') == NULL, "%s: help stands in a table", row->name);
        ck_assert_msg((row->value != NULL) <= (row->labels[0] != '\0'), "%s: values without a label", row->name);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(row->name, metric_rows[j].name);
    }
}
END_TEST

START_TEST(values_of_a_label_are_unique)
{
    char a[16], b[16];

    for (size_t i = 0; i < metric_n_rows; i++) {
        const struct metric_row *row = &metric_rows[i];
        if (row->value == NULL)
            continue;
        for (unsigned j = 0; j < row->n_values; j++)
            for (unsigned k = 0; k < j; k++)
                ck_assert_str_ne(row->value(j, a), row->value(k, b));
    }
}
END_TEST

START_TEST(slots_of_rows_do_not_overlap)
{
    unsigned next = 0;

    for (size_t i = 0; i < metric_n_rows; i++) {
        const struct metric_row *row = &metric_rows[i];
        ck_assert_uint_eq((unsigned)row->first, next);
        next += row->kind == METRIC_HISTOGRAM ? METRIC_BUCKETS + 2 : row->value == NULL ? 1 : row->n_values;
    }
    ck_assert_uint_eq(next, METRIC_SLOTS);
}
END_TEST

START_TEST(every_code_has_its_slot)
{
    ck_assert_uint_eq(metric_status(100), 0);
    ck_assert_uint_eq(metric_status(599), METRIC_N_STATUS - 1);
    ck_assert_uint_eq(metric_status(0), metric_status(500));
    ck_assert_uint_eq(metric_status(600), metric_status(500));
    ck_assert_uint_eq(metric_reason(-ERR_TIMEOUT), ERR_TIMEOUT);
    ck_assert_uint_eq(metric_reason(ERR_TIMEOUT), ERR_TIMEOUT);
    ck_assert_uint_eq(metric_reason(ERR_COUNT), ERR_INTERNAL);
    ck_assert_uint_eq(metric_reason(INT32_MIN), ERR_INTERNAL);
}
END_TEST

START_TEST(a_gauge_goes_down_again)
{
    metric_add(METRIC_TUNNELS, 3);
    metric_add(METRIC_TUNNELS, -2);
    ck_assert_int_eq((int64_t)metric_read(METRIC_TUNNELS, 0), 1);
    metric_add(METRIC_TUNNELS, -1);
}
END_TEST

START_TEST(an_observed_duration_is_counted_and_summed)
{
    uint64_t bucket = metric_read(METRIC_REQUEST_SECONDS, 2), sum = metric_read(METRIC_REQUEST_SECONDS, METRIC_BUCKETS + 1);

    metric_observe(METRIC_REQUEST_SECONDS, 2000);
    ck_assert_uint_eq(metric_read(METRIC_REQUEST_SECONDS, 2) - bucket, 1);
    ck_assert_uint_eq(metric_read(METRIC_REQUEST_SECONDS, METRIC_BUCKETS + 1) - sum, 2000);
}
END_TEST

enum { THREADS = 4, TIMES = 50000 };

static void *count_a_lot(void *arg)
{
    (void)arg;
    ck_assert_int_eq(metric_thread_open("counter"), 0);
    for (int i = 0; i < TIMES; i++) {
        metric_add(METRIC_ACCEPTED, 1);
        metric_add_at(METRIC_REQUESTS, metric_status(200 + i % 2), 1);
    }
    metric_thread_close();
    return NULL;
}

START_TEST(counts_of_threads_are_summed_and_outlive_them)
{
    uint64_t accepted = metric_read(METRIC_ACCEPTED, 0), ok = metric_read(METRIC_REQUESTS, 100), last = 0, now;
    pthread_t t[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, count_a_lot, NULL), 0);
    for (int i = 0; i < 100; i++) { /* reading while they count and end never goes back */
        now = metric_read(METRIC_ACCEPTED, 0);
        ck_assert_uint_ge(now, last);
        last = now;
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(t[i], NULL);
    ck_assert_uint_eq(metric_read(METRIC_ACCEPTED, 0) - accepted, THREADS * TIMES);
    ck_assert_uint_eq(metric_read(METRIC_REQUESTS, 100) - ok, THREADS * TIMES / 2);
}
END_TEST

START_TEST(reading_all_slots_gives_what_reading_one_gives)
{
    uint64_t all[METRIC_SLOTS];

    metric_add_at(METRIC_FAILURES, ERR_NO_ROUTE, 7);
    metric_read_all(all);
    for (unsigned i = 0; i < METRIC_SLOTS; i++)
        ck_assert_uint_eq(all[i], metric_read(0, i));
}
END_TEST

START_TEST(the_manual_names_every_metric_and_reason)
{
    char *text = NULL, name[128];
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    ck_assert_ptr_nonnull(f);
    metric_manual(f);
    (void)fclose(f);
    for (size_t i = 0; i < metric_n_rows; i++) {
        (void)snprintf(name, sizeof name, "| `%s` |", metric_rows[i].name);
        ck_assert_msg(strstr(text, name) != NULL, "%s", name);
    }
    for (int i = 1; i < ERR_COUNT; i++) {
        (void)snprintf(name, sizeof name, "| `%s` |", err_word(i));
        ck_assert_msg(strstr(text, name) != NULL, "%s", name);
    }
    free(text);
}
END_TEST

Suite *metric_suite(void)
{
    Suite *s = suite_create("metric");
    TCase *t = tcase_create("metric");

    tcase_add_test(t, a_duration_falls_into_the_first_bucket_that_holds_it);
    tcase_add_test(t, rows_follow_prometheus_rules_for_names);
    tcase_add_test(t, values_of_a_label_are_unique);
    tcase_add_test(t, slots_of_rows_do_not_overlap);
    tcase_add_test(t, every_code_has_its_slot);
    tcase_add_test(t, a_gauge_goes_down_again);
    tcase_add_test(t, an_observed_duration_is_counted_and_summed);
    tcase_add_test(t, counts_of_threads_are_summed_and_outlive_them);
    tcase_add_test(t, reading_all_slots_gives_what_reading_one_gives);
    tcase_add_test(t, the_manual_names_every_metric_and_reason);
    suite_add_tcase(s, t);
    return s;
}
