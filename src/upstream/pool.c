/* pool.c - asking the strategy, and learning from how it went. */
#include "upstream/pool.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "fiber/fiber.h"
#include "upstream/chance.h"
#include "upstream/sticky.h"

enum { ASKS_MOST = 4 }; /* times that a strategy may name what a request can't use before we look for ourselves */

pool_notice_fn *pool_notice;

/* ---- building ---- */

static int add_states(struct pool *p)
{
    size_t size = (p->conf->strategy->state_size + 63) / 64 * 64; /* workers write to theirs: a cache line each */

    p->state = arena_take_zero(&p->arena, p->n_workers * sizeof *p->state);
    if (p->state == NULL)
        return -ERR_NOMEM;
    for (unsigned i = 0; i < p->n_workers && size > 0; i++) {
        p->state[i] = arena_take_zero(&p->arena, size);
        if (p->state[i] == NULL)
            return -ERR_NOMEM;
    }
    return 0;
}

/* The backends that the file names, then those that the older pool has beside them. */
static int add_members(struct pool *p, const struct pool *old)
{
    const struct backend_conf *conf = p->conf->backends.v;
    const struct pool_set *had = old != NULL ? pool_set_now(old) : NULL;
    size_t n = 0, most = p->conf->backends.n + (had != NULL ? had->n_members : 0);
    struct backend **v = calloc(most + 1, sizeof *v);
    int rc = v == NULL ? -ERR_NOMEM : 0;

    for (size_t i = 0; i < p->conf->backends.n && rc == 0; i++) {
        struct backend *b = backend_find(p->conf->name, &conf[i], p->n_workers);
        if (b == NULL) {
            rc = -ERR_NOMEM;
            break;
        }
        backend_apply(b, &conf[i]);
        v[n++] = b;
    }
    for (size_t i = 0; had != NULL && p->conf->discovery != NULL && i < had->n_members && rc == 0; i++)
        if (had->members[i]->discovered)
            v[n++] = backend_ref(had->members[i]);
    if (rc == 0)
        rc = pool_publish(p, v, n, &(struct pool_set *){ NULL });
    while (n > 0)
        backend_unref(&v[--n]);
    free(v);
    return rc;
}

struct pool *pool_new(const struct pool_conf *conf, unsigned n_workers, const struct pool *old)
{
    struct pool *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->magic = POOL_MAGIC;
    p->conf = conf;
    p->n_workers = n_workers;
    arena_init(&p->arena, NULL, 0);
    p->tally = tally_find(conf->name);
    if (conf->sticky != NULL)
        p->sticky = sticky_new(conf->sticky, conf->name);
    if (p->tally == NULL || (conf->sticky != NULL && p->sticky == NULL) || add_states(p) < 0 || add_members(p, old) < 0)
        pool_free(&p);
    return p;
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;
    struct pool_set *set;

    *pp = NULL;
    if (p == NULL)
        return;
    MUST_BE(p, POOL_MAGIC);
    set = atomic_load(&p->set);
    pool_set_free(&set);
    tally_unref(&p->tally);
    sticky_free(&p->sticky);
    arena_free(&p->arena);
    p->magic = 0;
    free(p);
}

int pool_publish(struct pool *p, struct backend *const *members, size_t n, struct pool_set **old)
{
    struct pool_set *s = pool_set_new(p->conf, p->tally, members, n);

    if (s != NULL && p->sticky != NULL && pool_set_index(s, p->sticky, atomic_load(&p->set)) < 0)
        pool_set_free(&s);
    if (s == NULL)
        return -ERR_NOMEM;
    *old = atomic_exchange_explicit(&p->set, s, memory_order_acq_rel);
    return 0;
}

/* ---- picking ---- */

bool tried_add(struct tried *t, struct backend *b)
{
    if (t->n == TRIED_MOST)
        return false;
    t->v[t->n++] = backend_ref(b);
    return true;
}

void tried_free(struct tried *t)
{
    while (t->n > 0)
        backend_unref(&t->v[--t->n]);
}

struct request {
    const struct tried *tried;
    bool whatever; /* also those that are out: their level panics */
};

static bool may_be_used(const struct pick_key *key, const struct backend *b)
{
    const struct request *q = key->request;

    if (UNLIKELY(backend_out(b) != 0) && !q->whatever)
        return false;
    for (unsigned i = 0; i < q->tried->n; i++)
        if (q->tried->v[i] == b)
            return false;
    return backend_has_room(b);
}

/* The strategy's choice, unless this request can't use it, or it is warming up and has its share: then it is asked again.  A
 * strategy that weighs by share has seen to that itself. */
static struct backend *pick_from(struct pool *p, struct level *l, struct pick_key *key)
{
    const struct strategy_ops *ops = p->conf->strategy;
    struct warming warming = { 0 };
    int useless = 0;

    for (int i = 0; i < WARM_DRAWS && useless < ASKS_MOST; i++, key->attempt++) {
        struct backend *b = ops->pick(p->state[worker_index()], &l->ready, key);
        if (!may_be_used(key, b))
            useless++;
        else if (ops->warms_up || !warming_turns_down(&warming, b))
            return b;
    }
    return warming.kept != NULL ? warming.kept : chance_pick(&l->ready, key);
}

struct backend *pool_pick(struct pool *p, uint64_t hash, const struct tried *tried)
{
    const struct pool_set *s = pool_set_now(p);
    struct request q = { .tried = tried };
    struct pick_key key = { .hash = hash,
                            .attempt = tried->n,
                            .now = p->conf->strategy->reads_latency ? fiber_now() : 0,
                            .request = &q,
                            .may = may_be_used };

    MUST_BE(p, POOL_MAGIC);
    for (unsigned i = 0; i < s->n_levels; i++) {
        struct backend *b;
        q.whatever = s->levels[i].panic;
        b = pick_from(p, &s->levels[i], &key);
        if (LIKELY(b != NULL))
            return b;
    }
    /* All went out since the set was built: what a new one will say, if it will. */
    if (s->n_levels == 0 || tried->n > 0 || p->conf->outlier.panic == 0)
        return NULL;
    q.whatever = true;
    return pick_from(p, &s->levels[0], &key);
}

struct backend *pool_pick_known(struct pool *p, uint64_t id, const struct tried *tried)
{
    struct request q = { .tried = tried };
    struct pick_key key = { .request = &q };
    struct backend *b = pool_set_find(pool_set_now(p), id);

    MUST_BE(p, POOL_MAGIC);
    return b != NULL && may_be_used(&key, b) ? b : NULL;
}

/* ---- learning ---- */

/* What the backend is to blame for, and not the client, the operator or us. */
static bool is_backends_fault(int code)
{
    switch (-code) {
    case ERR_CONNECT_REFUSED:
    case ERR_CONNECT_TIMEOUT:
    case ERR_CONNECT_FAILED:
    case ERR_BACKEND_TLS_FAILED:
    case ERR_BACKEND_TLS_ALERT:
    case ERR_BACKEND_TLS_TIMEOUT:
    case ERR_BACKEND_CERT_REFUSED:
    case ERR_BACKEND_IDENTITY:
    case ERR_BACKEND_CLOSED:
    case ERR_BACKEND_RESET:
    case ERR_BACKEND_SILENT:
    case ERR_BACKEND_WRITE_TIMEOUT:
    case ERR_FIRST_BYTE_TIMEOUT:
    case ERR_STREAM_IDLE:
    case ERR_BAD_RESPONSE:
    case ERR_BAD_RESPONSE_FRAMING:
    case ERR_BAD_RESPONSE_CHUNK:
    case ERR_RESPONSE_TOO_LARGE:
    case ERR_RESPONSE_CUT: return true;
    default: return false;
    }
}

/* Nobody listens there: known at once, and for all. */
static bool is_nobody_there(int code) { return code == -ERR_CONNECT_REFUSED || code == -ERR_CONNECT_FAILED; }

static void take_out(struct pool *p, struct backend *b, enum backend_out why, enum outlier_verdict verdict)
{
    if ((backend_out(b) & why) != 0 || !backend_take_out_live(b, why, &p->conf->outlier, verdict, fiber_now()))
        return;
    if (!p->conf->outlier.dry_run)
        pool_notice(b, why);
    else
        log_every_second(LOG_LEVEL_INFO, "backend.would_eject", "pool=%s backend=%s reason=%s", b->pool_name, b->name,
                         why == BACKEND_REFUSED     ? "connect_refused"
                         : verdict == OUTLIER_RATIO ? "failure_ratio"
                                                    : "consecutive_failures");
}

static void note_failure(struct pool *p, struct backend *b, int code)
{
    uint64_t failures = atomic_fetch_add_explicit(&b->failures, 1, memory_order_relaxed) + 1;
    enum outlier_verdict verdict;

    if (pool_notice == NULL)
        return;
    if (is_nobody_there(code)) {
        take_out(p, b, BACKEND_REFUSED, OUTLIER_WELL);
        return;
    }
    verdict = outlier_failure(&b->outlier, &p->conf->outlier, atomic_load_explicit(&b->requests, memory_order_relaxed), failures,
                              fiber_now());
    if (verdict != OUTLIER_WELL)
        take_out(p, b, BACKEND_EJECTED, verdict);
}

void pool_done(struct pool *p, struct backend *b, const struct outcome *o)
{
    bool failed = is_backends_fault(o->code) || (o->code == 0 && status_set_has(&p->conf->outlier.failing, o->status));

    if (failed)
        note_failure(p, b, o->code);
    else if (o->code == 0) {
        outlier_success(&b->outlier);
        backend_note_success(b);
    }
    /* 429: it says itself that it is too much.  Any 5xx: it may have its reasons, but others are the better choice meanwhile. */
    if (p->conf->strategy->reads_latency && (failed || o->code == 0))
        backend_note_outcome(b, o->latency, failed || o->status == 429 || o->status >= 500, fiber_now());
    if (p->conf->strategy->done != NULL)
        p->conf->strategy->done(p->state[worker_index()], b, o);
}
