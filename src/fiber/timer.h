/*
 * timer.h - a hierarchical timing wheel: arming and disarming cost a few stores.
 *
 * Resolution is one millisecond; a timer fires not before its time and, on a wheel that is turned, at most a tick late.
 * Source: Varghese, Lauck: Hashed and Hierarchical Timing Wheels (1987), scheme 7.
 * Threads: one, the scheduler's.  Memory: the timer is the caller's; it must not be freed while armed.
 */
#ifndef FIBER_TIMER_H
#define FIBER_TIMER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"

#define TIMER_TICK INT64_C(1000)
enum { TIMER_BITS = 8, TIMER_SLOTS = 1 << TIMER_BITS, TIMER_LEVELS = 4 };

struct timer {
    struct list link;
    int64_t when;
    void (*fire)(struct timer *t); /* disarmed when called; may arm it again; must not yield */
};

struct timer_wheel {
    uint64_t tick; /* the last one turned to */
    uint32_t armed;
    uint64_t occupied[TIMER_LEVELS][TIMER_SLOTS / 64];
    struct list slot[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *w, int64_t now);
/* Fires all whose time has come. */
void timer_wheel_turn(struct timer_wheel *w, int64_t now);
/* No timer fires before that; CLOCK_NEVER when none is armed. */
int64_t timer_wheel_next(const struct timer_wheel *w);

void timer_init(struct timer *t, void (*fire)(struct timer *));
static inline bool timer_is_armed(const struct timer *t) { return t->link.next != &t->link; }
/* On the wheel of the calling thread's scheduler.  Arming an armed one moves it. */
void timer_arm(struct timer *t, int64_t when);
void timer_disarm(struct timer *t);

/* The same on a given wheel. */
void timer_wheel_arm(struct timer_wheel *w, struct timer *t, int64_t when);
void timer_wheel_disarm(struct timer_wheel *w, struct timer *t);
#endif
