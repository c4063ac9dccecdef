/* event.c - a stored pointer to who waits. */
#include "fiber/event.h"

#include "base/must.h"
#include "fiber/core.h"

int event_wait(struct event *e, int64_t deadline)
{
    int rc;

    MUST(e->waiter == NULL);
    e->waiter = sched_of_thread->running;
    rc = fiber_park(NULL, deadline);
    e->waiter = NULL;
    return rc;
}

void event_raise(struct event *e)
{
    struct fiber *f = e->waiter;

    e->waiter = NULL;
    if (f != NULL && f->state == FIBER_PARKED) /* else its deadline or a cancel came first in this very turn */
        fiber_wake(f, 0);
}
