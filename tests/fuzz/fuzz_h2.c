/*
 * fuzz_h2.c - any bytes from a client that speaks HTTP/2, in pieces: nothing crashes, leaks or waits for ever, the session ends,
 * and a request that is accepted is one that HTTP/1 can say: written as such and read again, it is the same.
 *
 * The first byte says how large the pieces are, and whether the connection is ours to end.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "fiber/sched.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "http/h2_session.h"
#include "http/hop.h"
#include "net/scratch.h"
#include "net/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h2_conf conf = {
    .limits = { .head = 32768, .line = 8192, .headers = 100 },
    .streams = 100,
    .head_timeout = 10 * CLOCK_S,
    .write_timeout = 10 * CLOCK_S,
};

/* ---- a socket that has the input to read, and takes all that is written ---- */

static struct {
    const uint8_t *at, *end;
    size_t piece;
    struct pd *waits;
} input;

static ssize_t fake_recv(int fd, void *buf, size_t n, int flags)
{
    size_t left = (size_t)(input.end - input.at);

    (void)fd, (void)flags;
    if (n > input.piece)
        n = input.piece;
    if (n > left)
        n = left;
    memcpy(buf, input.at, n);
    input.at += n;
    return (ssize_t)n; /* 0: the end */
}

static ssize_t fake_send(int fd, const void *buf, size_t n, int flags)
{
    (void)fd, (void)buf, (void)flags;
    return (ssize_t)n;
}

static int fake_close(int fd)
{
    (void)fd;
    return 0;
}

static const struct sys_ops fake_sys = { .recv = fake_recv, .send = fake_send, .close = fake_close };

static void *poll_open(void *arg) { return arg == NULL ? &input : arg; }
static void poll_close(void *state) { (void)state; }

static int poll_add(void *state, struct pd *p)
{
    (void)state;
    input.waits = p;
    return 0;
}

static void poll_remove(void *state, struct pd *p)
{
    (void)state, (void)p;
    input.waits = NULL;
}

static void poll_now(void *state, int64_t until)
{
    (void)state, (void)until;
    if (input.waits != NULL)
        pd_report(input.waits, PD_READ | PD_WRITE);
}

static void poll_wake(void *state) { (void)state; }

static const struct netpoll_engine fake_poll = { poll_open, poll_close, poll_add, poll_remove, poll_now, poll_wake };

/* ---- an exchange that gives the client its body back ---- */

/* What we would send on must be read as we understood it. */
static void check_as_h1(const struct message *m)
{
    static char out[200000];
    static struct header fields[1024];
    struct head_limits wide = { 65535, 65535, 1000 };
    struct head_frame f = { m->framing, m->content_length, m->upgrade ? PERSIST_UPGRADE : PERSIST_DEFAULT, false, { 0 } };
    struct message again = { .headers = fields, .cap_headers = 1024 };
    size_t n = h1_write_request(out, sizeof out, m, &f), seen = 0;

    MUST(n > 0);
    if (n >= 65000)
        return;
    MUST(h1_parse_request(&again, out, n, &seen, &wide) == (int)n);
    MUST(slice_eq(again.method_name, m->method_name) && slice_eq(again.authority, m->authority));
    MUST(slice_eq(again.path, m->path) && slice_eq(again.query, m->query));
    MUST(again.framing == m->framing && again.content_length == m->content_length);
    MUST(again.upgrade == m->upgrade && again.keep_alive);
}

static void exchange(void *arg)
{
    struct h2_stream *st = arg;
    struct codec *c = &st->codec;
    struct hop_info hop = { .forwarded = FORWARDED_X, .client_ip = SLICE("127.0.0.1"), .via = true, .via_name = SLICE("weir") };
    struct header none;
    struct message m = { 0 }, answer = { .status = 200, .headers = &none };
    struct head_frame f = { .framing = FRAMING_CHUNKED };
    struct body b = { 0 };
    struct arena a;
    int rc;

    arena_init(&a, NULL, 0);
    rc = c->ops->read_request(c, &m, &conf.limits, CLOCK_NEVER);
    if (rc == 0 && hop_request(&m, &hop, &a) == 0)
        check_as_h1(&m);
    if (rc == 0)
        rc = c->ops->write_head(c, &answer, &f, NULL, clock_after(fiber_now(), CLOCK_S));
    while (rc == 0 && !b.last) {
        rc = c->ops->read_body(c, &b, clock_after(fiber_now(), CLOCK_S));
        if (rc == 0)
            rc = c->ops->write_body(c, &b, clock_after(fiber_now(), 10 * CLOCK_MS));
    }
    h2_stream_free(&st, H2_CANCEL);
    arena_free(&a);
}

static struct group exchanges;

static int on_request(struct h2_session *s, struct h2_stream *st)
{
    (void)s;
    return fiber_go(&exchanges, "exchange", exchange, st);
}

static int on_work(struct h2_session *s)
{
    (void)s;
    return 0;
}

static const struct h2_owner owner = { on_request, on_work };

static void connection(void *arg)
{
    struct stream stream;
    struct h2_session *s;
    bool leaves = arg != NULL;
    int rc = 0;

    stream_open(&stream, 3, false);
    group_init(&exchanges);
    s = h2_session_new(&stream, true, &conf, &owner, NULL);
    MUST(s != NULL);
    h2_session_feed(s, H2_PREFACE, H2_PREFACE_LEN);
    while (rc == 0) { /* idle: it begins again with the next bytes */
        if (leaves && input.at == input.end)
            h2_session_leave(s);
        rc = h2_session_run(s);
        stream.pd.flags |= PD_READ;
    }
    group_cancel(&exchanges, ERR_CLIENT_CLOSED);
    (void)group_join(&exchanges, CLOCK_NEVER);
    h2_session_free(&s);
    stream_close(&stream);
    sched_stop(sched_self());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = { 1, 9, 100, 65536 };
    struct sched *s;

    if (size == 0)
        return 0;
    sys = &fake_sys;
    input.at = data + 1;
    input.end = data + size;
    input.piece = pieces[data[0] & 3];
    s = sched_open_on("fuzz", false, &fake_poll, NULL);
    MUST(s != NULL);
    MUST(fiber_go(NULL, "connection", connection, (data[0] & 4) != 0 ? &input : NULL) == 0);
    sched_run(s);
    sched_close(&s);
    scratch_free();
    return 0;
}
