/* Tests of regular expressions whose cost is bounded, mostly beside the C library's, which say the same where both know a thing. */
#include <check.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "base/pattern.h"
#include "base/rand.h"

Suite *pattern_suite(void);

/* In pieces of `size`, so that each seam is a seam once. */
static bool found(const char *expression, struct slice text, size_t size)
{
    struct pattern *p = NULL;
    struct pattern_search *s;
    const char *why = "";
    bool is;

    ck_assert_msg(pattern_new(&p, expression, &why) == 0, "%s: %s", expression, why);
    s = pattern_search_new(p);
    ck_assert_ptr_nonnull(s);
    for (is = false; text.n > 0 && !is; text = slice_of(text.p + size, text.n - size)) {
        size = size < text.n ? size : text.n;
        is = pattern_search_feed(s, slice_of(text.p, size));
    }
    is = is || pattern_search_end(s);
    pattern_search_free(&s);
    pattern_free(&p);
    return is;
}

static bool library_finds(const char *expression, const char *text)
{
    regex_t r;
    bool is;

    ck_assert_msg(regcomp(&r, expression, REG_EXTENDED | REG_NOSUB) == 0, "%s", expression);
    is = regexec(&r, text, 0, NULL, 0) == 0;
    regfree(&r);
    return is;
}

static void check_same(const char *expression, const char *text)
{
    bool is = library_finds(expression, text);

    for (size_t size = 1; size <= 7; size += 3)
        ck_assert_msg(found(expression, slice_str(text), size) == is, "%s in \"%s\", in pieces of %zu", expression, text, size);
}

START_TEST(expressions_find_what_the_c_librarys_find)
{
    static const char *const expressions[] = {
        "",         "a",           "abc",        "a.c",          "^a",           "a$",     "^$",
        "^abc$",    "a*",          "a+b",        "ab?c",         "(ab)*c",       "(ab)+$", "a|b",
        "ab|cd|ef", "(a|b)(c|d)",  "a(b|)c",     "^(a|bc)*$",    "[abc]d",       "[^abc]", "[]x]",
        "[^]x]",    "[a-c]+[x-z]", "[a-]",       "[[:digit:]]+", "[^[:space:]]", "a{2}",   "a{2,}",
        "a{1,3}b",  "(ab){2,3}",   "a{0}b",      "a{0,1}c",      "^a{2,3}$",     "(a*)*b", "(a|ab)(c|bcd)",
        "\\.",      "\\(a\\)",     "\\\\",       "a\\{",         "^^a",          "a$$",    "(^a|b$)",
        "x(^a)",    "(a$)b",       "\\w+\\s\\w", "\\W",          "a**",          "(a+)+b", "(a?){3}b",
        "(^)*a",    "(a|b|c){2}$", "[\\]a",      "()",           "(|a)b",        "a||b",   "((a)|(b(c|d)))e",
    };
    static const char *const texts[] = {
        "",   "a",  "b",  "ab",    "abc",    "aabbcc", "abcd", "xay",  "a.c", "a c", "bcbc", "aaab", "(a)",
        "\\", "a{", "]x", "12 ab", "abab c", "cdef",   "\n",   "a\nb", "---", "aaa", "bde",  "ae",   "bce",
    };

    for (size_t i = 0; i < ARRAY_LEN(expressions); i++)
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            check_same(expressions[i], texts[k]);
}
END_TEST

/* Without anchors: where they are repeated the C library is wrong ("a(b|c*^){2}" matches no "ab"). */
static void add_random(char *out, size_t size, int depth)
{
    static const char *const atoms[] = { "a", "b", "c", ".", "[ab]", "[^a]" };
    static const char *const times[] = { "", "", "", "*", "+", "?", "{2}", "{1,2}", "{2,}", "{0,2}" };
    size_t n = 1 + rand_below(3), used;

    for (size_t i = 0; i < n; i++) {
        char part[512] = "";

        if (depth > 0 && rand_below(3) == 0) {
            char left[192] = "", right[192] = "";
            add_random(left, sizeof left, depth - 1);
            add_random(right, sizeof right, depth - 1);
            (void)snprintf(part, sizeof part, rand_below(2) == 0 ? "(%s|%s)" : "(%s%s)", left, right);
        } else {
            (void)snprintf(part, sizeof part, "%s", atoms[rand_below(ARRAY_LEN(atoms))]);
        }
        used = strlen(out);
        if (used + strlen(part) + 8 >= size)
            return;
        (void)snprintf(out + used, size - used, "%s%s", part, times[rand_below(ARRAY_LEN(times))]);
    }
}

START_TEST(random_expressions_find_what_the_c_librarys_find)
{
    rand_seed(7);
    for (int i = 0; i < 3000; i++) {
        char expression[512] = "", text[12];
        size_t n = rand_below(sizeof text);

        add_random(expression, sizeof expression, 2);
        for (size_t k = 0; k < n; k++)
            text[k] = (char)('a' + rand_below(3));
        text[n] = '\0';
        check_same(expression, text);
    }
}
END_TEST

START_TEST(every_byte_is_a_byte)
{
    char text[256];

    for (unsigned c = 0; c < 256; c++)
        text[c] = (char)c;
    ck_assert(found("^.{256}$", slice_of(text, 256), 256));
    ck_assert(found("\xfe\xff$", slice_of(text, 256), 1));
    ck_assert(found("[\xf0-\xff]{16}", slice_of(text, 256), 256));
    ck_assert(!found("[^[:cntrl:][:print:]\x80-\xff]", slice_of(text, 256), 256));
    ck_assert(found("[^a]b", slice_of("\0b", 2), 2));
}
END_TEST

START_TEST(what_makes_others_slow_takes_no_time)
{
    static const char *const expressions[] = { "a.*b.*c.*d", "(a*)*b", "(a|a)*b", "(a?){300}a{300}b", "[^b]*[bc]", "(.*.*.*)*x" };
    size_t n = 64u * 1024;
    char *text = malloc(n);
    int64_t began = clock_now();

    ck_assert_ptr_nonnull(text);
    memset(text, 'a', n);
    for (size_t i = 0; i < ARRAY_LEN(expressions); i++)
        ck_assert(!found(expressions[i], slice_of(text, n), n));
    free(text);
    ck_assert_int_lt(clock_now() - began, 60 * CLOCK_S); /* one of them alone would take others hours */
}
END_TEST

START_TEST(what_is_no_expression_is_refused_with_a_reason)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "(a", "a ( has no )" },
        { "a)", "a ) has no (; a parenthesis itself is written \\)" },
        { "[a", "a [ has no ]" },
        { "[", "a [ has no ]" },
        { "[[:nope:]]", "no such class; write one like [[:alpha:]]" },
        { "[[.a.]]", "collating elements are not available" },
        { "[z-a]", "a range goes backwards; write the lower byte first" },
        { "*a", "nothing stands before the * + or ? that could be repeated" },
        { "a|+", "nothing stands before the * + or ? that could be repeated" },
        { "(?:a)", "nothing stands before the * + or ? that could be repeated" },
        { "{2}", "nothing stands before the { that could be repeated; a brace itself is written \\{" },
        { "a{x}", "a { stands before no numbers; write x{3}, x{3,} or x{3,5}, and \\{ for a brace itself" },
        { "a{2", "a { stands before no numbers; write x{3}, x{3,} or x{3,5}, and \\{ for a brace itself" },
        { "a{3,2}", "a { stands before no numbers; write x{3}, x{3,} or x{3,5}, and \\{ for a brace itself" },
        { "a{99999999999}", "more than 1000 times" },
        { "a\\", "nothing stands behind the last \\" },
        { "(a)\\1", "back-references are not available: matching them may take for ever" },
        { "\\d", "\\ before a letter means something only as \\w, \\W, \\s and \\S" },
        { "((((a{99}){99}){99}){99}){99}", "too large: an expression has at most 1000 bytes, and x{9} counts nine times" },
        { "(((((((((((((((((((((a)))))))))))))))))))))", "too many ( in one another; there are at most 20" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pattern *p = NULL;
        const char *why = "";
        ck_assert_int_eq(pattern_new(&p, cases[i].text, &why), -ERR_INVALID);
        ck_assert_str_eq(why, cases[i].why);
        ck_assert_ptr_null(p);
    }
}
END_TEST

START_TEST(an_expression_may_be_as_large_as_is_said_and_no_larger)
{
    char text[1002];
    struct pattern *p = NULL;
    const char *why = "";

    memset(text, 'a', sizeof text);
    text[999] = '\0';
    ck_assert(found(text, slice_str(text), 100));
    text[999] = 'a';
    text[1000] = '\0';
    ck_assert_int_eq(pattern_new(&p, text, &why), -ERR_INVALID);
}
END_TEST

Suite *pattern_suite(void)
{
    Suite *s = suite_create("pattern");
    TCase *t = tcase_create("pattern");

    tcase_set_timeout(t, 240);
    tcase_add_test(t, expressions_find_what_the_c_librarys_find);
    tcase_add_test(t, random_expressions_find_what_the_c_librarys_find);
    tcase_add_test(t, every_byte_is_a_byte);
    tcase_add_test(t, what_makes_others_slow_takes_no_time);
    tcase_add_test(t, what_is_no_expression_is_refused_with_a_reason);
    tcase_add_test(t, an_expression_may_be_as_large_as_is_said_and_no_larger);
    suite_add_tcase(s, t);
    return s;
}
