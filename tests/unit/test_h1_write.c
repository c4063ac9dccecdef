/* Tests of http/h1_write: bytes as they should be, nothing beyond the buffer, and what is written reads as it was. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "http/h1_write.h"
#include "tests/lib/h1_feed.h"

Suite *h1_write_suite(void);

static struct header headers[16];

static struct message a_request(void)
{
    struct message m = { .method_name = SLICE("GET"), .method = METHOD_GET, .minor = 1, .headers = headers, .cap_headers = 16 };

    m.authority = SLICE("a.example");
    m.path = SLICE("/p");
    return m;
}

static struct message a_response(unsigned status)
{
    return (struct message){ .status = (uint16_t)status, .minor = 1, .headers = headers, .cap_headers = 16 };
}

static void add(struct message *m, const char *name, const char *value)
{
    ck_assert_int_eq(message_add(m, slice_str(name), slice_str(value)), 0);
}

#define CHECK_WRITTEN(write, m, f, expected)                                                 \
    do {                                                                                     \
        char out_[512];                                                                      \
        size_t n_ = write(out_, sizeof(out_), m, f);                                         \
        ck_assert_msg(slice_eq(slice_of(out_, n_), SLICE(expected)), "%.*s", (int)n_, out_); \
    } while (0)

START_TEST(a_request_is_written_in_origin_form_with_host_first)
{
    struct message m = a_request();
    struct head_frame f = { .framing = FRAMING_NONE };

    m.absolute = true;
    m.target = SLICE("http://a.example/p?q");
    m.query = SLICE("q");
    add(&m, "X-A", "1");
    CHECK_WRITTEN(h1_write_request, &m, &f, "GET /p?q HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\n\r\n");
    m.query.n = 0;
    m.authority = SLICE("");
    m.path = SLICE("*");
    CHECK_WRITTEN(h1_write_request, &m, &f, "GET *? HTTP/1.1\r\nHost: \r\nX-A: 1\r\n\r\n");
    m.query = slice_of(NULL, 0);
    m.path = slice_of(NULL, 0);
    CHECK_WRITTEN(h1_write_request, &m, &f, "GET / HTTP/1.1\r\nHost: \r\nX-A: 1\r\n\r\n");
}
END_TEST

START_TEST(framing_and_connection_come_from_the_frame_alone)
{
    struct message m = a_response(200);

    m.reason = SLICE("Fine");
    add(&m, "Content-Length", "666");
    add(&m, "transfer-encoding", "gzip");
    add(&m, "Connection", "x");
    add(&m, "X-A", "");
#define R "HTTP/1.1 200 Fine\r\nX-A: \r\n"
    CHECK_WRITTEN(h1_write_response, &m, (&(struct head_frame){ FRAMING_CLOSE, 5, PERSIST_CLOSE, true, { 0 } }),
                  R "Connection: close\r\n\r\n");
    CHECK_WRITTEN(h1_write_response, &m, (&(struct head_frame){ FRAMING_NONE, 5, PERSIST_DEFAULT, false, { 0 } }), R "\r\n");
    CHECK_WRITTEN(h1_write_response, &m, (&(struct head_frame){ FRAMING_LENGTH, 0, PERSIST_TELL, false, { 0 } }),
                  R "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_WRITTEN(h1_write_response, &m, (&(struct head_frame){ FRAMING_LENGTH, UINT64_MAX, PERSIST_DEFAULT, false, { 0 } }),
                  R "Content-Length: 18446744073709551615\r\n\r\n");
    CHECK_WRITTEN(h1_write_response, &m, (&(struct head_frame){ FRAMING_CHUNKED, 5, PERSIST_UPGRADE, false, { 0 } }),
                  R "Transfer-Encoding: chunked\r\nConnection: upgrade\r\n\r\n");
}
END_TEST

START_TEST(a_date_is_written_for_an_answer_that_had_none)
{
    const struct head_frame dated = { FRAMING_NONE, 0, PERSIST_DEFAULT, false, SLICE("Date: now\r\n") };
    struct message m = a_response(200);

    CHECK_WRITTEN(h1_write_response, &m, &dated, "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n");
    add(&m, "date", "then");
    CHECK_WRITTEN(h1_write_response, &m, &dated, "HTTP/1.1 200 OK\r\ndate: then\r\n\r\n");
    message_drop(&m, HEADER_DATE); /* by a rule */
    CHECK_WRITTEN(h1_write_response, &m, &dated, "HTTP/1.1 200 OK\r\n\r\n");
}
END_TEST

START_TEST(a_host_field_of_a_request_is_never_written_from_the_fields)
{
    struct message m = a_request();

    add(&m, "Host", "evil.example");
    CHECK_WRITTEN(h1_write_request, &m, (&(struct head_frame){ 0 }), "GET /p HTTP/1.1\r\nHost: a.example\r\n\r\n");
}
END_TEST

START_TEST(the_length_of_a_body_that_does_not_follow_is_passed_on_if_there_was_one)
{
    struct head_frame f = { .framing = FRAMING_NONE, .keep_length = true };
    struct message m = a_response(304);

    m.reason = SLICE("Not Modified");
    CHECK_WRITTEN(h1_write_response, &m, &f, "HTTP/1.1 304 Not Modified\r\n\r\n");
    add(&m, "Content-Length", "7");
    m.content_length = 7;
    m.headers[0].dropped = true;
    CHECK_WRITTEN(h1_write_response, &m, &f, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
}
END_TEST

START_TEST(a_te_field_that_passes_is_listed_in_connection)
{
    struct message m = a_request();

    add(&m, "TE", "trailers");
    CHECK_WRITTEN(h1_write_request, &m, (&(struct head_frame){ 0 }),
                  "GET /p HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    CHECK_WRITTEN(h1_write_request, &m, (&(struct head_frame){ .persist = PERSIST_CLOSE }),
                  "GET /p HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
    m.headers[0].dropped = true;
    CHECK_WRITTEN(h1_write_request, &m, (&(struct head_frame){ 0 }), "GET /p HTTP/1.1\r\nHost: a.example\r\n\r\n");
}
END_TEST

START_TEST(a_reason_that_is_missing_is_filled_in_and_an_empty_one_kept)
{
    struct message m = a_response(404);
    struct head_frame f = { 0 };

    CHECK_WRITTEN(h1_write_response, &m, &f, "HTTP/1.1 404 Not Found\r\n\r\n");
    m.reason = SLICE("");
    CHECK_WRITTEN(h1_write_response, &m, &f, "HTTP/1.1 404 \r\n\r\n");
    m = a_response(299);
    CHECK_WRITTEN(h1_write_response, &m, &f, "HTTP/1.1 299 \r\n\r\n");
}
END_TEST

/* Received fields: plain and odd ones, dropped ones at each place, so that every way of joining copies is taken. */
START_TEST(received_fields_are_written_alike_whichever_are_dropped)
{
    static const char text[] =
        "GET /p?q HTTP/1.1\r\nA: 1\r\nHost: a.example\r\nB:2\r\nC: 3 \r\nD:  4\r\nE: 5\r\nF:\r\nG: \r\nH: 8\r\n\r\n";
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    struct head_frame frame = { .framing = FRAMING_NONE };
    char out[512], expected[512];

    for (unsigned drop = 0; drop < 1u << 9; drop++) {
        struct parsed p;
        size_t n, at;

        feed_whole(&p, &f, text, sizeof(text) - 1);
        ck_assert_uint_eq(p.m.n_headers, 9);
        at = (size_t)snprintf(expected, sizeof(expected), "GET /p?q HTTP/1.1\r\nHost: a.example\r\n");
        for (size_t i = 0; i < 9; i++) {
            struct header *h = &p.headers[i];

            h->dropped = (drop >> i & 1) != 0;
            if (!h->dropped && h->id != HEADER_HOST)
                at += (size_t)snprintf(expected + at, sizeof(expected) - at, SLICE_FMT ": " SLICE_FMT "\r\n",
                                       SLICE_ARG(header_name_of(h)), SLICE_ARG(header_value_of(h)));
        }
        at += (size_t)snprintf(expected + at, sizeof(expected) - at, "\r\n");
        n = h1_write_request(out, sizeof(out), &p.m, &frame);
        ck_assert_msg(slice_eq(slice_of(out, n), slice_of(expected, at)), "%.*s", (int)n, out);
        parsed_free(&p);
    }
}
END_TEST

static bool same_passed_fields(const struct message *from, const struct message *to, size_t skip)
{
    size_t k = skip;

    for (size_t i = 0; i < from->n_headers; i++) {
        const struct header *h = &from->headers[i];

        if (h->id == HEADER_HOST || h->id == HEADER_CONTENT_LENGTH || h->id == HEADER_TRANSFER_ENCODING ||
            h->id == HEADER_CONNECTION)
            continue;
        if (k == to->n_headers || !slice_eq(header_name_of(h), header_name_of(&to->headers[k])) ||
            !slice_eq(header_value_of(h), header_value_of(&to->headers[k])))
            return false;
        k++;
    }
    return true;
}

START_TEST(what_is_written_reads_as_what_was_received)
{
    static const char *const text[] = {
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "POST http://b.example:81/x?y HTTP/1.1\r\nA: 1\r\nHost: a\r\nContent-Length: 12\r\nB:2\r\n\r\n",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\nC:\t\xff \r\nConnection: close\r\n\r\n",
        "OPTIONS http://a HTTP/1.1\r\nHost: a\r\nD:\r\n\r\n",
    };
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };

    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        struct parsed p, again;
        struct head_frame frame;
        char out[512];
        size_t n;

        feed_whole(&p, &f, text[i], strlen(text[i]));
        ck_assert_int_gt(p.rc, 0);
        frame = (struct head_frame){ p.m.framing, p.m.content_length, p.m.keep_alive ? PERSIST_DEFAULT : PERSIST_CLOSE, false, { 0 } };
        n = h1_write_request(out, sizeof(out), &p.m, &frame);
        feed_whole(&again, &f, out, n);
        ck_assert_int_eq(again.rc, (int)n);
        ck_assert(slice_eq(p.m.method_name, again.m.method_name));
        ck_assert(slice_eq(p.m.path, again.m.path) && slice_eq(p.m.query, again.m.query));
        ck_assert(slice_eq(p.m.authority, again.m.authority));
        ck_assert_int_eq(p.m.framing, again.m.framing);
        ck_assert_uint_eq(p.m.content_length, again.m.content_length);
        ck_assert_int_eq(p.m.keep_alive, again.m.keep_alive);
        ck_assert(same_passed_fields(&p.m, &again.m, 1));
        parsed_free(&p);
        parsed_free(&again);
    }
}
END_TEST

START_TEST(a_buffer_that_is_too_small_is_not_overrun)
{
    struct message m = a_request();
    struct head_frame f = { FRAMING_LENGTH, 12345, PERSIST_CLOSE, false, { 0 } };
    char out[256];
    size_t n;

    m.query = SLICE("q=1");
    add(&m, "X-A", "one");
    add(&m, "TE", "trailers");
    n = h1_write_request(out, sizeof(out), &m, &f);
    ck_assert_uint_gt(n, 0);
    for (size_t size = 0; size <= n; size++) {
        char *exact = malloc(size > 0 ? size : 1);

        ck_assert_ptr_nonnull(exact);
        ck_assert_uint_eq(h1_write_request(exact, size, &m, &f), size < n ? 0 : n);
        free(exact);
    }
    m.status = 200;
    n = h1_write_response(out, sizeof(out), &m, &f);
    for (size_t size = 0; size <= n; size++) {
        char *exact = malloc(size > 0 ? size : 1);

        ck_assert_ptr_nonnull(exact);
        ck_assert_uint_eq(h1_write_response(exact, size, &m, &f), size < n ? 0 : n);
        free(exact);
    }
}
END_TEST

START_TEST(chunk_sizes_are_hexadecimal)
{
    static const struct {
        uint64_t n;
        const char *text;
    } row[] = { { 0, "0\r\n" }, { 9, "9\r\n" }, { 10, "a\r\n" }, { 8000, "1f40\r\n" }, { UINT64_MAX, "ffffffffffffffff\r\n" } };
    char out[H1_CHUNK_SIZE_MOST];

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        size_t n = h1_write_chunk_size(out, sizeof(out), row[i].n);

        ck_assert(slice_eq(slice_of(out, n), slice_str(row[i].text)));
        ck_assert_uint_eq(h1_write_chunk_size(out, n - 1, row[i].n), 0);
    }
}
END_TEST

START_TEST(the_last_chunk_carries_the_trailers_not_dropped)
{
    struct message m = { .headers = headers, .cap_headers = 16 };
    char out[128];
    size_t n;

    add(&m, "X-Sum", "1");
    add(&m, "X-Gone", "2");
    add(&m, "Content-Length", "3");
    m.headers[1].dropped = true;
    n = h1_write_last_chunk(out, sizeof(out), &m);
    ck_assert(slice_eq(slice_of(out, n), SLICE("0\r\nX-Sum: 1\r\n\r\n")));
    ck_assert_uint_eq(h1_write_last_chunk(out, n - 1, &m), 0);
    n = h1_write_last_chunk(out, sizeof(out), NULL);
    ck_assert(slice_eq(slice_of(out, n), SLICE("0\r\n\r\n")));
}
END_TEST

Suite *h1_write_suite(void)
{
    Suite *s = suite_create("h1_write");
    TCase *tc = tcase_create("write");

    tcase_add_test(tc, a_request_is_written_in_origin_form_with_host_first);
    tcase_add_test(tc, framing_and_connection_come_from_the_frame_alone);
    tcase_add_test(tc, a_date_is_written_for_an_answer_that_had_none);
    tcase_add_test(tc, a_host_field_of_a_request_is_never_written_from_the_fields);
    tcase_add_test(tc, the_length_of_a_body_that_does_not_follow_is_passed_on_if_there_was_one);
    tcase_add_test(tc, a_te_field_that_passes_is_listed_in_connection);
    tcase_add_test(tc, a_reason_that_is_missing_is_filled_in_and_an_empty_one_kept);
    tcase_add_test(tc, received_fields_are_written_alike_whichever_are_dropped);
    tcase_add_test(tc, what_is_written_reads_as_what_was_received);
    tcase_add_test(tc, a_buffer_that_is_too_small_is_not_overrun);
    tcase_add_test(tc, chunk_sizes_are_hexadecimal);
    tcase_add_test(tc, the_last_chunk_carries_the_trailers_not_dropped);
    suite_add_tcase(s, tc);
    return s;
}
