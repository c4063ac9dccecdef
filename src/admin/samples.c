/* samples.c - reads the counters of others when Prometheus asks. */
#include "admin/samples.h"

#include <string.h>

#include "base/version.h"
#include "conf/snapshot.h"
#include "fiber/sched.h"
#include "net/tls_ctx.h"
#include "observe/prometheus.h"
#include "upstream/pool.h"

static void view_of(void *arg, struct admin_view *v)
{
    const struct admin_host *host = arg;

    host->view(host->arg, v);
}

static double backend_value(const struct backend *b, enum metric m)
{
    switch ((int)m) {
    case METRIC_BACKEND_UP: return backend_weight(b) > 0 && backend_out(b) == 0 ? 1 : 0;
    case METRIC_BACKEND_WEIGHT: return backend_weight(b);
    case METRIC_BACKEND_CHANGES: return atomic_load_explicit(&b->changes, memory_order_relaxed);
    case METRIC_BACKEND_INFLIGHT: return backend_inflight(b);
    case METRIC_BACKEND_CONNECTIONS: return backend_connections(b);
    case METRIC_BACKEND_IDLE: return atomic_load_explicit(&b->n_idle, memory_order_relaxed);
    case METRIC_BACKEND_REQUESTS: return (double)atomic_load_explicit(&b->requests, memory_order_relaxed);
    default: return (double)atomic_load_explicit(&b->failures, memory_order_relaxed);
    }
}

static void backends(struct buf *out, const char *name, void *arg, enum metric m)
{
    struct admin_view v;

    view_of(arg, &v);
    for (size_t i = 0; i < v.conf->n_pools; i++) {
        const struct pool_set *set = pool_set_now(v.pools[i]);
        for (size_t j = 0; j < set->n_members; j++) {
            const struct backend *b = set->members[j];
            prometheus_sample(out, name, backend_value(b, m), "pool", b->pool_name, "backend", b->name, NULL);
        }
    }
}

static void states(struct buf *out, const char *name, void *arg)
{
    struct admin_view v;

    view_of(arg, &v);
    for (size_t i = 0; i < v.conf->n_pools; i++) {
        const struct pool_set *set = pool_set_now(v.pools[i]);
        for (size_t j = 0; j < set->n_members; j++) {
            const struct backend *b = set->members[j];
            const char *word = backend_state_word((enum backend_state)atomic_load(&b->state));
            prometheus_sample(out, name, 1, "pool", b->pool_name, "backend", b->name, "state", word, NULL);
        }
    }
}

static void panics(struct buf *out, const char *name, void *arg)
{
    struct admin_view v;

    view_of(arg, &v);
    for (size_t i = 0; i < v.conf->n_pools; i++)
        prometheus_sample(out, name, pool_set_now(v.pools[i])->panic, "pool", v.conf->pools[i].name, NULL);
}

static double sched_value(const struct sched_stats *s, enum metric m)
{
    switch ((int)m) {
    case METRIC_FIBERS: return s->fibers;
    case METRIC_FIBERS_READY: return s->ready;
    case METRIC_FIBERS_STARTED: return (double)s->started;
    case METRIC_FIBERS_STOLEN: return (double)s->stolen;
    case METRIC_SCHED_TURNS: return (double)s->turns;
    case METRIC_SCHED_SWITCHES: return (double)s->switches;
    default: return (double)s->polls;
    }
}

static void schedulers(struct buf *out, const char *name, void *arg, enum metric m)
{
    struct admin_view v;
    struct sched_stats s;

    view_of(arg, &v);
    for (unsigned i = 0; i < v.n_scheds; i++) {
        sched_stats_get(v.scheds[i], &s);
        prometheus_sample(out, name, sched_value(&s, m), "thread", sched_name(v.scheds[i]), NULL);
    }
}

static void stacks(struct buf *out, const char *name, void *arg)
{
    struct admin_view v;
    struct sched_stats s;

    view_of(arg, &v);
    for (unsigned i = 0; i < v.n_scheds; i++) {
        const char *thread = sched_name(v.scheds[i]);
        sched_stats_get(v.scheds[i], &s);
        prometheus_sample(out, name, s.stacks_warm, "thread", thread, "state", "warm", NULL);
        prometheus_sample(out, name, s.stacks_cold, "thread", thread, "state", "cold", NULL);
        prometheus_sample(out, name, s.stacks_unguarded, "thread", thread, "state", "unguarded", NULL);
    }
}

static void loaded(struct buf *out, const char *name, void *arg)
{
    struct admin_view v;

    view_of(arg, &v);
    prometheus_sample(out, name, (double)v.loaded / 1e6, NULL);
}

static bool is_repeated(const struct tls_party *p, size_t i)
{
    struct tls_certificate_info c, before;

    for (size_t k = 0; tls_party_certificate(p, i, &c) && k < i; k++)
        if (tls_party_certificate(p, k, &before) && strcmp(before.path, c.path) == 0)
            return true;
    return false;
}

static void expiry_of(struct buf *out, const char *name, const char *side, const struct tls_party *p)
{
    struct tls_certificate_info c;

    for (size_t i = 0; p != NULL && tls_party_certificate(p, i, &c); i++)
        if (!is_repeated(p, i))
            prometheus_sample(out, name, (double)c.not_after, "side", side, "of", tls_party_name(p), "file", c.path, NULL);
}

static void expiry(struct buf *out, const char *name, void *arg)
{
    struct admin_view v;

    view_of(arg, &v);
    for (size_t i = 0; i < v.conf->n_listeners; i++)
        expiry_of(out, name, "client", v.conf->listeners[i].tls_party);
    for (size_t i = 0; i < v.conf->n_pools; i++)
        expiry_of(out, name, "backend", v.conf->pools[i].tls_party);
}

static void missing_of(struct buf *out, const char *name, const char *side, const struct tls_party *p)
{
    if (p != NULL && tls_party_svid(p) != NULL)
        prometheus_sample(out, name, tls_party_now(p)->waits, "side", side, "of", tls_party_name(p), NULL);
}

static void svid_missing(struct buf *out, const char *name, void *arg)
{
    struct admin_view v;

    view_of(arg, &v);
    for (size_t i = 0; i < v.conf->n_listeners; i++)
        missing_of(out, name, "client", v.conf->listeners[i].tls_party);
    for (size_t i = 0; i < v.conf->n_pools; i++)
        missing_of(out, name, "backend", v.conf->pools[i].tls_party);
}

static void build_info(struct buf *out, const char *name, void *arg)
{
    (void)arg;
    prometheus_sample(out, name, 1, "version", version_text, "compiler", version_compiler, NULL);
}

/* One source a row, since a source is told its family's name and not its row. */
#define OF_BACKENDS(X) \
    X(BACKEND_UP)      \
    X(BACKEND_WEIGHT)  \
    X(BACKEND_CHANGES) X(BACKEND_INFLIGHT) X(BACKEND_CONNECTIONS) X(BACKEND_IDLE) X(BACKEND_REQUESTS) X(BACKEND_FAILURES)
#define OF_SCHEDULERS(X) \
    X(FIBERS) X(FIBERS_READY) X(FIBERS_STARTED) X(FIBERS_STOLEN) X(SCHED_TURNS) X(SCHED_SWITCHES) X(SCHED_POLLS)
#define X(m) \
    static void ask_##m(struct buf *out, const char *name, void *arg) { backends(out, name, arg, METRIC_##m); }
OF_BACKENDS(X)
#undef X
#define X(m) \
    static void ask_##m(struct buf *out, const char *name, void *arg) { schedulers(out, name, arg, METRIC_##m); }
OF_SCHEDULERS(X)
#undef X

static const struct {
    enum metric m;
    prometheus_source *fn;
} sources[] = {
#define X(m) { METRIC_##m, ask_##m },
    OF_BACKENDS(X) OF_SCHEDULERS(X)
#undef X
        { METRIC_BACKEND_STATE, states },
    { METRIC_POOL_PANIC, panics },
    { METRIC_STACKS, stacks },
    { METRIC_TLS_EXPIRY, expiry },
    { METRIC_SVID_MISSING, svid_missing },
    { METRIC_RELOAD_TIME, loaded },
    { METRIC_BUILD_INFO, build_info },
};

void samples_register(const struct admin_host *host)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        prometheus_ask(sources[i].m, sources[i].fn, (void *)(uintptr_t)host);
}

void samples_forget(void)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        prometheus_ask(sources[i].m, NULL, NULL);
}
