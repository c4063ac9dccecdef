/* heartbeat.c - a table for each pool, and one lock. */
#include "discovery/heartbeat.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "fiber/sync.h"

enum { BUCKETS = 256 };

struct beat {
    struct list link; /* of its bucket */
    struct found found;
    int64_t until;
};

struct roll {
    struct list link; /* of rolls */
    char *pool;
    struct list buckets[BUCKETS];
    size_t n;
    int64_t next; /* nothing is over before; may be too early */
    uint64_t version;
};

static struct fiber_mutex lock; /* for all below */
static struct fiber_cond changed;
static struct list rolls = LIST_INIT(rolls);
static uint64_t last_version;

static struct roll *roll_find(const char *pool)
{
    LIST_EACH(&rolls, it)
    {
        struct roll *r = LIST_ITEM(it, struct roll, link);
        if (strcmp(r->pool, pool) == 0)
            return r;
    }
    return NULL;
}

static struct roll *roll_new(const char *pool)
{
    struct roll *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->pool = strdup(pool);
    if (r->pool == NULL) {
        free(r);
        return NULL;
    }
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&r->buckets[i]);
    r->next = CLOCK_NEVER;
    list_push_back(&rolls, &r->link);
    return r;
}

/* Takes an empty one away: to who asks for it, it has changed to version 0. */
static void roll_drop_if_empty(struct roll *r)
{
    if (r->n > 0)
        return;
    list_remove(&r->link);
    free(r->pool);
    free(r);
}

static void roll_changed(struct roll *r)
{
    r->version = ++last_version;
    fiber_cond_broadcast(&changed);
}

static void beat_free(struct roll *r, struct beat *b)
{
    list_remove(&b->link);
    free(b);
    r->n--;
}

/* Takes out what is over. */
static void roll_sweep(struct roll *r, int64_t now)
{
    size_t before = r->n;

    if (now < r->next)
        return;
    r->next = CLOCK_NEVER;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_EACH_SAFE(&r->buckets[i], it)
        {
            struct beat *b = LIST_ITEM(it, struct beat, link);
            if (b->until <= now)
                beat_free(r, b);
            else if (b->until < r->next)
                r->next = b->until;
        }
    if (r->n < before)
        roll_changed(r);
}

/* Also those of pools that no configuration has any more. */
static void sweep_all(void)
{
    int64_t now = clock_now();

    LIST_EACH_SAFE(&rolls, it)
    {
        struct roll *r = LIST_ITEM(it, struct roll, link);
        roll_sweep(r, now);
        roll_drop_if_empty(r);
    }
}

static struct list *bucket_of(struct roll *r, const struct addr *a) { return &r->buckets[addr_hash(a) % BUCKETS]; }

static struct beat *beat_find(struct roll *r, const struct addr *a)
{
    struct list *bucket = bucket_of(r, a);

    LIST_EACH(bucket, it)
    {
        struct beat *b = LIST_ITEM(it, struct beat, link);
        if (addr_equal(&b->found.addr, a))
            return b;
    }
    return NULL;
}

static int beat_add(struct roll *r, const struct found *f, struct beat **out)
{
    struct beat *b;

    if (r->n == FOUND_MOST)
        return -ERR_INVALID;
    b = calloc(1, sizeof *b);
    if (b == NULL)
        return -ERR_NOMEM;
    b->found.addr = f->addr;
    list_push_back(bucket_of(r, &f->addr), &b->link);
    r->n++;
    *out = b;
    return 1;
}

static int put(struct roll *r, const struct found *f, int64_t ttl)
{
    struct beat *b = beat_find(r, &f->addr);
    int rc = b == NULL ? beat_add(r, f, &b) : 0;

    if (rc < 0)
        return rc;
    if (rc == 1 || b->found.weight != f->weight || b->found.priority != f->priority ||
        b->found.max_connections != f->max_connections)
        roll_changed(r);
    b->found = *f;
    b->found.name = NULL;
    b->until = clock_after(clock_now(), ttl);
    if (b->until < r->next) {
        r->next = b->until;
        roll_changed(r); /* who waits for the first to be over would wait too long */
    }
    return rc;
}

int heartbeat_put(const char *pool, const struct found *f, int64_t ttl, int64_t deadline)
{
    int rc = fiber_mutex_lock(&lock, deadline);
    struct roll *r;

    if (rc < 0)
        return rc;
    sweep_all();
    r = roll_find(pool);
    if (r == NULL)
        r = roll_new(pool);
    rc = r == NULL ? -ERR_NOMEM : put(r, f, ttl);
    if (r != NULL)
        roll_drop_if_empty(r);
    fiber_mutex_unlock(&lock);
    return rc;
}

int heartbeat_remove(const char *pool, const struct addr *a, int64_t deadline)
{
    int rc = fiber_mutex_lock(&lock, deadline);
    struct beat *b = NULL;
    struct roll *r;

    if (rc < 0)
        return rc;
    sweep_all();
    r = roll_find(pool);
    if (r != NULL)
        b = beat_find(r, a);
    if (b != NULL) {
        beat_free(r, b);
        roll_changed(r);
        roll_drop_if_empty(r);
    }
    fiber_mutex_unlock(&lock);
    return b != NULL;
}

static int copy(struct roll *r, struct heartbeat_view *out)
{
    roll_sweep(r, clock_now());
    out->version = r->version;
    out->next = r->next;
    out->until = malloc((r->n + 1) * sizeof *out->until);
    if (out->until == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_EACH(&r->buckets[i], it)
        {
            const struct beat *b = LIST_ITEM(it, struct beat, link);
            out->until[out->list.n] = b->until;
            if (found_list_add(&out->list, &b->found) < 0)
                return -ERR_NOMEM;
        }
    return 0;
}

int heartbeat_look(const char *pool, struct heartbeat_view *out, int64_t deadline)
{
    int rc = fiber_mutex_lock(&lock, deadline);
    struct roll *r;

    *out = (struct heartbeat_view){ .next = CLOCK_NEVER };
    if (rc < 0)
        return rc;
    r = roll_find(pool);
    if (r != NULL)
        rc = copy(r, out);
    fiber_mutex_unlock(&lock);
    if (rc < 0)
        heartbeat_view_free(out);
    return rc;
}

void heartbeat_view_free(struct heartbeat_view *v)
{
    found_list_free(&v->list);
    free(v->until);
    *v = (struct heartbeat_view){ .next = CLOCK_NEVER };
}

int heartbeat_wait(const char *pool, uint64_t version, int64_t deadline)
{
    int rc = fiber_mutex_lock(&lock, deadline);

    if (rc < 0)
        return rc;
    while (rc == 0) {
        const struct roll *r = roll_find(pool);
        if ((r == NULL ? 0 : r->version) != version)
            break;
        rc = fiber_cond_wait(&changed, &lock, deadline);
    }
    fiber_mutex_unlock(&lock);
    return rc;
}
