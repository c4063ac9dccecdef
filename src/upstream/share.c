/* share.c - finding room for a stream, and the life of a shared connection. */
#include "upstream/share.h"

#include <stdlib.h>

#include "base/metric.h"
#include "base/must.h"
#include "net/scratch.h"
#include "net/stream_tls.h"
#include "upstream/lease.h"

enum {
    STREAMS_MOST = 256,     /* at once on a connection, if the backend allows it */
    RESPONSE_HEADERS = 512, /* fields; bytes are judged by who reads them */
};
#define PING_AFTER    (5 * CLOCK_S)
#define PING_TIMEOUT  (5 * CLOCK_S)
#define WRITE_TIMEOUT (30 * CLOCK_S)

#define SHARE_MAGIC   0x53484152u
struct share {
    uint32_t magic;
    bool running; /* a fiber works for it */
    bool dead;
    bool outdated; /* it ends with its last stream */
    struct backend_conn *conn;
    struct h2_session *session;
    struct list link;   /* of the worker's at that backend, until it is dead or outdated */
    struct list in_all; /* of the worker's */
    struct timer timer; /* closes it when it has idled enough */
    int64_t keep_for;
    uint32_t keep_most;
};

static _Thread_local struct list all_shares;

static struct list *all_of_worker(void)
{
    if (all_shares.next == NULL)
        list_init(&all_shares);
    return &all_shares;
}

static struct backend_worker *mine(struct backend *b) { return &b->worker[worker_index()]; }

/* ---- the end ---- */

static void share_free(struct share *s)
{
    timer_disarm(&s->timer);
    s->conn->stream.pd.on_readable = NULL;
    list_remove(&s->link);
    list_remove(&s->in_all);
    h2_session_free(&s->session);
    backend_conn_close(&s->conn);
    s->magic = 0;
    free(s);
}

static void free_if_done(struct share *s)
{
    if (s->dead && !s->running && s->session->n_streams == 0)
        share_free(s);
}

/* An idle one. */
static void drop(struct share *s)
{
    h2_session_goodbye(s->session);
    share_free(s);
}

/* ---- life ---- */

static void share_run(void *arg);

static int start(struct share *s)
{
    if (s->running)
        return 0;
    if (fiber_go(NULL, "h2 backend", share_run, s) < 0)
        return -ERR_NOMEM;
    s->running = true;
    s->conn->stream.pd.on_readable = NULL;
    backend_conn_end_idle(s->conn);
    return 0;
}

static int on_work(struct h2_session *session) { return start(session->arg); }

static int on_request(struct h2_session *session, struct h2_stream *st)
{
    (void)session, (void)st;
    return -ERR_INVALID; /* backends don't ask */
}

static const struct h2_owner owner = { .on_request = on_request, .on_work = on_work };

/* On the scheduler's stack: a backend says something to an idle connection, or ends it. */
static void on_readable(struct pd *p)
{
    struct share *s = p->owner;

    MUST_BE(s, SHARE_MAGIC);
    if (start(s) < 0)
        drop(s);
}

static bool may_idle(const struct share *s)
{
    const struct backend *b = s->conn->backend;

    return !s->outdated && !atomic_load_explicit(&b->retired, memory_order_relaxed) && !s->session->going &&
           !backend_is_over_limit(b);
}

static void go_idle(struct share *s)
{
    struct pd *p = &s->conn->stream.pd;

    if (!may_idle(s) || pd_register(p) < 0 || !backend_conn_go_idle(s->conn, s->keep_most)) {
        drop(s);
        return;
    }
    p->owner = s;
    p->on_readable = on_readable;
    timer_arm(&s->timer, clock_after(fiber_now(), s->keep_for));
}

static void share_run(void *arg)
{
    struct share *s = arg;
    int rc;

    MUST_BE(s, SHARE_MAGIC);
    fiber_about(NULL);
    rc = h2_session_run(s->session);
    s->running = false;
    if (rc == 0) {
        go_idle(s);
        return;
    }
    h2_session_break(s->session, rc);
    s->dead = true;
    list_remove(&s->link);
    free_if_done(s);
}

static void on_timer(struct timer *t)
{
    struct share *s = CONTAINER_OF(t, struct share, timer);

    MUST_BE(s, SHARE_MAGIC);
    if (s->conn->idle)
        drop(s);
}

static struct share *share_new(struct pool *p, struct backend_conn *c)
{
    struct h2_conf conf = {
        .limits = { .head = UINT16_MAX, .line = UINT16_MAX, .headers = RESPONSE_HEADERS },
        .streams = STREAMS_MOST,
        .write_timeout = WRITE_TIMEOUT,
        .ping_after = PING_AFTER,
        .ping_timeout = PING_TIMEOUT,
        .secure = c->stream.tls != NULL,
    };
    struct share *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->magic = SHARE_MAGIC;
    s->conn = c;
    s->keep_for = p->conf->keepalive.timeout;
    s->keep_most = p->conf->keepalive.idle;
    s->session = h2_session_new(&c->stream, false, &conf, &owner, s);
    if (s->session == NULL) {
        free(s);
        return NULL;
    }
    list_init(&s->link);
    list_push_back(all_of_worker(), &s->in_all);
    timer_init(&s->timer, on_timer);
    return s;
}

/* ---- taking ---- */

/* Nobody finds those any more that what holds now might not have let us open. */
static void leave_outdated(struct backend_worker *w, const struct pool_conf *conf)
{
    LIST_EACH_SAFE(&w->shared, it)
    {
        struct share *s = LIST_ITEM(it, struct share, link);
        if (!backend_conn_is_outdated(s->conn, conf))
            continue;
        if (s->conn->idle) {
            drop(s);
        } else {
            s->outdated = true;
            list_remove(&s->link);
        }
    }
}

static struct share *with_room(struct backend_worker *w, const struct pool_conf *conf)
{
    leave_outdated(w, conf);
    LIST_EACH(&w->shared, it)
    {
        struct share *s = LIST_ITEM(it, struct share, link);
        /* The analyzer can't follow list_remove() through the neighbours.  NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        if (h2_session_has_room(s->session))
            return s;
    }
    return NULL;
}

/* At the limit of connections: one that takes streams at all; they wait there for their turn.  (No outdated one: better one
 * connection too many than a backend that was not checked.) */
static struct share *to_wait_at(struct backend *b)
{
    uint32_t most = atomic_load_explicit(&b->max_connections, memory_order_relaxed);
    struct share *best = NULL;

    if (most == 0 || atomic_load_explicit(&b->in_use, memory_order_relaxed) < most)
        return NULL;
    LIST_EACH(&mine(b)->shared, it)
    {
        struct share *s = LIST_ITEM(it, struct share, link);
        if (s->session->error == 0 && !s->session->going && (best == NULL || s->session->n_streams < best->session->n_streams))
            best = s;
    }
    return best;
}

static int open_share(struct pool *p, struct backend *b, struct share **out, int64_t deadline)
{
    struct backend_worker *w = mine(b);
    struct backend_conn *c;
    int rc;

    wait_group_add(&w->dialing, 1);
    rc = backend_conn_open(b, p->conf, NULL, &c, deadline); /* many share it: nobody is announced (conf sees to that) */
    if (rc == 0 && c->stream.tls != NULL && !slice_eq(stream_tls_protocol(&c->stream), SLICE("h2"))) {
        backend_conn_close(&c); /* it speaks something else */
        rc = -ERR_BACKEND_TLS_FAILED;
    }
    if (rc == 0) {
        *out = share_new(p, c);
        if (*out == NULL) {
            backend_conn_close(&c);
            rc = -ERR_NOMEM;
        }
    }
    if (rc == 0)
        list_push_back(&w->shared, &(*out)->link);
    w->dialed = rc == -ERR_CANCELED ? 0 : rc; /* who was called off speaks for himself alone */
    wait_group_done(&w->dialing);
    return rc;
}

int share_take(struct pool *p, struct backend *b, struct h2_stream **st, bool *reused, int64_t connect_deadline)
{
    struct backend_worker *w = mine(b);
    struct share *s = with_room(w, p->conf);
    int rc = 0;

    *reused = s != NULL;
    while (s == NULL && w->dialing.count > 0) { /* somebody opens one: it has room for more than him */
        scratch_lost();
        rc = wait_group_wait(&w->dialing, connect_deadline);
        if (rc < 0)
            return rc == -ERR_TIMEOUT ? -ERR_CONNECT_TIMEOUT : rc;
        if (w->dialed < 0)
            return w->dialed;
        s = with_room(w, p->conf);
    }
    if (s == NULL)
        s = to_wait_at(b);
    if (s == NULL)
        rc = open_share(p, b, &s, connect_deadline);
    if (rc < 0)
        return rc;
    *st = h2_stream_new(s->session);
    return *st == NULL ? -ERR_NOMEM : 0;
}

struct h2_stream *share_try(struct pool *p, struct backend *b)
{
    struct share *s = with_room(mine(b), p->conf);

    return s == NULL ? NULL : h2_stream_new(s->session);
}

int share_adopt(struct pool *p, struct backend_conn **conn, struct h2_stream **st)
{
    struct share *s = share_new(p, *conn);

    if (s == NULL) {
        backend_conn_close(conn);
        return -ERR_NOMEM;
    }
    list_push_back(&mine((*conn)->backend)->shared, &s->link);
    *conn = NULL;
    *st = h2_stream_new(s->session);
    if (*st != NULL)
        return 0;
    s->dead = true;
    free_if_done(s);
    return -ERR_NOMEM;
}

void share_give_back(struct h2_stream **st)
{
    struct share *s = (*st)->session->arg;

    MUST_BE(s, SHARE_MAGIC);
    h2_stream_free(st, H2_CANCEL);
    free_if_done(s);
}

bool share_drop_idle(struct backend *b)
{
    LIST_EACH(&mine(b)->shared, it)
    {
        struct share *s = LIST_ITEM(it, struct share, link);
        if (!s->conn->idle)
            continue;
        drop(s);
        return true;
    }
    return false;
}

void shares_close(bool only_retired)
{
    LIST_EACH_SAFE(all_of_worker(), it)
    {
        struct share *s = LIST_ITEM(it, struct share, in_all);
        if (s->conn->idle && (!only_retired || atomic_load(&s->conn->backend->retired)))
            drop(s);
    }
}

void shares_free(void)
{
    LIST_EACH_SAFE(all_of_worker(), it)
    {
        struct share *s = LIST_ITEM(it, struct share, in_all);
        if (s->session->n_streams == 0 && !s->session->writing) /* else what is left of an exchange refers to it */
            share_free(s);
    }
}
