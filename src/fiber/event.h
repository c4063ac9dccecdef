/*
 * event.h - one fiber waits until another of the same worker says that something has changed.
 *
 * An event remembers nothing: who waits looks at what it waits for, before and after.
 * Threads: one worker's fibers, of which one waits at a time; raising also works on the scheduler's stack.
 * Memory: a value; zeroed is valid; it must outlive who waits.
 */
#ifndef FIBER_EVENT_H
#define FIBER_EVENT_H
#include <stdint.h>

struct fiber;
struct event {
    struct fiber *waiter;
};

/* From a fiber: until the next event_raise().  0, -ERR_TIMEOUT, -ERR_CANCELED. */
int event_wait(struct event *e, int64_t deadline);
void event_raise(struct event *e);
#endif
