/* Tests of base/arena; under AddressSanitizer each piece has walls of its own. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/rand.h"
#include "base/sanitize.h"
#if defined(WEIR_ASAN)
#include <sanitizer/asan_interface.h>
#endif

Suite *arena_suite(void);

START_TEST(pieces_are_aligned_apart_and_never_moved)
{
    enum { N = 2000 };
    static char *piece[N];
    static size_t size[N];
    char lent[500];
    struct arena a;

    rand_seed(1);
    arena_init(&a, lent + 1, sizeof lent - 1);
    for (int i = 0; i < N; i++) {
        size[i] = (size_t)rand_below(i % 100 == 0 ? 300000 : 200);
        piece[i] = arena_take(&a, size[i]);
        ck_assert_ptr_nonnull(piece[i]);
        ck_assert_uint_eq((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], i, size[i]);
    }
    for (int i = 0; i < N; i++)
        for (size_t j = 0; j < size[i]; j++)
            if (piece[i][j] != (char)i)
                ck_abort_msg("piece %d changed at %zu", i, j);
    arena_free(&a);
}
END_TEST

START_TEST(what_fits_into_the_lent_bytes_allocates_nothing)
{
    char lent[512];
    struct arena a;

    arena_init(&a, lent, sizeof lent);
    for (int i = 0; i < 30; i++)
        ck_assert_ptr_nonnull(arena_take(&a, 16));
#if !defined(WEIR_ASAN)
    ck_assert_ptr_null(a.chunks);
#endif
    arena_free(&a);
}
END_TEST

START_TEST(any_lent_size_and_place_will_do)
{
    static char lent[128];
    struct arena a;

    for (size_t from = 0; from < 20; from++)
        for (size_t n = 0; n < 100; n++) {
            arena_init(&a, lent + from, n);
            for (int i = 0; i < 8; i++) {
                char *p = arena_take(&a, 8);
                if (p == NULL || (p >= lent && p < lent + sizeof lent && (p < lent + from || p + 8 > lent + from + n)))
                    ck_abort_msg("from %zu, %zu bytes", from, n);
                memset(p, 'x', 8);
            }
            arena_free(&a);
        }
}
END_TEST

START_TEST(an_arena_can_be_used_again_after_it_was_freed)
{
    struct arena a;

    arena_init(&a, NULL, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(arena_take(&a, 5000));
        arena_free(&a);
    }
}
END_TEST

START_TEST(a_piece_of_nothing_is_still_a_place)
{
    struct arena a;

    arena_init(&a, NULL, 0);
    ck_assert_ptr_nonnull(arena_take(&a, 0));
    arena_free(&a);
}
END_TEST

START_TEST(a_size_that_cannot_be_is_no_piece)
{
    struct arena a;

    arena_init(&a, NULL, 0);
    ck_assert_ptr_null(arena_take(&a, SIZE_MAX));
    ck_assert_ptr_null(arena_take(&a, SIZE_MAX - 15));
    ck_assert_ptr_null(arena_take_zero(&a, (size_t)PTRDIFF_MAX));
    ck_assert_ptr_nonnull(arena_take(&a, 1)); /* and does no harm */
    arena_free(&a);
}
END_TEST

START_TEST(zeroed_pieces_are_zero)
{
    char lent[256], *p;
    struct arena a;

    memset(lent, 'x', sizeof lent);
    arena_init(&a, lent, sizeof lent);
    p = arena_take_zero(&a, 100);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(p[i], 0);
    arena_free(&a);
}
END_TEST

START_TEST(copies_end_in_nul)
{
    struct arena a;
    struct slice c;

    arena_init(&a, NULL, 0);
    c = arena_copy(&a, SLICE("abc\0d"));
    ck_assert_uint_eq(c.n, 5);
    ck_assert_mem_eq(c.p, "abc\0d", 6);
    ck_assert_str_eq(arena_copy(&a, (struct slice){ 0 }).p, "");
    ck_assert_str_eq(arena_strdup(&a, "xyz"), "xyz");
    ck_assert_str_eq(arena_printf(&a, "%s=%d", "n", 12), "n=12");
    arena_free(&a);
}
END_TEST

#if defined(WEIR_ASAN)
START_TEST(the_sanitizer_sees_one_byte_too_far)
{
    char lent[256];
    struct arena a;

    arena_init(&a, lent, sizeof lent);
    for (size_t n = 1; n < 40; n++) {
        char *p = arena_take(&a, n);
        ck_assert_int_eq(__asan_address_is_poisoned(p + n - 1), 0);
        ck_assert_int_eq(__asan_address_is_poisoned(p + n), 1);
    }
    arena_free(&a);
}
END_TEST
#endif

Suite *arena_suite(void)
{
    Suite *s = suite_create("arena");
    TCase *t = tcase_create("arena");

    tcase_add_test(t, pieces_are_aligned_apart_and_never_moved);
    tcase_add_test(t, what_fits_into_the_lent_bytes_allocates_nothing);
    tcase_add_test(t, any_lent_size_and_place_will_do);
    tcase_add_test(t, an_arena_can_be_used_again_after_it_was_freed);
    tcase_add_test(t, a_piece_of_nothing_is_still_a_place);
    tcase_add_test(t, a_size_that_cannot_be_is_no_piece);
    tcase_add_test(t, zeroed_pieces_are_zero);
    tcase_add_test(t, copies_end_in_nul);
#if defined(WEIR_ASAN)
    tcase_add_test(t, the_sanitizer_sees_one_byte_too_far);
#endif
    suite_add_tcase(s, t);
    return s;
}
