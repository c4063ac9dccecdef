/* h1_parse.c - request and status lines, targets, and what decides about the body. */
#include "http/h1_parse.h"

#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/h1_fields.h"
#include "http/h1_scan.h"

#define VERSION_LEN 8 /* "HTTP/1.1" */

/* All but the caller's array. */
static inline void clear(struct message *m) { memset(m, 0, offsetof(struct message, cap_headers)); }

/* VERSION_LEN and *minor; 0: more bytes; -ERR_INVALID: no version; -ERR_VERSION_UNSUPPORTED: one that is not ours. */
static int http_version(const char *p, size_t n, uint8_t *minor)
{
    static const char form[VERSION_LEN + 1] = "HTTP/d.d";
    size_t most = n < VERSION_LEN ? n : VERSION_LEN;

    if (LIKELY(n >= VERSION_LEN && memcmp(p, "HTTP/1.1", VERSION_LEN) == 0)) {
        *minor = 1;
        return VERSION_LEN;
    }
    for (size_t i = 0; i < most; i++)
        if (form[i] == 'd' ? !h1_is(p[i], H1_DIGIT) : p[i] != form[i])
            return -ERR_INVALID;
    if (most < VERSION_LEN)
        return 0;
    if (p[5] != '1')
        return -ERR_VERSION_UNSUPPORTED;
    *minor = p[7] == '0' ? 0 : 1; /* a later 1.x speaks 1.1 to us (RFC 9110 2.5) */
    return VERSION_LEN;
}

/* 2; 0: more bytes; -ERR_INVALID: something else, also a bare CR or LF. */
static int line_end(const char *p, size_t n)
{
    if (n > 0 && p[0] != '\r')
        return -ERR_INVALID;
    if (n < 2)
        return 0;
    return p[1] == '\n' ? 2 : -ERR_INVALID;
}

/* The path and query of `rest`, which starts after the authority or is all of the target. */
static void split_path(struct message *m, struct slice rest, size_t question)
{
    m->path = rest;
    if (question >= rest.n)
        return;
    m->path.n = question;
    m->query = slice_of(rest.p + question + 1, rest.n - question - 1);
}

/* "http://authority/path?query": the scheme is not looked at any further, the connection says what it is. */
static int read_absolute(struct message *m)
{
    struct slice t = m->target, authority;
    const char *question;
    size_t n = 0;

    if (t.n > 7 && strncasecmp(t.p, "http://", 7) == 0)
        t = slice_of(t.p + 7, t.n - 7);
    else if (t.n > 8 && strncasecmp(t.p, "https://", 8) == 0)
        t = slice_of(t.p + 8, t.n - 8);
    else
        return -ERR_BAD_TARGET;
    while (n < t.n && t.p[n] != '/' && t.p[n] != '?')
        n++;
    authority = slice_of(t.p, n);
    if (!h1_authority_is_valid(authority)) /* empty, or with user information, too */
        return -ERR_BAD_TARGET;
    m->absolute = true;
    m->authority = authority;
    t = slice_of(t.p + n, t.n - n);
    question = memchr(t.p, '?', t.n);
    split_path(m, t, question == NULL ? t.n : (size_t)(question - t.p));
    if (m->path.n == 0) /* RFC 9112 3.2.1 and, for OPTIONS, 3.2.4 */
        m->path = m->method == METHOD_OPTIONS && m->query.p == NULL ? SLICE("*") : SLICE("/");
    return 0;
}

static int read_target(struct message *m, size_t question)
{
    if (LIKELY(m->target.p[0] == '/')) {
        split_path(m, m->target, question);
        return 0;
    }
    if (m->target.n == 1 && m->target.p[0] == '*' && m->method == METHOD_OPTIONS) {
        m->path = m->target;
        return 0;
    }
    return read_absolute(m);
}

/* The length of the target, with where its first '?' stands. */
static size_t scan_target(const char *p, size_t n, size_t *question)
{
    size_t i = h1_scan_target(p, n);

    *question = i;
    while (i < n && p[i] == '?')
        i += 1 + h1_scan_target(p + i + 1, n - i - 1);
    return i;
}

static inline int bad_line(int rc) { return rc == -ERR_INVALID ? -ERR_BAD_REQUEST_LINE : rc; }

/* "METHOD target HTTP/1.1 CRLF": its length. */
static int request_line(struct message *m, const char *p, size_t n)
{
    size_t name = h1_scan_token(p, n), target, at, question;
    int rc;

    if (name == n)
        return 0;
    if (name == 0 || p[name] != ' ')
        return -ERR_BAD_REQUEST_LINE;
    at = name + 1;
    target = scan_target(p + at, n - at, &question);
    if (at + target == n)
        return 0;
    if (p[at + target] != ' ')
        return h1_is(p[at + target], H1_VALUE) ? -ERR_BAD_TARGET : -ERR_BAD_REQUEST_LINE;
    if (target == 0)
        return -ERR_BAD_REQUEST_LINE;
    m->method_name = slice_of(p, name);
    m->method = (uint8_t)method_of(m->method_name);
    m->target = slice_of(p + at, target);
    at += target + 1;
    rc = http_version(p + at, n - at, &m->minor);
    if (rc <= 0)
        return bad_line(rc);
    at += VERSION_LEN;
    rc = line_end(p + at, n - at);
    if (rc <= 0)
        return bad_line(rc);
    if (m->method == METHOD_CONNECT)
        return -ERR_METHOD_UNSUPPORTED;
    rc = read_target(m, question);
    return rc < 0 ? rc : (int)(at + 2);
}

/* Host: exactly one in HTTP/1.1, at most one in 1.0, where it may also be empty; an absolute target wins. */
static int read_host(struct message *m, const struct h1_meaning *say)
{
    if (say->bad_host)
        return -ERR_BAD_HOST;
    if (say->host.n == 0)
        return m->minor == 0 ? 0 : -ERR_BAD_HOST;
    if (!h1_authority_is_valid(say->host))
        return -ERR_BAD_HOST;
    if (!m->absolute)
        m->authority = say->host;
    return 0;
}

static void read_persistence(struct message *m, const struct h1_meaning *say)
{
    m->keep_alive = !say->close && (m->minor > 0 || say->keep_alive);
    m->upgrade = say->upgrade && say->has_upgrade && m->minor > 0; /* RFC 9110 7.8: nothing that 1.0 knows */
    m->te_trailers = say->te_trailers;
}

/* RFC 9112 6.3, but nothing is guessed. */
static int request_framing(struct message *m, const struct h1_meaning *say)
{
    m->framing = FRAMING_NONE;
    if (say->bad_length || say->coding == H1_CODING_BAD)
        return -ERR_BAD_FRAMING;
    if (say->coding != H1_CODING_NONE && (say->has_length || m->minor == 0))
        return -ERR_BAD_FRAMING;
    if (say->coding == H1_CODING_OTHER)
        return -ERR_CODING_UNSUPPORTED;
    if (say->coding == H1_CODING_CHUNKED)
        m->framing = FRAMING_CHUNKED;
    else if (say->has_length)
        m->framing = FRAMING_LENGTH;
    m->content_length = m->framing == FRAMING_LENGTH ? say->content_length : 0;
    return 0;
}

static int request_meaning(struct message *m, const struct h1_meaning *say)
{
    int rc;

    rc = request_framing(m, say);
    if (rc < 0)
        return rc;
    rc = read_host(m, say);
    if (rc < 0)
        return rc;
    if (say->bad_expect)
        return -ERR_BAD_EXPECT;
    m->expect_continue = say->expect_continue && m->minor > 0; /* RFC 9110 10.1.1 */
    read_persistence(m, say);
    return 0;
}

static int request_head(struct message *m, const char *p, size_t n, const struct head_limits *limits)
{
    struct h1_meaning say = { 0 };
    size_t at = 0, window;
    int rc;

    clear(m);
    if (n > 0 && p[0] == '\r') {
        if (n == 1)
            return 0;
        if (p[1] != '\n')
            return -ERR_BAD_REQUEST_LINE;
        at = 2;
    }
    /* The line is looked at no further than it may be long: a prefix of a head and the whole get the same answer. */
    window = (size_t)limits->line + 2;
    if (window > n - at)
        window = n - at;
    rc = request_line(m, p + at, window);
    if (rc == 0 && window == (size_t)limits->line + 2)
        return -ERR_URI_TOO_LONG;
    if (rc <= 0)
        return rc;
    at += (size_t)rc;
    rc = h1_fields_parse(m, p + at, n - at, limits->headers, &say);
    if (rc <= 0)
        return rc;
    at += (size_t)rc;
    rc = request_meaning(m, &say);
    return rc < 0 ? rc : (int)at;
}

int h1_parse_request(struct message *m, const char *bytes, size_t n, size_t *seen, const struct head_limits *limits)
{
    size_t most = h1_head_most(limits), before = *seen;
    int rc;

    *seen = n;
    if (!h1_worth_parsing(bytes, n, before, most, limits->line))
        return 0;
    rc = request_head(m, bytes, n < most ? n : most, limits);
    return rc == 0 && n >= most ? -ERR_HEADER_TOO_LARGE : rc;
}

/* "HTTP/1.1 200 reason CRLF"; the reason may lack, and so may the space before it, as some servers have it. */
static int status_line(struct message *m, const char *p, size_t n)
{
    size_t at = VERSION_LEN + 1, reason;
    unsigned status;
    int rc;

    rc = http_version(p, n, &m->minor);
    if (rc <= 0)
        return rc;
    for (size_t i = VERSION_LEN; i < at + 3; i++) {
        if (i == n)
            return 0;
        if (i == VERSION_LEN ? p[i] != ' ' : !h1_is(p[i], H1_DIGIT))
            return -ERR_INVALID;
    }
    status = (unsigned)(p[at] - '0') * 100 + (unsigned)(p[at + 1] - '0') * 10 + (unsigned)(p[at + 2] - '0');
    if (status < 100 || status > 599)
        return -ERR_INVALID;
    m->status = (uint16_t)status;
    at += 3;
    if (at < n && p[at] == ' ') {
        at++;
        reason = h1_scan_value(p + at, n - at);
    } else {
        reason = 0;
    }
    m->reason = slice_of(p + at, reason);
    at += reason;
    rc = line_end(p + at, n - at);
    return rc <= 0 ? rc : (int)(at + 2);
}

/* RFC 9112 6.3; a backend that contradicts itself is not believed. */
static int response_framing(struct message *m, const struct h1_meaning *say, enum method request_method)
{
    bool never = m->status < 200 || m->status == 204;

    if (say->bad_length || say->coding == H1_CODING_BAD || say->coding == H1_CODING_OTHER)
        return -ERR_BAD_RESPONSE_FRAMING;
    if (say->coding == H1_CODING_CHUNKED && (say->has_length || m->minor == 0 || never))
        return -ERR_BAD_RESPONSE_FRAMING;
    if (never && say->content_length > 0)
        return -ERR_BAD_RESPONSE_FRAMING;
    m->content_length = say->content_length;
    if (never || m->status == 304 || request_method == METHOD_HEAD)
        m->framing = FRAMING_NONE;
    else if (say->coding == H1_CODING_CHUNKED)
        m->framing = FRAMING_CHUNKED;
    else
        m->framing = say->has_length ? FRAMING_LENGTH : FRAMING_CLOSE;
    return 0;
}

static int response_head(struct message *m, const char *p, size_t n, enum method request_method, const struct head_limits *limits)
{
    struct h1_meaning say = { 0 };
    size_t at;
    int rc;

    clear(m);
    rc = status_line(m, p, n);
    if (rc <= 0)
        return rc == 0 ? 0 : -ERR_BAD_RESPONSE;
    at = (size_t)rc;
    rc = h1_fields_parse(m, p + at, n - at, limits->headers, &say);
    if (rc <= 0)
        return rc == -ERR_TOO_MANY_HEADERS ? -ERR_RESPONSE_TOO_LARGE : rc == 0 ? 0 : -ERR_BAD_RESPONSE;
    at += (size_t)rc;
    rc = response_framing(m, &say, request_method);
    if (rc < 0)
        return rc;
    read_persistence(m, &say);
    if (m->framing == FRAMING_CLOSE)
        m->keep_alive = false;
    return (int)at;
}

int h1_parse_response(struct message *m, const char *bytes, size_t n, size_t *seen, enum method request_method,
                      const struct head_limits *limits)
{
    size_t most = h1_head_most(limits), before = *seen;
    int rc;

    *seen = n;
    if (!h1_worth_parsing(bytes, n, before, most, most))
        return 0;
    rc = response_head(m, bytes, n < most ? n : most, request_method, limits);
    return rc == 0 && n >= most ? -ERR_RESPONSE_TOO_LARGE : rc;
}
