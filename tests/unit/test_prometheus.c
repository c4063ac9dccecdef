/* Tests of observe/prometheus: whatever is rendered is a valid exposition. */
#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/prometheus.h"

Suite *prometheus_suite(void);

static struct buf out;

static void begin(void) { out = (struct buf){ 0 }; }
static void end(void) { buf_free(&out); }

START_TEST(a_family_has_help_and_type)
{
    prometheus_family(&out, "x_total", "counter", "One \\ two\nthree \"four\".");
    ck_assert_str_eq(out.p, "# HELP x_total One \\\\ two\\nthree \"four\".\n# TYPE x_total counter\n");
}
END_TEST

START_TEST(a_label_value_is_escaped)
{
    prometheus_sample(&out, "x", 1, "pool", "a\"b\\c\nd", "backend", "", NULL);
    ck_assert_str_eq(out.p, "x{pool=\"a\\\"b\\\\c\\nd\",backend=\"\"} 1\n");
}
END_TEST

START_TEST(a_missing_label_value_is_empty)
{
    prometheus_sample(&out, "x", 1, "pool", (const char *)NULL, NULL);
    ck_assert_str_eq(out.p, "x{pool=\"\"} 1\n");
}
END_TEST

START_TEST(numbers_are_written_as_prometheus_reads_them)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 0, "x 0\n" },
        { -1, "x -1\n" },
        { 1e9, "x 1000000000\n" },
        { 0.5, "x 0.5\n" },
        { NAN, "x NaN\n" },
        { INFINITY, "x +Inf\n" },
        { -INFINITY, "x -Inf\n" },
        { 1e300, "x 1e+300\n" },
        { 1767323045.67, "x 1767323045.67\n" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        out.n = 0;
        prometheus_sample(&out, "x", cases[i].v, NULL);
        ck_assert_str_eq(out.p, cases[i].text);
    }
}
END_TEST

/* Reads one exposition line by line and asserts what the format demands. */
struct reader {
    char family[128], type[16];
    char seen[128][128]; /* families that are over */
    unsigned n_seen;
    bool has_type;
    double last_bucket, count;
    unsigned samples;
};

static void read_help(struct reader *r, const char *line)
{
    ck_assert_int_eq(sscanf(line, "# HELP %127s", r->family), 1);
    for (unsigned i = 0; i < r->n_seen; i++)
        ck_assert_str_ne(r->seen[i], r->family);
    ck_assert_uint_lt(r->n_seen, 128);
    (void)strcpy(r->seen[r->n_seen++], r->family);
    r->has_type = false;
    r->last_bucket = 0;
}

static void read_type(struct reader *r, const char *line)
{
    char name[128];

    ck_assert_int_eq(sscanf(line, "# TYPE %127s %15s", name, r->type), 2);
    ck_assert_str_eq(name, r->family);
    ck_assert(!r->has_type);
    ck_assert(strcmp(r->type, "counter") == 0 || strcmp(r->type, "gauge") == 0 || strcmp(r->type, "histogram") == 0);
    r->has_type = true;
}

/* Passes {a="b",...}; the escapes \\ \" \n are the only ones. */
static const char *pass_labels(const char *p)
{
    if (*p != '{')
        return p;
    do {
        p++;
        ck_assert(isalpha((unsigned char)*p) || *p == '_');
        while (isalnum((unsigned char)*p) || *p == '_')
            p++;
        ck_assert_int_eq(*p++, '=');
        ck_assert_int_eq(*p++, '"');
        for (; *p != '"'; p++) {
            ck_assert_int_ne(*p, '\0');
            if (*p == '\\')
                ck_assert_ptr_nonnull(strchr("\\\"n", *++p));
        }
        p++;
    } while (*p == ',');
    ck_assert_int_eq(*p, '}');
    return p + 1;
}

static void read_histogram_sample(struct reader *r, const char *suffix, double v)
{
    if (strncmp(suffix, "_bucket{le=", 11) == 0) {
        ck_assert_msg(v >= r->last_bucket, "%s: buckets are cumulative", r->family);
        r->last_bucket = v;
    } else if (strncmp(suffix, "_count ", 7) == 0) {
        ck_assert_msg(v == r->last_bucket, "%s: count is the +Inf bucket", r->family);
    } else {
        ck_assert_int_eq(strncmp(suffix, "_sum ", 5), 0);
    }
}

static void read_sample(struct reader *r, const char *line)
{
    size_t n = strlen(r->family);
    const char *p = line + n;
    char *rest;
    double v;

    ck_assert_msg(r->has_type && strncmp(line, r->family, n) == 0, "stands with its family: %s", line);
    while (*p == '_' || isalpha((unsigned char)*p))
        p++;
    ck_assert_msg(p == line + n || strcmp(r->type, "histogram") == 0, "%s", line);
    p = pass_labels(p);
    ck_assert_int_eq(*p, ' ');
    v = strtod(p, &rest);
    ck_assert_msg(rest != p && *rest == '\0', "a number: %s", line);
    ck_assert_msg(v >= 0 || strcmp(r->type, "gauge") == 0, "never below zero: %s", line);
    if (strcmp(r->type, "histogram") == 0)
        read_histogram_sample(r, line + n, v);
    r->samples++;
}

static unsigned read_exposition(char *text)
{
    static struct reader r;

    memset(&r, 0, sizeof r);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# HELP ", 7) == 0)
            read_help(&r, line);
        else if (strncmp(line, "# TYPE ", 7) == 0)
            read_type(&r, line);
        else
            read_sample(&r, line);
    }
    return r.samples;
}

static void two_backends(struct buf *o, const char *name, void *arg)
{
    prometheus_sample(o, name, 1, "pool", "a", "backend", "10.0.0.1:80", NULL);
    prometheus_sample(o, name, *(double *)arg, "pool", "we\"ird\\\n", "backend", "unix:/x y", NULL);
}

START_TEST(all_that_is_rendered_is_valid)
{
    double v = 0.25;

    for (int64_t us = 1; us < INT64_C(100000000); us *= 2)
        metric_observe(METRIC_REQUEST_SECONDS, us);
    for (int i = 100; i < 600; i++)
        metric_add_at(METRIC_REQUESTS, metric_status(i), i);
    for (int i = 0; i < ERR_COUNT; i++)
        metric_add_at(METRIC_FAILURES, metric_reason(i), 1);
    metric_add(METRIC_CONNECTIONS, -4);
    prometheus_ask(METRIC_BACKEND_UP, two_backends, &v);
    prometheus_render(&out);
    prometheus_ask(METRIC_BACKEND_UP, NULL, NULL);
    ck_assert(!out.failed);
    ck_assert_uint_gt(read_exposition(out.p), 500);
}
END_TEST

START_TEST(a_row_that_nobody_answers_for_is_left_out)
{
    prometheus_render(&out);
    ck_assert_ptr_null(strstr(out.p, "weir_backend_inflight"));
}
END_TEST

START_TEST(a_status_never_sent_is_not_shown)
{
    prometheus_render(&out);
    ck_assert_ptr_null(strstr(out.p, "code=\"123\""));
}
END_TEST

START_TEST(the_process_tells_of_itself)
{
    static const char *const names[] = { "\nweir_open_fds ", "\nweir_max_fds ", "\nweir_resident_memory_bytes ",
                                         "\nweir_cpu_seconds_total ", "\nweir_start_time_seconds " };

    prometheus_render(&out);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *at = strstr(out.p, names[i]);
        ck_assert_msg(at != NULL, "%s", names[i]);
        ck_assert_double_gt(strtod(at + strlen(names[i]), NULL), 0);
    }
}
END_TEST

Suite *prometheus_suite(void)
{
    Suite *s = suite_create("prometheus");
    TCase *t = tcase_create("prometheus");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_family_has_help_and_type);
    tcase_add_test(t, a_label_value_is_escaped);
    tcase_add_test(t, a_missing_label_value_is_empty);
    tcase_add_test(t, numbers_are_written_as_prometheus_reads_them);
    tcase_add_test(t, a_row_that_nobody_answers_for_is_left_out);
    tcase_add_test(t, a_status_never_sent_is_not_shown);
    tcase_add_test(t, all_that_is_rendered_is_valid);
    tcase_add_test(t, the_process_tells_of_itself);
    suite_add_tcase(s, t);
    return s;
}
