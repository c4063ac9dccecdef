/*
 * context.h - the switch from one stack to another.
 *
 * Promise: callee-saved registers and the stack pointer, nothing else (no signal mask, no floating-point control words).
 * The switch ends in `ret` from one single place, so that the CPU's return predictor stays balanced.
 * x86_64 and aarch64 are assembly with CFI (gdb unwinds a parked fiber); other machines, or WEIR_CONTEXT_PORTABLE, use
 * ucontext.
 * Threads: a context is resumed by the thread that made it.  Memory: the stack is the caller's.
 */
#ifndef FIBER_CONTEXT_H
#define FIBER_CONTEXT_H

#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(WEIR_CONTEXT_PORTABLE)
#define WEIR_CONTEXT_PORTABLE 1
#endif

/* Stores where the caller stands in *save and goes on at `to`; returns when something switches back to *save. */
void context_switch(void **save, void *to);

/* A context at the top of an unused stack: the first switch to it calls entry(arg), which never returns. */
void *context_make(void *stack_top, void (*entry)(void *), void *arg);
#endif
