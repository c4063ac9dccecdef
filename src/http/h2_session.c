/* h2_session.c - an HTTP/2 connection: what it reads and sends, how it begins and ends. */
#include "http/h2_session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "http/h2_parts.h"
#include "net/scratch.h"

enum {
    WINDOW_CONNECTION = 1024 * 1024,
    OUT_MOST = 64 * 1024, /* frames that wait for the socket, and one more */
    CONTINUATIONS_MOST = 8,
    ASSUMED_STREAMS = 100, /* what a backend allows until its SETTINGS tell */
    READS_MOST = 4,        /* then others get their turn */
};
#define LEAVE_PATIENCE CLOCK_S /* for the client to hear that we go */
static const uint8_t alive_mark[8] = { 'a', 'l', 'i', 'v', 'e' };

const char *h2_library(void)
{
    static char text[32];

    (void)snprintf(text, sizeof text, "nghttp2 %s", nghttp2_version(0)->version_str);
    return text;
}

/* ---- ends ---- */

/* What its end is to a stream. */
static int fault_of_end(int code)
{
    switch (-code) {
    case ERR_CLOSED:
    case ERR_TLS_ALERT:
    case ERR_BAD_RESPONSE:
    case ERR_BACKEND_SILENT: return code;
    default: return -ERR_RESET;
    }
}

void h2_session_break(struct h2_session *s, int code)
{
    if (s->error != 0)
        return;
    s->error = code;
    LIST_EACH_SAFE(&s->streams, it)
    {
        struct h2_stream *st = LIST_ITEM(it, struct h2_stream, link);
        if (!st->closed)
            h2_stream_closes(st, fault_of_end(code));
    }
}

/* ---- out ---- */

static bool has_out(const struct h2_session *s) { return s->out_at < s->out.n; }

/* Puts into frames what may be sent, up to OUT_MOST. */
static void collect(struct h2_session *s)
{
    scratch_take(&s->out);
    while (s->error == 0 && s->out.n - s->out_at < OUT_MOST) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(ng(s), &bytes);
        size_t before = s->out.n;

        if (n > 0)
            buf_append(&s->out, bytes, (size_t)n);
        if (n < 0 || s->out.failed)
            h2_session_break(s, -ERR_NOMEM);
        else if (n == 0 && s->out.n == before)
            break;
    }
    if (!has_out(s))
        scratch_give(&s->out);
}

static void out_is_sent(struct h2_session *s, size_t n)
{
    s->out_at += n;
    if (!has_out(s))
        s->out.n = s->out_at = 0;
}

/* 0: all is sent; -ERR_AGAIN: the socket is full. */
static int send_now(struct h2_session *s)
{
    for (collect(s); s->error == 0 && has_out(s); collect(s)) {
        struct iovec iov = { s->out.p + s->out_at, s->out.n - s->out_at };
        ssize_t put = stream_write_now(s->stream, &iov, 1);

        if (put == -ERR_AGAIN)
            return -ERR_AGAIN;
        if (put < 0)
            h2_session_break(s, (int)put);
        else
            out_is_sent(s, (size_t)put);
    }
    return s->error;
}

/* The socket is full: a fiber waits for it, while the other one goes on reading. */
static void writer_run(void *arg)
{
    struct h2_session *s = arg;
    int rc = 0;

    s->writer = fiber_self();
    fiber_doing("waiting for the peer to take what it gets");
    while (s->error == 0 && send_now(s) == -ERR_AGAIN) {
        rc = stream_wait_writable(s->stream, clock_after(fiber_now(), s->conf.write_timeout));
        if (rc < 0) {
            h2_session_break(s, rc == -ERR_CANCELED ? -ERR_CLOSED : rc);
            break;
        }
    }
    s->writer = NULL;
    s->writing = false;
    event_raise(&s->written);
    (void)pd_nudge_reader(&s->stream->pd);
}

static void flush(struct h2_session *s)
{
    if (s->writing || send_now(s) != -ERR_AGAIN)
        return;
    s->writing = true;
    if (fiber_go(NULL, "h2 writer", writer_run, s) < 0) {
        s->writing = false;
        h2_session_break(s, -ERR_NOMEM);
    }
}

void h2_session_work(struct h2_session *s)
{
    if (s->error != 0 || s->writing || pd_nudge_reader(&s->stream->pd))
        return;
    if (s->fiber == NULL && s->owner->on_work(s) < 0)
        h2_session_break(s, -ERR_NOMEM);
}

/* ---- what streams do ---- */

struct h2_stream *h2_stream_new(struct h2_session *s)
{
    struct h2_stream *st = calloc(1, sizeof *st);

    if (st == NULL)
        return NULL;
    st->magic = H2_STREAM_MAGIC;
    st->session = s;
    list_init(&st->in_fresh);
    list_push_back(&s->streams, &st->link);
    s->silent |= s->n_streams == 0;
    s->n_streams++;
    h2_stream_init_codec(st);
    st->owned = !s->server;
    return st;
}

bool h2_stream_came_too_late(const struct h2_stream *st)
{
    const struct h2_session *s = st->session;

    return s->silent && (s->error == -ERR_CLOSED || s->error == -ERR_RESET || s->error == -ERR_TLS_ALERT);
}

void h2_stream_offer(struct h2_stream *st)
{
    struct h2_session *s = st->session;

    if (st->closed || s->error != 0)
        return;
    (void)nghttp2_session_resume_data(ng(s), st->id);
    collect(s);
    h2_session_work(s);
}

void h2_stream_consume(struct h2_stream *st, size_t n)
{
    struct h2_session *s = st->session;

    if (s->error != 0)
        return;
    if (st->closed)
        (void)nghttp2_session_consume_connection(ng(s), n);
    else
        (void)nghttp2_session_consume(ng(s), st->id, n);
    if (nghttp2_session_want_write(ng(s)))
        h2_session_work(s);
}

int h2_stream_submit(struct h2_stream *st, const struct message *m, const struct head_frame *frame, bool ends)
{
    struct h2_session *s = st->session;
    int rc;

    if (s->error != 0)
        return s->error;
    rc = h2_submit(st, m, frame, ends);
    if (rc < 0)
        return rc;
    collect(s);
    h2_session_work(s);
    return s->error;
}

void h2_stream_free(struct h2_stream **stp, uint32_t error)
{
    struct h2_stream *st = *stp;
    struct h2_session *s = st->session;

    *stp = NULL;
    MUST_BE(st, H2_STREAM_MAGIC);
    if (s->error == 0) {
        size_t unread = st->in.n - st->in_at + st->taken;

        if (unread > 0)
            (void)nghttp2_session_consume_connection(ng(s), unread);
        if (!st->closed && st->id != 0) {
            st->we_reset = true;
            (void)nghttp2_session_set_stream_user_data(ng(s), st->id, NULL);
            if (!st->out_ended ||
                !st->in_ended) /* a client that still sends gets its answer, and is told to stop (RFC 9113 8.1) */
                (void)nghttp2_submit_rst_stream(ng(s), NGHTTP2_FLAG_NONE, st->id,
                                                st->out_ended && s->server ? H2_NO_ERROR : error);
        }
    }
    h2_stream_destroy(st);
    h2_session_work(s);
}

/* ---- the connection ---- */

static void *mem_malloc(size_t n, void *arg)
{
    (void)arg;
    return malloc(n);
}
static void mem_free(void *p, void *arg)
{
    (void)arg;
    free(p);
}
static void *mem_calloc(size_t n, size_t size, void *arg)
{
    (void)arg;
    return calloc(n, size);
}
static void *mem_realloc(void *p, size_t n, void *arg)
{
    (void)arg;
    return realloc(p, n);
}

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Made once and kept: nghttp2 copies them into each session. */
static void make_tables(void)
{
    nghttp2_session_callbacks *c;
    nghttp2_option *o;

    if (nghttp2_session_callbacks_new(&c) != 0)
        return;
    if (nghttp2_option_new(&o) != 0) {
        nghttp2_session_callbacks_del(c);
        return;
    }
    h2_events_set(c);
    nghttp2_session_callbacks_set_send_data_callback(c, h2_send_out);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MOST);
    callbacks = c;
    options = o;
}

static int open_ng(struct h2_session *s)
{
    nghttp2_mem mem = { NULL, mem_malloc, mem_free, mem_calloc, mem_realloc };
    nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, s->conf.limits.head },
        { s->server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH, s->server ? s->conf.streams : 0 },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    nghttp2_session *n = NULL;

    (void)pthread_once(&once, make_tables);
    if (callbacks == NULL)
        return -ERR_NOMEM;
    if ((s->server ? nghttp2_session_server_new3 : nghttp2_session_client_new3)(&n, callbacks, s, options, &mem) != 0)
        return -ERR_NOMEM;
    s->ng = n;
    if (nghttp2_submit_settings(n, NGHTTP2_FLAG_NONE, settings, s->server ? 4 : 2) != 0 ||
        nghttp2_session_set_local_window_size(n, NGHTTP2_FLAG_NONE, 0, WINDOW_CONNECTION) != 0)
        return -ERR_NOMEM;
    return 0;
}

struct h2_session *h2_session_new(struct stream *stream, bool server, const struct h2_conf *conf, const struct h2_owner *owner,
                                  void *arg)
{
    struct h2_session *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->magic = H2_SESSION_MAGIC;
    s->server = server;
    s->conf = *conf;
    s->stream = stream;
    s->owner = owner;
    s->arg = arg;
    s->peer_streams = conf->streams < ASSUMED_STREAMS ? conf->streams : ASSUMED_STREAMS;
    s->heard = fiber_now();
    h2_guard_init(&s->guard, server ? H2_PREFACE_LEN : 0, s->heard);
    list_init(&s->streams);
    list_init(&s->fresh);
    if (open_ng(s) < 0)
        h2_session_free(&s);
    return s;
}

void h2_session_free(struct h2_session **sp)
{
    struct h2_session *s = *sp;

    *sp = NULL;
    MUST_BE(s, H2_SESSION_MAGIC);
    MUST(s->n_streams == 0 && !s->writing);
    nghttp2_session_del(ng(s));
    buf_free(&s->out);
    h2_block_free(&s->block);
    s->magic = 0;
    free(s);
}

/* Of a client whoever breaks the rules is gone; a backend's answer is malformed. */
static int end_of_breach(const struct h2_session *s) { return s->server ? -ERR_CLOSED : -ERR_BAD_RESPONSE; }

void h2_session_feed(struct h2_session *s, const char *bytes, size_t n)
{
    ssize_t used;

    if (s->error != 0 || s->calmed)
        return;
    s->heard = fiber_now();
    s->pinged = s->silent = false;
    if (s->server) {
        const char *wrong = h2_guard_look(&s->guard, bytes, n, fiber_now());
        if (wrong != NULL) {
            (void)h2_calm(s, wrong);
            return;
        }
    }
    used = nghttp2_session_mem_recv(ng(s), (const uint8_t *)bytes, n);
    if (used >= 0 || s->calmed)
        return;
    switch (used) {
    case NGHTTP2_ERR_FLOODED: (void)h2_calm(s, "unread_answers"); break;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS: (void)h2_calm(s, "continuations"); break;
    case NGHTTP2_ERR_NOMEM: h2_session_break(s, -ERR_NOMEM); break;
    default: h2_session_break(s, end_of_breach(s)); /* it speaks something else */
    }
}

static void keep_nothing(struct scratch_user *u) { (void)u; }
static _Thread_local struct scratch_user reading = { keep_nothing }; /* nghttp2 takes all that it is given, at once */

/* 0: nothing more now; 1: there may be more. */
static int read_input(struct h2_session *s)
{
    for (int i = 0; i < READS_MOST; i++) {
        char *in = scratch_in(&reading);
        ssize_t got = in == NULL ? -ERR_NOMEM : stream_read_now(s->stream, in, SCRATCH_IN);

        if (got > 0)
            h2_session_feed(s, in, (size_t)got);
        if (got > 0 && s->conf.secret)
            explicit_bzero(in, (size_t)got);
        scratch_release(&reading);
        if (got == -ERR_AGAIN)
            return 0;
        if (got <= 0)
            h2_session_break(s, got == 0 ? -ERR_CLOSED : (int)got);
        if (s->error != 0 || s->calmed)
            return 0;
    }
    return 1;
}

/* Requests whose streams were reset in the same breath never get here. */
static void tell_fresh(struct h2_session *s)
{
    struct list *it;

    while ((it = list_pop_front(&s->fresh)) != NULL) {
        struct h2_stream *st = LIST_ITEM(it, struct h2_stream, in_fresh);

        st->owned = true;
        if (s->owner->on_request(s, st) < 0)
            h2_stream_free(&st, H2_REFUSED_STREAM);
    }
}

void h2_session_leave(struct h2_session *s)
{
    if (s->leaving != 0 || s->error != 0)
        return;
    s->leaving = 1;
    s->leave_at = clock_after(fiber_now(), LEAVE_PATIENCE);
    (void)nghttp2_submit_shutdown_notice(ng(s));
    collect(s);                                                         /* a ping would overtake it */
    (void)nghttp2_submit_ping(ng(s), NGHTTP2_FLAG_NONE, h2_leave_mark); /* its answer: what was under way has arrived */
    h2_guard_asked(&s->guard);
    h2_session_work(s);
}

static void name_the_last(struct h2_session *s)
{
    s->leaving = 2;
    (void)nghttp2_submit_goaway(ng(s), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(ng(s)), H2_NO_ERROR, NULL, 0);
}

void h2_session_goodbye(struct h2_session *s)
{
    if (s->error != 0)
        return;
    name_the_last(s);
    (void)send_now(s);
}

/* Client: silence while something is awaited. */
static void ask_whether_alive(struct h2_session *s)
{
    if (s->pinged && fiber_now() >= s->ping_until) {
        h2_session_break(s, -ERR_BACKEND_SILENT);
    } else if (!s->pinged && fiber_now() >= clock_after(s->heard, s->conf.ping_after)) {
        s->pinged = true;
        s->ping_until = clock_after(fiber_now(), s->conf.ping_timeout);
        (void)nghttp2_submit_ping(ng(s), NGHTTP2_FLAG_NONE, alive_mark);
    }
}

static bool asks(const struct h2_session *s) { return s->conf.ping_after != 0 && s->n_streams > 0; }

/* A header block has its time, however its bytes trickle in. */
static int64_t block_until(const struct h2_session *s)
{
    return s->guard.in_block ? clock_after(s->guard.block_since, s->conf.head_timeout) : CLOCK_NEVER;
}

static void look_at_clock(struct h2_session *s)
{
    if (fiber_now() >= block_until(s))
        (void)h2_calm(s, "slow_headers");
    if (s->leaving == 1 && fiber_now() >= s->leave_at)
        name_the_last(s);
    if (asks(s))
        ask_whether_alive(s);
}

static int64_t next_look(const struct h2_session *s)
{
    int64_t until = block_until(s);

    if (s->leaving == 1 && s->leave_at < until)
        until = s->leave_at;
    if (asks(s)) {
        int64_t ping = s->pinged ? s->ping_until : clock_after(s->heard, s->conf.ping_after);
        until = ping < until ? ping : until;
    }
    return until;
}

/* GOAWAY has done its work, ours or that of nghttp2 about an error. */
static bool is_finished(struct h2_session *s)
{
    if (has_out(s) || s->writing)
        return false;
    if (s->leaving == 2 && s->n_streams == 0)
        return true;
    return !nghttp2_session_want_read(ng(s)) && !nghttp2_session_want_write(ng(s));
}

static bool has_nothing_to_do(const struct h2_session *s)
{
    return s->n_streams == 0 && !has_out(s) && !s->writing && !s->guard.in_block && s->leaving == 0;
}

static void end_writer(struct h2_session *s)
{
    bool was = fiber_shield(true);

    while (s->writing) {
        if (s->writer != NULL)
            fiber_cancel(s->writer, ERR_CANCELED);
        scratch_lost();
        (void)event_wait(&s->written, CLOCK_NEVER);
    }
    (void)fiber_shield(was);
}

int h2_session_run(struct h2_session *s)
{
    int rc = 0;

    MUST_BE(s, H2_SESSION_MAGIC);
    s->fiber = fiber_self();
    while (s->error == 0) {
        int more = read_input(s);

        tell_fresh(s);
        if (s->error == 0)
            look_at_clock(s);
        flush(s);
        if (s->error != 0)
            break;
        if (is_finished(s) || s->calmed) { /* who was told to calm down is not waited for */
            h2_session_break(s, s->going || s->leaving != 0 ? -ERR_CLOSED : end_of_breach(s));
            break;
        }
        if (more) {
            scratch_lost();
            fiber_yield();
            continue;
        }
        if (has_nothing_to_do(s)) {
            h2_block_free(&s->block);
            s->fiber = NULL;
            return 0;
        }
        fiber_doing(s->server ? "serving an HTTP/2 connection" : "using an HTTP/2 connection");
        rc = stream_wait_readable(s->stream, next_look(s));
        if (rc == -ERR_CANCELED) {
            s->fiber = NULL;
            return rc;
        }
        if (rc < 0 && rc != -ERR_TIMEOUT && rc != -ERR_AGAIN)
            h2_session_break(s, rc);
    }
    end_writer(s);
    s->fiber = NULL;
    return s->error;
}

bool h2_session_has_room(const struct h2_session *s)
{
    uint32_t most = s->peer_streams < s->conf.streams ? s->peer_streams : s->conf.streams;

    return s->error == 0 && !s->going && s->leaving == 0 && s->n_streams < most;
}
