/* context.c - the first frame of a stack, and the switch by ucontext where there is no assembly. */
#include "fiber/context.h"

#include <stdint.h>
#include <string.h>

#include "base/must.h"

#ifndef WEIR_CONTEXT_PORTABLE

void context_entry(void); /* in assembly; never called from C */

#if defined(__x86_64__)
void *context_make(void *stack_top, void (*entry)(void *), void *arg)
{
    uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
    void **sp = (void **)top;

    sp -= 2; /* at context_entry the stack pointer is a multiple of 16, as `call` wants it */
    sp[0] = NULL;
    sp[1] = NULL;
    *--sp = (void *)(uintptr_t)context_entry;
    sp -= 6; /* r15 r14 r13 r12 rbx rbp */
    memset(sp, 0, 6 * sizeof *sp);
    sp[2] = arg;
    sp[3] = (void *)(uintptr_t)entry;
    return sp;
}
#else /* aarch64 */
void *context_make(void *stack_top, void (*entry)(void *), void *arg)
{
    uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
    void **sp = (void **)(top - 160);

    memset(sp, 0, 160);
    sp[0] = (void *)(uintptr_t)entry;          /* x19 */
    sp[1] = arg;                               /* x20 */
    sp[11] = (void *)(uintptr_t)context_entry; /* x30 */
    return sp;
}
#endif

#else /* ucontext */
#include <ucontext.h>

struct first {
    ucontext_t uc;
    void (*entry)(void *);
    void *arg;
};

static void trampoline(unsigned high, unsigned low)
{
    struct first *f = (struct first *)(((uintptr_t)high << 16 << 16) | low);

    f->entry(f->arg);
    MUST(!"a fiber's entry returned");
}

void context_switch(void **save, void *to)
{
    ucontext_t here; /* stays valid: it stands on the very stack that is left */

    *save = &here;
    MUST(swapcontext(&here, to) == 0);
}

void *context_make(void *stack_top, void (*entry)(void *), void *arg)
{
    enum { USABLE = 32 * 1024 }; /* ucontext only needs a size; the guard below is the real end */
    struct first *f = (struct first *)(((uintptr_t)stack_top - sizeof *f) & ~(uintptr_t)63);

    MUST(getcontext(&f->uc) == 0);
    f->uc.uc_stack.ss_sp = (char *)f - USABLE;
    f->uc.uc_stack.ss_size = USABLE;
    f->uc.uc_link = NULL;
    f->entry = entry;
    f->arg = arg;
    makecontext(&f->uc, (void (*)(void))trampoline, 2, (unsigned)((uintptr_t)f >> 16 >> 16), (unsigned)(uintptr_t)f);
    return &f->uc;
}
#endif
