/*
 * source_dns.c - a name's addresses ("dns"), or the addresses of a service's SRV records ("dns-srv").
 *
 * An answer is used until its TTL ends.  "No such name" and an empty answer count as failures: a zone that was loaded without
 * its records, or a registry that has just lost its state, must not take every backend away; whoever means it sends an SRV
 * record with the target "." or waits for max_age.  IPv4 and IPv6, and each SRV target, are looked up for themselves: where one
 * of them fails, its last answer stays in use beside what is new of the others.
 */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "discovery/found_list.h"
#include "discovery/resolver.h"
#include "discovery/source.h"
#include "fiber/fiber.h"

#define LOOKUP_MOST (20 * CLOCK_S) /* for one round of questions */
#define RETRY       (30 * CLOCK_S) /* at the latest, when a part of the answer is an old one */

enum { SRV_MOST = 1000, WEIGHT_MOST = 1000 };

/* The address questions of one round, with the arena in which names and answers stand. */
struct round {
    struct arena arena;
    struct question *v;
    int64_t *old_since; /* of each answer that was taken over from an earlier round; else 0 */
    size_t n, cap;
    int64_t ttl;        /* the shortest */
    const char *failed; /* why one of them has none, or an old answer; NULL: all is well */
    bool cancelled;
};

static int round_open(struct round *r, size_t cap)
{
    r->v = arena_take_zero(&r->arena, cap * sizeof *r->v + 1);
    r->old_since = arena_take_zero(&r->arena, cap * sizeof *r->old_since + 1);
    r->cap = cap;
    r->ttl = INT64_MAX;
    return r->v == NULL || r->old_since == NULL ? -ERR_NOMEM : 0;
}

static void round_close(struct round *r)
{
    arena_free(&r->arena);
    *r = (struct round){ 0 };
}

/* The questions for a name's addresses. */
static void add_name(struct round *r, const char *name, int family)
{
    MUST(r->n + 2 <= r->cap);
    if (family != DISCOVERY_IPV6)
        r->v[r->n++] = (struct question){ .name = name, .kind = QUESTION_IPV4 };
    if (family != DISCOVERY_IPV4)
        r->v[r->n++] = (struct question){ .name = name, .kind = QUESTION_IPV6 };
}

static size_t find_answer(const struct round *r, const struct question *q)
{
    size_t i = 0;

    while (i < r->n && (r->v[i].kind != q->kind || r->v[i].n == 0 || strcasecmp(r->v[i].name, q->name) != 0))
        i++;
    return i;
}

/* Lets the last answer to a question that failed this time stand, unless that is too old. */
static int take_over(struct round *r, size_t i, const struct round *before, int64_t max_age)
{
    struct question *q = &r->v[i];
    size_t k = find_answer(before, q);
    int64_t since;

    if (before->old_since == NULL || k == before->n)
        return 0; /* there has been none */
    since = before->old_since[k] != 0 ? before->old_since[k] : clock_now();
    if (max_age > 0 && clock_now() - since >= max_age)
        return 0;
    q->addrs = arena_take(&r->arena, before->v[k].n * sizeof *q->addrs);
    if (q->addrs == NULL)
        return -ERR_NOMEM;
    q->n = before->v[k].n;
    memcpy(q->addrs, before->v[k].addrs, q->n * sizeof *q->addrs);
    r->old_since[i] = since;
    return 0;
}

/* Asks, and fills what failed from the round before. */
static int round_ask(struct round *r, const struct round *before, const struct discovery_conf *c)
{
    int rc = resolver_ask(r->v, r->n, &c->servers, &r->arena, fiber_now() + LOOKUP_MOST);

    for (size_t i = 0; rc == 0 && i < r->n; i++) {
        if (r->v[i].result == QUESTION_FAILED) {
            rc = take_over(r, i, before, c->max_age);
            r->failed = r->v[i].why;
        } else if (r->v[i].result == QUESTION_ANSWERED && r->v[i].ttl < r->ttl) {
            r->ttl = r->v[i].ttl;
        }
    }
    r->cancelled = rc == -ERR_CANCELED;
    return rc;
}

/* When to look again, after an answer. */
static int64_t ttl_ends(const struct round *r, const struct discovery_conf *c)
{
    int64_t ttl = r->ttl;

    if (r->failed != NULL && ttl > RETRY)
        ttl = RETRY;
    if (ttl > c->ttl_most)
        ttl = c->ttl_most;
    if (ttl < c->ttl_least)
        ttl = c->ttl_least;
    return clock_after(clock_now(), ttl);
}

static void set_port(struct addr *a, uint32_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = htons((uint16_t)port);
    else
        a->in6.sin6_port = htons((uint16_t)port);
}

/* Adds the addresses of a question with what `like` says of the rest.  0, or a code. */
static int add_addresses(struct found_list *l, const struct question *q, const struct found *like, uint32_t port)
{
    for (size_t i = 0; i < q->n; i++) {
        struct found f = *like;
        int rc;

        f.addr = q->addrs[i];
        set_port(&f.addr, port);
        rc = found_list_add(l, &f);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The round at hand becomes the last good one. */
static void keep(struct round *before, struct round *r)
{
    round_close(before);
    *before = *r;
    *r = (struct round){ 0 };
}

/* Old answers alone are no news. */
static bool is_answered(const struct round *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].result == QUESTION_ANSWERED)
            return true;
    return false;
}

static bool is_of_same_name(const struct round *r, size_t i, size_t k) { return k < r->n && r->v[k].name == r->v[i].name; }

/* A name that has old addresses, or none of either kind: the rest is good, but it is not all.  NULL: it is. */
static const struct question *find_flaw(const struct round *r)
{
    for (size_t i = 0; i < r->n; i++) {
        bool has_other = (i > 0 && is_of_same_name(r, i, i - 1) && r->v[i - 1].n > 0) ||
                         (is_of_same_name(r, i, i + 1) && r->v[i + 1].n > 0);
        if (r->old_since[i] != 0 || (r->v[i].n == 0 && !has_other))
            return &r->v[i];
    }
    return NULL;
}

/* Says what was found, or why nothing was.  Returns when to look again. */
static int64_t tell(struct source *s, struct round *before, struct round *r, const struct found_list *l, int rc)
{
    const char *name = s->conf->name;
    const struct question *flaw;
    int64_t until;

    if (rc < 0 || !is_answered(r) || l->n == 0) {
        if (rc == -ERR_INVALID)
            source_failed(s, "%s: more than %d addresses", name, FOUND_MOST);
        else
            source_failed(s, "%s: %s", name,
                          rc < 0              ? err_text(rc)
                          : r->failed != NULL ? r->failed
                          : r->n > 0          ? r->v[0].why
                                              : "no records");
        return source_next_try(s);
    }
    flaw = find_flaw(r);
    s->flawed = flaw != NULL;
    if (flaw != NULL)
        source_failed(s, "%s: %s%s", flaw->name, flaw->why, flaw->n > 0 ? "; its last addresses stay" : "");
    source_found(s, l);
    until = ttl_ends(r, s->conf);
    keep(before, r);
    return until;
}

/* ---- dns ---- */

struct dns {
    struct round before;
    struct addr chosen; /* addresses = "first" */
};

/* Only one of them: the one that it was, as long as the name has it.  Name servers turn their answers round. */
static void choose_one(struct dns *d, struct found_list *l)
{
    size_t i = 0;

    while (i < l->n && !addr_equal(&l->v[i].addr, &d->chosen))
        i++;
    if (l->n == 0)
        return;
    l->v[0] = l->v[i < l->n ? i : 0];
    l->n = 1;
    d->chosen = l->v[0].addr;
}

static int look_up(struct dns *d, struct round *r, const struct discovery_conf *c, struct found_list *l)
{
    const struct found like = { .weight = 1 };
    int rc = round_open(r, 2);

    if (rc < 0)
        return rc;
    add_name(r, c->name, c->family);
    rc = round_ask(r, &d->before, c);
    for (size_t i = 0; rc == 0 && i < r->n; i++)
        rc = add_addresses(l, &r->v[i], &like, c->port);
    if (rc == 0 && c->addresses == DISCOVERY_FIRST)
        choose_one(d, l);
    return rc;
}

/* One look at the name; returns when to look again. */
static int64_t look_up_once(struct source *s, struct dns *d, struct round *r, struct found_list *l)
{
    int rc = look_up(d, r, s->conf, l);

    return r->cancelled ? 0 : tell(s, &d->before, r, l, rc);
}

static void dns_run(struct source *s)
{
    struct dns d = { 0 };
    bool over = false;

    while (!over) {
        struct found_list l = { 0 };
        struct round r = { 0 };
        int64_t until;

        fiber_doing("looking up a name");
        until = look_up_once(s, &d, &r, &l);
        over = r.cancelled;
        found_list_free(&l);
        round_close(&r);
        fiber_doing("waiting for the end of a TTL");
        over = over || fiber_sleep(until) < 0;
    }
    round_close(&d.before);
}

static const char *check_names(const struct discovery_conf *c)
{
    struct addr ignored;

    if (c->name == NULL || c->name[0] == '\0')
        return "name is missing; write name = \"api.internal\"";
    if (discovery_server(c->name, &ignored))
        return "name is an address; addresses stand in backends";
    if (strlen(c->name) > 253 || strpbrk(c->name, ":/ \t") != NULL)
        return "name is no name of the DNS; write it without scheme, port and path";
    if (c->ttl_least > c->ttl_most)
        return "ttl_least is above ttl_most";
    for (size_t i = 0; i < c->servers.n; i++)
        if (!discovery_server(c->servers.v[i], &ignored))
            return "servers has what is no address; write \"10.0.0.2\" or \"127.0.0.1:5353\"";
    return NULL;
}

static const char *check_dns(const struct discovery_conf *c)
{
    return c->port == 0 ? "port is missing; write the port of the backends" : check_names(c);
}

const struct source_ops source_dns = {
    .name = "dns",
    .keys = DISCOVERY_NAME | DISCOVERY_PORT | DISCOVERY_SERVERS,
    .check = check_dns,
    .run = dns_run,
};

/* ---- dns-srv ---- */

static unsigned greatest_weight(const struct question *q)
{
    unsigned most = 0;

    for (size_t i = 0; i < q->n; i++)
        if (q->srvs[i].weight > most)
            most = q->srvs[i].weight;
    return most;
}

/* SRV weights go up to 65535, ours to 1000.  RFC 2782 gives weight 0 a small chance, so it does not drain. */
static uint32_t scale(unsigned weight, unsigned most)
{
    uint32_t w = most > WEIGHT_MOST ? (uint32_t)weight * WEIGHT_MOST / most : weight;

    return w == 0 ? 1 : w;
}

/* SRV priorities are any numbers, of which the lowest is used first; ours count from 0. */
static uint32_t level_of(const struct question *q, unsigned priority)
{
    uint32_t level = 0;
    unsigned below = priority;

    while (level < FOUND_PRIORITY_MOST) {
        unsigned next = 0; /* the greatest one below, + 1 */
        for (size_t i = 0; i < q->n; i++)
            if (q->srvs[i].priority < below && q->srvs[i].priority >= next)
                next = q->srvs[i].priority + 1u;
        if (next == 0)
            break;
        below = next - 1;
        level++;
    }
    return level;
}

/* Several records may name the same target, with another port. */
static bool is_named_before(const struct question *q, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcasecmp(q->srvs[k].target, q->srvs[i].target) == 0)
            return true;
    return false;
}

static int add_record(struct found_list *l, const struct round *r, const struct srv *srv, const struct found *like)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < r->n; i++)
        if (strcasecmp(r->v[i].name, srv->target) == 0)
            rc = add_addresses(l, &r->v[i], like, srv->port);
    return rc;
}

static int look_up_targets(const struct question *q, struct round *r, const struct round *before, const struct discovery_conf *c,
                           struct found_list *l)
{
    unsigned most = greatest_weight(q);
    int rc;

    for (size_t i = 0; i < q->n; i++)
        if (q->srvs[i].target[0] != '\0' && !is_named_before(q, i))
            add_name(r, q->srvs[i].target, c->family);
    rc = round_ask(r, before, c);
    r->ttl = q->ttl < r->ttl ? q->ttl : r->ttl;
    for (size_t i = 0; rc == 0 && i < q->n; i++) {
        const struct found like = { .weight = scale(q->srvs[i].weight, most), .priority = level_of(q, q->srvs[i].priority) };
        if (q->srvs[i].port != 0) /* nothing can listen there */
            rc = add_record(l, r, &q->srvs[i], &like);
    }
    return rc;
}

/* The service's records into *q, in the round's arena. */
static int look_up_service(struct question *q, struct round *r, const struct discovery_conf *c)
{
    int rc;

    *q = (struct question){ .name = c->name, .kind = QUESTION_SRV };
    rc = resolver_ask(q, 1, &c->servers, &r->arena, fiber_now() + LOOKUP_MOST);
    r->cancelled = rc == -ERR_CANCELED;
    return rc == 0 && q->n > 0 ? round_open(r, q->n * 2) : rc;
}

/* One look at the service; returns when to look again. */
static int64_t look_up_all(struct source *s, struct round *before, struct round *r, struct found_list *l)
{
    struct question q;
    int rc = look_up_service(&q, r, s->conf);

    if (r->cancelled)
        return 0;
    if (rc == 0 && q.result != QUESTION_ANSWERED)
        r->failed = q.why;
    if (rc == 0 && q.n > SRV_MOST) {
        source_failed(s, "%s: more than %d SRV records", s->conf->name, SRV_MOST);
        return source_next_try(s);
    }
    if (rc == 0 && q.n == 1 && q.srvs[0].target[0] == '\0') { /* RFC 2782: decidedly not available */
        source_found(s, l);
        r->ttl = q.ttl;
        return ttl_ends(r, s->conf);
    }
    if (rc == 0 && q.n > 0)
        rc = look_up_targets(&q, r, before, s->conf, l);
    return r->cancelled ? 0 : tell(s, before, r, l, rc);
}

static void dns_srv_run(struct source *s)
{
    struct round before = { 0 };
    bool over = false;

    while (!over) {
        struct found_list l = { 0 };
        struct round r = { 0 };
        int64_t until;

        fiber_doing("looking up a service");
        until = look_up_all(s, &before, &r, &l);
        over = r.cancelled;
        found_list_free(&l);
        round_close(&r);
        fiber_doing("waiting for the end of a TTL");
        over = over || fiber_sleep(until) < 0;
    }
    round_close(&before);
}

const struct source_ops source_dns_srv = {
    .name = "dns-srv",
    .keys = DISCOVERY_NAME | DISCOVERY_SERVERS,
    .may_be_empty = true, /* a target "." and nothing else */
    .check = check_names,
    .run = dns_srv_run,
};
