/* small_http.c - read a request, ask the site, write the reply. */
#include "admin/small_http.h"

#include <stdio.h>

#include "admin/acceptor.h"
#include "base/arena.h"
#include "base/err.h"
#include "fiber/fiber.h"
#include "http/date_field.h"
#include "http/h1_codec.h"

static const struct head_limits limits = { .head = 8192, .line = 4096, .headers = 64 };

/* The reply's own fields point to strings that live long enough. */
static int write_reply(struct h1_codec *c, const struct message *req, const struct small_reply *r, bool keep)
{
    struct header fields[3];
    struct message m = { .status = (uint16_t)r->status, .headers = fields, .cap_headers = ARRAY_LEN(fields) };
    struct head_frame f = { .framing = FRAMING_LENGTH,
                          .content_length = r->body.n,
                          .persist = keep ? PERSIST_DEFAULT : PERSIST_CLOSE,
                          .date = date_field(fiber_now()) };
    struct body body = { .data = buf_slice(&r->body), .last = true };

    m.reason = slice_str(h1_reason(r->status));
    (void)message_add(&m, SLICE("Content-Type"), slice_str(r->content_type));
    (void)message_add(&m, SLICE("Cache-Control"), SLICE("no-store"));
    if (r->allow != NULL)
        (void)message_add(&m, SLICE("Allow"), slice_str(r->allow));
    if (keep && req->minor == 0)
        f.persist = PERSIST_TELL;
    return c->codec.ops->write_head(&c->codec, &m, &f, req->method == METHOD_HEAD ? NULL : &body,
                                    fiber_now() + SMALL_HTTP_DEADLINE);
}

static void refuse(struct h1_codec *c, int code)
{
    struct small_reply r = { .status = (unsigned)err_http_status(code), .content_type = "text/plain; charset=utf-8" };
    static const struct message none = { .minor = 1 };

    if (r.status < 400 || r.status == 499) /* it is gone, or never began */
        return;
    buf_printf(&r.body, "%s\n", err_text(code));
    (void)write_reply(c, &none, &r, false);
    buf_free(&r.body);
}

static int go_on(struct h1_codec *c)
{
    static const struct message m = { .status = 100, .minor = 1 };
    static const struct head_frame f = { .framing = FRAMING_NONE };

    return c->codec.ops->write_head(&c->codec, &m, &f, NULL, fiber_now() + SMALL_HTTP_DEADLINE);
}

static int read_body(struct h1_codec *c, const struct message *m, uint32_t most, struct buf *out)
{
    int64_t deadline = fiber_now() + SMALL_HTTP_DEADLINE;
    struct body b = { .last = false };
    int rc = m->expect_continue ? go_on(c) : 0;

    while (rc == 0 && !b.last) {
        rc = c->codec.ops->read_body(&c->codec, &b, deadline);
        if (rc == 0 && out->n + b.data.n > most)
            rc = -ERR_BODY_TOO_LARGE;
        if (rc == 0)
            buf_add_slice(out, b.data);
    }
    return rc == 0 && out->failed ? -ERR_NOMEM : rc;
}

/* One request; false: the connection is done. */
static bool serve_request(struct h1_codec *c, const struct small_site *site)
{
    struct small_reply r = { .status = 200, .content_type = "text/plain; charset=utf-8" };
    struct buf body = { 0 };
    struct message m = { 0 };
    bool keep, has_body;
    int rc;

    fiber_doing("waiting for a request");
    acceptor_idle(c->stream);
    rc = c->codec.ops->read_request(&c->codec, &m, &limits, fiber_now() + site->idle);
    acceptor_busy(c->stream);
    if (rc < 0) {
        refuse(c, rc);
        return false;
    }
    fiber_doing("answering");
    has_body = m.framing != FRAMING_NONE;
    keep = m.keep_alive && (!has_body || site->body_most > 0);
    if (has_body && site->body_most > 0)
        rc = read_body(c, &m, site->body_most, &body);
    if (rc == 0)
        site->answer(&m, buf_slice(&body), &r, site->arg);
    buf_free(&body);
    if (rc < 0) {
        refuse(c, rc);
        return false;
    }
    if (r.body.failed) {
        buf_free(&r.body);
        refuse(c, -ERR_NOMEM);
        return false;
    }
    rc = write_reply(c, &m, &r, keep);
    buf_free(&r.body);
    return rc == 0 && keep;
}

void small_http_serve(struct stream *s, void *site)
{
    struct h1_codec c;
    struct arena a;
    bool more;

    h1_codec_open(&c, s);
    do {
        arena_init(&a, NULL, 0);
        h1_codec_next(&c, &a);
        more = serve_request(&c, site);
        arena_free(&a);
    } while (more);
    h1_codec_close(&c);
    (void)stream_shutdown(s);
}
