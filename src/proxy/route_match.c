/* route_match.c - host, path, method and fields of a request against one route. */
#include "proxy/route_match.h"

#include "base/err.h"
#include "proxy/route.h"

struct pattern host_pattern(const char *host)
{
    bool wide = host[0] == '*';

    return (struct pattern){ slice_str(host + wide), wide };
}

struct slice route_host(struct slice authority)
{
    size_t n = authority.n;

    while (n > 0 && authority.p[n - 1] >= '0' && authority.p[n - 1] <= '9')
        n--;
    /* digits and no colon before them are part of the name; inside brackets the last byte is never a digit */
    n = n > 0 && authority.p[n - 1] == ':' ? n - 1 : authority.n;
    if (n > 1 && authority.p[n - 1] == '.')
        n--;
    return slice_of(authority.p, n);
}

/* A path in the file is made plain as well: "/a//b" and "/%7Ea" mean what they do in a request.  One that cannot be (it climbs
 * above the root) stays as it is, and no request comes near it. */
static int path_pattern(const char *path, struct arena *a, struct pattern *out)
{
    struct slice s = slice_str(path), plain;
    bool wide = s.n > 0 && s.p[s.n - 1] == '*';
    int rc;

    s.n -= wide;
    rc = route_path(s, a, &plain);
    if (rc == -ERR_NOMEM)
        return rc;
    *out = (struct pattern){ rc < 0 ? s : plain, wide };
    return 0;
}

int rule_init(struct rule *rule, const struct route_conf *conf, struct arena *a)
{
    *rule = (struct rule){ .conf = conf, .has_path = conf->path != NULL };
    for (size_t i = 0; i < conf->methods.n; i++)
        rule->methods |= 1u << method_of(slice_str(conf->methods.v[i]));
    if (conf->n_headers > 0) {
        rule->header_ids = arena_take(a, conf->n_headers);
        if (rule->header_ids == NULL)
            return -ERR_NOMEM;
        for (size_t i = 0; i < conf->n_headers; i++)
            rule->header_ids[i] = (uint8_t)header_id(conf->headers[i].name);
    }
    return rule->has_path ? path_pattern(conf->path, a, &rule->path) : 0;
}

bool rule_takes_method(const struct rule *rule, const struct message *m)
{
    const struct conf_strs *names = &rule->conf->methods;

    if (rule->methods == 0)
        return true;
    if ((rule->methods & 1u << m->method) == 0)
        return false;
    if (m->method != METHOD_OTHER)
        return true;
    for (size_t i = 0; i < names->n; i++)
        if (slice_eq(m->method_name, slice_str(names->v[i])))
            return true;
    return false;
}

/* A field that is repeated matches if one of its lines does. */
bool rule_takes_header(const struct rule *rule, size_t i, const struct message *m)
{
    const struct header_match *want = &rule->conf->headers[i];
    uint8_t id = rule->header_ids[i];

    for (size_t k = 0; k < m->n_headers; k++) {
        const struct header *h = &m->headers[k];
        if (h->id != id || h->dropped || (id == HEADER_OTHER && !slice_eq_nocase(header_name_of(h), want->name)))
            continue;
        if (want->any || slice_eq(header_value_of(h), want->value))
            return true;
    }
    return false;
}

bool rule_takes_headers(const struct rule *rule, const struct message *m)
{
    for (size_t i = 0; i < rule->conf->n_headers; i++)
        if (!rule_takes_header(rule, i, m))
            return false;
    return true;
}
