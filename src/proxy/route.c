/*
 * route.c - two tables: hosts to groups of routes, and (group, path) to lists of routes.
 *
 * A request meets at most: the group of its exact host, the groups of the suffixes of its host, the group of routes without
 * host.  In each: the list of its exact path, the lists of the prefixes of its path, the list of routes without path.  Each
 * list is in the file's order, so that the first that accepts is the list's best, and a list or a group that begins behind
 * the best so far is not looked at.
 *
 * What a request can cost is bounded by the file: suffixes and prefixes are only looked up by lengths that occur in it.
 */
#include "proxy/route.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/must.h"
#include "base/rand.h"
#include "proxy/route_hash.h"
#include "proxy/route_match.h"

/* Lengths that occur, ascending, each once. */
struct lengths {
    uint32_t *v;
    uint32_t n, cap;
};

/* A route, by its number in the file. */
struct candidate {
    uint32_t number;
    bool plain;             /* host and path are all that it asks for: the rule itself needs no look */
    struct candidate *next; /* later in the file */
};
#define NONE UINT32_MAX

/* Nearly always of one route, which therefore stands in the list itself. */
struct route_list {
    struct candidate first; /* .number NONE: empty */
    struct candidate *last;
};
#define EMPTY_LIST  ((struct route_list){ .first = { .number = NONE } })

#define FEW_LENGTHS 4

/* The routes of one host pattern, or of none.  What a search reads stands together: with many routes, memory is what it costs. */
struct group {
    struct pattern host;        /* its text stands behind the struct */
    uint32_t first;             /* none of its routes comes earlier */
    uint32_t longest_exact;     /* path, in bytes; 0: there is none */
    struct route_list pathless; /* routes without path */
    struct lengths prefixes;
    uint32_t few[FEW_LENGTHS]; /* the prefixes' first memory */
    uint64_t salt;             /* mixed into the hash of its paths */
};

struct path_routes {
    struct group *group;
    struct pattern path; /* its text stands behind the struct */
    struct route_list routes;
};

struct slot {
    uint64_t hash;
    void *what; /* struct group or struct path_routes; NULL: free */
};

/* Open addressing, at most half full, so that a search ends soon. */
struct table {
    struct slot *slots;
    uint64_t mask;
};

#define ROUTER_MAGIC 0x524f5554u
struct router {
    uint32_t magic;
    uint32_t n_groups;
    uint64_t seed; /* random: nobody outside can choose names that collide */
    struct rule *rules;
    const struct route_conf *routes; /* of the snapshot; rules[i] is of routes[i] */
    size_t n_rules;
    struct group *any; /* of the routes without host; NULL: there are none */
    struct table hosts, paths;
    struct lengths suffixes;
    size_t longest_host; /* exact, in bytes; 0: there is none */
    struct arena arena;
};

static inline uint64_t hash_exact_path(const struct router *r, struct slice path)
{
    return hash_text(path.p, path.n, r->seed, HASH_AS_IS);
}
static inline struct prefix_hash no_prefix_yet(const struct router *r) { return (struct prefix_hash){ ~r->seed, 0 }; }

static uint64_t hash_path(const struct router *r, const struct pattern *path)
{
    struct prefix_hash x = no_prefix_yet(r);

    return path->wide ? hash_prefix(&x, path->text.p, path->text.n) : hash_exact_path(r, path->text);
}

static inline uint64_t hash_host(const struct router *r, struct slice text, bool wide)
{
    return hash_text(text.p, text.n, r->seed + wide, HASH_NOCASE);
}

/* --- finding --- */

static inline bool same_pattern(const struct pattern *a, const struct pattern *b)
{
    return a->wide == b->wide && slice_eq(a->text, b->text);
}

static inline struct group *find_group(const struct router *r, uint64_t hash, const struct pattern *host)
{
    for (uint64_t i = hash & r->hosts.mask; r->hosts.slots[i].what != NULL; i = (i + 1) & r->hosts.mask) {
        struct group *g = r->hosts.slots[i].what;
        if (r->hosts.slots[i].hash == hash && g->host.wide == host->wide && host_eq(g->host.text, host->text))
            return g;
    }
    return NULL;
}

static inline struct path_routes *find_path(const struct router *r, uint64_t hash, const struct group *g,
                                            const struct pattern *path)
{
    for (uint64_t i = hash & r->paths.mask; r->paths.slots[i].what != NULL; i = (i + 1) & r->paths.mask) {
        struct path_routes *p = r->paths.slots[i].what;
        if (r->paths.slots[i].hash == hash && p->group == g && same_pattern(&p->path, path))
            return p;
    }
    return NULL;
}

struct search {
    const struct router *r;
    const struct message *m;
    struct slice path;
    uint64_t exact_hash; /* of path, once it is hashed */
    bool hashed;
    uint32_t best; /* number of the earliest route that matches */
};

static inline void consider(struct search *s, const struct route_list *list)
{
    for (const struct candidate *c = &list->first; c != NULL && c->number < s->best; c = c->next) {
        if (c->plain || rule_takes(&s->r->rules[c->number], s->m)) {
            s->best = c->number;
            return;
        }
    }
}

static inline void look_up_path(struct search *s, const struct group *g, uint64_t hash, const struct pattern *path)
{
    const struct path_routes *p = find_path(s->r, hash ^ g->salt, g, path);

    if (p != NULL)
        consider(s, &p->routes);
}

static void look_up_prefixes(struct search *s, const struct group *g)
{
    struct prefix_hash x = no_prefix_yet(s->r);

    for (uint32_t i = 0; i < g->prefixes.n && g->prefixes.v[i] <= s->path.n; i++) {
        size_t n = g->prefixes.v[i];
        if (s->path.p[n - 1] == '/')
            look_up_path(s, g, hash_prefix(&x, s->path.p, n), &(struct pattern){ slice_of(s->path.p, n), true });
    }
}

static void search_group(struct search *s, const struct group *g)
{
    if (g->first >= s->best)
        return;
    consider(s, &g->pathless);
    if (s->path.n <= g->longest_exact) {
        if (!s->hashed)
            s->exact_hash = hash_exact_path(s->r, s->path);
        s->hashed = true;
        look_up_path(s, g, s->exact_hash, &(struct pattern){ s->path, false });
    }
    if (g->prefixes.n > 0)
        look_up_prefixes(s, g);
}

static void search_host(struct search *s, struct slice text, bool wide)
{
    const struct group *g = find_group(s->r, hash_host(s->r, text, wide), &(struct pattern){ text, wide });

    if (g != NULL)
        search_group(s, g);
}

/* All suffixes that begin with a dot and leave something before it. */
static void search_suffixes(struct search *s, struct slice host)
{
    const struct lengths *l = &s->r->suffixes;

    for (uint32_t i = 0; i < l->n && l->v[i] < host.n; i++) {
        const char *p = host.p + host.n - l->v[i];
        if (*p == '.')
            search_host(s, slice_of(p, l->v[i]), true);
    }
}

static void search_hosts(struct search *s, struct slice host)
{
    if (host.n <= s->r->longest_host)
        search_host(s, host, false);
    if (s->r->suffixes.n > 0)
        search_suffixes(s, host);
}

const struct route_conf *router_find(const struct router *r, const struct message *m, struct slice path)
{
    struct search s;

    if (r->n_rules == 0)
        return NULL;
    s = (struct search){ .r = r, .m = m, .path = path, .best = NONE };
    if (r->any != NULL)
        search_group(&s, r->any);
    if (r->hosts.slots != NULL && m->authority.n > 0)
        search_hosts(&s, route_host(m->authority));
    return s.best == NONE ? NULL : &r->routes[s.best];
}

const struct rule *router_rules(const struct router *r, size_t *n)
{
    *n = r->n_rules;
    return r->rules;
}

/* --- building --- */

static int table_init(struct table *t, size_t most, struct arena *a)
{
    size_t size = 8;

    while (size < most * 2)
        size *= 2;
    t->slots = arena_take_zero(a, size * sizeof(*t->slots));
    t->mask = size - 1;
    return t->slots == NULL ? -ERR_NOMEM : 0;
}

static void table_put(struct table *t, uint64_t hash, void *what)
{
    uint64_t i = hash & t->mask;

    while (t->slots[i].what != NULL)
        i = (i + 1) & t->mask;
    t->slots[i] = (struct slot){ hash, what };
}

static int lengths_grow(struct lengths *l, struct arena *a)
{
    uint32_t cap = l->cap == 0 ? 4 : l->cap * 2;
    uint32_t *v = arena_take(a, cap * sizeof(*v));

    if (v == NULL)
        return -ERR_NOMEM;
    if (l->n > 0)
        memcpy(v, l->v, l->n * sizeof(*v));
    l->v = v;
    l->cap = cap;
    return 0;
}

/* There are few: n different lengths take n * n / 2 bytes of text in the file. */
static int lengths_add(struct lengths *l, size_t length, struct arena *a)
{
    uint32_t i = l->n;

    while (i > 0 && l->v[i - 1] > length)
        i--;
    if (i > 0 && l->v[i - 1] == length)
        return 0;
    if (l->n == l->cap && lengths_grow(l, a) < 0)
        return -ERR_NOMEM;
    memmove(l->v + i + 1, l->v + i, (l->n - i) * sizeof(*l->v));
    l->v[i] = (uint32_t)length;
    l->n++;
    return 0;
}

static int list_add(struct route_list *list, const struct candidate *what, struct arena *a)
{
    struct candidate *c = &list->first;

    if (list->last != NULL) {
        if (list->last->number == what->number)
            return 0; /* a host that the route names twice */
        c = arena_take(a, sizeof(*c));
        if (c == NULL)
            return -ERR_NOMEM;
        list->last->next = c;
    }
    *c = *what;
    list->last = c;
    return 0;
}

/* A struct of `size` with the pattern's text behind it; *copy refers to that. */
static void *with_text(struct router *r, size_t size, const struct pattern *p, struct pattern *copy)
{
    char *what = arena_take_zero(&r->arena, size + p->text.n);

    if (what == NULL)
        return NULL;
    if (p->text.n > 0)
        memcpy(what + size, p->text.p, p->text.n);
    *copy = (struct pattern){ slice_of(what + size, p->text.n), p->wide };
    return what;
}

static struct group *group_new(struct router *r, const struct pattern *host, uint32_t first)
{
    struct pattern copy;
    struct group *g = with_text(r, sizeof(*g), host, &copy);

    if (g == NULL)
        return NULL;
    g->host = copy;
    g->first = first;
    g->pathless = EMPTY_LIST;
    g->prefixes = (struct lengths){ .v = g->few, .cap = FEW_LENGTHS };
    g->salt = hash_u64(r->seed + ++r->n_groups);
    return g;
}

/* The group of a host, made if it is new.  NULL: out of memory. */
static struct group *group_of(struct router *r, const char *host, uint32_t number)
{
    struct pattern p = host_pattern(host);
    uint64_t hash = hash_host(r, p.text, p.wide);
    struct group *g = find_group(r, hash, &p);

    if (g != NULL)
        return g;
    g = group_new(r, &p, number);
    if (g == NULL)
        return NULL;
    table_put(&r->hosts, hash, g);
    if (p.wide)
        return lengths_add(&r->suffixes, p.text.n, &r->arena) < 0 ? NULL : g;
    if (r->longest_host < p.text.n)
        r->longest_host = p.text.n;
    return g;
}

static struct path_routes *path_new(struct router *r, struct group *g, const struct pattern *path, uint64_t hash)
{
    struct pattern copy;
    struct path_routes *p = with_text(r, sizeof(*p), path, &copy);

    if (p == NULL)
        return NULL;
    p->group = g;
    p->path = copy;
    p->routes = EMPTY_LIST;
    table_put(&r->paths, hash, p);
    if (path->wide)
        return lengths_add(&g->prefixes, path->text.n, &r->arena) < 0 ? NULL : p;
    if (g->longest_exact < path->text.n)
        g->longest_exact = (uint32_t)path->text.n;
    return p;
}

static int group_add(struct router *r, struct group *g, const struct rule *rule)
{
    struct candidate c = { .number = (uint32_t)(rule - r->rules), .plain = rule->methods == 0 && rule->conf->n_headers == 0 };
    struct path_routes *p;
    uint64_t hash;

    if (!rule->has_path)
        return list_add(&g->pathless, &c, &r->arena);
    hash = hash_path(r, &rule->path) ^ g->salt;
    p = find_path(r, hash, g, &rule->path);
    if (p == NULL)
        p = path_new(r, g, &rule->path, hash);
    return p == NULL ? -ERR_NOMEM : list_add(&p->routes, &c, &r->arena);
}

static int add_rule(struct router *r, const struct rule *rule)
{
    const struct conf_strs *hosts = &rule->conf->host;
    uint32_t number = (uint32_t)(rule - r->rules);
    int rc = 0;

    if (hosts->n == 0) {
        if (r->any == NULL)
            r->any = group_new(r, &(struct pattern){ 0 }, number);
        return r->any == NULL ? -ERR_NOMEM : group_add(r, r->any, rule);
    }
    for (size_t i = 0; i < hosts->n && rc == 0; i++) {
        struct group *g = group_of(r, hosts->v[i], number);
        rc = g == NULL ? -ERR_NOMEM : group_add(r, g, rule);
    }
    return rc;
}

static int make_tables(struct router *r, const struct snapshot *s)
{
    size_t n_hosts = 0, n_paths = 0;
    int rc = 0;

    for (size_t i = 0; i < s->n_routes; i++) {
        size_t n = s->routes[i].host.n;
        n_hosts += n;
        n_paths += s->routes[i].path == NULL ? 0 : n == 0 ? 1 : n;
    }
    if (n_hosts > 0)
        rc = table_init(&r->hosts, n_hosts, &r->arena);
    if (rc == 0)
        rc = table_init(&r->paths, n_paths, &r->arena);
    return rc;
}

static int build(struct router *r, const struct snapshot *s)
{
    int rc;

    if (s->n_routes == 0)
        return 0;
    MUST(s->n_routes < NONE);
    r->routes = s->routes;
    r->rules = arena_take(&r->arena, s->n_routes * sizeof(*r->rules));
    if (r->rules == NULL)
        return -ERR_NOMEM;
    rc = make_tables(r, s);
    for (size_t i = 0; i < s->n_routes && rc == 0; i++) {
        rc = rule_init(&r->rules[i], &s->routes[i], &r->arena);
        if (rc == 0)
            rc = add_rule(r, &r->rules[i]);
    }
    r->n_rules = s->n_routes;
    return rc;
}

struct router *router_new(const struct snapshot *s)
{
    struct router *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->magic = ROUTER_MAGIC;
    r->seed = rand_u64();
    arena_init(&r->arena, NULL, 0);
    if (build(r, s) < 0)
        router_free(&r);
    return r;
}

void router_free(struct router **rp)
{
    struct router *r = *rp;

    *rp = NULL;
    if (r == NULL)
        return;
    MUST_BE(r, ROUTER_MAGIC);
    arena_free(&r->arena);
    r->magic = 0;
    free(r);
}
