/*
 * wait_queue.h - those who wait for one thing, first come, first served; the common part of chan.c and sync.c.
 *
 * A waiter stands on the stack of its fiber, which stays where it is while the fiber is parked.  Its claim word is 0 until
 * somebody ends the wait: another fiber with the waiter's ticket, a deadline or a cancel with CLAIM_EXPIRED.  Who claims a
 * waiter must fiber_wake() it, after having let go of the lock: the fiber may free what the lock stands in.  Who was not
 * woken by a claimer takes itself from the queue, under the lock, before its frame is gone.
 *
 * Threads: any, under the lock of whoever owns the queue.  Memory: the waiter's stack; a zeroed queue is empty.
 */
#ifndef FIBER_WAIT_QUEUE_H
#define FIBER_WAIT_QUEUE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "fiber/core.h"
#include "fiber/sync.h" /* struct wait_queue stands there, since the things of sync.h are values */

struct waiter {
    struct waiter *next, *prev;
    struct fiber *fiber;
    _Atomic int *claim; /* the cases of a select share one */
    int ticket;         /* what a claimer stores there: positive */
    bool queued;
    bool alone;         /* this is the only queue that the wait stands in */
    void *elem;         /* a channel's: where the value is, or goes to */
};

static inline void wait_queue_push(struct wait_queue *q, struct waiter *w)
{
    w->next = NULL;
    w->prev = q->last;
    *(q->last != NULL ? &q->last->next : &q->first) = w;
    q->last = w;
    w->queued = true;
}

static inline void wait_queue_remove(struct wait_queue *q, struct waiter *w)
{
    *(w->prev != NULL ? &w->prev->next : &q->first) = w->next;
    *(w->next != NULL ? &w->next->prev : &q->last) = w->prev;
    w->queued = false;
}

/*
 * A wait is claimed by who holds the lock of a queue it stands in, or by its own worker (deadline, cancel).  So on that
 * worker, under the lock of its only queue, nobody can interfere, and the locked instruction is spared.
 */
static inline bool waiter_claim(struct waiter *w)
{
    int unclaimed = 0;

    if (LIKELY(w->alone && w->fiber->sched == sched_of_thread)) {
        if (atomic_load_explicit(w->claim, memory_order_relaxed) != 0)
            return false;
        atomic_store_explicit(w->claim, w->ticket, memory_order_relaxed);
        return true;
    }
    return atomic_compare_exchange_strong_explicit(w->claim, &unclaimed, w->ticket, memory_order_acq_rel, memory_order_relaxed);
}

/* Takes the first off the queue that nobody else has claimed; NULL: no one waits. */
static inline struct waiter *wait_queue_claim(struct wait_queue *q)
{
    struct waiter *w;

    while ((w = q->first) != NULL) {
        wait_queue_remove(q, w);
        if (waiter_claim(w))
            return w;
    }
    return NULL;
}

/* Claims all; they are linked by `next`, in order, behind what *list already holds. */
static inline void wait_queue_claim_all(struct wait_queue *q, struct waiter **list)
{
    while (*list != NULL)
        list = &(*list)->next;
    while ((*list = wait_queue_claim(q)) != NULL) {
        (*list)->next = NULL;
        list = &(*list)->next;
    }
}

/* Wakes what wait_queue_claim_all() has gathered.  Without the lock. */
static inline void wait_queue_wake_all(struct waiter *list, int result)
{
    while (list != NULL) {
        struct waiter *next = list->next; /* gone as soon as it runs */

        fiber_wake(list->fiber, result);
        list = next;
    }
}
#endif
