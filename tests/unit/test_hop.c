/* Tests of http/hop: what passes, what goes, and what is put in. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "http/hop.h"
#include "tests/lib/h1_feed.h"

Suite *hop_suite(void);

static struct arena arena;
static struct parsed parsed;

static void setup(void) { arena_init(&arena, NULL, 0); }

static void teardown(void)
{
    arena_free(&arena);
    parsed_free(&parsed);
}

static struct message *received(const char *request_line, const char *fields)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    char text[4096];
    int n = snprintf(text, sizeof(text), "%s\r\n%s\r\n", request_line, fields);

    f.kind = strncmp(request_line, "HTTP/", 5) == 0 ? FEED_RESPONSE : FEED_REQUEST;
    feed_whole(&parsed, &f, text, (size_t)n);
    ck_assert_msg(parsed.rc == n, "%s: %d", text, parsed.rc);
    return &parsed.m;
}

#define GET "GET / HTTP/1.1\r\nHost: a.example:81"

static struct hop_info a_client(enum forwarded_mode mode)
{
    return (struct hop_info){ .client_ip = SLICE("192.0.2.1"), .forwarded = mode, .via_name = SLICE("weir") };
}

/* "Name: value|Name: value|" of all that was not dropped. */
static const char *passing(const struct message *m)
{
    static char text[8192];
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < m->n_headers; i++)
        if (!m->headers[i].dropped)
            at += (size_t)snprintf(text + at, sizeof(text) - at, SLICE_FMT ": " SLICE_FMT "|",
                                   SLICE_ARG(header_name_of(&m->headers[i])), SLICE_ARG(header_value_of(&m->headers[i])));
    return text;
}

static const char *to_backend(const char *fields, struct hop_info info)
{
    struct message *m = received(GET, fields);

    ck_assert_int_eq(hop_request(m, &info, &arena), 0);
    return passing(m);
}

#define OFF a_client(FORWARDED_OFF)

static const struct {
    const char *fields, *expected;
} hops[] = {
    { "", "" },
    { "A: 1\r\nB: 2\r\n", "A: 1|B: 2|" },
    { "Connection: close\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nTrailer: x\r\nHTTP2-Settings: x\r\nA: 1\r\n", "A: 1|" },
    { "Content-Length: 5\r\n", "" },
    { "Transfer-Encoding: chunked\r\n", "" },
    { "Connection: A, b\r\nA: 1\r\nB: 2\r\na: 3\r\nC: 4\r\n", "C: 4|" },
    { "A: 1\r\nConnection: x\r\nB: 2\r\nConnection: b,,A\r\n", "" },
    { "Connection: keep-alive, a\r\nA: 1\r\nB: 2\r\n", "B: 2|" },
    { "Connection: connection, connection\r\nA: 1\r\n", "A: 1|" },
    /* end to end by nature: a client can't have them taken out */
    { "Connection: cookie, Authorization, via, user-agent\r\nCookie: c\r\nAuthorization: a\r\nVia: v\r\nUser-Agent: u\r\n",
      "Cookie: c|Authorization: a|Via: v|" },
    { "TE: trailers\r\n", "TE: trailers|" },
    { "TE: gzip;q=0.5, trailers\r\nTE: deflate\r\nConnection: TE\r\n", "TE: trailers|" },
    { "TE: gzip\r\n", "" },
    { "Upgrade: websocket\r\n", "" },
    { "Upgrade: websocket\r\nConnection: upgrade\r\n", "Upgrade: websocket|" },
    { "Expect: 100-continue\r\n", "Expect: 100-continue|" },
    { "Via: 1.0 old\r\nX-Forwarded: x\r\n", "Via: 1.0 old|X-Forwarded: x|" },
    { "X-Forwarded-For: 1\r\nx-forwarded-proto: 2\r\nX-FORWARDED-HOST: 3\r\nForwarded: for=4\r\nX-Forwarded-Port: 5\r\n"
      "X_Forwarded_For: 6\r\nX-Forwarded_Prefix: 7\r\n",
      "" },
};

START_TEST(only_end_to_end_fields_pass_to_the_backend)
{
    const char *got = to_backend(hops[_i].fields, OFF);

    ck_assert_msg(strcmp(got, hops[_i].expected) == 0, "%s-> %s", hops[_i].fields, got);
}
END_TEST

START_TEST(an_expectation_of_http_1_0_does_not_pass)
{
    struct message *m = received("POST / HTTP/1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n");
    struct hop_info info = OFF;

    ck_assert_int_eq(hop_request(m, &info, &arena), 0);
    ck_assert_str_eq(passing(m), "");
}
END_TEST

START_TEST(a_client_s_forwarded_fields_are_replaced)
{
    static const char fields[] =
        "X-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nX-Forwarded-Host: x\r\nX-Forwarded-Proto: x\r\n";
    struct hop_info info = a_client(FORWARDED_X);

    ck_assert_str_eq(to_backend(fields, info),
                     "X-Forwarded-For: 192.0.2.1|X-Forwarded-Proto: http|X-Forwarded-Host: a.example:81|");
    parsed_free(&parsed);
    info.secure = true;
    info.forwarded = FORWARDED_RFC7239;
    ck_assert_str_eq(to_backend(fields, info), "Forwarded: for=192.0.2.1;proto=https;host=\"a.example:81\"|");
    parsed_free(&parsed);
    info.forwarded = FORWARDED_BOTH;
    info.client_ip = SLICE("2001:db8::1");
    ck_assert_str_eq(to_backend(fields, info),
                     "X-Forwarded-For: 2001:db8::1|X-Forwarded-Proto: https|X-Forwarded-Host: a.example:81|"
                     "Forwarded: for=\"[2001:db8::1]\";proto=https;host=\"a.example:81\"|");
}
END_TEST

START_TEST(a_trusted_proxy_s_forwarded_fields_are_continued)
{
    static const char fields[] = "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n"
                                 "X-Forwarded-Proto: https\r\nX-Forwarded-For:\r\nX-Forwarded-Port: 443\r\n";
    struct hop_info info = a_client(FORWARDED_X);

    info.trusted = true;
    ck_assert_str_eq(to_backend(fields, info),
                     "Forwarded: for=1.1.1.1|X-Forwarded-Proto: https|X-Forwarded-Port: 443|"
                     "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1|X-Forwarded-Host: a.example:81|");
    parsed_free(&parsed);
    info.forwarded = FORWARDED_RFC7239;
    ck_assert_str_eq(to_backend("Forwarded: for=1.1.1.1\r\n", info),
                     "Forwarded: for=1.1.1.1, for=192.0.2.1;proto=http;host=\"a.example:81\"|");
    parsed_free(&parsed);
    info.forwarded = FORWARDED_OFF;
    ck_assert_str_eq(to_backend("Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 1\r\n", info),
                     "Forwarded: for=1.1.1.1|X-Forwarded-For: 1|");
}
END_TEST

START_TEST(a_client_on_a_unix_socket_has_no_address)
{
    struct hop_info info = a_client(FORWARDED_BOTH);

    info.client_ip = SLICE("");
    ck_assert_str_eq(to_backend("", info), "X-Forwarded-Proto: http|X-Forwarded-Host: a.example:81|"
                                           "Forwarded: for=unknown;proto=http;host=\"a.example:81\"|");
}
END_TEST

START_TEST(an_empty_authority_is_not_forwarded)
{
    struct message *m = received("GET / HTTP/1.0", "");
    struct hop_info info = a_client(FORWARDED_BOTH);

    ck_assert_int_eq(hop_request(m, &info, &arena), 0);
    ck_assert_str_eq(passing(m), "X-Forwarded-For: 192.0.2.1|X-Forwarded-Proto: http|Forwarded: for=192.0.2.1;proto=http|");
}
END_TEST

START_TEST(via_names_the_version_received_and_follows_the_others)
{
    struct hop_info info = OFF;
    struct message *m;

    info.via = true;
    ck_assert_str_eq(to_backend("Via: 1.1 first\r\n", info), "Via: 1.1 first|Via: 1.1 weir|");
    parsed_free(&parsed);
    m = received("HTTP/1.0 200 OK", "A: 1\r\n");
    ck_assert_int_eq(hop_response(m, &info, false, &arena), 0);
    ck_assert_str_eq(passing(m), "A: 1|Via: 1.0 weir|");
}
END_TEST

START_TEST(only_end_to_end_fields_pass_to_the_client)
{
    struct hop_info info = OFF;
    struct message *m = received("HTTP/1.1 200 OK",
                                 "Connection: keep-alive, x-gone\r\nKeep-Alive: 5\r\nX-Gone: 1\r\nUpgrade: h2c\r\n"
                                 "Trailer: x\r\nTransfer-Encoding: chunked\r\nProxy-Connection: x\r\nServer: s\r\n"
                                 "Set-Cookie: a\r\nSet-Cookie: b\r\nDate: d\r\n");

    ck_assert_int_eq(hop_response(m, &info, false, &arena), 0);
    ck_assert_str_eq(passing(m), "Server: s|Set-Cookie: a|Set-Cookie: b|Date: d|");
}
END_TEST

START_TEST(the_upgrade_field_passes_only_when_upgrading)
{
    struct hop_info info = OFF;
    struct message *m = received("HTTP/1.1 101 x", "Connection: upgrade\r\nUpgrade: websocket\r\n");

    ck_assert_int_eq(hop_response(m, &info, true, &arena), 0);
    ck_assert_str_eq(passing(m), "Upgrade: websocket|");
}
END_TEST

START_TEST(a_connection_field_with_too_many_options_is_refused)
{
    struct hop_info info = OFF;
    char fields[1024] = "Connection: ";
    struct message *m;

    for (int i = 0; i < 64; i++)
        strcat(fields, "x, ");
    strcat(fields, "\r\nX: 1\r\n");
    m = received(GET, fields);
    ck_assert_int_eq(hop_request(m, &info, &arena), 0);
    parsed_free(&parsed);
    strcat(fields, "Connection: y\r\n");
    m = received(GET, fields);
    ck_assert_int_eq(hop_request(m, &info, &arena), -ERR_BAD_HEADER);
    parsed_free(&parsed);
    m = received("HTTP/1.1 200 OK", fields);
    ck_assert_int_eq(hop_response(m, &info, false, &arena), -ERR_BAD_RESPONSE);
}
END_TEST

START_TEST(a_message_without_room_is_refused_and_not_overrun)
{
    struct hop_info info = a_client(FORWARDED_BOTH);

    info.via = true;
    for (unsigned room = 0; room < 5; room++) {
        struct message *m = received(GET, "A: 1\r\n");

        m->cap_headers = (uint16_t)(m->n_headers + room);
        ck_assert_int_eq(hop_request(m, &info, &arena), -ERR_TOO_MANY_HEADERS);
        ck_assert_uint_le(m->n_headers, m->cap_headers);
        parsed_free(&parsed);
    }
}
END_TEST

Suite *hop_suite(void)
{
    Suite *s = suite_create("hop");
    TCase *tc = tcase_create("hop");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, only_end_to_end_fields_pass_to_the_backend, 0, (int)ARRAY_LEN(hops));
    tcase_add_test(tc, an_expectation_of_http_1_0_does_not_pass);
    tcase_add_test(tc, a_client_s_forwarded_fields_are_replaced);
    tcase_add_test(tc, a_trusted_proxy_s_forwarded_fields_are_continued);
    tcase_add_test(tc, a_client_on_a_unix_socket_has_no_address);
    tcase_add_test(tc, an_empty_authority_is_not_forwarded);
    tcase_add_test(tc, via_names_the_version_received_and_follows_the_others);
    tcase_add_test(tc, only_end_to_end_fields_pass_to_the_client);
    tcase_add_test(tc, the_upgrade_field_passes_only_when_upgrading);
    tcase_add_test(tc, a_connection_field_with_too_many_options_is_refused);
    tcase_add_test(tc, a_message_without_room_is_refused_and_not_overrun);
    suite_add_tcase(s, tc);
    return s;
}
