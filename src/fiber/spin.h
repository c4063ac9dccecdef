/*
 * spin.h - a lock for a few dozen instructions between threads; zeroed is free.
 *
 * Never held over a yield.  It spins a little, then gives the processor away: with more threads than processors its holder
 * may be the one who waits for it.
 * Threads: any.  Memory: the caller's.
 */
#ifndef FIBER_SPIN_H
#define FIBER_SPIN_H
#include <sched.h>
#include <stdatomic.h>

#include "base/must.h"

static inline void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void spin_lock_slowly(_Atomic int *lock)
{
    enum { ROUNDS = 100 };

    do {
        for (int i = 0; i < ROUNDS && atomic_load_explicit(lock, memory_order_relaxed) != 0; i++)
            spin_pause();
        if (atomic_load_explicit(lock, memory_order_relaxed) != 0)
            sched_yield();
    } while (atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0);
}

static inline void spin_lock(_Atomic int *lock)
{
    if (UNLIKELY(atomic_exchange_explicit(lock, 1, memory_order_acquire) != 0))
        spin_lock_slowly(lock);
}

static inline void spin_unlock(_Atomic int *lock) { atomic_store_explicit(lock, 0, memory_order_release); }
#endif
