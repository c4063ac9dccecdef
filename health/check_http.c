/*
 * check_http.c - a backend is well when it answers a request with an expected status and body, all of it, in time.
 *
 * A probe is in HTTP/1.1, unless the pool speaks nothing but HTTP/2, and it goes where the pool's requests go.
 *
 * Each probe has a connection of its own, since that is what a new client needs: a kept one would go on when nobody accepts any
 * more, and would hold one of the backend's workers for nothing.
 */
#include <string.h>

#include "base/buf.h"
#include "base/must.h"
#include "health/dial.h"
#include "health/http_plan.h"
#include "http/h1_codec.h"
#include "http/h2_single.h"
#include "net/stream_tls.h"

enum {
    HEAD_MOST = 32 * 1024,
    HEADERS_MOST = 200,
    SEARCH_AT_ONCE = 512, /* bytes of the body, before the time is looked at: each may cost a microsecond and more */
};

#define SEARCH_MOST CLOCK_MS /* then others have their turn */

struct ask {
    struct probe *p;
    const struct http_plan *plan;
    struct stream *stream;
    struct codec *codec; /* one of the two */
    struct h1_codec h1;
    struct h2_single h2;
    struct arena arena; /* trailers; they are looked at by nobody */
    struct buf body;    /* kept only where it must match something */
    size_t seen;        /* of the body */
    bool found;         /* the text that the body must contain */
    int64_t deadline;
};

static const struct head_limits limits = { .head = HEAD_MOST, .line = HEAD_MOST, .headers = HEADERS_MOST };

static int send_request(struct ask *a)
{
    const struct check_conf *conf = a->p->conf;
    const char *host = conf->host != NULL ? conf->host : a->p->host != NULL && a->p->host[0] != '\0' ? a->p->host : "localhost";
    enum method m = a->plan->method;
    struct message req = {
        .method_name = slice_str(conf->method),
        .target = slice_str(conf->path),
        .path = slice_str(conf->path), /* what is written: the query is in it */
        .authority = slice_str(host),
        .method = (uint8_t)m,
        .minor = 1,
        .n_headers = a->plan->n_headers,
        .cap_headers = a->plan->n_headers,
        .headers = (struct header *)(uintptr_t)a->plan->headers,
    };
    /* A method that usually has a body says that there is none (RFC 9110 8.6). */
    struct head_frame f = { .framing = m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH ? FRAMING_LENGTH : FRAMING_NONE,
                            .persist = PERSIST_CLOSE };

    fiber_doing("sending the request");
    return a->codec->ops->write_head(a->codec, &req, &f, NULL, a->deadline);
}

/* A code, or 0 and the final head's status. */
static int read_status(struct ask *a, unsigned *status)
{
    struct codec *c = a->codec;

    fiber_doing("waiting for the answer");
    for (int i = 0; i <= INTERIM_MOST; i++) {
        struct message m = { .status = 0 };
        int rc = c->ops->read_response(c, &m, a->plan->method, &limits, a->deadline);
        if (rc < 0)
            return rc;
        *status = m.status;
        if (m.status >= 200 || m.status == 101)
            return 0;
    }
    return -ERR_BAD_RESPONSE;
}

/* Where the text may stand across two pieces, it is looked for from before the seam. */
static bool contains(struct ask *a, size_t old)
{
    size_t n = strlen(a->p->conf->body), from = old < n ? 0 : old - n + 1;

    return memmem(a->body.p + from, a->body.n - from, a->p->conf->body, n) != NULL;
}

static int look_at(struct ask *a, struct slice piece)
{
    const struct check_conf *conf = a->p->conf;
    size_t old = a->body.n;

    if (piece.n > HTTP_PLAN_BODY_MOST - a->seen)
        piece.n = HTTP_PLAN_BODY_MOST - a->seen;
    a->seen += piece.n;
    if (piece.n == 0 || (conf->body == NULL && conf->body_regex == NULL))
        return 0;
    buf_add_slice(&a->body, piece);
    if (a->body.failed)
        return -ERR_NOMEM;
    if (conf->body != NULL && !a->found)
        a->found = contains(a, old);
    return 0;
}

/* To its end, so that a backend that stops in the middle fails; of a large one no more than is looked at. */
static int read_body(struct ask *a)
{
    struct codec *c = a->codec;
    struct body piece = { .last = false };

    fiber_doing("reading the answer");
    while (!piece.last && a->seen < HTTP_PLAN_BODY_MOST) {
        int rc = c->ops->read_body(c, &piece, a->deadline);
        if (rc == 0)
            rc = look_at(a, piece.data);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A large body and expression take tens of milliseconds: the thread's other probes go on between.  1, 0, or a code. */
static int matches(struct ask *a, struct pattern_search *search)
{
    struct slice rest = buf_slice(&a->body);
    int64_t began = clock_now();

    fiber_doing("looking at the answer's body");
    while (rest.n > 0) {
        size_t n = rest.n < SEARCH_AT_ONCE ? rest.n : SEARCH_AT_ONCE;

        if (pattern_search_feed(search, slice_of(rest.p, n)))
            return 1;
        rest = slice_of(rest.p + n, rest.n - n);
        if (clock_now() < began + SEARCH_MOST)
            continue;
        if (clock_now() >= a->deadline)
            return -ERR_TIMEOUT;
        if (fiber_sleep(clock_now() + 1) < 0)
            return -ERR_CANCELED;
        began = clock_now();
    }
    return pattern_search_end(search);
}

static int matches_pattern(struct ask *a)
{
    struct pattern_search *search = pattern_search_new(a->plan->pattern);
    int rc = search == NULL ? -ERR_NOMEM : matches(a, search);

    pattern_search_free(&search);
    return rc;
}

static enum probe_result judge_body(struct ask *a)
{
    int good = a->p->conf->body == NULL || a->found;

    if (good && a->plan->pattern != NULL)
        good = matches_pattern(a);
    if (good < 0)
        return dial_failed(a->p, good, "looking at the answer's body");
    if (good)
        return PROBE_OK;
    dial_detail(a->p, "%zu bytes of body, and no match", a->seen);
    return PROBE_BODY;
}

static enum probe_result talk(struct ask *a)
{
    unsigned status = 0;
    int rc = send_request(a);

    if (rc < 0)
        return dial_failed(a->p, rc, "sending the request");
    rc = read_status(a, &status);
    if (rc < 0)
        return dial_failed(a->p, rc, "waiting for the answer");
    if (!http_plan_expects(a->plan, status)) {
        dial_detail(a->p, "status %u", status);
        return PROBE_STATUS;
    }
    rc = read_body(a);
    return rc < 0 ? dial_failed(a->p, rc, "reading the answer's body") : judge_body(a);
}

static enum probe_result talk_h1(struct ask *a)
{
    enum probe_result r;

    arena_init(&a->arena, NULL, 0);
    h1_codec_open(&a->h1, a->stream);
    h1_codec_next(&a->h1, &a->arena);
    a->codec = &a->h1.codec;
    r = talk(a);
    h1_codec_close(&a->h1);
    arena_free(&a->arena);
    return r;
}

static enum probe_result talk_h2(struct ask *a)
{
    const struct h2_conf conf = {
        .limits = limits, .streams = 1, .write_timeout = a->p->conf->timeout, .secure = a->stream->tls != NULL
    };
    enum probe_result r;
    int rc;

    if (a->stream->tls != NULL && !slice_eq(stream_tls_protocol(a->stream), SLICE("h2"))) {
        dial_detail(a->p, "ALPN does not agree on HTTP/2");
        return PROBE_TLS;
    }
    rc = h2_single_open(&a->h2, a->stream, &conf);
    if (rc < 0)
        return dial_failed(a->p, rc, "connecting");
    a->codec = &a->h2.st->codec;
    r = talk(a);
    h2_single_close(&a->h2);
    return r;
}

static enum probe_result probe(struct probe *p, int64_t deadline)
{
    struct ask a = { .p = p, .plan = p->conf->compiled, .deadline = deadline };
    enum probe_result r;

    fiber_doing("connecting");
    r = dial_tls(p, p->conf->h2 ? "h2" : "http/1.1", &a.stream, deadline);
    if (r != PROBE_OK)
        return r;
    r = p->conf->h2 ? talk_h2(&a) : talk_h1(&a);
    buf_free(&a.body);
    dial_close(&a.stream);
    return r;
}

static const char *const keys[] = { "method", "path", "host", "headers", "expect", "body", "body_regex", NULL };

const struct check_type check_http = {
    .name = "http", .keys = keys, .tls = CHECK_AS_POOL, .check = http_plan_make, .forget = http_plan_free, .probe = probe
};
