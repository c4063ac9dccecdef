/*
 * context_check.c - does the context switch keep what it promises?  Stands alone (no libraries), so that it also runs under
 * an emulator:
 *
 *   aarch64-linux-gnu-gcc -std=gnu17 -O2 -Isrc -static tests/lib/context_check.c src/fiber/context.c \
 *       src/fiber/context_aarch64.S src/base/must.c -o context_check && qemu-aarch64 ./context_check
 *
 * The same with -DWEIR_CONTEXT_PORTABLE checks the ucontext form.  Exit 0 and a line for each check; the first that fails
 * is named and ends the run with 1.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "fiber/context.h"

enum { STACK = 64 * 1024, MANY = 500, ROUNDS = 100 };

static void *home, *other; /* where the main program and the context under test stand */

static void check(int good, const char *what)
{
    if (good) {
        printf("ok: %s\n", what);
        return;
    }
    printf("FAILED: %s\n", what);
    exit(1);
}

static void *stack_new(void)
{
    char *s = aligned_alloc(4096, STACK);

    if (s == NULL)
        exit(1);
    return s + STACK;
}

/* --- arguments and order --- */

static int trace[8], traced;
static uintptr_t misaligned;

static void order_entry(void *arg)
{
    _Alignas(16) volatile char probe[16] = {0};

    misaligned = (uintptr_t)probe & 15;
    trace[traced++] = *(int *)arg;
    context_switch(&other, home);
    trace[traced++] = 3;
    context_switch(&other, home);
    abort();
}

static void check_order(void)
{
    int seven = 7;

    other = context_make(stack_new(), order_entry, &seven);
    context_switch(&home, other);
    trace[traced++] = 2;
    context_switch(&home, other);
    trace[traced++] = 4;
    check(traced == 4 && trace[0] == 7 && trace[1] == 2 && trace[2] == 3 && trace[3] == 4, "the entry gets its argument; turns alternate");
    check(misaligned == 0, "the first frame is aligned");
}

/* --- registers: so many live values that every callee-saved register and the callee-saved vector halves are used --- */

#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

static uint64_t stir(uint64_t x) { return x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); }

/* Leaves with every value live and returns what they have come to; a register that is lost changes the sum. */
__attribute__((noinline)) static uint64_t integers(uint64_t seed, void **save, void **to)
{
#define DECLARE(i) register uint64_t r##i = stir(seed + i);
#define KEEP(i) __asm__ volatile("" : "+r"(r##i));
#define MIX(i) sum = stir(sum ^ r##i);
    EACH(DECLARE)
    uint64_t sum = 0;

    for (int round = 0; round < ROUNDS; round++) {
        KEEP(0) KEEP(1) KEEP(2) KEEP(3) KEEP(4) KEEP(5) KEEP(6) KEEP(7) KEEP(8) KEEP(9) KEEP(10) KEEP(11)
        context_switch(save, *to);
    }
    EACH(MIX)
    return sum;
#undef DECLARE
#undef KEEP
#undef MIX
}

__attribute__((noinline)) static double doubles(double seed, void **save, void **to)
{
#define DECLARE(i) double d##i = seed * (1.0 + (i));
#define STEP(i) d##i = d##i * 0.5 + (i);
#define MIX(i) sum = sum * 1.25 + d##i;
    EACH(DECLARE)
    double sum = 0;

    for (int round = 0; round < ROUNDS; round++) {
        EACH(STEP)
        context_switch(save, *to);
    }
    EACH(MIX)
    return sum;
#undef DECLARE
#undef STEP
#undef MIX
}

static uint64_t expected_integers(uint64_t seed)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < 12; i++)
        sum = stir(sum ^ stir(seed + i));
    return sum;
}

static double expected_doubles(double seed)
{
    double d[12], sum = 0;

    for (int i = 0; i < 12; i++)
        d[i] = seed * (1.0 + i);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 12; i++)
            d[i] = d[i] * 0.5 + i;
    for (int i = 0; i < 12; i++)
        sum = sum * 1.25 + d[i];
    return sum;
}

static uint64_t there_integers;
static double there_doubles;

static void registers_entry(void *arg)
{
    (void)arg;
    there_integers = integers(99, &other, &home);
    there_doubles = doubles(7.5, &other, &home);
    for (;;)
        context_switch(&other, home);
}

static double distance(double a, double b) { return a > b ? a - b : b - a; }

static void check_registers(void)
{
    uint64_t here;
    double here_doubles;

    other = context_make(stack_new(), registers_entry, NULL);
    here = integers(1, &home, &other);
    here_doubles = doubles(3.25, &home, &other);
    context_switch(&home, other); /* lets the other side finish its last round */
    check(here == expected_integers(1), "integer registers survive on the side that calls");
    check(there_integers == expected_integers(99), "integer registers survive in the context");
    check(distance(here_doubles, expected_doubles(3.25)) < 1e-9, "floating point survives on the side that calls");
    check(distance(there_doubles, expected_doubles(7.5)) < 1e-9, "floating point survives in the context");
}

#if defined(__aarch64__) && !defined(WEIR_CONTEXT_PORTABLE)
/* AAPCS64 makes d8-d15 the callee's to keep; a compiler rarely keeps eight at once, so they are named here. */
static void low_vectors_entry(void *arg)
{
    (void)arg;
    for (;;) {
        __asm__ volatile("fmov d8, xzr\n fmov d9, xzr\n fmov d10, xzr\n fmov d11, xzr\n"
                         "fmov d12, xzr\n fmov d13, xzr\n fmov d14, xzr\n fmov d15, xzr\n" ::
                             : "d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15");
        context_switch(&other, home);
    }
}

static void check_low_vectors(void)
{
    register double a __asm__("d8") = 1;
    register double b __asm__("d11") = 2;
    register double c __asm__("d15") = 4;

    other = context_make(stack_new(), low_vectors_entry, NULL);
    __asm__ volatile("" : "+w"(a), "+w"(b), "+w"(c));
    context_switch(&home, other);
    __asm__ volatile("" : "+w"(a), "+w"(b), "+w"(c));
    check(a + b + c == 7, "d8 to d15 survive");
}
#endif

/* --- depth --- */

static uint64_t deep_sum;

/* `depth` is the check's own, some KiB of stack. */
__attribute__((noinline)) static uint64_t dig(int depth)
{
    volatile uint64_t frame[8];

    for (int i = 0; i < 8; i++)
        frame[i] = (uint64_t)(depth * 8 + i);
    if (depth == 0)
        context_switch(&other, home);
    else
        frame[0] += dig(depth - 1);
    for (int i = 1; i < 8; i++)
        frame[0] += frame[i];
    return frame[0];
}

static void deep_entry(void *arg)
{
    (void)arg;
    deep_sum = dig(200);
    for (;;)
        context_switch(&other, home);
}

static void check_depth(void)
{
    uint64_t want = 0;

    for (uint64_t i = 0; i < 201 * 8; i++)
        want += i;
    other = context_make(stack_new(), deep_entry, NULL);
    context_switch(&home, other);
    context_switch(&home, other);
    check(deep_sum == want, "200 frames survive a switch at the bottom");
}

/* --- many --- */

static struct one {
    void *at;
    uint64_t state;
} many[MANY];

static void many_entry(void *arg)
{
    struct one *o = arg;
    uint64_t mine = o->state;

    for (;;) {
        mine = stir(mine);
        o->state = mine;
        context_switch(&o->at, home);
    }
}

static void check_many(void)
{
    int wrong = 0;

    for (int i = 0; i < MANY; i++) {
        char *s = malloc(STACK);

        if (s == NULL)
            exit(1);
        many[i].state = (uint64_t)i;
        many[i].at = context_make(s + STACK - 16 * (i % 7), many_entry, &many[i]);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < MANY; i++)
            context_switch(&home, many[i].at);
    for (int i = 0; i < MANY; i++) {
        uint64_t want = (uint64_t)i;

        for (int round = 0; round < ROUNDS; round++)
            want = stir(want);
        wrong += many[i].state != want;
    }
    check(wrong == 0, "500 contexts keep their state over 100 rounds");
}

int main(void)
{
    check_order();
    check_registers();
#if defined(__aarch64__) && !defined(WEIR_CONTEXT_PORTABLE)
    check_low_vectors();
#endif
    check_depth();
    check_many();
    return 0;
}
