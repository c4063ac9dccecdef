/* h2_head.c - pseudo-fields, fields, and what they say together. */
#include "http/h2_head.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rand.h"
#include "http/h1_fields.h"
#include "http/h1_scan.h"
#include "http/header_names.h"
#include "http/upgrade.h"

enum {
    FIELD_COST = 32,   /* RFC 9113 6.5.2 */
    FLOOD_FACTOR = 4,  /* a block that is that many times too large is no mistake */
    ROOM_FOR_MORE = 8, /* fields: five of hop.h, two of a WebSocket */
};

void h2_block_begin(struct h2_block *b)
{
    b->bytes.n = b->fields.n = 0;
    b->n = 0;
    b->size = 0;
    b->wrong = 0;
}

void h2_block_free(struct h2_block *b)
{
    buf_free(&b->bytes);
    buf_free(&b->fields);
}

bool h2_block_add(struct h2_block *b, struct slice name, struct slice value, const struct head_limits *limits)
{
    struct h2_field f = { .at = (uint32_t)b->bytes.n, .name_len = (uint16_t)name.n, .value_len = (uint16_t)value.n };
    char *at;

    b->size += name.n + value.n + FIELD_COST;
    if (b->size > (size_t)limits->head * FLOOD_FACTOR)
        return false;
    if (b->wrong != 0)
        return true;
    if (b->size > limits->head || b->size > UINT16_MAX) {
        b->wrong = -ERR_HEADER_TOO_LARGE;
        return true;
    }
    if (b->n >= limits->headers + 6u) { /* pseudo-fields are no fields */
        b->wrong = -ERR_TOO_MANY_HEADERS;
        return true;
    }
    at = buf_reserve(&b->bytes, name.n + value.n);
    buf_append(&b->fields, &f, sizeof f);
    if (at == NULL || b->fields.failed) {
        b->wrong = -ERR_NOMEM;
        return true;
    }
    memcpy(at, name.p, name.n);
    memcpy(at + name.n, value.p, value.n);
    b->bytes.n += name.n + value.n;
    b->n++;
    return true;
}

/* ---- single fields ---- */

enum pseudo { METHOD, SCHEME, AUTHORITY, PATH, PROTOCOL, STATUS, PSEUDO_COUNT };
static const struct slice pseudo_names[PSEUDO_COUNT] = {
    SLICE(":method"), SLICE(":scheme"), SLICE(":authority"), SLICE(":path"), SLICE(":protocol"), SLICE(":status"),
};

/* What is gathered of a block. */
struct reading {
    struct h2_head *h;
    struct slice pseudo[PSEUDO_COUNT]; /* .p NULL: not there */
    struct slice host;
    uint64_t length;
    bool has_host, has_length, te_trailers, expect_continue;
    size_t cookies, cookie_size;
    char *spare; /* bytes behind the block's */
};

static bool name_is_valid(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!h1_is(s.p[i], H1_TOKEN) || (s.p[i] >= 'A' && s.p[i] <= 'Z'))
            return false;
    return s.n > 0;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool value_is_valid(struct slice s)
{
    if (s.n == 0)
        return true;
    return !is_blank(s.p[0]) && !is_blank(s.p[s.n - 1]) && h1_scan_value(s.p, s.n) == s.n;
}

static int read_pseudo(struct reading *r, struct slice name, struct slice value)
{
    for (int i = 0; i < PSEUDO_COUNT; i++) {
        if (!slice_eq(name, pseudo_names[i]))
            continue;
        if (r->pseudo[i].p != NULL || r->h->m.n_headers > 0 || !value_is_valid(value))
            return -ERR_BAD_HEADER;
        r->pseudo[i] = value;
        return 0;
    }
    return -ERR_BAD_HEADER;
}

/* 1*DIGIT below 2^63. */
static bool read_length(struct slice s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 18)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!h1_is(s.p[i], H1_DIGIT))
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return true;
}

/* What this field means; fields that don't pass as they are.  1: it stands for itself, 0: it is taken up. */
static int read_meaning(struct reading *r, enum header_id id, struct slice value)
{
    switch (id) {
    case HEADER_HOST:
        if (r->has_host)
            return -ERR_BAD_HOST;
        r->has_host = true;
        r->host = value;
        return 0;
    case HEADER_CONTENT_LENGTH:
        if (r->has_length || !read_length(value, &r->length))
            return -ERR_BAD_FRAMING;
        r->has_length = true;
        return 1; /* HEAD and 304 say it on */
    case HEADER_CONNECTION:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_UPGRADE: return -ERR_BAD_HEADER; /* RFC 9113 8.2.2 */
    case HEADER_TE: r->te_trailers = slice_eq_nocase(value, SLICE("trailers")); return r->te_trailers ? 1 : -ERR_BAD_HEADER;
    case HEADER_EXPECT:
        r->expect_continue = slice_eq_nocase(value, SLICE("100-continue"));
        return r->expect_continue ? 1 : -ERR_BAD_EXPECT;
    case HEADER_COOKIE:
        r->cookies++;
        r->cookie_size += value.n + 2;
        return 1;
    default: return 1;
    }
}

static int read_field(struct reading *r, struct slice name, struct slice value)
{
    struct message *m = &r->h->m;
    enum header_id id;
    int rc;

    if (name.n > 0 && name.p[0] == ':')
        return read_pseudo(r, name, value);
    if (!name_is_valid(name) || !value_is_valid(value))
        return -ERR_BAD_HEADER;
    id = header_id(name);
    rc = read_meaning(r, id, value);
    if (rc <= 0)
        return rc;
    m->headers[m->n_headers++] = (struct header){
        .name = name.p,
        .value = value.p,
        .name_len = (uint16_t)name.n,
        .value_len = (uint16_t)value.n,
        .id = (uint8_t)id,
    };
    return 0;
}

/* Cookies are split for the sake of compression; elsewhere they are one field (RFC 9113 8.2.3). */
static void join_cookies(struct reading *r)
{
    struct message *m = &r->h->m;
    struct header *first = NULL;
    char *at = r->spare;

    if (r->cookies < 2)
        return;
    for (size_t i = 0; i < m->n_headers; i++) {
        struct header *h = &m->headers[i];

        if (h->id != HEADER_COOKIE)
            continue;
        if (first != NULL) {
            memcpy(at, "; ", 2);
            at += 2;
            h->dropped = true;
        } else {
            first = h;
        }
        if (h->value_len > 0)
            memcpy(at, h->value, h->value_len);
        at += h->value_len;
    }
    first->value = r->spare;
    first->value_len = (uint16_t)(at - r->spare);
    r->spare = at;
}

/* ---- blocks ---- */

/* The block with its bytes, in one allocation; r->h->wrong says what is wrong with a field. */
static struct h2_head *read_block(const struct h2_block *b, struct reading *r)
{
    size_t room = (size_t)b->n + ROOM_FOR_MORE, spare = b->bytes.n + 2u * b->n + WEBSOCKET_KEY_LEN; /* of cookies, and a key */
    struct h2_head *h = malloc(sizeof *h + room * sizeof(struct header) + b->bytes.n + spare);
    const struct h2_field *f = (const struct h2_field *)(const void *)b->fields.p;
    char *bytes;

    if (h == NULL)
        return NULL;
    memset(h, 0, sizeof *h);
    bytes = (char *)&h->fields[room];
    if (b->bytes.n > 0)
        memcpy(bytes, b->bytes.p, b->bytes.n);
    h->m.headers = h->fields;
    h->m.cap_headers = (uint16_t)room;
    h->m.h2 = true;
    h->m.minor = 1;
    h->m.keep_alive = true;
    h->wrong = b->wrong;
    h->size = b->size;
    *r = (struct reading){ .h = h, .spare = bytes + b->bytes.n };
    for (unsigned i = 0; i < b->n && h->wrong == 0; i++) {
        const char *name = bytes + f[i].at;
        h->wrong = read_field(r, slice_of(name, f[i].name_len), slice_of(name + f[i].name_len, f[i].value_len));
    }
    join_cookies(r);
    return h;
}

/* origin-form, or "*" of OPTIONS. */
static int read_path(struct message *m, struct slice path, const struct head_limits *limits)
{
    const char *question = path.n > 0 ? memchr(path.p, '?', path.n) : NULL;
    size_t i = 0;

    if (path.n > limits->line)
        return -ERR_URI_TOO_LONG;
    if (path.n == 0)
        return -ERR_BAD_TARGET;
    m->target = m->path = path;
    if (path.n == 1 && path.p[0] == '*' && m->method == METHOD_OPTIONS)
        return 0;
    if (path.p[0] != '/')
        return -ERR_BAD_TARGET;
    do
        i += h1_scan_target(path.p + i, path.n - i);
    while (i < path.n && path.p[i] == '?' && ++i < path.n);
    if (i < path.n)
        return -ERR_BAD_TARGET;
    if (question != NULL) {
        m->path.n = (size_t)(question - path.p);
        m->query = slice_of(question + 1, path.n - m->path.n - 1);
    }
    return 0;
}

/* RFC 9113 8.3.1: one of the two; if both, they say the same. */
static int read_authority(struct reading *r)
{
    struct slice authority = r->pseudo[AUTHORITY];

    if (authority.p == NULL)
        authority = r->host;
    else if (r->has_host && !slice_eq_nocase(authority, r->host))
        return -ERR_BAD_HOST;
    if (authority.p == NULL || !h1_authority_is_valid(authority))
        return -ERR_BAD_HOST;
    r->h->m.authority = authority;
    return 0;
}

static void make_key(char key[WEBSOCKET_KEY_LEN])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (int i = 0; i < 21; i++)
        key[i] = digits[rand_below(64)];
    key[21] = digits[rand_below(4) * 16]; /* 16 bytes: of the last digit two bits */
    memcpy(key + 22, "==", 2);
}

/* CONNECT with :protocol: the GET with Upgrade that an HTTP/1 backend knows. */
static int read_websocket(struct reading *r)
{
    struct message *m = &r->h->m;
    char *key = r->spare;

    if (!slice_eq(r->pseudo[PROTOCOL], SLICE("websocket")) || r->h->ended)
        return -ERR_METHOD_UNSUPPORTED;
    if (r->has_length)
        return -ERR_BAD_FRAMING;
    make_key(key);
    message_drop_name(m, SLICE("sec-websocket-key"));
    (void)message_add(m, SLICE("Upgrade"), SLICE("websocket")); /* there is room */
    (void)message_add(m, SLICE("Sec-WebSocket-Key"), slice_of(key, WEBSOCKET_KEY_LEN));
    m->method_name = SLICE("GET");
    m->method = METHOD_GET;
    m->upgrade = true;
    return 0;
}

static int read_method(struct reading *r)
{
    struct message *m = &r->h->m;
    struct slice method = r->pseudo[METHOD];

    if (method.n == 0 || h1_scan_token(method.p, method.n) != method.n)
        return -ERR_BAD_REQUEST_LINE;
    m->method_name = method;
    m->method = (uint8_t)method_of(method);
    if (m->method == METHOD_CONNECT)
        return r->pseudo[PROTOCOL].p != NULL ? read_websocket(r) : -ERR_METHOD_UNSUPPORTED;
    return r->pseudo[PROTOCOL].p == NULL ? 0 : -ERR_BAD_HEADER;
}

static int request_meaning(struct reading *r, const struct head_limits *limits)
{
    struct message *m = &r->h->m;
    struct slice scheme = r->pseudo[SCHEME];
    int rc;

    if (r->pseudo[STATUS].p != NULL)
        return -ERR_BAD_HEADER;
    if (m->n_headers > limits->headers)
        return -ERR_TOO_MANY_HEADERS;
    rc = read_method(r);
    if (rc < 0)
        return rc;
    if (!slice_eq_nocase(scheme, SLICE("http")) && !slice_eq_nocase(scheme, SLICE("https")))
        return -ERR_BAD_TARGET;
    rc = read_path(m, r->pseudo[PATH], limits);
    if (rc == 0)
        rc = read_authority(r);
    if (rc < 0)
        return rc;
    m->te_trailers = r->te_trailers;
    m->expect_continue = r->expect_continue;
    if (m->upgrade)
        return 0;
    if (r->has_length) {
        m->framing = FRAMING_LENGTH;
        m->content_length = r->length;
        return r->h->ended && r->length > 0 ? -ERR_BAD_FRAMING : 0;
    }
    m->framing = r->h->ended ? FRAMING_NONE : FRAMING_CHUNKED;
    return 0;
}

struct h2_head *h2_head_request(const struct h2_block *b, bool ended, const struct head_limits *limits)
{
    struct reading r;
    struct h2_head *h = read_block(b, &r);

    if (h == NULL)
        return NULL;
    h->ended = ended;
    if (h->wrong == 0)
        h->wrong = request_meaning(&r, limits);
    return h;
}

static int response_meaning(struct reading *r)
{
    struct message *m = &r->h->m;
    struct slice status = r->pseudo[STATUS];

    for (int i = 0; i < STATUS; i++)
        if (r->pseudo[i].p != NULL)
            return -ERR_BAD_RESPONSE;
    if (status.n != 3)
        return -ERR_BAD_RESPONSE;
    for (size_t i = 0; i < 3; i++) {
        if (!h1_is(status.p[i], H1_DIGIT))
            return -ERR_BAD_RESPONSE;
        m->status = (uint16_t)(m->status * 10 + (status.p[i] - '0'));
    }
    if (m->status < 100 || m->status > 599 || m->status == 101)
        return -ERR_BAD_RESPONSE;
    if (m->status < 200 && r->h->ended)
        return -ERR_BAD_RESPONSE;
    if ((m->status < 200 || m->status == 204) && r->length > 0)
        return -ERR_BAD_RESPONSE_FRAMING;
    m->framing = r->has_length ? FRAMING_LENGTH : FRAMING_CHUNKED;
    m->content_length = r->length;
    return 0;
}

struct h2_head *h2_head_response(const struct h2_block *b, bool ended)
{
    struct reading r;
    struct h2_head *h = read_block(b, &r);

    if (h == NULL)
        return NULL;
    h->ended = ended;
    if (h->wrong == 0)
        h->wrong = response_meaning(&r);
    if (h->wrong == -ERR_HEADER_TOO_LARGE || h->wrong == -ERR_TOO_MANY_HEADERS)
        h->wrong = -ERR_RESPONSE_TOO_LARGE;
    else if (h->wrong == -ERR_BAD_FRAMING)
        h->wrong = -ERR_BAD_RESPONSE_FRAMING;
    else if (h->wrong < 0 && h->wrong != -ERR_NOMEM && h->wrong != -ERR_BAD_RESPONSE_FRAMING)
        h->wrong = -ERR_BAD_RESPONSE;
    return h;
}

void h2_head_frame_response(struct h2_head *h, enum method request_method)
{
    struct message *m = &h->m;

    if (m->status < 200 || m->status == 204 || m->status == 304 || request_method == METHOD_HEAD) {
        m->framing = FRAMING_NONE;
    } else if (h->ended) {
        if (m->framing == FRAMING_LENGTH && m->content_length > 0)
            h->wrong = -ERR_BAD_RESPONSE_FRAMING;
        m->framing = FRAMING_LENGTH;
        m->content_length = 0;
    }
}

struct h2_head *h2_head_trailers(const struct h2_block *b)
{
    struct reading r;
    struct h2_head *h = read_block(b, &r);

    if (h == NULL)
        return NULL;
    for (int i = 0; i < PSEUDO_COUNT; i++)
        if (r.pseudo[i].p != NULL && h->wrong == 0)
            h->wrong = -ERR_BAD_HEADER;
    for (size_t i = 0; i < h->m.n_headers; i++)
        h->m.headers[i].dropped |= h1_is_for_heads_only(&h->m.headers[i]);
    return h;
}
