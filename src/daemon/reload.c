/* reload.c - build aside, then swap. */
#include "daemon/reload.h"

#include <stdlib.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/conf_key.h"
#include "base/metric.h"
#include "conf/load.h"
#include "daemon/lines.h"
#include "daemon/supervisor.h"
#include "daemon/systemd.h"
#include "observe/access_log.h"
#include "proxy/worker.h"

/* A configuration on its way in. */
struct attempt {
    struct supervisor *s;
    struct buf *out;
    struct snapshot *conf;
    struct listener_set *listeners;
    struct serving *serving;
    uint32_t connections;
    int rc;
};

static int load(struct attempt *a)
{
    struct conf_report report;
    int rc = conf_load(a->s->path, &a->conf, &report);

    if (report.text != NULL)
        buf_add(a->out, report.text);
    else if (rc < 0)
        buf_printf(a->out, "%s: %s\n", a->s->path, err_text(rc));
    conf_report_free(&report);
    return rc;
}

/* Keys that are only read at the start. */
static void warn_of_fixed(struct attempt *a)
{
    const struct daemon_conf *was = &a->s->boot->daemon, *is = &a->conf->daemon;
    const struct {
        const char *key;
        bool same;
    } fixed[] = {
        { "workers", was->workers == is->workers },
        { "user", conf_same_text(was->user, is->user) },
        { "control", conf_same_text(was->control, is->control) },
        { "admin", conf_same_text(was->admin, is->admin) },
        { "pid_file", conf_same_text(was->pid_file, is->pid_file) },
    };

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (!fixed[i].same)
            buf_printf(a->out, "warning: daemon.%s stays as it was at the start; restart to change it\n", fixed[i].key);
}

static int set_access_log(const struct snapshot *from, const struct snapshot *to, struct buf *out)
{
    int rc;

    if (conf_same_text(from->log.access, to->log.access) && from->log.format == to->log.format)
        return 0;
    rc = access_log_reconfigure(to->log.access, (enum access_format)to->log.format);
    if (rc < 0)
        buf_printf(out, "log.access: %s can't be opened: %s\n", to->log.access, strerror(errno));
    return rc;
}

static int fit(struct attempt *a)
{
    size_t before = a->out->n;
    int rc = limits_connections(a->conf->limits.connections, &a->s->room, &a->connections, a->out);

    if (a->out->n > before)
        buf_add_char(a->out, '\n');
    return rc;
}

static int open_listeners(struct attempt *a)
{
    struct buf why = { 0 };
    int rc = listener_set_open(a->conf, a->s->listeners, a->s->crew.n, &a->listeners, &why);

    if (rc < 0 && why.n > 0)
        buf_add_slice(a->out, buf_slice(&why));
    else if (rc < 0)
        buf_printf(a->out, "%s\n", err_text(rc));
    buf_free(&why);
    return rc;
}

/* Everything that can fail.  The access log comes last but one, since it can't be undone for sure; then only memory can miss. */
static int build(struct attempt *a)
{
    int rc = load(a);

    if (rc < 0)
        return rc;
    rc = fit(a);
    if (rc < 0)
        return rc;
    warn_of_fixed(a);
    rc = open_listeners(a);
    if (rc < 0)
        return rc;
    rc = set_access_log(a->s->conf, a->conf, a->out);
    if (rc < 0)
        return rc;
    a->serving = serving_new(a->conf, a->s->crew.n, a->s->serving);
    if (a->serving != NULL)
        return 0;
    serving_undo(a->s->serving);
    buf_add(a->out, "out of memory\n");
    (void)set_access_log(a->conf, a->s->conf, a->out);
    return -ERR_NOMEM;
}

/* On the thread's own stack: parsing needs more than a fiber has. */
static void build_called(void *arg)
{
    struct attempt *a = arg;

    a->rc = build(a);
}

/* ---- what has changed ---- */

/* All backends of a serving, sorted by address: the same server is the same object in both. */
struct all_backends {
    struct backend **v;
    size_t n;
};

static int by_pointer(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (struct backend *const *)a, y = (uintptr_t) * (struct backend *const *)b;

    return (x > y) - (x < y);
}

static bool members_of(const struct serving *s, struct all_backends *m)
{
    size_t n = 0;

    for (size_t i = 0; i < s->conf->n_pools; i++)
        n += pool_set_now(s->pools[i])->n_members;
    m->n = 0;
    m->v = calloc(n + 1, sizeof(struct backend *));
    if (m->v == NULL)
        return false;
    for (size_t i = 0; i < s->conf->n_pools; i++) {
        const struct pool_set *set = pool_set_now(s->pools[i]);
        memcpy(&m->v[m->n], set->members, set->n_members * sizeof *m->v);
        m->n += set->n_members;
    }
    qsort(m->v, m->n, sizeof m->v[0], by_pointer);
    return true;
}

static bool has(const struct all_backends *m, struct backend *b)
{
    return bsearch(&b, m->v, m->n, sizeof m->v[0], by_pointer) != NULL;
}

/* Backends of `new` that `old` doesn't have. */
static size_t count_new(const struct all_backends *old, const struct all_backends *new)
{
    size_t n = 0;

    for (size_t i = 0; i < new->n; i++)
        n += !has(old, new->v[i]);
    return n;
}

static void tell_listeners(struct buf *out, char sign, const struct snapshot *these, const struct snapshot *those)
{
    for (size_t i = 0; i < these->n_listeners; i++)
        if (snapshot_listener(those, these->listeners[i].name) == NULL)
            buf_printf(out, " %c%s", sign, these->listeners[i].name);
}

static void tell(struct attempt *a, size_t n_added, size_t n_removed)
{
    const struct snapshot *was = a->s->conf, *is = a->conf;

    buf_printf(a->out, "listeners %zu", is->n_listeners);
    tell_listeners(a->out, '+', is, was);
    tell_listeners(a->out, '-', was, is);
    buf_printf(a->out, "; routes %zu, were %zu; pools %zu, were %zu; backends +%zu -%zu\n", is->n_routes, was->n_routes,
               is->n_pools, was->n_pools, n_added, n_removed);
}

static void tell_called(void *arg)
{
    struct attempt *a = arg;
    struct all_backends old = { 0 }, new = { 0 };

    if (members_of(a->s->serving, &old) && members_of(a->serving, &new))
        tell(a, count_new(&old, &new), count_new(&new, &old));
    free(old.v);
    free(new.v);
}

/* ---- the swap ---- */

static void swap(struct attempt *a)
{
    struct supervisor *s = a->s;
    struct snapshot *old_conf = s->conf;
    struct serving *old_serving = s->serving;
    struct listener_set *old_listeners = s->listeners;

    fiber_on_thread_stack(tell_called, a);
    limits_apply(a->connections, &s->room);
    log_set_level((enum log_level)a->conf->log.level);
    health_thread_adopt(&s->health, a->serving->pools, a->conf->n_pools, false); /* retires backends that no pool has any more */
    crew_publish(&s->crew, a->serving, a->listeners);
    s->conf = a->conf;
    s->serving = a->serving;
    s->listeners = a->listeners;
    s->loaded = clock_wall();
    serving_unref(&old_serving);
    listener_set_unref(&old_listeners);
    snapshot_unref(&old_conf);
}

static void give_up(struct attempt *a)
{
    if (a->serving != NULL)
        serving_unref(&a->serving);
    if (a->listeners != NULL)
        listener_set_unref(&a->listeners);
    if (a->conf != NULL)
        snapshot_unref(&a->conf);
}

static int reload_alone(struct supervisor *s, struct buf *out)
{
    struct attempt a = { .s = s, .out = out };
    int64_t began = clock_now();

    if (s->state != SUPERVISOR_SERVING) {
        buf_add(out, "not now: the process is draining\n");
        return -ERR_CANCELED;
    }
    systemd_reloading();
    fiber_doing("loading the configuration");
    fiber_on_thread_stack(build_called, &a);
    if (a.rc == 0) {
        fiber_doing("publishing the configuration");
        swap(&a);
        metric_add_at(METRIC_RELOADS, METRIC_RESULT_OK, 1);
        log_info("reload.done", "file=%s took_ms=%.1f", s->path, (double)(clock_now() - began) / 1e3);
        systemd_ready("serving");
        return 0;
    }
    give_up(&a);
    metric_add_at(METRIC_RELOADS, METRIC_RESULT_FAILED, 1);
    log_error("reload.failed", "file=%s the running configuration goes on", s->path);
    systemd_ready(out->n > 0 && !out->failed ? out->p : err_text(a.rc));
    return a.rc;
}

int reload_run(struct supervisor *s, struct buf *out)
{
    bool shielded = fiber_shield(true); /* what has begun is finished */
    int64_t began = clock_now();
    size_t before;
    int rc;

    (void)fiber_mutex_lock(&s->changing, CLOCK_NEVER);
    before = out->n;
    rc = reload_alone(s, out);
    fiber_mutex_unlock(&s->changing);
    (void)fiber_shield(shielded);
    if (!out->failed)
        lines_log(rc < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, rc < 0 ? "reload.error" : "reload.report",
                  slice_of(out->p + before, out->n - before));
    if (rc < 0)
        buf_add(out, "nothing was changed\n");
    else
        buf_printf(out, "in effect after %.1f ms\n", (double)(clock_now() - began) / 1e3);
    return rc;
}

static void reload_by_signal(void *arg)
{
    struct supervisor *s = arg;
    struct buf out = { 0 };

    s->reload_asked = false; /* a signal from now on means a newer file */
    (void)reload_run(s, &out);
    buf_free(&out);
}

void reload_ask(struct supervisor *s)
{
    if (s->reload_asked)
        return;
    s->reload_asked = true;
    if (fiber_go(&s->group, "reload", reload_by_signal, s) < 0) {
        s->reload_asked = false;
        log_error("reload.failed", "reason=%s", err_word(-ERR_NOMEM));
    }
}
