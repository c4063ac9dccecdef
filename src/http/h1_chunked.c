/* h1_chunked.c - chunked bodies (RFC 9112 7.1): sizes, extensions, data, and the trailer section. */
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/h1_fields.h"
#include "http/h1_parse.h"
#include "http/h1_scan.h"
#include "http/proxy_fields.h"

#define DIGITS_MOST 16 /* leading zeros count: nobody needs more */

/* The size line goes through the states from SIZE to LINE_FEED. */
enum state {
    SIZE,        /* hex digits */
    BEFORE_EXT,  /* white space after the size or after an extension: a ';' must come */
    BEFORE_NAME, /* after ';' */
    NAME,
    AFTER_NAME,   /* white space: '=' or ';' must come */
    BEFORE_VALUE, /* after '=' */
    VALUE,
    QUOTED,
    ESCAPED, /* after a backslash in a quoted value */
    AFTER_QUOTED,
    LINE_FEED, /* after the CR of the size line */
    DATA,
    DATA_CR, /* after the data */
    DATA_LF,
    TRAILERS,
};

void h1_chunked_init(struct h1_chunked *c) { *c = (struct h1_chunked){ .state = SIZE }; }

static unsigned hex_value(char ch) { return h1_is(ch, H1_DIGIT) ? (unsigned)(ch - '0') : (unsigned)((ch | 0x20) - 'a' + 10); }

static bool take_digit(struct h1_chunked *c, char ch)
{
    if (c->digits == DIGITS_MOST || c->left > (INT64_MAX >> 4))
        return false;
    c->left = c->left << 4 | hex_value(ch);
    c->digits++;
    return true;
}

/* What may follow the size, an extension's name or a finished value; -1: nothing that is right. */
static int separator(char ch, int white)
{
    if (ch == ';')
        return BEFORE_NAME;
    return ch == ' ' || ch == '\t' ? white : -1;
}

static int end_of_line_or(char ch, int white) { return ch == '\r' ? LINE_FEED : separator(ch, white); }

/* The state after one byte of extensions: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted ) ] ); -1: malformed. */
static int extension(enum state s, char ch)
{
    bool space = ch == ' ' || ch == '\t';

    switch (s) {
    case BEFORE_EXT: return separator(ch, BEFORE_EXT);
    case BEFORE_NAME: return space ? BEFORE_NAME : h1_is(ch, H1_TOKEN) ? NAME : -1;
    case NAME:
        if (h1_is(ch, H1_TOKEN))
            return NAME;
        return ch == '=' ? BEFORE_VALUE : end_of_line_or(ch, AFTER_NAME);
    case AFTER_NAME: return ch == '=' ? BEFORE_VALUE : separator(ch, AFTER_NAME);
    case BEFORE_VALUE: return space ? BEFORE_VALUE : ch == '"' ? QUOTED : h1_is(ch, H1_TOKEN) ? VALUE : -1;
    case VALUE: return h1_is(ch, H1_TOKEN) ? VALUE : end_of_line_or(ch, BEFORE_EXT);
    case QUOTED:
        if (ch == '"')
            return AFTER_QUOTED;
        return ch == '\\' ? ESCAPED : h1_is(ch, H1_VALUE) ? QUOTED : -1;
    case ESCAPED: return h1_is(ch, H1_VALUE) ? QUOTED : -1;
    case AFTER_QUOTED: return end_of_line_or(ch, BEFORE_EXT);
    default: return -1;
    }
}

/* One byte of what stands between the data of two chunks; false: malformed. */
static bool take_framing(struct h1_chunked *c, char ch)
{
    int next = -1;

    switch (c->state) {
    case DATA_CR: next = ch == '\r' ? DATA_LF : -1; break;
    case DATA_LF:
        next = ch == '\n' ? SIZE : -1;
        c->line = 0;
        c->digits = 0;
        break;
    case SIZE:
        if (h1_is(ch, H1_HEX))
            next = take_digit(c, ch) ? SIZE : -1;
        else if (c->digits > 0)
            next = end_of_line_or(ch, BEFORE_EXT);
        break;
    case LINE_FEED:
        if (ch == '\n')
            next = c->left > 0 ? DATA : TRAILERS;
        break;
    default: next = extension((enum state)c->state, ch); break;
    }
    if (next < 0)
        return false;
    c->state = (uint8_t)next;
    if (next <= LINE_FEED && ++c->line > H1_CHUNK_LINE_MOST)
        return false;
    return true;
}

int h1_chunked_step(struct h1_chunked *c, const char *bytes, size_t n, size_t *used, struct slice *data)
{
    size_t at = 0, take;

    *used = 0;
    *data = slice_of(NULL, 0);
    while (c->state != DATA && c->state != TRAILERS) {
        if (at == n) {
            *used = n;
            return H1_CHUNK_MORE;
        }
        if (!take_framing(c, bytes[at]))
            return -ERR_BAD_CHUNK;
        at++;
    }
    *used = at;
    if (c->state == TRAILERS)
        return H1_CHUNK_TRAILERS;
    take = n - at < c->left ? n - at : (size_t)c->left;
    if (take == 0)
        return H1_CHUNK_MORE;
    *data = slice_of(bytes + at, take);
    *used = at + take;
    c->left -= take;
    if (c->left == 0)
        c->state = DATA_CR;
    return H1_CHUNK_DATA;
}

/* RFC 9110 6.5.1: framing, routing, controls, authentication and how content is to be read don't belong in trailers.  Nor does
 * what proxies say of a client: backends that put trailers to the head's fields would believe it. */
bool h1_is_for_heads_only(const struct header *h)
{
    static const struct slice others[] = {
        SLICE("age"),
        SLICE("authorization"),
        SLICE("cache-control"),
        SLICE("content-encoding"),
        SLICE("content-range"),
        SLICE("expires"),
        SLICE("if-match"),
        SLICE("if-modified-since"),
        SLICE("if-none-match"),
        SLICE("if-range"),
        SLICE("if-unmodified-since"),
        SLICE("max-forwards"),
        SLICE("pragma"),
        SLICE("proxy-authenticate"),
        SLICE("proxy-authorization"),
        SLICE("range"),
        SLICE("set-cookie"),
        SLICE("vary"),
        SLICE("www-authenticate"),
    };

    switch (h->id) {
    case HEADER_OTHER:
        for (size_t i = 0; i < ARRAY_LEN(others); i++)
            if (slice_eq_nocase(header_name_of(h), others[i]))
                return true;
        return is_x_forwarded(header_name_of(h)) || is_client_cert(header_name_of(h));
    case HEADER_PROXY_STATUS: /* RFC 9209 2 allows it in trailers */
    case HEADER_SERVER:
    case HEADER_USER_AGENT:
    case HEADER_REFERER:
    case HEADER_X_REQUEST_ID: return false;
    default: return true;
    }
}

int h1_parse_trailers(struct message *m, const char *bytes, size_t n, size_t *seen, const struct head_limits *limits)
{
    size_t most = h1_head_most(limits), before = *seen;
    struct h1_meaning say = { 0 }; /* nothing that counts in trailers */
    int rc;

    *seen = n;
    if (!h1_worth_parsing(bytes, n, before, most, most))
        return 0;
    rc = h1_fields_parse(m, bytes, n < most ? n : most, limits->headers, &say);
    if (rc == 0 && n >= most)
        return -ERR_HEADER_TOO_LARGE;
    for (size_t i = 0; rc > 0 && i < m->n_headers; i++)
        m->headers[i].dropped = h1_is_for_heads_only(&m->headers[i]);
    return rc;
}
