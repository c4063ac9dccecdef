/*
 * Differential test of http/h1_parse against http-parser (the library, from Debian): some hundred heads and a few thousand
 * mutations of them, with a fixed seed, go through both.  Where one accepts what the other refuses, or both accept but read
 * it differently, a row of `reasons` must say why ours is right; a disagreement without a row fails the test.
 *
 * Debian builds the library without its strict mode, so it takes more than it does elsewhere.
 */
#define _GNU_SOURCE /* memmem */
#include <check.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "tests/lib/h1_feed.h"

Suite *h1_differential_suite(void);

#define MOST 2048

struct input {
    char p[MOST];
    size_t n;
    bool response;
};

/* ------------------------------------------------------------------------------------------------------- their reading */

struct theirs {
    enum { THEIRS_MORE, THEIRS_OK, THEIRS_BAD } verdict;
    enum http_errno code;
    char url[MOST], names[MOST], values[MOST]; /* names and values one after the other, each with a newline after it */
    size_t n_url, n_names, n_values;
    bool in_value, has_field, uses_coding;
    unsigned method, major, minor, status, flags;
    uint64_t content_length;
    bool keep_alive;
};

static void put(char *to, size_t *n, const char *p, size_t len)
{
    if (*n + len > MOST)
        len = MOST - *n;
    memcpy(to + *n, p, len);
    *n += len;
}

static int on_url(http_parser *p, const char *at, size_t n)
{
    struct theirs *t = p->data;

    put(t->url, &t->n_url, at, n);
    return 0;
}

static int on_name(http_parser *p, const char *at, size_t n)
{
    struct theirs *t = p->data;

    if (t->in_value) {
        put(t->names, &t->n_names, "\n", 1);
        put(t->values, &t->n_values, "\n", 1);
        t->in_value = false;
    }
    t->has_field = true;
    put(t->names, &t->n_names, at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct theirs *t = p->data;

    t->in_value = true;
    put(t->values, &t->n_values, at, n);
    return 0;
}

static int on_head(http_parser *p)
{
    struct theirs *t = p->data;

    t->verdict = THEIRS_OK;
    t->method = p->method;
    t->major = p->http_major;
    t->minor = p->http_minor;
    t->status = p->status_code;
    t->flags = p->flags;
    t->content_length = p->content_length;
    t->keep_alive = http_should_keep_alive(p) != 0;
    t->uses_coding = p->uses_transfer_encoding;
    if (t->has_field) {
        put(t->names, &t->n_names, "\n", 1);
        put(t->values, &t->n_values, "\n", 1);
    }
    http_parser_pause(p, 1);
    return 0;
}

static void read_theirs(struct theirs *t, const struct input *in)
{
    http_parser_settings settings;
    http_parser parser;

    memset(t, 0, sizeof(*t));
    http_parser_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_headers_complete = on_head;
    http_parser_init(&parser, in->response ? HTTP_RESPONSE : HTTP_REQUEST);
    parser.data = t;
    (void)http_parser_execute(&parser, &settings, in->p, in->n);
    t->code = HTTP_PARSER_ERRNO(&parser);
    if (t->verdict != THEIRS_OK && t->code != HPE_OK)
        t->verdict = THEIRS_BAD;
}

/* --------------------------------------------------------------------------------------------------------- our reading */

static void read_ours(struct parsed *p, const struct input *in)
{
    struct feed f = { .kind = in->response ? FEED_RESPONSE : FEED_REQUEST, .request_method = METHOD_GET, .limits = FEED_LIMITS };

    feed_whole(p, &f, in->p, in->n);
}

static size_t trimmed(const char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return n;
}

/* Names and values; `trim` theirs, which may have white space after them. */
static bool same_text(const struct parsed *p, const struct theirs *t, bool trim)
{
    size_t name = 0, value = 0;

    for (size_t i = 0; i < p->m.n_headers; i++) {
        const char *name_end = memchr(t->names + name, '\n', t->n_names - name);
        const char *value_end = memchr(t->values + value, '\n', t->n_values - value);
        struct slice v;

        if (name_end == NULL || value_end == NULL)
            return false;
        v = slice_of(t->values + value, (size_t)(value_end - t->values) - value);
        if (trim)
            v.n = trimmed(v.p, v.n);
        if (!slice_eq(slice_of(t->names + name, (size_t)(name_end - t->names) - name), header_name_of(&p->headers[i])) ||
            !slice_eq(v, header_value_of(&p->headers[i])))
            return false;
        name = (size_t)(name_end - t->names) + 1;
        value = (size_t)(value_end - t->values) + 1;
    }
    return name == t->n_names && value == t->n_values;
}

static bool same_framing(const struct message *m, const struct theirs *t)
{
    if ((t->flags & F_CHUNKED) != 0)
        return m->framing == FRAMING_CHUNKED;
    if ((t->flags & F_CONTENTLENGTH) != 0)
        return m->framing == FRAMING_LENGTH && m->content_length == t->content_length;
    return m->framing == FRAMING_NONE || m->framing == FRAMING_CLOSE;
}

/* ------------------------------------------------------------------------------------------- the disagreements we know */

struct pair {
    const struct input *in;
    const struct parsed *ours;
    const struct theirs *theirs;
};

static bool both_accept(const struct pair *d) { return d->ours->rc > 0 && d->theirs->verdict == THEIRS_OK; }

/* We refuse with that code what they accept. */
static bool we_say(const struct pair *d, int code) { return d->ours->rc == -code && d->theirs->verdict == THEIRS_OK; }
static bool we_refuse_the_line(const struct pair *d) { return we_say(d, ERR_BAD_REQUEST_LINE) || we_say(d, ERR_BAD_RESPONSE); }
static bool we_refuse_a_field(const struct pair *d) { return we_say(d, ERR_BAD_HEADER) || we_say(d, ERR_BAD_RESPONSE); }
static bool we_refuse_the_framing(const struct pair *d)
{
    return we_say(d, ERR_BAD_FRAMING) || we_say(d, ERR_BAD_RESPONSE_FRAMING);
}

/* They refuse with that code what we accept. */
static bool they_say(const struct pair *d, enum http_errno code)
{
    return d->ours->rc > 0 && d->theirs->verdict == THEIRS_BAD && d->theirs->code == code;
}

static bool holds(const struct pair *d, const char *text) { return memmem(d->in->p, d->in->n, text, strlen(text)) != NULL; }

/* The first line that is not empty, without its end. */
static struct slice first_line(const struct pair *d)
{
    const char *p = d->in->p, *end = p + d->in->n, *lf;

    while (p < end && (*p == '\r' || *p == '\n'))
        p++;
    lf = memchr(p, '\n', (size_t)(end - p));
    return slice_of(p, (size_t)((lf == NULL ? end : lf) - p));
}

static bool line_holds(const struct pair *d, const char *text)
{
    struct slice line = first_line(d);

    return memmem(line.p, line.n, text, strlen(text)) != NULL;
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t' && s.p[i] != '\n' && s.p[i] != '\r') || s.p[i] == 0x7f)
            return true;
    return false;
}

/* A line feed without a carriage return before it. */
static bool has_bare_lf(const struct pair *d)
{
    for (size_t i = 0; i < d->in->n; i++)
        if (d->in->p[i] == '\n' && (i == 0 || d->in->p[i - 1] != '\r'))
            return true;
    return false;
}

static bool has_bare_cr(const struct pair *d)
{
    for (size_t i = 0; i < d->in->n; i++)
        if (d->in->p[i] == '\r' && (i + 1 == d->in->n || d->in->p[i + 1] != '\n'))
            return true;
    return false;
}

#define R(name) static bool name(const struct pair *d)
R(host) { return we_say(d, ERR_BAD_HOST); }
R(expectation) { return we_say(d, ERR_BAD_EXPECT); }
R(connect_method) { return we_say(d, ERR_METHOD_UNSUPPORTED) && d->theirs->method == HTTP_CONNECT; }
R(major_version) { return (we_say(d, ERR_VERSION_UNSUPPORTED) || we_say(d, ERR_BAD_RESPONSE)) && d->theirs->major != 1; }
R(target_form) { return we_say(d, ERR_BAD_TARGET); }
R(http_0_9) { return we_say(d, ERR_BAD_REQUEST_LINE) && d->theirs->major == 0 && d->theirs->minor == 9; }
R(many_spaces) { return we_say(d, ERR_BAD_REQUEST_LINE) && line_holds(d, "  "); }
R(tab_in_line) { return we_say(d, ERR_BAD_REQUEST_LINE) && (line_holds(d, "\t") || line_holds(d, "\x0c")); }
R(protocol_name) { return we_refuse_the_line(d) && !line_holds(d, "HTTP/"); }
R(control_in_line) { return we_refuse_the_line(d) && has_control(first_line(d)); }
R(status_code) { return we_say(d, ERR_BAD_RESPONSE) && (d->theirs->status < 100 || d->theirs->status > 599); }
R(bare_lf) { return (we_refuse_the_line(d) || we_refuse_a_field(d)) && has_bare_lf(d); }
R(bare_cr) { return (we_refuse_the_line(d) || we_refuse_a_field(d)) && has_bare_cr(d); }
R(empty_lines) { return we_refuse_the_line(d) && (d->in->p[0] == '\r' || d->in->p[0] == '\n'); }
R(obs_fold) { return we_refuse_a_field(d) && (holds(d, "\n ") || holds(d, "\n\t")); }
R(space_in_name) { return we_refuse_a_field(d) && memchr(d->theirs->names, ' ', d->theirs->n_names) != NULL; }
R(control_in_value) { return we_refuse_a_field(d) && has_control(slice_of(d->theirs->values, d->theirs->n_values)); }
R(huge_length)
{
    return we_refuse_the_framing(d) && (d->theirs->flags & F_CONTENTLENGTH) != 0 && d->theirs->content_length > INT64_MAX;
}
R(coding_in_1_0) { return we_refuse_the_framing(d) && d->theirs->minor == 0 && d->theirs->uses_coding; }
R(body_where_none_may_be) { return we_say(d, ERR_BAD_RESPONSE_FRAMING) && (d->theirs->status < 200 || d->theirs->status == 204); }
R(coding_that_is_not_chunked)
{
    return (we_refuse_the_framing(d) || we_say(d, ERR_CODING_UNSUPPORTED)) && d->theirs->uses_coding;
}
R(unknown_method) { return they_say(d, HPE_INVALID_METHOD) && d->ours->m.method == METHOD_OTHER; }
R(tab_after_length) { return they_say(d, HPE_INVALID_CONTENT_LENGTH) && holds(d, "\t"); }
R(space_after_value) { return both_accept(d) && !same_text(d->ours, d->theirs, false) && same_text(d->ours, d->theirs, true); }
R(length_without_body)
{
    return both_accept(d) && d->in->response && d->ours->m.status == 304 && d->ours->m.framing == FRAMING_NONE &&
           d->ours->m.content_length == d->theirs->content_length;
}

static const struct {
    const char *name, *why;
    bool (*applies)(const struct pair *d);
} reasons[] = {
#define ROW(name, why)   \
    {                    \
#name, why, name \
    }
    /* they accept, we refuse */
    ROW(host, "RFC 9112 3.2: a request without Host, with two or with a malformed one must be refused; they don't look"),
    ROW(expectation, "RFC 9110 10.1.1: 417 for an expectation that we don't know; they don't look"),
    ROW(connect_method, "we are no tunnel: 501"),
    ROW(major_version, "RFC 9110 15.6.6: 505 for a major version that we don't speak"),
    ROW(target_form, "RFC 9112 3.2: each form for its methods, http and https alone, no fragment, no user information"),
    ROW(http_0_9, "RFC 9112 appendix A: HTTP/0.9 is gone"),
    ROW(many_spaces, "RFC 9112 3: single spaces; other readings of the line have been used for smuggling"),
    ROW(tab_in_line, "RFC 9112 3: no white space in the target; their library is built to be lenient"),
    ROW(protocol_name, "RFC 9112 2.3: \"HTTP\", case-sensitive; their library is built not to look at each letter"),
    ROW(control_in_line, "RFC 9112 4: reason-phrase = HTAB / SP / VCHAR / obs-text; the request line has none of them"),
    ROW(status_code, "RFC 9112 4, RFC 9110 15: a status is three digits, from 100 to 599"),
    ROW(bare_lf, "RFC 9112 2.2: we may take a bare LF as an end of line, and don't: peers that don't would see other lines"),
    ROW(bare_cr, "RFC 9112 2.2: a bare CR is invalid"),
    ROW(empty_lines, "RFC 9112 2.2: one empty line before a request is enough, and none before a response"),
    ROW(obs_fold, "RFC 9112 5.2: refused by a server, or replaced; we refuse"),
    ROW(space_in_name, "RFC 9112 5.1: white space in or after a name must be refused"),
    ROW(control_in_value, "RFC 9110 5.5: invalid; they don't look at a value's first byte"),
    ROW(huge_length, "RFC 9110 8.6: be prepared for large numbers; 2^63 - 1 is our end, as others may count with a sign"),
    ROW(coding_in_1_0, "RFC 9112 6.1: Transfer-Encoding in HTTP/1.0 is faulty framing"),
    ROW(body_where_none_may_be,
        "RFC 9112 6.1, RFC 9110 8.6: neither length nor coding in 1xx and 204; they would wait for a body"),
    ROW(coding_that_is_not_chunked, "RFC 9112 6.1, 6.3: only \"chunked\", once; they take \"chunked\" at the end of any list"),
    /* we accept, they refuse */
    ROW(unknown_method, "RFC 9110 9.1: methods are an open list; they know some"),
    ROW(tab_after_length, "RFC 9112 5: white space around a value may be a tab and is not part of it"),
    /* both accept and read differently */
    ROW(space_after_value, "RFC 9112 5.1: white space after a value is not part of it"),
    ROW(length_without_body, "RFC 9112 6.3: 304 has no body, whatever its length says; they leave that to their caller"),
#undef ROW
};
#define N_REASONS ARRAY_LEN(reasons)

static unsigned counts[N_REASONS];

static const char *agree(const struct pair *d)
{
    const struct message *m = &d->ours->m;

    if (!both_accept(d))
        return (d->ours->rc > 0) == (d->theirs->verdict == THEIRS_OK) ? NULL : "verdict";
    if (!same_text(d->ours, d->theirs, false))
        return "fields";
    if (!same_framing(m, d->theirs))
        return "framing";
    if (m->keep_alive != d->theirs->keep_alive)
        return "keep-alive";
    if (d->in->response)
        return m->status == d->theirs->status ? NULL : "status";
    return slice_eq(m->target, slice_of(d->theirs->url, d->theirs->n_url)) ? NULL : "target";
}

static void show(const struct pair *d, const char *what)
{
    printf("http-parser differs about the %s: we: %s; they: %s\n  ", what, err_word(d->ours->rc < 0 ? d->ours->rc : 0),
           d->theirs->verdict == THEIRS_OK ? "accepted" : http_errno_name(d->theirs->code));
    for (size_t i = 0; i < d->in->n; i++) {
        unsigned char c = (unsigned char)d->in->p[i];

        printf(c >= ' ' && c < 0x7f ? "%c" : "\\x%02x", c);
    }
    printf("\n");
}

static bool explained(const struct input *in)
{
    struct parsed ours;
    struct theirs theirs;
    struct pair d = { in, &ours, &theirs };
    const char *what;
    size_t i = 0;

    read_ours(&ours, in);
    read_theirs(&theirs, in);
    what = agree(&d);
    if (what != NULL) {
        while (i < N_REASONS && !reasons[i].applies(&d))
            i++;
        if (i < N_REASONS)
            counts[i]++;
        else
            show(&d, what);
    }
    parsed_free(&ours);
    return what == NULL || i < N_REASONS;
}

/* -------------------------------------------------------------------------------------------------------------- inputs */

#define H "Host: a.example\r\n"

static const char *const requests[] = {
    "GET / HTTP/1.1\r\n" H "\r\n",
    "GET /a/b?c=d&e HTTP/1.1\r\n" H "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
    "HEAD /x HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 5 \t\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length:\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 0005\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Transfer-Encoding:\tChunked\r\n\r\n",
    "POST /f HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /f HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "GET http://b.example:8080/p?q HTTP/1.1\r\n" H "\r\n",
    "GET http://[::1]/ HTTP/1.1\r\n" H "\r\n",
    "GET http://u:p@b.example/ HTTP/1.1\r\n" H "\r\n",
    "GET ftp://b.example/ HTTP/1.1\r\n" H "\r\n",
    "OPTIONS * HTTP/1.1\r\n" H "\r\n",
    "CONNECT b.example:443 HTTP/1.1\r\n" H "\r\n",
    "GET /ws HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "Connection: keep-alive, Upgrade, x\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "PROPFIND /d HTTP/1.1\r\n" H "Depth: 1\r\n\r\n",
    "PATCH /d HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
    "BREW /pot HTTP/1.1\r\n" H "\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X : a\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X y: a\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "X: \t\xc3\xa4 \t\r\nY:\r\nZ: \r\n\r\n",
    "GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~: a\r\n\r\n",
    "GET / HTTP/1.1\r\n" H ": a\r\n\r\n",
    "GET / HTTP/1.1\r\n" H "nocolon\r\n\r\n",
    "GET / HTTP/2.0\r\n" H "\r\n",
    "GET / HTTP/1.2\r\n" H "\r\n",
    "GET /\r\n\r\n",
    "GET  / HTTP/1.1\r\n" H "\r\n",
    "GET /  HTTP/1.1\r\n" H "\r\n",
    "GET / HTTP/1.1 \r\n" H "\r\n",
    "GET /#f HTTP/1.1\r\n" H "\r\n",
    "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n",
    "GET /\"<>\\^`{|} HTTP/1.1\r\n" H "\r\n",
    "\r\nGET / HTTP/1.1\r\n" H "\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\n" H H "\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
};

#define OK "HTTP/1.1 200 OK\r\n"

static const char *const responses[] = {
    OK "Content-Length: 5\r\n\r\nhello",
    OK "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n\r\n",
    OK "\r\n",
    OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK "Transfer-Encoding: gzip\r\n\r\n",
    OK "Connection: close\r\nContent-Length: 1\r\n\r\nx",
    OK "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
    OK "X : y\r\nContent-Length: 0\r\n\r\n",
    OK "X: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    OK "Set-Cookie: a=b\r\nSet-Cookie: c=d; Path=/\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "\r\n" OK "Content-Length: 0\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
};

/* What a mutation puts in. */
static const char *const fragments[] = {
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\r\n ",
    ":",
    ",",
    ";",
    "\"",
    "#",
    "?",
    "@",
    "%",
    "/",
    "*",
    "\x01",
    "\x7f",
    "\x80",
    "\xff",
    "0",
    "1",
    "9",
    "-",
    "_",
    "a",
    "Z",
    "[",
    "]",
    "chunked",
    ", chunked",
    "gzip",
    "identity",
    "Content-Length: 7\r\n",
    "\r\nContent-Length: 0",
    "Transfer-Encoding: chunked\r\n",
    "\r\nTransfer-Encoding: identity",
    "\r\nConnection: close",
    "Connection: keep-alive\r\n",
    "\r\nUpgrade: x",
    "\r\nExpect: 1",
    "Host: b\r\n",
    "HTTP/1.0",
    "HTTP/1.1 ",
    "http://",
    "\r\n\r\n",
    "\x0b",
    "\x0c",
};

static uint64_t state;

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)((state >> 11) % n);
}

/* Replaces `old` bytes at `at` by the fragment. */
static void splice(struct input *in, size_t at, size_t old, const char *text)
{
    size_t n = strlen(text);

    if (in->n - old + n > MOST)
        return;
    memmove(in->p + at + n, in->p + at + old, in->n - at - old);
    memcpy(in->p + at, text, n);
    in->n = in->n - old + n;
}

static void mutate(struct input *in)
{
    size_t at = below(in->n + 1);
    const char *text = fragments[below(ARRAY_LEN(fragments))];

    switch (below(3)) {
    case 0: splice(in, at, 0, text); break;
    case 1: splice(in, at, at < in->n ? 1 : 0, text); break;
    default: splice(in, at, in->n - at < 3 ? in->n - at : below(3), ""); break;
    }
}

static struct input input_of(const char *text, bool response)
{
    struct input in = { .n = strlen(text), .response = response };

    memcpy(in.p, text, in.n);
    return in;
}

static unsigned check_variants(const char *text, bool response, unsigned rounds)
{
    struct input in = input_of(text, response);
    unsigned wrong = explained(&in) ? 0 : 1;

    for (unsigned i = 0; i < rounds; i++) {
        in = input_of(text, response);
        for (size_t k = 1 + below(3); k > 0; k--)
            mutate(&in);
        splice(&in, in.n, 0, "\r\n\r\n"); /* the head has an end, whatever was done to it */
        wrong += explained(&in) ? 0 : 1;
    }
    return wrong;
}

START_TEST(every_disagreement_with_http_parser_has_a_reason)
{
    unsigned wrong = 0;

    state = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        wrong += check_variants(requests[i], false, 100);
    for (size_t i = 0; i < ARRAY_LEN(responses); i++)
        wrong += check_variants(responses[i], true, 100);
    ck_assert_msg(wrong == 0, "%u disagreements without a reason, shown above", wrong);
}
END_TEST

START_TEST(every_reason_is_still_needed)
{
    every_disagreement_with_http_parser_has_a_reason_fn(0);
    for (size_t i = 0; i < N_REASONS; i++) {
        ck_assert_msg(counts[i] > 0, "no input needs the row %s (%s)", reasons[i].name, reasons[i].why);
    }
}
END_TEST

Suite *h1_differential_suite(void)
{
    Suite *s = suite_create("h1_differential");
    TCase *tc = tcase_create("http-parser");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_disagreement_with_http_parser_has_a_reason);
    tcase_add_test(tc, every_reason_is_still_needed);
    suite_add_tcase(s, tc);
    return s;
}
