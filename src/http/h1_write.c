/* h1_write.c - heads, field by field, as few copies as the received bytes allow. */
#include "http/h1_write.h"

#include <string.h>

#include "base/decimal.h"
#include "base/must.h"

/* Where to write next.  Once something did not fit, `full` stays set and nothing more is written. */
struct out {
    char *p, *end;
    bool full;
};

static inline void put(struct out *o, const char *p, size_t n)
{
    if (UNLIKELY((size_t)(o->end - o->p) < n)) {
        o->full = true;
        o->end = o->p;
        return;
    }
    if (n == 0) /* p may be NULL */
        return;
    memcpy(o->p, p, n);
    o->p += n;
}

static inline void put_slice(struct out *o, struct slice s) { put(o, s.p, s.n); }
#define PUT(o, literal) put(o, "" literal, sizeof(literal) - 1)

static void put_number(struct out *o, uint64_t v)
{
    char text[DECIMAL_MOST];

    put(o, text, decimal_put(text, v));
}

static size_t written(const struct out *o, const char *start) { return o->full ? 0 : (size_t)(o->p - start); }

#define BIT(id) (UINT64_C(1) << HEADER_##id)
/* These are written from struct head_frame and the authority alone, even if a caller forgot to drop them. */
#define OURS    (BIT(CONNECTION) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING))

/* "name: value" stands in the received bytes as it is to be written. */
static inline bool is_plain(const struct header *h)
{
    const char *end = h->name + h->name_len;

    return h->value == end + 2 && memcmp(end, ": ", 2) == 0;
}

/* So does what is between the two fields. */
static inline bool stands_before(const struct header *h, const struct header *next)
{
    const char *end = h->value + h->value_len;

    return end + 2 == next->name && memcmp(end, "\r\n", 2) == 0;
}

static void put_field(struct out *o, const struct header *h)
{
    size_t n = (size_t)h->name_len + h->value_len + 4;
    char *p = o->p;

    if (UNLIKELY((size_t)(o->end - p) < n)) {
        o->full = true;
        o->end = p;
        return;
    }
    if (h->name_len > 0) /* the pointers may be NULL */
        memcpy(p, h->name, h->name_len);
    p += h->name_len;
    memcpy(p, ": ", 2);
    if (h->value_len > 0)
        memcpy(p + 2, h->value, h->value_len);
    memcpy(p + 2 + h->value_len, "\r\n", 2);
    o->p += n;
}

/*
 * The fields that are neither dropped nor among `skip`; returns a bit for each known one that there was.  Fields that were
 * received side by side and in plain form go in one copy: the bytes between them are known to be what we would write.
 */
static uint64_t put_fields(struct out *o, const struct message *m, uint64_t skip)
{
    const struct header *h = m->headers, *end = h + m->n_headers;
    uint64_t seen = 0;

    while (h < end) {
        const char *start = h->name;
        uint64_t bit = UINT64_C(1) << h->id;

        if (h->dropped || (bit & skip) != 0) {
            seen |= bit & ~BIT(TE);
            h++;
            continue;
        }
        seen |= bit;
        if (!is_plain(h)) {
            put_field(o, h++);
            continue;
        }
        while (h + 1 < end && stands_before(h, h + 1) && is_plain(h + 1) && !h[1].dropped) {
            bit = UINT64_C(1) << h[1].id;
            if ((bit & skip) != 0)
                break;
            seen |= bit;
            h++;
        }
        put(o, start, (size_t)(h->value + h->value_len - start));
        PUT(o, "\r\n");
        h++;
    }
    return seen;
}

static void put_framing(struct out *o, const struct head_frame *f, const struct message *m, bool had_length)
{
    switch (f->framing) {
    case FRAMING_LENGTH:
        PUT(o, "Content-Length: ");
        put_number(o, f->content_length);
        PUT(o, "\r\n");
        break;
    case FRAMING_CHUNKED: PUT(o, "Transfer-Encoding: chunked\r\n"); break;
    case FRAMING_NONE:
        if (f->keep_length && had_length) {
            PUT(o, "Content-Length: ");
            put_number(o, m->content_length);
            PUT(o, "\r\n");
        }
        break;
    case FRAMING_CLOSE: break;
    }
}

/* A TE that passes is hop by hop: it has to be listed (RFC 9110 10.1.4). */
static void put_connection(struct out *o, enum persist persist, bool te)
{
    static const struct slice lines[4][2] = {
        [PERSIST_DEFAULT] = { SLICE(""), SLICE("Connection: TE\r\n") },
        [PERSIST_TELL] = { SLICE("Connection: keep-alive\r\n"), SLICE("Connection: keep-alive, TE\r\n") },
        [PERSIST_CLOSE] = { SLICE("Connection: close\r\n"), SLICE("Connection: close, TE\r\n") },
        [PERSIST_UPGRADE] = { SLICE("Connection: upgrade\r\n"), SLICE("Connection: upgrade, TE\r\n") },
    };

    put_slice(o, lines[persist][te]);
}

static void put_rest(struct out *o, const struct message *m, const struct head_frame *f, uint64_t skip)
{
    uint64_t seen = put_fields(o, m, skip);

    if (UNLIKELY((seen & BIT(DATE)) == 0))
        put_slice(o, f->date);
    put_framing(o, f, m, (seen & BIT(CONTENT_LENGTH)) != 0);
    put_connection(o, f->persist, (seen & BIT(TE)) != 0);
    PUT(o, "\r\n");
}

size_t h1_write_request(char *out, size_t size, const struct message *m, const struct head_frame *f)
{
    struct out o = { out, out + size, false };

    put_slice(&o, m->method_name);
    PUT(&o, " ");
    if (m->path.n > 0)
        put_slice(&o, m->path);
    else
        PUT(&o, "/");
    if (m->query.p != NULL) {
        PUT(&o, "?");
        put_slice(&o, m->query);
    }
    PUT(&o, " HTTP/1.1\r\nHost: ");
    put_slice(&o, m->authority);
    PUT(&o, "\r\n");
    put_rest(&o, m, f, OURS | BIT(HOST));
    return written(&o, out);
}

size_t h1_write_response(char *out, size_t size, const struct message *m, const struct head_frame *f)
{
    struct out o = { out, out + size, false };
    char line[] = "HTTP/1.1 000 ";

    MUST(m->status >= 100 && m->status <= 999);
    line[9] = (char)('0' + m->status / 100);
    line[10] = (char)('0' + m->status / 10 % 10);
    line[11] = (char)('0' + m->status % 10);
    put(&o, line, sizeof(line) - 1);
    put_slice(&o, m->reason.p == NULL ? slice_str(h1_reason(m->status)) : m->reason);
    PUT(&o, "\r\n");
    put_rest(&o, m, f, OURS);
    return written(&o, out);
}

size_t h1_write_chunk_size(char *out, size_t size, uint64_t n)
{
    static const char digits[] = "0123456789abcdef";
    struct out o = { out, out + size, false };
    char text[H1_CHUNK_SIZE_MOST];
    size_t at = sizeof(text);

    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = digits[n & 15];
        n >>= 4;
    } while (n > 0);
    put(&o, text + at, sizeof(text) - at);
    return written(&o, out);
}

size_t h1_write_last_chunk(char *out, size_t size, const struct message *trailers)
{
    struct out o = { out, out + size, false };

    PUT(&o, "0\r\n");
    if (trailers != NULL)
        put_fields(&o, trailers, OURS | BIT(HOST));
    PUT(&o, "\r\n");
    return written(&o, out);
}

/* clang-format off */
#define REASONS(X) \
    X(100, "Continue") \
    X(101, "Switching Protocols") \
    X(102, "Processing") \
    X(103, "Early Hints") \
    X(200, "OK") \
    X(201, "Created") \
    X(202, "Accepted") \
    X(203, "Non-Authoritative Information") \
    X(204, "No Content") \
    X(205, "Reset Content") \
    X(206, "Partial Content") \
    X(207, "Multi-Status") \
    X(208, "Already Reported") \
    X(226, "IM Used") \
    X(300, "Multiple Choices") \
    X(301, "Moved Permanently") \
    X(302, "Found") \
    X(303, "See Other") \
    X(304, "Not Modified") \
    X(305, "Use Proxy") \
    X(307, "Temporary Redirect") \
    X(308, "Permanent Redirect") \
    X(400, "Bad Request") \
    X(401, "Unauthorized") \
    X(402, "Payment Required") \
    X(403, "Forbidden") \
    X(404, "Not Found") \
    X(405, "Method Not Allowed") \
    X(406, "Not Acceptable") \
    X(407, "Proxy Authentication Required") \
    X(408, "Request Timeout") \
    X(409, "Conflict") \
    X(410, "Gone") \
    X(411, "Length Required") \
    X(412, "Precondition Failed") \
    X(413, "Content Too Large") \
    X(414, "URI Too Long") \
    X(415, "Unsupported Media Type") \
    X(416, "Range Not Satisfiable") \
    X(417, "Expectation Failed") \
    X(421, "Misdirected Request") \
    X(422, "Unprocessable Content") \
    X(423, "Locked") \
    X(424, "Failed Dependency") \
    X(425, "Too Early") \
    X(426, "Upgrade Required") \
    X(428, "Precondition Required") \
    X(429, "Too Many Requests") \
    X(431, "Request Header Fields Too Large") \
    X(451, "Unavailable For Legal Reasons") \
    X(500, "Internal Server Error") \
    X(501, "Not Implemented") \
    X(502, "Bad Gateway") \
    X(503, "Service Unavailable") \
    X(504, "Gateway Timeout") \
    X(505, "HTTP Version Not Supported") \
    X(506, "Variant Also Negotiates") \
    X(507, "Insufficient Storage") \
    X(508, "Loop Detected") \
    X(511, "Network Authentication Required")
/* clang-format on */

const char *h1_reason(unsigned status)
{
    switch (status) {
#define X(code, phrase) \
    case code: return phrase;
        REASONS(X)
#undef X
    default: return "";
    }
}
