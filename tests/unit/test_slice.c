/* Tests of base/slice. */
#include <check.h>

#include "base/slice.h"

Suite *slice_suite(void);

static const struct slice nothing; /* p is NULL */

START_TEST(empty_slices_are_equal_wherever_they_stand)
{
    ck_assert(slice_eq(nothing, SLICE("")));
    ck_assert(slice_eq_nocase(SLICE(""), nothing));
    ck_assert(slice_eq(slice_str(NULL), nothing));
}
END_TEST

START_TEST(equal_means_the_same_bytes_and_as_many)
{
    ck_assert(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
    ck_assert(!slice_eq(SLICE("a\0b"), SLICE("a\0c")));
    ck_assert(!slice_eq(SLICE("a"), SLICE("ab")));
    ck_assert(!slice_eq(SLICE("a"), SLICE("A")));
}
END_TEST

START_TEST(without_case_only_ascii_letters_are_folded)
{
    for (int a = 1; a < 256; a++)
        for (int b = 1; b < 256; b++) {
            char x = (char)a, y = (char)b;
            int la = a >= 'A' && a <= 'Z' ? a + 32 : a, lb = b >= 'A' && b <= 'Z' ? b + 32 : b;
            if (slice_eq_nocase(slice_of(&x, 1), slice_of(&y, 1)) != (la == lb))
                ck_abort_msg("%d and %d", a, b);
        }
}
END_TEST

START_TEST(bytes_after_a_nul_count_without_case_too)
{
    ck_assert(!slice_eq_nocase(SLICE("a\0b"), SLICE("A\0c")));
    ck_assert(slice_eq_nocase(SLICE("a\0b"), SLICE("A\0B")));
}
END_TEST

START_TEST(a_slice_starts_with_its_beginnings_only)
{
    ck_assert(slice_starts(SLICE("abc"), SLICE("abc")));
    ck_assert(slice_starts(SLICE("abc"), SLICE("a")));
    ck_assert(slice_starts(SLICE("abc"), SLICE("")));
    ck_assert(slice_starts(nothing, SLICE("")));
    ck_assert(slice_starts(SLICE("abc"), nothing));
    ck_assert(!slice_starts(SLICE("abc"), SLICE("b")));
    ck_assert(!slice_starts(SLICE("ab"), SLICE("abc")));
}
END_TEST

Suite *slice_suite(void)
{
    Suite *s = suite_create("slice");
    TCase *t = tcase_create("slice");

    tcase_add_test(t, empty_slices_are_equal_wherever_they_stand);
    tcase_add_test(t, equal_means_the_same_bytes_and_as_many);
    tcase_add_test(t, without_case_only_ascii_letters_are_folded);
    tcase_add_test(t, bytes_after_a_nul_count_without_case_too);
    tcase_add_test(t, a_slice_starts_with_its_beginnings_only);
    suite_add_tcase(s, t);
    return s;
}
