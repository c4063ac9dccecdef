/* Tests of base/buf: growing, stealing, and failing once for all. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"

Suite *buf_suite(void);

START_TEST(an_empty_buffer_is_a_zeroed_one)
{
    struct buf b = { 0 };

    ck_assert_uint_eq(buf_slice(&b).n, 0);
    ck_assert_ptr_null(buf_steal(&b, NULL));
    buf_free(&b);
}
END_TEST

START_TEST(pieces_stand_in_order_and_end_in_nul)
{
    struct buf b = { 0 };

    buf_add(&b, "one ");
    buf_add_slice(&b, SLICE("two "));
    buf_add_char(&b, '3');
    buf_append(&b, NULL, 0);
    buf_printf(&b, " %d-%s", 4, "five");
    ck_assert_str_eq(b.p, "one two 3 4-five");
    ck_assert_uint_eq(b.n, strlen(b.p));
    buf_free(&b);
}
END_TEST

START_TEST(it_grows_byte_by_byte_without_losing_any)
{
    struct buf b = { 0 };

    for (unsigned i = 0; i < 100000; i++)
        buf_add_char(&b, (char)('a' + i % 26));
    ck_assert(!b.failed);
    for (unsigned i = 0; i < 100000; i++)
        if (b.p[i] != (char)('a' + i % 26))
            ck_abort_msg("byte %u", i);
    ck_assert_int_eq(b.p[b.n], '\0');
    buf_free(&b);
}
END_TEST

START_TEST(a_printf_of_any_length_fits)
{
    static char text[1000];

    for (int n = 0; n < 999; n++) {
        struct buf b = { 0 };
        memset(text, 'x', (size_t)n);
        text[n] = '\0';
        buf_printf(&b, "%s", text);
        buf_printf(&b, "<%s>", text);
        ck_assert_uint_eq(b.n, (size_t)(2 * n + 2));
        ck_assert_int_eq(b.p[n], '<');
        ck_assert_int_eq(b.p[b.n - 1], '>');
        ck_assert_int_eq(b.p[b.n], '\0');
        buf_free(&b);
    }
}
END_TEST

START_TEST(what_was_reserved_may_be_filled)
{
    struct buf b = { 0 };
    char *at = buf_reserve(&b, 1000);

    ck_assert_ptr_nonnull(at);
    memset(at, 'y', 1000);
    b.n += 1000;
    buf_add(&b, "z");
    ck_assert_int_eq(b.p[999], 'y');
    ck_assert_str_eq(b.p + 1000, "z");
    buf_free(&b);
}
END_TEST

START_TEST(after_a_failure_nothing_is_added_any_more)
{
    struct buf b = { 0 };

    buf_add(&b, "good");
    ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX - 2));
    buf_add(&b, "bad");
    buf_printf(&b, "%d", 1);
    buf_add_json(&b, SLICE("x"));
    ck_assert(b.failed);
    ck_assert_uint_eq(b.n, 4);
    ck_assert_ptr_null(buf_steal(&b, NULL));
    ck_assert(!b.failed);
}
END_TEST

START_TEST(what_is_stolen_is_the_callers)
{
    struct buf b = { 0 };
    size_t n;
    char *p;

    buf_add(&b, "mine");
    p = buf_steal(&b, &n);
    ck_assert_str_eq(p, "mine");
    ck_assert_uint_eq(n, 4);
    ck_assert_ptr_null(b.p);
    free(p);
}
END_TEST

START_TEST(a_json_string_is_quoted_and_escaped)
{
    struct buf b = { 0 };

    buf_add_json(&b, SLICE("a\"\x01\xff\xc3\xa9"));
    buf_add_json(&b, (struct slice){ 0 });
    ck_assert_str_eq(b.p, "\"a\\\"\\u0001\\u00ff\xc3\xa9\"\"\"");
    buf_free(&b);
}
END_TEST

Suite *buf_suite(void)
{
    Suite *s = suite_create("buf");
    TCase *t = tcase_create("buf");

    tcase_add_test(t, an_empty_buffer_is_a_zeroed_one);
    tcase_add_test(t, pieces_stand_in_order_and_end_in_nul);
    tcase_add_test(t, it_grows_byte_by_byte_without_losing_any);
    tcase_add_test(t, a_printf_of_any_length_fits);
    tcase_add_test(t, what_was_reserved_may_be_filled);
    tcase_add_test(t, after_a_failure_nothing_is_added_any_more);
    tcase_add_test(t, what_is_stolen_is_the_callers);
    tcase_add_test(t, a_json_string_is_quoted_and_escaped);
    suite_add_tcase(s, t);
    return s;
}
