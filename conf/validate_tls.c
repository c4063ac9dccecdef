/* validate_tls.c - certificates, authorities and identities of listeners, pools and routes. */
#include "conf/validate_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/source.h"
#include "health/check_type.h"
#include "net/spiffe.h"
#include "net/tls_ctx.h"
#include "net/tls_svid.h"

/* The group at hand: "listeners.web.tls". */
struct tls_check {
    struct walk *w;
    const struct conf_node *node;
    struct key_path list, item, group;
    bool no_files; /* to read */
    bool has_api;  /* there is an endpoint of the Workload API */
};

static struct tls_check check_of(struct walk *w, const char *list_name, const struct conf_node *item, size_t i, const char *group)
{
    struct tls_check c = { .w = w, .node = node_find(item, group) };

    c.list = (struct key_path){ .name = list_name };
    c.item = walk_item_path(NULL, item, i);
    c.group = (struct key_path){ .name = group };
    return c;
}

/* The paths refer to each other, so they are tied where they have come to rest. */
static void tie(struct tls_check *c)
{
    c->item.up = &c->list;
    c->group.up = &c->item;
}

/* A key of the group, or of its certificate number `index`. */
struct tls_spot {
    struct key_path list, item, key;
};

static struct walk_at at_key(const struct tls_check *c, struct tls_spot *sp, const char *key, size_t index)
{
    const struct conf_node *in = c->node, *node;

    sp->key = (struct key_path){ .up = &c->group, .name = key };
    if (index != TLS_NO_INDEX) {
        const struct conf_node *list = node_find(c->node, "certificates");
        in = list != NULL && index < list->n ? &list->v[index] : c->node;
        sp->list = (struct key_path){ .up = &c->group, .name = "certificates" };
        sp->item = (struct key_path){ .up = &sp->list, .index = index };
        sp->key.up = &sp->item;
    }
    node = node_find(in, key);
    return (struct walk_at){ &sp->key, node != NULL ? node->at : in->at };
}

static void on_problem(void *arg, const struct tls_problem *p)
{
    const struct tls_check *c = arg;
    struct tls_spot sp;

    if (p->fatal)
        walk_error(c->w, at_key(c, &sp, p->key, p->index), "%s", p->text);
    else
        walk_warning(c->w, at_key(c, &sp, p->key, p->index), "%s", p->text);
}

/* A symbolic link stays one: it may lead elsewhere tomorrow. */
static void make_absolute(const struct tls_check *c, const char **path)
{
    const char *beside = *path == NULL ? NULL : source_beside(c->w->arena, c->node->at.file, *path);

    if (*path == NULL)
        return;
    if (beside != NULL && beside[0] != '/') {
        char *folder = getcwd(NULL, 0);
        if (folder != NULL)
            beside = arena_printf(c->w->arena, "%s/%s", folder, beside);
        free(folder);
    }
    if (beside == NULL)
        c->w->m->no_memory = true;
    else
        *path = beside;
}

__attribute__((format(printf, 4, 5))) static void wrong(const struct tls_check *c, const char *key, size_t index, const char *fmt,
                                                        ...)
{
    struct tls_spot sp;
    char said[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
    walk_error(c->w, at_key(c, &sp, key, index), "%s", said);
}

static void check_identities(const struct tls_check *c, const char *key, const struct conf_strs *patterns)
{
    for (size_t i = 0; i < patterns->n; i++) {
        const char *why = spiffe_pattern_wrong(patterns->v[i]);
        if (why != NULL)
            wrong(c, key, TLS_NO_INDEX, "%s is no SPIFFE ID: %s", messages_quote(c->w->m, patterns->v[i]), why);
    }
}

static bool is_host_name(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > 253 || name[0] == '.' || name[n - 1] == '.' || strspn(name, "0123456789.") == n)
        return false;
    for (const char *p = name; *p != '\0'; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-_.", *p) != NULL))
            return false;
    return true;
}

/* --- the Workload API --- */

static bool uses_svid(const struct snapshot *s)
{
    for (size_t i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].tls != NULL && s->listeners[i].tls->svid != NULL)
            return true;
    for (size_t i = 0; i < s->n_pools; i++)
        if (s->pools[i].tls != NULL && s->pools[i].tls->svid != NULL)
            return true;
    return false;
}

/* NULL, or what is wrong. */
static const char *parse_endpoint(const char *text, struct addr *out)
{
    if (strncmp(text, "tcp://", 6) == 0)
        return addr_parse(text + 6, out, NULL);
    return strncmp(text, "unix:/", 6) == 0 ? addr_parse(text, out, NULL)
                                           : "write \"unix:/run/spire/sockets/agent.sock\" or \"tcp://127.0.0.1:8081\"";
}

static void find_workload_api(struct walk *w, const struct conf_node *root, struct snapshot *s)
{
    const struct conf_node *group = node_find(root, "daemon"), *node = node_find(group, "workload_api");
    struct key_path daemon = { .name = "daemon" }, key = { .up = &daemon, .name = "workload_api" };
    struct walk_at at = { &key, node != NULL ? node->at : root->at };
    const char *from = getenv("SPIFFE_ENDPOINT_SOCKET"), *wrong;
    struct daemon_conf *d = &s->daemon;

    if (d->workload_api == NULL && from != NULL && uses_svid(s))
        d->workload_api = walk_strdup(w, from);
    wrong = d->workload_api == NULL ? NULL : parse_endpoint(d->workload_api, &d->workload_api_addr);
    if (wrong != NULL)
        walk_error(w, at, "%s: %s", messages_quote(w->m, d->workload_api), wrong);
    else if (node != NULL && !uses_svid(s))
        walk_warning(w, at, "has no effect: no listener's or pool's tls has an svid");
}

static void check_svid(const struct tls_check *c, const char *svid, const char *const *instead)
{
    const char *wrong_svid = tls_svid_wanted_wrong(svid);

    if (wrong_svid != NULL)
        wrong(c, "svid", TLS_NO_INDEX, "%s: %s", messages_quote(c->w->m, svid), wrong_svid);
    if (!c->has_api)
        wrong(c, "svid", TLS_NO_INDEX,
              "needs daemon.workload_api = \"unix:/run/spire/sockets/agent.sock\"; SPIFFE_ENDPOINT_SOCKET is not set either");
    for (const char *const *key = instead; *key != NULL; key++)
        if (node_find(c->node, *key) != NULL)
            wrong(c, *key, TLS_NO_INDEX, "stands beside svid, which takes the place of all files; leave one of them out");
}

/* --- listeners --- */

static void check_server(struct tls_check *c, struct tls_server_conf *t)
{
    static const char *const instead[] = { "certificates", "client_ca", "client_crl", NULL };
    struct tls_certificate_conf *v = t->certificates.v;

    if (t->svid != NULL) {
        check_svid(c, t->svid, instead);
        return;
    }
    c->no_files = t->certificates.n == 0;
    if (c->no_files)
        wrong(c, "certificates", TLS_NO_INDEX,
              "is missing; write certificates = ( { cert = \"site.pem\"; key = \"site.key\"; } )");
    for (size_t i = 0; i < t->certificates.n; i++) {
        c->no_files |= v[i].cert == NULL; /* reported before */
        make_absolute(c, &v[i].cert);
        make_absolute(c, &v[i].key);
        make_absolute(c, &v[i].ocsp);
    }
    if (t->client_auth > TLS_AUTH_NONE && t->client_ca == NULL)
        wrong(c, "client_ca", TLS_NO_INDEX, "is missing; without authorities no client's certificate can be verified");
    if (t->client_auth == TLS_AUTH_NONE && t->client_ca != NULL)
        walk_warning(c->w, at_key(c, &(struct tls_spot){ 0 }, "client_ca", TLS_NO_INDEX),
                     "has no effect with client_auth = \"none\"");
    if (t->client_crl != NULL && t->client_ca == NULL)
        wrong(c, "client_crl", TLS_NO_INDEX, "is of no use without client_ca");
    make_absolute(c, &t->client_ca);
    make_absolute(c, &t->client_crl);
}

static void check_listener(struct walk *w, const struct conf_node *item, size_t i, const struct snapshot *s,
                           struct listener_conf *l)
{
    struct tls_check c = check_of(w, "listeners", item, i, "tls");

    tie(&c);
    c.has_api = s->daemon.workload_api != NULL;
    if (c.node == NULL || l->tls == NULL)
        return;
    check_server(&c, (struct tls_server_conf *)(uintptr_t)l->tls);
    if (c.no_files || w->m->no_memory || l->name == NULL)
        return;
    l->tls_party = tls_server_new(l->name, l->tls, l->mode == LISTENER_HTTP ? &l->protocols : NULL, on_problem, &c);
    if (l->tls_party == NULL && w->m->n_errors == 0)
        w->m->no_memory = true;
}

/* --- pools --- */

static bool has_unix_backend(const struct pool_conf *p)
{
    const struct backend_conf *b = p->backends.v;

    for (size_t i = 0; i < p->backends.n; i++)
        if (b[i].address.len != 0 && b[i].address.sa.sa_family == AF_UNIX)
            return true;
    return false;
}

static void check_client(const struct tls_check *c, const struct pool_conf *p, struct tls_client_conf *t)
{
    static const char *const instead[] = { "ca", "crl", "cert", "key", NULL };

    if (t->server_name != NULL && !is_host_name(t->server_name))
        wrong(c, "server_name", TLS_NO_INDEX, "%s is not a host name", messages_quote(c->w->m, t->server_name));
    if (t->svid != NULL) {
        check_svid(c, t->svid, instead);
        if (!t->verify)
            wrong(c, "verify", TLS_NO_INDEX, "false: with svid the backends' identities are all that they are known by");
        if (t->identity.n == 0)
            wrong(c, "identity", TLS_NO_INDEX, "is missing; with svid it says who the backends may be");
        check_identities(c, "identity", &t->identity);
        return;
    }
    if (t->verify && t->server_name == NULL && t->identity.n == 0 && has_unix_backend(p))
        wrong(c, "server_name", TLS_NO_INDEX, "is missing; a Unix socket has no address that a certificate could be for");
    if (!t->verify && t->identity.n > 0)
        wrong(c, "identity", TLS_NO_INDEX, "means nothing with verify = false");
    if (!t->verify && t->ca != NULL)
        walk_warning(c->w, at_key(c, &(struct tls_spot){ 0 }, "ca", TLS_NO_INDEX), "has no effect with verify = false");
    if (t->key != NULL && t->cert == NULL)
        wrong(c, "cert", TLS_NO_INDEX, "is missing; there is a key");
    if (t->crl != NULL && t->ca == NULL)
        wrong(c, "crl", TLS_NO_INDEX, "is of no use without ca");
    check_identities(c, "identity", &t->identity);
    make_absolute(c, &t->ca);
    make_absolute(c, &t->crl);
    make_absolute(c, &t->cert);
    make_absolute(c, &t->key);
}

/* Bytes of who knows what, for which no protocol can be named. */
static bool is_for_tcp(const struct snapshot *s, const struct pool_conf *p)
{
    bool sni = false;

    for (size_t i = 0; i < s->n_listeners; i++) {
        if (s->listeners[i].mode == LISTENER_TCP && s->listeners[i].pool == p)
            return true;
        sni |= s->listeners[i].sni;
    }
    for (size_t i = 0; sni && i < s->n_routes; i++)
        if (s->routes[i].pool == p && s->routes[i].path == NULL && s->routes[i].host.n > 0)
            return true;
    return false;
}

static void make_party(struct walk *w, const struct conf_node *item, size_t i, const struct snapshot *s, struct pool_conf *p)
{
    static const char *const words[] = { "h2", "http/1.1" };
    /* what is offered by ALPN, by enum pool_protocol */
    static const struct conf_strs protocols[] = {
        [POOL_HTTP1] = { (const char **)(uintptr_t)(words + 1), 1 },
        [POOL_H2] = { (const char **)(uintptr_t)words, 1 },
        [POOL_AUTO] = { (const char **)(uintptr_t)words, 2 },
    };
    struct tls_check c = check_of(w, "pools", item, i, "tls");

    tie(&c);
    c.has_api = s->daemon.workload_api != NULL;
    if (c.node == NULL || p->tls == NULL)
        return;
    check_client(&c, p, (struct tls_client_conf *)(uintptr_t)p->tls);
    if (w->m->no_memory || p->name == NULL)
        return;
    p->tls_party = tls_client_new(p->name, p->tls, is_for_tcp(s, p) ? NULL : &protocols[p->protocol], on_problem, &c);
    if (p->tls_party == NULL && w->m->n_errors == 0)
        w->m->no_memory = true;
}

/* --- health checks --- */

static bool speaks_tls(const struct check_conf *h, const struct pool_conf *p)
{
    return h->type->tls == CHECK_OVER_TLS || (h->type->tls == CHECK_AS_POOL && h->tls && p->tls != NULL);
}

/* A pool without TLS, where others seal what it passes on: shakes hands with whoever answers. */
static void make_unverified_party(const struct tls_check *c, const struct pool_conf *p, struct check_conf *h)
{
    struct tls_client_conf *t = arena_take_zero(c->w->arena, sizeof *t);

    if (h->server_name != NULL && !is_host_name(h->server_name))
        wrong(c, "server_name", TLS_NO_INDEX, "%s is not a host name", messages_quote(c->w->m, h->server_name));
    if (t != NULL) {
        t->server_name = h->server_name;
        h->tls_party = tls_client_new(p->name, t, NULL, NULL, NULL);
    }
    h->owns_party = h->tls_party != NULL;
    if (!h->owns_party)
        c->w->m->no_memory = true;
}

static void check_probes(struct walk *w, const struct conf_node *item, size_t i, struct pool_conf *p)
{
    struct tls_check c = check_of(w, "pools", item, i, "health");
    struct check_conf *h = p->health;

    tie(&c);
    if (h == NULL || h->type == NULL || p->name == NULL || w->m->no_memory || !speaks_tls(h, p))
        return;
    if (!h->tls)
        wrong(&c, "tls", TLS_NO_INDEX, "false: a check of type \"%s\" speaks TLS; leave this out, or write another type",
              h->type->name);
    if (p->tls == NULL) {
        make_unverified_party(&c, p, h);
        return;
    }
    if (h->type->tls == CHECK_OVER_TLS && h->server_name != NULL)
        walk_warning(w, at_key(&c, &(struct tls_spot){ 0 }, "server_name", TLS_NO_INDEX),
                     "has no effect: the name is that of the pool's tls");
    if (h->address.len != 0 && h->address.sa.sa_family == AF_UNIX && p->tls->verify && p->tls->server_name == NULL &&
        p->tls->identity.n == 0)
        wrong(&c, "address", TLS_NO_INDEX,
              "is a Unix socket, which has no address that a certificate could be for; write server_name in the pool's tls");
    h->tls_party = p->tls_party;
}

static void check_pool(struct walk *w, const struct conf_node *item, size_t i, const struct snapshot *s, struct pool_conf *p)
{
    make_party(w, item, i, s, p);
    check_probes(w, item, i, p);
}

/* --- routes --- */

static bool some_clients_are_known(const struct snapshot *s)
{
    for (size_t i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].mode == LISTENER_HTTP && s->listeners[i].tls != NULL &&
            s->listeners[i].tls->client_auth != TLS_AUTH_NONE)
            return true;
    return false;
}

static void check_route(struct walk *w, const struct conf_node *item, size_t i, const struct snapshot *s)
{
    struct tls_check c = check_of(w, "routes", item, i, "identity");
    const struct identity_conf *id = s->routes[i].identity;

    tie(&c);
    if (c.node == NULL || id == NULL)
        return;
    if (id->allow.n == 0)
        wrong(&c, "allow", TLS_NO_INDEX, "is missing or empty; nobody could come in");
    check_identities(&c, "allow", &id->allow);
    if (!some_clients_are_known(s))
        walk_warning(w, (struct walk_at){ &c.group, c.node->at }, "lets nobody in: no listener has tls with client_auth");
}

void validate_tls(const struct check *c)
{
    struct walk *w = c->w;
    struct snapshot *s = c->s;

    find_workload_api(w, c->root, s);
    for (size_t i = 0; i < s->n_listeners && !w->m->no_memory; i++)
        check_listener(w, &c->listeners->v[i], i, s, &s->listeners[i]);
    for (size_t i = 0; i < s->n_pools && !w->m->no_memory; i++)
        check_pool(w, &c->pools->v[i], i, s, &s->pools[i]);
    for (size_t i = 0; i < s->n_routes && !w->m->no_memory; i++)
        check_route(w, &c->routes->v[i], i, s);
}
