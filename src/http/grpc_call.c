/* grpc_call.c - a request, the messages that answer it, and the status behind them. */
#include "http/grpc_call.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"

enum {
    PREFIX = 5, /* bytes before a message */
    HEAD_MOST = 16 * 1024,
    HEADERS_MOST = 100,
    STATUS_OK = 200,
};
#define WRITE_TIMEOUT (30 * CLOCK_S)

static const struct head_limits limits = { .head = HEAD_MOST, .line = HEAD_MOST, .headers = HEADERS_MOST };

const char *grpc_code_word(int status)
{
    static const char *const words[] = {
        "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED"
    };

    return status >= 0 && (size_t)status < ARRAY_LEN(words) ? words[status] : "";
}

/* ---- asking ---- */

static int send_request(struct grpc_call *c, const struct grpc_ask *ask, int64_t deadline)
{
    struct header fields[4];
    struct message m = { .method_name = SLICE("POST"),
                         .method = METHOD_POST,
                         .authority = ask->authority,
                         .path = ask->path,
                         .minor = 1,
                         .headers = fields,
                         .cap_headers = ARRAY_LEN(fields) };
    struct head_frame f = { .framing = FRAMING_CHUNKED }; /* no Content-Length */
    char bytes[PREFIX + GRPC_REQUEST_MOST] = { 0 };
    size_t n = ask->request.n;
    struct body body = { .data = slice_of(bytes, PREFIX + n), .last = true };

    MUST(n <= GRPC_REQUEST_MOST);
    bytes[3] = (char)(n >> 8);
    bytes[4] = (char)n;
    if (n > 0)
        memcpy(bytes + PREFIX, ask->request.p, n);
    (void)message_add(&m, SLICE("te"), SLICE("trailers"));
    (void)message_add(&m, SLICE("content-type"), SLICE("application/grpc"));
    (void)message_add(&m, SLICE("user-agent"), SLICE("weir"));
    if (ask->metadata[0].n > 0)
        (void)message_add(&m, ask->metadata[0], ask->metadata[1]);
    return c->h2.st->codec.ops->write_head(&c->h2.st->codec, &m, &f, &body, deadline);
}

int grpc_call_open(struct grpc_call *c, struct stream *s, const struct grpc_ask *ask, int64_t deadline)
{
    struct h2_conf conf = {
        .limits = limits, .streams = 1, .write_timeout = WRITE_TIMEOUT, .secure = s->tls != NULL, .secret = ask->secret
    };
    int rc;

    *c = (struct grpc_call){ .stream = s, .secret = ask->secret, .message_most = ask->message_most, .status = -1 };
    rc = h2_single_open(&c->h2, s, &conf);
    if (rc < 0)
        return rc;
    rc = send_request(c, ask, deadline);
    if (rc < 0)
        grpc_call_close(c);
    return rc;
}

/* ---- reading ---- */

__attribute__((format(printf, 2, 3))) static int bad(struct grpc_call *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(c->why, sizeof c->why, fmt, ap);
    va_end(ap);
    return -ERR_BAD_RESPONSE;
}

static bool is_grpc(const struct message *m)
{
    static const struct slice type = SLICE("application/grpc");
    const struct header *h = message_find(m, HEADER_CONTENT_TYPE);

    return h != NULL && h->value_len >= type.n && slice_eq_nocase(slice_of(h->value, type.n), type) &&
           (h->value_len == type.n || h->value[type.n] == '+' || h->value[type.n] == ';');
}

static void keep_words(struct grpc_call *c, struct slice words)
{
    size_t n = words.n < sizeof c->why - 1 ? words.n : sizeof c->why - 1;

    for (size_t i = 0; i < n; i++)
        c->why[i] = words.p[i] < ' ' || words.p[i] >= 0x7f ? '?' : words.p[i];
    c->why[n] = '\0';
}

/* grpc-status and grpc-message, in trailers, or in a head that is all of the answer.  0 or a code. */
static int take_status(struct grpc_call *c, const struct message *m)
{
    const struct header *h = m == NULL ? NULL : message_find_name(m, SLICE("grpc-status"));
    const struct header *words = h == NULL ? NULL : message_find_name(m, SLICE("grpc-message"));
    int status = 0;

    if (h == NULL)
        return bad(c, "it ended without a grpc-status");
    for (unsigned i = 0; i < h->value_len; i++) {
        if (h->value[i] < '0' || h->value[i] > '9' || i == 3)
            return bad(c, "its grpc-status is no number");
        status = status * 10 + (h->value[i] - '0');
    }
    if (h->value_len == 0)
        return bad(c, "its grpc-status is no number");
    c->status = status;
    if (words != NULL)
        keep_words(c, header_value_of(words));
    return 0;
}

static int read_head(struct grpc_call *c, int64_t deadline)
{
    struct codec *codec = &c->h2.st->codec;

    for (int i = 0; i <= INTERIM_MOST; i++) {
        struct message m = { .status = 0 };
        int rc = codec->ops->read_response(codec, &m, METHOD_POST, &limits, deadline);
        if (rc < 0)
            return rc;
        if (m.status < STATUS_OK)
            continue;
        if (m.status != STATUS_OK)
            return bad(c, "its HTTP status is %u", m.status);
        if (!is_grpc(&m))
            return bad(c, "its content type is not application/grpc");
        c->answered = true;
        return codec->body_done ? take_status(c, &m) : 0;
    }
    return bad(c, "too many interim answers");
}

static void forget(struct grpc_call *c, size_t n)
{
    size_t left = c->in.n - n;

    if (n == 0)
        return;
    memmove(c->in.p, c->in.p + n, left);
    if (c->secret)
        explicit_bzero(c->in.p + left, n);
    c->in.n = left;
}

static void forget_all(struct grpc_call *c)
{
    if (c->secret && c->in.p != NULL)
        explicit_bzero(c->in.p, c->in.n);
    buf_free(&c->in);
}

/* Growing by realloc() would leave a copy of what stood there. */
static int keep(struct grpc_call *c, struct slice piece)
{
    struct buf more = { .n = 0 };

    if (!c->secret || c->in.n + piece.n < c->in.cap) {
        buf_add_slice(&c->in, piece);
        return c->in.failed ? -ERR_NOMEM : 0;
    }
    if (buf_reserve(&more, 2 * (c->in.n + piece.n)) != NULL) {
        buf_add_slice(&more, buf_slice(&c->in));
        buf_add_slice(&more, piece);
    }
    forget_all(c);
    c->in = more;
    return more.failed ? -ERR_NOMEM : 0;
}

/* 1: *message, 0: it is not whole yet. */
static int cut_message(struct grpc_call *c, struct slice *message)
{
    const unsigned char *p = (const unsigned char *)c->in.p;
    uint32_t n;

    if (c->in.n < PREFIX)
        return 0;
    if (p[0] != 0)
        return bad(c, p[0] == 1 ? "a message is compressed" : "a message has an unknown flag");
    n = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (n > c->message_most)
        return bad(c, "a message of %u bytes is too large", n);
    if (c->in.n - PREFIX < n)
        return 0;
    *message = slice_of(c->in.p + PREFIX, n);
    c->handed = PREFIX + n;
    return 1;
}

static int read_more(struct grpc_call *c, int64_t deadline)
{
    struct codec *codec = &c->h2.st->codec;
    struct body piece = { .last = false };
    int rc = codec->ops->read_body(codec, &piece, deadline);

    if (rc == 0 && piece.data.n > 0)
        rc = keep(c, piece.data);
    return rc < 0 || !piece.last ? rc : take_status(c, piece.trailers);
}

int grpc_call_read(struct grpc_call *c, struct slice *message, int64_t deadline)
{
    int rc = c->answered ? 0 : read_head(c, deadline);

    forget(c, c->handed);
    c->handed = 0;
    while (rc == 0) {
        rc = cut_message(c, message);
        if (rc != 0)
            return rc;
        if (c->status >= 0)
            return c->in.n > 0 ? bad(c, "it ended in the middle of a message") : 0;
        rc = read_more(c, deadline);
    }
    return rc;
}

void grpc_call_close(struct grpc_call *c)
{
    h2_single_close(&c->h2);
    forget_all(c);
}
