/* Tests of net/spiffe: what is an ID, and which patterns take it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "net/spiffe.h"

Suite *spiffe_suite(void);

static bool is_id(const char *text)
{
    struct spiffe_id id;

    return spiffe_parse(slice_str(text), &id) == NULL;
}

START_TEST(domain_and_path_are_taken_apart)
{
    struct spiffe_id id;

    ck_assert_ptr_null(spiffe_parse(SLICE("spiffe://prod.example/ns/web-1"), &id));
    ck_assert(slice_eq(id.domain, SLICE("prod.example")));
    ck_assert(slice_eq(id.path, SLICE("/ns/web-1")));
    ck_assert_ptr_null(spiffe_parse(SLICE("spiffe://prod.example"), &id));
    ck_assert_uint_eq(id.path.n, 0);
}
END_TEST

static const char *const good[] = {
    "spiffe://a", "spiffe://a/b", "spiffe://a_b-c.9/X/y.z", "spiffe://a/...", "spiffe://1.2.3.4/x", "spiffe://a/b/c/d/e/f",
};

START_TEST(a_well_formed_id_is_read) { ck_assert_msg(is_id(good[_i]), "%s", good[_i]); }
END_TEST

static const char *const bad[] = {
    "",
    "spiffe",
    "spiffe:",
    "spiffe://",
    "spiffe:///path",
    "SPIFFE://a/b",
    "http://a/b",
    "spiffe:/a/b",
    "spiffe://A/b",
    "spiffe://a:80/b",
    "spiffe://u@a/b",
    "spiffe://a/b/",
    "spiffe://a/",
    "spiffe://a//b",
    "spiffe://a/./b",
    "spiffe://a/../b",
    "spiffe://a/..",
    "spiffe://a/b?c",
    "spiffe://a/b#c",
    "spiffe://a?c",
    "spiffe://a/%41",
    "spiffe://a/b c",
    "spiffe://a/\xc3\xa4",
    "spiffe://a/*",
    "spiffe://*/a",
    "spiffe://a/b\n",
};

START_TEST(what_two_readers_could_take_differently_is_none) { ck_assert_msg(!is_id(bad[_i]), "%s", bad[_i]); }
END_TEST

START_TEST(a_nul_inside_is_no_end)
{
    struct spiffe_id id;

    ck_assert_ptr_nonnull(spiffe_parse(slice_of("spiffe://a/b\0c", 14), &id));
    ck_assert(!spiffe_matches("spiffe://a/b", slice_of("spiffe://a/b\0", 13)));
}
END_TEST

START_TEST(too_long_is_none)
{
    char text[SPIFFE_MOST + 2];

    memset(text, 'x', sizeof text);
    memcpy(text, "spiffe://a/", 11);
    text[SPIFFE_MOST] = '\0';
    ck_assert(is_id(text));
    text[SPIFFE_MOST] = 'x';
    text[SPIFFE_MOST + 1] = '\0';
    ck_assert(!is_id(text));
    memset(text + 9, 'd', 256);
    text[9 + 256] = '\0';
    ck_assert(!is_id(text));
    text[9 + 255] = '\0';
    ck_assert(is_id(text));
}
END_TEST

static const struct {
    const char *pattern, *id;
    bool takes;
} matches[] = {
    { "spiffe://a/b", "spiffe://a/b", true },
    { "spiffe://a/b", "spiffe://a/B", false },
    { "spiffe://a/b", "spiffe://a/b/c", false },
    { "spiffe://a/b", "spiffe://a", false },
    { "spiffe://a/b", "spiffe://aa/b", false },
    { "spiffe://a/b", "spiffe://a.b/b", false },
    { "spiffe://a", "spiffe://a", true },
    { "spiffe://a", "spiffe://a/b", false },
    { "spiffe://a/*", "spiffe://a/b", true },
    { "spiffe://a/*", "spiffe://a/b/c", true },
    { "spiffe://a/*", "spiffe://a", false },
    { "spiffe://a/*", "spiffe://b/b", false },
    { "spiffe://a/ns/*", "spiffe://a/ns/x", true },
    { "spiffe://a/ns/*", "spiffe://a/ns", false },
    { "spiffe://a/ns/*", "spiffe://a/nsx/y", false },
    { "spiffe://a/ns/*/sa/web", "spiffe://a/ns/x/sa/web", true },
    { "spiffe://a/ns/*/sa/web", "spiffe://a/ns/x/y/sa/web", false },
    { "spiffe://a/ns/*/sa/web", "spiffe://a/ns/x/sa/web/z", false },
    { "spiffe://a/*/*", "spiffe://a/b", false },
    { "spiffe://a/*/*", "spiffe://a/b/c/d", true },
    { "spiffe://a/b", "spiffe://a/b/", false },
    { "spiffe://a/b", "", false },
    { "", "", false },
    { "*", "spiffe://a/b", false },
    { "spiffe://*/b", "spiffe://a/b", false },
};

START_TEST(a_pattern_takes_what_it_says_and_nothing_else)
{
    ck_assert_msg(spiffe_matches(matches[_i].pattern, slice_str(matches[_i].id)) == matches[_i].takes, "%s %s",
                  matches[_i].pattern, matches[_i].id);
}
END_TEST

START_TEST(a_star_is_a_whole_part)
{
    ck_assert_ptr_null(spiffe_pattern_wrong("spiffe://a/*/b"));
    ck_assert_ptr_nonnull(spiffe_pattern_wrong("spiffe://a/b*"));
    ck_assert_ptr_nonnull(spiffe_pattern_wrong("spiffe://a/**"));
    ck_assert_ptr_nonnull(spiffe_pattern_wrong("spiffe://*.a/b"));
}
END_TEST

#define COUNT(v) ((int)(sizeof(v) / sizeof((v)[0])))

Suite *spiffe_suite(void)
{
    Suite *s = suite_create("spiffe");
    TCase *t = tcase_create("spiffe");

    tcase_add_test(t, domain_and_path_are_taken_apart);
    tcase_add_loop_test(t, a_well_formed_id_is_read, 0, COUNT(good));
    tcase_add_loop_test(t, what_two_readers_could_take_differently_is_none, 0, COUNT(bad));
    tcase_add_test(t, a_nul_inside_is_no_end);
    tcase_add_test(t, too_long_is_none);
    tcase_add_loop_test(t, a_pattern_takes_what_it_says_and_nothing_else, 0, COUNT(matches));
    tcase_add_test(t, a_star_is_a_whole_part);
    suite_add_tcase(s, t);
    return s;
}
