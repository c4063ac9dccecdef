/*
 * switch.h - a context switch with what the sanitizers and valgrind must be told about it; private to src/fiber.
 *
 * Without a sanitizer each of these is the bare context_switch() or nothing.
 */
#ifndef FIBER_SWITCH_H
#define FIBER_SWITCH_H
#include "fiber/context.h"
#include "fiber/core.h"

#ifdef WEIR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEIR_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* A fiber begins on a fresh or a used stack: what its predecessor left behind means nothing. */
static inline void switch_fiber_starts(struct fiber *f)
{
#ifdef WEIR_ASAN
    __asan_unpoison_memory_region(f->stack + STACK_GUARD, (size_t)((char *)f - f->stack) - STACK_GUARD);
#endif
#ifdef WEIR_TSAN
    if (f->tsan != NULL)
        __tsan_destroy_fiber(f->tsan);
    f->tsan = __tsan_create_fiber(0);
#endif
    (void)f;
}

/* Its stack is given up. */
static inline void switch_fiber_gone(struct fiber *f)
{
#ifdef WEIR_TSAN
    if (f->tsan != NULL)
        __tsan_destroy_fiber(f->tsan);
    f->tsan = NULL;
#endif
    (void)f;
}

/* First thing on the new side.  `f` NULL: the scheduler's own stack, whose bounds the first fiber learns by coming from it. */
static inline void switch_arrived(struct sched *s, struct fiber *f)
{
#ifdef WEIR_ASAN
    if (f == NULL)
        __sanitizer_finish_switch_fiber(s->fake_stack, NULL, NULL);
    else if (s->stack_bottom != NULL)
        __sanitizer_finish_switch_fiber(f->fake_stack, NULL, NULL);
    else
        __sanitizer_finish_switch_fiber(f->fake_stack, &s->stack_bottom, &s->stack_size);
#endif
    (void)s;
    (void)f;
}

static inline void switch_leave(struct sched *s, struct fiber *from, struct fiber *to, bool for_good)
{
#ifdef WEIR_ASAN
    void **fake = for_good ? NULL : from != NULL ? &from->fake_stack : &s->fake_stack;

    if (to != NULL)
        __sanitizer_start_switch_fiber(fake, to->stack + STACK_GUARD, STACK_SIZE - STACK_GUARD);
    else
        __sanitizer_start_switch_fiber(fake, s->stack_bottom, s->stack_size);
#endif
#ifdef WEIR_TSAN
    __tsan_switch_to_fiber(to != NULL ? to->tsan : s->tsan, 0);
#endif
    (void)s;
    (void)from;
    (void)to;
    (void)for_good;
}

/* From `from` to `to`; NULL is the scheduler.  Returns when somebody switches back. */
static inline void switch_to(struct sched *s, struct fiber *from, struct fiber *to)
{
    switch_leave(s, from, to, false);
    context_switch(from != NULL ? &from->sp : &s->sp, to != NULL ? to->sp : s->sp);
    switch_arrived(s, from);
}

/* sched.c: leaves a fiber that has ended. */
_Noreturn void switch_for_good(struct sched *s, struct fiber *f);
#endif
