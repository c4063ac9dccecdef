/*
 * cost.h - what it would cost to send one more request somewhere, for strategies that compare.
 *
 * Threads: any.  Memory: none.
 */
#ifndef STRATEGIES_COST_H
#define STRATEGIES_COST_H
#include "upstream/strategy.h"

#define COST_UNKNOWN 1e6 /* microseconds: what one that has not answered yet is taken for while it is busy */

/* How many times as dear failures make a backend: 1 while all is well, 16 when half of its answers are errors, 65,536 at most.
 * So much, because errors come quickly: without it the backend that fails is the one that looks best. */
static inline double distrust_of(const struct backend *b, int64_t now)
{
    uint32_t failing = backend_failing(b, now);
    double well;

    if (failing == 0)
        return 1;
    well = 1 - failing / (double)SHARE_WHOLE;
    well = well < 1.0 / 16 ? 1.0 / 16 : well;
    return 1 / (well * well * well * well);
}

/* Requests that it would have, this one with them; still to be divided by its capacity. */
static inline double load_of(const struct backend *b, int64_t now)
{
    return ((double)backend_inflight(b) + 1) * distrust_of(b, now);
}

/* How long a request would take that has to wait for all that are there.  0 for an idle one of which nothing is known: it is
 * tried, with one request at a time. */
static inline double cost_by(const struct backend *b, int64_t now, uint64_t capacity)
{
    double latency = backend_latency(b, now);

    if (latency == 0) {
        if (backend_inflight(b) == 0 && backend_failing(b, now) == 0)
            return 0;
        latency = COST_UNKNOWN;
    }
    return latency * load_of(b, now) / (double)(capacity > 0 ? capacity : 1);
}

/* By what it can do now, while it warms up, too. */
static inline double cost_of(const struct backend *b, int64_t now) { return cost_by(b, now, backend_capacity(b)); }
#endif
