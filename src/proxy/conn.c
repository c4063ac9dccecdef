/* conn.c - the life of a client's connection: idle record, fiber, idle record, ..., end. */
#include "proxy/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "base/rand.h"
#include "proxy/announced.h"
#include "proxy/clients.h"
#include "net/stream_tls.h"
#include "proxy/exchange.h"
#include "proxy/h2_conn.h"
#include "proxy/secure.h"
#include "proxy/tunnel.h"
#include "proxy/worker.h"
#include "upstream/origin.h"
#include "upstream/pool.h"

enum {
    LINGER_BYTES = 256 * 1024, /* what a client may still send after our last word */
};
#define LINGER_TIME (2 * CLOCK_S)

struct connection_count connections;

struct conn *conn_new(int fd, struct listener *l, const struct sockaddr *peer, socklen_t peer_len)
{
    struct conn *c = malloc(sizeof *c);

    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof *c);
    c->magic = CONN_MAGIC;
    c->listener = listener_ref(l);
    c->peer = ip_of(peer, peer_len);
    list_init(&c->link);
    stream_open(&c->stream, fd, peer->sa_family != AF_UNIX);
    return c;
}

void conn_free(struct conn **cp, bool reset)
{
    struct conn *c = *cp;

    *cp = NULL;
    MUST_BE(c, CONN_MAGIC);
    list_remove(&c->link);
    if (reset)
        stream_close_reset(&c->stream);
    else
        stream_close(&c->stream);
    if (c->counted)
        clients_leave(&c->peer);
    if (UNLIKELY(c->origin != NULL))
        origin_free(&c->origin);
    atomic_fetch_sub_explicit(&connections.open, 1, memory_order_relaxed);
    metric_add(METRIC_CONNECTIONS, -1);
    listener_unref(&c->listener);
    if (c->door != NULL) {
        worker_conn_ends(worker_self);
        door_leave(&c->door);
    }
    c->magic = 0;
    free(c);
}

void conn_cancel(struct conn *c, int cause)
{
    MUST_BE(c, CONN_MAGIC);
    if (c->fiber != NULL)
        fiber_cancel(c->fiber, cause);
}

bool conn_must_end(const struct conn *c)
{
    return worker_self->draining || c->door->closed || c->requests + 1 >= c->requests_most || fiber_now() >= c->retire_at;
}

/* Closing at once would reset the connection if the client still sends, and the reset would
 * overtake our answer: so first its bytes are taken and thrown away, for a while (RFC 9112 9.6). */
void conn_close_gently(struct conn *c)
{
    int64_t deadline = deadline_in(LINGER_TIME);
    int64_t look = 100 * CLOCK_MS; /* whether the worker is being stopped meanwhile */
    size_t left = LINGER_BYTES;
    char sink[512];

    fiber_doing("closing");
    (void)fiber_shield(true);
    if (stream_shutdown(&c->stream) < 0)
        left = 0;
    while (left > 0 && fiber_now() < deadline && worker_self->stop_at == 0) {
        ssize_t got = stream_read(&c->stream, sink, sizeof sink, deadline_in(look));
        if (got == -ERR_TIMEOUT)
            continue;
        if (got <= 0)
            break;
        left -= (size_t)got < left ? (size_t)got : left;
    }
    conn_free(&c, false);
}

static void conn_run(void *arg);

int conn_wake(struct conn *c)
{
    MUST_BE(c, CONN_MAGIC);
    if (fiber_go(NULL, "conn", conn_run, c) < 0)
        return -ERR_NOMEM;
    c->idle = false;
    c->stream.pd.on_readable = NULL;
    list_remove(&c->link);
    list_push_back(&worker_self->busy, &c->link);
    return 0;
}

/* On the scheduler's stack: the idle connection's next byte, or its end. */
static void on_idle_readable(struct pd *p)
{
    struct conn *c = CONTAINER_OF(p, struct conn, stream.pd);

    if (conn_wake(c) == 0)
        return;
    log_every_second(LOG_LEVEL_ERROR, "conn.no_memory", "connections=%u", worker_self->n_conns);
    conn_drop_idle(c);
}

void conn_drop_idle(struct conn *c)
{
    MUST(c->idle);
    if (c->h2 != NULL) {
        h2_conn_leave(c);
        return;
    }
    if (stream_has_bytes(&c->stream) && conn_wake(c) == 0)
        return; /* epoll has not told yet; closing would reset a request that has come */
    c->idle = false;
    conn_free(&c, false);
}

/* Nothing to do: the fiber ends, the record waits.  False: it can't be watched. */
bool conn_go_idle(struct conn *c)
{
    struct worker *w = worker_self;

    if (pd_register(&c->stream.pd) < 0)
        return false;
    c->idle = true;
    c->fiber = NULL;
    c->idle_since = fiber_now();
    c->stream.pd.on_readable = on_idle_readable;
    list_remove(&c->link);
    list_push_back(c->requests == 0 ? &w->idle_new : &w->idle_kept, &c->link);
    worker_watch_idle(w);
    return true;
}

int conn_origin(struct conn *c, const struct pool *p, struct origin **out)
{
    *out = NULL;
    if (LIKELY(p->conf->send_proxy_protocol == PROXY_SEND_OFF))
        return 0;
    if (c->origin == NULL) {
        struct ip to = stream_local(&c->stream);
        c->origin = origin_new(&c->stream, &c->peer, &to);
    }
    *out = c->origin;
    return *out == NULL ? -ERR_NOMEM : 0;
}

enum exchange_end conn_exchange(struct conn *c, struct codec *client, struct arena *a)
{
    struct exchange x;
    enum exchange_end end;

    memset(&x, 0, sizeof x);
    x.conn = c;
    x.peer = c->peer;
    x.client = client;
    x.arena = a;
    x.served = served_use(c->door->served);
    x.conf = x.served->serving->conf;
    x.listener = c->door->conf;
    x.fiber = fiber_self();
    end = exchange_run(&x, deadline_in(x.conf->timeouts.request_header));
    served_done(&x.served);
    return end;
}

static enum exchange_end one_exchange(struct conn *c, struct h1_codec *codec)
{
    struct arena arena;
    enum exchange_end end;

    arena_init(&arena, NULL, 0); /* not on the stack: all of that stays within one page while it waits */
    h1_codec_next(codec, &arena);
    end = conn_exchange(c, &codec->codec, &arena);
    arena_free(&arena);
    return end;
}

/* With prior knowledge a client begins with the preface, whose first word is no method of HTTP/1 (RFC 9113 3.3).  1: so it
 * does; 0: not; <0: a code. */
static int speaks_h2(struct conn *c, struct h1_codec *codec)
{
    int64_t deadline = deadline_in(c->door->served->serving->conf->timeouts.request_header);
    unsigned speaks = c->door->conf->speaks;
    struct slice first = h1_codec_unread(codec);

    if (c->requests > 0 || (speaks & LISTENER_H2) == 0 || c->stream.tls != NULL)
        return 0;
    if ((speaks & LISTENER_H1) == 0)
        return 1;
    while (first.n < 4 && memcmp(first.p, "PRI ", first.n) == 0) {
        int rc = h1_codec_fill_more(codec, deadline);
        if (rc < 0)
            return rc;
        first = h1_codec_unread(codec);
    }
    return first.n >= 4 && memcmp(first.p, "PRI ", 4) == 0;
}

static void conn_http(struct conn *c)
{
    enum exchange_end end = EXCHANGE_NEXT;
    struct h1_codec codec;
    bool client_may_send = false, at_end = false;

    h1_codec_open(&codec, &c->stream);
    while (end == EXCHANGE_NEXT) {
        int rc = h1_codec_fill(&codec);

        if (rc == -ERR_AGAIN) {
            if (worker_self->draining && stream_has_bytes(&c->stream))
                continue; /* it came before the last answer could say that it is the last */
            if (worker_self->draining || !conn_go_idle(c))
                end = EXCHANGE_CLOSE;
            else
                c = NULL;
            break;
        }
        if (rc < 0) {
            at_end = rc == -ERR_CLOSED || rc == -ERR_RESET; /* between requests nothing is cut by it */
            end = at_end ? EXCHANGE_CLOSE : EXCHANGE_ABORT;
            break;
        }
        if (UNLIKELY((c->door->conf->speaks & LISTENER_H2) != 0)) {
            rc = speaks_h2(c, &codec);
            if (rc > 0)
                rc = h2_conn_begin(c, h1_codec_unread(&codec));
            if (c->h2 != NULL) {
                h1_codec_close(&codec);
                h2_conn_run(c);
                return;
            }
            if (rc < 0) {
                end = rc == -ERR_TIMEOUT ? EXCHANGE_CLOSE : EXCHANGE_ABORT;
                break;
            }
        }
        end = one_exchange(c, &codec);
        if (end != EXCHANGE_TUNNEL)
            c->requests++;
    }
    if (end == EXCHANGE_CLOSE && c != NULL && !at_end) /* an end that was only announced may have requests before it */
        client_may_send = !codec.codec.body_done || h1_codec_has_unread(&codec) || stream_may_read(&c->stream);
    h1_codec_close(&codec);
    if (c == NULL || end == EXCHANGE_TUNNEL)
        return;
    if (client_may_send)
        conn_close_gently(c);
    else
        conn_free(&c, end == EXCHANGE_ABORT);
}

/* With TLS, what both sides agreed on by ALPN decides what is spoken: stream_tls_protocol() of the stream. */
static void serve(struct conn *c)
{
    bool agreed = c->stream.tls != NULL && slice_eq(stream_tls_protocol(&c->stream), SLICE("h2"));

    if (c->door->conf->mode == LISTENER_TCP)
        tunnel_tcp(c);
    else if (c->h2 == NULL && !agreed)
        conn_http(c);
    else if (c->h2 != NULL || h2_conn_begin(c, SLICE("")) == 0)
        h2_conn_run(c);
    else
        conn_free(&c, true);
}

static void conn_run(void *arg)
{
    struct conn *c = arg;
    bool told;

    MUST_BE(c, CONN_MAGIC);
    c->fiber = fiber_self();
    fiber_about(&c->peer);
    if (worker_self->stop_at != 0) /* it came in just before the doors closed */
        conn_cancel(c, ERR_DRAINING);
    if (UNLIKELY(c->unannounced) && !announced_begin(c)) {
        conn_free(&c, false);
        return;
    }
    if (c->door->conf->tls_party == NULL || c->stream.tls != NULL || secure_begin(c, &told))
        serve(c);
    else if (told)
        conn_close_gently(c);
    else
        conn_free(&c, false);
}

/* Connections that began together shall not end together. */
static void set_age(struct conn *c)
{
    const struct snapshot *conf = c->door->served->serving->conf;
    int64_t age = conf->timeouts.connection_age;

    c->retire_at = deadline_in(age - age / 10 + (int64_t)rand_below((uint64_t)age / 5 + 1));
    c->requests_most = conf->limits.connection_requests;
}

void conn_start(void *arg)
{
    struct conn *c = arg;
    struct worker *w = worker_self;

    MUST_BE(c, CONN_MAGIC);
    /* Taken from a worker that has heard of a new listener before we did: our mail is on its way. */
    for (int i = 0; (c->door = door_find(w, c->listener)) == NULL && !w->draining && i < 50; i++)
        (void)fiber_sleep(fiber_now() + 2 * CLOCK_MS);
    if (c->door == NULL) { /* the listener went while the connection waited for its start */
        conn_free(&c, false);
        return;
    }
    c->door->conns++;
    worker_conn_begins(w);
    set_age(c);
    listener_unref(&c->listener);
    list_push_back(&w->busy, &c->link);
    conn_run(c);
}
