/* tunnel.c - two directions, each a fiber while it moves bytes. */
#include "proxy/tunnel.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/metric.h"
#include "base/must.h"
#include "net/scratch.h"
#include "net/splice.h"
#include "net/stream_tls.h"
#include "net/sys.h"
#include "observe/access_log.h"
#include "proxy/affinity.h"
#include "proxy/hash_key.h"
#include "proxy/route.h"
#include "proxy/secure.h"
#include "proxy/worker.h"

enum {
    SPLICE_FROM = 12 * 1024, /* bytes a read from which on copying costs more than splicing */
    SPLICE_BELOW = 6 * 1024, /* and below which it costs less */
};
#define DOUBT_TIME  CLOCK_S        /* a reset behind the last bytes is noticed after that, and not by a call a message */
#define PROBE_AFTER (60 * CLOCK_S) /* a tunnel that lives that long gets TCP keep-alive: dead peers are noticed */

struct direction {
    struct tunnel *tunnel;
    struct stream *from, *to;
    struct fiber *fiber; /* that moves bytes; NULL: none has begun */
    bool running;        /* a fiber was started and has not ended */
    char *first;         /* to be sent before anything that is read */
    size_t n_first;
    uint64_t moved;
    bool splice, ended;
};

#define TUNNEL_MAGIC 0x54554e4eu
struct tunnel {
    uint32_t magic;
    bool closing, probed;
    int reason; /* 0, or the negative code it ended with */
    struct list link;
    struct conn *conn;
    struct lease lease;
    struct pool *pool;
    struct served *served;
    struct direction up, down;      /* to the backend, to the client */
    struct access_record *line;     /* of the exchange it was; NULL in TCP mode, or when nobody would read it */
    const struct route_conf *route; /* as in struct tunnel_start */
    char *name;
    unsigned attempts;
    struct timer idle;
    int64_t opened, last_moved, most_idle;
};

/* Which way a TCP connection goes, as far as that is known. */
struct way {
    struct slice name;              /* that the client's TLS asks for; it may stand in the caller's text */
    const struct route_conf *route; /* that takes the name; NULL: none */
    struct pool *pool;
    struct tried tried; /* backends, the last one last */
};

/* A TCP connection's line in the access log; `client` is where the address is written. */
static struct access_record tcp_record(const struct conn *c, const struct route_conf *route, const struct pool *pool,
                                       int64_t opened, int reason, char client[IP_TEXT_MAX])
{
    return (struct access_record){
        .client = slice_of(client, ip_format(&c->peer, client)),
        .listener = slice_str(c->door->conf->name),
        .route = route == NULL ? SLICE("") : slice_str(route->name),
        .pool = pool == NULL ? SLICE("") : slice_str(pool->conf->name),
        .tls_version = stream_tls_version(&c->stream),
        .tls_name = stream_tls_name(&c->stream),
        .tls_identity = stream_tls_identity_text(&c->stream),
        .started = clock_wall() - (fiber_now() - opened),
        .duration_us = fiber_now() - opened,
        .first_byte_us = -1,
        .reason = reason,
    };
}

static void record(const struct tunnel *t)
{
    char client[IP_TEXT_MAX];
    struct access_record r = tcp_record(t->conn, t->route, t->pool, t->opened, t->reason, client);

    if (t->reason < 0)
        metric_add_at(METRIC_FAILURES, metric_reason(t->reason), 1);
    if (!access_log_is_on())
        return;
    if (t->line != NULL) {
        r = *t->line;
        r.duration_us += fiber_now() - t->opened;
        r.reason = t->reason;
    }
    if (t->name != NULL)
        r.tls_name = slice_str(t->name);
    r.backend = slice_str(t->lease.backend->name);
    r.attempts = t->attempts;
    r.sent = t->down.moved;
    r.received = t->up.moved;
    access_log_line(worker_self->index, &r);
}

static void record_refused(const struct conn *c, const struct way *way, int64_t opened, int reason)
{
    char client[IP_TEXT_MAX];
    struct access_record r = tcp_record(c, way->route, way->pool, opened, reason, client);

    metric_add_at(METRIC_FAILURES, metric_reason(reason), 1);
    if (!access_log_is_on())
        return;
    r.tls_name = way->name;
    r.attempts = way->tried.n;
    if (r.attempts > 0)
        r.backend = slice_str(way->tried.v[r.attempts - 1]->name);
    access_log_line(worker_self->index, &r);
}

static void tunnel_free(struct tunnel *t)
{
    bool reset = t->reason < 0;
    struct outcome o = { .latency = -1, .code = t->reason };

    record(t);
    timer_disarm(&t->idle);
    list_remove(&t->link);
    free(t->line);
    free(t->name);
    free(t->up.first);
    free(t->down.first);
    if (reset)
        stream_close_reset(&t->lease.conn->stream);
    pool_done(t->pool, t->lease.backend, &o);
    lease_end(&t->lease);
    conn_free(&t->conn, reset);
    metric_add(METRIC_TUNNELS, -1);
    served_done(&t->served);
    t->magic = 0;
    free(t);
}

/* Ends it now; a fiber that still moves bytes is called off and the last one out frees. */
static void tunnel_end(struct tunnel *t, int reason)
{
    if (!t->closing) {
        t->closing = true;
        t->reason = reason;
        t->up.from->pd.on_readable = t->down.from->pd.on_readable = NULL;
        if (t->up.fiber != NULL)
            fiber_cancel(t->up.fiber, ERR_CANCELED);
        if (t->down.fiber != NULL)
            fiber_cancel(t->down.fiber, ERR_CANCELED);
    }
    if (!t->up.running && !t->down.running)
        tunnel_free(t);
}

static void keep_nothing(struct scratch_user *u) { (void)u; }
static _Thread_local struct scratch_user passing = { keep_nothing }; /* what is read is written before anybody else reads */

static ssize_t copy_now(struct direction *d, int64_t deadline)
{
    char *in = scratch_in(&passing);
    ssize_t got = in == NULL ? -ERR_NOMEM : stream_read_now(d->from, in, SCRATCH_IN);
    int rc;

    if (got <= 0) {
        scratch_release(&passing);
        return got;
    }
    rc = stream_write_bytes(d->to, in, (size_t)got, deadline);
    scratch_release(&passing);
    if (rc < 0)
        return rc;
    if (got >= SPLICE_FROM && d->from->raw && d->to->raw)
        d->splice = true;
    return got;
}

static ssize_t splice_once(struct direction *d, int64_t deadline)
{
    bool from_side;
    ssize_t got = splice_now(d->from, d->to, SIZE_MAX, &from_side, deadline);

    if (got == -ERR_NOFILE) { /* no pipe to be had: copying needs none */
        d->splice = false;
        return copy_now(d, deadline);
    }
    if (got > 0 && got < SPLICE_BELOW)
        d->splice = false;
    return got;
}

/* Moves bytes until there are none: -ERR_AGAIN, 0 at the end, or a code. */
static ssize_t move(struct direction *d)
{
    ssize_t got;

    if (d->first != NULL) {
        int rc = stream_write_bytes(d->to, d->first, d->n_first, clock_after(fiber_now(), d->tunnel->most_idle));
        d->moved += d->n_first;
        free(d->first);
        d->first = NULL;
        if (rc < 0)
            return rc;
    }
    do {
        int64_t deadline = clock_after(fiber_now(), d->tunnel->most_idle);
        got = d->splice ? splice_once(d, deadline) : copy_now(d, deadline);
        if (got > 0)
            d->moved += (uint64_t)got;
        d->tunnel->last_moved = fiber_now();
    } while (got > 0 && !d->tunnel->closing);
    return got;
}

/* One end has said all: so the other is told, unless it has, too.  Then the close that follows tells it, since there is nothing
 * unread to make it a reset; only TLS wants a word before that. */
static void direction_end(struct direction *d)
{
    struct tunnel *t = d->tunnel;
    bool both;

    d->ended = true;
    d->from->pd.on_readable = NULL;
    both = t->up.ended && t->down.ended;
    if (!both || d->to->tls != NULL)
        (void)stream_shutdown(d->to);
    if (both)
        tunnel_end(t, 0);
}

static void direction_run(void *arg)
{
    struct direction *d = arg;
    struct tunnel *t = d->tunnel;
    ssize_t rc = -ERR_CANCELED;

    d->fiber = fiber_self();
    fiber_about(&t->conn->peer);
    fiber_doing(d == &t->up ? "moving bytes to the backend" : "moving bytes to the client");
    if (!t->closing)
        rc = move(d);
    d->fiber = NULL;
    d->running = false;
    if (t->closing) {
        tunnel_end(t, 0);
    } else if (rc == 0) {
        direction_end(d);
    } else if (rc != -ERR_AGAIN) {
        tunnel_end(t, (int)rc);
    } else if ((d->from->pd.flags & PD_DOUBT) != 0 && t->idle.when > clock_after(fiber_now(), DOUBT_TIME)) {
        timer_arm(&t->idle, clock_after(fiber_now(), DOUBT_TIME));
    }
}

/* False: memory is out, the tunnel has ended and may be gone. */
static bool direction_start(struct direction *d)
{
    MUST_BE(d->tunnel, TUNNEL_MAGIC);
    if (d->running || d->ended)
        return true; /* it reads until there is nothing left */
    d->running = true;
    if (fiber_go(NULL, "tunnel", direction_run, d) == 0)
        return true;
    d->running = false;
    tunnel_end(d->tunnel, -ERR_NOMEM);
    return false;
}

/* On the scheduler's stack: there is something to read, or the end. */
static void on_readable(struct pd *p) { (void)direction_start(p->owner); }

static void probe_dead_peers(struct tunnel *t)
{
    static const int on = 1;

    t->probed = true;
    if (t->conn->stream.is_tcp)
        (void)sys->setsockopt(t->conn->stream.pd.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (t->lease.conn->stream.is_tcp)
        (void)sys->setsockopt(t->lease.conn->stream.pd.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* An error that stood behind the last bytes has not been told: now, when nothing else goes on, is the time to look. */
static bool settle_doubt(struct direction *d)
{
    struct pd *p = &d->from->pd;

    if (d->running || d->ended || (p->flags & PD_DOUBT) == 0)
        return true;
    pd_no_doubt(p);
    switch (stream_peek(d->from)) {
    case STREAM_QUIET: return true;
    case STREAM_BROKEN: /* the kernel tells an error once: who reads now would find an end in good order */
        tunnel_end(d->tunnel, -ERR_RESET);
        return false;
    default: p->flags |= PD_READ; return direction_start(d);
    }
}

static void on_idle_timer(struct timer *timer)
{
    struct tunnel *t = CONTAINER_OF(timer, struct tunnel, idle);
    int64_t until = clock_after(t->last_moved, t->most_idle);

    MUST_BE(t, TUNNEL_MAGIC);
    if (until <= fiber_now()) {
        tunnel_end(t, -ERR_TUNNEL_IDLE);
        return;
    }
    timer_arm(timer, until);
    if (!t->probed && fiber_now() - t->opened >= PROBE_AFTER)
        probe_dead_peers(t);
    if (settle_doubt(&t->up))
        (void)settle_doubt(&t->down);
}

static void direction_init(struct direction *d, struct tunnel *t, struct stream *from, struct stream *to, char *first,
                           size_t n_first)
{
    *d = (struct direction){ .tunnel = t, .from = from, .to = to, .first = first, .n_first = n_first };
    from->pd.owner = d;
    from->pd.on_readable = on_readable;
}

/* Registers it, and starts it when there is something to do already. */
static int direction_begin(struct direction *d)
{
    int rc = pd_register(&d->from->pd); /* epoll tells at once what is there */

    if (rc == 0 && (d->first != NULL || stream_may_read(d->from)) && !direction_start(d))
        return -ERR_CANCELED;
    return rc;
}

int tunnel_open(struct conn **conn, struct lease *lease, struct pool *pool, struct served *served, struct tunnel_start *start,
                int64_t idle)
{
    struct tunnel *t = calloc(1, sizeof *t);
    int64_t first_look = idle < PROBE_AFTER ? idle : PROBE_AFTER;
    int rc;

    if (t == NULL)
        return -ERR_NOMEM;
    t->magic = TUNNEL_MAGIC;
    t->conn = *conn;
    t->conn->fiber = NULL; /* it ends with this call's caller */
    t->lease = *lease;
    t->pool = pool;
    t->served = served_use(served);
    t->most_idle = idle;
    t->line = start->record;
    t->route = start->route;
    t->name = start->name;
    t->attempts = start->attempts;
    t->opened = t->last_moved = fiber_now();
    timer_init(&t->idle, on_idle_timer);
    timer_arm(&t->idle, clock_after(fiber_now(), first_look));
    list_push_back(&worker_self->tunnels, &t->link);
    direction_init(&t->up, t, &t->conn->stream, &t->lease.conn->stream, start->from_client, start->n_from_client);
    direction_init(&t->down, t, &t->lease.conn->stream, &t->conn->stream, start->from_backend, start->n_from_backend);
    *conn = NULL;
    *lease = (struct lease){ 0 };
    *start = (struct tunnel_start){ 0 };
    metric_add(METRIC_TUNNELS_OPENED, 1);
    metric_add(METRIC_TUNNELS, 1);
    stream_tls_flush(&t->conn->stream); /* either side may wait for the other's word */
    stream_tls_flush(&t->lease.conn->stream);
    rc = direction_begin(&t->up);
    if (rc == 0)
        rc = direction_begin(&t->down);
    if (rc < 0 && rc != -ERR_CANCELED)
        tunnel_end(t, rc);
    return 0;
}

void tunnels_close(struct worker *w)
{
    LIST_EACH_SAFE(&w->tunnels, it)
    tunnel_end(LIST_ITEM(it, struct tunnel, link), -ERR_DRAINING);
}

/* ---- TCP mode ---- */

static int lease_any(struct conn *c, struct way *way, struct lease *l, int64_t connect)
{
    struct hash_input in = { .client = c->peer, .sni = way->name };
    struct pool *pool = way->pool;
    uint64_t hash = affinity_hash(pool, &in);
    struct origin *origin;
    struct backend *b;
    int rc = conn_origin(c, pool, &origin);

    if (rc < 0)
        return rc;
    rc = -ERR_NO_BACKEND;
    while ((b = pool_pick(pool, hash, &way->tried)) != NULL && tried_add(&way->tried, b)) {
        struct outcome o = { .latency = -1 };

        rc = lease_begin(l, pool, b, LEASE_RAW, origin, clock_after(fiber_now(), connect));
        if (rc == 0)
            break;
        o.code = rc;
        pool_done(pool, b, &o);
        if (rc == -ERR_NOFILE || rc == -ERR_NOMEM || rc == -ERR_CANCELED)
            break;
    }
    return rc;
}

/* The name that a connection asks for (it may stand in `text`); by that the first route that takes it, and asks for nothing that TCP
 * doesn't have; else the listener's pool.  0, or the code it ends with. */
static int find_way(struct conn *c, const struct served *served, char text[CLIENT_HELLO_NAME], struct way *way)
{
    const struct listener_conf *l = c->door->conf;
    const struct pool_conf *found;
    struct slice name = stream_tls_name(&c->stream);
    int rc = 0;

    if (l->sni && c->stream.tls == NULL)
        rc = secure_peek_name(c, text, &name, clock_after(fiber_now(), served->serving->conf->timeouts.tls_handshake));
    if (rc < 0)
        return rc;
    way->name = name;
    if (l->sni)
        way->route = router_find_name(served->serving->router, name);
    found = way->route != NULL ? way->route->pool : l->pool;
    if (found == NULL)
        return -ERR_NO_ROUTE;
    way->pool = serving_pool(served->serving, found);
    return way->route != NULL && way->route->identity != NULL ? secure_check_identity(&c->stream, way->route->identity) : 0;
}

/* For the line that is written when the tunnel ends.  A stream with TLS of ours knows it by then, too. */
static char *name_to_keep(const struct conn *c, struct slice name)
{
    return name.n > 0 && c->stream.tls == NULL && access_log_is_on() ? strndup(name.p, name.n) : NULL;
}

void tunnel_tcp(struct conn *c)
{
    struct served *served = served_use(c->door->served);
    const struct timeouts_conf *timeouts = &served->serving->conf->timeouts;
    char text[CLIENT_HELLO_NAME];
    struct way way = { 0 };
    struct tunnel_start start = { 0 };
    struct lease lease = { 0 };
    int64_t opened = fiber_now();
    int rc;

    rc = find_way(c, served, text, &way);
    if (rc == 0) {
        fiber_doing("connecting to a backend");
        rc = lease_any(c, &way, &lease, timeouts->connect);
    }
    if (rc == 0) {
        start = (struct tunnel_start){ .route = way.route, .name = name_to_keep(c, way.name), .attempts = way.tried.n };
        rc = tunnel_open(&c, &lease, way.pool, served, &start, timeouts->tunnel_idle);
    }
    if (rc < 0) {
        record_refused(c, &way, opened, rc);
        free(start.name);
        lease_end(&lease);
        conn_free(&c, true);
    }
    tried_free(&way.tried);
    served_done(&served);
}
