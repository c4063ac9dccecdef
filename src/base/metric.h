/*
 * metric.h - counting without locks: each thread has its own counters, summed when somebody reads.
 *
 * Every metric is a row of metrics.def.  METRIC_X is the first of its row's slots: a row with a label has one slot a value,
 * a histogram one a bucket and one for the sum.
 *
 * Promise: metric_add() is a load, an add and a store to a cache line of the own thread.
 * A thread that has not called metric_thread_open() counts into slots that it shares with others like it; they may lose
 * counts among themselves, so whoever counts often opens its own.
 * Threads: any.  Memory: a thread's slots are its own until metric_thread_close(), which adds them to the shared ones.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* The closed sets of label values: X(name of the set, how many). */
#define METRIC_STATUS_LEAST 100
#define METRIC_STATUS_MOST  599
enum metric_side { METRIC_SIDE_CLIENT, METRIC_SIDE_BACKEND, METRIC_N_SIDE };
enum metric_result { METRIC_RESULT_OK, METRIC_RESULT_FAILED, METRIC_N_RESULT };
enum metric_refusal {
    METRIC_REFUSAL_LIMIT,
    METRIC_REFUSAL_CLIENT_LIMIT,
    METRIC_REFUSAL_NOFILE,
    METRIC_REFUSAL_NOMEM,
    METRIC_REFUSAL_DRAINING,
    METRIC_REFUSAL_DENIED,
    METRIC_N_REFUSAL
};
enum metric_probe { /* the order of enum probe_result (health/check_type.h) */
    METRIC_PROBE_OK,
    METRIC_PROBE_REFUSED,
    METRIC_PROBE_TIMEOUT,
    METRIC_PROBE_UNREACHABLE,
    METRIC_PROBE_CLOSED,
    METRIC_PROBE_BAD_ANSWER,
    METRIC_PROBE_STATUS,
    METRIC_PROBE_BODY,
    METRIC_PROBE_TLS,
    METRIC_PROBE_LOCAL,
    METRIC_N_PROBE
};
enum {
    METRIC_N_ONE = 1,
    METRIC_N_STATUS = METRIC_STATUS_MOST - METRIC_STATUS_LEAST + 1, /* value: metric_status() */
    METRIC_N_REASON = ERR_COUNT,                                    /* value: metric_reason() */
};

#define METRIC_BUCKETS                  16 /* with an upper bound; one more is +Inf */
#define METRIC_SLOTS_COUNTER(set)       METRIC_N_##set
#define METRIC_SLOTS_GAUGE(set)         METRIC_N_##set
#define METRIC_SLOTS_ASKED_COUNTER(set) 1
#define METRIC_SLOTS_ASKED_GAUGE(set)   1
#define METRIC_SLOTS_HISTOGRAM(set)     (METRIC_BUCKETS + 2)

enum metric {
#define METRIC(kind, name, prometheus, label, set, help) \
    METRIC_##name, METRIC_LAST_##name = METRIC_##name + METRIC_SLOTS_##kind(set) - 1,
#include "base/metrics.def"
#undef METRIC
    METRIC_SLOTS
};

struct metric_thread {
    _Alignas(64) _Atomic uint64_t slot[METRIC_SLOTS];
    const char *name;
    struct metric_thread *next;
};
extern _Thread_local struct metric_thread *metric_self;

/* Gives the calling thread its own slots.  `name` must outlive it.  -ERR_NOMEM: it goes on with the shared ones. */
int metric_thread_open(const char *name);
void metric_thread_close(void);

/* `at` is a value of the row's label; n may be negative for a gauge. */
static inline void metric_add_at(enum metric m, unsigned at, int64_t n)
{
    _Atomic uint64_t *slot = &metric_self->slot[(unsigned)m + at];

    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + (uint64_t)n, memory_order_relaxed);
}
static inline void metric_add(enum metric m, int64_t n) { metric_add_at(m, 0, n); }

static inline unsigned metric_status(int status)
{
    return status < METRIC_STATUS_LEAST || status > METRIC_STATUS_MOST ? 500 - METRIC_STATUS_LEAST
                                                                       : (unsigned)status - METRIC_STATUS_LEAST;
}
/* Either sign; what is no code of the enum counts as internal. */
static inline unsigned metric_reason(int code)
{
    return code <= -ERR_COUNT || code >= ERR_COUNT ? ERR_INTERNAL : (unsigned)(code < 0 ? -code : code);
}

extern const int64_t metric_bounds[METRIC_BUCKETS]; /* microseconds; a value that equals a bound is below it */
unsigned metric_bucket(int64_t us);
static inline void metric_observe(enum metric m, int64_t us)
{
    metric_add_at(m, metric_bucket(us), 1);
    metric_add_at(m, METRIC_BUCKETS + 1, us > 0 ? us : 0);
}

/* Reading. */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_ASKED_COUNTER, METRIC_ASKED_GAUGE };
struct metric_row {
    enum metric first;
    enum metric_kind kind;
    unsigned n_values;                               /* of the label; 1 without one */
    const char *(*value)(unsigned at, char buf[16]); /* NULL: no label of a closed set */
    const char *name, *labels, *help;
};
extern const struct metric_row metric_rows[];
extern const size_t metric_n_rows;

/* The sum over all threads, of one slot or of all. */
uint64_t metric_read(enum metric m, unsigned at);
void metric_read_all(uint64_t out[METRIC_SLOTS]);

/* Writes docs/metrics.md. */
void metric_manual(FILE *out);
#endif
