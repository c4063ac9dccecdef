/* validate.c - references, duplicates, contradictions, and what has no effect. */
#include "conf/validate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/must.h"
#include "conf/affinity_rules.h"
#include "conf/index.h"
#include "conf/rules.h"
#include "conf/shadow.h"
#include "conf/source.h"
#include "health/check_type.h"
#include "upstream/plugin.h"
#include "conf/validate_proxy_protocol.h"
#include "conf/validate_tls.h"
#include "upstream/strategy.h"

#define NAME_MOST       128u
#define HOST_MOST       253u
#define UNIX_PATH_MOST  107u
#define ERROR_PAGE_MOST (1024u * 1024u)

struct check {
    struct walk *w;
    struct snapshot *s;
    const struct conf_node *root, *listeners, *routes, *pools; /* the lists, NULL when absent */
    struct index pool_index;
    bool *pool_used;
    bool hears_names;        /* a listener may hear a client name a server in its TLS handshake */
    struct index bind_index; /* addresses as text, of listeners and the admin */
};

/* A key of the i-th item of a list (or the item itself, key NULL), with the path that leads there. */
struct spot {
    struct key_path list, item, key;
    struct walk_at at;
};

static struct walk_at spot(struct spot *sp, const char *list_name, const struct conf_node *list, size_t i, const char *key)
{
    const struct conf_node *item = &list->v[i], *node = key == NULL ? NULL : node_find(item, key);

    sp->list = (struct key_path){ .name = list_name };
    sp->item = walk_item_path(&sp->list, item, i);
    sp->key = (struct key_path){ .up = &sp->item, .name = key };
    sp->at = (struct walk_at){ key == NULL ? &sp->item : &sp->key, node != NULL ? node->at : item->at };
    return sp->at;
}

static struct walk_at listener_at(const struct check *c, struct spot *sp, size_t i, const char *key)
{
    return spot(sp, "listeners", c->listeners, i, key);
}

static struct walk_at route_at(const struct check *c, struct spot *sp, size_t i, const char *key)
{
    return spot(sp, "routes", c->routes, i, key);
}

static struct walk_at pool_at(const struct check *c, struct spot *sp, size_t i, const char *key)
{
    return spot(sp, "pools", c->pools, i, key);
}

/* A key of a group at the top level. */
static struct walk_at group_at(const struct check *c, struct spot *sp, const char *group, const char *key)
{
    const struct conf_node *g = node_find(c->root, group), *node = node_find(g, key);

    sp->item = (struct key_path){ .name = group };
    sp->key = (struct key_path){ .up = &sp->item, .name = key };
    sp->at = (struct walk_at){ &sp->key, node != NULL ? node->at : g != NULL ? g->at : c->root->at };
    return sp->at;
}

static const char *quote(const struct check *c, const char *text) { return messages_quote(c->w->m, text); }

static bool init_index(const struct check *c, struct index *x, size_t n)
{
    if (!index_init(x, &c->w->m->arena, n))
        c->w->m->no_memory = true;
    return !c->w->m->no_memory;
}

/* "line 3", or "other.conf:3" when that is another file than the one complained about. */
static const char *where(const struct check *c, struct place there, struct place here)
{
    const char *text = strcmp(there.file, here.file) == 0 ? arena_printf(&c->w->m->arena, "line %u", there.line)
                                                          : arena_printf(&c->w->m->arena, "%s:%u", there.file, there.line);

    if (text == NULL)
        c->w->m->no_memory = true;
    return text == NULL ? "?" : text;
}

static void check_name(const struct check *c, struct walk_at at, const char *name)
{
    if (name[0] == '\0')
        walk_error(c->w, at, "is empty; a name has at least one character");
    else if (strlen(name) > NAME_MOST)
        walk_error(c->w, at, "%s is too long; a name has at most %u bytes", quote(c, name), NAME_MOST);
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x20 && *p != 0x7f && *p != '"')
            continue;
        walk_error(c->w, at, "%s holds a control byte or a quote; a name has none", quote(c, name));
        return;
    }
}

/* --- pools --- */

/* A name that is none of those that the registry names, NULL past the last. */
static void unknown_word(const struct check *c, struct walk_at at, const char *name, const char *what,
                         const char *(*known_at)(size_t i))
{
    const char *word;
    struct nearest near;
    char known[512] = "";
    size_t n = 0;

    nearest_init(&near, name);
    for (size_t k = 0; (word = known_at(k)) != NULL; k++) {
        nearest_offer(&near, word);
        if (n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", k == 0 ? "" : ", ", word);
    }
    if (near.best != NULL)
        walk_error(c->w, at, "%s is no %s; did you mean %s?", quote(c, name), what, quote(c, near.best));
    else
        walk_error(c->w, at, "%s is no %s; there are: %s", quote(c, name), what, known);
}

/* The last one of the list stands for all plugins. */
static const char *strategy_name_at(size_t i)
{
    if (strategy_at(i) != NULL)
        return strategy_at(i)->name;
    return strategy_at(i - 1) != NULL ? PLUGIN_PREFIX "/path/x.so" : NULL;
}
static const char *check_name_at(size_t i) { return check_type_at(i) == NULL ? NULL : check_type_at(i)->name; }

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
        unknown_word(c, pool_at(c, &sp, i, "strategy"), p->strategy_name, "strategy", strategy_name_at);
}

static void check_discovery(const struct check *c, size_t i)
{
    struct discovery_conf *d = c->s->pools[i].discovery;
    const struct conf_node *type;
    const char *wrong;
    struct key_path path;
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
    type = node_find(node_find(&c->pools->v[i], "discovery"), "type");
    path = (struct key_path){ .up = at.path, .name = "type" };
    unknown_word(c, (struct walk_at){ &path, type != NULL ? type->at : at.place }, d->type, "type of discovery", discovery_type);
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

    if (p->backends.n == 0 || !init_index(c, &seen, p->backends.n))
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

/* --- health checks --- */

/* What a check type complains of, told where the key stands. */
struct health_complaints {
    struct check_complaints base;
    const struct check *c;
    size_t pool;
};

static struct walk_at health_at(const struct check *c, struct spot *sp, struct key_path *inner, size_t i, const char *key)
{
    struct walk_at at = pool_at(c, sp, i, "health");
    const struct conf_node *node = node_find(node_find(&c->pools->v[i], "health"), key);

    *inner = (struct key_path){ .up = at.path, .name = key };
    return (struct walk_at){ inner, node != NULL ? node->at : at.place };
}

static void health_wrong(struct check_complaints *to, const char *key, size_t item, const char *found, const char *why)
{
    struct health_complaints *h = CONTAINER_OF(to, struct health_complaints, base);
    const struct conf_node *node = node_find(node_find(&h->c->pools->v[h->pool], "health"), key);
    struct key_path inner, element;
    struct spot sp;
    struct walk_at at = health_at(h->c, &sp, &inner, h->pool, key);

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
    struct key_path inner;
    struct spot sp;

    for (size_t k = 0; k < group->n; k++)
        if (check_type_ignores(h->type, group->v[k].name))
            walk_warning(c->w, health_at(c, &sp, &inner, i, group->v[k].name), "has no effect with type \"%s\"", h->type->name);
}

/* Two ports contradict each other, and a Unix socket has none. */
static void check_health_target(const struct check *c, size_t i)
{
    const struct check_conf *h = c->s->pools[i].health;
    const struct conf_list *list = &c->s->pools[i].backends;
    bool has_address = h->address.len != 0, is_whole = has_address && check_address_is_whole(&h->address);
    struct key_path inner;
    struct spot sp;

    if (is_whole && h->port != 0)
        walk_error(c->w, health_at(c, &sp, &inner, i, "port"), "%u: address says already where to ask; leave one of them out",
                   h->port);
    if (has_address ? is_whole || h->port != 0 : h->port == 0)
        return;
    for (size_t k = 0; k < list->n; k++) {
        const struct backend_conf *b = (const struct backend_conf *)list->v + k;
        if (b->address.len == 0 || b->address.sa.sa_family != AF_UNIX)
            continue;
        walk_error(c->w, health_at(c, &sp, &inner, i, has_address ? "address" : "port"),
                   "%s has no port; give the Unix sockets a pool of their own", quote(c, b->address_text));
        return;
    }
}

/* What stands at another port, or is in clear beside a pool with TLS, is most likely no HTTP/2 server. */
static bool goes_where_requests_go(const struct pool_conf *p)
{
    return p->health->port == 0 && p->health->address.len == 0 && (p->tls == NULL || p->health->tls);
}

static void check_health(const struct check *c, size_t i)
{
    struct health_complaints to = { .base = { .wrong = health_wrong }, .c = c, .pool = i };
    struct check_conf *h = c->s->pools[i].health;
    struct key_path inner;
    struct spot sp;

    if (h == NULL || h->type_name == NULL)
        return;
    check_health_target(c, i);
    h->h2 = c->s->pools[i].protocol == POOL_H2 && goes_where_requests_go(&c->s->pools[i]);
    h->type = check_type_find(h->type_name);
    if (h->type == NULL) {
        unknown_word(c, health_at(c, &sp, &inner, i, "type"), h->type_name, "check", check_name_at);
        return;
    }
    if (h->type->check != NULL)
        h->type->check(h, &to.base);
    if (to.base.no_memory)
        c->w->m->no_memory = true;
    warn_of_idle_keys(c, i);
}

/* --- pools --- */

static void check_pools(struct check *c)
{
    struct spot sp;

    if (!init_index(c, &c->pool_index, c->s->n_pools))
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
        check_health(c, i);
        if (p->name == NULL)
            continue;
        check_name(c, pool_at(c, &sp, i, "name"), p->name);
        other = index_add(&c->pool_index, slice_str(p->name), i);
        if (other != INDEX_NONE)
            walk_error(c->w, pool_at(c, &sp, i, "name"), "%s is the name of another pool already (%s)", quote(c, p->name),
                       where(c, c->pools->v[other].at, sp.at.place));
    }
}

static void warn_of_unused_pools(const struct check *c)
{
    struct spot sp;

    for (size_t i = 0; i < c->s->n_pools; i++)
        if (!c->pool_used[i] && c->s->pools[i].name != NULL)
            walk_warning(c->w, pool_at(c, &sp, i, NULL), "no route and no listener uses this pool");
}

/* NULL, and an error, when there is no pool of that name. */
static const struct pool_conf *find_pool(const struct check *c, struct walk_at at, const char *name)
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

/* --- listeners --- */

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

static void check_bind(struct check *c, struct walk_at at, const struct addr *bind, const char *who, size_t before)
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
        check_overlap(c, at, bind, before);
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

static void check_listeners(struct check *c)
{
    struct index names;
    struct spot sp;

    if (!init_index(c, &names, c->s->n_listeners) || !init_index(c, &c->bind_index, c->s->n_listeners + 2))
        return;
    for (size_t i = 0; i < c->s->n_listeners; i++) {
        struct listener_conf *l = &c->s->listeners[i];
        size_t other;
        check_bind(c, listener_at(c, &sp, i, "bind"), &l->bind, "listener", i);
        if (l->mode == LISTENER_TCP)
            check_tcp(c, i);
        else
            check_http(c, i);
        if (l->pool_name != NULL)
            l->pool = find_pool(c, listener_at(c, &sp, i, "pool"), l->pool_name);
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
        check_name(c, listener_at(c, &sp, i, "name"), l->name);
        if (other != INDEX_NONE)
            walk_error(c->w, listener_at(c, &sp, i, "name"), "%s is the name of another listener already (%s)", quote(c, l->name),
                       where(c, c->listeners->v[other].at, sp.at.place));
    }
}

/* --- routes --- */

static bool is_label_byte(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_'; }

/* NULL: right; else a sentence. */
static const char *wrong_host(const char *host)
{
    const char *p = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    struct addr ignored;

    if (host[0] == '[') {
        char with_port[HOST_MOST + 4];
        size_t n = strlen(host);
        if (n > HOST_MOST || host[n - 1] != ']')
            return "not a host; an IPv6 address stands in brackets and without a port";
        memcpy(with_port, host, n);
        memcpy(with_port + n, ":1", 3);
        return addr_parse(with_port, &ignored, NULL) == NULL ? NULL : "not an IPv6 address in its brackets";
    }
    if (strcmp(host, "*") == 0)
        return "any host is meant by leaving the key out";
    if (strchr(host, ':') != NULL)
        return "a host stands without its port";
    if (strchr(p, '*') != NULL)
        return "a * stands only at the start: \"*.example.com\"";
    if (*p == '\0' || strlen(host) > HOST_MOST)
        return "not a host; write \"api.example.com\" or \"*.example.com\"";
    for (const char *q = p; *q != '\0'; q++)
        if (!is_label_byte(*q) && !(*q == '.' && q > p && q[-1] != '.' && q[1] != '\0'))
            return "not a host; write \"api.example.com\" or \"*.example.com\", a name in other letters as xn--...";
    return NULL;
}

static const char *wrong_path(const char *path)
{
    size_t n = strlen(path);
    const char *star = strchr(path, '*');

    if (path[0] != '/')
        return "a path starts with /";
    if (star != NULL && (star != path + n - 1 || star[-1] != '/'))
        return "a * stands only at the end, behind a /: \"/prefix/*\"";
    if (strpbrk(path, "?#") != NULL)
        return "only the path is compared; ? and # are not part of it";
    for (const char *p = path; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return "blanks, control bytes and bytes beyond ASCII stand percent-encoded in a path";
    return NULL;
}

static const char *wrong_method(const char *method)
{
    if (!is_token(slice_str(method)))
        return "not a method; write \"GET\", \"POST\" ...";
    for (const char *p = method; *p != '\0'; p++)
        if (*p >= 'a' && *p <= 'z')
            return "methods are written in capitals";
    return NULL;
}

static void check_texts(const struct check *c, size_t i, const char *key, const struct conf_strs *texts,
                        const char *(*wrong_text)(const char *text))
{
    struct spot sp;
    struct walk_at at;

    if (texts->n == 0)
        return;
    at = route_at(c, &sp, i, key);
    for (size_t k = 0; k < texts->n; k++) {
        const struct conf_node *node = &node_find(&c->routes->v[i], key)->v[k];
        struct key_path path = { .up = at.path, .index = k };
        const char *wrong = node->type == NODE_STRING ? wrong_text(texts->v[k]) : NULL;
        if (wrong != NULL)
            walk_error(c->w, (struct walk_at){ &path, node->at }, "%s: %s", quote(c, texts->v[k]), wrong);
    }
}

/* {host} {uri} {path} {query}, and no byte that could end the field. */
static const char *wrong_target(const char *to)
{
    static const char *const known[] = { "{host}", "{uri}", "{path}", "{query}" };

    if (strncmp(to, "http://", 7) != 0 && strncmp(to, "https://", 8) != 0 && to[0] != '/')
        return "a redirect goes to http://..., https://... or /...";
    for (const char *p = to; *p != '\0'; p++) {
        size_t k = 0;
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
            return "blanks, control bytes and bytes beyond ASCII stand percent-encoded";
        while (*p == '{' && k < 4 && strncmp(p, known[k], strlen(known[k])) != 0)
            k++;
        if (k == 4)
            return "unknown place; there are {host}, {uri}, {path} and {query}";
    }
    return NULL;
}

/* A key inside respond or redirect. */
static struct walk_at inner_at(const struct check *c, struct spot *sp, struct key_path *inner, size_t i, const char *key,
                               const char *name)
{
    struct walk_at at = route_at(c, sp, i, key);
    const struct conf_node *node = node_find(node_find(&c->routes->v[i], key), name);

    *inner = (struct key_path){ .up = at.path, .name = name };
    return (struct walk_at){ inner, node != NULL ? node->at : at.place };
}

static void check_respond(const struct check *c, size_t i, const struct respond_conf *r)
{
    struct key_path inner;
    struct spot sp;

    if (r->body != NULL && r->body[0] != '\0' && (r->status == 204 || r->status == 304))
        walk_error(c->w, inner_at(c, &sp, &inner, i, "respond", "body"), "an answer with status %u has no body", r->status);
    for (const char *p = r->content_type; p != NULL && *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x20 && *p != 0x7f)
            continue;
        walk_error(c->w, inner_at(c, &sp, &inner, i, "respond", "content_type"), "%s holds a control byte",
                   quote(c, r->content_type));
        return;
    }
}

static void check_redirect(const struct check *c, size_t i, const struct redirect_conf *r)
{
    const char *wrong = r->to == NULL ? NULL : wrong_target(r->to);
    struct key_path inner;
    struct spot sp;

    if (wrong != NULL)
        walk_error(c->w, inner_at(c, &sp, &inner, i, "redirect", "to"), "%s: %s", quote(c, r->to), wrong);
    if (r->status > 303 && r->status < 307)
        walk_error(c->w, inner_at(c, &sp, &inner, i, "redirect", "status"), "%u is none of 301, 302, 303, 307, 308", r->status);
}

static void check_action(const struct check *c, size_t i)
{
    static const char *const actions[] = { "pool", "respond", "redirect" };
    struct route_conf *r = &c->s->routes[i];
    const char *written[3];
    size_t n = 0;
    struct spot sp;

    for (size_t k = 0; k < 3; k++)
        if (node_find(&c->routes->v[i], actions[k]) != NULL)
            written[n++] = actions[k];
    if (n == 0 && c->routes->v[i].type == NODE_GROUP)
        walk_error(c->w, route_at(c, &sp, i, NULL), "says not what to do; write one of pool, respond, redirect");
    if (n > 1)
        walk_error(c->w, route_at(c, &sp, i, NULL), "has %s and %s; exactly one of pool, respond, redirect is right", written[0],
                   written[1]);
    if (r->pool_name != NULL)
        r->pool = find_pool(c, route_at(c, &sp, i, "pool"), r->pool_name);
    if (r->pool != NULL && !c->hears_names)
        affinity_check_clear(c->w, sp.at, r->pool);
    if (r->respond != NULL)
        check_respond(c, i, r->respond);
    if (r->redirect != NULL)
        check_redirect(c, i, r->redirect);
}

static void warn_of_shadow(void *arg, size_t shadowed, size_t by)
{
    const struct check *c = arg;
    struct spot sp;

    (void)route_at(c, &sp, shadowed, NULL);
    walk_warning(c->w, sp.at, "is never reached: %s (%s) matches all that it could", quote(c, c->s->routes[by].name),
                 where(c, c->routes->v[by].at, sp.at.place));
}

static void check_routes(struct check *c)
{
    struct index names;
    struct spot sp;

    if (!init_index(c, &names, c->s->n_routes))
        return;
    for (size_t i = 0; i < c->s->n_routes && !c->w->m->no_memory; i++) {
        const struct route_conf *r = &c->s->routes[i];
        const char *wrong = r->path == NULL ? NULL : wrong_path(r->path);
        size_t other;
        check_action(c, i);
        check_texts(c, i, "host", &r->host, wrong_host);
        check_texts(c, i, "methods", &r->methods, wrong_method);
        if (wrong != NULL)
            walk_error(c->w, route_at(c, &sp, i, "path"), "%s: %s", quote(c, r->path), wrong);
        if (node_find(&c->routes->v[i], "name") != NULL)
            check_name(c, route_at(c, &sp, i, "name"), r->name);
        other = index_add(&names, slice_str(r->name), i);
        if (other != INDEX_NONE)
            walk_error(c->w, route_at(c, &sp, i, "name"), "%s is the name of another route already (%s)", quote(c, r->name),
                       where(c, c->routes->v[other].at, sp.at.place));
    }
    if (c->w->m->n_errors == 0 && !shadow_find(c->s, &c->w->m->arena, warn_of_shadow, c))
        c->w->m->no_memory = true;
}

static void warn_of_useless_routes(const struct check *c)
{
    struct walk_at at;
    struct key_path path = { .name = "routes" };

    for (size_t i = 0; i < c->s->n_listeners; i++)
        if (c->s->listeners[i].mode == LISTENER_HTTP || c->s->listeners[i].sni)
            return;
    if (c->s->n_routes == 0 || c->s->n_listeners == 0)
        return;
    at = (struct walk_at){ &path, c->routes->at };
    walk_warning(c->w, at, "have no effect: every listener has mode \"tcp\"");
}

/* --- the groups at the top level --- */

static void check_absolute(const struct check *c, const char *group, const char *key, const char *path, const char *right)
{
    struct spot sp;

    if (path != NULL && path[0] != '/')
        walk_error(c->w, group_at(c, &sp, group, key), "%s: %s", quote(c, path), right);
}

static void check_daemon(struct check *c)
{
    const struct daemon_conf *d = &c->s->daemon;
    struct spot sp;

    if (d->control != NULL && strcmp(d->control, "off") != 0) {
        check_absolute(c, "daemon", "control", d->control, "not an absolute path and not \"off\"");
        if (strlen(d->control) > UNIX_PATH_MOST)
            walk_error(c->w, group_at(c, &sp, "daemon", "control"), "the path of a Unix socket has at most %u bytes",
                       UNIX_PATH_MOST);
    }
    check_absolute(c, "daemon", "pid_file", d->pid_file, "not an absolute path");
    check_bind(c, group_at(c, &sp, "daemon", "admin"), &d->admin_addr, "listener", c->s->n_listeners);
    if (d->user != NULL && d->user[0] == '\0')
        walk_error(c->w, group_at(c, &sp, "daemon", "user"), "is empty; leave the key out to stay who the proxy is");
    if (c->s->log.access != NULL && strcmp(c->s->log.access, "off") != 0 && strcmp(c->s->log.access, "stdout") != 0)
        check_absolute(c, "log", "access", c->s->log.access, "not \"off\", not \"stdout\", and not an absolute path");
}

static void check_limits(const struct check *c)
{
    struct limits_conf *l = &c->s->limits;
    struct spot sp;

    if (l->request_line > l->request_header) {
        if (node_find(node_find(c->root, "limits"), "request_line") != NULL)
            walk_error(c->w, group_at(c, &sp, "limits", "request_line"), "is above limits.request_header, of which it is a part");
        l->request_line = l->request_header; /* the default gives way to what is written */
    }
    if (l->connections > 0 && l->per_client > l->connections)
        walk_warning(c->w, group_at(c, &sp, "limits", "per_client"), "%u is above limits.connections, %u, so it has no effect",
                     l->per_client, l->connections);
}

static const char *type_of_page(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot != NULL && (strcasecmp(dot, ".html") == 0 || strcasecmp(dot, ".htm") == 0))
        return "text/html; charset=utf-8";
    if (dot != NULL && strcasecmp(dot, ".json") == 0)
        return "application/json";
    return "text/plain; charset=utf-8";
}

static void read_page(const struct check *c, struct walk_at at, struct error_page *page)
{
    const char *path = source_beside(c->w->arena, at.place.file, page->path);
    char *text = NULL, *absolute;
    size_t n = 0;
    int rc = path == NULL ? -ENOMEM : source_read_file(path, ERROR_PAGE_MOST, &text, &n);

    if (rc == -ENOMEM) {
        c->w->m->no_memory = true;
        return;
    }
    if (rc < 0) {
        walk_error(c->w, at, "can't read %s: %s", path, strerror(-rc));
        return;
    }
    page->body = arena_copy(c->w->arena, slice_of(text, n));
    page->content_type = type_of_page(path);
    absolute = realpath(path, NULL); /* so that a dump finds it from any folder */
    if (absolute != NULL)
        page->path = walk_strdup(c->w, absolute);
    if (page->body.p == NULL)
        c->w->m->no_memory = true;
    free(absolute);
    free(text);
}

static void check_error_pages(const struct check *c)
{
    const struct conf_node *list = node_find(c->root, "error_pages");
    struct spot sp;

    for (size_t i = 0; i < c->s->n_error_pages; i++) {
        struct error_page *p = &c->s->error_pages[i];
        if (p->path != NULL)
            read_page(c, spot(&sp, "error_pages", list, i, "file"), p);
        if (p->status > 0 && p->status < 400)
            walk_error(c->w, spot(&sp, "error_pages", list, i, "status"), "%u is no error; write 400 to 599, or 0 for all others",
                       p->status);
        for (size_t k = 0; k < i && k < 600; k++) {
            if (c->s->error_pages[k].status != p->status)
                continue;
            walk_error(c->w, spot(&sp, "error_pages", list, i, "status"), "%u has a page already (%s)", p->status,
                       where(c, list->v[k].at, list->v[i].at));
            break;
        }
    }
}

void validate(struct walk *w, const struct conf_node *root, struct snapshot *s)
{
    struct check c = { .w = w, .s = s, .root = root };

    c.listeners = node_find(root, "listeners");
    c.routes = node_find(root, "routes");
    c.pools = node_find(root, "pools");
    check_pools(&c);
    if (w->m->no_memory)
        return;
    check_listeners(&c);
    check_routes(&c);
    check_daemon(&c);
    check_limits(&c);
    check_error_pages(&c);
    validate_tls(w, root, s);
    validate_proxy_protocol(w, root, s);
    warn_of_useless_routes(&c);
    warn_of_unused_pools(&c);
}
