/* validate_pools.c - pools: strategy, outliers, discovery and backends; who refers to which, and which to none. */
#include "conf/validate_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "conf/affinity_rules.h"
#include "upstream/plugin.h"
#include "upstream/strategy.h"

/* The last one of the list stands for all plugins. */
static const char *strategy_name_at(size_t i)
{
    if (strategy_at(i) != NULL)
        return strategy_at(i)->name;
    return strategy_at(i - 1) != NULL ? PLUGIN_PREFIX "/path/x.so" : NULL;
}

static void check_plugin(const struct check *c, size_t i)
{
    struct pool_conf *p = &c->s->pools[i];
    const char *path = p->strategy_name + strlen(PLUGIN_PREFIX);
    char why[256];
    struct spot sp;

    p->strategy = plugin_strategy(path, why, sizeof why);
    if (p->strategy == NULL)
        walk_error(c->w, pool_at(c, &sp, i, "strategy"), "%s %s", quote(c, path), why);
}

static void check_strategy(const struct check *c, size_t i)
{
    struct pool_conf *p = &c->s->pools[i];
    struct spot sp;

    if (p->strategy_name == NULL)
        return;
    if (strncmp(p->strategy_name, PLUGIN_PREFIX, strlen(PLUGIN_PREFIX)) == 0) {
        check_plugin(c, i);
        return;
    }
    p->strategy = strategy_find(p->strategy_name);
    if (p->strategy == NULL)
        validate_names_unknown(c, pool_at(c, &sp, i, "strategy"), p->strategy_name, "strategy", strategy_name_at);
}

static void check_discovery(const struct check *c, size_t i)
{
    struct discovery_conf *d = c->s->pools[i].discovery;
    const char *wrong;
    struct walk_at at;
    struct spot sp;

    if (d == NULL || d->type == NULL)
        return;
    at = pool_at(c, &sp, i, "discovery");
    if (discovery_find(d)) {
        wrong = discovery_check(d);
        if (wrong != NULL)
            walk_error(c->w, at, "%s", wrong);
        return;
    }
    validate_names_unknown(c, validate_spot_inside(&sp, &c->pools->v[i], "type"), d->type, "type of discovery", discovery_type);
}

static void check_outlier(const struct check *c, size_t i)
{
    struct outlier_conf *o = &c->s->pools[i].outlier;
    const char *wrong = o->statuses != NULL ? status_set_parse(o->statuses, &o->failing) : NULL;
    struct spot sp;

    (void)pool_at(c, &sp, i, "outlier");
    if (wrong != NULL)
        walk_error(c->w, sp.at, "statuses: %s: %s", quote(c, o->statuses), wrong);
    if (o->eject_most > 0 && o->eject_most < o->eject)
        walk_error(c->w, sp.at, "eject_most is below eject; the longest is at least as long as the first");
}

static void check_backends(const struct check *c, size_t i)
{
    const struct pool_conf *p = &c->s->pools[i];
    const struct backend_conf *b = p->backends.v;
    struct walk_at at;
    struct index seen;
    uint64_t weights = 0;
    struct spot sp;

    if (p->backends.n == 0 || !validate_names_index(c, &seen, p->backends.n))
        return;
    at = pool_at(c, &sp, i, "backends");
    for (size_t k = 0; k < p->backends.n; k++) {
        char text[ADDR_TEXT_MAX];
        struct key_path path = { .up = at.path, .index = k };
        struct slice name = slice_of(text, strlen(addr_format(&b[k].address, text)));
        weights += b[k].weight;
        if (b[k].address.len == 0)
            continue; /* reported before */
        name = arena_copy(&c->w->m->arena, name);
        if (name.p == NULL)
            c->w->m->no_memory = true;
        else if (index_add(&seen, name, k) != INDEX_NONE)
            walk_error(c->w, (struct walk_at){ &path, node_find(&c->pools->v[i], "backends")->v[k].at },
                       "%s stands twice in this pool; give it a higher weight instead", name.p);
    }
    if (weights == 0 && p->discovery == NULL)
        walk_warning(c->w, at, "all weights are 0, so the pool takes no new requests");
}

void validate_pools(struct check *c)
{
    struct spot sp;

    if (!validate_names_index(c, &c->pool_index, c->s->n_pools))
        return;
    c->pool_used = arena_take_zero(&c->w->m->arena, c->s->n_pools + 1);
    if (c->pool_used == NULL) {
        c->w->m->no_memory = true;
        return;
    }
    for (size_t i = 0; i < c->s->n_pools; i++) {
        struct pool_conf *p = &c->s->pools[i];
        size_t other;
        check_strategy(c, i);
        check_outlier(c, i);
        check_discovery(c, i);
        affinity_check(c->w, &c->pools->v[i], pool_at(c, &sp, i, NULL), p);
        check_backends(c, i);
        validate_health(c, i);
        if (p->name == NULL)
            continue;
        validate_names_form(c, pool_at(c, &sp, i, "name"), p->name);
        other = index_add(&c->pool_index, slice_str(p->name), i);
        if (other != INDEX_NONE)
            validate_names_twice(c, pool_at(c, &sp, i, "name"), p->name, "pool", c->pools->v[other].at);
    }
}

void validate_pools_unused(const struct check *c)
{
    struct spot sp;

    for (size_t i = 0; i < c->s->n_pools; i++)
        if (!c->pool_used[i] && c->s->pools[i].name != NULL)
            walk_warning(c->w, pool_at(c, &sp, i, NULL), "no route and no listener uses this pool");
}

const struct pool_conf *validate_pools_find(const struct check *c, struct walk_at at, const char *name)
{
    size_t i = index_find(&c->pool_index, slice_str(name));
    struct nearest near;

    if (i != INDEX_NONE) {
        c->pool_used[i] = true;
        return &c->s->pools[i];
    }
    nearest_init(&near, name);
    for (size_t k = 0; k < c->s->n_pools && c->w->m->n_kept < MESSAGES_MOST; k++)
        if (c->s->pools[k].name != NULL)
            nearest_offer(&near, c->s->pools[k].name);
    if (near.best != NULL)
        walk_error(c->w, at, "%s is no pool; did you mean %s?", quote(c, name), quote(c, near.best));
    else
        walk_error(c->w, at, "%s is no pool; none of that name stands in pools", quote(c, name));
    return NULL;
}
