/* h2_submit.c - heads and bodies as the frames of a stream. */
#include <string.h>

#include "base/decimal.h"
#include "base/err.h"
#include "base/must.h"
#include "http/h2_parts.h"
#include "net/scratch.h"

#define NV(k, v)                                                                                     \
    {                                                                                                \
        (uint8_t *)(uintptr_t)(k).p, (uint8_t *)(uintptr_t)(v).p, (k).n, (v).n, NGHTTP2_NV_FLAG_NONE \
    }

/* Fields to be sent, in the scratch: nghttp2 copies them, and makes the names' letters small. */
struct fields {
    nghttp2_nv *v;
    size_t n, most;
    char *text; /* for what must be written */
};

static bool fields_begin(struct fields *f)
{
    char *scratch = scratch_out();

    *f = (struct fields){ .v = (nghttp2_nv *)(void *)scratch, .most = SCRATCH_OUT / 2 / sizeof(nghttp2_nv) };
    f->text = scratch + SCRATCH_OUT / 2;
    return scratch != NULL;
}

static void add(struct fields *f, struct slice name, struct slice value)
{
    MUST(f->n < f->most); /* no limit of heads is that high */
    f->v[f->n++] = (nghttp2_nv)NV(name, value);
}

static void add_number(struct fields *f, struct slice name, uint64_t v)
{
    size_t n = decimal_put(f->text, v);

    add(f, name, slice_of(f->text, n));
    f->text += n;
}

/* The fields that pass; those of one connection never do, whoever forgot to drop them. */
static bool add_fields(struct fields *f, const struct message *m, bool request, bool websocket)
{
    bool had_length = false;

    for (size_t i = 0; i < m->n_headers; i++) {
        const struct header *h = &m->headers[i];

        switch (h->id) {
        case HEADER_CONTENT_LENGTH: had_length = true; continue;
        case HEADER_HOST:
        case HEADER_CONNECTION:
        case HEADER_TRANSFER_ENCODING:
        case HEADER_KEEP_ALIVE:
        case HEADER_PROXY_CONNECTION:
        case HEADER_UPGRADE:
        case HEADER_HTTP2_SETTINGS: continue;
        case HEADER_TE:
            if (h->dropped || !request)
                continue;
            break;
        default:
            if (h->dropped)
                continue;
        }
        if (websocket && h->id == HEADER_OTHER && /* RFC 8441 5: of no use here */
            (slice_eq_nocase(header_name_of(h), SLICE("sec-websocket-key")) ||
             slice_eq_nocase(header_name_of(h), SLICE("sec-websocket-accept"))))
            continue;
        add(f, header_name_of(h), header_value_of(h));
    }
    return had_length;
}

static void add_length(struct fields *f, const struct message *m, const struct head_frame *frame, bool had_length)
{
    if (frame->framing == FRAMING_LENGTH)
        add_number(f, SLICE("content-length"), frame->content_length);
    else if (frame->framing == FRAMING_NONE && frame->keep_length && had_length)
        add_number(f, SLICE("content-length"), m->content_length);
}

/* The frame has it as HTTP/1 writes it. */
static void add_date(struct fields *f, const struct message *m, const struct head_frame *frame)
{
    static const size_t before = sizeof "Date: " - 1, behind = sizeof "\r\n" - 1;

    if (frame->date.n > before + behind && message_find(m, HEADER_DATE) == NULL)
        add(f, SLICE("date"), slice_of(frame->date.p + before, frame->date.n - before - behind));
}

static ssize_t read_out(nghttp2_session *n, int32_t id, uint8_t *buf, size_t room, uint32_t *flags, nghttp2_data_source *source,
                        void *arg)
{
    struct h2_stream *st = nghttp2_session_get_stream_user_data(n, id);
    struct fields f;

    (void)buf, (void)source, (void)arg;
    if (st == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (st->out.n == 0 && !st->out_last)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (st->out.n > room)
        return (ssize_t)room;
    if (st->out_last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->out_trailers != NULL && st->out_trailers->n_headers > 0 && fields_begin(&f)) {
            (void)add_fields(&f, st->out_trailers, false, false);
            if (f.n > 0 && nghttp2_submit_trailer(n, id, f.v, f.n) != 0)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            if (f.n > 0)
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
        st->out_ended = true;
    }
    return (ssize_t)st->out.n;
}

int h2_send_out(nghttp2_session *n, nghttp2_frame *frame, const uint8_t *head, size_t len, nghttp2_data_source *source, void *arg)
{
    struct h2_session *s = arg;
    struct h2_stream *st = nghttp2_session_get_stream_user_data(n, frame->hd.stream_id);

    (void)source;
    if (st == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    MUST(len <= st->out.n);
    buf_append(&s->out, head, 9);
    buf_append(&s->out, st->out.p, len);
    if (s->out.failed)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (len > 0) {
        st->out = slice_of(st->out.p + len, st->out.n - len);
        h2_guard_data(&s->guard, fiber_now());
    }
    if (st->out.n == 0)
        event_raise(&st->can_write);
    return 0;
}

static int submit_answer(struct h2_stream *st, const struct message *m, const struct head_frame *frame, bool ends)
{
    struct h2_session *s = st->session;
    nghttp2_data_provider body = { .read_callback = read_out };
    bool websocket = m->status == 101, interim = m->status < 200 && !websocket;
    struct fields f;

    if (!fields_begin(&f))
        return -ERR_NOMEM;
    add_number(&f, SLICE(":status"), websocket ? 200 : m->status);
    add_length(&f, m, frame, add_fields(&f, m, false, websocket));
    add_date(&f, m, frame);
    if (interim)
        return nghttp2_submit_headers(ng(s), NGHTTP2_FLAG_NONE, st->id, NULL, f.v, f.n, NULL) < 0 ? -ERR_NOMEM : 0;
    st->submitted = true;
    st->out_ended = ends;
    return nghttp2_submit_response(ng(s), st->id, f.v, f.n, ends ? NULL : &body) < 0 ? -ERR_NOMEM : 0;
}

static int submit_request(struct h2_stream *st, const struct message *m, const struct head_frame *frame, bool ends)
{
    struct h2_session *s = st->session;
    nghttp2_data_provider body = { .read_callback = read_out };
    struct slice target = m->path.n > 0 ? m->path : SLICE("/");
    struct fields f;
    int32_t id;

    if (!fields_begin(&f))
        return -ERR_NOMEM;
    if (m->query.p != NULL && m->query.p == m->path.p + m->path.n + 1)
        target.n += 1 + m->query.n; /* they stand side by side */
    add(&f, SLICE(":method"), st->connects ? SLICE("CONNECT") : m->method_name);
    if (st->connects)
        add(&f, SLICE(":protocol"), SLICE("websocket"));
    add(&f, SLICE(":scheme"), s->conf.secure ? SLICE("https") : SLICE("http"));
    add(&f, SLICE(":authority"), m->authority);
    add(&f, SLICE(":path"), target);
    add_length(&f, m, frame, add_fields(&f, m, true, st->connects));
    st->submitted = true;
    st->out_ended = ends;
    id = nghttp2_submit_request(ng(s), NULL, f.v, f.n, ends ? NULL : &body, st);
    if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        s->going = true; /* a connection has 2^30 of them */
        return -ERR_STREAM_REFUSED;
    }
    if (id < 0)
        return -ERR_NOMEM;
    st->id = id;
    return 0;
}

int h2_submit(struct h2_stream *st, const struct message *m, const struct head_frame *frame, bool ends)
{
    return m->status != 0 ? submit_answer(st, m, frame, ends) : submit_request(st, m, frame, ends);
}
