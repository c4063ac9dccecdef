/* state.c - up, down, and the intervals between. */
#include "health/state.h"

#include "base/must.h"

void health_init(struct health *h, const struct health_record *known)
{
    *h = (struct health){ .doubts = 0 };
    if (known != NULL)
        h->record = *known;
}

static enum health_state next_state(const struct health_record *r, const struct check_conf *conf)
{
    switch (r->state) {
    case HEALTH_UNKNOWN: return r->passes > 0 ? HEALTH_UP : HEALTH_DOWN;
    case HEALTH_UP: return r->failures >= conf->fall ? HEALTH_DOWN : HEALTH_UP;
    default: return r->passes >= conf->rise ? HEALTH_UP : HEALTH_DOWN;
    }
}

static void count(uint32_t *in_a_row, uint32_t *others)
{
    *others = 0;
    if (*in_a_row < UINT32_MAX)
        (*in_a_row)++;
}

/* Doubts are settled by results in a row that agree. */
static void weigh_doubts(struct health *h, const struct check_conf *conf, bool agrees)
{
    if (agrees && h->doubts > 0)
        h->doubts--;
    else if (h->doubts > 0)
        health_doubt(h, conf);
    if (!agrees)
        h->down_delay = 0; /* a sign of life: it begins anew */
}

bool health_take(struct health *h, const struct check_conf *conf, enum probe_result result, int64_t now)
{
    struct health_record *r = &h->record;
    bool passed = result == PROBE_OK;
    enum health_state state;

    r->last = result;
    r->last_probe = now;
    r->probes++;
    if (result == PROBE_LOCAL)
        return false;
    if (passed) {
        count(&r->passes, &r->failures);
    } else {
        count(&r->failures, &r->passes);
        r->failed++;
    }
    state = next_state(r, conf);
    if (state == r->state) {
        weigh_doubts(h, conf, passed == (state == HEALTH_UP));
        return false;
    }
    r->state = state;
    r->since = now;
    h->doubts = 0;
    h->down_delay = 0;
    return true;
}

void health_doubt(struct health *h, const struct check_conf *conf)
{
    h->doubts = h->record.state == HEALTH_DOWN ? conf->fall : conf->rise;
}

static bool is_sure(const struct health *h)
{
    const struct health_record *r = &h->record;

    return h->doubts == 0 && r->state != HEALTH_UNKNOWN && (r->state == HEALTH_UP ? r->failures : r->passes) == 0;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t back_off(struct health *h, const struct check_conf *conf)
{
    int64_t next = h->down_delay == 0 ? conf->interval : h->down_delay * 2;

    h->down_delay = least(next, conf->down_interval);
    return h->down_delay;
}

int64_t health_delay(struct health *h, const struct check_conf *conf, bool traffic_is_well, uint64_t chance)
{
    int64_t delay, span;

    if (!is_sure(h))
        delay = least(conf->fast_interval, conf->interval);
    else if (h->record.state == HEALTH_DOWN)
        delay = back_off(h, conf);
    else
        delay = traffic_is_well ? HEALTH_STRETCH * conf->interval : conf->interval;
    span = delay / 100 * (int64_t)conf->jitter;
    return delay - span + (int64_t)(chance % (uint64_t)(2 * span + 1));
}
