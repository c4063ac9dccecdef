/* h2_stream.c - a stream as a codec: heads and pieces wait in it until they are read, and leave when windows allow. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/h2_session.h"
#include "http/upgrade.h"
#include "net/scratch.h"

enum { IN_KEPT = 4096 }; /* a buffer up to this stays with its stream */

static struct h2_stream *self(struct codec *c)
{
    struct h2_stream *st = CONTAINER_OF(c, struct h2_stream, codec);

    MUST_BE(st, H2_STREAM_MAGIC);
    return st;
}

static int wait_for(struct event *e, int64_t deadline)
{
    scratch_lost();
    return event_wait(e, deadline);
}

/* ---- in ---- */

static struct h2_head *next_head(struct h2_stream *st)
{
    struct h2_head *h = st->heads;

    st->heads = h->next;
    st->n_heads--;
    free(st->read);
    st->read = h;
    return h;
}

static int read_request(struct codec *c, struct message *m, const struct head_limits *limits, int64_t deadline)
{
    struct h2_stream *st = self(c);
    struct h2_head *h;

    (void)limits;
    (void)deadline; /* it is there: the stream began with it */
    c->began = true;
    if (st->heads == NULL)
        return -ERR_CLOSED;
    h = next_head(st);
    if (h->wrong < 0)
        return h->wrong;
    *m = h->m;
    st->connects = m->upgrade;
    c->framing = m->framing;
    c->body_done = m->framing == FRAMING_NONE || h->ended;
    return 0;
}

static bool has_head(const struct h2_stream *st) { return st->heads != NULL || st->closed || st->in_ended; }

static int wait(struct codec *c, int64_t deadline)
{
    struct h2_stream *st = self(c);

    while (!has_head(st)) {
        int rc = deadline == 0 ? -ERR_TIMEOUT : wait_for(&st->can_read, deadline);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_response(struct codec *c, struct message *m, enum method request_method, const struct head_limits *limits,
                         int64_t deadline)
{
    struct h2_stream *st = self(c);
    struct h2_head *h;
    int rc = wait(c, deadline);

    c->began = st->heads != NULL;
    if (rc < 0)
        return rc;
    if (st->heads == NULL)
        return st->fault < 0 ? st->fault : -ERR_CLOSED;
    h = next_head(st);
    h2_head_frame_response(h, request_method);
    if (h->size > limits->head)
        return -ERR_RESPONSE_TOO_LARGE;
    if (h->wrong < 0)
        return h->wrong;
    *m = h->m;
    if (st->connects && m->status >= 200 && m->status < 300) { /* RFC 8441 5: as HTTP/1 says it */
        m->status = 101;
        m->reason = SLICE("Switching Protocols");
        m->framing = FRAMING_NONE;
        (void)message_add(m, SLICE("Upgrade"), SLICE("websocket")); /* a head has room */
        message_drop_name(m, SLICE("sec-websocket-accept"));
        if (st->accepts)
            (void)message_add(m, SLICE("Sec-WebSocket-Accept"), slice_of(st->accept, sizeof st->accept));
    }
    c->framing = m->framing;
    c->body_done = m->framing == FRAMING_NONE || h->ended;
    return 0;
}

/* What was handed out last has been used: the peer may send as much again. */
static void give_back(struct h2_stream *st)
{
    size_t n = st->taken, left;

    st->taken = 0;
    if (n == 0)
        return;
    left = st->in.n - st->in_at;
    if (left > 0)
        memmove(st->in.p, st->in.p + st->in_at, left);
    if (st->session->conf.secret)
        explicit_bzero(st->in.p + left, st->in_at);
    st->in.n = left;
    if (left == 0 && st->in.cap > IN_KEPT)
        buf_free(&st->in);
    st->in_at = 0;
    h2_stream_consume(st, n);
}

static int read_body(struct codec *c, struct body *b, int64_t deadline)
{
    struct h2_stream *st = self(c);

    *b = (struct body){ .last = c->body_done };
    if (c->body_done)
        return 0;
    give_back(st);
    while (st->in.n == 0 && !st->in_ended) {
        int rc;

        if (st->closed)
            return st->fault < 0 ? st->fault : -ERR_CLOSED;
        if (deadline == 0)
            return 0;
        rc = wait_for(&st->can_read, deadline);
        if (rc < 0)
            return rc;
    }
    b->data = slice_of(st->in.p, st->in.n);
    st->in_at = st->taken = st->in.n;
    c->bytes_in += st->in.n;
    if (!st->in_ended)
        return 0;
    if (st->trailers != NULL && st->trailers->wrong < 0)
        return st->trailers->wrong;
    b->trailers = st->trailers == NULL ? NULL : &st->trailers->m;
    b->last = c->body_done = true;
    return 0;
}

/* ---- out ---- */

static bool is_taken(const struct h2_stream *st) { return st->out.n == 0 && (!st->out_last || st->out_ended); }

/* The windows, or the socket, don't take it all: the bytes must be kept, for they stand where others write during a wait. */
static int wait_until_taken(struct h2_stream *st, int64_t deadline)
{
    int rc = 0;

    if (st->out.n > 0) {
        st->out_copy = malloc(st->out.n);
        if (st->out_copy == NULL)
            return -ERR_NOMEM;
        memcpy(st->out_copy, st->out.p, st->out.n);
        st->out.p = st->out_copy;
    }
    while (rc == 0 && !is_taken(st))
        rc = st->closed ? (st->fault < 0 ? st->fault : -ERR_CLOSED) : wait_for(&st->can_write, deadline);
    st->out = slice_of(NULL, 0);
    free(st->out_copy);
    st->out_copy = NULL;
    return rc;
}

static void set_out(struct h2_stream *st, const struct body *b)
{
    st->out = b->data;
    st->out_last = b->last;
    st->out_trailers = b->last ? b->trailers : NULL;
    st->codec.bytes_out += b->data.n;
}

/* 1: it opens a WebSocket, of a client that speaks HTTP/2 or HTTP/1; 0: it does not. */
static int wants_connect(struct h2_stream *st, const struct message *m)
{
    struct slice key;
    int rc;

    if (m->status != 0 || !m->upgrade)
        return 0;
    if (m->h2)
        return 1;
    key = upgrade_websocket_key(m);
    if (key.n == 0)
        return 0;
    rc = upgrade_websocket_accept(key, st->accept);
    st->accepts = rc == 0;
    return rc < 0 ? rc : 1;
}

/* Toward a backend: is extended CONNECT known there?  Its SETTINGS tell. */
static int may_connect(struct h2_stream *st, int64_t deadline)
{
    struct h2_session *s = st->session;
    int rc = 0;

    h2_session_work(s);
    while (rc == 0 && !s->settled)
        rc = st->closed || s->error != 0 ? -ERR_CLOSED : wait_for(&st->can_read, deadline);
    st->connects = s->peer_connects;
    return rc;
}

static int write_head(struct codec *c, const struct message *m, const struct head_frame *f, const struct body *first,
                      int64_t deadline)
{
    struct h2_stream *st = self(c);
    bool interim = m->status != 0 && m->status < 200 && m->status != 101;
    bool tunnel = m->status == 101, ends;
    int rc;

    if (st->closed)
        return st->fault < 0 ? st->fault : -ERR_CLOSED;
    rc = wants_connect(st, m);
    if (rc > 0)
        rc = may_connect(st, deadline);
    if (rc < 0)
        return rc;
    if (m->status == 0)
        tunnel = st->connects;
    ends = f->framing == FRAMING_NONE && !tunnel && !interim;
    if (!tunnel && first != NULL && first->last && first->data.n == 0 && first->trailers == NULL)
        ends = true;
    if (!ends && !interim && first != NULL)
        set_out(st, first);
    rc = h2_stream_submit(st, m, f, ends);
    if (rc < 0 || interim)
        return rc;
    return is_taken(st) ? 0 : wait_until_taken(st, deadline);
}

static int write_body(struct codec *c, const struct body *b, int64_t deadline)
{
    struct h2_stream *st = self(c);

    if (st->out_ended) /* a message that has no body */
        return 0;
    if (st->closed)
        return st->fault < 0 ? st->fault : -ERR_CLOSED;
    set_out(st, b);
    if (is_taken(st))
        return 0;
    h2_stream_offer(st);
    return is_taken(st) ? 0 : wait_until_taken(st, deadline);
}

/* ---- what HTTP/2 has no use for ---- */

static struct stream *raw_in(struct codec *c, uint64_t *left)
{
    (void)c, (void)left;
    return NULL;
}

static struct stream *raw_out(struct codec *c)
{
    (void)c;
    return NULL;
}

static void raw_moved(struct codec *c, uint64_t n, bool in) { (void)c, (void)n, (void)in; }

/* ---- looking ---- */

static void watch(struct codec *c, struct fiber *f)
{
    struct h2_stream *st = self(c);

    st->watcher = f;
    if (f != NULL && st->closed && st->fault < 0)
        fiber_cancel(f, ERR_CLIENT_RESET);
}

static void watch_closely(struct codec *c) { (void)c; }

static bool watched(struct codec *c)
{
    (void)c;
    return true;
}

static bool is_clean(struct codec *c) { return c->body_done && self(c)->in_ended; }

static const struct codec_ops h2_ops = {
    .read_request = read_request,
    .read_response = read_response,
    .read_body = read_body,
    .wait = wait,
    .write_head = write_head,
    .write_body = write_body,
    .raw_in = raw_in,
    .raw_out = raw_out,
    .raw_moved = raw_moved,
    .watch = watch,
    .watch_closely = watch_closely,
    .watched = watched,
    .is_clean = is_clean,
};

void h2_stream_init_codec(struct h2_stream *st) { st->codec = (struct codec){ .ops = &h2_ops, .body_done = true }; }
