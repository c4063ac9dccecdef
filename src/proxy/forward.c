/* forward.c - a backend is found and the request sent; once more where that is safe. */
#include "base/err.h"
#include "base/metric.h"
#include "base/must.h"
#include "http/h2_session.h"
#include "http/hop.h"
#include "net/stream_tls.h"
#include "proxy/exchange.h"
#include "proxy/fault.h"
#include "proxy/forwarded_for.h"
#include "proxy/pass.h"
#include "proxy/upload.h"

enum {
    TRIES_MOST = 3,         /* when a connection broke before an answer began to pass, and twice is as good as once */
    SLOW_TRIES_MOST = 2,    /* when a try took long */
    REFUSED_TRIES_MOST = 8, /* when it had none and took no time */
};

/* ---- one try ---- */

static int send_request(struct exchange *x)
{
    struct head_frame f = { .framing = x->req.framing,
                            .content_length = x->req.content_length,
                            .persist = x->req.upgrade ? PERSIST_UPGRADE : PERSIST_DEFAULT };
    struct body first = { .data = buf_slice(&x->replay), .last = x->replay_whole, .trailers = x->replay_trailers };
    int rc;

    x->sent_up = true;
    x->sent_at = fiber_now();
    rc = x->backend->ops->write_head(x->backend, &x->req, &f, &first, deadline_in(exchange_timeouts(x)->stream_idle));
    return rc < 0 ? fault_of_backend_write(rc) : 0;
}

static int talk(struct exchange *x)
{
    struct upload upload;
    struct message m = { 0 };
    bool sent_all;
    int rc;

    rc = send_request(x);
    if (rc == 0)
        rc = upload_start(x, &upload);
    if (rc == 0)
        rc = pass_read_head(x, &m);
    if (rc == 0)
        rc = pass_answer(x, &m);
    if (x->end == EXCHANGE_TUNNEL)
        return 0; /* which has the lease now */
    upload_end(x);
    sent_all = x->upload == NULL || x->upload->done;
    x->upload = NULL;
    x->lease.reusable = rc == 0 && sent_all && m.keep_alive && x->backend->ops->is_clean(x->backend);
    return rc;
}

/* A kept connection had ended, or was ending: says nothing about the backend.  One that others used at the same time had not. */
static bool was_stale(const struct exchange *x, int rc)
{
    if (!x->reused || x->answered || (rc != -ERR_BACKEND_CLOSED && rc != -ERR_BACKEND_RESET && rc != -ERR_BACKEND_TLS_ALERT))
        return false;
    return x->lease.stream == NULL || h2_stream_came_too_late(x->lease.stream);
}

static void try_ends(struct exchange *x, struct backend *b, int rc)
{
    struct outcome o = { .latency = x->first_byte != 0 ? x->first_byte - x->sent_at : -1, .code = rc, .status = x->status };

    if (rc == -ERR_STREAM_REFUSED || was_stale(x, rc))
        o.code = -ERR_CLOSED;
    pool_done(x->pool, b, &o);
}

static int try_backend(struct exchange *x, struct backend *b, enum lease_want want)
{
    struct origin *origin;
    int rc;

    MUST(tried_add(&x->tried, b)); /* REFUSED_TRIES_MOST fit */
    x->attempts++;
    x->answered = x->was_reset = false;
    fiber_doing("connecting to a backend");
    rc = conn_origin(x->conn, x->pool, &origin);
    if (rc == 0)
        rc = lease_begin(&x->lease, x->pool, b, want, origin, deadline_in(exchange_timeouts(x)->connect));
    if (rc == -ERR_CANCELED)
        rc = -fiber_cause();
    x->connected = rc == 0;
    x->reused = rc == 0 && x->lease.reused;
    if (rc == 0) {
        if (x->lease.stream == NULL) {
            h1_codec_open(&x->h1, &x->lease.conn->stream);
            h1_codec_next(&x->h1, x->arena);
            x->backend = &x->h1.codec;
        } else {
            x->backend = &x->lease.stream->codec;
        }
        rc = talk(x);
        if (x->lease.stream == NULL)
            h1_codec_close(&x->h1);
    }
    try_ends(x, b, rc);
    return rc;
}

static bool may_be_sent_twice(const struct exchange *x)
{
    return !x->told_interim && !x->replay_lost && method_is_idempotent((enum method)x->req.method);
}

/* A try has failed; may there be another?  Only if nothing can have been done twice, or doing it twice is the same. */
static bool may_try_again(const struct exchange *x, int rc)
{
    if (x->head_sent || fiber_cause() != 0)
        return false;
    switch (-rc) {
    case ERR_CONNECT_REFUSED: return x->attempts < REFUSED_TRIES_MOST;
    case ERR_NOPORT: /* ports run out towards one address; there may be some towards another */
    case ERR_CONNECT_FAILED:
    case ERR_CONNECT_TIMEOUT:
    case ERR_BACKEND_TLS_FAILED:
    case ERR_BACKEND_TLS_TIMEOUT:
    case ERR_BACKEND_CERT_REFUSED:
    case ERR_BACKEND_IDENTITY: return x->attempts < SLOW_TRIES_MOST;
    case ERR_BACKEND_CLOSED:
    case ERR_BACKEND_RESET:
    case ERR_RESPONSE_CUT: /* inside its head: the client knows nothing of it */
        if (!x->connected)
            return x->attempts < TRIES_MOST; /* not a byte of the request has left */
        return may_be_sent_twice(x) && x->attempts < TRIES_MOST;
    case ERR_BACKEND_TLS_ALERT: /* in TLS 1.3 a request may have left when it comes */
        return (!x->connected || may_be_sent_twice(x)) && x->attempts < SLOW_TRIES_MOST;
    case ERR_BACKEND_SILENT: return may_be_sent_twice(x) && x->attempts < SLOW_TRIES_MOST;
    case ERR_STREAM_REFUSED: /* the backend says that it has done nothing (RFC 9113 8.7) */
        return !x->replay_lost && x->attempts < TRIES_MOST;
    default: return false;
    }
}

static int prepare(struct exchange *x)
{
    const struct listener_conf *l = x->listener;
    const struct networks *trusted = &x->conf->daemon.trusted_proxies;
    char ip[IP_TEXT_MAX];
    struct hop_info info = exchange_hop_info(x);
    int rc;

    info.client_ip = arena_copy(x->arena, slice_of(ip, x->peer.family == 0 ? 0 : ip_format(&x->peer, ip)));
    if (info.client_ip.p == NULL)
        return -ERR_NOMEM;
    info.trusted = networks_have(trusted, &x->peer);
    if (x->route != NULL && x->route->forwarded >= 0)
        info.forwarded = (enum forwarded_mode)x->route->forwarded;
    info.secure = x->conn->stream.tls != NULL;
    info.identity = stream_tls_identity(&x->conn->stream);
    rc = info.identity != NULL ? message_reserve(&x->req, HOP_IDENTITY + 5, x->arena) : 0;
    if (rc == 0)
        rc = hop_request(&x->req, &info, x->arena);
    if (rc == 0)
        rc = header_rules_apply(&l->request_headers, &x->req, x->arena);
    if (rc == 0 && x->route != NULL)
        rc = header_rules_apply(&x->route->request_headers, &x->req, x->arena);
    return rc == 0 ? upload_read_first(x) : rc;
}

/* `again`: one whose kept connection was dead.  It comes last; first, if the client belongs there. */
static struct backend *next_backend(struct exchange *x, struct backend **again)
{
    bool has_room = *again != NULL && backend_has_room(*again);
    struct backend *b = has_room && affinity_holds(&x->affinity, *again) ? NULL : affinity_pick(x);

    if (b == NULL && has_room) {
        b = *again;
        *again = NULL;
    }
    return b;
}

static int try_backends(struct exchange *x)
{
    enum lease_want want = method_is_idempotent((enum method)x->req.method) ? LEASE_ANY : LEASE_SURE;
    struct backend *again = NULL;
    int last = -ERR_NO_BACKEND, rc = affinity_begin(x);

    if (rc == 0)
        rc = prepare(x);
    if (rc < 0)
        return rc;
    for (;;) {
        struct backend *b = next_backend(x, &again);

        if (b == NULL) {
            rc = last;
            break;
        }
        rc = last = try_backend(x, b, want);
        lease_end(&x->lease);
        if (x->reused || rc == -ERR_STREAM_REFUSED)
            again = b;
        if (rc >= 0 || !may_try_again(x, rc))
            break;
        want = LEASE_FRESH;
        metric_add(METRIC_RETRIES, 1);
    }
    return rc;
}

int forward(struct exchange *x)
{
    int rc;

    x->client->ops->watch(x->client, x->fiber);
    /* An HTTP/2 stream may have been reset, or its connection have ended, before its exchange had a turn. */
    rc = fiber_cause() != 0 ? -fiber_cause() : try_backends(x);
    if (x->end != EXCHANGE_TUNNEL)
        x->client->ops->watch(x->client, NULL);
    return rc;
}
