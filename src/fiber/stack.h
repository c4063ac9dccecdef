/*
 * stack.h - stacks for fibers: one reserved region a slab, guarded, recycled last-in first-out.
 *
 * Promise: the lowest page of every stack faults when touched (MADV_GUARD_INSTALL on Linux 6.13 and later; before that
 * mprotect, as long as the process has mappings to spare; after that an unguarded stack, which is counted and said once).
 * Memory that went deep or stood unused for a while goes back to the kernel (stack_pool_trim); huge pages are off: one
 * touched page is one page.
 *
 * Threads: a pool belongs to one scheduler.  Memory: a slab is never unmapped while the pool lives, so a stale pointer into a
 * stack is readable.
 */
#ifndef FIBER_STACK_H
#define FIBER_STACK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sanitize.h"

#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
#define STACK_SIZE (256u * 1024u) /* instrumented frames are larger */
#else
#define STACK_SIZE (64u * 1024u)
#endif
#define STACK_GUARD 4096u

struct stack_slab;
struct stack_pool {
    struct stack_slab *slabs;
    char **cold; /* stacks whose pages the kernel has back */
    uint32_t n_cold, cap_cold;
    uint32_t unguarded;
};

/* The lowest byte of an unused stack of STACK_SIZE bytes; NULL: out of memory. */
char *stack_take(struct stack_pool *p);
/* Gives its pages back to the kernel; the next stack_take() may return it. */
void stack_give_cold(struct stack_pool *p, char *stack);
void stack_pool_free(struct stack_pool *p);

/* The stack's guard that covers `address`, or NULL: whose overflow is it? */
const char *stack_guard_hit(const struct stack_pool *p, const void *address);
/* Calls fn for each stack that was ever handed out. */
void stack_each(const struct stack_pool *p, void (*fn)(char *stack, void *arg), void *arg);

/* How guards are made here: "guard pages", "mprotect", "none". */
const char *stack_guard_kind(void);
#endif
