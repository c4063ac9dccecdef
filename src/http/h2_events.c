/* h2_events.c - what nghttp2 reports: streams, their heads and bodies, and peers that ask too much. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "http/h2_parts.h"

enum {
    WINDOW = 64 * 1024,            /* of a stream: HTTP/2's own, which we leave as it is */
    HEADS_MOST = INTERIM_MOST + 1, /* heads of a backend that nobody has read yet */
    LATE_FACTOR = 2,               /* exchanges that still run for streams that are gone: as many as streams, again */
};
const uint8_t h2_leave_mark[8] = { 'l', 'e', 'a', 'v', 'e' };

/* ---- ends ---- */

void h2_stream_destroy(struct h2_stream *st)
{
    while (st->heads != NULL) {
        struct h2_head *h = st->heads;
        st->heads = h->next;
        free(h);
    }
    free(st->read);
    free(st->trailers);
    free(st->out_copy);
    if (st->session->conf.secret && st->in.p != NULL)
        explicit_bzero(st->in.p, st->in.n);
    buf_free(&st->in);
    list_remove(&st->link);
    list_remove(&st->in_fresh);
    st->session->n_streams--;
    st->magic = 0;
    free(st);
}

void h2_stream_closes(struct h2_stream *st, int fault)
{
    st->closed = true;
    st->fault = fault;
    if (!st->owned) {
        h2_stream_destroy(st);
        return;
    }
    if (fault < 0 && st->watcher != NULL)
        fiber_cancel(st->watcher, ERR_CLIENT_RESET);
    event_raise(&st->can_read);
    event_raise(&st->can_write);
}

int h2_calm(struct h2_session *s, const char *why)
{
    if (!s->calmed) {
        s->calmed = true;
        s->calm_why = why;
        (void)nghttp2_session_terminate_session(ng(s), H2_ENHANCE_YOUR_CALM);
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int admit(struct h2_session *s, enum h2_event e)
{
    return s->server && !h2_guard_admit(&s->guard, e, fiber_now()) ? h2_calm(s, h2_event_name(e)) : 0;
}

/* ---- what nghttp2 tells ---- */

static int refuse(struct h2_session *s, int32_t id, uint32_t error)
{
    (void)nghttp2_submit_rst_stream(ng(s), NGHTTP2_FLAG_NONE, id, error);
    return admit(s, H2_EVENT_RESET);
}

static int on_begin_headers(nghttp2_session *n, const nghttp2_frame *frame, void *arg)
{
    struct h2_session *s = arg;
    struct h2_stream *st;

    h2_block_begin(&s->block);
    if (!s->server || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    h2_guard_stream(&s->guard, fiber_now());
    s->n_requests++;
    if (s->n_streams >= s->conf.streams * LATE_FACTOR)
        return refuse(s, frame->hd.stream_id, H2_REFUSED_STREAM);
    st = h2_stream_new(s);
    if (st == NULL)
        return refuse(s, frame->hd.stream_id, H2_INTERNAL_ERROR);
    st->id = frame->hd.stream_id;
    (void)nghttp2_session_set_stream_user_data(n, st->id, st);
    return 0;
}

static int on_header(nghttp2_session *n, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *arg)
{
    struct h2_session *s = arg;
    struct slice k = slice_of((const char *)name, name_len), v = slice_of((const char *)value, value_len);

    (void)n, (void)frame, (void)flags;
    return h2_block_add(&s->block, k, v, &s->conf.limits) ? 0 : h2_calm(s, "header_list");
}

static void queue_head(struct h2_stream *st, struct h2_head *h)
{
    struct h2_head **last = &st->heads;

    while (*last != NULL)
        last = &(*last)->next;
    *last = h;
    st->n_heads++;
}

static void give_up(struct h2_session *s, struct h2_stream *st, int why)
{
    st->we_reset = true;
    st->wrong = why;
    (void)nghttp2_submit_rst_stream(ng(s), NGHTTP2_FLAG_NONE, st->id, H2_INTERNAL_ERROR);
}

/* A whole header block has come. */
static void headers_came(struct h2_session *s, struct h2_stream *st, const nghttp2_frame *frame)
{
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0,
         first = s->server ? frame->headers.cat == NGHTTP2_HCAT_REQUEST : !st->final;
    struct h2_head *h;

    if (!first)
        h = h2_head_trailers(&s->block);
    else
        h = s->server ? h2_head_request(&s->block, ended, &s->conf.limits) : h2_head_response(&s->block, ended);
    if (h == NULL || st->n_heads >= HEADS_MOST) {
        give_up(s, st, h == NULL ? -ERR_NOMEM : -ERR_BAD_RESPONSE);
        free(h);
        return;
    }
    st->in_ended |= ended;
    if (!first) {
        free(st->trailers);
        st->trailers = h;
    } else {
        st->final |= !s->server && (h->wrong < 0 || h->m.status >= 200);
        queue_head(st, h);
        if (s->server)
            list_push_back(&s->fresh, &st->in_fresh);
    }
    event_raise(&st->can_read);
}

static void settings_came(struct h2_session *s)
{
    s->peer_streams = nghttp2_session_get_remote_settings(ng(s), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    s->settled = true;
    s->peer_connects = nghttp2_session_get_remote_settings(ng(s), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
    LIST_EACH(&s->streams, it)
    event_raise(&LIST_ITEM(it, struct h2_stream, link)->can_read); /* who waits for them */
}

static int on_frame_recv(nghttp2_session *n, const nghttp2_frame *frame, void *arg)
{
    struct h2_session *s = arg;
    struct h2_stream *st;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        st = nghttp2_session_get_stream_user_data(n, frame->hd.stream_id);
        if (st != NULL)
            headers_came(s, st, frame);
        return 0;
    case NGHTTP2_DATA:
        st = nghttp2_session_get_stream_user_data(n, frame->hd.stream_id);
        if (st != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            st->in_ended = true;
            event_raise(&st->can_read);
        }
        return 0;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            settings_came(s);
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && memcmp(frame->ping.opaque_data, h2_leave_mark, 8) == 0)
            s->leave_at = fiber_now();
        return 0;
    case NGHTTP2_RST_STREAM:
        st = nghttp2_session_get_stream_user_data(n, frame->hd.stream_id);
        if (st != NULL)
            st->peer_reset = true;
        return 0;
    case NGHTTP2_GOAWAY: s->going = true; return 0;
    default: return 0;
    }
}

static int on_data(nghttp2_session *n, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct h2_session *s = arg;
    struct h2_stream *st = nghttp2_session_get_stream_user_data(n, id);

    (void)flags;
    if (st == NULL) {
        (void)nghttp2_session_consume(n, id, len);
        return 0;
    }
    if (s->conf.secret) /* all that its window lets in: growing would leave copies */
        (void)buf_reserve(&st->in, WINDOW - st->in.n);
    buf_append(&st->in, data, len);
    if (st->in.failed)
        give_up(s, st, -ERR_NOMEM);
    event_raise(&st->can_read);
    return 0;
}

/* A frame that was not as it should be: nghttp2 answers with a reset, or ends the connection. */
static int on_invalid_frame(nghttp2_session *n, const nghttp2_frame *frame, int code, void *arg)
{
    (void)code;
    if (nghttp2_session_get_stream_user_data(n, frame->hd.stream_id) == NULL) /* else it is counted when that closes */
        (void)admit(arg, H2_EVENT_RESET);
    return 0;
}

/* What nghttp2 resets, neither the peer nor we did: something was malformed. */
static int fault_of(const struct h2_stream *st, uint32_t error)
{
    if (st->wrong < 0)
        return st->wrong;
    if (error == H2_NO_ERROR)
        return 0;
    if (st->session->server)
        return -ERR_RESET;
    if (error == H2_REFUSED_STREAM)
        return -ERR_STREAM_REFUSED;
    return st->peer_reset || error == H2_INTERNAL_ERROR ? -ERR_RESET : -ERR_BAD_RESPONSE;
}

static int on_stream_close(nghttp2_session *n, int32_t id, uint32_t error, void *arg)
{
    struct h2_session *s = arg;
    struct h2_stream *st = nghttp2_session_get_stream_user_data(n, id);
    bool early;

    if (st == NULL)
        return 0;
    early = s->server && error != H2_NO_ERROR && !st->we_reset && !st->out_ended;
    (void)nghttp2_session_set_stream_user_data(n, id, NULL);
    h2_stream_closes(st, fault_of(st, error));
    if (early)
        (void)admit(s, H2_EVENT_RESET); /* called while frames are put together, too, where a failure would lose the GOAWAY */
    return 0;
}

void h2_events_set(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
}
