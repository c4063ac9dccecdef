/* Tests of http/h1_parse: what is accepted and as what, what is refused and why, whole, cut in two and byte by byte. */
#include <check.h>
#include <stdio.h>

#include "base/err.h"
#include "base/must.h"
#include "tests/lib/h1_feed.h"

Suite *h1_parse_suite(void);

#define HOST    "Host: a.example\r\n"
#define BODY(s) s, sizeof(s) - 1

/* A head, how long it is (0: all of the bytes), and what is to be in the message; NULL is not looked at. */
struct accepted {
    const char *bytes;
    size_t n;
    const char *path, *query, *authority;
    enum method method;
    enum framing framing;
    uint64_t content_length;
    const char *flags; /* k keep_alive, e expect, u upgrade, t te_trailers, a absolute, 0 minor 0 */
    size_t length;
};

static const struct accepted requests[] = {
    { BODY("GET / HTTP/1.1\r\n" HOST "\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "\r\nGET /next"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 37 - 2 },
    { BODY("GET /a%2fb?c=d?e HTTP/1.1\r\n" HOST "\r\n"), "/a%2fb", "c=d?e", "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("GET /? HTTP/1.1\r\n" HOST "\r\n"), "/", "", "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("GET //b.example/x HTTP/1.1\r\n" HOST "\r\n"), "//b.example/x", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k",
      0 },
    { BODY("GET /{}|^`\"<>\\ HTTP/1.1\r\n" HOST "\r\n"), "/{}|^`\"<>\\", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "*", NULL, "a.example", METHOD_OPTIONS, FRAMING_NONE, 0, "k", 0 },
    { BODY("OPTIONS http://b.example HTTP/1.1\r\n" HOST "\r\n"), "*", NULL, "b.example", METHOD_OPTIONS, FRAMING_NONE, 0, "ka",
      0 },
    { BODY("OPTIONS http://b.example? HTTP/1.1\r\n" HOST "\r\n"), "/", "", "b.example", METHOD_OPTIONS, FRAMING_NONE, 0, "ka",
      0 },
    { BODY("GET http://b.example HTTP/1.1\r\n" HOST "\r\n"), "/", NULL, "b.example", METHOD_GET, FRAMING_NONE, 0, "ka", 0 },
    { BODY("GET HTTPS://b.example:443/x?y HTTP/1.1\r\n" HOST "\r\n"), "/x", "y", "b.example:443", METHOD_GET, FRAMING_NONE, 0,
      "ka", 0 },
    { BODY("GET hTTp://[::1]:8080?y/z HTTP/1.1\r\n" HOST "\r\n"), "/", "y/z", "[::1]:8080", METHOD_GET, FRAMING_NONE, 0, "ka",
      0 },
    { BODY("BREW /pot HTTP/1.1\r\n" HOST "\r\n"), "/pot", NULL, "a.example", METHOD_OTHER, FRAMING_NONE, 0, "k", 0 },
    { BODY("!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" HOST "\r\n"), "/", NULL, "a.example", METHOD_OTHER, FRAMING_NONE, 0, "k", 0 },
    { BODY("GET / HTTP/1.7\r\n" HOST "\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("GET / HTTP/1.0\r\n\r\n"), "/", NULL, "", METHOD_GET, FRAMING_NONE, 0, "0", 0 },
    { BODY("GET / HTTP/1.0\r\nHost:\r\n\r\n"), "/", NULL, "", METHOD_GET, FRAMING_NONE, 0, "0", 0 },
    { BODY("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "/", NULL, "", METHOD_GET, FRAMING_NONE, 0, "0k", 0 },
    { BODY("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), "/", NULL, "", METHOD_GET, FRAMING_NONE, 0, "0", 0 },
    { BODY("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), "/", NULL, "", METHOD_POST, FRAMING_LENGTH, 3, "0", 38 },
    { BODY("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "", 0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "Connection: x ,\tCLOSE\r\n\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "",
      0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: close\r\n\r\n"), "/", NULL, "a.example", METHOD_GET,
      FRAMING_NONE, 0, "", 0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "Connection: closed, xclose\r\n\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0,
      "k", 0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "/", NULL, "a.example", METHOD_GET,
      FRAMING_NONE, 0, "ku", 0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\n\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0, "k",
      0 },
    { BODY("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "/", NULL, "", METHOD_GET, FRAMING_NONE, 0, "0", 0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "TE: deflate;q=0.5, trailers\r\n\r\n"), "/", NULL, "a.example", METHOD_GET, FRAMING_NONE, 0,
      "kt", 0 },
    { BODY("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), "/", NULL, "a.example", METHOD_POST, FRAMING_LENGTH, 0, "k",
      0 },
    { BODY("POST / HTTP/1.1\r\n" HOST "Content-Length:  \t007 \t \r\n\r\n"), "/", NULL, "a.example", METHOD_POST, FRAMING_LENGTH,
      7, "k", 0 },
    { BODY("POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n"), "/", NULL, "a.example", METHOD_POST,
      FRAMING_LENGTH, INT64_MAX, "k", 0 },
    { BODY("POST / HTTP/1.1\r\n" HOST "transfer-encoding: Chunked\r\n\r\n"), "/", NULL, "a.example", METHOD_POST, FRAMING_CHUNKED,
      0, "k", 0 },
    { BODY("POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"), "/", NULL, "a.example", METHOD_POST,
      FRAMING_LENGTH, 1, "ke", 0 },
    { BODY("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"), "/", NULL, "", METHOD_POST, FRAMING_LENGTH, 1,
      "0", 0 },
    { BODY("GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n"), "/", NULL, "[2001:db8::1]", METHOD_GET, FRAMING_NONE, 0, "k", 0 },
    { BODY("GET / HTTP/1.1\r\nHost: 192.0.2.1:65535\r\n\r\n"), "/", NULL, "192.0.2.1:65535", METHOD_GET, FRAMING_NONE, 0, "k",
      0 },
    { BODY("GET / HTTP/1.1\r\nHost: a_b.%7Eexample:\r\n\r\n"), "/", NULL, "a_b.%7Eexample:", METHOD_GET, FRAMING_NONE, 0, "k",
      0 },
    { BODY("GET / HTTP/1.1\r\n" HOST "X: \t obs-text \xff and\ttab \t\r\nY:\r\nZ: \r\n\r\n"), "/", NULL, "a.example", METHOD_GET,
      FRAMING_NONE, 0, "k", 0 },
};

static bool has(const char *flags, char c) { return strchr(flags, c) != NULL; }

static void check_request(const struct accepted *row, const struct parsed *p)
{
    const struct message *m = &p->m;

    ck_assert_msg(p->rc == (int)(row->length > 0 ? row->length : row->n), "%s: %d", row->bytes, p->rc);
    ck_assert_msg(slice_eq(m->path, slice_str(row->path)), "%s: path " SLICE_FMT, row->bytes, SLICE_ARG(m->path));
    ck_assert_msg((m->query.p == NULL) == (row->query == NULL), "%s", row->bytes);
    ck_assert_msg(slice_eq(m->query, slice_str(row->query)), "%s: query " SLICE_FMT, row->bytes, SLICE_ARG(m->query));
    ck_assert_msg(slice_eq(m->authority, slice_str(row->authority)), "%s: " SLICE_FMT, row->bytes, SLICE_ARG(m->authority));
    ck_assert_msg(m->method == row->method, "%s: method %d", row->bytes, m->method);
    ck_assert_msg(m->framing == row->framing, "%s: framing %d", row->bytes, m->framing);
    ck_assert_msg(m->content_length == row->content_length, "%s", row->bytes);
    ck_assert_msg(m->keep_alive == has(row->flags, 'k'), "%s: keep_alive %d", row->bytes, m->keep_alive);
    ck_assert_msg(m->expect_continue == has(row->flags, 'e'), "%s: expect %d", row->bytes, m->expect_continue);
    ck_assert_msg(m->upgrade == has(row->flags, 'u'), "%s: upgrade %d", row->bytes, m->upgrade);
    ck_assert_msg(m->te_trailers == has(row->flags, 't'), "%s: te %d", row->bytes, m->te_trailers);
    ck_assert_msg(m->absolute == has(row->flags, 'a'), "%s: absolute %d", row->bytes, m->absolute);
    ck_assert_msg(m->minor == !has(row->flags, '0'), "%s: minor %d", row->bytes, m->minor);
}

START_TEST(a_good_request_is_read_as_what_it_says)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    struct parsed p;

    feed_whole(&p, &f, requests[_i].bytes, requests[_i].n);
    check_request(&requests[_i], &p);
    parsed_free(&p);
}
END_TEST

/* Cut at each place, and byte by byte. */
static void check_splits(const struct feed *f, const char *bytes, size_t n)
{
    struct parsed whole, part;

    feed_whole(&whole, f, bytes, n);
    for (size_t cut = 0; cut <= n; cut++) {
        feed(&part, f, bytes, n, cut, n);
        ck_assert_msg(same_parsed(f, &whole, &part) || (whole.rc < 0 && part.rc == 0), "cut at %zu: %s: %d, not %d", cut, bytes,
                      part.rc, whole.rc);
        parsed_free(&part);
    }
    feed(&part, f, bytes, n, 0, 1);
    ck_assert_msg(same_parsed(f, &whole, &part) || (whole.rc < 0 && part.rc == 0), "%s: %d, not %d", bytes, part.rc, whole.rc);
    parsed_free(&part);
    parsed_free(&whole);
}

START_TEST(a_request_is_the_same_cut_at_any_place)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };

    check_splits(&f, requests[_i].bytes, requests[_i].n);
}
END_TEST

struct refused {
    const char *bytes;
    size_t n;
    int code;
};

#define REFUSED(code, bytes)                 \
    {                                        \
        bytes, sizeof(bytes) - 1, ERR_##code \
    }
#define GET(fields)  "GET / HTTP/1.1\r\n" HOST fields "\r\n"
#define POST(fields) "POST / HTTP/1.1\r\n" HOST fields "\r\n"

static const struct refused refused_requests[] = {
    REFUSED(BAD_REQUEST_LINE, "\n"),
    REFUSED(BAD_REQUEST_LINE, "\r\n\r\nGET / HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "\rGET / HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, " GET / HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET\t/ HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET  / HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET /  HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / HTTP/1.1 \r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / HTTP/1.1\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / HTTP/1.1\rX"),
    REFUSED(BAD_REQUEST_LINE, "GET /\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET /\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / \r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / http/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / HTTP/1.\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / HTTP/1.10\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / HTTP/11\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET / HTTP/1.1,\r\n"),
    REFUSED(BAD_REQUEST_LINE, "G(T / HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "\x16\x03\x01\x02"),
    REFUSED(BAD_REQUEST_LINE, "GET /\0 HTTP/1.1\r\n"),
    REFUSED(BAD_REQUEST_LINE, "GET /\x7f HTTP/1.1\r\n"),
    REFUSED(VERSION_UNSUPPORTED, "GET / HTTP/2.0\r\n"),
    REFUSED(VERSION_UNSUPPORTED, "GET / HTTP/0.9\r\n"),
    REFUSED(VERSION_UNSUPPORTED, "GET / HTTP/3.0\r\n"),
    REFUSED(VERSION_UNSUPPORTED, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    REFUSED(METHOD_UNSUPPORTED, "CONNECT a.example:443 HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET * HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "OPTIONS ** HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "OPTIONS *?x HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET x HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET ?x HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET a.example:80 HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET /#f HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET /?#f HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET /\xc3\xa4 HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET /a\tb HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http:// HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http:///x HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http://?x HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http:/a HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http://user@a.example/ HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http://u:p@a.example/ HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http://a.example:x/ HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET http://a\\b/ HTTP/1.1\r\n"),
    REFUSED(BAD_TARGET, "GET ftp://a.example/ HTTP/1.1\r\n"),
    REFUSED(BAD_HEADER, GET("X : y\r\n")),
    REFUSED(BAD_HEADER, GET("X\t: y\r\n")),
    REFUSED(BAD_HEADER, GET("X y: z\r\n")),
    REFUSED(BAD_HEADER, GET(" X: y\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\r\n z\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\r\n\tz\r\n")),
    REFUSED(BAD_HEADER, "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n"),
    REFUSED(BAD_HEADER, GET(": y\r\n")),
    REFUSED(BAD_HEADER, GET("X\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\n")),
    REFUSED(BAD_HEADER, GET("X: y\rz\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\r\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\0z\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\x01z\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\x0bz\r\n")),
    REFUSED(BAD_HEADER, GET("X: y\x7fz\r\n")),
    REFUSED(BAD_HEADER, GET("X\0: y\r\n")),
    REFUSED(BAD_HEADER, GET("X\xff: y\r\n")),
    REFUSED(BAD_HEADER, GET("X(: y\r\n")),
    REFUSED(BAD_HEADER, GET("\x0bTransfer-Encoding: chunked\r\n")),
    REFUSED(BAD_HEADER, "GET / HTTP/1.1\r\n" HOST "\rX"),
    REFUSED(BAD_HEADER, "GET / HTTP/1.1\r\n" HOST "\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    REFUSED(BAD_HOST, "GET http://b.example/ HTTP/1.1\r\n\r\n"),
    REFUSED(BAD_HOST, GET("Host: a.example\r\n")),
    REFUSED(BAD_HOST, GET("hOST: b.example\r\n")),
    REFUSED(BAD_HOST, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a%4\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: []\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"),
    REFUSED(BAD_HOST, "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5\r\nTransfer-Encoding: gzip\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5\r\nContent-Length: 5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5\r\nContent-Length: 6\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5, 5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5,5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: +5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: -5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 0x5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5 5\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 5.0\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: \r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length:\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 9223372036854775808\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 18446744073709551617\r\n")),
    REFUSED(BAD_FRAMING, POST("Content-Length: 99999999999999999999999999\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: chunked, chunked\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: chunked, gzip\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: chunked,\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: ,chunked\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: chunked;a=b\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: \"chunked\"\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: gzip;a=\"b\"\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: x chunked\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding:\r\n")),
    REFUSED(BAD_FRAMING, POST("Transfer-Encoding: \xa0"
                              "chunked\r\n")),
    REFUSED(BAD_FRAMING, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    REFUSED(BAD_FRAMING, "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"),
    REFUSED(CODING_UNSUPPORTED, POST("Transfer-Encoding: gzip, chunked\r\n")),
    REFUSED(CODING_UNSUPPORTED, POST("Transfer-Encoding: gzip\r\n")),
    REFUSED(CODING_UNSUPPORTED, POST("Transfer-Encoding: identity\r\n")),
    REFUSED(CODING_UNSUPPORTED, POST("Transfer-Encoding: xchunked\r\n")),
    REFUSED(CODING_UNSUPPORTED, POST("Transfer-Encoding: chunke\r\n")),
    REFUSED(CODING_UNSUPPORTED, POST("Transfer-Encoding: a;b=c, CHUNKED\r\n")),
    REFUSED(BAD_EXPECT, POST("Expect: 200-ok\r\n")),
    REFUSED(BAD_EXPECT, POST("Expect: 100-continue, x\r\n")),
    REFUSED(BAD_EXPECT, POST("Expect: 100-continue\r\nExpect: x\r\n")),
};

START_TEST(a_bad_request_is_refused_with_its_reason)
{
    const struct refused *row = &refused_requests[_i];
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    struct parsed p;

    feed_whole(&p, &f, row->bytes, row->n);
    ck_assert_msg(p.rc == -row->code, "%s: %d (%s), not %s", row->bytes, p.rc, err_word(p.rc < 0 ? p.rc : 0),
                  err_word(row->code));
    parsed_free(&p);
}
END_TEST

START_TEST(a_bad_request_is_refused_cut_at_any_place)
{
    const struct refused *row = &refused_requests[_i];
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };

    check_splits(&f, row->bytes, row->n);
}
END_TEST

START_TEST(an_incomplete_request_asks_for_more)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    struct parsed p;

    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        size_t most = requests[i].length > 0 ? requests[i].length : requests[i].n;

        for (size_t n = 0; n < most; n++) {
            feed_whole(&p, &f, requests[i].bytes, n);
            ck_assert_msg(p.rc == 0, "%zu bytes of %s: %d", n, requests[i].bytes, p.rc);
            parsed_free(&p);
        }
    }
}
END_TEST

START_TEST(fields_keep_their_order_and_their_bytes)
{
    static const char text[] = GET("X: \t obs-text \xff and\ttab \t\r\nY:\r\nx:  \r\nX_Y.Z: a:b\r\n");
    static const struct slice expected[][2] = {
        { SLICE("Host"), SLICE("a.example") },
        { SLICE("X"), SLICE("obs-text \xff and\ttab") },
        { SLICE("Y"), SLICE("") },
        { SLICE("x"), SLICE("") },
        { SLICE("X_Y.Z"), SLICE("a:b") },
    };
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    struct parsed p;

    feed_whole(&p, &f, text, sizeof(text) - 1);
    ck_assert_int_eq(p.rc, (int)sizeof(text) - 1);
    ck_assert_uint_eq(p.m.n_headers, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        ck_assert(slice_eq(header_name_of(&p.headers[i]), expected[i][0]));
        ck_assert(slice_eq(header_value_of(&p.headers[i]), expected[i][1]));
    }
    parsed_free(&p);
}
END_TEST

/* Each byte value, at each place of a 40-byte value: what is allowed does not depend on where vectors begin and end. */
START_TEST(a_value_may_hold_exactly_text_and_tabs)
{
    char text[128];
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    int start = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\nX: ");
    int n = start +
            snprintf(text + start, sizeof(text) - (size_t)start, "%.*s\r\n\r\n", 40, "0123456789012345678901234567890123456789");

    for (int at = start; at < start + 40; at++) {
        char keep = text[at];

        for (int c = 0; c < 256; c++) {
            bool good = c == '\t' || (c >= 0x20 && c != 0x7f);
            struct parsed p;

            text[at] = (char)c;
            feed_whole(&p, &f, text, (size_t)n);
            ck_assert_msg(p.rc == (good ? n : -ERR_BAD_HEADER), "byte %d at %d: %d", c, at, p.rc);
            parsed_free(&p);
        }
        text[at] = keep;
    }
}
END_TEST

START_TEST(a_name_may_hold_exactly_token_characters)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    char text[128];
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\nabcdefghijklmnopqrstuvwxyz0123456789ABCD: x\r\n\r\n");

    for (int at = 16; at < 16 + 40; at++) {
        char keep = text[at];

        for (int c = 0; c < 256; c++) {
            bool letter = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
            bool good = letter || (c != 0 && strchr(marks, c) != NULL) || (c == ':' && at > 16);
            struct parsed p;

            text[at] = (char)c;
            feed_whole(&p, &f, text, (size_t)n);
            if (c == '\r' && at == 16)
                ck_assert_int_eq(p.rc, -ERR_BAD_HEADER);
            else
                ck_assert_msg(p.rc == (good ? n : -ERR_BAD_HEADER), "byte %d at %d: %d", c, at, p.rc);
            parsed_free(&p);
        }
        text[at] = keep;
    }
}
END_TEST

/* A name that we know, one byte changed: CR is '-' and controls are digits to whoever folds case with bit 5 alone. */
START_TEST(a_known_name_may_hold_exactly_token_characters)
{
    static const char *const names[] = { "Host", "Keep-Alive", "Content-Length", "Content-Type", "X-Forwarded-For", "Transfer-Encoding" };
    static const char marks[] = "!#$%&'*+-.^_`|~";
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    char text[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t at = 1; at < strlen(names[i]); at++)
            for (int c = 0; c < 256; c++) {
                bool letter = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
                bool good = letter || (c != 0 && strchr(marks, c) != NULL) || c == ':';
                int n = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n%s: 1\r\nAnother: field, so that there are bytes\r\n\r\n", names[i]);
                struct parsed p;

                if (strncasecmp(text + 16 + at, (char[]){ (char)c, '\0' }, 1) == 0)
                    continue; /* the name itself */
                text[16 + at] = (char)c;
                feed_whole(&p, &f, text, (size_t)n);
                ck_assert_msg((p.rc > 0) == good, "%s: byte %d at %zu: %d", names[i], c, at, p.rc);
                parsed_free(&p);
            }
}
END_TEST

START_TEST(a_name_of_one_byte_again_and_again_is_one_if_the_byte_may_stand_in_it)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    char text[128];

    for (size_t len = 1; len < 20; len++)
        for (int c = 0; c < 256; c++) {
            bool letter = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
            bool good = letter || (c != 0 && strchr(marks, c) != NULL);
            int n = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n%*s: 1\r\nAnother: field, so that there are bytes\r\n\r\n", (int)len, "");
            struct parsed p;

            memset(text + 16, c, len);
            feed_whole(&p, &f, text, (size_t)n);
            ck_assert_msg((p.rc > 0) == good, "%zu of byte %d: %d", len, c, p.rc);
            parsed_free(&p);
        }
}
END_TEST

START_TEST(a_target_may_hold_exactly_visible_ascii)
{
    char text[128];
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    int n = snprintf(text, sizeof(text), "GET /abcdefghijklmnopqrstuvwxyz0123456789ABCD HTTP/1.0\r\n\r\n");

    for (int at = 5; at < 5 + 40; at++) {
        char keep = text[at];

        for (int c = 0; c < 256; c++) {
            bool good = c > 0x20 && c < 0x7f && c != '#';
            struct parsed p;

            text[at] = (char)c;
            feed_whole(&p, &f, text, (size_t)n);
            ck_assert_msg(good ? p.rc == n : p.rc < 0, "byte %d at %d: %d", c, at, p.rc);
            if (good)
                ck_assert_msg(c == '?' ? p.m.path.n == (size_t)at - 4 : p.m.path.n == 41, "byte %d at %d", c, at);
            parsed_free(&p);
        }
        text[at] = keep;
    }
}
END_TEST

START_TEST(limits_are_kept_to_the_byte)
{
    static const char text[] = "GET /0123456789 HTTP/1.1\r\n" HOST "A: b\r\n\r\n";
    size_t n = sizeof(text) - 1;
    static const struct {
        struct head_limits limits;
        int rc;
    } row[] = {
        { { sizeof(text) - 1, 24, 2 }, sizeof(text) - 1 },
        { { sizeof(text) - 2, 24, 2 }, -ERR_HEADER_TOO_LARGE },
        { { sizeof(text) - 1, 23, 2 }, -ERR_URI_TOO_LONG },
        { { sizeof(text) - 1, 24, 1 }, -ERR_TOO_MANY_HEADERS },
        { { 10, 24, 2 }, -ERR_HEADER_TOO_LARGE },
        { { 10, 5, 2 }, -ERR_URI_TOO_LONG },
        { { 0, 0, 0 }, -ERR_HEADER_TOO_LARGE },
        { { UINT32_MAX, UINT32_MAX, UINT16_MAX }, sizeof(text) - 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct feed f = { .kind = FEED_REQUEST, .limits = row[i].limits };
        struct parsed p;

        feed_whole(&p, &f, text, n);
        ck_assert_msg(p.rc == row[i].rc, "row %zu: %d, not %d", i, p.rc, row[i].rc);
        parsed_free(&p);
        feed(&p, &f, text, n, 0, 1);
        ck_assert_msg(p.rc == row[i].rc, "row %zu byte by byte: %d, not %d", i, p.rc, row[i].rc);
        parsed_free(&p);
    }
}
END_TEST

START_TEST(a_line_that_is_too_long_is_refused_before_it_ends)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = { 32768, 100, 10 } };
    struct parsed p;
    char text[200];

    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    feed(&p, &f, text, 101, 0, 1);
    ck_assert_int_eq(p.rc, 0);
    parsed_free(&p);
    feed(&p, &f, text, 102, 0, 1);
    ck_assert_int_eq(p.rc, -ERR_URI_TOO_LONG);
    parsed_free(&p);
}
END_TEST

/* 64 KiB a byte at a time: quadratic cost would be 2 * 10^9 bytes looked at, many seconds. */
START_TEST(a_head_that_trickles_in_costs_no_more_than_linear_time)
{
    size_t n = 60000, seen = 0;
    char *text = malloc(n);
    struct header headers[8];
    struct message m = { .headers = headers, .cap_headers = 8 };
    struct head_limits limits = { 65535, 8192, 8 };
    int rc = 0;

    ck_assert_ptr_nonnull(text);
    memset(text, 'v', n);
    memcpy(text, "GET / HTTP/1.0\r\nX: ", 19);
    memcpy(text + n - 4, "\r\n\r\n", 4);
    for (int round = 0; round < 40; round++) {
        seen = 0;
        for (size_t k = 1; k <= n; k++)
            rc = h1_parse_request(&m, text, k, &seen, &limits);
    }
    ck_assert_int_eq(rc, (int)n);
    free(text);
}
END_TEST

struct answered {
    const char *bytes;
    size_t n;
    enum method request;
    unsigned status;
    const char *reason;
    enum framing framing;
    uint64_t content_length;
    const char *flags; /* k keep_alive, u upgrade, 0 minor 0 */
};

static const struct answered responses[] = {
    { BODY("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_LENGTH, 5, "k" },
    { BODY("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), METHOD_HEAD, 200, "OK", FRAMING_NONE, 5, "k" },
    { BODY("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_CHUNKED, 0, "k" },
    { BODY("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), METHOD_HEAD, 200, "OK", FRAMING_NONE, 0, "k" },
    { BODY("HTTP/1.1 200 OK\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_CLOSE, 0, "" },
    { BODY("HTTP/1.1 200 OK\r\n\r\n"), METHOD_HEAD, 200, "OK", FRAMING_NONE, 0, "k" },
    { BODY("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"), METHOD_GET, 304, "Not Modified", FRAMING_NONE, 7, "k" },
    { BODY("HTTP/1.1 204 No Content\r\n\r\n"), METHOD_GET, 204, "No Content", FRAMING_NONE, 0, "k" },
    { BODY("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), METHOD_GET, 204, "No Content", FRAMING_NONE, 0, "k" },
    { BODY("HTTP/1.1 100 Continue\r\n\r\n"), METHOD_POST, 100, "Continue", FRAMING_NONE, 0, "k" },
    { BODY("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), METHOD_GET, 103, "Early Hints", FRAMING_NONE, 0, "k" },
    { BODY("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), METHOD_GET, 101,
      "Switching Protocols", FRAMING_NONE, 0, "ku" },
    { BODY("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_LENGTH, 5, "0" },
    { BODY("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_LENGTH, 5,
      "0k" },
    { BODY("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_CLOSE, 0, "0" },
    { BODY("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_LENGTH, 1, "" },
    { BODY("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), METHOD_GET, 200, "", FRAMING_LENGTH, 0, "k" },
    { BODY("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), METHOD_GET, 200, "", FRAMING_LENGTH, 0, "k" },
    { BODY("HTTP/1.1 200  two \xe4\tspaces \r\nContent-Length: 0\r\n\r\n"), METHOD_GET, 200, " two \xe4\tspaces ", FRAMING_LENGTH,
      0, "k" },
    { BODY("HTTP/1.2 599 x\r\nContent-Length: 0\r\n\r\n"), METHOD_GET, 599, "x", FRAMING_LENGTH, 0, "k" },
    { BODY("HTTP/1.1 200 OK\r\nHost: a, b\r\nExpect: x\r\nContent-Length: 0\r\n\r\n"), METHOD_GET, 200, "OK", FRAMING_LENGTH, 0,
      "k" },
};

START_TEST(a_good_response_is_read_as_what_it_says)
{
    const struct answered *row = &responses[_i];
    struct feed f = { .kind = FEED_RESPONSE, .request_method = row->request, .limits = FEED_LIMITS };
    struct parsed p;

    feed_whole(&p, &f, row->bytes, row->n);
    ck_assert_msg(p.rc == (int)row->n, "%s: %d", row->bytes, p.rc);
    ck_assert_uint_eq(p.m.status, row->status);
    ck_assert(slice_eq(p.m.reason, slice_str(row->reason)));
    ck_assert_msg(p.m.framing == row->framing, "%s: framing %d", row->bytes, p.m.framing);
    ck_assert_msg(p.m.content_length == row->content_length, "%s", row->bytes);
    ck_assert_msg(p.m.keep_alive == has(row->flags, 'k'), "%s: keep_alive %d", row->bytes, p.m.keep_alive);
    ck_assert_msg(p.m.upgrade == has(row->flags, 'u'), "%s: upgrade %d", row->bytes, p.m.upgrade);
    ck_assert_msg(p.m.minor == !has(row->flags, '0'), "%s: minor %d", row->bytes, p.m.minor);
    parsed_free(&p);
    check_splits(&f, row->bytes, row->n);
}
END_TEST

#define OK(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n"

static const struct refused refused_responses[] = {
    REFUSED(BAD_RESPONSE, "\r\nHTTP/1.1 200 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/2.0 200 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/0.9 200 OK\r\n"),
    REFUSED(BAD_RESPONSE, "ICY 200 OK\r\n"),
    REFUSED(BAD_RESPONSE, "http/1.1 200 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1  200 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1\t200 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 20 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 2000 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 099 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 600 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 +20 OK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 200\tOK\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 200 OK\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 200 O\0K\r\n"),
    REFUSED(BAD_RESPONSE, "HTTP/1.1 200 O\rK\r\n"),
    REFUSED(BAD_RESPONSE, "<html>"),
    REFUSED(BAD_RESPONSE, OK("X : y\r\n")),
    REFUSED(BAD_RESPONSE, OK("X: y\r\n z\r\n")),
    REFUSED(BAD_RESPONSE, OK("X: y\n")),
    REFUSED(BAD_RESPONSE, OK("X: \x01\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, OK("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, OK("Content-Length: 1\r\nContent-Length: 1\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, OK("Content-Length: 1, 1\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, OK("Content-Length: x\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, OK("Transfer-Encoding: gzip\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, OK("Transfer-Encoding: gzip, chunked\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, OK("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
    REFUSED(BAD_RESPONSE_FRAMING, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    REFUSED(BAD_RESPONSE_FRAMING, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
    REFUSED(BAD_RESPONSE_FRAMING, "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n"),
    REFUSED(BAD_RESPONSE_FRAMING, "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n"),
    REFUSED(BAD_RESPONSE_FRAMING, "HTTP/1.1 101 Switching\r\nTransfer-Encoding: chunked\r\n\r\n"),
};

START_TEST(a_bad_response_is_refused_with_its_reason)
{
    const struct refused *row = &refused_responses[_i];
    struct feed f = { .kind = FEED_RESPONSE, .request_method = METHOD_GET, .limits = FEED_LIMITS };
    struct parsed p;

    feed_whole(&p, &f, row->bytes, row->n);
    ck_assert_msg(p.rc == -row->code, "%s: %d, not %s", row->bytes, p.rc, err_word(row->code));
    parsed_free(&p);
    check_splits(&f, row->bytes, row->n);
}
END_TEST

START_TEST(a_response_head_beyond_the_limits_is_refused)
{
    static const char text[] = OK("A: b\r\nC: d\r\nContent-Length: 0\r\n");
    struct feed f = { .kind = FEED_RESPONSE, .request_method = METHOD_GET, .limits = { 32768, 1, 2 } };
    struct parsed p;

    feed_whole(&p, &f, text, sizeof(text) - 1);
    ck_assert_int_eq(p.rc, -ERR_RESPONSE_TOO_LARGE);
    parsed_free(&p);
    f.limits = (struct head_limits){ sizeof(text) - 2, 1, 3 };
    feed(&p, &f, text, sizeof(text) - 1, 0, 1);
    ck_assert_int_eq(p.rc, -ERR_RESPONSE_TOO_LARGE);
    parsed_free(&p);
    f.limits.head++;
    feed_whole(&p, &f, text, sizeof(text) - 1);
    ck_assert_int_eq(p.rc, (int)sizeof(text) - 1);
    parsed_free(&p);
}
END_TEST

Suite *h1_parse_suite(void)
{
    Suite *s = suite_create("h1_parse");
    TCase *tc = tcase_create("requests");

    tcase_add_loop_test(tc, a_good_request_is_read_as_what_it_says, 0, (int)ARRAY_LEN(requests));
    tcase_add_loop_test(tc, a_request_is_the_same_cut_at_any_place, 0, (int)ARRAY_LEN(requests));
    tcase_add_loop_test(tc, a_bad_request_is_refused_with_its_reason, 0, (int)ARRAY_LEN(refused_requests));
    tcase_add_loop_test(tc, a_bad_request_is_refused_cut_at_any_place, 0, (int)ARRAY_LEN(refused_requests));
    tcase_add_test(tc, an_incomplete_request_asks_for_more);
    tcase_add_test(tc, fields_keep_their_order_and_their_bytes);
    tcase_add_test(tc, a_value_may_hold_exactly_text_and_tabs);
    tcase_add_test(tc, a_name_may_hold_exactly_token_characters);
    tcase_add_test(tc, a_known_name_may_hold_exactly_token_characters);
    tcase_add_test(tc, a_name_of_one_byte_again_and_again_is_one_if_the_byte_may_stand_in_it);
    tcase_add_test(tc, a_target_may_hold_exactly_visible_ascii);
    tcase_add_test(tc, limits_are_kept_to_the_byte);
    tcase_add_test(tc, a_line_that_is_too_long_is_refused_before_it_ends);
    tcase_add_test(tc, a_head_that_trickles_in_costs_no_more_than_linear_time);
    suite_add_tcase(s, tc);
    tc = tcase_create("responses");
    tcase_add_loop_test(tc, a_good_response_is_read_as_what_it_says, 0, (int)ARRAY_LEN(responses));
    tcase_add_loop_test(tc, a_bad_response_is_refused_with_its_reason, 0, (int)ARRAY_LEN(refused_responses));
    tcase_add_test(tc, a_response_head_beyond_the_limits_is_refused);
    suite_add_tcase(s, tc);
    return s;
}
