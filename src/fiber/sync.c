/* sync.c - things are handed over: who gives a mutex or a unit back gives it to the first who waits, nobody overtakes. */
#include "fiber/sync.h"

#include "base/must.h"
#include "fiber/fiber.h"
#include "fiber/spin.h"
#include "fiber/wait_queue.h"

/* Comes with the lock, goes without it.  0: somebody has claimed this wait, and given what it was for. */
static int wait_in(struct sync_queue *q, int64_t deadline)
{
    _Atomic int claim = 0;
    struct waiter w = { .fiber = fiber_self(), .claim = &claim, .ticket = 1, .alone = true };
    int rc;

    if (deadline == 0) {
        spin_unlock(&q->lock);
        return -ERR_TIMEOUT;
    }
    wait_queue_push(&q->waiters, &w);
    spin_unlock(&q->lock);
    rc = fiber_park(&claim, deadline);
    if (rc < 0) {
        spin_lock(&q->lock);
        if (w.queued)
            wait_queue_remove(&q->waiters, &w);
        spin_unlock(&q->lock);
    }
    return rc;
}

int fiber_mutex_lock(struct fiber_mutex *m, int64_t deadline)
{
    spin_lock(&m->q.lock);
    if (m->held)
        return wait_in(&m->q, deadline); /* `held` stays true when it is handed over */
    m->held = true;
    spin_unlock(&m->q.lock);
    return 0;
}

bool fiber_mutex_try(struct fiber_mutex *m) { return fiber_mutex_lock(m, 0) == 0; }

void fiber_mutex_unlock(struct fiber_mutex *m)
{
    struct waiter *next;

    spin_lock(&m->q.lock);
    MUST(m->held);
    next = wait_queue_claim(&m->q.waiters);
    m->held = next != NULL;
    spin_unlock(&m->q.lock);
    if (next != NULL)
        fiber_wake(next->fiber, 0);
}

int fiber_cond_wait(struct fiber_cond *c, struct fiber_mutex *m, int64_t deadline)
{
    _Atomic int claim = 0;
    struct waiter w = { .fiber = fiber_self(), .claim = &claim, .ticket = 1, .alone = true };
    bool shielded;
    int rc;

    spin_lock(&c->q.lock);
    wait_queue_push(&c->q.waiters, &w);
    spin_unlock(&c->q.lock);
    fiber_mutex_unlock(m);
    rc = fiber_park(&claim, deadline);
    if (rc < 0) {
        spin_lock(&c->q.lock);
        if (w.queued)
            wait_queue_remove(&c->q.waiters, &w);
        spin_unlock(&c->q.lock);
    }
    shielded = fiber_shield(true); /* the caller relies on holding it */
    MUST(fiber_mutex_lock(m, CLOCK_NEVER) == 0);
    fiber_shield(shielded);
    return rc;
}

void fiber_cond_signal(struct fiber_cond *c)
{
    struct waiter *w;

    spin_lock(&c->q.lock);
    w = wait_queue_claim(&c->q.waiters);
    spin_unlock(&c->q.lock);
    if (w != NULL)
        fiber_wake(w->fiber, 0);
}

void fiber_cond_broadcast(struct fiber_cond *c)
{
    struct waiter *waiting = NULL;

    spin_lock(&c->q.lock);
    wait_queue_claim_all(&c->q.waiters, &waiting);
    spin_unlock(&c->q.lock);
    wait_queue_wake_all(waiting, 0);
}

void fiber_sem_init(struct fiber_sem *s, uint32_t count) { *s = (struct fiber_sem){.count = count}; }

int fiber_sem_take(struct fiber_sem *s, int64_t deadline)
{
    spin_lock(&s->q.lock);
    if (s->count == 0)
        return wait_in(&s->q, deadline);
    s->count--; /* then nobody waits: fiber_sem_give() hands over before it counts */
    spin_unlock(&s->q.lock);
    return 0;
}

void fiber_sem_give(struct fiber_sem *s)
{
    struct waiter *next;

    spin_lock(&s->q.lock);
    next = wait_queue_claim(&s->q.waiters);
    if (next == NULL) {
        MUST(s->count < UINT32_MAX);
        s->count++;
    }
    spin_unlock(&s->q.lock);
    if (next != NULL)
        fiber_wake(next->fiber, 0);
}

void wait_group_add(struct wait_group *w, int32_t n)
{
    struct waiter *waiting = NULL;

    spin_lock(&w->q.lock);
    MUST(!__builtin_add_overflow(w->count, n, &w->count) && w->count >= 0);
    if (w->count == 0)
        wait_queue_claim_all(&w->q.waiters, &waiting);
    spin_unlock(&w->q.lock);
    wait_queue_wake_all(waiting, 0);
}

void wait_group_done(struct wait_group *w) { wait_group_add(w, -1); }

int wait_group_wait(struct wait_group *w, int64_t deadline)
{
    spin_lock(&w->q.lock);
    if (w->count > 0)
        return wait_in(&w->q, deadline);
    spin_unlock(&w->q.lock);
    return 0;
}

int fiber_once(struct fiber_once *o, void (*fn)(void *), void *arg, int64_t deadline)
{
    int rc;

    if (atomic_load_explicit(&o->done, memory_order_acquire))
        return 0;
    rc = fiber_mutex_lock(&o->m, deadline);
    if (rc < 0)
        return rc;
    if (!atomic_load_explicit(&o->done, memory_order_relaxed)) {
        fn(arg);
        atomic_store_explicit(&o->done, true, memory_order_release);
    }
    fiber_mutex_unlock(&o->m);
    return 0;
}
