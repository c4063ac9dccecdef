/* backend.c - the register of all backends, by pool and address, and what workers note of one together. */
#include "upstream/backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "upstream/pool_conf.h"

#define LATENCY_MEMORY (10 * CLOCK_S) /* the average forgets within about that time */
#define FAILING_MEMORY 8              /* exchanges; the share of failures forgets within about so many */

enum { BUCKETS_LEAST = 64 };

/* Of the register; never on a request's path. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct backend **buckets;     /* chains of next_in_bucket */
static size_t n_buckets, n_backends; /* a power of two */
static _Thread_local unsigned index_of_worker;

void worker_index_set(unsigned index) { index_of_worker = index; }
unsigned worker_index(void) { return index_of_worker; }

/* ---- the register ---- */

static uint64_t key_of(const char *pool_name, const struct addr *addr)
{
    return hash_bytes(pool_name, strlen(pool_name), addr_hash(addr));
}

/* As many buckets as backends, about.  Out of memory: fuller ones, but for the first. */
static bool make_buckets(void)
{
    size_t n = n_buckets == 0 ? BUCKETS_LEAST : 2 * n_buckets;
    struct backend **wider, *b;

    if (n_backends < n_buckets)
        return true;
    wider = calloc(n, sizeof(struct backend *));
    if (wider == NULL)
        return n_buckets > 0;
    for (size_t i = 0; i < n_buckets; i++)
        while ((b = buckets[i]) != NULL) {
            buckets[i] = b->next_in_bucket;
            b->next_in_bucket = wider[b->key & (n - 1)];
            wider[b->key & (n - 1)] = b;
        }
    free(buckets);
    buckets = wider;
    n_buckets = n;
    return true;
}

static struct backend *backend_new(const char *pool_name, const struct backend_conf *conf, unsigned n_workers)
{
    size_t name_len = strlen(conf->address_text) + 1;
    size_t fixed = sizeof(struct backend) + n_workers * sizeof(struct backend_worker);
    size_t size = (fixed + name_len + 63) / 64 * 64;
    struct backend *b = aligned_alloc(64, size);

    if (b == NULL)
        return NULL;
    memset(b, 0, size);
    b->tally = tally_find(pool_name);
    if (b->tally == NULL) {
        free(b);
        return NULL;
    }
    b->magic = BACKEND_MAGIC;
    b->pool_name = b->tally->name;
    b->addr = conf->address;
    b->candidate.id = addr_hash(&conf->address);
    atomic_init(&b->candidate.share, SHARE_WHOLE);
    atomic_init(&b->weight_by_operator, -1);
    list_init(&b->ordered);
    b->n_workers = n_workers;
    b->name = memcpy((char *)b + fixed, conf->address_text, name_len);
    for (unsigned i = 0; i < n_workers; i++) {
        list_init(&b->worker[i].idle);
        list_init(&b->worker[i].shared);
        atomic_store(&b->worker[i].lesson.limit, CLOCK_NEVER);
        b->worker[i].lesson.alive = IDLE_ALIVE_FIRST;
    }
    backend_apply(b, conf);
    return b;
}

static struct backend *find_locked(const char *pool_name, const struct addr *addr, uint64_t key)
{
    for (struct backend *b = buckets[key & (n_buckets - 1)]; b != NULL; b = b->next_in_bucket)
        if (b->key == key && addr_equal(&b->addr, addr) && strcmp(b->pool_name, pool_name) == 0)
            return b;
    return NULL;
}

static struct backend *find_or_make(const char *pool_name, const struct backend_conf *conf, unsigned n_workers)
{
    uint64_t key = key_of(pool_name, &conf->address);
    struct backend *b;

    if (!make_buckets())
        return NULL;
    b = find_locked(pool_name, &conf->address, key);
    if (b != NULL)
        return b;
    b = backend_new(pool_name, conf, n_workers);
    if (b == NULL)
        return NULL;
    b->key = key;
    b->next_in_bucket = buckets[key & (n_buckets - 1)];
    buckets[key & (n_buckets - 1)] = b;
    n_backends++;
    return b;
}

struct backend *backend_find(const char *pool_name, const struct backend_conf *conf, unsigned n_workers)
{
    struct backend *b;

    (void)pthread_mutex_lock(&lock);
    b = find_or_make(pool_name, conf, n_workers);
    if (b != NULL)
        atomic_fetch_add(&b->refs, 1);
    (void)pthread_mutex_unlock(&lock);
    return b;
}

struct backend *backend_ref(struct backend *b)
{
    MUST_BE(b, BACKEND_MAGIC);
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

static void forget(struct backend *b)
{
    struct backend **at = &buckets[b->key & (n_buckets - 1)];

    while (*at != b)
        at = &(*at)->next_in_bucket;
    *at = b->next_in_bucket;
    if (--n_backends > 0)
        return;
    free(buckets);
    buckets = NULL;
    n_buckets = 0;
}

void backend_unref(struct backend **bp)
{
    struct backend *b = *bp;
    uint32_t refs;
    bool last;

    *bp = NULL;
    if (b == NULL)
        return;
    MUST_BE(b, BACKEND_MAGIC);
    refs = atomic_load_explicit(&b->refs, memory_order_relaxed);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&b->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed))
            return;
    (void)pthread_mutex_lock(&lock); /* so that backend_find() doesn't take up what is being freed */
    last = atomic_fetch_sub(&b->refs, 1) == 1;
    if (last)
        forget(b);
    (void)pthread_mutex_unlock(&lock);
    if (!last)
        return;
    for (unsigned i = 0; i < b->n_workers; i++) {
        MUST(list_is_empty(&b->worker[i].idle) && list_is_empty(&b->worker[i].shared));
        tls_session_forget(&b->worker[i].session);
    }
    tally_unref(&b->tally);
    b->magic = 0;
    free(b);
}

/* ---- in and out ---- */

const char *backend_state_word(enum backend_state s)
{
    static const char *const words[] = { "up", "down", "refusing", "ejected", "checking", "drained", "warming_up" };

    MUST(s < ARRAY_LEN(words));
    return words[s];
}

/* What it adds to the numbers of its pool, as it stands.  Under the tally's lock. */
static void count(const struct backend *b, uint32_t sign)
{
    struct tally *t = b->tally;
    uint32_t out = backend_out(b);

    if (!b->joined || backend_weight(b) == 0 || (out & BACKEND_NEW) != 0)
        return;
    t->n_serving += sign;
    t->n_out += out != 0 ? sign : 0;
    t->n_ejected += (out & BACKEND_EJECTED) != 0 ? sign : 0;
}

/* Whatever changes what is counted stands between these two.  Meanwhile the numbers are those of the others. */
static void begin_change(struct backend *b)
{
    (void)pthread_mutex_lock(&b->tally->lock);
    count(b, UINT32_MAX); /* -1 */
}

static void end_change(struct backend *b)
{
    count(b, 1);
    (void)pthread_mutex_unlock(&b->tally->lock);
}

void backend_join(struct backend *b)
{
    begin_change(b);
    b->joined = true;
    atomic_store(&b->candidate.out, 0);
    outlier_reset(&b->outlier);
    end_change(b);
    atomic_store(&b->retired, false);
}

void backend_leave(struct backend *b)
{
    atomic_store(&b->retired, true);
    begin_change(b);
    b->joined = false;
    end_change(b);
}

static void set_weight(struct backend *b)
{
    int64_t by_operator = atomic_load(&b->weight_by_operator);

    atomic_store(&b->candidate.weight, by_operator >= 0 ? (uint32_t)by_operator : atomic_load(&b->weight_configured));
}

void backend_set_weight(struct backend *b, int64_t weight)
{
    begin_change(b);
    atomic_store(&b->weight_by_operator, weight);
    set_weight(b);
    end_change(b);
}

void backend_apply(struct backend *b, const struct backend_conf *conf)
{
    begin_change(b);
    atomic_store(&b->weight_configured, conf->weight);
    set_weight(b);
    end_change(b);
    atomic_store(&b->level, conf->priority);
    atomic_store(&b->max_connections, conf->max_connections);
}

bool backend_take_out(struct backend *b, enum backend_out why)
{
    uint32_t was;

    begin_change(b);
    was = atomic_fetch_or(&b->candidate.out, why);
    end_change(b);
    return (was & why) == 0;
}

bool backend_bring_back(struct backend *b, enum backend_out why)
{
    uint32_t was;

    begin_change(b);
    was = atomic_fetch_and(&b->candidate.out, ~(uint32_t)why);
    end_change(b);
    return (was & why) != 0;
}

/* Within a change.  One of weight 0 is nobody's last, and counts for no share. */
static bool may_go(const struct backend *b, enum backend_out why, const struct outlier_conf *conf)
{
    const struct tally *t = b->tally;
    uint32_t out = backend_out(b);

    if (!b->joined || (out & why) != 0)
        return false;
    if (backend_weight(b) == 0)
        return true;
    if (why == BACKEND_EJECTED && !outlier_may_eject(conf, t->n_serving + 1, t->n_ejected))
        return false;
    return out != 0 || t->n_out < t->n_serving;
}

bool backend_take_out_live(struct backend *b, enum backend_out why, const struct outlier_conf *conf, enum outlier_verdict verdict,
                           int64_t now)
{
    bool goes;

    begin_change(b);
    goes = may_go(b, why, conf);
    if (goes && !conf->dry_run) {
        if (why == BACKEND_EJECTED) { /* the flag comes last: who sees it sees the rest */
            atomic_store(&b->ejected_until, now + outlier_eject(&b->outlier, conf));
            atomic_store(&b->eject_verdict, (int)verdict);
        }
        (void)atomic_fetch_or(&b->candidate.out, why);
    }
    end_change(b);
    return goes;
}

/* ---- what requests teach ---- */

static void note_latency(struct candidate *c, int64_t was, int64_t latency, uint32_t now_ms)
{
    int64_t age = (int64_t)(now_ms - atomic_load_explicit(&c->latency_at, memory_order_relaxed)) * CLOCK_MS, value;

    latency = latency < 1 ? 1 : latency > UINT32_MAX ? UINT32_MAX : latency;
    if (latency >= was)
        value = latency;
    else if (age == 0)
        return; /* others have noted something this very millisecond */
    else
        value = was - (int64_t)((was - latency) * ((double)age / (double)(age + LATENCY_MEMORY)));
    atomic_store_explicit(&c->latency, (uint32_t)value, memory_order_relaxed);
    atomic_store_explicit(&c->latency_at, now_ms, memory_order_relaxed);
}

/* A success where all was well writes nothing. */
static void note_failing(struct candidate *c, uint32_t was, bool failed, uint32_t now_ms)
{
    uint32_t value = failed ? was + (SHARE_WHOLE - was) / FAILING_MEMORY : was - (was + FAILING_MEMORY - 1) / FAILING_MEMORY;

    if (!failed && atomic_load_explicit(&c->failing, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&c->failing, value, memory_order_relaxed);
    atomic_store_explicit(&c->failing_at, now_ms, memory_order_relaxed);
}

/* Two workers at once: one of them is heard.  These are averages. */
void backend_note_outcome(struct backend *b, int64_t latency, bool failed, int64_t now)
{
    int64_t was = backend_latency(b, now);
    uint32_t now_ms = (uint32_t)(now / CLOCK_MS);

    note_failing(&b->candidate, backend_failing(b, now), failed, now_ms);
    if (latency >= 0 && (!failed || (was > 0 && latency > was))) /* a quick error says nothing of how quick answers are */
        note_latency(&b->candidate, was, latency, now_ms);
}

bool backend_has_room(const struct backend *b)
{
    uint32_t most = atomic_load_explicit(&b->max_connections, memory_order_relaxed);

    return most == 0 || atomic_load_explicit(&b->in_use, memory_order_relaxed) < most ||
           !list_is_empty(&b->worker[worker_index()].shared);
}

bool backend_is_over_limit(const struct backend *b)
{
    uint32_t most = atomic_load_explicit(&b->max_connections, memory_order_relaxed);

    return most != 0 && backend_connections(b) > most;
}
