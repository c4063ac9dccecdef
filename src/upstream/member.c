/* member.c - one backend's state: a fiber for each thing that takes time (recovering, sitting out an ejection, warming up). */
#include "upstream/member.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/must.h"
#include "base/rand.h"
#include "net/stream.h"

#define RECOVER_FIRST   (100 * CLOCK_MS) /* after a refused connection: when it is tried again; then doubling */
#define RECOVER_MOST    (15 * CLOCK_S)
#define RECOVER_TIMEOUT (2 * CLOCK_S)
#define WARM_STEP_LEAST (100 * CLOCK_MS)
enum { WARM_STEPS = 50 };

static struct mailbox *notices; /* the health thread's */

void member_listen(struct mailbox *to) { notices = to; }

/* ---- states ---- */

/* It may be down by what another check said before. */
static bool has_verdict(const struct member *m)
{
    return m->checker != NULL && checker_record(m->checker)->state != HEALTH_UNKNOWN;
}

static enum backend_state state_of(const struct member *m)
{
    uint32_t out = backend_out(m->backend);

    return (out & BACKEND_DOWN) != 0 && has_verdict(m) ? BACKEND_IS_DOWN
           : (out & BACKEND_REFUSED) != 0              ? BACKEND_IS_REFUSING
           : (out & BACKEND_EJECTED) != 0              ? BACKEND_IS_EJECTED
           : (out & (BACKEND_DOWN | BACKEND_NEW)) != 0 ? BACKEND_IS_CHECKING
           : backend_weight(m->backend) == 0           ? BACKEND_IS_DRAINED
           : m->warming                                ? BACKEND_IS_WARMING
                                                       : BACKEND_IS_UP;
}

static bool serves(enum backend_state s) { return s == BACKEND_IS_UP || s == BACKEND_IS_WARMING; }

void membership_mark_dirty(struct membership *ms)
{
    if (ms->dirty)
        return;
    ms->dirty = true;
    fiber_sem_give(&ms->owner->work);
}

void member_settle(struct member *m, const char *reason, const char *detail)
{
    enum backend_state was = m->state, is = state_of(m);

    if (was == is)
        return;
    m->state = is;
    m->since = clock_now();
    atomic_store_explicit(&m->backend->state, (uint32_t)is, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->backend->changes, 1, memory_order_relaxed);
    log_event(serves(is) || is == BACKEND_IS_DRAINED || is == BACKEND_IS_CHECKING ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              "backend.state", "pool=%s backend=%s from=%s to=%s reason=%s%s%s", m->of->name, m->backend->name,
              backend_state_word(was), backend_state_word(is), reason, detail[0] != '\0' ? " " : "", detail);
    if (!serves(was) || !serves(is))
        membership_mark_dirty(m->of);
}

/* ---- coming back ---- */

static int64_t slow_start(const struct member *m)
{
    return m->of->pool->conf->health != NULL ? m->of->pool->conf->health->slow_start : 0;
}

static void set_share(struct member *m, int64_t now, int64_t takes)
{
    int64_t share = takes <= 0 ? SHARE_WHOLE : SHARE_WHOLE * (now - m->warm_from) / takes;

    if (share < SHARE_WHOLE / WARM_STEPS)
        share = SHARE_WHOLE / WARM_STEPS;
    atomic_store(&m->backend->candidate.share, share > SHARE_WHOLE ? SHARE_WHOLE : (uint32_t)share);
}

static void warm_up(void *arg)
{
    struct member *m = arg;
    int64_t takes;

    fiber_doing("warming up a backend");
    while ((takes = slow_start(m)) > 0 && clock_now() < m->warm_from + takes) {
        int64_t step = takes / WARM_STEPS;
        set_share(m, clock_now(), takes);
        if (fiber_sleep(clock_now() + (step > WARM_STEP_LEAST ? step : WARM_STEP_LEAST)) < 0)
            break;
    }
    set_share(m, 0, 0);
    m->warming = false;
    if (fiber_cause() == 0)
        member_settle(m, "warm", "");
}

/* It serves again, or for the first time: slowly at first. */
static void begin_warming(struct member *m)
{
    if (slow_start(m) <= 0)
        return;
    m->warm_from = clock_now();
    set_share(m, m->warm_from, slow_start(m));
    if (m->warming)
        return;
    m->warming = fiber_go(&m->fibers, "warming", warm_up, m) == 0;
    if (!m->warming)
        set_share(m, 0, 0);
}

static void come_back(struct member *m, enum backend_out from, const char *reason, const char *detail)
{
    if (!backend_bring_back(m->backend, from))
        return;
    if (backend_out(m->backend) == 0)
        begin_warming(m);
    member_settle(m, reason, detail);
}

static bool is_refusing(const struct member *m) { return (backend_out(m->backend) & BACKEND_REFUSED) != 0; }

/* Waits for the next try.  False: none is needed, or we are called off. */
static bool must_try(struct member *m, int64_t *wait)
{
    int rc = fiber_sem_take(&m->reached, clock_now() + *wait / 2 + (int64_t)rand_below((uint64_t)*wait));

    if (rc == 0)
        *wait = RECOVER_FIRST; /* if it refuses still, it does so again */
    else
        *wait = *wait * 2 > RECOVER_MOST ? RECOVER_MOST : *wait * 2;
    return rc != -ERR_CANCELED && is_refusing(m);
}

/* Nobody listened there: tries until somebody does, or a check has found somebody. */
static void recover(void *arg)
{
    struct member *m = arg;
    int64_t wait = RECOVER_FIRST;
    int rc = -ERR_REFUSED;

    fiber_doing("waiting for a backend that refused");
    while (must_try(m, &wait)) {
        struct stream s;
        fiber_doing("trying a backend that refused");
        rc = stream_connect(&s, &m->backend->addr, clock_now() + RECOVER_TIMEOUT);
        if (rc == 0)
            stream_close(&s);
        if (rc == 0 || rc == -ERR_CANCELED)
            break;
        fiber_doing("waiting for a backend that refused");
    }
    m->recovering = false;
    if (rc == 0)
        come_back(m, BACKEND_REFUSED, "connected", "");
}

static bool is_ejected(const struct member *m) { return (backend_out(m->backend) & BACKEND_EJECTED) != 0; }

/* Goes by what is, and not by who woke it: the operator may have ended the ejection, and requests begun another one. */
static void sit_out(void *arg)
{
    struct member *m = arg;
    struct backend *b = m->backend;
    int64_t well_for = m->of->pool->conf->outlier.eject;

    fiber_doing("waiting for the end of an ejection");
    while (fiber_cause() == 0 && is_ejected(m))
        if (fiber_sem_take(&m->enough, atomic_load(&b->ejected_until)) == -ERR_TIMEOUT && is_ejected(m) &&
            clock_now() >= atomic_load(&b->ejected_until))
            come_back(m, BACKEND_EJECTED, "ejection_over", "");
    m->ejected = false;
    fiber_doing("forgiving an ejection");
    while (fiber_cause() == 0 && !m->ejected && atomic_load(&b->outlier.ejections) > 0)
        if (fiber_sleep(clock_now() + well_for) == 0 && !m->ejected)
            outlier_forgive(&b->outlier);
}

void member_end_ejection(struct member *m)
{
    if (!is_ejected(m))
        return;
    come_back(m, BACKEND_EJECTED, "operator", "");
    fiber_sem_give(&m->enough);
}

/* Live requests have found something; the flags say what. */
static void on_found_out(struct member *m)
{
    struct backend *b = m->backend;
    uint32_t out = backend_out(b);
    char detail[96] = "";

    if ((out & BACKEND_REFUSED) != 0) {
        m->recovering = m->recovering || fiber_go(&m->fibers, "recovering", recover, m) == 0;
        if (m->recovering)
            member_settle(m, "connect_refused", "");
        else
            come_back(m, BACKEND_REFUSED, "no_memory", ""); /* nobody would bring it back */
    }
    if ((out & BACKEND_EJECTED) != 0) {
        int64_t left = atomic_load(&b->ejected_until) - clock_now();
        (void)snprintf(detail, sizeof detail, "for_s=%.1f ejections=%u", (double)(left > 0 ? left : 0) / 1e6,
                       atomic_load(&b->outlier.ejections));
        m->ejected = m->ejected || fiber_go(&m->fibers, "ejected", sit_out, m) == 0;
        if (m->ejected) {
            member_settle(m, atomic_load(&b->eject_verdict) == OUTLIER_RATIO ? "failure_ratio" : "consecutive_failures", detail);
        } else {
            come_back(m, BACKEND_EJECTED, "no_memory", "");
        }
    }
    if (m->checker != NULL && out != 0)
        checker_hurry(m->checker);
}

static void on_notice(struct mail *mail)
{
    struct backend *b = CONTAINER_OF(mail, struct backend, notice);

    MUST_BE(b, BACKEND_MAGIC);
    atomic_store(&b->noticing, false);
    if (b->member != NULL)
        on_found_out(b->member);
    backend_unref(&b);
}

void members_notice(struct backend *b, enum backend_out why)
{
    (void)why; /* the flags tell, when it is looked at */
    if (atomic_exchange(&b->noticing, true))
        return;
    b->notice.fn = on_notice;
    mailbox_send(notices, &backend_ref(b)->notice);
}

/* ---- health checks ---- */

/* A check that passed has connected: to the address that refused, unless it goes elsewhere. */
static void was_reached(struct member *m)
{
    struct addr asked = check_target(m->of->pool->conf->health, &m->backend->addr);

    if (addr_equal(&asked, &m->backend->addr) && backend_bring_back(m->backend, BACKEND_REFUSED) && m->recovering)
        fiber_sem_give(&m->reached);
}

static void on_health(void *arg, const struct health_change *c)
{
    struct member *m = arg;
    char detail[256], quoted[160];

    (void)snprintf(detail, sizeof detail, "passes=%u failures=%u detail=%s", c->passes, c->failures,
                   log_quote(quoted, sizeof quoted, slice_str(c->detail)));
    if (c->to == HEALTH_UP) {
        was_reached(m);
        (void)backend_bring_back(m->backend, BACKEND_NEW);
        if (c->from == HEALTH_DOWN || m->state == BACKEND_IS_CHECKING)
            begin_warming(m);
        (void)backend_bring_back(m->backend, BACKEND_DOWN);
        member_settle(m, "check_passed", detail);
    } else if (c->to == HEALTH_DOWN) {
        (void)backend_take_out(m->backend, BACKEND_DOWN);
        member_settle(m, probe_word(c->reason), detail);
    }
}

static bool traffic_is_well(void *arg)
{
    struct member *m = arg;
    uint64_t failures = atomic_load_explicit(&m->backend->failures, memory_order_relaxed);
    bool well = backend_has_succeeded(m->backend) && failures == m->failures;

    m->failures = failures;
    return well;
}

static const struct checker_hooks checker_hooks = { on_health, traffic_is_well };

/* Nobody asks, so nobody is out for what was asked. */
static void is_unchecked(struct member *m)
{
    (void)backend_bring_back(m->backend, BACKEND_NEW);
    (void)backend_bring_back(m->backend, BACKEND_DOWN);
}

static void begin_checking(struct member *m, const struct check_conf *conf)
{
    m->checker = checker_start(conf, &m->backend->addr, m->backend->name, NULL, true, &checker_hooks, m);
    if (m->checker != NULL)
        return;
    is_unchecked(m);
    log_error("backend.not_checked", "pool=%s backend=%s reason=%s", m->of->name, m->backend->name, err_word(-ERR_NOMEM));
}

static bool check_goes_on(const struct check_conf *a, const struct check_conf *b)
{
    return a != NULL && b != NULL && check_conf_same(a, b);
}

void member_change_check(struct member *m, const struct check_conf *was, const struct check_conf *is)
{
    if (m->checker != NULL && check_goes_on(was, is)) {
        checker_reconfigure(m->checker, is);
        return;
    }
    checker_stop(&m->checker);
    if (is != NULL)
        begin_checking(m, is); /* what is down stays out until the new check has its verdict */
    else
        is_unchecked(m);
    member_settle(m, "configuration", "");
}

/* ---- coming and going ---- */

static bool somebody_serves(const struct membership *ms)
{
    LIST_EACH((struct list *)(uintptr_t)&ms->members, it)
    if (serves(LIST_ITEM(it, struct member, link)->state))
        return true;
    return false;
}

struct member *member_new(struct membership *ms, struct backend *b, bool cold)
{
    struct member *m = calloc(1, sizeof *m);
    const struct check_conf *health = ms->pool->conf->health;

    if (m == NULL)
        return NULL;
    m->of = ms;
    m->backend = backend_ref(b);
    m->since = clock_now();
    m->state = BACKEND_IS_UP;
    group_init(&m->fibers);
    fiber_sem_init(&m->reached, 0);
    fiber_sem_init(&m->enough, 0);
    list_push_back(&ms->members, &m->link);
    b->member = m;
    backend_join(b);
    if (health != NULL && !cold && somebody_serves(ms))
        (void)backend_take_out(b, BACKEND_NEW);
    if (!cold)
        begin_warming(m);
    if (health != NULL)
        begin_checking(m, health);
    m->state = state_of(m);
    atomic_store_explicit(&b->state, (uint32_t)m->state, memory_order_relaxed);
    if (!cold)
        log_info("backend.joined", "pool=%s backend=%s weight=%u state=%s", ms->name, b->name, backend_weight(b),
                 backend_state_word(m->state));
    return m;
}

void member_free(struct member *m)
{
    struct backend *b = m->backend;

    b->member = NULL;
    backend_leave(b);
    list_remove(&m->link);
    group_cancel(&m->fibers, ERR_CANCELED);
    (void)group_join(&m->fibers, CLOCK_NEVER);
    checker_stop(&m->checker);
    backend_unref(&m->backend);
    free(m);
}
