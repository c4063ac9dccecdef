/* steal.c - work that has not started: a ring a worker, which idle workers empty by halves. */
#include <stdatomic.h>

#include "base/must.h"
#include "base/rand.h"
#include "fiber/core.h"

/* Everyone who shares work; changed only when workers start and end. */
static pthread_mutex_t members_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct sched *) members[SCHED_MOST];
static _Atomic uint32_t n_members; /* slots ever used */

void fresh_join(struct sched *s)
{
    uint32_t i = 0;

    (void)pthread_mutex_lock(&members_lock);
    while (atomic_load(&members[i]) != NULL)
        i++;
    MUST(i < SCHED_MOST);
    atomic_store(&members[i], s);
    if (i >= atomic_load(&n_members))
        atomic_store(&n_members, i + 1);
    s->index = i;
    (void)pthread_mutex_unlock(&members_lock);
}

/* Callers end all workers before they free any: a thief may still be looking. */
void fresh_leave(struct sched *s)
{
    (void)pthread_mutex_lock(&members_lock);
    atomic_store(&members[s->index], NULL);
    (void)pthread_mutex_unlock(&members_lock);
}

/* Owner only. */
bool fresh_put(struct sched *s, const struct fresh *w)
{
    uint32_t tail = atomic_load_explicit(&s->fresh_tail, memory_order_relaxed);

    if (tail - atomic_load_explicit(&s->fresh_head, memory_order_acquire) >= FRESH_SLOTS)
        return false;
    s->fresh[tail % FRESH_SLOTS] = *w;
    atomic_store_explicit(&s->fresh_tail, tail + 1, memory_order_seq_cst);
    return true;
}

/* From any thread: copies first, then claims; a copy that somebody else claimed meanwhile is thrown away. */
bool fresh_take(struct sched *s, struct fresh *out)
{
    uint32_t head = atomic_load_explicit(&s->fresh_head, memory_order_acquire);

    while (head != atomic_load_explicit(&s->fresh_tail, memory_order_acquire)) {
        struct fresh *slot = &s->fresh[head % FRESH_SLOTS];
        out->name = __atomic_load_n(&slot->name, __ATOMIC_RELAXED);
        out->fn = __atomic_load_n(&slot->fn, __ATOMIC_RELAXED);
        out->arg = __atomic_load_n(&slot->arg, __ATOMIC_RELAXED);
        if (atomic_compare_exchange_weak_explicit(&s->fresh_head, &head, head + 1, memory_order_acq_rel, memory_order_acquire))
            return true;
    }
    return false;
}

/* Takes one to run and moves up to half of the victim's rest to the thief's own ring. */
static bool rob(struct sched *thief, struct sched *victim, struct fresh *out)
{
    uint32_t more;

    if (!fresh_take(victim, out))
        return false;
    thief->stolen++;
    more = fresh_count(victim) / 2;
    for (struct fresh w; more > 0 && fresh_count(thief) < FRESH_SLOTS / 2 && fresh_take(victim, &w); more--) {
        MUST(fresh_put(thief, &w));
        thief->stolen++;
    }
    return true;
}

bool fresh_steal(struct sched *thief, struct fresh *out)
{
    uint32_t n = atomic_load_explicit(&n_members, memory_order_relaxed), first;

    if (n < 2)
        return false;
    first = (uint32_t)rand_below(n);
    for (uint32_t i = 0; i < n; i++) {
        struct sched *victim = atomic_load(&members[(first + i) % n]);
        if (victim != NULL && victim != thief && fresh_count(victim) > 0 && rob(thief, victim, out))
            return true;
    }
    return false;
}

/* There is more work than one: if somebody sleeps, let him take some.  A wake-up costs some 40 us across processors, so a
 * single piece of work is left to its own worker, which comes to it sooner. */
void fresh_wake_one(struct sched *busy)
{
    uint32_t n = atomic_load_explicit(&n_members, memory_order_relaxed);

    if (fresh_count(busy) < 2)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct sched *s = atomic_load(&members[i]);
        if (s != NULL && s != busy && atomic_load(&s->sleeping)) {
            sched_wake(s);
            return;
        }
    }
}
