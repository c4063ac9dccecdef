/* metric.c - the rows, the threads that count, and the manual made from the rows. */
#include "base/metric.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

static struct metric_thread shared = { .name = "shared" }; /* last in the list, always there */
static struct metric_thread *threads = &shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* opening, closing and reading; never counting */
_Thread_local struct metric_thread *metric_self = &shared;

static const char *value_of_STATUS(unsigned at, char buf[16])
{
    (void)snprintf(buf, 16, "%u", at + METRIC_STATUS_LEAST);
    return buf;
}

static const char *value_of_REASON(unsigned at, char buf[16])
{
    (void)buf;
    return err_word((int)at);
}

static const char *value_of_SIDE(unsigned at, char buf[16])
{
    static const char *const words[METRIC_N_SIDE] = { "client", "backend" };

    (void)buf;
    return words[at];
}

static const char *value_of_RESULT(unsigned at, char buf[16])
{
    static const char *const words[METRIC_N_RESULT] = { "ok", "failed" };

    (void)buf;
    return words[at];
}

static const char *value_of_PROBE(unsigned at, char buf[16])
{
    static const char *const words[METRIC_N_PROBE] = {
        [METRIC_PROBE_OK] = "ok",           [METRIC_PROBE_REFUSED] = "refused",
        [METRIC_PROBE_TIMEOUT] = "timeout", [METRIC_PROBE_UNREACHABLE] = "unreachable",
        [METRIC_PROBE_CLOSED] = "closed",   [METRIC_PROBE_BAD_ANSWER] = "bad_answer",
        [METRIC_PROBE_STATUS] = "status",   [METRIC_PROBE_BODY] = "body",
        [METRIC_PROBE_TLS] = "tls",         [METRIC_PROBE_LOCAL] = "local",
    };

    (void)buf;
    return words[at];
}

static const char *value_of_REFUSAL(unsigned at, char buf[16])
{
    static const char *const words[METRIC_N_REFUSAL] = {
        [METRIC_REFUSAL_LIMIT] = "connection_limit",    [METRIC_REFUSAL_CLIENT_LIMIT] = "client_connection_limit",
        [METRIC_REFUSAL_NOFILE] = "out_of_descriptors", [METRIC_REFUSAL_NOMEM] = "out_of_memory",
        [METRIC_REFUSAL_DRAINING] = "draining",         [METRIC_REFUSAL_DENIED] = "denied",
    };

    (void)buf;
    return words[at];
}
#define value_of_ONE NULL

const struct metric_row metric_rows[] = {
#define METRIC(k, id, prometheus, label, set, text) \
    { .first = METRIC_##id,                         \
      .kind = METRIC_##k,                           \
      .n_values = METRIC_N_##set,                   \
      .value = value_of_##set,                      \
      .name = prometheus,                           \
      .labels = label,                              \
      .help = text },
#include "base/metrics.def"
#undef METRIC
};
const size_t metric_n_rows = ARRAY_LEN(metric_rows);

int metric_thread_open(const char *name)
{
    struct metric_thread *t;

    MUST(metric_self == &shared);
    t = aligned_alloc(64, sizeof *t);
    if (t == NULL)
        return -ERR_NOMEM;
    memset(t, 0, sizeof *t);
    t->name = name;
    (void)pthread_mutex_lock(&lock);
    t->next = threads;
    threads = t;
    (void)pthread_mutex_unlock(&lock);
    metric_self = t;
    return 0;
}

static void unlink_thread(struct metric_thread *t)
{
    struct metric_thread **p = &threads;

    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
}

void metric_thread_close(void)
{
    struct metric_thread *t = metric_self;

    if (t == &shared)
        return;
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < METRIC_SLOTS; i++)
        (void)atomic_fetch_add_explicit(&shared.slot[i], t->slot[i], memory_order_relaxed);
    unlink_thread(t);
    (void)pthread_mutex_unlock(&lock);
    metric_self = &shared;
    free(t);
}

uint64_t metric_read(enum metric m, unsigned at)
{
    uint64_t sum = 0;

    (void)pthread_mutex_lock(&lock);
    for (struct metric_thread *t = threads; t != NULL; t = t->next)
        sum += atomic_load_explicit(&t->slot[(unsigned)m + at], memory_order_relaxed);
    (void)pthread_mutex_unlock(&lock);
    return sum;
}

void metric_read_all(uint64_t out[METRIC_SLOTS])
{
    memset(out, 0, METRIC_SLOTS * sizeof out[0]);
    (void)pthread_mutex_lock(&lock);
    for (struct metric_thread *t = threads; t != NULL; t = t->next)
        for (size_t i = 0; i < METRIC_SLOTS; i++)
            out[i] += atomic_load_explicit(&t->slot[i], memory_order_relaxed);
    (void)pthread_mutex_unlock(&lock);
}

/* Each bound is at least twice the one before, so no power of two's range holds more than one: see metric_bucket(). */
const int64_t metric_bounds[METRIC_BUCKETS] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
};

/* By the number of bits of `us`: the first bucket that a number of that many bits may belong to. */
static const uint8_t first_bucket[] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 12, 13, 14, 15,
};

unsigned metric_bucket(int64_t us)
{
    unsigned bits, bucket;

    if (us <= metric_bounds[0])
        return 0;
    if (us > metric_bounds[METRIC_BUCKETS - 1])
        return METRIC_BUCKETS;
    bits = 64 - (unsigned)__builtin_clzll((unsigned long long)us);
    bucket = first_bucket[bits];
    return bucket + (us > metric_bounds[bucket]);
}

static const char *kind_word(enum metric_kind kind)
{
    static const char *const words[] = { "counter", "gauge", "histogram", "counter", "gauge" };

    return words[kind];
}

static void write_values(FILE *out, const struct metric_row *row)
{
    char buf[16];

    if (row->value == NULL)
        return;
    (void)fprintf(out, " `%s` is", row->labels);
    if (row->value == value_of_STATUS) {
        (void)fprintf(out, " the status, %d to %d.", METRIC_STATUS_LEAST, METRIC_STATUS_MOST);
        return;
    }
    if (row->value == value_of_REASON) {
        (void)fprintf(out, " one of the reasons below.");
        return;
    }
    for (unsigned i = 0; i < row->n_values; i++)
        (void)fprintf(out, "%s `%s`", i == 0 ? "" : i + 1 == row->n_values ? " or" : ",", row->value(i, buf));
    (void)fprintf(out, ".");
}

static void write_rows(FILE *out)
{
    (void)fprintf(out, "| name | type | labels | what it tells |\n|---|---|---|---|\n");
    for (size_t i = 0; i < metric_n_rows; i++) {
        const struct metric_row *row = &metric_rows[i];
        (void)fprintf(out, "| `%s` | %s | %s | %s", row->name, kind_word(row->kind), row->labels, row->help);
        write_values(out, row);
        (void)fprintf(out, " |\n");
    }
    (void)fprintf(out, "\nUpper bounds of the histograms' buckets, in seconds:");
    for (size_t i = 0; i < METRIC_BUCKETS; i++)
        (void)fprintf(out, " %g,", (double)metric_bounds[i] / 1e6);
    (void)fprintf(out, " +Inf.\n");
}

static void write_reasons(FILE *out)
{
    (void)fprintf(
        out,
        "\n## Reasons\n\n"
        "The same words stand behind `reason` in the access log. A reason without a status never ends an exchange by itself.\n\n"
        "| reason | status | what happened |\n|---|---|---|\n");
    for (int i = 1; i < ERR_COUNT; i++) {
        (void)fprintf(out, "| `%s` | ", err_word(i));
        if (err_http_status(i) != 0)
            (void)fprintf(out, "%d", err_http_status(i));
        (void)fprintf(out, " | %s |\n", err_text(i));
    }
}

void metric_manual(FILE *out)
{
    (void)fprintf(
        out, "# Metrics\n\n"
             "Made from `src/base/metrics.def` by `make docs`; do not edit.\n\n"
             "`GET /metrics` on the admin listener gives them in Prometheus' text format 0.0.4. A label with more than eight\n"
             "values shows only those that were ever counted.\n\n");
    write_rows(out);
    write_reasons(out);
}
