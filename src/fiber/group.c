/* group.c - children that end with their parent. */
#include "base/must.h"
#include "fiber/core.h"

void group_init(struct group *g)
{
    list_init(&g->fibers);
    g->joiner = NULL;
    g->cause = 0;
}

void group_add(struct group *g, struct fiber *f)
{
    list_push_back(&g->fibers, &f->in_group);
    f->cause = g->cause;
}

void group_remove(struct group *g, struct fiber *f)
{
    list_remove(&f->in_group);
    if (list_is_empty(&g->fibers) && g->joiner != NULL) {
        struct fiber *joiner = g->joiner;
        g->joiner = NULL;
        if (joiner->state == FIBER_PARKED) /* else its deadline or a cancel came first in this very turn */
            fiber_wake(joiner, 0);
    }
}

void group_cancel(struct group *g, int cause)
{
    if (g->cause == 0)
        g->cause = cause;
    LIST_EACH(&g->fibers, it)
        fiber_cancel(LIST_ITEM(it, struct fiber, in_group), cause);
}

/* One wait of a join.  The joiner is forgotten on every way out, so that a late child finds nobody to wake. */
static int join_once(struct group *g, int64_t deadline)
{
    int rc;

    g->joiner = fiber_self();
    rc = fiber_park(NULL, deadline);
    g->joiner = NULL;
    return rc;
}

int group_join(struct group *g, int64_t deadline)
{
    bool was_shielded;
    int rc;

    MUST(g->joiner == NULL);
    if (list_is_empty(&g->fibers))
        return 0;
    rc = join_once(g, deadline);
    if (rc != -ERR_CANCELED)
        return list_is_empty(&g->fibers) ? 0 : rc;
    group_cancel(g, fiber_cause());
    was_shielded = fiber_shield(true);
    while (!list_is_empty(&g->fibers))
        (void)join_once(g, CLOCK_NEVER);
    (void)fiber_shield(was_shielded);
    return -ERR_CANCELED;
}
