/*
 * state.h - when a backend is up or down, and how long to wait for the next probe: the arithmetic of health, without probes.
 *
 * Promise: the first result that says something decides alone; then `fall` failures in a row take an up backend down, and
 * `rise` passes in a row bring it up.  PROBE_LOCAL changes neither state nor counts.
 *
 * Which interval:   unknown, because we had no means to ask      fast_interval
 *                   the last result disagrees with the state     fast_interval, until a result agrees or the state gives in
 *                   somebody has doubts (health_doubt)           fast_interval, until `rise` or `fall` results in a row agree
 *                   down                                         interval, then twice that, ... up to down_interval
 *                   up                                           interval; three times that while live traffic succeeds
 * fast_interval and down_interval never make it longer than they should: fast is at most interval, and a down_interval
 * that is the shorter one holds from the first.
 *
 * No I/O, never yields; time and chance are arguments.  Threads: one at a time.  Memory: values.
 */
#ifndef HEALTH_STATE_H
#define HEALTH_STATE_H
#include "health/checker.h"

#define HEALTH_STRETCH 3

struct health {
    struct health_record record;
    uint32_t doubts;    /* results that must agree with the state before it is sure again */
    int64_t down_delay; /* the last step of the back-off; 0: it has not begun */
};

/* `known` NULL: nothing is. */
void health_init(struct health *h, const struct health_record *known);
/* A probe has ended.  True: the state is another one now. */
bool health_take(struct health *h, const struct check_conf *conf, enum probe_result r, int64_t now);
/* Live traffic has met with something suspicious. */
void health_doubt(struct health *h, const struct check_conf *conf);
/* How long after the beginning of the last probe the next one is due.  Each call while it is down is a step of the back-off.
 * `chance`: a random number, for the jitter. */
int64_t health_delay(struct health *h, const struct check_conf *conf, bool traffic_is_well, uint64_t chance);
#endif
