/* renewal.c - looks at files, renews what is behind them, rotates the keys of tickets. */
#include "daemon/renewal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/log.h"
#include "base/metric.h"
#include "conf/snapshot.h"
#include "daemon/supervisor.h"
#include "net/tls_ctx.h"

#define LOOK_EVERY CLOCK_S
#define DAY        ((int64_t)24 * 3600)

static struct tls_party *party_at(const struct snapshot *conf, size_t i)
{
    return i < conf->n_listeners ? conf->listeners[i].tls_party : conf->pools[i - conf->n_listeners].tls_party;
}

static size_t n_parties(const struct snapshot *conf) { return conf->n_listeners + conf->n_pools; }
static const char *kind_of(const struct tls_party *p) { return tls_party_is_server(p) ? "listener" : "pool"; }

static void on_problem(void *arg, const struct tls_problem *p)
{
    const struct tls_party *party = arg;
    char quoted[600];

    log_event(p->fatal ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, p->fatal ? "tls.refused" : "tls.warning", "%s=%s key=%s why=%s",
              kind_of(party), tls_party_name(party), p->key, log_quote(quoted, sizeof quoted, slice_str(p->text)));
}

/* On the thread's own stack: reading certificates needs more than a fiber has. */
struct look {
    struct tls_party *party;
    struct tls_ctx *old; /* that was in effect; NULL: nothing new is */
    bool tried;
};

static void look_called(void *arg)
{
    struct look *l = arg;

    if (!tls_party_is_stale(l->party))
        return;
    l->tried = true;
    l->old = tls_party_renew(l->party, on_problem, l->party);
}

static void look_at(struct supervisor *s, struct tls_party *p)
{
    struct look l = { .party = p };

    fiber_on_thread_stack(look_called, &l);
    if (!l.tried)
        return;
    metric_add_at(METRIC_TLS_RENEWALS, l.old != NULL ? METRIC_RESULT_OK : METRIC_RESULT_FAILED, 1);
    if (l.old == NULL) {
        log_error("tls.not_renewed", "%s=%s what was read before goes on", kind_of(p), tls_party_name(p));
        return;
    }
    log_info("tls.renewed", "%s=%s", kind_of(p), tls_party_name(p));
    crew_settle(&s->crew);
    health_thread_settle(&s->health); /* from here on nobody is about to take the old one */
    tls_ctx_unref(&l.old);
}

void renewal_look(struct supervisor *s)
{
    if (fiber_mutex_lock(&s->changing, CLOCK_NEVER) < 0) /* no reload takes the configuration away meanwhile */
        return;
    for (size_t i = 0; i < n_parties(s->conf); i++)
        if (party_at(s->conf, i) != NULL)
            look_at(s, party_at(s->conf, i));
    fiber_mutex_unlock(&s->changing);
}

static void watch(void *arg)
{
    fiber_doing("watching certificates");
    while (fiber_sleep(clock_now() + LOOK_EVERY) == 0)
        renewal_look(arg);
}

static bool has_tls(const struct snapshot *conf)
{
    for (size_t i = 0; i < n_parties(conf); i++)
        if (party_at(conf, i) != NULL)
            return true;
    return false;
}

/* Looks often enough that a reload which shortens the interval is heeded. */
static void rotate(void *arg)
{
    struct supervisor *s = arg;
    int64_t last = clock_now();

    fiber_doing("rotating the keys of tickets");
    for (;;) {
        int64_t next = clock_after(last, s->conf->daemon.ticket_rotation), look = clock_now() + LOOK_EVERY;
        if (fiber_sleep(next < look ? next : look) < 0)
            return;
        if (clock_now() < clock_after(last, s->conf->daemon.ticket_rotation))
            continue;
        last = clock_now();
        if (has_tls(s->conf))
            tls_tickets_rotate();
    }
}

int renewal_start(struct supervisor *s)
{
    int rc = fiber_go(&s->group, "renewal", watch, s);

    return rc < 0 ? rc : fiber_go(&s->group, "tickets", rotate, s);
}

static void list_certificate(const struct tls_party *p, const struct tls_certificate_info *c, struct buf *out)
{
    int64_t now = clock_wall() / CLOCK_S;
    struct date d;

    date_of(c->not_after, &d);
    buf_printf(out, "%s %s: %s expires %04d-%02d-%02d", kind_of(p), tls_party_name(p), c->path, d.year, d.month, d.day);
    if (c->not_after <= now)
        buf_add(out, ", it has expired");
    else
        buf_printf(out, ", in %lld days", (long long)((c->not_after - now) / DAY));
    for (size_t i = 0; i < c->n_names && i < 8; i++)
        buf_printf(out, "%s%s", i == 0 ? "; " : ", ", c->names[i]);
    buf_add(out, c->n_names > 8 ? ", ...\n" : "\n");
}

void renewal_list(const struct snapshot *conf, struct buf *out)
{
    struct tls_certificate_info c;

    for (size_t i = 0; i < n_parties(conf); i++)
        if (party_at(conf, i) != NULL && tls_party_svid(party_at(conf, i)) != NULL)
            buf_printf(out, "%s %s: its identity comes from the Workload API at %s\n", kind_of(party_at(conf, i)),
                       tls_party_name(party_at(conf, i)), conf->daemon.workload_api);
    for (size_t i = 0; i < n_parties(conf); i++)
        for (size_t k = 0; party_at(conf, i) != NULL && tls_party_certificate(party_at(conf, i), k, &c); k++)
            list_certificate(party_at(conf, i), &c, out);
}
