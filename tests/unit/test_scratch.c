/* Tests of net/scratch: whose bytes stand in the worker's buffer, and who is told to keep them. */
#include <check.h>
#include <string.h>

#include "net/scratch.h"

Suite *scratch_suite(void);

struct keeper {
    struct scratch_user user;
    int kept;
    char first; /* of the buffer when keep() was called */
};
static char *in;

static void keep(struct scratch_user *u)
{
    struct keeper *k = (struct keeper *)(void *)u;

    k->kept++;
    k->first = in[0];
}

static struct keeper keeper(void) { return (struct keeper){ .user = { keep } }; }

START_TEST(a_user_keeps_before_another_one_reads)
{
    struct keeper a = keeper(), b = keeper();

    in = scratch_in(&a.user);
    in[0] = 'a';
    ck_assert_ptr_eq(scratch_in(&b.user), in);
    ck_assert_int_eq(a.kept, 1);
    ck_assert_int_eq(a.first, 'a');
    scratch_release(&b.user);
    scratch_free();
}
END_TEST

START_TEST(the_same_user_may_ask_again_without_keeping)
{
    struct keeper a = keeper();

    (void)scratch_in(&a.user);
    (void)scratch_in(&a.user);
    ck_assert_int_eq(a.kept, 0);
    scratch_release(&a.user);
    scratch_free();
}
END_TEST

START_TEST(a_wait_makes_the_user_keep_once)
{
    struct keeper a = keeper();

    in = scratch_in(&a.user);
    scratch_lost();
    scratch_lost();
    ck_assert_int_eq(a.kept, 1);
    scratch_free();
}
END_TEST

START_TEST(who_has_released_it_keeps_nothing)
{
    struct keeper a = keeper();

    in = scratch_in(&a.user);
    scratch_release(&a.user);
    scratch_lost();
    ck_assert_int_eq(a.kept, 0);
    scratch_free();
}
END_TEST

START_TEST(a_release_by_another_changes_nothing)
{
    struct keeper a = keeper(), b = keeper();

    in = scratch_in(&a.user);
    scratch_release(&b.user);
    scratch_lost();
    ck_assert_int_eq(a.kept, 1);
    scratch_free();
}
END_TEST

START_TEST(both_buffers_are_writable_to_their_end)
{
    struct keeper a = keeper();
    char *out = scratch_out();

    in = scratch_in(&a.user);
    memset(in, 1, SCRATCH_IN);
    memset(out, 2, SCRATCH_OUT);
    ck_assert_int_eq(in[SCRATCH_IN - 1], 1);
    scratch_release(&a.user);
    scratch_free();
}
END_TEST

START_TEST(losing_and_freeing_what_was_never_made_is_no_fault)
{
    struct keeper a = keeper();

    scratch_lost();
    scratch_release(&a.user);
    scratch_free();
    ck_assert_int_eq(a.kept, 0);
}
END_TEST

START_TEST(a_buffer_that_was_laid_by_is_taken_over_empty)
{
    struct buf a = { 0 }, b = { 0 };
    char *grown;

    buf_append(&a, "some bytes", 10);
    grown = a.p;
    scratch_give(&a);
    ck_assert(a.p == NULL && a.n == 0 && a.cap == 0);
    scratch_take(&b);
    ck_assert_ptr_eq(b.p, grown);
    ck_assert_uint_eq(b.n, 0);
    ck_assert_uint_gt(b.cap, 10);
    scratch_take(&a); /* there is no other */
    ck_assert_ptr_null(a.p);
    buf_free(&b);
    scratch_free();
}
END_TEST

START_TEST(only_an_empty_buffer_takes_over_another)
{
    struct buf a = { 0 }, b = { 0 };

    buf_add(&a, "laid by");
    buf_add(&b, "in use");
    scratch_give(&a);
    scratch_take(&b);
    ck_assert_str_eq(b.p, "in use");
    buf_free(&b);
    scratch_free(); /* frees the one that is laid by: the sanitizer looks */
}
END_TEST

START_TEST(no_more_is_laid_by_than_a_few_of_common_size)
{
    struct buf a[32] = { 0 }, large = { 0 }, b = { 0 };
    size_t got = 0;

    ck_assert(buf_reserve(&large, 1 << 20) != NULL);
    scratch_give(&large);
    scratch_take(&b);
    ck_assert_ptr_null(b.p);
    for (size_t i = 0; i < 32; i++)
        buf_add(&a[i], "x");
    for (size_t i = 0; i < 32; i++)
        scratch_give(&a[i]);
    for (size_t i = 0; i < 32; i++) {
        scratch_take(&a[i]);
        got += a[i].p != NULL;
        buf_free(&a[i]);
    }
    ck_assert_uint_gt(got, 0);
    ck_assert_uint_lt(got, 32);
    scratch_free();
}
END_TEST

Suite *scratch_suite(void)
{
    Suite *s = suite_create("scratch");
    TCase *t = tcase_create("scratch");

    tcase_add_test(t, a_user_keeps_before_another_one_reads);
    tcase_add_test(t, the_same_user_may_ask_again_without_keeping);
    tcase_add_test(t, a_wait_makes_the_user_keep_once);
    tcase_add_test(t, who_has_released_it_keeps_nothing);
    tcase_add_test(t, a_release_by_another_changes_nothing);
    tcase_add_test(t, both_buffers_are_writable_to_their_end);
    tcase_add_test(t, losing_and_freeing_what_was_never_made_is_no_fault);
    tcase_add_test(t, a_buffer_that_was_laid_by_is_taken_over_empty);
    tcase_add_test(t, only_an_empty_buffer_takes_over_another);
    tcase_add_test(t, no_more_is_laid_by_than_a_few_of_common_size);
    suite_add_tcase(s, t);
    return s;
}
