/* Tests of http/message: names, finding, editing and keeping. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "http/message.h"
#include "tests/lib/h1_feed.h"

Suite *message_suite(void);

#define X(id, name) { HEADER_##id, name },
static const struct {
    enum header_id id;
    const char *name;
} known[] = { HEADER_LIST(X) };
#undef X

static void upper(char *out, const char *in)
{
    for (; *in != '\0'; in++)
        *out++ = (char)toupper((unsigned char)*in);
    *out = '\0';
}

START_TEST(every_known_name_is_found_in_any_case)
{
    char text[64];

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        ck_assert_int_eq(header_id(slice_str(known[i].name)), known[i].id);
        upper(text, known[i].name);
        ck_assert_int_eq(header_id(slice_str(text)), known[i].id);
        text[0] = known[i].name[0];
        ck_assert_int_eq(header_id(slice_str(text)), known[i].id);
        ck_assert_str_eq(header_name(known[i].id), known[i].name);
    }
}
END_TEST

START_TEST(a_name_with_one_byte_changed_is_not_known)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i].name);
        char *text = malloc(n);

        ck_assert_ptr_nonnull(text);
        for (size_t at = 0; at < n; at++) {
            memcpy(text, known[i].name, n);
            for (int c = 0; c < 256; c++) {
                if (tolower(c) == known[i].name[at])
                    continue;
                text[at] = (char)c;
                ck_assert_msg(header_id(slice_of(text, n)) != known[i].id, "%s with byte %zu = %d", known[i].name, at, c);
            }
        }
        free(text);
    }
}
END_TEST

START_TEST(a_name_cut_or_lengthened_is_not_known)
{
    char text[64];

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        (void)snprintf(text, sizeof(text), "%sx", known[i].name);
        ck_assert_int_eq(header_id(slice_str(text)), HEADER_OTHER);
        ck_assert_int_ne(header_id(slice_of(known[i].name, strlen(known[i].name) - 1)), known[i].id);
    }
    ck_assert_int_eq(header_id(SLICE("")), HEADER_OTHER);
    ck_assert_int_eq(header_id(SLICE("a-name-longer-than-any-that-we-know")), HEADER_OTHER);
}
END_TEST

START_TEST(methods_are_case_sensitive)
{
    static const struct {
        struct slice name;
        enum method m;
        bool idempotent;
    } row[] = {
        { SLICE("GET"), METHOD_GET, true },          { SLICE("HEAD"), METHOD_HEAD, true },
        { SLICE("POST"), METHOD_POST, false },       { SLICE("PUT"), METHOD_PUT, true },
        { SLICE("DELETE"), METHOD_DELETE, true },    { SLICE("OPTIONS"), METHOD_OPTIONS, true },
        { SLICE("TRACE"), METHOD_TRACE, true },      { SLICE("PATCH"), METHOD_PATCH, false },
        { SLICE("CONNECT"), METHOD_CONNECT, false }, { SLICE("get"), METHOD_OTHER, false },
        { SLICE("Post"), METHOD_OTHER, false },      { SLICE("GE"), METHOD_OTHER, false },
        { SLICE("PROPFIND"), METHOD_OTHER, false },  { SLICE("GETS"), METHOD_OTHER, false },
        { SLICE("BREW"), METHOD_OTHER, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        ck_assert_msg(method_of(row[i].name) == row[i].m, SLICE_FMT, SLICE_ARG(row[i].name));
        ck_assert_int_eq(method_is_idempotent(row[i].m), row[i].idempotent);
    }
}
END_TEST

static const char head[] =
    "GET http://a.example/p?q=1 HTTP/1.1\r\nHost: b.example\r\nX-One: 1\r\nCookie: c\r\nx-one: 2\r\nEmpty:\r\n\r\n";

static struct parsed parsed_head(void)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = FEED_LIMITS };
    struct parsed p;

    feed_whole(&p, &f, head, sizeof(head) - 1);
    ck_assert_int_eq(p.rc, (int)sizeof(head) - 1);
    return p;
}

START_TEST(a_kept_message_does_not_need_its_old_bytes)
{
    struct parsed p = parsed_head(), fresh = parsed_head();
    struct message m = p.m;
    struct arena a;

    p.m.headers = p.headers;
    m.headers = p.headers;
    fresh.m.headers = fresh.headers;
    arena_init(&a, NULL, 0);
    ck_assert_int_eq(message_keep(&m, p.bytes, (size_t)p.rc, &a, 3), 0);
    memset(p.bytes, 'x', (size_t)p.rc);
    memset(p.headers, 0, sizeof(p.headers));
    parsed_free(&p);

    ck_assert(same_head(&m, &fresh.m));
    ck_assert_uint_eq(m.cap_headers, m.n_headers + 3u);
    arena_free(&a);
    parsed_free(&fresh);
}
END_TEST

START_TEST(fields_added_before_keeping_stay_where_they_are)
{
    static const char value[] = "elsewhere";
    struct parsed p = parsed_head();
    struct arena a;

    p.m.headers = p.headers;
    ck_assert_int_eq(message_add(&p.m, SLICE("X-Added"), SLICE("static")), 0);
    p.m.headers[p.m.n_headers - 1].value = value;
    arena_init(&a, NULL, 0);
    ck_assert_int_eq(message_keep(&p.m, p.bytes, (size_t)p.rc, &a, 0), 0);

    ck_assert_ptr_eq(p.m.headers[p.m.n_headers - 1].value, value);
    arena_free(&a);
    parsed_free(&p);
}
END_TEST

START_TEST(the_first_of_repeated_fields_is_found)
{
    struct parsed p = parsed_head();
    struct header *h;

    p.m.headers = p.headers;
    h = message_find_name(&p.m, SLICE("X-ONE"));
    ck_assert_ptr_nonnull(h);
    ck_assert(slice_eq(header_value_of(h), SLICE("1")));
    h->dropped = true;
    h = message_find_name(&p.m, SLICE("X-ONE"));
    ck_assert(slice_eq(header_value_of(h), SLICE("2")));
    parsed_free(&p);
}
END_TEST

START_TEST(dropping_a_name_drops_each_field_of_that_name)
{
    struct parsed p = parsed_head();

    p.m.headers = p.headers;
    message_drop_name(&p.m, SLICE("x-One"));
    message_drop(&p.m, HEADER_COOKIE);
    ck_assert_ptr_null(message_find_name(&p.m, SLICE("X-One")));
    ck_assert_ptr_null(message_find(&p.m, HEADER_COOKIE));
    ck_assert_ptr_null(message_find_name(&p.m, SLICE("Cookie")));
    ck_assert_ptr_nonnull(message_find(&p.m, HEADER_HOST));
    ck_assert_ptr_nonnull(message_find_name(&p.m, SLICE("empty")));
    parsed_free(&p);
}
END_TEST

START_TEST(a_full_message_refuses_another_field)
{
    struct parsed p = parsed_head();
    uint16_t before;

    p.m.headers = p.headers;
    before = p.m.n_headers;
    p.m.cap_headers = (uint16_t)(before + 1);
    ck_assert_int_eq(message_add(&p.m, SLICE("Via"), SLICE("x")), 0);
    ck_assert_int_eq(p.m.headers[before].id, HEADER_VIA);
    ck_assert_int_eq(message_add(&p.m, SLICE("Via"), SLICE("y")), -ERR_TOO_MANY_HEADERS);
    parsed_free(&p);
}
END_TEST

START_TEST(reserved_room_keeps_the_fields_and_takes_more)
{
    struct message m = { .headers = NULL };
    struct arena a;

    arena_init(&a, NULL, 0);
    ck_assert_int_eq(message_reserve(&m, 1, &a), 0);
    ck_assert_int_eq(message_add(&m, SLICE("Via"), SLICE("x")), 0);
    ck_assert_int_eq(message_reserve(&m, 2, &a), 0);
    ck_assert_int_eq(message_add(&m, SLICE("A"), SLICE("y")), 0);
    ck_assert_int_eq(message_add(&m, SLICE("B"), SLICE("z")), 0);
    ck_assert(slice_eq(header_value_of(message_find(&m, HEADER_VIA)), SLICE("x")));
    ck_assert_int_eq(message_reserve(&m, UINT16_MAX, &a), -ERR_TOO_MANY_HEADERS);
    arena_free(&a);
}
END_TEST

Suite *message_suite(void)
{
    Suite *s = suite_create("message");
    TCase *tc = tcase_create("message");

    tcase_add_test(tc, every_known_name_is_found_in_any_case);
    tcase_add_test(tc, a_name_with_one_byte_changed_is_not_known);
    tcase_add_test(tc, a_name_cut_or_lengthened_is_not_known);
    tcase_add_test(tc, methods_are_case_sensitive);
    tcase_add_test(tc, a_kept_message_does_not_need_its_old_bytes);
    tcase_add_test(tc, fields_added_before_keeping_stay_where_they_are);
    tcase_add_test(tc, the_first_of_repeated_fields_is_found);
    tcase_add_test(tc, dropping_a_name_drops_each_field_of_that_name);
    tcase_add_test(tc, a_full_message_refuses_another_field);
    tcase_add_test(tc, reserved_room_keeps_the_fields_and_takes_more);
    suite_add_tcase(s, tc);
    return s;
}
