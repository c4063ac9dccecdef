/* pass.c - the backend's answer is awaited, and passed on while it comes. */
#include "proxy/pass.h"

#include <stdlib.h>

#include "base/err.h"
#include "http/date_field.h"
#include "http/hop.h"
#include "http/upgrade.h"
#include "net/splice.h"
#include "proxy/fault.h"
#include "proxy/relay.h"
#include "proxy/tunnel.h"
#include "proxy/upload.h"

#define WATCH_AFTER (100 * CLOCK_MS) /* a backend that takes longer: from then on the client's leaving is noticed */

/* ---- waiting while the backend thinks ---- */

/* When the backend has had its time; as long as the body goes up, that has its own limits. */
static bool answer_is_late(const struct exchange *x, int64_t *until)
{
    int64_t since = x->upload != NULL && x->upload->ended > x->sent_at ? x->upload->ended : x->sent_at;

    *until = clock_after(upload_runs(x) ? fiber_now() : since,
                         x->grpc ? exchange_timeouts(x)->stream_idle : exchange_timeouts(x)->first_byte);
    return *until <= fiber_now();
}

static int await_answer(struct exchange *x)
{
    struct codec *client = x->client, *backend = x->backend;
    int64_t until;

    fiber_doing("waiting for the backend's answer");
    for (;;) {
        bool watched = client->ops->watched(client);
        int rc;

        if (answer_is_late(x, &until))
            return backend->ops->wait(backend, 0) == 0 ? 0 : -ERR_FIRST_BYTE_TIMEOUT;
        if (!watched && until > deadline_in(WATCH_AFTER))
            until = deadline_in(WATCH_AFTER);
        rc = backend->ops->wait(backend, until);
        if (rc != -ERR_TIMEOUT)
            return rc == 0 ? 0 : fault_of_backend_head(rc, false);
        if (!watched && !upload_runs(x))
            client->ops->watch_closely(client);
    }
}

/* ---- the answer ---- */

static int send_interim(struct exchange *x, struct message *m)
{
    static const struct head_frame no_body = { .framing = FRAMING_NONE };
    struct hop_info info = exchange_hop_info(x);
    int rc;

    if (x->req.minor == 0)
        return 0; /* RFC 9110 15.2: it can't read them */
    info.via = false;
    x->told_interim = true;
    rc = hop_response(m, &info, false, x->arena);
    if (rc == 0)
        rc = x->client->ops->write_head(x->client, m, &no_body, NULL, deadline_in(exchange_timeouts(x)->stream_idle));
    if (rc < 0)
        x->head_sent = true; /* some of it may have left: nothing can be said any more */
    return rc < 0 ? fault_of_client_write(rc) : 0;
}

/* The final head; 1xx heads before it have been passed on. */
int pass_read_head(struct exchange *x, struct message *m)
{
    const struct limits_conf *l = &x->conf->limits;
    struct head_limits limits = { .head = (uint32_t)l->response_header, .line = (uint32_t)l->response_header, .headers = 512 };
    int rc;

    for (int i = 0; i <= INTERIM_MOST; i++) {
        rc = await_answer(x);
        if (rc < 0)
            return rc;
        rc = x->backend->ops->read_response(x->backend, m, x->req.method, &limits, deadline_in(exchange_timeouts(x)->first_byte));
        x->answered = rc == 0 || x->backend->began;
        if (rc < 0)
            return fault_of_backend_head(rc, x->backend->began);
        if (x->first_byte == 0)
            x->first_byte = clock_now();
        if (m->status >= 200 || m->status == 101)
            return 0;
        rc = send_interim(x, m);
        if (rc < 0)
            return rc;
    }
    return -ERR_BAD_RESPONSE;
}

static struct head_frame frame_for_client(struct exchange *x, const struct message *m)
{
    struct head_frame f = { .framing = m->framing, .content_length = m->content_length, .date = date_field(fiber_now()) };
    bool old = x->req.minor == 0;

    if (f.framing == FRAMING_NONE)
        f.keep_length = x->req.method == METHOD_HEAD || m->status == 304;
    else if (f.framing != FRAMING_LENGTH)
        f.framing = old ? FRAMING_CLOSE : FRAMING_CHUNKED;
    if (f.framing == FRAMING_CLOSE)
        x->keep_alive = false;
    if (x->upload != NULL && !x->upload->done)
        x->keep_alive = false; /* nobody knows whether the rest of the body will come, or find anybody who takes it */
    if (conn_must_end(x->conn))
        x->keep_alive = false;
    f.persist = !x->keep_alive ? PERSIST_CLOSE : old ? PERSIST_TELL : PERSIST_DEFAULT;
    return f;
}

static int edit_answer(struct exchange *x, struct message *m)
{
    struct hop_info info = exchange_hop_info(x);
    int rc = 0;

    if (info.via || m->n_headers == m->cap_headers)
        rc = message_reserve(m, 1, x->arena);
    if (rc == 0)
        rc = hop_response(m, &info, false, x->arena);
    if (rc == 0)
        rc = header_rules_apply(&x->listener->response_headers, m, x->arena);
    if (rc == 0 && x->route != NULL)
        rc = header_rules_apply(&x->route->response_headers, m, x->arena);
    return rc == 0 ? affinity_answer(x, m) : rc;
}

/* 1: by splice; 0: not this time; <0 a code. */
static int pass_spliced(struct exchange *x)
{
    struct codec *from = x->backend;
    uint64_t left;
    struct stream *in = from->ops->raw_in(from, &left), *out = x->client->ops->raw_out(x->client);
    bool backend_side;
    ssize_t n;

    if (in == NULL || out == NULL || left < SPLICE_LEAST)
        return 0;
    n = splice_some(in, out, left, exchange_timeouts(x)->stream_idle, &backend_side,
                    deadline_in(exchange_timeouts(x)->stream_idle));
    if (n == -ERR_NOFILE)
        return 0;
    if (n == 0)
        return -ERR_RESPONSE_CUT;
    if (n < 0)
        return backend_side ? fault_of_backend_body((int)n) : fault_of_client_write((int)n);
    from->ops->raw_moved(from, (uint64_t)n, true);
    x->client->ops->raw_moved(x->client, (uint64_t)n, false);
    x->body_sent += (uint64_t)n;
    return 1;
}

static int pass_piece(struct exchange *x, bool *last)
{
    struct body b;
    int rc = exchange_read_body(x, x->backend, &b, exchange_timeouts(x)->stream_idle);

    if (rc < 0)
        return fault_of_backend_body(rc);
    if (b.last && x->was_reset && x->backend->framing == FRAMING_CLOSE)
        return -ERR_RESPONSE_CUT;
    *last = b.last;
    rc = x->client->ops->write_body(x->client, &b, deadline_in(exchange_timeouts(x)->stream_idle));
    x->body_sent += b.data.n;
    return rc < 0 ? fault_of_client_write(rc) : 0;
}

static int pass_body(struct exchange *x)
{
    bool last = false;

    fiber_doing("passing the answer on");
    while (!last) {
        int rc = pass_spliced(x);

        if (rc == 1)
            last = x->backend->body_done;
        else if (rc == 0)
            rc = pass_piece(x, &last);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int pass_final(struct exchange *x, struct message *m)
{
    struct head_frame f;
    struct body first;
    int rc = exchange_would_mislead(x, m->status) ? -ERR_UPGRADE_FAILED : edit_answer(x, m);

    if (rc < 0)
        return rc;
    f = frame_for_client(x, m);
    rc = exchange_read_first(x, x->backend, &first); /* what came with the head leaves with it */
    if (rc < 0)
        return fault_of_backend_body(rc);
    x->status = m->status;
    x->head_sent = true;
    x->body_sent = first.data.n;
    rc = x->client->ops->write_head(x->client, m, &f, &first, deadline_in(exchange_timeouts(x)->stream_idle));
    if (rc < 0)
        return fault_of_client_write(rc);
    return first.last ? 0 : pass_body(x);
}

/* One side is an HTTP/2 stream. */
static int pass_relayed(struct exchange *x)
{
    struct codec *sides[] = { x->client, x->backend };

    for (int i = 0; i < 2; i++) {
        struct h1_codec *h1 = h1_codec_of(sides[i]);
        if (h1 != NULL)
            h1_codec_switch(h1);
        else
            sides[i]->body_done = false;
    }
    x->keep_alive = false;
    return relay(x, exchange_timeouts(x)->tunnel_idle);
}

/* 101: what follows is no HTTP any more. */
static int pass_upgrade(struct exchange *x, struct message *m)
{
    static const struct head_frame upgraded = { .framing = FRAMING_NONE, .persist = PERSIST_UPGRADE };
    struct hop_info info = exchange_hop_info(x);
    struct h1_codec *client = h1_codec_of(x->client), *backend = h1_codec_of(x->backend);
    struct tunnel_start start = { 0 };
    int rc;

    if (!x->req.upgrade || x->upload != NULL || !upgrade_was_asked_for(m, &x->req))
        return -ERR_UPGRADE_FAILED;
    rc = x->req.h2 && backend != NULL ? upgrade_websocket_check(m, &x->req) : 0; /* the key was ours: nobody else looks */
    if (rc < 0)
        return rc;
    info.via = false;
    rc = hop_response(m, &info, true, x->arena);
    if (rc == 0)
        rc = header_rules_apply(&x->listener->response_headers, m, x->arena);
    if (rc == 0)
        rc = affinity_answer(x, m);
    if (rc < 0)
        return rc;
    x->status = m->status;
    x->head_sent = true;
    rc = x->client->ops->write_head(x->client, m, &upgraded, NULL, deadline_in(exchange_timeouts(x)->stream_idle));
    if (rc < 0)
        return fault_of_client_write(rc);
    if (client == NULL || backend == NULL)
        return pass_relayed(x);
    x->client->ops->watch(x->client, NULL);
    start.from_client = h1_codec_take_unread(client, &start.n_from_client);
    start.from_backend = h1_codec_take_unread(backend, &start.n_from_backend);
    start.record = exchange_record_keep(x);
    start.route = x->route;
    start.attempts = x->attempts;
    rc = -ERR_NOMEM; /* bytes that are lost would leave a hole in the tunnel */
    if ((start.n_from_client == 0 || start.from_client != NULL) && (start.n_from_backend == 0 || start.from_backend != NULL))
        rc = tunnel_open(&x->conn, &x->lease, x->pool, x->served, &start, exchange_timeouts(x)->tunnel_idle);
    if (rc < 0) {
        free(start.from_client);
        free(start.from_backend);
        free(start.record);
        return rc;
    }
    x->end = EXCHANGE_TUNNEL;
    return 0;
}

int pass_answer(struct exchange *x, struct message *m) { return m->status == 101 ? pass_upgrade(x, m) : pass_final(x, m); }
