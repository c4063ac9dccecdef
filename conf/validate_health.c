/* validate_health.c - a pool's health check: its type, the keys of that type, and whom it asks. */
#include "conf/validate_parts.h"

#include "base/must.h"
#include "health/check_type.h"

static const char *check_name_at(size_t i) { return check_type_at(i) == NULL ? NULL : check_type_at(i)->name; }

/* What a check type complains of, told where the key stands. */
struct health_complaints {
    struct check_complaints base;
    const struct check *c;
    size_t pool;
};

static struct walk_at health_at(const struct check *c, struct spot *sp, size_t i, const char *key)
{
    (void)pool_at(c, sp, i, "health");
    return validate_spot_inside(sp, &c->pools->v[i], key);
}

static void health_wrong(struct check_complaints *to, const char *key, size_t item, const char *found, const char *why)
{
    struct health_complaints *h = CONTAINER_OF(to, struct health_complaints, base);
    const struct conf_node *node = node_find(node_find(&h->c->pools->v[h->pool], "health"), key);
    struct key_path element;
    struct spot sp;
    struct walk_at at = health_at(h->c, &sp, h->pool, key);

    if (node != NULL && node_is_sequence(node) && item < node->n) {
        if (node->v[item].type != NODE_STRING)
            return; /* reported before */
        element = (struct key_path){ .up = at.path, .index = item };
        at = (struct walk_at){ &element, node->v[item].at };
    }
    walk_error(h->c->w, at, "%s: %s", quote(h->c, found), why);
}

/* Keys that are written although they change nothing. */
static void warn_of_idle_keys(const struct check *c, size_t i)
{
    const struct check_conf *h = c->s->pools[i].health;
    const struct conf_node *group = node_find(&c->pools->v[i], "health");
    struct spot sp;

    for (size_t k = 0; k < group->n; k++)
        if (check_type_ignores(h->type, group->v[k].name))
            walk_warning(c->w, health_at(c, &sp, i, group->v[k].name), "has no effect with type \"%s\"", h->type->name);
}

/* Two ports contradict each other, and a Unix socket has none. */
static void check_health_target(const struct check *c, size_t i)
{
    const struct check_conf *h = c->s->pools[i].health;
    const struct conf_list *list = &c->s->pools[i].backends;
    bool has_address = h->address.len != 0, is_whole = has_address && check_address_is_whole(&h->address);
    struct spot sp;

    if (is_whole && h->port != 0)
        walk_error(c->w, health_at(c, &sp, i, "port"), "%u: address says already where to ask; leave one of them out", h->port);
    if (has_address ? is_whole || h->port != 0 : h->port == 0)
        return;
    for (size_t k = 0; k < list->n; k++) {
        const struct backend_conf *b = (const struct backend_conf *)list->v + k;
        if (b->address.len == 0 || b->address.sa.sa_family != AF_UNIX)
            continue;
        walk_error(c->w, health_at(c, &sp, i, has_address ? "address" : "port"),
                   "%s has no port; give the Unix sockets a pool of their own", quote(c, b->address_text));
        return;
    }
}

/* What stands at another port, or is in clear beside a pool with TLS, is most likely no HTTP/2 server. */
static bool goes_where_requests_go(const struct pool_conf *p)
{
    return p->health->port == 0 && p->health->address.len == 0 && (p->tls == NULL || p->health->tls);
}

void validate_health(const struct check *c, size_t i)
{
    struct health_complaints to = { .base = { .wrong = health_wrong }, .c = c, .pool = i };
    struct check_conf *h = c->s->pools[i].health;
    struct spot sp;

    if (h == NULL || h->type_name == NULL)
        return;
    check_health_target(c, i);
    h->h2 = c->s->pools[i].protocol == POOL_H2 && goes_where_requests_go(&c->s->pools[i]);
    h->type = check_type_find(h->type_name);
    if (h->type == NULL) {
        validate_names_unknown(c, health_at(c, &sp, i, "type"), h->type_name, "check", check_name_at);
        return;
    }
    if (h->type->check != NULL)
        h->type->check(h, &to.base);
    if (to.base.no_memory)
        c->w->m->no_memory = true;
    warn_of_idle_keys(c, i);
}
