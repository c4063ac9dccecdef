/* checker.c - a timer that starts a probe, and what follows from its result. */
#include "health/checker.h"

#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "base/must.h"
#include "base/rand.h"
#include "fiber/fiber.h"
#include "fiber/timer.h"
#include "health/dial.h"
#include "health/state.h"

#define PACE          INT64_C(100) /* microseconds between the probes of those who want them at once */

#define CHECKER_MAGIC 0x43484b52u
struct checker {
    uint32_t magic;
    bool probing;
    bool hurried; /* its next probe has been brought forward */
    const struct check_conf *conf;
    struct addr to;
    const char *host;
    const struct checker_hooks *hooks;
    void *arg;
    struct health health;
    struct timer timer; /* armed while it waits for its next probe */
    struct group group; /* of the probe, if there is one */
    int64_t began;      /* the last probe; 0: none yet */
};

const char *health_state_word(enum health_state s)
{
    static const char *const words[] = { [HEALTH_UNKNOWN] = "unknown", [HEALTH_UP] = "up", [HEALTH_DOWN] = "down" };

    MUST((size_t)s < ARRAY_LEN(words));
    return words[s];
}

/* ---- when ---- */

/* Thousands that want to begin at the same moment do so one after the other: neither we nor the network should see a wall. */
static int64_t next_slot(int64_t now)
{
    static _Thread_local int64_t last;

    last = last + PACE > now ? last + PACE : now;
    return last;
}

/* Steps of the golden ratio: however many there are, they stand evenly. */
static int64_t next_phase(int64_t interval)
{
    static _Thread_local uint64_t phase;

    if (phase == 0)
        phase = rand_u64();
    phase += UINT64_C(0x9e3779b97f4a7c15);
    return (int64_t)((unsigned __int128)phase * (uint64_t)interval >> 64);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t next_delay(struct checker *c)
{
    bool well = c->hooks->traffic_is_well != NULL && c->hooks->traffic_is_well(c->arg);

    return health_delay(&c->health, c->conf, well, rand_u64());
}

static void schedule(struct checker *c) { timer_arm(&c->timer, greatest(clock_now(), c->began + next_delay(c))); }

static void schedule_first(struct checker *c, bool at_once)
{
    const struct health_record *r = &c->health.record;
    bool is_new = r->last_probe == 0, overdue;
    int64_t now = clock_now();

    c->began = r->last_probe - r->last_took; /* both 0 when nothing is known */
    overdue = !is_new && c->began + c->conf->interval < now;
    if (at_once || overdue)
        timer_arm(&c->timer, next_slot(now));
    else if (is_new)
        timer_arm(&c->timer, now + next_phase(c->conf->interval));
    else
        schedule(c);
}

/* ---- a probe ---- */

static void take(struct checker *c, enum probe_result result, const struct probe *p, int64_t began)
{
    struct health_record *r = &c->health.record;
    struct health_change change = { .from = r->state, .reason = result, .detail = p->detail };
    int64_t now = clock_now();
    bool changed = health_take(&c->health, c->conf, result, now);

    metric_add_at(METRIC_PROBES, result, 1);
    r->last_took = now - began;
    memcpy(r->detail, p->detail, sizeof r->detail);
    if (!changed)
        return;
    change.to = r->state;
    change.passes = r->passes;
    change.failures = r->failures;
    c->hooks->changed(c->arg, &change);
}

static void probe_fiber(void *arg)
{
    struct checker *c = arg;
    struct probe p = { .conf = c->conf, .to = &c->to, .host = c->host };
    enum probe_result result;

    MUST_BE(c, CHECKER_MAGIC);
    c->began = clock_now(); /* of the turn's time some milliseconds may be gone, and they are the backend's */
    result = c->conf->type->probe(&p, c->began + c->conf->timeout);
    if (fiber_cause() == 0)
        take(c, result, &p, c->began);
    if (c->hurried)
        health_doubt(&c->health, c->conf); /* what was asked before knows nothing of it */
    c->probing = false;
    if (fiber_cause() == 0) /* not called off by now */
        schedule(c);
}

static void begin(struct timer *t)
{
    struct checker *c = CONTAINER_OF(t, struct checker, timer);

    MUST(!c->probing);
    c->probing = true;
    c->hurried = false;
    if (fiber_go(&c->group, "health", probe_fiber, c) == 0)
        return;
    c->probing = false;
    c->began = clock_now();
    take(c, PROBE_LOCAL, &(struct probe){ .detail = "out of memory" }, c->began);
    schedule(c);
}

/* Waits until it has ended, and is ready for the next one. */
static void call_off(struct checker *c)
{
    timer_disarm(&c->timer);
    group_cancel(&c->group, ERR_CANCELED);
    (void)group_join(&c->group, CLOCK_NEVER);
    MUST(!c->probing);
    group_init(&c->group);
}

/* ---- for the owner ---- */

struct checker *checker_start(const struct check_conf *conf, const struct addr *backend, const char *host,
                              const struct health_record *record, bool at_once, const struct checker_hooks *hooks, void *arg)
{
    struct checker *c = malloc(sizeof *c);

    if (c == NULL)
        return NULL;
    *c = (struct checker){ .magic = CHECKER_MAGIC, .conf = conf, .host = host, .hooks = hooks, .arg = arg };
    c->to = check_target(conf, backend);
    health_init(&c->health, record);
    timer_init(&c->timer, begin);
    group_init(&c->group);
    dial_users(1);
    schedule_first(c, at_once);
    return c;
}

void checker_stop(struct checker **cp)
{
    struct checker *c = *cp;

    *cp = NULL;
    if (c == NULL)
        return;
    MUST_BE(c, CHECKER_MAGIC);
    call_off(c);
    dial_users(-1);
    c->magic = 0;
    free(c);
}

void checker_hurry(struct checker *c)
{
    int64_t now, due;

    MUST_BE(c, CHECKER_MAGIC);
    health_doubt(&c->health, c->conf);
    if (c->hurried)
        return;
    c->hurried = true;
    if (c->probing)
        return;
    now = clock_now();
    due = c->began == 0 ? now : c->began + least(c->conf->fast_interval, c->conf->interval);
    if (due <= now)
        due = next_slot(now);
    if (due < c->timer.when)
        timer_arm(&c->timer, due);
}

void checker_reconfigure(struct checker *c, const struct check_conf *conf)
{
    bool was_probing = c->probing;

    MUST_BE(c, CHECKER_MAGIC);
    if (was_probing)
        call_off(c);
    c->conf = conf;
    if (was_probing)
        timer_arm(&c->timer, next_slot(clock_now()));
    else /* not later than by the new times; what is due sooner stays */
        timer_arm(&c->timer, least(c->timer.when, clock_now() + conf->interval));
}

const struct health_record *checker_record(const struct checker *c) { return &c->health.record; }
