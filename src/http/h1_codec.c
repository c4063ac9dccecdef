/* h1_codec.c - heads and bodies of HTTP/1.x from and to a stream. */
#include "http/h1_codec.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"

enum {
    HEADERS_MOST = 1024, /* more than limits.headers allows */
    COPY_MOST = 4096,    /* a piece up to this leaves in one buffer with its head; beyond, a vector is cheaper */
    HELD_LEAST = 2048,
    /* What is read together with a head: a small body comes along; of a large one more is left to be spliced. */
    HEAD_READ = 24 * 1024,
    ROOM_FOR_MORE = 5,   /* fields that hop.h adds to a request */
};

/* Fields are parsed into this table and copied from it, as many as there are. */
static _Thread_local struct header table[HEADERS_MOST];

static struct h1_codec *self(struct codec *c) { return CONTAINER_OF(c, struct h1_codec, codec); }

/* ---- unread bytes ---- */

static bool held_has_room(struct h1_codec *c, size_t room)
{
    size_t need = (size_t)c->n + room, cap = c->cap == 0 ? HELD_LEAST : c->cap;
    char *held;

    if (c->held != NULL && c->at > c->held) {
        memmove(c->held, c->at, c->n);
        c->at = c->held;
    }
    if (need <= c->cap)
        return true;
    while (cap < need)
        cap *= 2;
    held = realloc(c->held, cap);
    if (held == NULL)
        return false;
    if (c->held == NULL && c->n > 0)
        memcpy(held, c->at, c->n);
    c->held = c->at = held;
    c->cap = (uint32_t)cap;
    return true;
}

static void keep(struct scratch_user *u)
{
    struct h1_codec *c = CONTAINER_OF(u, struct h1_codec, scratch);

    if (c->n > 0 && c->held == NULL && !held_has_room(c, 0)) {
        c->failed = true; /* told at the next read; the bytes are lost and the connection with them */
        c->n = 0;
    }
}

static void drop_held(struct h1_codec *c)
{
    if (c->held == NULL)
        return;
    free(c->held);
    c->held = NULL;
    c->cap = 0;
}

static void consume(struct h1_codec *c, size_t n)
{
    c->at += n;
    c->n -= (uint32_t)n; /* `held` stays until the next read: what was parsed or handed out may point into it */
}

/* Reads more behind what is unread, `most` bytes if that is nothing.  >0, 0 at the end, <0. */
static ssize_t read_more(struct h1_codec *c, size_t most, int64_t deadline)
{
    ssize_t got;

    if (c->n == 0) {
        int rc = stream_wait_readable(c->stream, deadline);
        if (rc < 0)
            return rc;
        drop_held(c); /* the head or piece that stood in it has been used */
        c->at = scratch_in(&c->scratch); /* after the wait: others used it meanwhile */
        if (c->at == NULL)
            return -ERR_NOMEM;
        got = stream_read_now(c->stream, c->at, most);
    } else {
        scratch_release(&c->scratch);
        if (!held_has_room(c, HELD_LEAST))
            return -ERR_NOMEM;
        got = stream_read(c->stream, c->at + c->n, c->cap - c->n, deadline);
    }
    if (got > 0)
        c->n += (uint32_t)got;
    return c->failed ? -ERR_NOMEM : got;
}

int h1_codec_fill(struct h1_codec *c)
{
    ssize_t got;

    if (c->n > 0)
        return 0;
    if (c->failed)
        return -ERR_NOMEM; /* bytes are missing: what comes now is the middle of something */
    drop_held(c);
    c->at = scratch_in(&c->scratch);
    if (c->at == NULL)
        return -ERR_NOMEM;
    got = stream_read_now(c->stream, c->at, HEAD_READ);
    if (got <= 0)
        return got == 0 ? -ERR_CLOSED : (int)got;
    c->n = (uint32_t)got;
    return 0;
}

char *h1_codec_take_unread(struct h1_codec *c, size_t *n)
{
    char *bytes = NULL;

    *n = c->n;
    if (c->n > 0) {
        bytes = malloc(c->n);
        if (bytes != NULL)
            memcpy(bytes, c->at, c->n);
        consume(c, c->n);
    }
    scratch_release(&c->scratch);
    return bytes;
}

/* ---- heads ---- */

static void body_begins(struct h1_codec *c, const struct message *m)
{
    c->codec.framing = m->framing;
    c->codec.body_done = m->framing == FRAMING_NONE || (m->framing == FRAMING_LENGTH && m->content_length == 0);
    c->left = m->framing == FRAMING_LENGTH ? m->content_length : 0;
    c->in_trailers = false;
    if (m->framing == FRAMING_CHUNKED)
        h1_chunked_init(&c->chunked);
    c->seen = 0;
}

static int read_head_more(struct h1_codec *c, int64_t deadline)
{
    ssize_t got;

    do
        got = read_more(c, HEAD_READ, deadline);
    while (got == -ERR_AGAIN);
    if (got == 0)
        return -ERR_CLOSED;
    if (got < 0)
        return (int)got;
    c->codec.began = true;
    return 0;
}

int h1_codec_fill_more(struct h1_codec *c, int64_t deadline) { return read_head_more(c, deadline); }

static int read_request(struct codec *codec, struct message *m, const struct head_limits *limits, int64_t deadline)
{
    struct h1_codec *c = self(codec);
    int len = 0;

    c->limits = *limits;
    c->seen = 0;
    c->codec.began = c->n > 0;
    for (;;) {
        if (c->n > 0) {
            m->headers = table;
            m->cap_headers = HEADERS_MOST;
            len = h1_parse_request(m, c->at, c->n, &c->seen, limits);
            if (len < 0)
                return len;
            if (len > 0)
                break;
        }
        len = read_head_more(c, deadline);
        if (len < 0)
            return len;
    }
    if (message_keep(m, c->at, (size_t)len, c->arena, ROOM_FOR_MORE) < 0)
        return -ERR_NOMEM;
    consume(c, (size_t)len);
    body_begins(c, m);
    return 0;
}

static int read_response(struct codec *codec, struct message *m, enum method request_method, const struct head_limits *limits, int64_t deadline)
{
    struct h1_codec *c = self(codec);
    int len = 0;

    c->limits = *limits;
    c->seen = 0;
    c->codec.began = c->n > 0;
    for (;;) {
        if (c->n > 0) {
            m->headers = table;
            m->cap_headers = HEADERS_MOST;
            len = h1_parse_response(m, c->at, c->n, &c->seen, request_method, limits);
            if (len < 0)
                return len;
            if (len > 0)
                break;
        }
        len = read_head_more(c, deadline);
        if (len < 0)
            return len;
    }
    /* The fields go on pointing at the bytes: consumed, but there until the next wait or read. */
    c->at += len;
    c->n -= (uint32_t)len;
    body_begins(c, m);
    return 0;
}

/* ---- body in ---- */

static int read_trailers(struct h1_codec *c, struct body *b)
{
    int len;

    if (c->trailers == NULL) {
        c->trailers = arena_take_zero(c->arena, sizeof *c->trailers + c->limits.headers * sizeof(struct header));
        if (c->trailers == NULL)
            return -ERR_NOMEM;
        c->trailers->headers = (struct header *)(c->trailers + 1);
        c->trailers->cap_headers = c->limits.headers;
    }
    len = h1_parse_trailers(c->trailers, c->at, c->n, &c->seen, &c->limits);
    if (len <= 0)
        return len;
    if (c->trailers->n_headers > 0) {
        if (message_keep(c->trailers, c->at, (size_t)len, c->arena, 0) < 0)
            return -ERR_NOMEM;
        b->trailers = c->trailers;
    }
    consume(c, (size_t)len);
    b->last = c->codec.body_done = true;
    return 0;
}

/* Takes all the chunks at hand as one piece: later chunks move up to the first, in place. */
static int read_chunks(struct h1_codec *c, struct body *b)
{
    char *piece = NULL;
    size_t total = 0;

    while (!c->in_trailers && c->n > 0) {
        struct slice data;
        size_t used;
        int step = h1_chunked_step(&c->chunked, c->at, c->n, &used, &data);

        if (step < 0)
            return step;
        if (step == H1_CHUNK_DATA) {
            if (piece == NULL)
                piece = c->at + (data.p - c->at);
            else
                memmove(piece + total, data.p, data.n);
            total += data.n;
        }
        c->at += used;
        c->n -= (uint32_t)used;
        c->in_trailers = step == H1_CHUNK_TRAILERS;
    }
    c->codec.bytes_in += total;
    b->data = slice_of(piece, total);
    return c->in_trailers && c->n > 0 ? read_trailers(c, b) : 0;
}

static void read_counted(struct h1_codec *c, struct body *b)
{
    size_t n = c->codec.framing == FRAMING_LENGTH && c->left < c->n ? (size_t)c->left : c->n;

    b->data = slice_of(c->at, n);
    c->at += n;
    c->n -= (uint32_t)n;
    c->codec.bytes_in += n;
    if (c->codec.framing != FRAMING_LENGTH)
        return;
    c->left -= n;
    b->last = c->codec.body_done = c->left == 0;
}

/* The end of the stream in the middle of a body. */
static int body_cut(struct h1_codec *c, struct body *b)
{
    if (c->codec.framing != FRAMING_CLOSE)
        return -ERR_CLOSED;
    b->last = c->codec.body_done = true;
    return 0;
}

static int read_body(struct codec *codec, struct body *b, int64_t deadline)
{
    struct h1_codec *c = self(codec);

    *b = (struct body){ .last = c->codec.body_done };
    while (!c->codec.body_done) {
        ssize_t got;

        if (c->n > 0) {
            int rc = 0;
            if (c->codec.framing == FRAMING_CHUNKED)
                rc = read_chunks(c, b);
            else
                read_counted(c, b);
            if (rc < 0 || b->data.n > 0 || b->last)
                return rc;
        }
        if (deadline == 0)
            return 0;
        got = read_more(c, SCRATCH_IN, deadline);
        if (got == 0)
            return body_cut(c, b);
        if (got < 0 && got != -ERR_AGAIN)
            return (int)got;
    }
    return 0;
}

/* ---- out ---- */

struct pieces {
    struct iovec v[4];
    int n;
    char *at, *end; /* of the scratch */
};

static void put_bytes(struct pieces *p, const char *bytes, size_t n, bool stays)
{
    struct iovec *last = p->n > 0 ? &p->v[p->n - 1] : NULL;

    if (n == 0)
        return;
    if (!stays) {
        MUST(n <= (size_t)(p->end - p->at));
        memcpy(p->at, bytes, n);
        bytes = p->at;
        p->at += n;
    }
    if (last != NULL && (const char *)last->iov_base + last->iov_len == bytes)
        last->iov_len += n;
    else
        p->v[p->n++] = (struct iovec){ (void *)(uintptr_t)bytes, n };
}

/* The piece in the framing of the message; false: it, or its trailers, don't fit behind the head. */
static bool put_body(struct h1_codec *c, struct pieces *p, const struct body *b)
{
    bool chunked = c->out_framing == FRAMING_CHUNKED;
    size_t n;

    if (c->out_framing == FRAMING_NONE)
        return true;
    if ((size_t)(p->end - p->at) < COPY_MOST + H1_CHUNK_SIZE_MOST + 4)
        return false;
    if (b->data.n > 0) {
        char line[H1_CHUNK_SIZE_MOST + 2];
        if (chunked)
            put_bytes(p, line, h1_write_chunk_size(line, sizeof line, b->data.n), false);
        put_bytes(p, b->data.p, b->data.n, b->data.n > COPY_MOST);
        if (chunked)
            put_bytes(p, "\r\n", 2, false);
        c->codec.bytes_out += b->data.n;
    }
    if (!chunked || !b->last)
        return true;
    n = h1_write_last_chunk(p->at, (size_t)(p->end - p->at), b->trailers);
    if (n == 0)
        return false;
    put_bytes(p, p->at, n, true);
    p->at += n;
    return true;
}

static int send_pieces(struct h1_codec *c, struct pieces *p, int64_t deadline)
{
    return p->n == 0 ? 0 : stream_write(c->stream, p->v, p->n, deadline);
}

static int write_head(struct codec *codec, const struct message *m, const struct head_frame *f, const struct body *first, int64_t deadline)
{
    struct h1_codec *c = self(codec);
    struct pieces p = { .at = scratch_out() };
    size_t n;

    if (p.at == NULL)
        return -ERR_NOMEM;
    p.end = p.at + SCRATCH_OUT;
    n = m->status != 0 ? h1_write_response(p.at, SCRATCH_OUT, m, f) : h1_write_request(p.at, SCRATCH_OUT, m, f);
    if (n == 0)
        return -ERR_HEADER_TOO_LARGE;
    put_bytes(&p, p.at, n, true);
    p.at += n;
    c->out_framing = f->framing;
    if (first != NULL && !put_body(c, &p, first))
        return -ERR_HEADER_TOO_LARGE;
    return send_pieces(c, &p, deadline);
}

static int write_body(struct codec *codec, const struct body *b, int64_t deadline)
{
    struct h1_codec *c = self(codec);
    struct pieces p = { .at = scratch_out() };

    if (p.at == NULL)
        return -ERR_NOMEM;
    p.end = p.at + SCRATCH_OUT;
    if (!put_body(c, &p, b))
        return -ERR_HEADER_TOO_LARGE;
    return send_pieces(c, &p, deadline);
}

/* ---- past the codec ---- */

static struct stream *raw_in(struct codec *codec, uint64_t *left)
{
    struct h1_codec *c = self(codec);

    if (c->n > 0 || c->codec.framing != FRAMING_LENGTH || !c->stream->raw)
        return NULL;
    *left = c->left;
    return c->stream;
}

static struct stream *raw_out(struct codec *codec)
{
    struct h1_codec *c = self(codec);

    return c->out_framing == FRAMING_LENGTH && c->stream->raw ? c->stream : NULL;
}

static void raw_moved(struct codec *codec, uint64_t n, bool in)
{
    struct h1_codec *c = self(codec);

    if (!in) {
        c->codec.bytes_out += n;
        return;
    }
    MUST(n <= c->left);
    c->codec.bytes_in += n;
    c->left -= n;
    c->codec.body_done = c->left == 0;
}

/* ---- looking ---- */

static int wait(struct codec *codec, int64_t deadline)
{
    struct h1_codec *c = self(codec);

    return c->n > 0 ? 0 : stream_wait_readable(c->stream, deadline);
}

/* On the scheduler's stack. */
static void on_watched_readable(struct pd *p)
{
    struct h1_codec *c = p->owner;

    if (stream_peek(c->stream) == STREAM_BROKEN)
        fiber_cancel(c->watcher, ERR_CLIENT_RESET);
}

static void watch(struct codec *codec, struct fiber *f)
{
    struct h1_codec *c = self(codec);

    c->watcher = f;
    c->stream->pd.owner = c;
    c->stream->pd.on_readable = f != NULL ? on_watched_readable : NULL;
}

/* If it fails, the client's leaving shows later, at the answer. */
static void watch_closely(struct codec *codec) { (void)pd_register(&self(codec)->stream->pd); }

static bool watched(struct codec *codec) { return (self(codec)->stream->pd.flags & PD_REGISTERED) != 0; }

static bool is_clean(struct codec *codec)
{
    return codec->body_done && codec->framing != FRAMING_CLOSE && self(codec)->n == 0;
}

static const struct codec_ops h1_ops = {
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

void h1_codec_open(struct h1_codec *c, struct stream *s)
{
    memset(c, 0, sizeof *c);
    c->codec.ops = &h1_ops;
    c->scratch.keep = keep;
    c->stream = s;
    c->codec.body_done = true;
}

struct h1_codec *h1_codec_of(struct codec *c) { return c->ops == &h1_ops ? self(c) : NULL; }

void h1_codec_switch(struct h1_codec *c)
{
    c->codec.framing = FRAMING_CLOSE;
    c->out_framing = FRAMING_CLOSE;
    c->codec.body_done = false;
}

void h1_codec_next(struct h1_codec *c, struct arena *a)
{
    c->arena = a;
    c->codec.body_done = true;
    c->codec.bytes_in = c->codec.bytes_out = 0;
    c->trailers = NULL;
}

void h1_codec_close(struct h1_codec *c)
{
    scratch_release(&c->scratch);
    drop_held(c);
    c->n = 0;
}
