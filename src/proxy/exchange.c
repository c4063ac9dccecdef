/* exchange.c - one request from its first byte to its answer's last: the page to read first. */
#include "proxy/exchange.h"

#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/upgrade.h"
#include "proxy/forwarded_for.h"
#include "proxy/grpc.h"
#include "proxy/route.h"
#include "proxy/secure.h"

/* Reading the request failed: what the client did, in words of its side. */
static int request_code(const struct exchange *x, int rc)
{
    bool began = x->client->began;

    switch (-rc) {
    case ERR_TIMEOUT: return began ? -ERR_REQUEST_TIMEOUT : -ERR_CLOSED; /* nothing came: an idle connection, no failure */
    case ERR_CLOSED:
    case ERR_RESET:
    case ERR_IO: return began ? -ERR_CLIENT_CLOSED : -ERR_CLOSED;
    case ERR_CANCELED: return -fiber_cause();
    default: return rc;
    }
}

static void on_deadline(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, deadline);

    fiber_cancel(x->fiber, ERR_DEADLINE);
}

static void begin_grpc(struct exchange *x)
{
    int64_t timeout = grpc_timeout(&x->req);

    x->grpc = true;
    timer_init(&x->deadline, on_deadline);
    if (timeout != CLOCK_NEVER)
        timer_arm(&x->deadline, deadline_in(timeout));
}

static int read_request(struct exchange *x, int64_t deadline)
{
    const struct limits_conf *l = &x->conf->limits;
    struct head_limits limits = { .head = (uint32_t)l->request_header,
                                  .line = (uint32_t)l->request_line,
                                  .headers = (uint16_t)l->headers };
    int rc;

    x->client_ip = x->peer;
    fiber_doing("reading the request head");
    rc = x->client->ops->read_request(x->client, &x->req, &limits, deadline);
    x->started = clock_now();
    if (rc < 0)
        return request_code(x, rc);
    x->request_was_read = true;
    x->keep_alive = x->req.keep_alive;
    if (x->conf->daemon.trusted_proxies.n > 0)
        x->client_ip = forwarded_for(&x->conf->daemon.trusted_proxies, &x->req, &x->peer);
    if (x->req.h2 && grpc_is(&x->req))
        begin_grpc(x);
    return 0;
}

/* May this request come in at all? */
static int admit(struct exchange *x)
{
    uint64_t most = x->conf->limits.request_body;

    if (x->req.upgrade && upgrade_names_http(&x->req))
        x->req.upgrade = false; /* behind its 101 a client would speak past every route and rule of ours */
    if (x->conn->stream.tls != NULL && secure_check_host(x) < 0)
        return -ERR_MISDIRECTED;
    if (most != 0 && x->req.framing == FRAMING_LENGTH && x->req.content_length > most)
        return -ERR_BODY_TOO_LARGE;
    return 0;
}

static int find_route(struct exchange *x)
{
    struct slice path;
    int rc = route_path(x->req.path, x->arena, &path);

    if (rc < 0)
        return rc;
    x->route = router_find(x->served->serving->router, &x->req, path);
    return x->route != NULL && x->route->identity != NULL ? secure_check_identity(&x->conn->stream, x->route->identity) : 0;
}

/* What the route says is to be done; without a route, the listener's pool. */
static int act(struct exchange *x)
{
    const struct pool_conf *pool = x->route != NULL ? x->route->pool : x->listener->pool;

    if (x->listener->redirect_https)
        return answer_redirect_https(x);
    if (x->route != NULL && x->route->respond != NULL)
        return answer_respond(x, x->route->respond);
    if (x->route != NULL && x->route->redirect != NULL)
        return answer_redirect(x, x->route->redirect);
    if (pool == NULL)
        return -ERR_NO_ROUTE;
    x->pool = serving_pool(x->served->serving, pool);
    return forward(x);
}

/* It failed: the client gets to know, by an answer or, when one has begun, by its being cut. */
static int fail(struct exchange *x, int rc)
{
    if (!x->head_sent)
        return answer_error(x, rc);
    x->end = EXCHANGE_ABORT;
    return rc;
}

static void finish(struct exchange *x, int rc)
{
    x->reason = rc;
    if (x->end == EXCHANGE_NEXT && !x->keep_alive)
        x->end = EXCHANGE_CLOSE;
    if (x->grpc)
        timer_disarm(&x->deadline);
    exchange_record(x);
    tried_free(&x->tried);
    buf_free(&x->replay);
}

enum exchange_end exchange_run(struct exchange *x, int64_t head_deadline)
{
    int rc = read_request(x, head_deadline);

    if (rc == -ERR_CLOSED)
        return EXCHANGE_CLOSE; /* between two requests: not an exchange at all */
    if (rc == 0)
        rc = admit(x);
    if (rc == 0 && !x->listener->redirect_https)
        rc = find_route(x);
    if (rc == 0)
        rc = act(x);
    if (rc < 0)
        rc = fail(x, rc);
    finish(x, rc);
    return x->end;
}

int header_rules_apply(const struct header_rules *rules, struct message *m, struct arena *a)
{
    int rc;

    if (rules->n == 0)
        return 0;
    rc = message_reserve(m, (unsigned)rules->n + 2, a);
    for (size_t i = 0; rc == 0 && i < rules->n; i++) {
        const struct header_rule *r = &rules->v[i];
        if (slice_eq_nocase(r->name, SLICE("host")) && m->status == 0) {
            m->authority = r->value; /* the one place that Host is written from */
            continue;
        }
        if (r->op != HEADER_ADD)
            message_drop_name(m, r->name);
        if (r->op != HEADER_REMOVE)
            rc = message_add(m, r->name, r->value);
    }
    return rc;
}

struct hop_info exchange_hop_info(const struct exchange *x)
{
    return (struct hop_info){ .via = x->listener->via,
                              .via_name = SLICE("weir"),
                              .forwarded = (enum forwarded_mode)x->listener->forwarded };
}

static void drop_by_rules(const struct header_rules *rules, struct message *trailers)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->v[i].op != HEADER_ADD)
            message_drop_name(trailers, rules->v[i].name);
}

/* A name that a rule removes or sets is not to come in by the back door. */
static void edit_trailers(const struct exchange *x, const struct codec *from, struct message *trailers)
{
    bool up = from == x->client;

    drop_by_rules(up ? &x->listener->request_headers : &x->listener->response_headers, trailers);
    if (x->route != NULL)
        drop_by_rules(up ? &x->route->request_headers : &x->route->response_headers, trailers);
}

int exchange_read_first(struct exchange *x, struct codec *from, struct body *b)
{
    int rc = from->ops->read_body(from, b, 0);

    if (rc >= 0 && b->trailers != NULL)
        edit_trailers(x, from, b->trailers);
    return rc;
}

int exchange_read_body(struct exchange *x, struct codec *from, struct body *b, int64_t patience)
{
    int rc;

    do
        rc = from->ops->read_body(from, b, deadline_in(patience));
    while (rc == -ERR_TIMEOUT && x->grpc && deadline_in(0) < clock_after(x->moved, patience));
    x->moved = fiber_now();
    if (rc >= 0 && b->trailers != NULL)
        edit_trailers(x, from, b->trailers);
    return rc;
}
