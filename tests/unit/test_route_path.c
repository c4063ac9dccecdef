/* Tests of proxy/route_path: every spelling of a path becomes the one that routes are compared with. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rand.h"
#include "proxy/route.h"

Suite *route_path_suite(void);

static struct arena arena;

static void setup(void) { arena_init(&arena, NULL, 0); }
static void teardown(void) { arena_free(&arena); }

/* In an allocation of exactly its bytes, so that a sanitizer sees a read beyond them. */
static int plain_of(const char *path, size_t n, struct slice *in, struct slice *out)
{
    char *p = arena_take(&arena, n);

    ck_assert_ptr_nonnull(p);
    memcpy(p, path, n);
    *in = slice_of(p, n);
    *out = (struct slice){ 0 };
    return route_path(*in, &arena, out);
}

static void becomes(const char *path, const char *want)
{
    struct slice in, out;
    int rc = plain_of(path, strlen(path), &in, &out);

    ck_assert_msg(rc == 0, "%s: %s", path, err_word(rc));
    ck_assert_msg(slice_eq(out, slice_str(want)), "%s became " SLICE_FMT " and not %s", path, SLICE_ARG(out), want);
}

static void stays(const char *path)
{
    struct slice in, out;

    becomes(path, path);
    (void)plain_of(path, strlen(path), &in, &out);
    ck_assert_ptr_eq(out.p, in.p);
}

static void is_refused(const char *path)
{
    struct slice in, out;

    ck_assert_msg(plain_of(path, strlen(path), &in, &out) == -ERR_BAD_TARGET, "%s", path);
}

START_TEST(a_plain_path_is_not_copied)
{
    stays("/");
    stays("/a");
    stays("/a/");
    stays("/api/v1/users/123456");
    stays("/with-all_of.the~unreserved/and;some,others=too");
    stays("/a.b/c..d/e...f/g./h..");
    stays("*");
}
END_TEST

START_TEST(a_name_that_only_begins_with_a_dot_is_not_copied)
{
    stays("/.well-known/x");
    stays("/...");
    stays("/.../x");
    stays("/a/..b/.c./x");
}
END_TEST

START_TEST(an_escape_of_what_is_not_unreserved_stays)
{
    stays("/a%20b");
    stays("/a%2Fb");
    stays("/%2541");
    stays("/%C3%A4");
}
END_TEST

START_TEST(dot_segments_are_resolved)
{
    becomes("/.", "/");
    becomes("/./", "/");
    becomes("/a/.", "/a/");
    becomes("/a/./b", "/a/b");
    becomes("/a/..", "/");
    becomes("/a/../", "/");
    becomes("/a/../b", "/b");
    becomes("/a/b/..", "/a/");
    becomes("/a/b/../../c/./d/..", "/c/");
    becomes("/a/b/c/./../../g", "/a/g"); /* RFC 3986 5.2.4 */
}
END_TEST

START_TEST(slashes_side_by_side_are_one)
{
    becomes("//", "/");
    becomes("//exact", "/exact");
    becomes("/a//b///c////", "/a/b/c/");
    becomes("/a//../b", "/b");
    becomes("/a/b//../c", "/a/c");
}
END_TEST

START_TEST(an_escaped_unreserved_byte_is_itself)
{
    becomes("/%65xact", "/exact");
    becomes("/%41%5a%61%7A%30%39%2d%2E%5F%7e", "/AZaz09-._~");
}
END_TEST

START_TEST(an_escaped_dot_segment_is_one)
{
    becomes("/a/%2e%2e/b", "/b");
    becomes("/a/.%2E/b", "/b");
    becomes("/a/%2e/b", "/a/b");
}
END_TEST

START_TEST(an_escape_that_stays_gets_capital_digits)
{
    becomes("/a%2fb", "/a%2Fb");
    becomes("/%c3%a4", "/%C3%A4");
}
END_TEST

START_TEST(an_escape_is_decoded_once)
{
    becomes("/%252e%252e/x", "/%252e%252e/x");
    becomes("/%2541", "/%2541");
}
END_TEST

START_TEST(an_escaped_slash_is_no_slash)
{
    becomes("/a%2F..%2Fb/../c", "/c");
    becomes("/a%2f%2fb", "/a%2F%2Fb");
}
END_TEST

START_TEST(climbing_above_the_root_is_refused)
{
    is_refused("/..");
    is_refused("/../");
    is_refused("/../a");
    is_refused("/a/../..");
    is_refused("//../a");
    is_refused("/./../a");
    is_refused("/%2e%2e/a");
    is_refused("/a/b/../../../c");
}
END_TEST

START_TEST(a_malformed_escape_is_refused)
{
    is_refused("/%");
    is_refused("/%4");
    is_refused("/a%");
    is_refused("/a%4");
    is_refused("/a%4g");
    is_refused("/a%g4");
    is_refused("/a%%41");
    is_refused("/aaaaaaaaaaaaaaaaaaaa%");
}
END_TEST

START_TEST(an_escaped_nul_is_refused)
{
    is_refused("/%00");
    is_refused("/a/%00/b");
}
END_TEST

START_TEST(what_is_no_path_is_refused)
{
    is_refused("abc");
    is_refused("**");
}
END_TEST

/* The quick look over eight bytes must find it wherever it stands. */
START_TEST(what_must_change_is_seen_at_any_place_of_any_length)
{
    static const char *const bad[] = { "//", "/./", "/../", "%41" };
    char path[80];
    struct slice in, out;

    for (size_t n = 5; n < 70; n++) {
        for (size_t k = 0; k < 4; k++) {
            for (size_t at = 2; at + strlen(bad[k]) <= n; at++) {
                memset(path, 'a', n);
                path[0] = '/';
                memcpy(path + at, bad[k], strlen(bad[k]));
                ck_assert_int_eq(plain_of(path, n, &in, &out), 0);
                ck_assert_msg(out.p != in.p && out.n < n, "%.*s", (int)n, path);
            }
        }
    }
}
END_TEST

START_TEST(what_is_plain_stays_so)
{
    static const char *const pieces[] = { "/", ".", "..", "a", "%41", "%2f", "%2E", "//", "/./", "bc", "%7e", "/.." };
    char path[256];

    rand_seed(7);
    for (int round = 0; round < 20000; round++) {
        struct slice in, out, again;
        size_t n = 1, most = rand_below(20);
        path[0] = '/';
        for (size_t i = 0; i < most; i++) {
            const char *piece = pieces[rand_below(12)];
            memcpy(path + n, piece, strlen(piece));
            n += strlen(piece);
        }
        if (plain_of(path, n, &in, &out) < 0)
            continue;
        ck_assert_int_eq(route_path(out, &arena, &again), 0);
        ck_assert_msg(again.p == out.p && again.n == out.n, "%.*s", (int)n, path);
        ck_assert_msg(memmem(out.p, out.n, "//", 2) == NULL && memmem(out.p, out.n, "/./", 3) == NULL, "%.*s", (int)n, path);
        ck_assert(out.n > 0 && out.p[0] == '/' && out.n <= n);
        if (round % 100 == 0) {
            teardown();
            setup();
        }
    }
}
END_TEST

START_TEST(thirty_thousand_slashes_are_one)
{
    size_t n = 30000;
    char *path = malloc(n);
    struct slice in, out;

    ck_assert_ptr_nonnull(path);
    memset(path, '/', n);
    ck_assert_int_eq(plain_of(path, n, &in, &out), 0);
    ck_assert_uint_eq(out.n, 1);
    free(path);
}
END_TEST

Suite *route_path_suite(void)
{
    Suite *s = suite_create("route_path");
    TCase *t = tcase_create("all");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_plain_path_is_not_copied);
    tcase_add_test(t, a_name_that_only_begins_with_a_dot_is_not_copied);
    tcase_add_test(t, an_escape_of_what_is_not_unreserved_stays);
    tcase_add_test(t, dot_segments_are_resolved);
    tcase_add_test(t, slashes_side_by_side_are_one);
    tcase_add_test(t, an_escaped_unreserved_byte_is_itself);
    tcase_add_test(t, an_escaped_dot_segment_is_one);
    tcase_add_test(t, an_escape_that_stays_gets_capital_digits);
    tcase_add_test(t, an_escape_is_decoded_once);
    tcase_add_test(t, an_escaped_slash_is_no_slash);
    tcase_add_test(t, climbing_above_the_root_is_refused);
    tcase_add_test(t, a_malformed_escape_is_refused);
    tcase_add_test(t, an_escaped_nul_is_refused);
    tcase_add_test(t, what_is_no_path_is_refused);
    tcase_add_test(t, what_must_change_is_seen_at_any_place_of_any_length);
    tcase_add_test(t, what_is_plain_stays_so);
    tcase_add_test(t, thirty_thousand_slashes_are_one);
    suite_add_tcase(s, t);
    return s;
}
