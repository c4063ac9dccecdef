/* serving.c - a snapshot and what is built from it. */
#include "proxy/serving.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

static void serving_free(struct serving *s)
{
    for (size_t i = 0; s->pools != NULL && i < s->conf->n_pools; i++)
        pool_free(&s->pools[i]);
    free(s->pools);
    router_free(&s->router);
    snapshot_unref(&s->conf);
    s->magic = 0;
    free(s);
}

static const struct pool *pool_of(const struct serving *s, const char *name)
{
    for (size_t i = 0; s != NULL && i < s->conf->n_pools; i++)
        if (strcmp(s->conf->pools[i].name, name) == 0)
            return s->pools[i];
    return NULL;
}

static bool build(struct serving *s, const struct serving *old)
{
    s->router = router_new(s->conf);
    s->pools = calloc(s->conf->n_pools + 1, sizeof *s->pools);
    if (s->router == NULL || s->pools == NULL)
        return false;
    for (size_t i = 0; i < s->conf->n_pools; i++) {
        s->pools[i] = pool_new(&s->conf->pools[i], s->n_workers, pool_of(old, s->conf->pools[i].name));
        if (s->pools[i] == NULL)
            return false;
    }
    return true;
}

struct serving *serving_new(struct snapshot *conf, unsigned n_workers, const struct serving *old)
{
    struct serving *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->magic = SERVING_MAGIC;
    atomic_store(&s->refs, 1);
    s->conf = snapshot_ref(conf);
    s->n_workers = n_workers;
    if (!build(s, old)) {
        serving_free(s);
        return NULL;
    }
    return s;
}

void serving_undo(const struct serving *old)
{
    for (size_t i = 0; i < old->conf->n_pools; i++) {
        const struct pool_conf *p = &old->conf->pools[i];
        const struct backend_conf *conf = p->backends.v;
        for (size_t j = 0; j < p->backends.n; j++) {
            struct backend *b = backend_find(p->name, &conf[j], old->n_workers);
            if (b != NULL)
                backend_apply(b, &conf[j]);
            backend_unref(&b);
        }
    }
}

struct serving *serving_ref(struct serving *s)
{
    MUST_BE(s, SERVING_MAGIC);
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void serving_unref(struct serving **sp)
{
    struct serving *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    MUST_BE(s, SERVING_MAGIC);
    if (atomic_fetch_sub(&s->refs, 1) == 1)
        serving_free(s);
}

struct pool *serving_pool(const struct serving *s, const struct pool_conf *conf)
{
    size_t i = (size_t)(conf - s->conf->pools);

    MUST(i < s->conf->n_pools);
    return s->pools[i];
}
