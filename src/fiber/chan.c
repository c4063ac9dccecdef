/* chan.c - channels: a ring, two queues of waiters, one spin lock; values go straight from stack to stack. */
#include "fiber/chan.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/rand.h"
#include "fiber/fiber.h"
#include "fiber/spin.h"
#include "fiber/wait_queue.h"

enum { CHAN_MAGIC = 0x4348414e };

struct chan {
    uint32_t magic;
    _Atomic int lock; /* guards all below */
    bool closed;
    size_t elem_size, capacity;
    size_t head, count;                   /* the ring: its oldest, and how many */
    struct wait_queue senders, receivers; /* never both; receivers wait only while the ring is empty, senders while it is full */
    _Alignas(16) unsigned char ring[];
};

struct chan *chan_new(size_t elem_size, size_t capacity)
{
    struct chan *c;
    size_t size;

    if (__builtin_mul_overflow(elem_size, capacity, &size) || __builtin_add_overflow(size, sizeof *c, &size))
        return NULL;
    c = malloc(size);
    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof *c);
    c->magic = CHAN_MAGIC;
    c->elem_size = elem_size;
    c->capacity = capacity;
    return c;
}

void chan_free(struct chan **cp)
{
    struct chan *c = *cp;

    *cp = NULL;
    if (c == NULL)
        return;
    MUST_BE(c, CHAN_MAGIC);
    MUST(c->senders.first == NULL && c->receivers.first == NULL);
    c->magic = 0;
    free(c);
}

/* A call of memcpy() costs as much as the rest; most elements are one word. */
static inline void copy(void *to, const void *from, size_t n)
{
    if (LIKELY(n == sizeof(uint64_t)))
        __builtin_memcpy(to, from, sizeof(uint64_t));
    else if (n > 0)
        memcpy(to, from, n);
}

static inline void *ring_slot(struct chan *c, size_t i)
{
    size_t at = c->head + i;

    return c->ring + (at >= c->capacity ? at - c->capacity : at) * c->elem_size;
}

static inline void ring_put(struct chan *c, const void *elem) { copy(ring_slot(c, c->count++), elem, c->elem_size); }

static inline void ring_take(struct chan *c, void *elem)
{
    copy(elem, ring_slot(c, 0), c->elem_size);
    c->head = c->head + 1 == c->capacity ? 0 : c->head + 1;
    c->count--;
}

/* Under the lock: 0, -ERR_CLOSED, or -ERR_AGAIN if one would have to wait.  *partner is whom the caller has to wake. */
static inline int try_send(struct chan *c, const void *elem, struct waiter **partner)
{
    struct waiter *w;

    if (UNLIKELY(c->closed))
        return -ERR_CLOSED;
    w = wait_queue_claim(&c->receivers);
    if (w != NULL) {
        copy(w->elem, elem, c->elem_size);
        *partner = w;
        return 0;
    }
    if (c->count == c->capacity)
        return -ERR_AGAIN;
    ring_put(c, elem);
    return 0;
}

static inline int try_recv(struct chan *c, void *elem, struct waiter **partner)
{
    struct waiter *w;

    if (c->count > 0) {
        ring_take(c, elem);
        w = wait_queue_claim(&c->senders);
        if (w != NULL)
            ring_put(c, w->elem);
        *partner = w;
        return 0;
    }
    w = wait_queue_claim(&c->senders); /* with a ring: none, for it is not full */
    if (w != NULL) {
        copy(elem, w->elem, c->elem_size);
        *partner = w;
        return 0;
    }
    return c->closed ? -ERR_CLOSED : -ERR_AGAIN;
}

/* After a deadline or a cancel: nobody has taken the waiter off its queue. */
__attribute__((noinline, cold)) static void give_up(struct chan *c, struct wait_queue *q, struct waiter *w)
{
    spin_lock(&c->lock);
    if (w->queued)
        wait_queue_remove(q, w);
    spin_unlock(&c->lock);
}

/* Comes with the lock, goes without it. */
static int wait_in(struct chan *c, struct wait_queue *q, void *elem, int64_t deadline)
{
    _Atomic int claim = 0;
    struct waiter w; /* field by field: the links are set by pushing it */
    int rc;

    if (deadline == 0) {
        spin_unlock(&c->lock);
        return -ERR_TIMEOUT;
    }
    w.fiber = sched_of_thread->running;
    w.claim = &claim;
    w.ticket = 1;
    w.alone = true;
    w.elem = elem;
    wait_queue_push(q, &w);
    spin_unlock(&c->lock);
    rc = fiber_park(&claim, deadline);
    if (UNLIKELY(rc == -ERR_TIMEOUT || rc == -ERR_CANCELED))
        give_up(c, q, &w);
    return rc;
}

int chan_send(struct chan *c, const void *elem, int64_t deadline)
{
    struct waiter *partner = NULL;
    int rc;

    MUST_BE(c, CHAN_MAGIC);
    spin_lock(&c->lock);
    rc = try_send(c, elem, &partner);
    if (rc == -ERR_AGAIN)
        return wait_in(c, &c->senders, (void *)(uintptr_t)elem, deadline); /* only read from */
    spin_unlock(&c->lock);
    if (partner != NULL)
        fiber_wake(partner->fiber, 0);
    return rc;
}

int chan_recv(struct chan *c, void *elem, int64_t deadline)
{
    struct waiter *partner = NULL;
    int rc;

    MUST_BE(c, CHAN_MAGIC);
    spin_lock(&c->lock);
    rc = try_recv(c, elem, &partner);
    if (rc == -ERR_AGAIN)
        return wait_in(c, &c->receivers, elem, deadline);
    spin_unlock(&c->lock);
    if (partner != NULL)
        fiber_wake(partner->fiber, 0);
    return rc;
}

void chan_close(struct chan *c)
{
    struct waiter *waiting = NULL;

    MUST_BE(c, CHAN_MAGIC);
    spin_lock(&c->lock);
    c->closed = true;
    wait_queue_claim_all(&c->senders, &waiting);
    wait_queue_claim_all(&c->receivers, &waiting);
    spin_unlock(&c->lock);
    wait_queue_wake_all(waiting, -ERR_CLOSED);
}

/*
 * Select holds the locks of all its channels while it looks and while it queues, taken in the order of their addresses: it
 * is then either in no queue or in all, and a partner never has to claim two waits at once.
 */
struct locks {
    struct chan *chan[CHAN_CASES_MOST];
    int n;
};

static void lock_all(struct locks *l, const struct chan_case *cases, int n)
{
    l->n = 0;
    for (int i = 0; i < n; i++) {
        struct chan *c = cases[i].chan;
        int at = l->n;

        if (c == NULL)
            continue;
        MUST_BE(c, CHAN_MAGIC);
        while (at > 0 && (uintptr_t)l->chan[at - 1] > (uintptr_t)c)
            at--;
        if (at > 0 && l->chan[at - 1] == c)
            continue;
        for (int k = l->n++; k > at; k--)
            l->chan[k] = l->chan[k - 1];
        l->chan[at] = c;
    }
    for (int i = 0; i < l->n; i++)
        spin_lock(&l->chan[i]->lock);
}

static void unlock_all(struct locks *l)
{
    for (int i = 0; i < l->n; i++)
        spin_unlock(&l->chan[i]->lock);
}

/* Not sure to be: who waits there may have given up. */
static bool seems_ready(const struct chan_case *k)
{
    const struct chan *c = k->chan;

    if (c == NULL)
        return false;
    if (k->op == CHAN_SEND)
        return c->closed || c->receivers.first != NULL || c->count < c->capacity;
    return c->closed || c->senders.first != NULL || c->count > 0;
}

/* Does one of the ready cases, each as likely as the other; its index, or -ERR_AGAIN. */
static int try_cases(struct chan_case *cases, int n, struct waiter **partner)
{
    int ready[CHAN_CASES_MOST], left = 0;

    for (int i = 0; i < n; i++) {
        if (seems_ready(&cases[i]))
            ready[left++] = i;
    }
    while (left > 0) {
        int pick = left == 1 ? 0 : (int)rand_below((uint64_t)left);
        struct chan_case *k = &cases[ready[pick]];

        k->result = k->op == CHAN_SEND ? try_send(k->chan, k->elem, partner) : try_recv(k->chan, k->elem, partner);
        if (k->result != -ERR_AGAIN)
            return ready[pick];
        ready[pick] = ready[--left];
    }
    return -ERR_AGAIN;
}

static struct wait_queue *case_queue(const struct chan_case *k)
{
    return k->op == CHAN_SEND ? &k->chan->senders : &k->chan->receivers;
}

static void queue_cases(const struct chan_case *cases, int n, struct waiter *waiters, _Atomic int *claim)
{
    struct fiber *self = fiber_self();

    for (int i = 0; i < n; i++) {
        struct waiter *w = &waiters[i];

        if (cases[i].chan == NULL)
            continue;
        w->fiber = self;
        w->claim = claim;
        w->ticket = i + 1;
        w->alone = n == 1;
        w->elem = cases[i].elem;
        wait_queue_push(case_queue(&cases[i]), w);
    }
}

/* Leaves all queues but that of `taken`, whose partner has seen to it (and its channel may be gone). */
static void leave_cases(const struct chan_case *cases, int n, struct waiter *waiters, int taken)
{
    for (int i = 0; i < n; i++) {
        struct chan *c = cases[i].chan;

        if (c == NULL || i == taken)
            continue;
        spin_lock(&c->lock);
        if (waiters[i].queued)
            wait_queue_remove(case_queue(&cases[i]), &waiters[i]);
        spin_unlock(&c->lock);
    }
}

/* Comes with the locks, goes without them. */
static int wait_for_cases(struct chan_case *cases, int n, struct locks *l, int64_t deadline)
{
    struct waiter waiters[CHAN_CASES_MOST];
    _Atomic int claim = 0;
    int rc, taken;

    queue_cases(cases, n, waiters, &claim);
    unlock_all(l);
    rc = fiber_park(&claim, deadline);
    taken = atomic_load_explicit(&claim, memory_order_relaxed) - 1; /* the wake-up has ordered it */
    leave_cases(cases, n, waiters, taken);
    if (taken < 0)
        return rc;
    cases[taken].result = rc;
    return taken;
}

int chan_select(struct chan_case *cases, int n, int64_t deadline)
{
    struct waiter *partner = NULL;
    struct locks l;
    int taken;

    MUST(n >= 0 && n <= CHAN_CASES_MOST);
    lock_all(&l, cases, n);
    taken = try_cases(cases, n, &partner);
    if (taken < 0 && deadline != 0)
        return wait_for_cases(cases, n, &l, deadline);
    unlock_all(&l);
    if (partner != NULL)
        fiber_wake(partner->fiber, 0);
    return taken < 0 ? -ERR_TIMEOUT : taken;
}
