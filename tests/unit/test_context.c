/* Tests of fiber/context: what a switch keeps.  The register-level checks that also run on aarch64 are
 * tests/lib/context_check.c. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "fiber/context.h"

Suite *context_suite(void);

enum { STACK = 128 * 1024, MANY = 300 };

static void *home, *other;

static char *stack_top(void)
{
    char *s = aligned_alloc(4096, STACK);

    ck_assert_ptr_nonnull(s);
    return s + STACK;
}

static void stack_free(char *top) { free(top - STACK); }

static int seen;
static uintptr_t frame_at;

static void once(void *arg)
{
    _Alignas(16) volatile char probe[16] = { 0 };

    frame_at = (uintptr_t)probe;
    seen = *(int *)arg;
    for (;;)
        context_switch(&other, home);
}

START_TEST(the_entry_gets_its_argument)
{
    char *top = stack_top();
    int seven = 7;

    other = context_make(top, once, &seven);
    context_switch(&home, other);

    ck_assert_int_eq(seen, 7);
    stack_free(top);
}
END_TEST

START_TEST(the_first_frame_is_aligned_wherever_the_top_is)
{
    int seven = 7;

    for (int off = 0; off < 64; off += 8) {
        char *top = stack_top();

        other = context_make(top - off, once, &seven);
        context_switch(&home, other);
        ck_assert_uint_eq(frame_at % 16, 0);
        stack_free(top);
    }
}
END_TEST

static uint64_t stir(uint64_t x) { return x * UINT64_C(6364136223846793005) + 1; }

static struct one {
    void *at;
    char *top;
    uint64_t state;
} many[MANY];

static void count(void *arg)
{
    struct one *o = arg;
    uint64_t mine = o->state;

    for (;;) {
        mine = stir(mine);
        o->state = mine;
        context_switch(&o->at, home);
    }
}

START_TEST(many_contexts_keep_their_own_state)
{
    for (int i = 0; i < MANY; i++) {
        many[i].top = stack_top();
        many[i].state = (uint64_t)i;
        many[i].at = context_make(many[i].top, count, &many[i]);
    }
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < MANY; i++)
            context_switch(&home, many[i].at);
    for (int i = 0; i < MANY; i++) {
        uint64_t want = (uint64_t)i;

        for (int round = 0; round < 50; round++)
            want = stir(want);
        ck_assert_uint_eq(many[i].state, want);
        stack_free(many[i].top);
    }
}
END_TEST

__attribute__((noinline)) static int dig(int depth)
{
    volatile int mine = depth;

    if (depth == 0)
        context_switch(&other, home);
    else
        mine += dig(depth - 1);
    return mine;
}

static void digger(void *arg)
{
    *(int *)arg = dig(100);
    for (;;)
        context_switch(&other, home);
}

START_TEST(frames_above_a_switch_survive_it)
{
    char *top = stack_top();
    int sum = 0;

    other = context_make(top, digger, &sum);
    context_switch(&home, other);
    context_switch(&home, other);

    ck_assert_int_eq(sum, 100 * 101 / 2);
    stack_free(top);
}
END_TEST

Suite *context_suite(void)
{
    Suite *s = suite_create("context");
    TCase *tc = tcase_create("switch");

#ifndef __SANITIZE_THREAD__ /* it must be told of each switch, which the scheduler does */
    tcase_add_test(tc, the_entry_gets_its_argument);
    tcase_add_test(tc, the_first_frame_is_aligned_wherever_the_top_is);
    tcase_add_test(tc, many_contexts_keep_their_own_state);
    tcase_add_test(tc, frames_above_a_switch_survive_it);
#else
    (void)the_entry_gets_its_argument, (void)the_first_frame_is_aligned_wherever_the_top_is;
    (void)many_contexts_keep_their_own_state, (void)frames_above_a_switch_survive_it;
#endif
    suite_add_tcase(s, tc);
    return s;
}
