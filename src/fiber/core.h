/*
 * core.h - what the files of src/fiber share: the fiber and the scheduler from inside.  Nobody else includes this but tests.
 *
 * The fiber struct stands at the top of its own stack: one page, one TLB entry for both.
 * Threads: a scheduler and its fibers belong to one thread, but for the mailbox, the fresh ring and `sleeping`.
 */
#ifndef FIBER_CORE_H
#define FIBER_CORE_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/sanitize.h"
#include "fiber/fiber.h"
#include "fiber/mailbox.h"
#include "fiber/netpoll.h"
#include "fiber/sched.h"
#include "fiber/stack.h"
#include "fiber/timer.h"

enum fiber_state { FIBER_UNUSED, FIBER_READY, FIBER_RUNNING, FIBER_PARKED };

#define FIBER_MAGIC 0x46494252u
struct fiber {
    uint32_t magic;
    uint8_t state; /* enum fiber_state */
    bool shielded;
    int result; /* what its park returns */
    int cause;  /* it was called off; 0: not */
    void *sp;   /* while it does not run */
    struct fiber *next; /* on the ready queue or the free list */
    struct sched *sched;
    _Atomic int *claim; /* of the current park */
    int64_t deadline;   /* of the current park */
    struct timer timer; /* armed at or before `deadline`; filed anew lazily */
    fiber_fn *fn;
    void *arg;
    struct group *group;
    struct list in_group;
    const char *name, *doing;
    int64_t since;
    const void *subject;
    struct mail mail; /* a wake-up from another thread: at most one is under way, by the claim */
    uint64_t id;
    char *stack;
#ifdef WEIR_ASAN
    void *fake_stack;
#endif
#ifdef WEIR_TSAN
    void *tsan;
#endif
};

/* Work that has not started, for any worker: a ring that its owner fills and anyone empties. */
#define FRESH_SLOTS 256u
struct fresh {
    const char *name;
    fiber_fn *fn;
    void *arg;
};

struct mailbox {
    _Atomic(struct mail *) newest; /* pushed here by anyone, taken whole by the owner */
    struct sched *owner;
};

#define SCHED_MAGIC 0x53434844u
struct sched {
    uint32_t magic;
    /* hot: touched by every switch */
    struct fiber *running;
    struct fiber *ready_first, *ready_last;
    void *sp; /* the scheduler's own context while a fiber runs */
    int64_t now;
    int budget; /* switches left in this turn */
    struct fiber *free; /* warm stacks, last used first */
    uint32_t n_free, n_free_least; /* the least since the last trim: those were not needed */
    uint32_t n_fibers;
    uint64_t next_id;
    uint64_t readied, switches; /* put on the ready queue and taken off it, ever */
    uint64_t turns, started, stolen, polls, mails;
    _Atomic int64_t last_turn;

    void (*call)(void *); /* fiber_on_thread_stack() */
    void *call_arg;
    struct fiber *caller;

    void (*each_turn)(void *);
    void *each_turn_arg;

    struct timer_wheel wheel;
    struct timer trim;
    struct stack_pool stacks;
    const struct netpoll_engine *engine;
    void *poll_state;
    const char *name;
    unsigned index;
    void *signal_stack;
    bool steals;

    /* shared with other threads */
    _Alignas(64) _Atomic bool stop;
    _Atomic bool sleeping;
    struct mailbox inbox;
    _Alignas(64) _Atomic uint32_t fresh_head; /* next to take */
    _Atomic uint32_t fresh_tail;              /* next to fill */
    struct fresh fresh[FRESH_SLOTS];
#ifdef WEIR_ASAN
    void *fake_stack;
    const void *stack_bottom;
    size_t stack_size;
#endif
#ifdef WEIR_TSAN
    void *tsan;
#endif
};

extern _Thread_local struct sched *sched_of_thread;

/* To the end of the ready queue.  Inline: half of what a yield is. */
static inline void sched_ready(struct sched *s, struct fiber *f)
{
    f->state = FIBER_READY;
    f->next = NULL;
    if (s->ready_first == NULL)
        s->ready_first = f;
    else
        s->ready_last->next = f;
    s->ready_last = f;
    s->readied++;
}

/* sched.c */
struct fiber *fiber_new(struct sched *s, struct group *g, const char *name, fiber_fn *fn, void *arg);
void fiber_switch_out(struct sched *s, struct fiber *f);
void sched_wake(struct sched *s);
/* mailbox.c */
void mailbox_empty(struct mailbox *m);
/* steal.c */
bool fresh_put(struct sched *s, const struct fresh *w);
bool fresh_take(struct sched *s, struct fresh *out);
bool fresh_steal(struct sched *thief, struct fresh *out);
void fresh_join(struct sched *s);
void fresh_leave(struct sched *s);
void fresh_wake_one(struct sched *busy);
static inline uint32_t fresh_count(struct sched *s)
{
    return atomic_load_explicit(&s->fresh_tail, memory_order_relaxed) - atomic_load_explicit(&s->fresh_head, memory_order_relaxed);
}
/* overflow.c */
void overflow_thread_open(struct sched *s);
void overflow_thread_close(struct sched *s);
/* group.c */
void group_add(struct group *g, struct fiber *f);
void group_remove(struct group *g, struct fiber *f);
#endif
