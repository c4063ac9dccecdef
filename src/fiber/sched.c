/* sched.c - one turn after the other: ready fibers, fresh work, mail, timers, sockets. */
#include "fiber/sched.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/must.h"
#include "fiber/core.h"
#include "fiber/switch.h"

enum {
    TURN_SWITCHES = 64, /* a batch; then the sockets are looked at again */
    TURN_BATCHES = 8,   /* unless less than TURN_TIME has passed */
    FRESH_A_TURN = 16,
    WARM_STACKS = 64,    /* kept whatever happens */
};
#define TURN_TIME INT64_C(20) /* microseconds */
#define TRIM_EVERY (10 * CLOCK_S)

_Thread_local struct sched *sched_of_thread;

struct sched *sched_self(void) { return sched_of_thread; }
const char *sched_name(const struct sched *s) { return s->name; }
struct mailbox *sched_mailbox(struct sched *s) { return &s->inbox; }
void sched_wake(struct sched *s) { s->engine->wake(s->poll_state); }

static struct fiber *ready_pop(struct sched *s)
{
    struct fiber *f = s->ready_first;

    if (f != NULL) {
        s->ready_first = f->next;
        s->switches++; /* apart from `readied`: one counter up and down would chain the switches by its memory */
        f->state = FIBER_RUNNING;
    }
    return f;
}

/* The next to run, or NULL when it is the scheduler's turn. */
static struct fiber *next_in_turn(struct sched *s)
{
    struct fiber *f;

    if (s->budget-- <= 0)
        return NULL;
    f = ready_pop(s);
    s->running = f;
    return f;
}

/* The one place where a fiber gives up the CPU: straight to the next one, without a detour. */
void fiber_switch_out(struct sched *s, struct fiber *f)
{
    struct fiber *next = next_in_turn(s);

    if (next == f) /* it yielded and nobody else is ready */
        return;
    if (next == NULL)
        s->running = NULL;
    switch_to(s, f, next);
}

_Noreturn void switch_for_good(struct sched *s, struct fiber *f)
{
    struct fiber *next = next_in_turn(s);
    void *nowhere;

    if (next == NULL)
        s->running = NULL;
    switch_leave(s, f, next, true);
    context_switch(&nowhere, next != NULL ? next->sp : s->sp);
    __builtin_unreachable();
}

static void run_batch(struct sched *s)
{
    struct fiber *f;

    s->budget = TURN_SWITCHES;
    f = next_in_turn(s);
    if (f != NULL)
        switch_to(s, NULL, f);
    if (s->call != NULL) {
        void (*fn)(void *) = s->call;
        s->call = NULL;
        fn(s->call_arg);
        sched_ready(s, s->caller);
    }
}

/* A look at the sockets costs as much as some forty switches.  While fibers only hand over to one another, a few batches go
 * by between two looks; as soon as they do real work, one does. */
static void run_ready(struct sched *s)
{
    run_batch(s);
    for (int i = 1; i < TURN_BATCHES && s->ready_first != NULL && clock_now() - s->now < TURN_TIME; i++)
        run_batch(s);
}

static bool start_fresh(struct sched *s, const struct fresh *w)
{
    struct fiber *f = fiber_new(s, NULL, w->name, w->fn, w->arg);

    if (f == NULL) {
        if (fresh_put(s, w)) { /* no stack to be had: when another fiber ends, there is */
            log_every_second(LOG_LEVEL_ERROR, "fiber.no_stack", "fibers=%u", s->n_fibers);
            return false;
        }
        MUST(!"work that has not started can't be lost");
    }
    sched_ready(s, f);
    return true;
}

static void take_fresh(struct sched *s)
{
    struct fresh w;

    for (int i = 0; i < FRESH_A_TURN && fresh_count(s) > 0; i++)
        if (!fresh_take(s, &w) || !start_fresh(s, &w))
            return;
}

static bool take_from_others(struct sched *s)
{
    struct fresh w;

    return s->steals && fresh_steal(s, &w) && start_fresh(s, &w);
}

static bool has_work(struct sched *s)
{
    return s->ready_first != NULL || fresh_count(s) > 0 || atomic_load(&s->inbox.newest) != NULL || atomic_load(&s->stop);
}

/* Says that it sleeps before it looks for the last time: a sender either is seen here or sees `sleeping`. */
static void sleep_in_poll(struct sched *s)
{
    atomic_store(&s->sleeping, true);
    if (has_work(s) || take_from_others(s)) {
        atomic_store(&s->sleeping, false);
        s->engine->poll(s->poll_state, 0);
    } else {
        s->engine->poll(s->poll_state, timer_wheel_next(&s->wheel));
        atomic_store(&s->sleeping, false);
    }
    s->polls++;
}

static void turn(struct sched *s)
{
    s->turns++;
    take_fresh(s);
    run_ready(s);
    mailbox_empty(&s->inbox);
    if (has_work(s)) {
        s->polls++;
        s->engine->poll(s->poll_state, 0);
    } else {
        sleep_in_poll(s);
    }
    s->now = clock_now();
    atomic_store_explicit(&s->last_turn, s->now, memory_order_relaxed);
    timer_wheel_turn(&s->wheel, s->now);
    if (s->each_turn != NULL)
        s->each_turn(s->each_turn_arg);
}

void sched_run(struct sched *s)
{
    MUST_BE(s, SCHED_MAGIC);
    MUST(s == sched_of_thread && s->running == NULL);
    s->now = clock_now();
    while (!atomic_load_explicit(&s->stop, memory_order_acquire))
        turn(s);
    atomic_store(&s->stop, false);
}

void sched_stop(struct sched *s)
{
    atomic_store(&s->stop, true);
    sched_wake(s);
}

void sched_each_turn(struct sched *s, void (*fn)(void *), void *arg)
{
    s->each_turn = fn;
    s->each_turn_arg = arg;
}

/* Stacks that nobody needed for a whole period go back to the kernel: a burst is not paid for ever. */
static void trim(struct timer *t)
{
    struct sched *s = CONTAINER_OF(t, struct sched, trim);
    uint32_t spare = s->n_free_least > WARM_STACKS ? (s->n_free_least - WARM_STACKS) / 2 + 1 : 0;
    struct fiber **fp = &s->free;

    for (uint32_t keep = s->n_free - spare; keep > 0; keep--)
        fp = &(*fp)->next;
    while (spare-- > 0) {
        struct fiber *f = *fp;
        char *stack = f->stack;
        *fp = f->next;
        timer_wheel_disarm(&s->wheel, &f->timer);
        switch_fiber_gone(f);
        stack_give_cold(&s->stacks, stack);
        s->n_free--;
    }
    s->n_free_least = s->n_free;
    timer_wheel_arm(&s->wheel, &s->trim, s->now + TRIM_EVERY);
}

struct sched *sched_open_on(const char *name, bool steals, const struct netpoll_engine *engine, void *engine_arg)
{
    struct sched *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);

    MUST(sched_of_thread == NULL);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s);
    s->magic = SCHED_MAGIC;
    s->name = name;
    s->steals = steals;
    s->engine = engine;
    s->now = clock_now();
    s->inbox.owner = s;
    timer_wheel_init(&s->wheel, s->now);
    timer_init(&s->trim, trim);
    sched_of_thread = s; /* the engine registers its own descriptor */
    s->poll_state = engine->open(engine_arg);
    if (s->poll_state == NULL) {
        sched_of_thread = NULL;
        free(s);
        return NULL;
    }
    timer_wheel_arm(&s->wheel, &s->trim, s->now + TRIM_EVERY);
#ifdef WEIR_TSAN
    s->tsan = __tsan_get_current_fiber();
#endif
    overflow_thread_open(s);
    if (steals)
        fresh_join(s);
    return s;
}

struct sched *sched_open(const char *name, bool steals) { return sched_open_on(name, steals, &netpoll_libevent, NULL); }

void sched_close(struct sched **sp)
{
    struct sched *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    MUST_BE(s, SCHED_MAGIC);
    MUST(s->running == NULL);
    if (s->steals)
        fresh_leave(s);
    s->engine->close(s->poll_state);
#ifdef WEIR_TSAN
    for (struct fiber *f = s->free; f != NULL; f = f->next)
        switch_fiber_gone(f);
#endif
    stack_pool_free(&s->stacks);
    overflow_thread_close(s);
    s->magic = 0;
    sched_of_thread = NULL;
    free(s);
}

/* Another thread's counters are read as they are: each is a word that only its owner writes. */
__attribute__((no_sanitize("thread"))) void sched_stats_get(struct sched *s, struct sched_stats *out)
{
    *out = (struct sched_stats){
        .turns = s->turns,
        .switches = s->switches,
        .started = s->started,
        .stolen = s->stolen,
        .polls = s->polls,
        .mails = s->mails,
        .fibers = s->n_fibers,
        .ready = (uint32_t)(s->readied - s->switches),
        .stacks_warm = s->n_free,
        .stacks_cold = s->stacks.n_cold,
        .stacks_unguarded = s->stacks.unguarded,
        .last_turn = atomic_load_explicit(&s->last_turn, memory_order_relaxed),
    };
}
