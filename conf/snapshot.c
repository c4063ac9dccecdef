/* snapshot.c - counting references, finding by name. */
#include "conf/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "net/tls_ctx.h"

struct snapshot *snapshot_ref(struct snapshot *s)
{
    MUST_BE(s, SNAPSHOT_MAGIC);
    (void)atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot **sp)
{
    struct snapshot *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    MUST_BE(s, SNAPSHOT_MAGIC);
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->n_listeners; i++)
        tls_party_free(&s->listeners[i].tls_party);
    for (size_t i = 0; i < s->n_pools; i++)
        tls_party_free(&s->pools[i].tls_party);
    s->magic = 0;
    for (size_t i = 0; i < s->n_pools; i++)
        check_conf_free(s->pools[i].health);
    arena_free(&s->arena);
    free(s);
}

const struct pool_conf *snapshot_pool(const struct snapshot *s, const char *name)
{
    for (size_t i = 0; i < s->n_pools; i++)
        if (strcmp(s->pools[i].name, name) == 0)
            return &s->pools[i];
    return NULL;
}

const struct listener_conf *snapshot_listener(const struct snapshot *s, const char *name)
{
    for (size_t i = 0; i < s->n_listeners; i++)
        if (strcmp(s->listeners[i].name, name) == 0)
            return &s->listeners[i];
    return NULL;
}
