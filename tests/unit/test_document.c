/* test_document.c - backends in JSON: what is read, and how the refusals read. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "discovery/document.h"

Suite *document_suite(void);

static struct found_list list;
static char why[SOURCE_WHY];

static void setup(void) { why[0] = '\0'; }
static void teardown(void) { found_list_free(&list); }
static int read_list(const char *text) { return document_list(slice_str(text), &list, why); }

START_TEST(a_backend_has_the_defaults_of_the_configuration)
{
    ck_assert_int_eq(read_list("[ { \"address\": \"10.0.0.1:80\" } ]"), 0);
    ck_assert_uint_eq(list.n, 1);
    ck_assert_str_eq(list.v[0].name, "10.0.0.1:80");
    ck_assert_uint_eq(list.v[0].weight, 1);
    ck_assert_uint_eq(list.v[0].priority, 0);
    ck_assert_uint_eq(list.v[0].max_connections, 0);
}
END_TEST

START_TEST(all_that_is_said_of_a_backend_is_read)
{
    ck_assert_int_eq(
        read_list("[ { \"max_connections\": 7, \"weight\": 1000, \"priority\": 3, \"address\": \"[2001:DB8::1]:80\" } ]"), 0);
    ck_assert_str_eq(list.v[0].name, "[2001:db8::1]:80");
    ck_assert_uint_eq(list.v[0].weight, 1000);
    ck_assert_uint_eq(list.v[0].priority, 3);
    ck_assert_uint_eq(list.v[0].max_connections, 7);
}
END_TEST

START_TEST(a_backup_has_priority_1_unless_it_says_more)
{
    ck_assert_int_eq(
        read_list(
            "[ { \"address\": \"10.0.0.1:80\", \"backup\": true }, { \"backup\": true, \"priority\": 4, \"address\": \"unix:/a\" } ]"),
        0);
    ck_assert_uint_eq(list.v[0].priority, 1);
    ck_assert_uint_eq(list.v[1].priority, 4);
}
END_TEST

START_TEST(a_string_stands_for_a_backend)
{
    ck_assert_int_eq(read_list("[ \"10.0.0.1:80\", \"unix:/run/app.sock\" ]"), 0);
    ck_assert_uint_eq(list.n, 2);
    ck_assert_str_eq(list.v[1].name, "unix:/run/app.sock");
}
END_TEST

START_TEST(an_empty_list_is_a_list)
{
    ck_assert_int_eq(read_list("[]"), 0);
    ck_assert_uint_eq(list.n, 0);
}
END_TEST

START_TEST(of_an_address_that_comes_twice_the_first_counts)
{
    ck_assert_int_eq(read_list("[ { \"address\": \"10.0.0.1:80\", \"weight\": 2 }, \"10.0.0.1:80\", \"10.0.0.2:80\" ]"), 0);
    ck_assert_uint_eq(list.n, 2);
    ck_assert_uint_eq(list.v[0].weight, 2);
}
END_TEST

START_TEST(names_of_other_tools_are_passed_over)
{
    ck_assert_int_eq(
        read_list("[ { \"address\": \"10.0.0.1:80\", \"zone\": \"eu-1\", \"tags\": [ { \"a\": null } ], \"id\": 4.5 } ]"), 0);
    ck_assert_uint_eq(list.n, 1);
}
END_TEST

static const struct {
    const char *text, *why;
} refused[] = {
    { "", "line 1 column 1: unexpected token near end of file" },
    { "{}", "line 1 column 1: a list is needed: [ { \"address\": \"10.0.0.1:80\" } ]" },
    { "[\n  \"10.0.0.1:80\",\n  { \"weight\": 2 }\n]", "line 3 column 3, item 2: the address is missing" },
    { "[ 7 ]", "line 1 column 3, item 1: a backend is needed: { \"address\": \"10.0.0.1:80\" }" },
    { "[ \"10.0.0.1\" ]", "line 1 column 3, item 1: address \"10.0.0.1\": no port; write 10.0.0.1:8080" },
    { "[ { \"address\": 7 } ]", "line 1 column 3, item 1: address \"\": a string like \"10.0.0.1:80\" is needed" },
    { "[ { \"address\": \"10.0.0.1:80\", \"weight\": 1001 } ]",
      "line 1 column 3, item 1: weight is a whole number from 0 to 1000" },
    { "[ { \"address\": \"10.0.0.1:80\", \"weight\": -1 } ]",
      "line 1 column 3, item 1: weight is a whole number from 0 to 1000" },
    { "[ { \"address\": \"10.0.0.1:80\", \"weight\": 1.0 } ]",
      "line 1 column 3, item 1: weight is a whole number from 0 to 1000" },
    { "[ { \"address\": \"10.0.0.1:80\", \"weight\": \"1\" } ]",
      "line 1 column 3, item 1: weight is a whole number from 0 to 1000" },
    { "[ { \"address\": \"10.0.0.1:80\", \"priority\": 10 } ]",
      "line 1 column 3, item 1: priority is a whole number from 0 to 9" },
    { "[ { \"address\": \"10.0.0.1:80\", \"max_connections\": 1000001 } ]",
      "line 1 column 3, item 1: max_connections is a whole number from 0 to 1000000" },
    { "[ { \"address\": \"10.0.0.1:80\", \"backup\": 1 } ]", "line 1 column 3, item 1: backup is true or false" },
    { "[ { \"address\": \"10.0.0.1:80\", \"wieght\": 2 } ]",
      "line 1 column 3, item 1: \"wieght\" is not known; did you mean \"weight\"?" },
    { "[ { \"address\": \"10.0.0.1:80\",\n \"address\": \"10.0.0.2:80\" } ]",
      "line 2 column 10: duplicate object key near '\"address\"'" },
    { "[ \"10.0.0.1:80\" ] x", "line 1 column 19: end of file expected near 'x'" },
    { "[ \"[1]\\\", [2, \", [ 3 ], {} ]",
      "line 1 column 3, item 1: address \"[1]\\\", [2, \": not an IPv6 address; write [::1]:8080" },
};

START_TEST(a_refusal_says_where_and_why)
{
    ck_assert_int_eq(read_list(refused[_i].text), -ERR_INVALID);
    ck_assert_str_eq(why, refused[_i].why);
}
END_TEST

START_TEST(an_item_is_found_behind_strings_and_lists_that_look_like_others)
{
    const char *text =
        "[ { \"address\": \"10.0.0.1:80\", \"x\": [ 1, [ 2, 3 ], \"],\" ] },\n\n    \"10.0.0.2:80\" , {\"weight\":0}]";

    ck_assert_int_eq(read_list(text), -ERR_INVALID);
    ck_assert_str_eq(why, "line 3 column 21, item 3: the address is missing");
}
END_TEST

START_TEST(a_text_nested_too_deep_is_refused_before_it_is_parsed)
{
    struct buf b = { 0 };

    for (int i = 0; i < 100000; i++)
        buf_add_char(&b, i % 2 == 0 ? '[' : '{');
    ck_assert_int_eq(document_list(buf_slice(&b), &list, why), -ERR_INVALID);
    ck_assert_str_eq(why, "line 1 column 17: nested deeper than 16");
    buf_free(&b);
}
END_TEST

START_TEST(a_text_that_is_too_large_is_refused)
{
    size_t n = (8u << 20) + 1;
    char *text = malloc(n);

    ck_assert_ptr_nonnull(text);
    memset(text, ' ', n);
    ck_assert_int_eq(document_list(slice_of(text, n), &list, why), -ERR_INVALID);
    ck_assert_str_eq(why, "larger than 8388608 bytes");
    free(text);
}
END_TEST

static void add_many(struct buf *b, int n)
{
    buf_add_char(b, '[');
    for (int i = 0; i < n; i++)
        buf_printf(b, "%s\"10.%d.%d.%d:80\"", i > 0 ? "," : "", i >> 16, i >> 8 & 255, i & 255);
    buf_add_char(b, ']');
}

START_TEST(as_many_backends_as_a_pool_may_have_are_read_and_no_more)
{
    struct buf b = { 0 };

    add_many(&b, FOUND_MOST);
    ck_assert_int_eq(document_list(buf_slice(&b), &list, why), 0);
    ck_assert_uint_eq(list.n, FOUND_MOST);
    ck_assert_str_eq(list.v[FOUND_MOST - 1].name, "10.0.78.31:80");
    found_list_free(&list);
    b.n = 0;
    add_many(&b, FOUND_MOST + 1);
    ck_assert_int_eq(document_list(buf_slice(&b), &list, why), -ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(why, "more than 20000 backends"));
    buf_free(&b);
}
END_TEST

START_TEST(one_backend_may_leave_out_what_it_is_called_already)
{
    struct found f;
    struct addr a;

    ck_assert_ptr_null(addr_parse("10.0.0.1:80", &a, NULL));
    ck_assert_int_eq(document_one(SLICE(""), &a, &f, why), 0);
    ck_assert(addr_equal(&f.addr, &a) && f.weight == 1);
    ck_assert_int_eq(document_one(SLICE("{ \"weight\": 0, \"address\": \"10.0.0.1:80\" }"), &a, &f, why), 0);
    ck_assert_uint_eq(f.weight, 0);
    ck_assert_int_eq(document_one(SLICE("{ \"address\": \"10.0.0.2:80\" }"), &a, &f, why), -ERR_INVALID);
    ck_assert_str_eq(why, "the address is another than the one it stands under");
}
END_TEST

START_TEST(one_backend_without_any_address_is_refused)
{
    struct found f;

    ck_assert_int_eq(document_one(SLICE(""), NULL, &f, why), -ERR_INVALID);
    ck_assert_int_eq(document_one(SLICE("{}"), NULL, &f, why), -ERR_INVALID);
    ck_assert_str_eq(why, "the address is missing");
}
END_TEST

Suite *document_suite(void)
{
    Suite *s = suite_create("document");
    TCase *t = tcase_create("document");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_backend_has_the_defaults_of_the_configuration);
    tcase_add_test(t, all_that_is_said_of_a_backend_is_read);
    tcase_add_test(t, a_backup_has_priority_1_unless_it_says_more);
    tcase_add_test(t, a_string_stands_for_a_backend);
    tcase_add_test(t, an_empty_list_is_a_list);
    tcase_add_test(t, of_an_address_that_comes_twice_the_first_counts);
    tcase_add_test(t, names_of_other_tools_are_passed_over);
    tcase_add_loop_test(t, a_refusal_says_where_and_why, 0, (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(t, an_item_is_found_behind_strings_and_lists_that_look_like_others);
    tcase_add_test(t, a_text_nested_too_deep_is_refused_before_it_is_parsed);
    tcase_add_test(t, a_text_that_is_too_large_is_refused);
    tcase_add_test(t, as_many_backends_as_a_pool_may_have_are_read_and_no_more);
    tcase_add_test(t, one_backend_may_leave_out_what_it_is_called_already);
    tcase_add_test(t, one_backend_without_any_address_is_refused);
    suite_add_tcase(s, t);
    return s;
}
