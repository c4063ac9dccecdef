/* route_explain.c - the routes one by one, by the same conditions as the live path, and what each of them said. */
#include "base/buf.h"
#include "base/must.h"
#include "proxy/hash_key.h"
#include "proxy/route.h"
#include "proxy/route_match.h"
#include "upstream/sticky.h"
#include "upstream/strategy.h"
#include "upstream/tally.h"

static void add_choices(struct buf *out, const struct conf_strs *words)
{
    for (size_t i = 0; i < words->n; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : " or ", words->v[i]);
}

/* Each says why the condition doesn't hold, or says nothing and returns true. */

static bool host_holds(const struct rule *rule, const struct message *m, struct buf *out)
{
    const struct conf_strs *hosts = &rule->conf->host;
    struct slice host = route_host(m->authority);

    if (hosts->n == 0)
        return true;
    for (size_t i = 0; i < hosts->n && host.n > 0; i++) {
        struct pattern p = host_pattern(hosts->v[i]);
        if (host_matches(&p, host))
            return true;
    }
    if (host.n == 0) {
        buf_add(out, "there is no host, wanted ");
    } else {
        buf_add(out, "host is ");
        buf_add_json(out, host);
        buf_add(out, ", wanted ");
    }
    add_choices(out, hosts);
    return false;
}

static bool path_holds(const struct rule *rule, struct slice path, struct buf *out)
{
    struct slice as_read = rule->path.text;

    if (!rule->has_path || path_matches(&rule->path, path))
        return true;
    if (path.n == 0) {
        buf_add(out, "there is no path");
    } else {
        buf_add(out, "path is ");
        buf_add_json(out, path);
    }
    buf_printf(out, ", wanted %s", rule->conf->path);
    if (!slice_eq(as_read, slice_of(rule->conf->path, strlen(rule->conf->path) - rule->path.wide)))
        buf_printf(out, ", read as " SLICE_FMT "%s", SLICE_ARG(as_read), rule->path.wide ? "*" : "");
    return false;
}

static bool method_holds(const struct rule *rule, const struct message *m, struct buf *out)
{
    if (rule_takes_method(rule, m))
        return true;
    if (m->method_name.n == 0) {
        buf_add(out, "there is no method");
    } else {
        buf_add(out, "method is ");
        buf_add_slice(out, m->method_name);
    }
    buf_add(out, ", wanted ");
    add_choices(out, &rule->conf->methods);
    return false;
}

static bool headers_hold(const struct rule *rule, const struct message *m, struct buf *out)
{
    const struct header_match *want = rule->conf->headers;
    const struct header *found;
    size_t i = 0;

    while (i < rule->conf->n_headers && rule_takes_header(rule, i, m))
        i++;
    if (i == rule->conf->n_headers)
        return true;
    found = message_find_name(m, want[i].name);
    buf_printf(out, "header " SLICE_FMT " is ", SLICE_ARG(want[i].name));
    if (found == NULL)
        buf_add(out, "missing");
    else
        buf_add_json(out, header_value_of(found));
    buf_add(out, ", wanted ");
    if (want[i].any)
        buf_add(out, "any value");
    else
        buf_add_json(out, want[i].value);
    return false;
}

static bool explain_rule(const struct rule *rule, const struct message *m, struct slice path, struct buf *out)
{
    bool holds;

    buf_printf(out, "route %s (%s:%u): ", rule->conf->name, rule->conf->file, rule->conf->line);
    holds = host_holds(rule, m, out) && path_holds(rule, path, out) && method_holds(rule, m, out) && headers_hold(rule, m, out);
    buf_add(out, holds ? "matches\n" : "\n");
    return holds;
}

static bool explain_backends(const struct pool_conf *pool, uint32_t priority, struct buf *out)
{
    const struct backend_conf *b = pool->backends.v;
    bool some = false;

    for (size_t i = 0; i < pool->backends.n; i++) {
        if (b[i].priority != priority)
            continue;
        some = some || b[i].weight > 0;
        buf_printf(out, "    backend %s, weight %u", b[i].address_text, b[i].weight);
        if (b[i].weight == 0)
            buf_add(out, " (gets no requests)");
        if (b[i].max_connections > 0)
            buf_printf(out, ", at most %u connections", b[i].max_connections);
        if (priority > 0)
            buf_printf(out, ", backup: only while none of a lower priority than %u may be used", priority);
        buf_add_char(out, '\n');
    }
    return some;
}

/* client_ip and sni are the connection's, which isn't there. */
static void explain_hash(const struct hash_conf *hash, const struct message *m, struct slice path, struct buf *out)
{
    const struct hash_input in = { .request = m, .path = path };
    struct slice text;

    buf_printf(out, "    hashed is %s", hash->key);
    if (hash_kind_needs_request(hash->kind)) {
        text = hash_key_text(hash, &in);
        buf_add(out, text.n == 0 ? ", which is absent: chance decides" : ": ");
        if (text.n > 0)
            buf_add_json(out, text);
    }
    buf_add_char(out, '\n');
}

void route_explain_pool(const struct pool_conf *pool, const struct message *m, struct slice path, struct buf *out)
{
    bool some = false;

    buf_printf(out, "    pool %s, strategy %s\n", pool->name, pool->strategy_name);
    if (pool->strategy->hashes)
        explain_hash(&pool->hash, m, path, out);
    if (pool->sticky != NULL && m != NULL)
        buf_printf(out, "    before that, a valid cookie %s: its backend, if that may be used\n", pool->sticky->cookie);
    for (uint32_t i = 0; i < LEVELS_MOST; i++)
        some |= explain_backends(pool, i, out);
    if (!some)
        buf_printf(out, "    no backend may be used: %s\n", m != NULL ? "the answer is 503" : "the connection is closed");
}

static void explain_action(const struct route_conf *r, const struct message *m, struct slice path, struct buf *out)
{
    if (r->respond != NULL)
        buf_printf(out, "    answered by the proxy: status %u, %zu bytes of %s\n", r->respond->status, strlen(r->respond->body),
                   r->respond->content_type);
    else if (r->redirect != NULL)
        buf_printf(out, "    redirect: status %u, location %s\n", r->redirect->status, r->redirect->to);
    else if (r->pool != NULL)
        route_explain_pool(r->pool, m, path, out);
}

/* `found`: by the tables. */
static void explain_rules(const struct router *r, const struct message *m, struct slice path, const struct route_conf *found,
                          struct buf *out)
{
    size_t n, i = 0;
    const struct rule *rules = router_rules(r, &n);

    while (i < n && !explain_rule(&rules[i], m, path, out))
        i++;
    MUST(found == (i < n ? rules[i].conf : NULL)); /* the tables and the conditions say the same */
    if (i == n)
        buf_add(out, n == 0 ? "there are no routes\n" : "no route matches\n");
}

void router_explain(const struct router *r, const struct message *m, struct slice path, struct buf *out)
{
    const struct route_conf *found = router_find(r, m, path);

    explain_rules(r, m, path, found, out);
    if (found != NULL)
        explain_action(found, m, path, out);
}

void router_explain_name(const struct router *r, struct slice name, struct buf *out)
{
    const struct message m = { .authority = name };
    const struct route_conf *found = router_find_name(r, name);

    if (name.n == 0) {
        buf_add(out, "no name is asked for, so routes are not asked\n");
        return;
    }
    explain_rules(r, &m, SLICE(""), found, out);
    if (found != NULL && found->pool != NULL)
        route_explain_pool(found->pool, NULL, SLICE(""), out);
    else if (found != NULL)
        buf_add(out, "    it has no pool: the connection is closed\n");
}
