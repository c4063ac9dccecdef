/* status.c - process, listeners, pools. */
#include "admin/status.h"

#include <unistd.h>

#include "admin/text.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/version.h"
#include "conf/snapshot.h"
#include "upstream/pool.h"

static uint64_t requests_answered(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < METRIC_N_STATUS; i++)
        n += metric_read(METRIC_REQUESTS, i);
    return n;
}

static void process(const struct admin_view *v, struct buf *out)
{
    int64_t now = clock_wall();

    buf_printf(out, "weir %s, process %d, %s, up ", version_text, (int)getpid(), v->draining ? "draining" : "serving");
    text_duration(out, now - v->started);
    buf_printf(out, "\nconfiguration  %s, loaded ", v->conf->path);
    text_duration(out, now - v->loaded);
    buf_printf(out, " ago\nworkers        %u\nconnections    %u of %u, %lld tunnels\nrequests       %llu\n", v->n_workers,
               v->connections, v->connections_most, (long long)(int64_t)metric_read(METRIC_TUNNELS, 0),
               (unsigned long long)requests_answered());
}

static void listeners(const struct snapshot *conf, struct buf *out)
{
    buf_add(out, "\nlisteners\n");
    for (size_t i = 0; i < conf->n_listeners; i++) {
        const struct listener_conf *l = &conf->listeners[i];
        buf_printf(out, "  %-20s %s %s", l->name, l->mode == LISTENER_TCP ? "tcp " : "http", l->bind_text);
        if (l->pool != NULL)
            buf_printf(out, " -> %s", l->pool->name);
        buf_add_char(out, '\n');
    }
}

static void backend(const struct backend *b, struct buf *out)
{
    const char *state = backend_state_word((enum backend_state)atomic_load(&b->state));

    buf_printf(out, "  %-28s %-10s %6u %9u %6u %6u %12llu %9llu%s\n", b->name, state, backend_weight(b), backend_inflight(b),
               backend_connections(b), atomic_load(&b->n_idle), (unsigned long long)atomic_load(&b->requests),
               (unsigned long long)atomic_load(&b->failures), atomic_load(&b->level) > 0 ? "  backup" : "");
}

static void pool(const struct pool *p, struct buf *out)
{
    const struct pool_set *set = pool_set_now(p);

    buf_printf(out, "\npool %s, %s\n", p->conf->name, p->conf->strategy_name);
    buf_printf(out, "  %-28s %-10s %6s %9s %6s %6s %12s %9s\n", "backend", "state", "weight", "in flight", "conns", "idle",
               "requests", "failures");
    for (size_t i = 0; i < set->n_members; i++)
        backend(set->members[i], out);
}

void status_page(const struct admin_view *v, struct buf *out)
{
    process(v, out);
    listeners(v->conf, out);
    for (size_t i = 0; i < v->conf->n_pools; i++)
        pool(v->pools[i], out);
}
