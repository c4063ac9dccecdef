/* lease.c - connections to backends: opening, keeping, judging and dropping them. */
#include "upstream/lease.h"

#include <stdlib.h>

#include "base/metric.h"
#include "base/log.h"
#include "base/must.h"
#include "net/stream_tls.h"
#include "upstream/give_way.h"
#include "upstream/share.h"

#define SURE_IDLE    CLOCK_S /* longer than that is never sure: what was true of a backend may have changed */
#define LESSON_AGREE 3       /* closes at the same age, one after the other, before we believe in a limit */
#define LESSON_LEAST (50 * CLOCK_MS)
#define PROBE_FIRST  CLOCK_S /* from the lesson to the first probe; twice as long after each that was closed */
#define PROBE_PAUSE  (64 * CLOCK_S)

static _Thread_local struct list all_idle;

static struct list *all_of_worker(void)
{
    if (all_idle.next == NULL)
        list_init(&all_idle);
    return &all_idle;
}

static struct backend_worker *mine(struct backend *b) { return &b->worker[worker_index()]; }

/* One more or less (UINT32_MAX); how many there were.  The worker's own number is written by nobody else. */
static uint32_t count_idle(struct backend *b, uint32_t sign)
{
    _Atomic uint32_t *own = &mine(b)->n_idle;

    atomic_store_explicit(own, atomic_load_explicit(own, memory_order_relaxed) + sign, memory_order_relaxed);
    return atomic_fetch_add_explicit(&b->n_idle, sign, memory_order_relaxed);
}

static void conn_free(struct backend_conn *c)
{
    struct backend *b = c->backend;

    timer_disarm(&c->timer);
    stream_close(&c->stream);
    if (c->idle)
        (void)count_idle(b, UINT32_MAX);
    else
        atomic_fetch_sub_explicit(&b->in_use, 1, memory_order_relaxed);
    metric_add(METRIC_UPSTREAM_CONNECTIONS, -1);
    c->magic = 0;
    free(c);
    backend_unref(&b);
}

void backend_conn_close(struct backend_conn **cp)
{
    conn_free(*cp);
    *cp = NULL;
}

/* ---- idle connections ---- */

/* Between idle and in use it counts as both: better one too many than a limit that is passed. */
bool backend_conn_go_idle(struct backend_conn *c, uint32_t most)
{
    struct backend *b = c->backend;

    if (count_idle(b, 1) >= most) {
        (void)count_idle(b, UINT32_MAX);
        return false;
    }
    c->idle = true;
    atomic_fetch_sub_explicit(&b->in_use, 1, memory_order_relaxed);
    return true;
}

void backend_conn_end_idle(struct backend_conn *c)
{
    if (!c->idle)
        return;
    c->idle = false;
    atomic_fetch_add_explicit(&c->backend->in_use, 1, memory_order_relaxed);
    (void)count_idle(c->backend, UINT32_MAX);
}

/* Nobody finds it any more. */
static void idle_remove(struct backend_conn *c)
{
    MUST(c->idle);
    c->stream.pd.on_readable = NULL;
    list_remove(&c->link);
    list_remove(&c->in_all);
    list_remove(&c->of_origin);
    if (c->probes)
        mine(c->backend)->lesson.probing = c->probes = false;
}

static void idle_drop(struct backend_conn *c)
{
    idle_remove(c);
    conn_free(c);
}

/* ---- what idle connections teach ---- */

static int64_t limit_of(const struct idle_lesson *l) { return atomic_load_explicit(&l->limit, memory_order_relaxed); }
/* The close that taught the limit came at 5/4 of it, give or take 1/8. */
static int64_t probe_age(int64_t limit) { return limit + limit / 2; }

static void set_limit(struct idle_lesson *l, int64_t limit)
{
    if (limit_of(l) == CLOCK_NEVER)
        l->probe_pause = PROBE_FIRST / 2;
    atomic_store_explicit(&l->limit, limit, memory_order_relaxed);
    l->probe_pause = l->probe_pause < PROBE_PAUSE ? 2 * l->probe_pause : PROBE_PAUSE;
    l->probe_at = clock_after(fiber_now(), l->probe_pause);
}

static void unlearn(struct idle_lesson *l)
{
    atomic_store_explicit(&l->limit, CLOCK_NEVER, memory_order_relaxed);
    l->agreed = 0;
}

static void found_alive(struct idle_lesson *l, int64_t age)
{
    if (age > l->alive)
        l->alive = age;
}

/* Half of what it is known to allow: a close may be under way, and its clock started before ours. */
static int64_t sure_age(const struct idle_lesson *l)
{
    int64_t known = l->alive < limit_of(l) ? l->alive : limit_of(l);

    return known / 2 < SURE_IDLE ? known / 2 : SURE_IDLE;
}

/* The backend closed an idle connection.  A limit of its own shows as closes at about the same age; a restart closes
 * connections of all ages at once and teaches nothing: of those closed at one time only the first counts. */
static void learn(struct idle_lesson *l, int64_t age)
{
    if (age <= l->alive)
        l->alive = age / 2;
    if (age < LESSON_LEAST || fiber_now() - l->told < age / 2)
        return;
    l->told = fiber_now();
    if (l->agreed > 0 && age > l->candidate - l->candidate / 8 && age < l->candidate + l->candidate / 8) {
        if (++l->agreed >= LESSON_AGREE)
            set_limit(l, l->candidate - l->candidate / 5);
        return;
    }
    l->candidate = age;
    l->agreed = 1;
}

/* Readable while idle: the end, or bytes that belong to no request.  Either way it is of no more use. */
static void on_idle_readable(struct pd *p)
{
    struct backend_conn *c = CONTAINER_OF(p, struct backend_conn, stream.pd);

    MUST_BE(c, BACKEND_CONN_MAGIC);
    if (c->stream.tls != NULL && stream_is_quiet(&c->stream))
        return; /* words between TLS and TLS: a session to be taken up later */
    learn(&mine(c->backend)->lesson, fiber_now() - c->idle_since);
    idle_drop(c);
}

static void on_idle_timer(struct timer *t)
{
    struct backend_conn *c = CONTAINER_OF(t, struct backend_conn, timer);

    MUST_BE(c, BACKEND_CONN_MAGIC);
    if (!c->idle)
        return;
    if (c->idle_until > fiber_now()) {
        timer_arm(t, c->idle_until);
        return;
    }
    if (stream_peek(&c->stream) == STREAM_QUIET) {
        struct idle_lesson *l = &mine(c->backend)->lesson;
        found_alive(l, fiber_now() - c->idle_since);
        if (c->probes)
            unlearn(l);
    }
    idle_drop(c);
}

/* Nothing unread, as far as anybody can know: after a splice the flag may be up although all was taken. */
static bool is_quiet(struct stream *s)
{
    pd_no_doubt(&s->pd); /* if there is an error behind the answer, the next request will find it */
    return stream_is_quiet(s);
}

static int64_t idle_time(struct backend_conn *c, int64_t keep_for)
{
    struct idle_lesson *l = &mine(c->backend)->lesson;
    int64_t limit = limit_of(l);

    if (limit >= keep_for)
        return keep_for;
    c->probes = !l->probing && fiber_now() >= l->probe_at && probe_age(limit) <= keep_for;
    if (!c->probes)
        return limit;
    l->probing = true;
    return probe_age(limit);
}

static bool keep(struct backend_conn *c, const struct lease *l)
{
    struct backend *b = c->backend;

    if (!is_quiet(&c->stream) || atomic_load_explicit(&b->retired, memory_order_relaxed) || backend_is_over_limit(b) ||
        pd_register(&c->stream.pd) < 0 || !backend_conn_go_idle(c, l->keep_most))
        return false;
    c->idle_since = fiber_now();
    c->idle_until = c->idle_since + idle_time(c, l->keep_for);
    c->stream.pd.on_readable = on_idle_readable;
    list_push_front(&mine(b)->idle, &c->link);
    list_push_front(all_of_worker(), &c->in_all);
    if (l->origin != NULL)
        list_push_front(&l->origin->kept, &c->of_origin);
    if (!timer_is_armed(&c->timer) || c->timer.when > c->idle_until)
        timer_arm(&c->timer, c->idle_until);
    return true;
}

bool backend_conn_is_outdated(const struct backend_conn *c, const struct pool_conf *conf)
{
    return stream_tls_ctx_id(&c->stream) != (conf->tls_party == NULL ? 0 : tls_party_now(conf->tls_party)->id) ||
           c->announced != conf->send_proxy_protocol;
}

/* Sealed words between TLS and TLS are no sign of an end, but looking tells them from one only by reading them. */
static bool shows_nothing(struct stream *s) { return s->tls != NULL ? stream_is_quiet(s) : stream_peek(s) == STREAM_QUIET; }

/* The one that has idled longest is still open: so much the backend allows, even if nothing but unrepeatable requests ever asks. */
static void look_at_oldest(struct backend_worker *w)
{
    struct list *oldest = list_last(&w->idle);

    if (oldest != NULL)
        found_alive(&w->lesson, fiber_now() - LIST_ITEM(oldest, struct backend_conn, link)->idle_since);
}

/* The one used last of those that may serve the origin; where nobody is announced, all may. */
static struct backend_conn *newest(struct backend *b, struct origin *o)
{
    struct list *it = list_first(&mine(b)->idle);

    if (o == NULL)
        return it == NULL ? NULL : LIST_ITEM(it, struct backend_conn, link);
    LIST_EACH(&o->kept, of)
    {
        struct backend_conn *c = LIST_ITEM(of, struct backend_conn, of_origin);
        /* The analyzer can't follow list_remove() through the neighbours.  NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        if (c->backend == b)
            return c;
    }
    return NULL;
}

static struct backend_conn *take_kept(struct backend *b, const struct pool_conf *conf, enum lease_want want, struct origin *o)
{
    struct idle_lesson *l = &mine(b)->lesson;
    int64_t most;

    if (want == LEASE_SURE)
        look_at_oldest(mine(b));
    most = want == LEASE_SURE ? sure_age(l) : limit_of(l);
    for (;;) {
        struct backend_conn *c = newest(b, o);

        if (c == NULL)
            return NULL;
        MUST_BE(c, BACKEND_CONN_MAGIC);
        if (backend_conn_is_outdated(c, conf)) {
            idle_drop(c);
            continue;
        }
        if (fiber_now() - c->idle_since >= most)
            return NULL; /* those behind it have idled longer; they serve requests that may be sent twice, or probe */
        if (want != LEASE_SURE || shows_nothing(&c->stream)) {
            idle_remove(c);
            backend_conn_end_idle(c);
            return c;
        }
        idle_drop(c);
    }
}

/* The one that has idled longest. */
static bool drop_idle(struct backend *b)
{
    struct list *oldest = list_last(&mine(b)->idle);

    if (oldest == NULL)
        return share_drop_idle(b);
    idle_drop(LIST_ITEM(oldest, struct backend_conn, link));
    return true;
}

static void close_surplus(struct backend *b)
{
    while (backend_is_over_limit(b) && drop_idle(b))
        ;
}

/* A new connection at the limit takes the place of an idle one. */
static void make_room(struct backend *b, int64_t deadline)
{
    if (backend_is_over_limit(b) && !drop_idle(b))
        give_way_ask(b, deadline);
}

void keepalive_close_of(struct origin *o)
{
    LIST_EACH_SAFE(&o->kept, it)
    idle_drop(LIST_ITEM(it, struct backend_conn, of_origin));
}

void keepalive_close(bool only_retired)
{
    LIST_EACH_SAFE(all_of_worker(), it)
    {
        struct backend_conn *c = LIST_ITEM(it, struct backend_conn, in_all);
        if (!only_retired || atomic_load(&c->backend->retired))
            idle_drop(c);
    }
    shares_close(only_retired);
}

void lease_thread_begins(void) { give_way_begin(close_surplus); }

void lease_thread_ends(void)
{
    give_way_end();
    keepalive_close(false);
    shares_free();
}

/* ---- opening ---- */

static int connect_code(int rc)
{
    switch (-rc) {
    case ERR_NONE: return 0;
    case ERR_REFUSED: return -ERR_CONNECT_REFUSED;
    case ERR_RESET: return -ERR_BACKEND_RESET; /* somebody is there, and took it: no reason to take the backend out at once */
    case ERR_TIMEOUT: return -ERR_CONNECT_TIMEOUT;
    case ERR_NOFILE: /* what we lack is not held against the backend */
    case ERR_NOPORT:
    case ERR_NOMEM:
    case ERR_CANCELED: return rc;
    default: return -ERR_CONNECT_FAILED;
    }
}

static int tls_code(int rc)
{
    switch (-rc) {
    case ERR_NONE: return 0;
    case ERR_TIMEOUT: return -ERR_BACKEND_TLS_TIMEOUT;
    case ERR_TLS_ALERT: return -ERR_BACKEND_TLS_ALERT;
    case ERR_TLS_CERTIFICATE: return -ERR_BACKEND_CERT_REFUSED;
    case ERR_TLS_IDENTITY: return -ERR_BACKEND_IDENTITY;
    case ERR_NO_IDENTITY:
    case ERR_NOMEM:
    case ERR_CANCELED: return rc;
    default: return -ERR_BACKEND_TLS_FAILED;
    }
}

static int start_tls(struct backend_conn *c, const struct pool_conf *conf, int64_t deadline)
{
    struct backend *b = c->backend;
    char quoted[256];
    int rc = tls_code(stream_tls_connect(&c->stream, conf->tls_party, &b->addr, NULL, &mine(b)->session, deadline));

    if (rc < 0 && rc != -ERR_CANCELED)
        log_every_second(LOG_LEVEL_WARN, "backend.tls_failed", "pool=%s backend=%s reason=%s why=%s", b->pool_name, b->name,
                         err_word(rc), log_quote(quoted, sizeof quoted, slice_str(stream_tls_why())));
    return rc;
}

static int announce(struct backend_conn *c, enum proxy_send how, const struct origin *o, int64_t deadline)
{
    MUST(o != NULL);
    c->announced = (uint8_t)how;
    return connect_code(origin_announce(o, how, &c->stream, deadline));
}

int backend_conn_open(struct backend *b, const struct pool_conf *conf, const struct origin *origin, struct backend_conn **out,
                      int64_t deadline)
{
    struct backend_conn *c = malloc(sizeof *c);
    int rc;

    if (c == NULL)
        return -ERR_NOMEM;
    *c = (struct backend_conn){ .magic = BACKEND_CONN_MAGIC, .backend = backend_ref(b) };
    list_init(&c->link);
    list_init(&c->in_all);
    list_init(&c->of_origin);
    timer_init(&c->timer, on_idle_timer);
    atomic_fetch_add_explicit(&b->in_use, 1, memory_order_relaxed);
    metric_add(METRIC_UPSTREAM_CONNECTIONS, 1);
    make_room(b, deadline);
    rc = connect_code(stream_connect(&c->stream, &b->addr, deadline));
    if (rc == 0 && UNLIKELY(conf->send_proxy_protocol != PROXY_SEND_OFF))
        rc = announce(c, (enum proxy_send)conf->send_proxy_protocol, origin, deadline);
    if (rc == 0 && conf->tls_party != NULL)
        rc = start_tls(c, conf, deadline);
    if (rc < 0) {
        metric_add_at(METRIC_UPSTREAM_CONNECTS_FAILED, metric_reason(rc), 1);
        conn_free(c);
        return rc;
    }
    metric_add(METRIC_UPSTREAM_CONNECTS, 1);
    *out = c;
    return 0;
}

static void begin_request(struct backend *b, bool in_tally)
{
    atomic_fetch_add_explicit(&b->candidate.inflight, 1, memory_order_relaxed);
    if (in_tally)
        atomic_fetch_add_explicit(&b->tally->inflight, 1, memory_order_relaxed);
}

static void end_request(struct backend *b, bool in_tally)
{
    atomic_fetch_sub_explicit(&b->candidate.inflight, 1, memory_order_relaxed);
    if (in_tally)
        atomic_fetch_sub_explicit(&b->tally->inflight, 1, memory_order_relaxed);
}

static int take_conn(struct lease *l, struct pool *p, struct backend *b, enum lease_want want, int64_t connect_deadline)
{
    int rc = 0;

    l->conn = want >= LEASE_FRESH ? NULL : take_kept(b, p->conf, want, l->origin);
    l->reused = l->conn != NULL;
    l->idled = l->reused ? fiber_now() - l->conn->idle_since : 0;
    if (l->conn == NULL)
        rc = backend_conn_open(b, p->conf, l->origin, &l->conn, connect_deadline);
    return rc;
}

/* A stream where one is to be had, else a connection, which may turn out to be one of streams. */
static int take_auto(struct lease *l, struct pool *p, struct backend *b, enum lease_want want, int64_t connect_deadline)
{
    int rc;

    l->stream = share_try(p, b);
    l->reused = l->stream != NULL;
    if (l->stream != NULL)
        return 0;
    rc = take_conn(l, p, b, want, connect_deadline);
    if (rc == 0 && l->conn->stream.tls != NULL && slice_eq(stream_tls_protocol(&l->conn->stream), SLICE("h2")))
        rc = share_adopt(p, &l->conn, &l->stream);
    return rc;
}

static int take(struct lease *l, struct pool *p, struct backend *b, enum lease_want want, int64_t connect_deadline)
{
    if (want == LEASE_RAW || p->conf->protocol == POOL_HTTP1)
        return take_conn(l, p, b, want, connect_deadline);
    if (p->conf->protocol == POOL_H2)
        return share_take(p, b, &l->stream, &l->reused, connect_deadline);
    return take_auto(l, p, b, want, connect_deadline);
}

int lease_begin(struct lease *l, struct pool *p, struct backend *b, enum lease_want want, struct origin *origin,
                int64_t connect_deadline)
{
    struct lease new = {
        .backend = b,
        .origin = origin,
        .keep_for = p->conf->keepalive.timeout,
        .keep_most = p->conf->keepalive.idle,
        .in_tally = p->conf->hash.bound > 0,
    };
    int rc;

    begin_request(b, new.in_tally);
    rc = take(&new, p, b, want, connect_deadline);
    if (rc < 0) {
        end_request(b, new.in_tally);
        return rc;
    }
    if (new.reused)
        metric_add(METRIC_UPSTREAM_REUSES, 1);
    atomic_fetch_add_explicit(&b->requests, 1, memory_order_relaxed);
    *l = new;
    return 0;
}

void lease_end(struct lease *l)
{
    struct backend_conn *c = l->conn;

    if (l->backend == NULL)
        return;
    end_request(l->backend, l->in_tally);
    if (l->stream != NULL) {
        share_give_back(&l->stream);
    } else {
        MUST_BE(c, BACKEND_CONN_MAGIC);
        if (l->reused && l->reusable)
            found_alive(&mine(l->backend)->lesson, l->idled);
        if (!l->reusable || !keep(c, l))
            conn_free(c);
    }
    *l = (struct lease){ 0 };
}
