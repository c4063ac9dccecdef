/* validate_listeners.c - listeners: addresses that collide, names, what each mode needs and ignores. */
#include "conf/validate_parts.h"

#include <arpa/inet.h>
#include <string.h>

#include "conf/affinity_rules.h"

/* The port on all addresses: nothing else can listen on it.  [::] is all of IPv4 as well. */
static bool takes_all(const struct addr *all, const struct addr *a)
{
    if (all->len == 0 || a->len == 0 || a->sa.sa_family == AF_UNIX)
        return false;
    if (all->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&all->in6.sin6_addr) &&
               all->in6.sin6_port == (a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
    return all->sa.sa_family == AF_INET && a->sa.sa_family == AF_INET && all->in.sin_addr.s_addr == htonl(INADDR_ANY) &&
           all->in.sin_port == a->in.sin_port;
}

/* Against the first `n` listeners. */
static void check_overlap(struct check *c, struct walk_at at, const struct addr *bind, size_t n)
{
    char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];

    for (size_t i = 0; i < n; i++) {
        const struct listener_conf *l = &c->s->listeners[i];
        if (!takes_all(&l->bind, bind) && !takes_all(bind, &l->bind))
            continue;
        walk_error(c->w, at, "%s overlaps with %s of another listener; only one can have the port", addr_format(bind, text),
                   addr_format(&l->bind, other));
        return;
    }
}

void validate_listeners_bind(struct check *c, struct walk_at at, const struct addr *bind, const char *who, size_t n)
{
    char text[ADDR_TEXT_MAX];
    struct slice key;

    if (bind->len == 0)
        return; /* reported before, or absent */
    key = arena_copy(&c->w->m->arena, slice_str(addr_format(bind, text)));
    if (key.p == NULL)
        c->w->m->no_memory = true;
    else if (index_add(&c->bind_index, key, 0) != INDEX_NONE)
        walk_error(c->w, at, "%s is taken by another %s", key.p, who);
    else
        check_overlap(c, at, bind, n);
}

static void check_tcp(const struct check *c, size_t i)
{
    static const char *const http_only[] = { "forwarded",        "via",           "proxy_status", "protocols", "request_headers",
                                             "response_headers", "redirect_https" };
    struct spot sp;

    if (c->s->listeners[i].pool_name == NULL && !c->s->listeners[i].sni)
        walk_error(c->w, listener_at(c, &sp, i, "pool"),
                   "is missing; with mode \"tcp\" a pool is a must, unless it has sni = true");
    for (size_t k = 0; k < sizeof http_only / sizeof http_only[0]; k++)
        if (node_find(&c->listeners->v[i], http_only[k]) != NULL)
            walk_warning(c->w, listener_at(c, &sp, i, http_only[k]), "has no effect with mode \"tcp\"");
}

static void check_http(const struct check *c, size_t i)
{
    const struct listener_conf *l = &c->s->listeners[i];
    struct spot sp;

    if (l->sni)
        walk_error(c->w, listener_at(c, &sp, i, "sni"),
                   "is only for mode \"tcp\"; with mode \"http\" routes look at the host of each request");
    if (l->redirect_https && l->tls != NULL)
        walk_error(c->w, listener_at(c, &sp, i, "redirect_https"), "would redirect for ever: the listener has tls");
    if (l->redirect_https && l->pool_name != NULL)
        walk_warning(c->w, listener_at(c, &sp, i, "pool"), "has no effect with redirect_https");
}

void validate_listeners(struct check *c)
{
    struct index names;
    struct spot sp;

    if (!validate_names_index(c, &names, c->s->n_listeners) || !validate_names_index(c, &c->bind_index, c->s->n_listeners + 2))
        return;
    for (size_t i = 0; i < c->s->n_listeners; i++) {
        struct listener_conf *l = &c->s->listeners[i];
        size_t other;
        validate_listeners_bind(c, listener_at(c, &sp, i, "bind"), &l->bind, "listener", i);
        if (l->mode == LISTENER_TCP)
            check_tcp(c, i);
        else
            check_http(c, i);
        if (l->pool_name != NULL)
            l->pool = validate_pools_find(c, listener_at(c, &sp, i, "pool"), l->pool_name);
        else if (l->mode == LISTENER_HTTP && c->s->n_routes == 0 && !l->redirect_https)
            walk_warning(c->w, listener_at(c, &sp, i, NULL), "no pool and no routes, so every request gets a 404");
        if (l->pool != NULL && l->mode == LISTENER_TCP)
            affinity_check_tcp(c->w, sp.at, l->pool);
        if (l->tls != NULL || l->sni)
            c->hears_names = true;
        else if (l->pool != NULL)
            affinity_check_clear(c->w, sp.at, l->pool);
        if (l->name == NULL)
            continue;
        other = index_add(&names, slice_str(l->name), i);
        if (node_find(&c->listeners->v[i], "name") == NULL)
            continue; /* it is the address, which was checked */
        validate_names_form(c, listener_at(c, &sp, i, "name"), l->name);
        if (other != INDEX_NONE)
            validate_names_twice(c, listener_at(c, &sp, i, "name"), l->name, "listener", c->listeners->v[other].at);
    }
}
