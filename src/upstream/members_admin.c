/* members_admin.c - what `weir ctl` shows of members, and does to them. */
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/must.h"
#include "upstream/member.h"

static void list_check(const struct member *m, struct buf *out)
{
    const struct health_record *r = m->checker != NULL ? checker_record(m->checker) : NULL;

    if (r == NULL)
        buf_add(out, "-");
    else if (r->last_probe == 0)
        buf_add(out, "not yet");
    else
        buf_printf(out, "%s %.1f ms, %llu of %llu failed%s%s", r->last == PROBE_OK ? "ok" : probe_word(r->last),
                   (double)r->last_took / 1e3, (unsigned long long)r->failed, (unsigned long long)r->probes,
                   r->detail[0] != '\0' ? ": " : "", r->detail);
}

static void list_member(const struct member *m, struct buf *out)
{
    const struct backend *b = m->backend;

    buf_printf(out, "  %-28s %-10s %8.0f %6u %5u%% %9u %12llu %9llu  ", b->name, backend_state_word(m->state),
               (double)(clock_now() - m->since) / 1e6, backend_weight(b),
               (unsigned)((uint64_t)atomic_load(&b->candidate.share) * 100 / SHARE_WHOLE), backend_inflight(b),
               (unsigned long long)atomic_load(&b->requests), (unsigned long long)atomic_load(&b->failures));
    list_check(m, out);
    buf_add_char(out, '\n');
}

int members_list(const struct members *m, const char *pool, struct buf *out)
{
    bool any = false;

    LIST_EACH((struct list *)(uintptr_t)&m->pools, it)
    {
        struct membership *ms = LIST_ITEM(it, struct membership, link);
        if (pool != NULL && strcmp(pool, ms->name) != 0)
            continue;
        any = true;
        buf_printf(out, "%spool %s, %s%s\n  %-28s %-10s %8s %6s %6s %9s %12s %9s  %s\n", out->n > 0 ? "\n" : "", ms->name,
                   ms->pool->conf->strategy_name, ms->panic ? ", in panic: too few are well, all are used" : "", "backend",
                   "state", "for s", "weight", "share", "in flight", "requests", "failures", "check");
        LIST_EACH(&ms->members, mb)
        list_member(LIST_ITEM(mb, struct member, link), out);
    }
    if (any || pool == NULL)
        return 0;
    buf_printf(out, "there is no pool %s\n", pool);
    return -ERR_INVALID;
}

void membership_keep_word(struct membership *ms, struct backend *b)
{
    if (!list_is_empty(&b->ordered))
        return;
    list_push_back(&ms->ordered, &b->ordered);
    (void)backend_ref(b);
}

void membership_forget_word(struct backend *b)
{
    if (list_is_empty(&b->ordered))
        return;
    list_remove(&b->ordered);
    backend_unref(&b);
}

static struct backend *find_in(const struct membership *ms, const char *name)
{
    LIST_EACH((struct list *)(uintptr_t)&ms->members, it)
    if (strcmp(LIST_ITEM(it, struct member, link)->backend->name, name) == 0)
        return LIST_ITEM(it, struct member, link)->backend;
    LIST_EACH((struct list *)(uintptr_t)&ms->ordered, it)
    if (strcmp(LIST_ITEM(it, struct backend, ordered)->name, name) == 0)
        return LIST_ITEM(it, struct backend, ordered);
    return NULL;
}

/* Names of pools and of backends may hold a slash: the pool is the one that fits. */
static struct backend *find_which(struct members *m, const char *which, struct membership **of)
{
    for (const char *slash = strchr(which, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        LIST_EACH(&m->pools, it)
        {
            struct membership *ms = LIST_ITEM(it, struct membership, link);
            struct backend *b;
            if (strlen(ms->name) != (size_t)(slash - which) || memcmp(ms->name, which, strlen(ms->name)) != 0)
                continue;
            b = find_in(ms, slash + 1);
            *of = ms;
            if (b != NULL)
                return b;
        }
    return NULL;
}

int members_order(struct members *m, const char *which, enum members_order order, unsigned weight, struct buf *out)
{
    static const char *const words[] = { [MEMBERS_DRAIN] = "drain", [MEMBERS_READY] = "ready", [MEMBERS_WEIGHT] = "weight" };
    struct membership *ms = NULL;
    struct backend *b = find_which(m, which, &ms);

    if (b == NULL) {
        buf_printf(out, "there is no backend %s; write POOL/BACKEND as `weir ctl backends` shows them\n", which);
        return -ERR_INVALID;
    }
    backend_set_weight(b, order == MEMBERS_READY ? -1 : order == MEMBERS_DRAIN ? 0 : (int64_t)weight);
    if (b->member != NULL) {
        if (order == MEMBERS_READY)
            member_end_ejection(b->member);
        member_settle(b->member, "operator", "");
        membership_mark_dirty(ms);
    }
    log_info("backend.order", "pool=%s backend=%s order=%s weight=%u", ms->name, b->name, words[order], backend_weight(b));
    buf_printf(out, "%s is %s, weight %u%s\n", which, b->member == NULL ? "not there now" : backend_state_word(b->member->state),
               backend_weight(b),
               order == MEMBERS_READY ? "" : ", until `weir ctl ready`, also over reloads and while it is away");
    if (order == MEMBERS_READY)
        membership_forget_word(b);
    else
        membership_keep_word(ms, b);
    return 0;
}
