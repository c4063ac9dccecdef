/* shadow.c - an earlier route that covers a later one has the same host and path, or wider ones: few to look up. */
#include "conf/shadow.h"

#include "base/hash.h"

#define HOST_LABELS_MOST   10u
#define PATH_SEGMENTS_MOST 20u
#define CHAIN_MOST         64u /* routes of one host and path that are looked at */

static bool host_covers(const char *a, const char *b)
{
    struct slice sa = slice_str(a), sb = slice_str(b);

    if (slice_eq(sa, sb))
        return true;
    if (sa.n < 2 || a[0] != '*' || sb.n < sa.n)
        return false;
    return memcmp(b + sb.n - (sa.n - 1), a + 1, sa.n - 1) == 0; /* "*.x" covers "y.x" and "*.y.x" */
}

static bool hosts_cover(const struct conf_strs *a, const struct conf_strs *b)
{
    if (a->n == 0)
        return true;
    for (size_t i = 0; i < b->n; i++) {
        size_t j = 0;
        while (j < a->n && !host_covers(a->v[j], b->v[i]))
            j++;
        if (j == a->n)
            return false;
    }
    return b->n > 0;
}

static bool is_prefix(struct slice path) { return path.n > 0 && path.p[path.n - 1] == '*'; }

static bool path_covers(const char *a, const char *b)
{
    struct slice sa = slice_str(a), sb = slice_str(b);

    if (a == NULL)
        return true;
    if (b == NULL)
        return false;
    if (!is_prefix(sa))
        return slice_eq(sa, sb);
    return slice_starts(sb, slice_of(a, sa.n - 1));
}

static bool methods_cover(const struct conf_strs *a, const struct conf_strs *b)
{
    if (a->n == 0)
        return true;
    for (size_t i = 0; i < b->n; i++) {
        size_t j = 0;
        while (j < a->n && strcmp(a->v[j], b->v[i]) != 0)
            j++;
        if (j == a->n)
            return false;
    }
    return b->n > 0;
}

/* Each condition of `a` is also one of `b`. */
static bool headers_cover(const struct route_conf *a, const struct route_conf *b)
{
    for (size_t i = 0; i < a->n_headers; i++) {
        const struct header_match *x = &a->headers[i];
        size_t j = 0;
        while (j < b->n_headers && !(slice_eq_nocase(x->name, b->headers[j].name) &&
                                     (x->any || (!b->headers[j].any && slice_eq(x->value, b->headers[j].value)))))
            j++;
        if (j == b->n_headers)
            return false;
    }
    return true;
}

bool shadow_covers(const struct route_conf *a, const struct route_conf *b)
{
    return hosts_cover(&a->host, &b->host) && path_covers(a->path, b->path) && methods_cover(&a->methods, &b->methods) &&
           headers_cover(a, b);
}

/* --- the table: hash of host and path -> earlier routes --- */

struct entry {
    struct entry *next;
    uint64_t hash;
    size_t route;
};

struct table {
    struct entry **heads;
    size_t mask;
    struct arena *a;
    const struct snapshot *s;
};

enum part { PART_ANY, PART_WIDE, PART_EXACT };

/* "*.x" and "/x/ *" are hashed without their star. */
static uint64_t hash_part(enum part kind, struct slice text, uint64_t seed) { return hash_slice(text, seed * 4 + kind); }

static uint64_t hash_of_host(const char *host)
{
    if (host == NULL)
        return hash_part(PART_ANY, SLICE(""), 1);
    if (host[0] == '*')
        return hash_part(PART_WIDE, slice_str(host + 1), 1);
    return hash_part(PART_EXACT, slice_str(host), 1);
}

static uint64_t hash_with_path(uint64_t host, const char *path)
{
    struct slice s = slice_str(path);

    if (path == NULL)
        return hash_part(PART_ANY, SLICE(""), host);
    if (is_prefix(s))
        return hash_part(PART_WIDE, slice_of(path, s.n - 1), host);
    return hash_part(PART_EXACT, s, host);
}

static bool add(struct table *t, size_t route, const char *host)
{
    struct entry *e = arena_take(t->a, sizeof *e);

    if (e == NULL)
        return false;
    e->hash = hash_with_path(hash_of_host(host), t->s->routes[route].path);
    e->route = route;
    e->next = t->heads[e->hash & t->mask];
    t->heads[e->hash & t->mask] = e;
    return true;
}

static size_t look_up(const struct table *t, uint64_t hash, size_t route)
{
    size_t seen = 0;

    for (const struct entry *e = t->heads[hash & t->mask]; e != NULL && seen < CHAIN_MOST; e = e->next) {
        if (e->hash != hash)
            continue;
        if (shadow_covers(&t->s->routes[e->route], &t->s->routes[route]))
            return e->route;
        seen++;
    }
    return SIZE_MAX;
}

/* With this host: any path, the same path, and each prefix of it. */
static size_t look_up_paths(const struct table *t, uint64_t host, size_t route)
{
    const char *path = t->s->routes[route].path;
    size_t found = look_up(t, hash_with_path(host, NULL), route), segments = 0;

    if (path == NULL || found != SIZE_MAX)
        return found;
    found = look_up(t, hash_with_path(host, path), route);
    for (const char *p = path; *p != '\0' && found == SIZE_MAX && segments < PATH_SEGMENTS_MOST; p++) {
        if (*p != '/')
            continue;
        found = look_up(t, hash_part(PART_WIDE, slice_of(path, (size_t)(p - path) + 1), host), route);
        segments++;
    }
    return found;
}

static size_t look_up_hosts(const struct table *t, size_t route)
{
    const struct conf_strs *hosts = &t->s->routes[route].host;
    size_t found = look_up_paths(t, hash_of_host(NULL), route), labels = 0;
    const char *host;

    if (hosts->n == 0 || found != SIZE_MAX)
        return found;
    host = hosts->v[0]; /* whoever covers them all covers the first */
    found = look_up_paths(t, hash_of_host(host), route);
    for (const char *p = host + (host[0] == '*'); *p != '\0' && found == SIZE_MAX && labels < HOST_LABELS_MOST; p++) {
        if (*p != '.')
            continue;
        found = look_up_paths(t, hash_part(PART_WIDE, slice_str(p), 1), route);
        labels++;
    }
    return found;
}

static bool add_all_hosts(struct table *t, size_t route)
{
    const struct conf_strs *hosts = &t->s->routes[route].host;

    if (hosts->n == 0)
        return add(t, route, NULL);
    for (size_t i = 0; i < hosts->n; i++)
        if (!add(t, route, hosts->v[i]))
            return false;
    return true;
}

bool shadow_find(const struct snapshot *s, struct arena *a, shadow_found_fn *found, void *arg)
{
    struct table t = { .a = a, .s = s };
    size_t size = 16, by;

    while (size < s->n_routes * 2)
        size *= 2;
    t.heads = arena_take_zero(a, size * sizeof(struct entry *));
    t.mask = size - 1;
    if (t.heads == NULL)
        return false;
    for (size_t i = 0; i < s->n_routes; i++) {
        by = look_up_hosts(&t, i);
        if (by != SIZE_MAX)
            found(arg, i, by);
        if (!add_all_hosts(&t, i))
            return false;
    }
    return true;
}
