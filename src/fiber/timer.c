/* timer.c - four levels of 256 slots; a bitmap a level finds the next occupied slot. */
#include "fiber/timer.h"

#include <string.h>

#include "base/must.h"
#include "fiber/core.h"

#define SLOT_MASK ((uint64_t)TIMER_SLOTS - 1)
/* What lies beyond the last level waits in its last slot and is filed anew when that comes round. */
#define TICKS_MOST ((UINT64_C(1) << (TIMER_BITS * TIMER_LEVELS)) - 1)

static uint64_t tick_of(int64_t when) /* rounded up: never early */
{
    return when <= 0 ? 0 : ((uint64_t)when + TIMER_TICK - 1) / TIMER_TICK;
}

void timer_wheel_init(struct timer_wheel *w, int64_t now)
{
    memset(w->occupied, 0, sizeof w->occupied);
    w->armed = 0;
    w->tick = (uint64_t)(now / TIMER_TICK);
    for (int level = 0; level < TIMER_LEVELS; level++)
        for (int i = 0; i < TIMER_SLOTS; i++)
            list_init(&w->slot[level][i]);
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
    list_init(&t->link);
    t->when = 0;
    t->fire = fire;
}

/* `least`: the first tick whose slot is still to be turned. */
static void file(struct timer_wheel *w, struct timer *t, uint64_t least)
{
    uint64_t tick = tick_of(t->when), ahead;
    int level;
    unsigned i;

    if (tick < least)
        tick = least;
    ahead = tick - w->tick;
    if (ahead > TICKS_MOST) {
        ahead = TICKS_MOST;
        tick = w->tick + ahead;
    }
    level = (63 - __builtin_clzll(ahead | 1)) / TIMER_BITS;
    i = (tick >> (TIMER_BITS * level)) & SLOT_MASK;
    list_push_back(&w->slot[level][i], &t->link);
    w->occupied[level][i / 64] |= UINT64_C(1) << (i % 64);
}

void timer_wheel_arm(struct timer_wheel *w, struct timer *t, int64_t when)
{
    if (timer_is_armed(t))
        list_remove(&t->link); /* the slot's bit may stay up: an empty slot costs one look */
    else
        w->armed++;
    t->when = when;
    file(w, t, w->tick + 1);
}

void timer_wheel_disarm(struct timer_wheel *w, struct timer *t)
{
    if (!timer_is_armed(t))
        return;
    list_remove(&t->link);
    w->armed--;
}

void timer_arm(struct timer *t, int64_t when)
{
    if (when == CLOCK_NEVER)
        timer_disarm(t);
    else
        timer_wheel_arm(&sched_of_thread->wheel, t, when);
}

void timer_disarm(struct timer *t) { timer_wheel_disarm(&sched_of_thread->wheel, t); }

/* Empties a slot into `out`. */
static void slot_take(struct timer_wheel *w, int level, unsigned i, struct list *out)
{
    struct list *slot = &w->slot[level][i];

    list_init(out);
    w->occupied[level][i / 64] &= ~(UINT64_C(1) << (i % 64));
    if (list_is_empty(slot))
        return;
    *out = *slot;
    out->next->prev = out;
    out->prev->next = out;
    list_init(slot);
}

static void cascade(struct timer_wheel *w, int level)
{
    struct list due;

    slot_take(w, level, (w->tick >> (TIMER_BITS * level)) & SLOT_MASK, &due);
    for (struct list *it = list_pop_front(&due); it != NULL; it = list_pop_front(&due))
        file(w, LIST_ITEM(it, struct timer, link), w->tick); /* this tick's slot is turned right after */
}

static void fire_slot(struct timer_wheel *w, unsigned i)
{
    struct list due;

    slot_take(w, 0, i, &due);
    for (struct list *it = list_pop_front(&due); it != NULL; it = list_pop_front(&due)) {
        struct timer *t = LIST_ITEM(it, struct timer, link);

        w->armed--;
        t->fire(t);
    }
}

/* The distance from `from` (inclusive, going round) to the next occupied slot; TIMER_SLOTS if there is none. */
static unsigned next_occupied(const uint64_t *bits, unsigned from)
{
    for (unsigned n = 0; n < TIMER_SLOTS;) {
        unsigned at = (from + n) & SLOT_MASK;
        uint64_t word = bits[at / 64] >> (at % 64);

        if (word != 0) {
            n += (unsigned)__builtin_ctzll(word);
            return n < TIMER_SLOTS ? n : TIMER_SLOTS;
        }
        n += 64 - at % 64;
    }
    return TIMER_SLOTS;
}

/* The first tick after w->tick at which something may have to be done. */
static uint64_t next_tick(const struct timer_wheel *w)
{
    uint64_t best = UINT64_MAX;

    for (int level = 0; level < TIMER_LEVELS; level++) {
        int shift = TIMER_BITS * level;
        uint64_t unit = w->tick >> shift;
        unsigned n = next_occupied(w->occupied[level], (unsigned)((unit + 1) & SLOT_MASK));
        uint64_t at = (unit + 1 + n) << shift;

        if (n < TIMER_SLOTS && at < best)
            best = at;
    }
    return best;
}

void timer_wheel_turn(struct timer_wheel *w, int64_t now)
{
    uint64_t to = (uint64_t)(now / TIMER_TICK);

    while (w->tick < to) {
        uint64_t next = w->armed == 0 ? UINT64_MAX : next_tick(w);

        if (next > to) {
            w->tick = to;
            return;
        }
        w->tick = next;
        for (int level = TIMER_LEVELS - 1; level > 0; level--)
            if ((w->tick & ((UINT64_C(1) << (TIMER_BITS * level)) - 1)) == 0)
                cascade(w, level);
        fire_slot(w, (unsigned)(w->tick & SLOT_MASK));
    }
}

int64_t timer_wheel_next(const struct timer_wheel *w)
{
    uint64_t tick;

    if (w->armed == 0)
        return CLOCK_NEVER;
    tick = next_tick(w);
    return tick > (uint64_t)(CLOCK_NEVER / TIMER_TICK) ? CLOCK_NEVER : (int64_t)tick * TIMER_TICK;
}
