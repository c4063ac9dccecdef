/* members.c - who comes and who goes, by configuration and discovery, and publishing that. */
#include "upstream/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "fiber/sched.h"
#include "upstream/member.h"

#define FIRST_WORD  CLOCK_S /* what a new source may take before a pool that has no backend yet is served all the same */
#define MEMORY_WAIT (100 * CLOCK_MS)

static void member_leaves(struct member *m)
{
    log_info("backend.left", "pool=%s backend=%s requests=%llu inflight=%u", m->of->name, m->backend->name,
             (unsigned long long)atomic_load(&m->backend->requests), backend_inflight(m->backend));
    membership_mark_dirty(m->of);
    member_free(m);
}

/* ---- discovery ---- */

static bool same_found(const struct found *a, const struct found *b)
{
    return a->weight == b->weight && a->priority == b->priority && a->max_connections == b->max_connections;
}

static void apply_found(struct member *m, const struct found *f)
{
    struct backend_conf conf = { .weight = f->weight, .priority = f->priority, .max_connections = f->max_connections };

    m->as_found = *f;
    m->as_found.name = m->backend->name;
    backend_apply(m->backend, &conf);
}

static void add_found(struct membership *ms, const struct found *f, bool cold)
{
    struct backend_conf conf = {
        .address = f->addr,
        .address_text = f->name,
        .weight = f->weight,
        .priority = f->priority,
        .max_connections = f->max_connections,
    };
    struct backend *b = backend_find(ms->name, &conf, ms->pool->n_workers);
    struct member *m = b != NULL ? b->member : NULL;

    if (b == NULL)
        log_error("backend.not_added", "pool=%s backend=%s reason=%s", ms->name, f->name, err_word(-ERR_NOMEM));
    else if (m == NULL) {
        b->discovered = true;
        backend_apply(b, &conf); /* it may be one that has left and is still draining */
        m = member_new(ms, b, cold);
        membership_mark_dirty(ms);
    } else if (!m->configured && !same_found(&m->as_found, f)) {
        log_info("backend.changed", "pool=%s backend=%s weight=%u was=%u priority=%u", ms->name, b->name, f->weight,
                 m->as_found.weight, f->priority);
        membership_mark_dirty(ms);
    }
    if (m != NULL) {
        m->found = m->seen = true;
        if (!m->configured)
            apply_found(m, f);
        member_settle(m, "discovery", "");
    }
    backend_unref(&b);
}

static void has_spoken(struct membership *ms)
{
    if (!ms->is_awaited)
        return;
    ms->is_awaited = false;
    wait_group_done(&ms->owner->first_words);
}

/* What discovery has named before and does not name now. */
static void drop_unseen(struct membership *ms)
{
    LIST_EACH_SAFE(&ms->members, it)
    {
        struct member *m = LIST_ITEM(it, struct member, link);
        if (m->seen)
            continue;
        m->found = false;
        if (!m->configured)
            member_leaves(m);
    }
}

static void tell_recovery(struct membership *ms, size_t n)
{
    if (ms->trouble == NULL || ms->source.flawed || ms->source.expired)
        return;
    log_info("discovery.recovered", "pool=%s type=%s backends=%zu", ms->name, ms->source.conf->type, n);
    free(ms->trouble);
    ms->trouble = NULL;
}

static void on_published(struct source *s, const struct found *v, size_t n)
{
    struct membership *ms = s->owner;
    bool was = fiber_shield(true), cold;

    (void)fiber_mutex_lock(&ms->coming_and_going, CLOCK_NEVER);
    cold = ms->is_awaited || (ms->good_at == 0 && list_is_empty(&ms->members));
    tell_recovery(ms, n);
    LIST_EACH(&ms->members, it)
    LIST_ITEM(it, struct member, link)->seen = false;
    for (size_t i = 0; i < n; i++)
        add_found(ms, &v[i], cold);
    drop_unseen(ms);
    fiber_mutex_unlock(&ms->coming_and_going);
    if (!s->expired)
        ms->good_at = clock_now();
    has_spoken(ms);
    (void)fiber_shield(was);
}

static void on_failed(struct source *s, const char *why)
{
    struct membership *ms = s->owner;
    char quoted[256];

    if (ms->trouble == NULL || strcmp(ms->trouble, why) != 0) {
        log_warn("discovery.failed", "pool=%s type=%s error=%s kept_for_s=%.0f", ms->name, s->conf->type,
                 log_quote(quoted, sizeof quoted, slice_str(why)),
                 ms->good_at == 0 ? 0 : (double)(clock_now() - ms->good_at) / 1e6);
        free(ms->trouble);
        ms->trouble = strdup(why);
    }
    metric_add(METRIC_DISCOVERY_FAILURES, 1);
    has_spoken(ms);
}

static void run_source(void *arg)
{
    struct membership *ms = arg;

    fiber_doing("discovering backends");
    ms->source.conf->ops->run(&ms->source);
}

static void stop_source(struct membership *ms)
{
    if (!ms->has_source)
        return;
    group_cancel(&ms->source_fiber, ERR_CANCELED);
    (void)group_join(&ms->source_fiber, CLOCK_NEVER);
    ms->has_source = false;
    arena_free(&ms->discovery_texts);
    has_spoken(ms);
}

static void start_source(struct membership *ms, const struct discovery_conf *conf, bool cold)
{
    int rc = discovery_copy(&ms->discovery, conf, &ms->discovery_texts);

    ms->source = (struct source){
        .conf = &ms->discovery, .pool = ms->name, .publish = on_published, .failed = on_failed, .owner = ms
    };
    group_init(&ms->source_fiber);
    if (rc == 0)
        rc = fiber_go(&ms->source_fiber, "source", run_source, ms);
    if (rc < 0) {
        arena_free(&ms->discovery_texts);
        log_error("discovery.not_begun", "pool=%s type=%s reason=%s", ms->name, conf->type, err_word(rc));
        return;
    }
    ms->has_source = true;
    ms->is_awaited = cold || list_is_empty(&ms->members);
    if (ms->is_awaited)
        wait_group_add(&ms->owner->first_words, 1);
}

/* One that asks the same goes on, with all that it knows: what it keeps of answers that fail now, and since when they do. */
static void change_source(struct membership *ms, bool cold)
{
    const struct discovery_conf *conf = ms->pool->conf->discovery;

    if (ms->has_source && conf != NULL && discovery_same(&ms->discovery, conf)) {
        discovery_retime(&ms->discovery, conf);
        return;
    }
    stop_source(ms);
    if (conf != NULL)
        start_source(ms, conf, cold);
}

/* ---- publishing ---- */

static void on_pass(struct mail *mail)
{
    struct pass *p = CONTAINER_OF(mail, struct pass, mail);

    if (p->owner->readers.passes != NULL)
        p->owner->readers.passes();
    wait_group_done(&p->owner->passing);
}

/* Returns when every reader has been between two fibers. */
static void let_all_pass(struct members *m)
{
    wait_group_add(&m->passing, (int32_t)m->readers.n);
    for (size_t i = 0; i < m->readers.n; i++)
        mailbox_send(sched_mailbox(m->readers.scheds[i]), &m->passes[i].mail);
    (void)wait_group_wait(&m->passing, CLOCK_NEVER);
}

static void tell_panic(struct membership *ms, const struct pool_set *s)
{
    if (s->panic == ms->panic)
        return;
    ms->panic = s->panic;
    if (s->panic)
        log_warn("pool.panic", "pool=%s well=%zu of=%zu threshold=%u: all backends are used", ms->name, s->n_well, s->n_serving,
                 ms->pool->conf->outlier.panic);
    else
        log_info("pool.panic_over", "pool=%s well=%zu of=%zu", ms->name, s->n_well, s->n_serving);
}

/* The file's backends in its order, then the others as they came. */
static int publish(struct membership *ms, struct pool_set **old)
{
    size_t n = 0, most = 0;
    struct backend **v;
    int rc;

    LIST_EACH(&ms->members, it)
    most++;
    v = calloc(most + 1, sizeof *v);
    if (v == NULL)
        return -ERR_NOMEM;
    ms->dirty = false; /* what changes from now on is for the next one */
    LIST_EACH(&ms->members, it)
    v[n++] = LIST_ITEM(it, struct member, link)->backend;
    rc = pool_publish(ms->pool, v, n, old);
    free(v);
    if (rc < 0)
        ms->dirty = true;
    else
        tell_panic(ms, pool_set_now(ms->pool));
    return rc;
}

/* All that are dirty, one after the other; old sets to the list.  False: memory is out. */
static bool publish_all(struct members *m, struct pool_set **old)
{
    LIST_EACH(&m->pools, it)
    {
        struct membership *ms = LIST_ITEM(it, struct membership, link);
        struct pool_set *was = NULL;
        if (!ms->dirty)
            continue;
        if (publish(ms, &was) < 0)
            return false;
        was->next = *old;
        *old = was;
    }
    return true;
}

static void publisher(void *arg)
{
    struct members *m = arg;

    for (;;) {
        struct pool_set *old = NULL;
        bool all, was;

        fiber_doing("waiting for a change of members");
        if (fiber_sem_take(&m->work, CLOCK_NEVER) < 0)
            return;
        fiber_doing("publishing members");
        all = publish_all(m, &old);
        was = fiber_shield(true);
        if (old != NULL)
            let_all_pass(m);
        (void)fiber_shield(was);
        while (old != NULL) {
            struct pool_set *next = old->next;
            pool_set_free(&old);
            old = next;
        }
        if (all)
            continue;
        log_every_second(LOG_LEVEL_ERROR, "pool.not_published", "reason=%s", err_word(-ERR_NOMEM));
        if (fiber_sleep(clock_now() + MEMORY_WAIT) < 0)
            return;
        fiber_sem_give(&m->work);
    }
}

/* ---- configurations ---- */

static struct membership *membership_find(struct members *m, const char *name)
{
    LIST_EACH(&m->pools, it)
    if (strcmp(LIST_ITEM(it, struct membership, link)->name, name) == 0)
        return LIST_ITEM(it, struct membership, link);
    return NULL;
}

static struct membership *membership_new(struct members *m, struct pool *p)
{
    struct membership *ms = calloc(1, sizeof *ms);

    if (ms == NULL)
        return NULL;
    ms->owner = m;
    ms->tally = tally_ref(p->tally);
    ms->name = ms->tally->name;
    list_init(&ms->members);
    list_init(&ms->ordered);
    list_push_back(&m->pools, &ms->link);
    return ms;
}

static void membership_free(struct membership *ms)
{
    stop_source(ms);
    LIST_EACH_SAFE(&ms->members, it)
    member_free(LIST_ITEM(it, struct member, link));
    LIST_EACH_SAFE(&ms->ordered, it)
    membership_forget_word(LIST_ITEM(it, struct backend, ordered));
    list_remove(&ms->link);
    tally_unref(&ms->tally);
    free(ms->trouble);
    free(ms);
}

/* The backends that the file names, and in its order. */
static void adopt_configured(struct membership *ms, bool cold)
{
    const struct backend_conf *conf = ms->pool->conf->backends.v;
    struct list in_order = LIST_INIT(in_order);

    for (size_t i = 0; i < ms->pool->conf->backends.n; i++) {
        struct backend *b = backend_find(ms->name, &conf[i], ms->pool->n_workers); /* it is there already */
        struct member *m = b == NULL ? NULL : b->member != NULL ? b->member : member_new(ms, b, cold);
        if (m == NULL) {
            log_error("backend.not_watched", "pool=%s backend=%s reason=%s", ms->name, conf[i].address_text,
                      err_word(-ERR_NOMEM));
        } else {
            b->discovered = false;
            m->configured = true;
            list_remove(&m->link);
            list_push_back(&in_order, &m->link);
            member_settle(m, "configuration", "");
        }
        backend_unref(&b);
    }
    LIST_EACH_SAFE(&ms->members, it)
    {
        list_remove(it);
        list_push_back(&in_order, it);
    }
    LIST_EACH_SAFE(&in_order, it)
    {
        list_remove(it);
        list_push_back(&ms->members, it);
    }
}

/* Members that neither the file nor discovery names. */
static void drop_unnamed(struct membership *ms)
{
    LIST_EACH_SAFE(&ms->members, it)
    {
        struct member *m = LIST_ITEM(it, struct member, link);
        if (!m->configured && (!m->found || ms->pool->conf->discovery == NULL))
            member_leaves(m);
        else if (!m->configured)
            apply_found(m, &m->as_found); /* what the file said of it no longer holds */
    }
}

static void adopt(struct members *m, struct pool *p, bool cold)
{
    struct membership *ms = membership_find(m, p->tally->name);
    const struct check_conf *was_checked = ms != NULL && ms->pool != NULL ? ms->pool->conf->health : NULL;
    bool begins = cold || ms == NULL;

    if (ms == NULL)
        ms = membership_new(m, p);
    if (ms == NULL) {
        log_error("pool.not_watched", "pool=%s reason=%s", p->tally->name, err_word(-ERR_NOMEM));
        return;
    }
    (void)fiber_mutex_lock(&ms->coming_and_going, CLOCK_NEVER);
    ms->pool = p;
    ms->adopted = true;
    LIST_EACH(&ms->members, it)
    {
        struct member *mb = LIST_ITEM(it, struct member, link);
        mb->configured = false;
        member_change_check(mb, was_checked, p->conf->health);
    }
    adopt_configured(ms, begins);
    drop_unnamed(ms);
    fiber_mutex_unlock(&ms->coming_and_going);
    change_source(ms, begins);
    membership_mark_dirty(ms);
}

/* Who has said nothing by then is waited for no more. */
static void await_first_words(struct members *m)
{
    fiber_doing("waiting for discovery");
    (void)wait_group_wait(&m->first_words, clock_now() + FIRST_WORD);
    LIST_EACH(&m->pools, it)
    has_spoken(LIST_ITEM(it, struct membership, link));
}

void members_adopt(struct members *m, struct pool *const *pools, size_t n, bool cold)
{
    bool was = fiber_shield(true);

    LIST_EACH(&m->pools, it)
    LIST_ITEM(it, struct membership, link)->adopted = false;
    for (size_t i = 0; i < n; i++)
        adopt(m, pools[i], cold);
    LIST_EACH_SAFE(&m->pools, it)
    if (!LIST_ITEM(it, struct membership, link)->adopted)
        membership_free(LIST_ITEM(it, struct membership, link));
    await_first_words(m);
    (void)fiber_shield(was);
}

struct members *members_start(const struct members_readers *readers)
{
    struct members *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    m->readers = *readers;
    m->passes = calloc(readers->n + 1, sizeof *m->passes);
    list_init(&m->pools);
    group_init(&m->fibers);
    fiber_sem_init(&m->work, 0);
    for (size_t i = 0; m->passes != NULL && i < readers->n; i++)
        m->passes[i] = (struct pass){ .mail = { .fn = on_pass }, .owner = m };
    if (m->passes == NULL || fiber_go(&m->fibers, "publisher", publisher, m) < 0) {
        members_free(&m);
        return NULL;
    }
    member_listen(sched_mailbox(sched_self()));
    return m;
}

void members_stop(struct members *m)
{
    bool was = fiber_shield(true);

    LIST_EACH_SAFE(&m->pools, it)
    membership_free(LIST_ITEM(it, struct membership, link));
    group_cancel(&m->fibers, ERR_CANCELED);
    (void)group_join(&m->fibers, CLOCK_NEVER);
    (void)fiber_shield(was);
}

void members_free(struct members **mp)
{
    struct members *m = *mp;

    *mp = NULL;
    if (m == NULL)
        return;
    free(m->passes);
    free(m);
}
