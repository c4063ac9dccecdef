/* fiber.c - what a fiber does to itself and to its like: start, park, wake, end. */
#include "fiber/fiber.h"

#include <string.h>

#include "base/must.h"
#include "fiber/context.h"
#include "fiber/core.h"
#include "fiber/switch.h"

#define CACHE_LINE 64u
#define COLOURS 6u /* stack tops spread over cache sets: fibers parked alike would evict one another */

static void fiber_main(void *arg);
static void park_timed_out(struct timer *t);

static struct fiber *fiber_on_new_stack(struct sched *s)
{
    char *stack = stack_take(&s->stacks);
    struct fiber *f;
    uintptr_t top;

    if (stack == NULL)
        return NULL;
    top = (uintptr_t)stack + STACK_SIZE - (s->next_id % COLOURS) * CACHE_LINE;
    f = (struct fiber *)((top - sizeof *f) & ~(uintptr_t)(CACHE_LINE - 1));
    memset(f, 0, sizeof *f);
    f->magic = FIBER_MAGIC;
    f->stack = stack;
    f->sched = s;
    timer_init(&f->timer, park_timed_out);
    list_init(&f->in_group);
    return f;
}

struct fiber *fiber_new(struct sched *s, struct group *g, const char *name, fiber_fn *fn, void *arg)
{
    struct fiber *f = s->free;

    if (LIKELY(f != NULL)) {
        s->free = f->next;
        if (--s->n_free < s->n_free_least)
            s->n_free_least = s->n_free;
    } else {
        f = fiber_on_new_stack(s);
        if (f == NULL)
            return NULL;
    }
    f->fn = fn;
    f->arg = arg;
    f->name = f->doing = name;
    f->since = s->now;
    f->subject = NULL;
    f->cause = 0;
    f->shielded = false;
    f->id = ++s->next_id;
    f->group = g;
    switch_fiber_starts(f);
    f->sp = context_make(f, fiber_main, f);
    if (g != NULL)
        group_add(g, f);
    s->n_fibers++;
    s->started++;
    return f;
}

int fiber_go(struct group *g, const char *name, fiber_fn *fn, void *arg)
{
    struct sched *s = sched_of_thread;
    struct fiber *f = fiber_new(s, g, name, fn, arg);

    if (f == NULL)
        return -ERR_NOMEM;
    sched_ready(s, f);
    return 0;
}

int fiber_go_anywhere(const char *name, fiber_fn *fn, void *arg)
{
    struct sched *s = sched_of_thread;
    struct fresh work = { name, fn, arg };

    if (!s->steals || !fresh_put(s, &work))
        return fiber_go(NULL, name, fn, arg);
    fresh_wake_one(s);
    return 0;
}

/* The stack goes on the free list while we still stand on it: nobody takes it before the switch, on this thread. */
static void fiber_end(struct sched *s, struct fiber *f)
{
    if (f->group != NULL)
        group_remove(f->group, f);
    f->state = FIBER_UNUSED;
    f->next = s->free;
    s->free = f;
    s->n_free++;
    s->n_fibers--;
    switch_for_good(s, f);
}

static void fiber_main(void *arg)
{
    struct fiber *f = arg;

    switch_arrived(f->sched, f);
    f->fn(f->arg);
    fiber_end(f->sched, f);
}

struct fiber *fiber_self(void) { return sched_of_thread == NULL ? NULL : sched_of_thread->running; }
int64_t fiber_now(void) { return sched_of_thread->now; }

void fiber_doing(const char *what)
{
    struct sched *s = sched_of_thread;

    s->running->doing = what;
    s->running->since = s->now;
}

void fiber_about(const void *subject) { sched_of_thread->running->subject = subject; }

/* Somebody may have claimed this wait already; then the wake-up is theirs and under way. */
static bool claim_expired(struct fiber *f)
{
    int unclaimed = 0;

    return f->claim == NULL || atomic_compare_exchange_strong(f->claim, &unclaimed, CLAIM_EXPIRED);
}

static void wake_here(struct fiber *f, int result)
{
    f->claim = NULL;
    f->result = result;
    sched_ready(f->sched, f);
}

static void park_timed_out(struct timer *t)
{
    struct fiber *f = CONTAINER_OF(t, struct fiber, timer);

    if (f->state != FIBER_PARKED || f->deadline == CLOCK_NEVER)
        return; /* left over from an earlier wait */
    if (f->deadline > f->sched->now)
        timer_arm(t, f->deadline);
    else if (claim_expired(f))
        wake_here(f, -ERR_TIMEOUT);
}

int fiber_park(_Atomic int *claim, int64_t deadline)
{
    struct sched *s = sched_of_thread;
    struct fiber *f = s->running;

    MUST(f != NULL);
    f->claim = claim;
    if (UNLIKELY(f->cause != 0 && !f->shielded) && claim_expired(f))
        return -ERR_CANCELED;
    f->deadline = deadline;
    if (deadline != CLOCK_NEVER && (!timer_is_armed(&f->timer) || f->timer.when > deadline)) {
        if (deadline <= s->now && claim_expired(f))
            return -ERR_TIMEOUT;
        timer_wheel_arm(&s->wheel, &f->timer, deadline);
    }
    f->state = FIBER_PARKED;
    fiber_switch_out(s, f);
    return f->result;
}

static void wake_by_mail(struct mail *m)
{
    struct fiber *f = CONTAINER_OF(m, struct fiber, mail);

    MUST_BE(f, FIBER_MAGIC);
    MUST(f->state == FIBER_PARKED);
    f->claim = NULL;
    sched_ready(f->sched, f);
}

void fiber_wake(struct fiber *f, int result)
{
    MUST_BE(f, FIBER_MAGIC);
    if (f->sched != sched_of_thread) {
        f->result = result;
        f->mail.fn = wake_by_mail;
        mailbox_send(&f->sched->inbox, &f->mail);
        return;
    }
    MUST(f->state == FIBER_PARKED);
    wake_here(f, result);
}

void fiber_cancel(struct fiber *f, int cause)
{
    MUST_BE(f, FIBER_MAGIC);
    MUST(f->sched == sched_of_thread);
    if (f->state == FIBER_UNUSED || f->cause != 0)
        return;
    f->cause = cause;
    if (f->state == FIBER_PARKED && !f->shielded && claim_expired(f))
        wake_here(f, -ERR_CANCELED);
}

int fiber_cause(void) { return sched_of_thread->running->cause; }

bool fiber_shield(bool on)
{
    struct fiber *f = sched_of_thread->running;
    bool was = f->shielded;

    f->shielded = on;
    return was;
}

void fiber_yield(void)
{
    struct sched *s = sched_of_thread;
    struct fiber *f = s->running;

    MUST(f != NULL);
    sched_ready(s, f);
    fiber_switch_out(s, f);
}

int fiber_sleep(int64_t until)
{
    int rc = fiber_park(NULL, until);

    return rc == -ERR_TIMEOUT ? 0 : rc;
}

void fiber_on_thread_stack(void (*fn)(void *), void *arg)
{
    struct sched *s = sched_of_thread;
    struct fiber *f = s->running;

    MUST(f != NULL && s->call == NULL);
    s->call = fn;
    s->call_arg = arg;
    s->caller = f;
    f->state = FIBER_READY; /* not parked: neither a cancel nor a timer may wake it before fn has returned */
    s->budget = 0; /* straight to the scheduler */
    fiber_switch_out(s, f);
}

struct each {
    void (*fn)(const struct fiber_info *, void *);
    void *arg;
    const struct sched *s;
};

static size_t stack_used(const struct fiber *f)
{
    const char *sp = f->state == FIBER_RUNNING ? (const char *)__builtin_frame_address(0) : f->sp;

    return (size_t)(f->stack + STACK_SIZE - sp);
}

static void tell(const struct fiber *f, const struct each *e)
{
    struct fiber_info info = {
        .id = f->id,
        .name = f->name,
        .doing = f->doing,
        .since = f->since,
        .deadline = f->state == FIBER_PARKED ? f->deadline : CLOCK_NEVER,
        .waiting = f->state == FIBER_PARKED,
        .subject = f->subject,
        .stack_used = stack_used(f),
    };

    e->fn(&info, e->arg);
}

static void look_at_stack(char *stack, void *arg)
{
    const struct each *e = arg;

    for (unsigned colour = 0; colour < COLOURS; colour++) {
        uintptr_t top = (uintptr_t)stack + STACK_SIZE - colour * CACHE_LINE;
        const struct fiber *f = (const struct fiber *)((top - sizeof *f) & ~(uintptr_t)(CACHE_LINE - 1));

        if (f->magic == FIBER_MAGIC && f->stack == stack) {
            if (f->state != FIBER_UNUSED)
                tell(f, e);
            return;
        }
    }
}

void fiber_each(void (*fn)(const struct fiber_info *info, void *arg), void *arg)
{
    struct each e = { fn, arg, sched_of_thread };

    stack_each(&sched_of_thread->stacks, look_at_stack, &e);
}
