/* Tests of http/h2_head: header blocks as messages.  What is refused is tested frame by frame in tests/e2e/test_h2_frames.py. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "http/h2_head.h"

Suite *h2_head_suite(void);

static const struct head_limits limits = { .head = 4096, .line = 256, .headers = 20 };
static struct h2_block block;
static struct h2_head *head;

static void begin(void) { h2_block_begin(&block); }

static void end(void)
{
    free(head);
    head = NULL;
    h2_block_free(&block);
}

static void add(const char *name, const char *value)
{
    ck_assert(h2_block_add(&block, slice_str(name), slice_str(value), &limits));
}

static void add_request(const char *method, const char *path)
{
    add(":method", method);
    add(":scheme", "http");
    add(":path", path);
    add(":authority", "test.example");
}

static int request(bool ended)
{
    head = h2_head_request(&block, ended, &limits);
    ck_assert_ptr_nonnull(head);
    return head->wrong;
}

static int response(void)
{
    head = h2_head_response(&block, false);
    ck_assert_ptr_nonnull(head);
    return head->wrong;
}

#define assert_slice(s, text) ck_assert_msg(slice_eq(s, slice_str(text)), "%.*s", SLICE_ARG(s))

START_TEST(a_request_has_its_parts)
{
    add_request("GET", "/a/b?c=d?e");
    add("x-a", "1");
    ck_assert_int_eq(request(true), 0);
    assert_slice(head->m.method_name, "GET");
    assert_slice(head->m.path, "/a/b");
    assert_slice(head->m.query, "c=d?e");
    assert_slice(head->m.target, "/a/b?c=d?e");
    assert_slice(head->m.authority, "test.example");
    ck_assert_uint_eq(head->m.n_headers, 1);
    ck_assert_int_eq(head->m.framing, FRAMING_NONE);
    ck_assert(head->m.h2 && head->m.keep_alive && !head->m.upgrade);
}
END_TEST

START_TEST(a_head_does_not_need_its_block)
{
    add_request("GET", "/");
    add("x-a", "value");
    ck_assert_int_eq(request(true), 0);
    begin();
    add(":method", "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX");
    h2_block_free(&block);
    assert_slice(header_value_of(&head->m.headers[0]), "value");
    assert_slice(head->m.authority, "test.example");
}
END_TEST

START_TEST(framing_follows_length_and_end)
{
    add_request("POST", "/");
    ck_assert_int_eq(request(false), 0);
    ck_assert_int_eq(head->m.framing, FRAMING_CHUNKED);
    free(head);
    add("content-length", "12");
    ck_assert_int_eq(request(false), 0);
    ck_assert_int_eq(head->m.framing, FRAMING_LENGTH);
    ck_assert_uint_eq(head->m.content_length, 12);
}
END_TEST

START_TEST(cookies_are_joined_where_the_first_stood)
{
    add_request("GET", "/");
    add("cookie", "a=1");
    add("x-a", "1");
    add("cookie", "");
    add("cookie", "b=2");
    ck_assert_int_eq(request(true), 0);
    assert_slice(header_value_of(message_find(&head->m, HEADER_COOKIE)), "a=1; ; b=2");
    ck_assert_ptr_eq(message_find(&head->m, HEADER_COOKIE), &head->m.headers[0]);
    ck_assert(head->m.headers[2].dropped && head->m.headers[3].dropped);
}
END_TEST

START_TEST(an_extended_connect_is_an_upgrade)
{
    const struct header *key;

    add(":method", "CONNECT");
    add(":protocol", "websocket");
    add(":scheme", "http");
    add(":path", "/chat");
    add(":authority", "test.example");
    add("sec-websocket-key", "mine");
    ck_assert_int_eq(request(false), 0);
    ck_assert(head->m.upgrade);
    assert_slice(head->m.method_name, "GET");
    assert_slice(header_value_of(message_find(&head->m, HEADER_UPGRADE)), "websocket");
    key = message_find_name(&head->m, SLICE("sec-websocket-key"));
    ck_assert_uint_eq(key->value_len, 24);
    ck_assert_int_eq(memcmp(key->value + 22, "==", 2), 0);
}
END_TEST

START_TEST(a_block_beyond_the_limit_is_a_431_and_far_beyond_it_harm)
{
    char value[1001];

    memset(value, 'v', 1000);
    value[1000] = '\0';
    add_request("GET", "/");
    for (int i = 0; i < 5; i++)
        add("x", value);
    ck_assert_int_eq(request(true), -ERR_HEADER_TOO_LARGE);
    for (int i = 0; i < 10; i++)
        add("x", value);
    ck_assert(!h2_block_add(&block, SLICE("x"), slice_str(value), &limits));
    ck_assert_uint_lt(block.bytes.cap, 16384);
}
END_TEST

START_TEST(too_many_fields_are_too_many)
{
    add_request("GET", "/");
    for (int i = 0; i < 20; i++)
        add("x", "1");
    ck_assert_int_eq(request(true), 0);
    free(head);
    add("x", "1");
    ck_assert_int_eq(request(true), -ERR_TOO_MANY_HEADERS);
}
END_TEST

START_TEST(an_answer_has_status_and_length)
{
    add(":status", "200");
    add("content-length", "7");
    ck_assert_int_eq(response(), 0);
    h2_head_frame_response(head, METHOD_GET);
    ck_assert_uint_eq(head->m.status, 200);
    ck_assert_int_eq(head->m.framing, FRAMING_LENGTH);
    h2_head_frame_response(head, METHOD_HEAD);
    ck_assert_int_eq(head->m.framing, FRAMING_NONE);
    ck_assert_uint_eq(head->m.content_length, 7);
}
END_TEST

static const char *const bad_status[] = { "101", "99", "600", "2000", "abc", "20", "" };
START_TEST(a_backend_may_not_say)
{
    add(":status", bad_status[_i]);
    ck_assert_int_eq(response(), -ERR_BAD_RESPONSE);
}
END_TEST

START_TEST(trailers_keep_what_may_stand_there)
{
    add("grpc-status", "0");
    add("content-length", "7");
    head = h2_head_trailers(&block);
    ck_assert_int_eq(head->wrong, 0);
    ck_assert(!head->m.headers[0].dropped && head->m.headers[1].dropped);
    free(head);
    add(":status", "200");
    head = h2_head_trailers(&block);
    ck_assert_int_eq(head->wrong, -ERR_BAD_HEADER);
}
END_TEST

Suite *h2_head_suite(void)
{
    Suite *s = suite_create("h2_head");
    TCase *t = tcase_create("head");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_request_has_its_parts);
    tcase_add_test(t, a_head_does_not_need_its_block);
    tcase_add_test(t, framing_follows_length_and_end);
    tcase_add_test(t, cookies_are_joined_where_the_first_stood);
    tcase_add_test(t, an_extended_connect_is_an_upgrade);
    tcase_add_test(t, a_block_beyond_the_limit_is_a_431_and_far_beyond_it_harm);
    tcase_add_test(t, too_many_fields_are_too_many);
    tcase_add_test(t, an_answer_has_status_and_length);
    tcase_add_loop_test(t, a_backend_may_not_say, 0, sizeof bad_status / sizeof bad_status[0]);
    tcase_add_test(t, trailers_keep_what_may_stand_there);
    suite_add_tcase(s, t);
    return s;
}
