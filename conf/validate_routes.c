/* validate_routes.c - routes: hosts, paths, methods, the one action, and what can never be reached. */
#include "conf/validate_parts.h"

#include <string.h>

#include "conf/affinity_rules.h"
#include "conf/rules.h"
#include "conf/shadow.h"

#define HOST_MOST 253u

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
static struct walk_at inner_at(const struct check *c, struct spot *sp, size_t i, const char *group, const char *key)
{
    (void)route_at(c, sp, i, group);
    return validate_spot_inside(sp, &c->routes->v[i], key);
}

static void check_respond(const struct check *c, size_t i, const struct respond_conf *r)
{
    struct spot sp;

    if (r->body != NULL && r->body[0] != '\0' && (r->status == 204 || r->status == 304))
        walk_error(c->w, inner_at(c, &sp, i, "respond", "body"), "an answer with status %u has no body", r->status);
    for (const char *p = r->content_type; p != NULL && *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x20 && *p != 0x7f)
            continue;
        walk_error(c->w, inner_at(c, &sp, i, "respond", "content_type"), "%s holds a control byte", quote(c, r->content_type));
        return;
    }
}

static void check_redirect(const struct check *c, size_t i, const struct redirect_conf *r)
{
    const char *wrong = r->to == NULL ? NULL : wrong_target(r->to);
    struct spot sp;

    if (wrong != NULL)
        walk_error(c->w, inner_at(c, &sp, i, "redirect", "to"), "%s: %s", quote(c, r->to), wrong);
    if (r->status > 303 && r->status < 307)
        walk_error(c->w, inner_at(c, &sp, i, "redirect", "status"), "%u is none of 301, 302, 303, 307, 308", r->status);
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
    if (r->pool_name != NULL) {
        r->pool = validate_pools_find(c, route_at(c, &sp, i, "pool"), r->pool_name);
        if (r->pool != NULL && !c->hears_names)
            affinity_check_clear(c->w, sp.at, r->pool);
    }
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
                 validate_spot_there(c, c->routes->v[by].at, sp.at.place));
}

void validate_routes(struct check *c)
{
    struct index names;
    struct spot sp;

    if (!validate_names_index(c, &names, c->s->n_routes))
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
            validate_names_form(c, route_at(c, &sp, i, "name"), r->name);
        other = index_add(&names, slice_str(r->name), i);
        if (other != INDEX_NONE)
            validate_names_twice(c, route_at(c, &sp, i, "name"), r->name, "route", c->routes->v[other].at);
    }
    if (c->w->m->n_errors == 0 && !shadow_find(c->s, &c->w->m->arena, warn_of_shadow, c))
        c->w->m->no_memory = true;
}

void validate_routes_useless(const struct check *c)
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
