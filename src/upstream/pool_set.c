/* pool_set.c - who may be picked, priority by priority, and what happens where too few are well. */
#include "upstream/pool_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "upstream/pool_conf.h"
#include "upstream/sticky.h"

static void *take(struct ready *r, size_t size) { return arena_take_zero(CONTAINER_OF(r, struct level, ready)->arena, size); }

/* A set of priorities, a bit each. */
#define PRIORITY(n)    (1u << (n))
#define ALL_PRIORITIES (PRIORITY(LEVELS_MOST) - 1)

static bool is_in(const struct backend *b, uint32_t priorities)
{
    uint32_t level = atomic_load(&b->level);

    return backend_weight(b) > 0 && level < LEVELS_MOST && (priorities & PRIORITY(level)) != 0;
}

/* One that has never been well says nothing of how many are: a pool that doubles in size is not half down. */
static bool is_new(const struct backend *b) { return (backend_out(b) & BACKEND_NEW) != 0; }

struct census {
    size_t all, well;
};

static struct census census_of(const struct pool_set *s, uint32_t priorities)
{
    struct census c = { 0 };

    for (size_t i = 0; i < s->n_members; i++)
        if (is_in(s->members[i], priorities) && !is_new(s->members[i])) {
            c.all++;
            c.well += backend_out(s->members[i]) == 0;
        }
    return c;
}

enum who { WHO_IS_WELL, WHO_IS_KNOWN, WHO_EVER };

static bool is_one(const struct backend *b, enum who who)
{
    return who == WHO_EVER || (who == WHO_IS_KNOWN ? !is_new(b) : backend_out(b) == 0);
}

static int add_level(struct pool_set *s, const struct pool_conf *conf, struct tally *tally, uint32_t priorities, enum who who)
{
    struct level *l = &s->levels[s->n_levels];
    struct ready *r = &l->ready;

    *l = (struct level){ .arena = &s->arena, .panic = who != WHO_IS_WELL };
    r->v = arena_take(&s->arena, s->n_members * sizeof(struct backend *));
    if (r->v == NULL)
        return -ERR_NOMEM;
    for (size_t i = 0; i < s->n_members; i++)
        if (is_in(s->members[i], priorities) && is_one(s->members[i], who)) {
            r->v[r->n++] = s->members[i];
            r->weight += backend_weight(s->members[i]);
        }
    if (r->n == 0)
        return 0; /* the last well one went out just now; the next set knows */
    r->bound = conf->hash.bound;
    r->turn = &tally->turn[__builtin_ctz(priorities)];
    r->inflight = &tally->inflight;
    r->take = take;
    if (conf->strategy->rebuild != NULL && conf->strategy->rebuild(r) < 0)
        return -ERR_NOMEM;
    s->panic |= l->panic;
    s->n_levels++;
    return 0;
}

static bool is_enough(struct census c, uint32_t panic) { return c.well * 100 >= c.all * panic; }

/* The well ones of the first priority are used.  Where they are too few, those of the next one join them, and so on, until there is a
 * priority of which enough are well; what is behind that is another level, in the same way.  Too few in all of them: panic. */
static int gather(struct pool_set *s, const struct pool_conf *conf, struct tally *tally)
{
    uint32_t gathered = 0;
    int rc = 0;

    for (unsigned i = 0; i < LEVELS_MOST && rc == 0; i++) {
        struct census c = census_of(s, PRIORITY(i));
        s->n_serving += c.all;
        s->n_well += c.well;
        if (c.well == 0)
            continue;
        gathered |= PRIORITY(i);
        if (!is_enough(c, conf->outlier.panic))
            continue;
        rc = add_level(s, conf, tally, gathered, WHO_IS_WELL);
        gathered = 0;
    }
    if (rc < 0 || gathered == 0)
        return rc;
    return s->n_levels > 0 ? add_level(s, conf, tally, gathered, WHO_IS_WELL)
                           : add_level(s, conf, tally, ALL_PRIORITIES, WHO_IS_KNOWN);
}

/* Where nobody is well anywhere, it is as if all were. */
static int add_levels(struct pool_set *s, const struct pool_conf *conf, struct tally *tally)
{
    int rc;

    s->levels = arena_take(&s->arena, LEVELS_MOST * sizeof *s->levels);
    if (s->levels == NULL)
        return -ERR_NOMEM;
    rc = gather(s, conf, tally);
    if (s->n_levels > 0 || conf->outlier.panic == 0)
        return rc;
    for (unsigned i = 0; i < LEVELS_MOST && rc == 0; i++)
        rc = add_level(s, conf, tally, PRIORITY(i), WHO_EVER);
    return rc;
}

struct pool_set *pool_set_new(const struct pool_conf *conf, struct tally *tally, struct backend *const *members, size_t n)
{
    struct pool_set *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    arena_init(&s->arena, NULL, 0);
    s->members = arena_take(&s->arena, (n + 1) * sizeof(struct backend *));
    if (s->members == NULL) {
        free(s);
        return NULL;
    }
    for (; s->n_members < n; s->n_members++)
        s->members[s->n_members] = backend_ref(members[s->n_members]);
    if (add_levels(s, conf, tally) < 0)
        pool_set_free(&s);
    return s;
}

void pool_set_free(struct pool_set **sp)
{
    struct pool_set *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_members; i++)
        backend_unref(&s->members[i]);
    arena_free(&s->arena);
    free(s);
}

/* ---- by the ids in cookies ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = ((const struct known_backend *)a)->id, y = ((const struct known_backend *)b)->id;

    return (x > y) - (x < y);
}

static int make_ids(struct pool_set *s, const struct sticky *sticky)
{
    for (size_t i = 0; i < sticky_n_secrets(sticky); i++)
        for (size_t k = 0; k < s->n_members; k++) {
            struct known_backend *it = &s->by_id[s->n_by_id++];
            int rc = sticky_id(sticky, i, &s->members[k]->addr, &it->id);
            if (rc < 0)
                return rc;
            it->backend = s->members[k];
        }
    qsort(s->by_id, s->n_by_id, sizeof *s->by_id, compare_ids);
    return 0;
}

static bool has_same_members(const struct pool_set *a, const struct pool_set *b)
{
    return a->n_members == b->n_members && a->n_members > 0 &&
           memcmp(a->members, b->members, a->n_members * sizeof(struct backend *)) == 0;
}

int pool_set_index(struct pool_set *s, const struct sticky *sticky, const struct pool_set *older)
{
    size_t n = s->n_members * sticky_n_secrets(sticky);

    s->by_id = arena_take(&s->arena, (n + 1) * sizeof *s->by_id);
    if (s->by_id == NULL)
        return -ERR_NOMEM;
    if (older == NULL || older->n_by_id != n || !has_same_members(s, older))
        return make_ids(s, sticky);
    memcpy(s->by_id, older->by_id, n * sizeof *s->by_id);
    s->n_by_id = n;
    return 0;
}

struct backend *pool_set_find(const struct pool_set *s, uint64_t id)
{
    const struct known_backend wanted = { .id = id }, *found = NULL;

    if (s->n_by_id > 0)
        found = bsearch(&wanted, s->by_id, s->n_by_id, sizeof wanted, compare_ids);
    return found == NULL ? NULL : found->backend;
}
