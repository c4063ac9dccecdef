/* Tests of proxy/answer and proxy/exchange: what a client is told when the proxy itself answers; through a real worker. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/must.h"
#include "net/splice.h"
#include "net/sys.h"
#include "proxy/exchange.h"
#include "tests/lib/proxy.h"

Suite *answer_suite(void);

static struct proxy proxy;

static void teardown(void) { proxy_stop(&proxy); }
static void start(const char *listener, const char *text) { proxy_start(&proxy, listener, text); }
static void start_pool(void) { start("pool = \"app\"; proxy_status = true;", ""); }

#define HOST  "Host: example.com:8080\r\n"
#define CLOSE HOST "Connection: close\r\n\r\n"

static void assert_begins(const char *text, const char *with)
{
    ck_assert_msg(strncmp(text, with, strlen(with)) == 0, "\"%s\" does not begin with \"%s\"", text, with);
}

static void assert_has(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) != NULL, "\"%s\" is not in \"%s\"", what, text);
}
static void assert_lacks(const char *text, const char *what)
{
    ck_assert_msg(strstr(text, what) == NULL, "\"%s\" is in \"%s\"", what, text);
}

/* A 101 to a request whose body was still on its way up left that fiber with a dead frame. */
START_TEST(a_101_nobody_asked_for_ends_the_upload_before_the_answer)
{
    int client, backend;

    start_pool();
    client = proxy_connect(&proxy);
    say(client, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nbegin");
    backend = proxy_backend(&proxy);
    (void)hear(backend, "begin");
    say(backend, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_begins(hear(client, "\r\n"), "HTTP/1.1 502 ");
    say(client, "more");
    (void)hear(client, NULL);
    (void)close(client);
    (void)close(backend);
    assert_begins(proxy_ask(&proxy, "BAD\r\n\r\n"), "HTTP/1.1 400 "); /* it is still there */
}
END_TEST

static const char *const upgrades[][2] = { { "Upgrade: x", "Upgrade: y" },
                                           { "Upgrade: x", "Upgrade: x\r\nUpgrade: h2c" },
                                           { "Upgrade: x", "A: b" },
                                           { "Upgrade: x\r\nUpgrade: H2C", "Upgrade: H2C" },
                                           { "Upgrade: HTTP/2.0", "Upgrade: HTTP/2.0" } };

START_TEST(a_101_to_another_protocol_opens_no_tunnel)
{
    char text[200];
    int client, backend;

    start_pool();
    client = proxy_connect(&proxy);
    (void)snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "Connection: upgrade\r\n%s\r\n\r\n", upgrades[_i][0]);
    say(client, text);
    backend = proxy_backend(&proxy);
    (void)hear(backend, "\r\n\r\n");
    (void)snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n%s\r\n\r\n", upgrades[_i][1]);
    say(backend, text);
    assert_has(hear(client, "asked for\n"), "details=\"upgrade_failed\"");
    (void)close(client);
    (void)close(backend);
}
END_TEST

/* ---- errors ---- */

struct failure {
    const char *request, *status, *word;
};

/* Found by the proxy in what the client sends; the connection ends, for nobody knows where the next request begins. */
static const struct failure bad_requests[] = {
    { "GET\r\n\r\n", "400", "bad_request_line" },
    { "GET a b HTTP/1.1\r\nHost: h\r\n\r\n", "400", "bad_request_line" },
    { "GET / HTTP/1.1\r\n\r\n", "400", "bad_host" },
    { "GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", "400", "bad_header" },
    { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400", "bad_framing" },
    { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "501", "coding_unsupported" },
    { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "400", "bad_chunk" },
    { "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "501", "method_unsupported" },
    { "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505", "version_unsupported" },
    { "POST / HTTP/1.1\r\nHost: h\r\nExpect: wonders\r\nContent-Length: 0\r\n\r\n", "417", "bad_expect" },
    { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n", "413", "body_too_large" },
};

static void assert_failure(const char *answer, const char *status, const char *word)
{
    char line[64], field[64];

    (void)snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    (void)snprintf(field, sizeof field, "details=\"%s\"", word);
    assert_begins(answer, line);
    assert_has(answer, field);
}

START_TEST(a_bad_request_is_answered_by_its_reason_and_ends_the_connection)
{
    const struct failure *f = &bad_requests[_i];

    start("pool = \"app\"; proxy_status = true;", "limits = { request_body = \"1K\"; };");
    assert_failure(proxy_ask(&proxy, f->request), f->status, f->word);
}
END_TEST

static const char *long_request(size_t target, size_t field)
{
    static char text[70000];

    (void)snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\nHost: h\r\nX: %0*d\r\n\r\n", (int)target, 0, (int)field, 0);
    return text;
}

START_TEST(a_request_line_that_is_too_long_is_a_414)
{
    start_pool();
    assert_failure(proxy_ask(&proxy, long_request(9000, 1)), "414", "uri_too_long");
}
END_TEST

START_TEST(a_head_that_is_too_large_is_a_431)
{
    start_pool();
    assert_failure(proxy_ask(&proxy, long_request(1, 33000)), "431", "header_too_large");
}
END_TEST

START_TEST(a_request_that_no_route_takes_is_a_404_and_the_connection_goes_on)
{
    int client;

    start("proxy_status = true;", "routes = ( { path = \"/app\"; pool = \"app\"; } );");
    client = proxy_connect(&proxy);
    for (int i = 0; i < 2; i++) {
        say(client, "GET / HTTP/1.1\r\n" HOST "\r\n");
        assert_failure(hear(client, "the listener has no pool\n"), "404", "no_route");
    }
    (void)close(client);
}
END_TEST

START_TEST(a_backend_that_refuses_is_a_503_with_a_time_to_come_back)
{
    const char *answer;

    start_pool();
    (void)close(proxy.backend_fd);
    proxy.backend_fd = -1;
    answer = proxy_ask(&proxy, "GET / HTTP/1.1\r\n" CLOSE);
    assert_failure(answer, "503", "connect_refused");
    assert_has(answer, "Retry-After: 1\r\n");
    assert_has(answer, "error=connection_refused");
}
END_TEST

/* A request without a body leaves nothing behind that could be taken for the next one. */
START_TEST(a_failed_backend_does_not_end_the_clients_connection)
{
    int client, backend;

    start_pool();
    client = proxy_connect(&proxy);
    for (int i = 0; i < 2; i++) {
        const char *answer;

        say(client, "POST / HTTP/1.1\r\n" HOST "\r\n");
        backend = proxy_backend(&proxy);
        (void)hear(backend, "\r\n\r\n");
        (void)close(backend);
        answer = hear(client, "before it answered\n");
        assert_failure(answer, "502", "backend_closed");
        assert_lacks(answer, "Connection: close");
    }
    (void)close(client);
}
END_TEST

static const char *ask_with_backend(const char *says)
{
    int client = proxy_connect(&proxy), backend;
    const char *answer;

    say(client, "POST / HTTP/1.1\r\n" CLOSE); /* is not sent again */
    backend = proxy_backend(&proxy);
    (void)hear(backend, "\r\n\r\n");
    if (says != NULL)
        say(backend, says);
    (void)close(backend);
    answer = hear(client, NULL);
    (void)close(client);
    return answer;
}

static void backend_gives(const char *answer)
{
    int backend = proxy_backend(&proxy);

    (void)hear(backend, "\r\n\r\n");
    say(backend, answer);
    (void)close(backend);
}

START_TEST(a_get_whose_answer_ends_inside_the_head_is_sent_again)
{
    int client, backend;

    start_pool();
    client = proxy_connect(&proxy);
    say(client, "GET / HTTP/1.1\r\n" HOST "\r\n");
    backend = proxy_backend(&proxy);
    (void)hear(backend, "\r\n\r\n");
    say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    (void)hear(client, "ok");
    say(client, "GET / HTTP/1.1\r\n" CLOSE); /* over the kept connection, or there would be nobody else to send it to */
    (void)hear(backend, "\r\n\r\n");
    say(backend, "HTTP/1.1 200 OK\r\nContent-");
    (void)close(backend);
    backend_gives("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
    assert_has(hear(client, NULL), "\r\n\r\nagain");
    (void)close(client);
}
END_TEST

START_TEST(a_get_is_not_sent_again_once_its_client_has_an_interim_head)
{
    const char *answer;
    int client;

    start_pool();
    client = proxy_connect(&proxy);
    say(client, "GET / HTTP/1.1\r\n" CLOSE);
    backend_gives("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-");
    answer = hear(client, NULL);
    assert_begins(answer, "HTTP/1.1 103 ");
    assert_has(answer, "details=\"response_cut\"");
    (void)close(client);
}
END_TEST

START_TEST(an_answer_before_the_request_has_ended_says_that_the_connection_closes)
{
    int client, backend;

    start_pool();
    client = proxy_connect(&proxy);
    say(client, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\na");
    backend = proxy_backend(&proxy);
    (void)hear(backend, "a");
    say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_has(hear(client, "ok"), "Connection: close\r\n");
    say(client, "bcdeGET /2 HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_str_eq(hear(client, NULL), "");
    (void)close(client);
    (void)close(backend);
}
END_TEST

static _Atomic size_t spliced;
static const struct sys_ops *real_sys;

static ssize_t counted_splice(int from, int to, size_t n, unsigned flags)
{
    ssize_t moved = real_sys->splice(from, to, n, flags);

    if (moved > 0)
        atomic_fetch_add(&spliced, (size_t)moved);
    return moved;
}

START_TEST(a_large_upload_is_spliced_although_bodies_are_limited)
{
    enum { SIZE = 300000 };
    static char bytes[SIZE], got[SIZE + 500];
    struct sys_ops counting = *sys;
    int client, backend;
    size_t n = 0;

    real_sys = sys;
    counting.splice = counted_splice;
    sys = &counting;
    start("pool = \"app\";", "limits = { request_body = \"300000\"; };");
    client = proxy_connect(&proxy);
    say(client, "POST / HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n\r\n");
    backend = proxy_backend(&proxy);
    (void)hear(backend, "\r\n\r\n");
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i % 251);
    for (size_t at = 0; at < SIZE; at += 50000) { /* what the sockets' buffers hold */
        ck_assert_int_eq(send(client, bytes + at, 50000, MSG_NOSIGNAL), 50000);
        while (n < at + 50000) {
            ssize_t k = recv(backend, got + n, at + 50000 - n, 0);
            ck_assert_int_gt(k, 0);
            n += (size_t)k;
        }
    }
    ck_assert_mem_eq(got, bytes, SIZE);
    say(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    (void)hear(client, "ok");
    (void)close(client);
    (void)close(backend);
    proxy_stop(&proxy);
    sys = real_sys;
    ck_assert_uint_gt(atomic_load(&spliced), SIZE / 2);
}
END_TEST

static const struct failure bad_answers[] = {
    { NULL, "502", "backend_closed" },
    { "HTTP/1.1 2", "502", "response_cut" },
    { "nonsense\r\n\r\n", "502", "bad_response" },
    { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "502", "bad_response_framing" },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "502", "bad_response_chunk" },
    { "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "502", "upgrade_failed" },
};

START_TEST(a_bad_answer_is_told_by_its_reason)
{
    const struct failure *f = &bad_answers[_i];

    start_pool();
    assert_failure(ask_with_backend(f->request), f->status, f->word);
}
END_TEST

START_TEST(an_answer_that_is_cut_looks_cut)
{
    start_pool();
    assert_has(ask_with_backend("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "hello");
    assert_lacks(ask_with_backend("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "0\r\n\r\n");
}
END_TEST

START_TEST(a_backend_that_does_not_answer_in_time_is_a_504)
{
    int client, backend;

    start("pool = \"app\"; proxy_status = true;", "timeouts = { first_byte = \"50ms\"; };");
    client = proxy_connect(&proxy);
    say(client, "GET / HTTP/1.1\r\n" CLOSE);
    backend = proxy_backend(&proxy);
    assert_failure(hear(client, NULL), "504", "first_byte_timeout");
    (void)close(client);
    (void)close(backend);
}
END_TEST

START_TEST(a_head_that_trickles_too_long_is_a_408)
{
    start("pool = \"app\"; proxy_status = true;", "timeouts = { request_header = \"50ms\"; };");
    assert_failure(proxy_ask(&proxy, "GET / HTT"), "408", "request_timeout");
}
END_TEST

START_TEST(a_body_that_trickles_too_long_is_a_408)
{
    int client, backend;

    start("pool = \"app\"; proxy_status = true;", "timeouts = { client_body = \"50ms\"; };");
    client = proxy_connect(&proxy);
    say(client, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nbegin");
    backend = proxy_backend(&proxy);
    assert_failure(hear(client, NULL), "408", "request_body_timeout");
    (void)close(client);
    (void)close(backend);
}
END_TEST

START_TEST(no_reason_is_told_unless_the_listener_says_so)
{
    start("pool = \"app\";", "");
    assert_lacks(proxy_ask(&proxy, "GET\r\n\r\n"), "Proxy-Status");
}
END_TEST

START_TEST(an_error_page_takes_the_place_of_the_text)
{
    char path[] = "/tmp/weir_page_XXXXXX.html", text[256];
    int fd = mkstemps(path, 5);
    const char *answer;

    ck_assert_int_eq(write(fd, "<p>sorry</p>", 12), 12);
    (void)close(fd);
    (void)snprintf(text, sizeof text, "error_pages = ( { status = 404; file = \"%s\"; } );", path);
    start("", text);
    answer = proxy_ask(&proxy, "GET / HTTP/1.1\r\n" CLOSE);
    (void)unlink(path);
    assert_begins(answer, "HTTP/1.1 404 ");
    assert_has(answer, "Content-Type: text/html");
    assert_has(answer, "\r\n\r\n<p>sorry</p>");
}
END_TEST

/* ---- answers that the configuration asks for ---- */

#define RESPOND "routes = ( { respond = { status = 200; body = \"pong\"; }; } );"

START_TEST(a_fixed_answer_is_given)
{
    const char *answer;

    start("", RESPOND);
    answer = proxy_ask(&proxy, "GET / HTTP/1.1\r\n" CLOSE);
    assert_begins(answer, "HTTP/1.1 200 OK\r\n");
    assert_has(answer, "Content-Length: 4\r\n");
    assert_has(answer, "\r\n\r\npong");
}
END_TEST

static unsigned dates_in(const char *answer)
{
    unsigned n = 0;

    for (const char *at = answer; (at = strstr(at, "\r\nDate: ")) != NULL; at++)
        n++;
    return n;
}

START_TEST(an_answer_of_our_own_has_a_date)
{
    start("", RESPOND);
    ck_assert_uint_eq(dates_in(proxy_ask(&proxy, "GET / HTTP/1.1\r\n" CLOSE)), 1);
}
END_TEST

START_TEST(an_answer_has_one_date_whether_the_backend_gave_one_or_not)
{
    const char *answer;

    start_pool();
    ck_assert_uint_eq(dates_in(ask_with_backend("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), 1);
    answer = ask_with_backend("HTTP/1.1 200 OK\r\nContent-Length: 0\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
    assert_has(answer, "\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    ck_assert_uint_eq(dates_in(answer), 0);
}
END_TEST

START_TEST(a_head_request_gets_the_length_without_the_body)
{
    const char *answer;

    start("", RESPOND);
    answer = proxy_ask(&proxy, "HEAD / HTTP/1.1\r\n" CLOSE);
    assert_has(answer, "Content-Length: 4\r\n");
    assert_lacks(answer, "pong");
}
END_TEST

START_TEST(a_204_has_no_length)
{
    start("", "routes = ( { respond = { status = 204; }; } );");
    assert_lacks(proxy_ask(&proxy, "GET / HTTP/1.1\r\n" CLOSE), "Content-Length");
}
END_TEST

START_TEST(a_body_that_nobody_needs_is_passed_over)
{
    int client;

    start("", RESPOND);
    client = proxy_connect(&proxy);
    say(client, "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 26\r\n\r\nGET /evil HTTP/1.1\r\nHost: hGET /2 HTTP/1.1\r\n" CLOSE);
    assert_begins(hear(client, "pong"), "HTTP/1.1 200 OK\r\n");
    assert_begins(hear(client, "pong"), "HTTP/1.1 200 OK\r\n");
    ck_assert_str_eq(hear(client, NULL), "");
    (void)close(client);
}
END_TEST

START_TEST(a_body_that_has_not_come_ends_the_connection)
{
    int client;

    start("", RESPOND);
    client = proxy_connect(&proxy);
    say(client, "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 28\r\n\r\nGET /");
    assert_has(hear(client, "pong"), "Connection: close\r\n");
    say(client, "evil HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_str_eq(hear(client, NULL), "");
    (void)close(client);
}
END_TEST

START_TEST(a_client_that_has_finished_sending_still_gets_its_answer)
{
    int client;

    start("", RESPOND);
    client = proxy_connect(&proxy);
    say(client, "GET / HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
    assert_has(hear(client, NULL), "pong");
    (void)close(client);
}
END_TEST

START_TEST(an_old_client_is_told_that_its_connection_stays)
{
    int client;

    start("", RESPOND);
    client = proxy_connect(&proxy);
    say(client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_has(hear(client, "pong"), "Connection: keep-alive\r\n");
    (void)close(client);
}
END_TEST

struct redirection {
    const char *to, *method, *target, *host, *location;
};
static const struct redirection redirections[] = {
    { "https://{host}{uri}", "GET", "/a?b=c", "example.com:8080", "https://example.com/a?b=c" },
    { "https://{host}{uri}", "GET", "/a", "[2001:db8::1]:80", "https://[2001:db8::1]/a" },
    { "https://{host}{path}", "GET", "/a?b", "h", "https://h/a" },
    { "/x?{query}", "GET", "/a?b=c", "h", "/x?b=c" },
    { "/x?{query}", "GET", "/a", "h", "/x?" },
    { "/{host}{host}", "GET", "/a", "h", "/hh" },
    { "https://{host}{uri}", "GET", "http://other/a?b", "h", "https://other/a?b" },
    /* a path that the target doesn't have stands nowhere near the query */
    { "https://{host}{uri}", "GET", "http://other?b", "h", "https://other/?b" },
    { "https://{host}{uri}", "GET", "http://other?", "h", "https://other/?" },
    { "https://{host}{uri}", "GET", "http://other", "h", "https://other/" },
    { "/x{path}?{query}", "GET", "http://other?b", "h", "/x/?b" },
    /* about the server as a whole */
    { "https://{host}{uri}", "OPTIONS", "http://other", "h", "https://other" },
    { "https://{host}{uri}", "OPTIONS", "*", "h", "https://h" },
    { "/x{path}", "OPTIONS", "*", "h", "/x" },
};

START_TEST(a_redirect_goes_where_its_words_say)
{
    const struct redirection *r = &redirections[_i];
    char text[256], request[256], field[256];
    const char *answer;

    (void)snprintf(text, sizeof text, "routes = ( { redirect = { to = \"%s\"; status = 301; }; } );", r->to);
    (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", r->method, r->target,
                   r->host);
    (void)snprintf(field, sizeof field, "Location: %s\r\n", r->location);
    start("", text);
    answer = proxy_ask(&proxy, request);
    assert_begins(answer, "HTTP/1.1 301 ");
    assert_has(answer, field);
}
END_TEST

START_TEST(a_redirect_to_the_host_of_a_request_without_one_is_a_400)
{
    start("proxy_status = true;", "routes = ( { redirect = { to = \"https://{host}/x\"; }; } );");
    assert_failure(proxy_ask(&proxy, "GET / HTTP/1.0\r\n\r\n"), "400", "bad_host");
}
END_TEST

START_TEST(rules_apply_to_answers_of_our_own)
{
    const char *answer;

    start(
        "response_headers = [ \"set Server: weir\", \"add X-A: 1\" ];",
        "routes = ( { respond = { status = 200; body = \"pong\"; }; response_headers = [ \"add X-A: 2\", \"remove Content-Type\" ]; } );");
    answer = proxy_ask(&proxy, "GET / HTTP/1.1\r\n" CLOSE);
    assert_has(answer, "Server: weir\r\n");
    assert_has(answer, "X-A: 1\r\n");
    assert_has(answer, "X-A: 2\r\n");
    assert_lacks(answer, "Content-Type");
}
END_TEST

/* ---- header_rules_apply() by itself ---- */

static struct header fields[8];
static struct message m;
static struct arena arena;

static void rules_setup(void)
{
    arena_init(&arena, NULL, 0);
    m = (struct message){ .headers = fields, .cap_headers = 3, .authority = SLICE("h") };
    ck_assert_int_eq(message_add(&m, SLICE("A"), SLICE("1")), 0);
    ck_assert_int_eq(message_add(&m, SLICE("a"), SLICE("2")), 0);
    ck_assert_int_eq(message_add(&m, SLICE("B"), SLICE("3")), 0);
}

static void rules_teardown(void) { arena_free(&arena); }

static void apply(enum header_rule_op op, const char *name, const char *value)
{
    struct header_rule r = { op, slice_str(name), slice_str(value) };
    struct header_rules rules = { &r, 1 };

    ck_assert_int_eq(header_rules_apply(&rules, &m, &arena), 0);
}

static const char *values_of(const char *name)
{
    static char text[64];

    text[0] = '\0';
    for (size_t i = 0; i < m.n_headers; i++)
        if (!m.headers[i].dropped && slice_eq_nocase(header_name_of(&m.headers[i]), slice_str(name)))
            (void)strncat(text, m.headers[i].value, m.headers[i].value_len);
    return text;
}

START_TEST(set_replaces_all_of_that_name)
{
    apply(HEADER_SET, "a", "9");
    ck_assert_str_eq(values_of("A"), "9");
    ck_assert_str_eq(values_of("B"), "3");
}
END_TEST

START_TEST(add_leaves_the_others)
{
    apply(HEADER_ADD, "a", "9");
    ck_assert_str_eq(values_of("A"), "129");
}
END_TEST

START_TEST(remove_takes_all_of_that_name)
{
    apply(HEADER_REMOVE, "A", "");
    ck_assert_str_eq(values_of("A"), "");
    ck_assert_str_eq(values_of("B"), "3");
}
END_TEST

START_TEST(a_rule_for_the_host_sets_what_host_is_written_from)
{
    apply(HEADER_SET, "Host", "other");
    ck_assert(slice_eq(m.authority, SLICE("other")));
    ck_assert_ptr_null(message_find(&m, HEADER_HOST));
}
END_TEST

START_TEST(many_rules_find_room)
{
    struct header_rule r[50];
    struct header_rules rules = { r, 50 };

    for (int i = 0; i < 50; i++)
        r[i] = (struct header_rule){ HEADER_ADD, SLICE("X"), SLICE("y") };
    ck_assert_int_eq(header_rules_apply(&rules, &m, &arena), 0);
    ck_assert_uint_eq(m.n_headers, 53);
}
END_TEST

Suite *answer_suite(void)
{
    Suite *s = suite_create("answer");
    TCase *errors = tcase_create("errors"), *own = tcase_create("own"), *rules = tcase_create("rules"),
          *bodies = tcase_create("bodies");

    tcase_add_checked_fixture(errors, NULL, teardown);
    tcase_add_test(errors, a_101_nobody_asked_for_ends_the_upload_before_the_answer);
    tcase_add_loop_test(errors, a_101_to_another_protocol_opens_no_tunnel, 0, ARRAY_LEN(upgrades));
    tcase_add_loop_test(errors, a_bad_request_is_answered_by_its_reason_and_ends_the_connection, 0, ARRAY_LEN(bad_requests));
    tcase_add_test(errors, a_request_line_that_is_too_long_is_a_414);
    tcase_add_test(errors, a_head_that_is_too_large_is_a_431);
    tcase_add_test(errors, a_request_that_no_route_takes_is_a_404_and_the_connection_goes_on);
    tcase_add_test(errors, a_backend_that_refuses_is_a_503_with_a_time_to_come_back);
    tcase_add_test(errors, a_failed_backend_does_not_end_the_clients_connection);
    tcase_add_loop_test(errors, a_bad_answer_is_told_by_its_reason, 0, ARRAY_LEN(bad_answers));
    tcase_add_test(errors, a_get_whose_answer_ends_inside_the_head_is_sent_again);
    tcase_add_test(errors, a_get_is_not_sent_again_once_its_client_has_an_interim_head);
    tcase_add_test(errors, an_answer_before_the_request_has_ended_says_that_the_connection_closes);
    tcase_add_test(errors, an_answer_that_is_cut_looks_cut);
    tcase_add_test(errors, a_backend_that_does_not_answer_in_time_is_a_504);
    tcase_add_test(errors, a_head_that_trickles_too_long_is_a_408);
    tcase_add_test(errors, a_body_that_trickles_too_long_is_a_408);
    tcase_add_test(errors, no_reason_is_told_unless_the_listener_says_so);
    tcase_add_test(errors, an_error_page_takes_the_place_of_the_text);
    tcase_add_test(bodies, a_large_upload_is_spliced_although_bodies_are_limited);
    tcase_add_checked_fixture(own, NULL, teardown);
    tcase_add_test(own, a_fixed_answer_is_given);
    tcase_add_test(own, an_answer_of_our_own_has_a_date);
    tcase_add_test(own, an_answer_has_one_date_whether_the_backend_gave_one_or_not);
    tcase_add_test(own, a_head_request_gets_the_length_without_the_body);
    tcase_add_test(own, a_204_has_no_length);
    tcase_add_test(own, a_body_that_nobody_needs_is_passed_over);
    tcase_add_test(own, a_body_that_has_not_come_ends_the_connection);
    tcase_add_test(own, a_client_that_has_finished_sending_still_gets_its_answer);
    tcase_add_test(own, an_old_client_is_told_that_its_connection_stays);
    tcase_add_loop_test(own, a_redirect_goes_where_its_words_say, 0, ARRAY_LEN(redirections));
    tcase_add_test(own, a_redirect_to_the_host_of_a_request_without_one_is_a_400);
    tcase_add_test(own, rules_apply_to_answers_of_our_own);
    tcase_add_checked_fixture(rules, rules_setup, rules_teardown);
    tcase_add_test(rules, set_replaces_all_of_that_name);
    tcase_add_test(rules, add_leaves_the_others);
    tcase_add_test(rules, remove_takes_all_of_that_name);
    tcase_add_test(rules, a_rule_for_the_host_sets_what_host_is_written_from);
    tcase_add_test(rules, many_rules_find_room);
    suite_add_tcase(s, errors);
    suite_add_tcase(s, bodies);
    suite_add_tcase(s, own);
    suite_add_tcase(s, rules);
    return s;
}
