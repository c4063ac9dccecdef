/* discovery_conf.c - the rows of a pool's discovery. */
#include "discovery/discovery_conf.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "discovery/source.h"

static const char *const addresses_words[] = { "all", "first", NULL };
static const char *const family_words[] = { "any", "ipv4", "ipv6", NULL };

const struct conf_key discovery_keys[] = {
    CONF_KEY(
        discovery_conf, type, STR, NULL, NULL, NULL,
        "\"dns\": addresses of a name. \"dns-srv\": its SRV records. \"file\": a JSON list, watched. \"etcd\": keys below a prefix. \"heartbeat\": backends that register themselves."),
    CONF_KEY(
        discovery_conf, max_age, TIME, "24h", "0", "365d",
        "How long the last good list is used while nothing newer can be had (no answer, no such name, a file that can't be read, an empty list). Then the pool has no discovered backends. \"0\": for ever."),
    CONF_STR_OPTIONAL(discovery_conf, name, "dns, dns-srv: the name, like \"api.internal\" or \"_http._tcp.api.internal\"."),
    CONF_KEY(discovery_conf, port, UINT, "0", "0", "65535", "dns: the port of the backends; a must."),
    CONF_WORD(
        discovery_conf, addresses, addresses_words, "all",
        "dns: whether each address is a backend, or only one: the first, and then the same for as long as the name has it."),
    CONF_WORD(discovery_conf, family, family_words, "any", "dns, dns-srv: which addresses are asked for."),
    CONF_STRINGS(
        discovery_conf, servers,
        "dns, dns-srv: name servers, like \"10.0.0.2\" or \"127.0.0.1:5353\". Unless written: /etc/hosts and /etc/resolv.conf decide."),
    CONF_KEY(discovery_conf, ttl_least, TIME, "1s", "100ms", "1h",
             "dns, dns-srv: a name is looked up again when the TTL of its answer ends, but not before this time."),
    CONF_KEY(discovery_conf, ttl_most, TIME, "1h", "100ms", "7d", "dns, dns-srv: and not after this time."),
    CONF_STR_OPTIONAL(
        discovery_conf, path,
        "file: an absolute path. Write a new file beside it and rename it there, so that no half of it is ever read."),
    CONF_STRINGS(discovery_conf, endpoints,
                 "etcd: addresses of its members, like \"10.0.0.5:2379\"; one that answers is enough."),
    CONF_STR_OPTIONAL(discovery_conf, prefix, "etcd: each key that begins with it holds one backend, like \"/weir/api/\"."),
    CONF_KEY(discovery_conf, ttl, TIME, "10s", DISCOVERY_TTL_LEAST, DISCOVERY_TTL_MOST,
             "heartbeat: how long a registration lasts that doesn't say it."),
    CONF_END,
};

const char *discovery_type(size_t i)
{
    const struct source_ops *ops = source_at(i);

    return ops == NULL ? NULL : ops->name;
}

bool discovery_find(struct discovery_conf *c)
{
    c->ops = source_find(c->type);
    return c->ops != NULL;
}

bool discovery_server(const char *text, struct addr *out)
{
    char with_port[80];
    bool bare6 = text[0] != '[' && strchr(text, ':') != strrchr(text, ':');
    int n = snprintf(with_port, sizeof with_port, bare6 ? "[%s]:53" : "%s:53", text);

    if (strncmp(text, "unix:", 5) == 0 || n < 0 || (size_t)n >= sizeof with_port)
        return false;
    return addr_parse(text, out, NULL) == NULL || addr_parse(with_port, out, NULL) == NULL;
}

static const char *foreign_key(const struct discovery_conf *c, unsigned known)
{
    const struct {
        unsigned key;
        bool written;
        const char *wrong;
    } rules[] = {
        { DISCOVERY_NAME, c->name != NULL, "name is for the types \"dns\" and \"dns-srv\"" },
        { DISCOVERY_PORT, c->port != 0, "port is for the type \"dns\"" },
        { DISCOVERY_SERVERS, c->servers.n > 0, "servers is for the types \"dns\" and \"dns-srv\"" },
        { DISCOVERY_PATH, c->path != NULL, "path is for the type \"file\"" },
        { DISCOVERY_ENDPOINTS, c->endpoints.n > 0, "endpoints is for the type \"etcd\"" },
        { DISCOVERY_PREFIX, c->prefix != NULL, "prefix is for the type \"etcd\"" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].written && (known & rules[i].key) == 0)
            return rules[i].wrong;
    return NULL;
}

const char *discovery_check(const struct discovery_conf *c)
{
    const char *wrong = foreign_key(c, c->ops->keys);

    return wrong != NULL ? wrong : c->ops->check(c);
}

/* ---- over reloads ---- */

bool discovery_same(const struct discovery_conf *a, const struct discovery_conf *b)
{
    return a->ops == b->ops && conf_same_text(a->name, b->name) && a->port == b->port && a->addresses == b->addresses &&
           a->family == b->family && conf_same_texts(&a->servers, &b->servers) && conf_same_text(a->path, b->path) &&
           conf_same_texts(&a->endpoints, &b->endpoints) && conf_same_text(a->prefix, b->prefix);
}

/* False: out of memory. */
static bool copy_text(const char **text, struct arena *a)
{
    if (*text == NULL)
        return true;
    *text = arena_strdup(a, *text);
    return *text != NULL;
}

static bool copy_texts(struct conf_strs *texts, struct arena *a)
{
    const char **v = arena_take(a, texts->n * sizeof *v + 1);

    for (size_t i = 0; v != NULL && i < texts->n; i++) {
        v[i] = texts->v[i];
        if (!copy_text(&v[i], a))
            return false;
    }
    texts->v = v;
    return v != NULL;
}

int discovery_copy(struct discovery_conf *out, const struct discovery_conf *c, struct arena *a)
{
    struct discovery_conf copy = *c;

    if (!copy_text(&copy.type, a) || !copy_text(&copy.name, a) || !copy_text(&copy.path, a) || !copy_text(&copy.prefix, a) ||
        !copy_texts(&copy.servers, a) || !copy_texts(&copy.endpoints, a))
        return -ERR_NOMEM;
    *out = copy;
    return 0;
}

void discovery_retime(struct discovery_conf *c, const struct discovery_conf *times)
{
    c->max_age = times->max_age;
    c->ttl_least = times->ttl_least;
    c->ttl_most = times->ttl_most;
    c->ttl = times->ttl;
}
