/* h2_conn.c - streams become exchanges; a connection comes, idles and goes. */
#include "proxy/h2_conn.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "http/h2_session.h"
#include "proxy/exchange.h"

enum { LEAVING_MOST = 1000 }; /* idle connections that say goodbye at once, each with a fiber; more are closed after one word */
#define WRITE_PATIENCE (30 * CLOCK_S)

struct h2_conn {
    struct h2_session *session;
    struct conn *conn;
    struct group streams;
    struct list link; /* of the worker's */
    bool leaving;
};

static void stream_run(void *arg)
{
    struct h2_stream *st = arg;
    struct conn *c = st->arg;
    struct arena arena;
    enum exchange_end end;

    fiber_about(&c->peer);
    arena_init(&arena, NULL, 0);
    end = conn_exchange(c, &st->codec, &arena);
    arena_free(&arena);
    h2_stream_free(&st, end == EXCHANGE_ABORT && fiber_cause() != ERR_DEADLINE ? H2_INTERNAL_ERROR : H2_CANCEL);
}

static int on_request(struct h2_session *s, struct h2_stream *st)
{
    struct h2_conn *h = s->arg;
    struct conn *c = h->conn;

    st->arg = c;
    if (conn_must_end(c))
        h2_session_leave(s);
    c->requests++;
    return fiber_go(&h->streams, "stream", stream_run, st);
}

static int on_work(struct h2_session *s)
{
    struct conn *c = ((struct h2_conn *)s->arg)->conn;

    return c->idle ? conn_wake(c) : 0; /* else its fiber is on its way */
}

static const struct h2_owner owner = { .on_request = on_request, .on_work = on_work };

int h2_conn_begin(struct conn *c, struct slice first)
{
    const struct snapshot *conf = c->door->served->serving->conf;
    struct h2_conf h2 = {
        .limits = { .head = (uint32_t)conf->limits.request_header,
                    .line = (uint32_t)conf->limits.request_line,
                    .headers = (uint16_t)conf->limits.headers },
        .streams = conf->limits.streams,
        .head_timeout = conf->timeouts.request_header,
        .write_timeout = WRITE_PATIENCE,
    };
    struct h2_conn *h = calloc(1, sizeof *h);

    if (h == NULL)
        return -ERR_NOMEM;
    h->conn = c;
    h->session = h2_session_new(&c->stream, true, &h2, &owner, h);
    if (h->session == NULL) {
        free(h);
        return -ERR_NOMEM;
    }
    group_init(&h->streams);
    list_init(&h->link);
    list_push_back(&worker_self->h2, &h->link);
    c->h2 = h;
    h2_session_feed(h->session, first.p, first.n);
    return 0;
}

static void tell_calmed(const struct conn *c, const struct h2_session *s)
{
    char client[IP_TEXT_MAX];
    int n = (int)ip_format(&c->peer, client);

    metric_add(METRIC_H2_CALMED, 1);
    log_every_second(LOG_LEVEL_WARN, "h2.calmed", "client=%.*s why=%s requests=%u", n, client, s->calm_why, c->requests);
}

static void h2_conn_free(struct h2_conn *h)
{
    if (h->leaving)
        worker_self->n_leaving--;
    h->conn->h2 = NULL;
    list_remove(&h->link);
    h2_session_free(&h->session);
    free(h);
}

/* No more bytes come or go.  Exchanges that still run find out. */
static void end(struct conn *c, int rc)
{
    struct h2_conn *h = c->h2;
    bool gently = rc == -ERR_CLOSED && (h->session->calmed || pd_may_read(&c->stream.pd)); /* bytes of its may still come */

    (void)fiber_shield(true);
    if (h->session->calmed)
        tell_calmed(c, h->session);
    group_cancel(&h->streams, ERR_CLIENT_RESET); /* as those have been told that watch */
    (void)group_join(&h->streams, CLOCK_NEVER);
    h2_conn_free(h);
    if (gently)
        conn_close_gently(c);
    else
        conn_free(&c, false);
}

void h2_conn_run(struct conn *c)
{
    struct h2_conn *h = c->h2;
    int rc;

    if (conn_must_end(c))
        h2_session_leave(h->session);
    rc = h2_session_run(h->session);
    if (rc == -ERR_CANCELED) { /* the proxy stops: what runs is called off, and says so to its client */
        (void)fiber_shield(true);
        h2_session_goodbye(h->session);
        group_cancel(&h->streams, fiber_cause());
        rc = h2_session_run(h->session);
    }
    if (rc == 0 && conn_go_idle(c))
        return;
    if (rc == 0) {
        h2_session_goodbye(h->session);
        h2_session_break(h->session, -ERR_CLOSED);
        rc = -ERR_CLOSED;
    }
    end(c, rc);
}

void h2_conn_leave(struct conn *c)
{
    struct h2_conn *h = c->h2;

    if (!h->leaving && worker_self->n_leaving < LEAVING_MOST) {
        h->leaving = true;
        worker_self->n_leaving++;
        h2_session_leave(h->session);
    }
    if (!c->idle)
        return;
    /* It got no fiber. */
    h2_session_goodbye(h->session);
    h2_conn_free(h);
    c->idle = false;
    conn_free(&c, false);
}

void h2_conns_leave(struct worker *w)
{
    LIST_EACH_SAFE(&w->h2, it)
    {
        struct h2_conn *h = LIST_ITEM(it, struct h2_conn, link);
        if (!h->leaving && conn_must_end(h->conn))
            h2_conn_leave(h->conn);
    }
}
