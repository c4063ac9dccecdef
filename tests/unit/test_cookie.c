/* Tests of http/cookie: which value is found, and what is left of a field when a cookie is taken out. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/cookie.h"

Suite *cookie_suite(void);

static struct arena arena;
static struct header fields[4];
static struct message m;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    m = (struct message){ .headers = fields, .cap_headers = ARRAY_LEN(fields) };
}

static void teardown(void) { arena_free(&arena); }

/* Copies, so that a sanitizer sees a read beyond the value. */
static void add(const char *name, const char *value)
{
    struct slice copy = slice_of(arena_take(&arena, strlen(value) + 1), strlen(value));

    ck_assert_ptr_nonnull(copy.p);
    memcpy((char *)(uintptr_t)copy.p, value, copy.n);
    ck_assert_int_eq(message_add(&m, slice_str(name), copy), 0);
}

/* All values of "weir", in order, each in brackets. */
static const char *found(void)
{
    static char text[256];
    struct cookie_walk w = cookie_walk_of(&m);
    struct slice value;
    size_t n = 0;

    text[0] = '\0';
    while (cookie_next(&w, SLICE("weir"), &value))
        n += (size_t)snprintf(text + n, sizeof text - n, "[" SLICE_FMT "]", SLICE_ARG(value));
    return text;
}

START_TEST(a_value_is_found_by_its_exact_name)
{
    static const struct {
        const char *field, *values;
    } cases[] = {
        { "weir=a", "[a]" },
        { "weir=", "[]" },
        { "weir", "" },
        { "", "" },
        { ";", "" },
        { "=", "" },
        { "=weir", "" },
        { "x=1; weir=a", "[a]" },
        { "weir=a; x=1", "[a]" },
        { "x=1;weir=a;y=2", "[a]" },
        { " \t x=1 ; \t weir = a \t; y=2", "[a]" },
        { "weir=a; weir=b", "[a][b]" },
        { "Weir=a; WEIR=b", "" },
        { "weirx=a; xweir=b; wei=c", "" },
        { "x=weir=a", "" },
        { "weir=a=b=", "[a=b=]" },
        { "weir=\"a b\"", "[a b]" },
        { "weir=\"\"", "[]" },
        { "weir=\"", "[\"]" },
        { "weir=\"a", "[\"a]" },
        { "weir=\"a;x=1", "[\"a]" },
        { "x=\"; weir=a; \"", "[a]" }, /* RFC 6265: a ';' ends a pair, quotes or not */
        { ";;weir=a;;", "[a]" },
        { "weir=a,b", "[a,b]" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        m.n_headers = 0;
        add("Cookie", cases[i].field);
        ck_assert_msg(strcmp(found(), cases[i].values) == 0, "%s: %s", cases[i].field, found());
    }
}
END_TEST

START_TEST(several_fields_are_one_list)
{
    add("Cookie", "a=1; weir=x");
    add("X-Cookie", "weir=no");
    add("cookie", "weir=y");
    ck_assert_str_eq(found(), "[x][y]");
}
END_TEST

START_TEST(a_dropped_field_holds_nothing)
{
    add("Cookie", "weir=x");
    add("Cookie", "weir=y");
    fields[0].dropped = true;
    ck_assert_str_eq(found(), "[y]");
}
END_TEST

START_TEST(what_is_left_is_byte_for_byte_what_was_there)
{
    static const struct {
        const char *before, *after; /* NULL: the field is dropped */
    } cases[] = {
        { "weir=a", NULL },
        { "weir=a;", NULL },
        { "weir=a; ", NULL },
        { "weir=a; weir=b", NULL },
        { "a=1; weir=x; b=2", "a=1; b=2" },
        { "weir=x; b=2", "b=2" },
        { "weir=x;b=2;  c=\"3 \"", "b=2;  c=\"3 \"" },
        { "a=1; weir=x", "a=1" },
        { "a=1;weir=x;b=2", "a=1;b=2" },
        { "a=1 ;weir=x ;  b=2", "a=1 ;  b=2" },
        { "a=1; weir=x;", "a=1;" },
        { "weir=x; a=1; weir=y; b=2; weir=z", "a=1; b=2" },
        { "a=1; Weir=x", "a=1; Weir=x" },
        { "weir; a", "weir; a" },
        { "a", "a" },
        { ";;;", ";;;" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        m.n_headers = 0;
        add("Cookie", cases[i].before);
        ck_assert_int_eq(cookie_remove(&m, SLICE("weir"), &arena), 0);
        ck_assert_int_eq(fields[0].dropped, cases[i].after == NULL);
        if (cases[i].after != NULL)
            ck_assert_msg(slice_eq(header_value_of(&fields[0]), slice_str(cases[i].after)), "%s: " SLICE_FMT, cases[i].before,
                          SLICE_ARG(header_value_of(&fields[0])));
        ck_assert_str_eq(found(), "");
    }
}
END_TEST

START_TEST(a_field_without_it_is_not_even_copied)
{
    const char *was;

    add("Cookie", "a=1; b=2");
    add("Cookie", "c=3; weir=x");
    was = fields[0].value;
    ck_assert_int_eq(cookie_remove(&m, SLICE("weir"), &arena), 0);
    ck_assert_ptr_eq(fields[0].value, was);
    ck_assert(slice_eq(header_value_of(&fields[1]), SLICE("c=3")));
}
END_TEST

Suite *cookie_suite(void)
{
    Suite *s = suite_create("cookie");
    TCase *t = tcase_create("cookie");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_value_is_found_by_its_exact_name);
    tcase_add_test(t, several_fields_are_one_list);
    tcase_add_test(t, a_dropped_field_holds_nothing);
    tcase_add_test(t, what_is_left_is_byte_for_byte_what_was_there);
    tcase_add_test(t, a_field_without_it_is_not_even_copied);
    suite_add_tcase(s, t);
    return s;
}
