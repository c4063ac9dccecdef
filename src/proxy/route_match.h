/*
 * route_match.h - the conditions of a route, one function each: what router_find() and router_explain() both decide by.
 *
 * Private to src/proxy/route*.c; route_host() also tells hash_key.c what a host is.
 * Threads: any; constant once router_new() has returned.  Memory: the router's arena and the snapshot.
 */
#ifndef PROXY_ROUTE_MATCH_H
#define PROXY_ROUTE_MATCH_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/slice.h"
#include "conf/snapshot.h"
#include "http/message.h"
#include "proxy/route.h"

/* "*.example.com" is wide and ".example.com"; "/x/ *" (without the blank) is wide and "/x/"; all else is meant exactly. */
struct pattern {
    struct slice text;
    bool wide;
};

/* A route as it is looked at for each request. */
struct rule {
    const struct route_conf *conf;
    uint32_t methods;    /* bits 1 << enum method; 0: any.  METHOD_OTHER: one of the names in conf->methods */
    uint8_t *header_ids; /* enum header_id of each of conf->headers */
    bool has_path;
    struct pattern path; /* plain, as the request's path is */
};

/* 0 or -ERR_NOMEM. */
int rule_init(struct rule *rule, const struct route_conf *conf, struct arena *a);

struct pattern host_pattern(const char *host);

/* Letters are nearly always small already: the comparison that folds them is the exception. */
static inline bool host_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (memcmp(a.p, b.p, a.n) == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

/* `host` without its port. */
static inline bool host_matches(const struct pattern *p, struct slice host)
{
    if (!p->wide)
        return host_eq(p->text, host);
    return host.n > p->text.n && host_eq(p->text, slice_of(host.p + host.n - p->text.n, p->text.n));
}

static inline bool path_matches(const struct pattern *p, struct slice path)
{
    return p->wide ? slice_starts(path, p->text) : slice_eq(path, p->text);
}

bool rule_takes_method(const struct rule *rule, const struct message *m);
bool rule_takes_header(const struct rule *rule, size_t i, const struct message *m);
bool rule_takes_headers(const struct rule *rule, const struct message *m);

/* What is left to ask once host and path are known to match. */
static inline bool rule_takes(const struct rule *rule, const struct message *m)
{
    if (rule->methods != 0 && !rule_takes_method(rule, m))
        return false;
    return rule->conf->n_headers == 0 || rule_takes_headers(rule, m);
}

/* For router_explain(): the rules in the file's order. */
struct router;
const struct rule *router_rules(const struct router *r, size_t *n);
#endif
