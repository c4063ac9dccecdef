/*
 * call.h - having something done on another thread, and waiting for it.
 *
 * fn(arg) runs in a fiber of the other scheduler and may yield there; the calling fiber waits until it has ended, whether it is
 * called off or not: what `arg` points to may stand on its stack.
 * Threads: from a fiber of any scheduler.  Memory: none.
 */
#ifndef FIBER_CALL_H
#define FIBER_CALL_H
#include "fiber/sched.h"

/* 0; -ERR_NOMEM: it was not called. */
int fiber_call(struct sched *on, const char *name, void (*fn)(void *), void *arg);
#endif
