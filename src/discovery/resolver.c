/*
 * resolver.c - c-ares on a fiber.
 *
 * c-ares opens and closes sockets as it likes, and reads them as if it were called again while something is left
 * (level-triggered).  So they stand in an epoll of their own, and the fiber waits for that one descriptor.
 */
#include "discovery/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "discovery/discovery_conf.h"
#include "fiber/netpoll.h"

enum { AT_ONCE = 64, TRY_MS = 2000, TRIES = 2, EVENTS = 16, SERVERS_MOST = 16 };

struct asking {
    ares_channel channel;
    int epoll;
    struct pd pd; /* of epoll */
    struct arena *arena;
    struct question *v;
    size_t n, started, pending;
    bool no_memory;
};

/* The callback's argument: which question of which round. */
struct asked {
    struct asking *a;
    struct question *q;
};

/* ---- sockets ---- */

static void socket_changed(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct asking *a = arg;
    struct epoll_event e = { .events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0), .data.fd = fd };

    if (e.events == 0)
        (void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, fd, &e);
    else if (epoll_ctl(a->epoll, EPOLL_CTL_MOD, fd, &e) < 0)
        (void)epoll_ctl(a->epoll, EPOLL_CTL_ADD, fd, &e); /* if that fails, c-ares runs into its timeout */
}

static void serve_sockets(struct asking *a)
{
    struct epoll_event v[EVENTS];
    int n = epoll_wait(a->epoll, v, EVENTS, 0);

    if (n <= 0)
        pd_read_again(&a->pd);
    for (int i = 0; i < n; i++) {
        bool broken = (v[i].events & (EPOLLERR | EPOLLHUP)) != 0;
        ares_process_fd(a->channel, broken || (v[i].events & EPOLLIN) != 0 ? v[i].data.fd : ARES_SOCKET_BAD,
                        broken || (v[i].events & EPOLLOUT) != 0 ? v[i].data.fd : ARES_SOCKET_BAD);
    }
}

/* When c-ares wants to be called though nothing came. */
static int64_t next_timeout(const struct asking *a)
{
    struct timeval tv, *set = ares_timeout(a->channel, NULL, &tv);

    return set == NULL ? CLOCK_NEVER : clock_now() + tv.tv_sec * CLOCK_S + tv.tv_usec + CLOCK_MS;
}

/* ---- answers ---- */

static void not_answered(struct question *q, int status)
{
    q->result = status == ARES_ENOTFOUND || status == ARES_ENODATA ? QUESTION_EMPTY : QUESTION_FAILED;
    q->why = ares_strerror(status);
}

/* RFC 2181 section 8: the top bit set means 0. */
static int64_t ttl_of(int64_t seconds) { return seconds < 0 || seconds > INT32_MAX ? 0 : seconds * CLOCK_S; }

static void take_least(int64_t *ttl, int64_t other)
{
    if (other < *ttl)
        *ttl = other;
}

static int copy_addresses(struct question *q, const struct ares_addrinfo *info, struct arena *arena)
{
    size_t n = 0;

    for (const struct ares_addrinfo_node *it = info->nodes; it != NULL; it = it->ai_next)
        n++;
    q->addrs = arena_take_zero(arena, n * sizeof *q->addrs + 1);
    if (q->addrs == NULL)
        return -ERR_NOMEM;
    q->ttl = INT64_MAX;
    for (const struct ares_addrinfo_node *it = info->nodes; it != NULL; it = it->ai_next) {
        struct addr *to = &q->addrs[q->n];
        if (it->ai_addrlen > sizeof to->in6)
            continue;
        to->len = it->ai_addrlen;
        memcpy(&to->sa, it->ai_addr, it->ai_addrlen);
        take_least(&q->ttl, ttl_of(it->ai_ttl));
        q->n++;
    }
    for (const struct ares_addrinfo_cname *it = info->cnames; it != NULL; it = it->next)
        take_least(&q->ttl, ttl_of(it->ttl));
    return 0;
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct asked *asked = arg;
    struct question *q = asked->q;
    struct asking *a = asked->a;

    (void)timeouts;
    a->pending--;
    if (status != ARES_SUCCESS)
        not_answered(q, status);
    else if (copy_addresses(q, info, a->arena) < 0)
        a->no_memory = true;
    else if (q->n == 0)
        not_answered(q, ARES_ENODATA);
    else
        q->result = QUESTION_ANSWERED;
    if (info != NULL)
        ares_freeaddrinfo(info);
}

/* A record's fixed part, behind its name. */
struct record {
    unsigned type;
    int64_t ttl;
    const unsigned char *data;
    int n;
};

static unsigned get16(const unsigned char *p) { return (unsigned)p[0] << 8 | p[1]; }
static int64_t get32(const unsigned char *p) { return (int64_t)get16(p) << 16 | get16(p + 2); }

/* The name at p, as text in the arena (NULL: only passed over); bytes that it takes there, or a code. */
static int read_name(const unsigned char *p, const unsigned char *bytes, int n, const char **out, struct arena *a)
{
    char *text = NULL;
    long used = 0;

    if (p >= bytes + n || ares_expand_name(p, bytes, n, &text, &used) != ARES_SUCCESS)
        return -ERR_INVALID;
    if (out != NULL)
        *out = arena_strdup(a, text);
    ares_free_string(text);
    return out != NULL && *out == NULL ? -ERR_NOMEM : (int)used;
}

/* Goes behind the record at *at. */
static int read_record(const unsigned char **at, const unsigned char *bytes, int n, struct record *r)
{
    int used = read_name(*at, bytes, n, NULL, NULL);
    const unsigned char *p = *at + used, *end = bytes + n;

    if (used < 0 || end - p < 10)
        return -ERR_INVALID;
    *r = (struct record){ .type = get16(p), .ttl = ttl_of(get32(p + 4)), .data = p + 10, .n = (int)get16(p + 8) };
    if (end - r->data < r->n)
        return -ERR_INVALID;
    *at = r->data + r->n;
    return 0;
}

static int read_srv(const struct record *r, const unsigned char *bytes, int n, struct srv *out, struct arena *a)
{
    int used;

    if (r->n < 7)
        return -ERR_INVALID;
    *out = (struct srv){ .priority = (uint16_t)get16(r->data),
                         .weight = (uint16_t)get16(r->data + 2),
                         .port = (uint16_t)get16(r->data + 4) };
    used = read_name(r->data + 6, bytes, n, &out->target, a);
    return used < 0 ? used : used == r->n - 6 ? 0 : -ERR_INVALID;
}

int resolver_parse_srv(struct question *q, const unsigned char *bytes, int n, struct arena *a)
{
    const unsigned char *at = bytes + NS_HFIXEDSZ;
    struct record r;
    unsigned questions, answers;

    if (n < NS_HFIXEDSZ)
        return -ERR_INVALID;
    questions = get16(bytes + 4);
    answers = get16(bytes + 6);
    for (; questions > 0; questions--) {
        int used = read_name(at, bytes, n, NULL, NULL);
        if (used < 0 || bytes + n - at < used + NS_QFIXEDSZ)
            return -ERR_INVALID;
        at += used + NS_QFIXEDSZ;
    }
    if (answers > (unsigned)n / NS_RRFIXEDSZ)
        return -ERR_INVALID; /* so many don't fit */
    q->ttl = INT64_MAX;
    q->srvs = arena_take(a, answers * sizeof *q->srvs + 1);
    if (q->srvs == NULL)
        return -ERR_NOMEM;
    for (; answers > 0; answers--) {
        int rc = read_record(&at, bytes, n, &r);
        if (rc == 0 && r.type == ns_t_srv)
            rc = read_srv(&r, bytes, n, &q->srvs[q->n++], a);
        if (rc < 0)
            return rc;
        take_least(&q->ttl, r.ttl);
    }
    return 0;
}

static void on_srv(void *arg, int status, int timeouts, unsigned char *bytes, int n)
{
    struct asked *asked = arg;
    struct question *q = asked->q;
    int rc;

    (void)timeouts;
    asked->a->pending--;
    if (status != ARES_SUCCESS) {
        not_answered(q, status);
        return;
    }
    rc = resolver_parse_srv(q, bytes, n, asked->a->arena);
    if (rc == -ERR_NOMEM)
        asked->a->no_memory = true;
    if (rc < 0 || q->n == 0)
        not_answered(q, rc < 0 ? ARES_EBADRESP : ARES_ENODATA);
    else
        q->result = QUESTION_ANSWERED;
}

/* ---- questions ---- */

static int start_one(struct asking *a)
{
    struct question *q = &a->v[a->started];
    struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM };
    struct asked *asked = arena_take(a->arena, sizeof *asked);

    if (asked == NULL)
        return -ERR_NOMEM;
    *asked = (struct asked){ a, q };
    a->started++;
    a->pending++; /* before: the callback may come at once */
    if (q->kind == QUESTION_SRV) {
        ares_search(a->channel, q->name, ns_c_in, ns_t_srv, on_srv, asked);
        return 0;
    }
    hints.ai_family = q->kind == QUESTION_IPV4 ? AF_INET : AF_INET6;
    ares_getaddrinfo(a->channel, q->name, NULL, &hints, on_addresses, asked);
    return 0;
}

static int converse(struct asking *a, int64_t deadline)
{
    while (a->started < a->n || a->pending > 0) {
        int64_t until;
        int rc = 0;

        while (rc == 0 && a->started < a->n && a->pending < AT_ONCE)
            rc = start_one(a);
        if (rc < 0 || a->no_memory)
            return -ERR_NOMEM;
        if (a->pending == 0)
            continue;
        until = next_timeout(a);
        rc = pd_wait_read(&a->pd, until < deadline ? until : deadline);
        if (rc == 0)
            serve_sockets(a);
        else if (rc == -ERR_TIMEOUT && clock_now() < deadline)
            ares_process_fd(a->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        else
            return rc == -ERR_TIMEOUT ? 0 : rc;
    }
    return 0;
}

static int use_servers(struct asking *a, const struct conf_strs *servers)
{
    struct ares_addr_port_node v[SERVERS_MOST] = { 0 };
    size_t n = servers->n < SERVERS_MOST ? servers->n : SERVERS_MOST;

    for (size_t i = 0; i < n; i++) {
        struct addr at;
        if (!discovery_server(servers->v[i], &at))
            return -ERR_INVALID;
        v[i].next = i + 1 < n ? &v[i + 1] : NULL;
        v[i].family = at.sa.sa_family;
        v[i].udp_port = v[i].tcp_port = ntohs(at.sa.sa_family == AF_INET ? at.in.sin_port : at.in6.sin6_port);
        if (at.sa.sa_family == AF_INET)
            v[i].addr.addr4 = at.in.sin_addr;
        else
            memcpy(&v[i].addr.addr6, &at.in6.sin6_addr, sizeof v[i].addr.addr6);
    }
    return ares_set_servers_ports(a->channel, v) == ARES_SUCCESS ? 0 : -ERR_NOMEM;
}

static int open_channel(struct asking *a, const struct conf_strs *servers)
{
    static char dns_only[] = "b";
    struct ares_options o = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .sock_state_cb = socket_changed,
        .sock_state_cb_data = a,
        .lookups = dns_only,
        .flags = ARES_FLAG_NOSEARCH,
    };
    int which = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    if (servers->n > 0)
        which |= ARES_OPT_LOOKUPS | ARES_OPT_FLAGS;
    if (ares_init_options(&a->channel, &o, which) != ARES_SUCCESS) {
        a->channel = NULL;
        return -ERR_NOMEM;
    }
    return servers->n > 0 ? use_servers(a, servers) : 0;
}

static int open_asking(struct asking *a, const struct conf_strs *servers)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return -ERR_NOMEM;
    a->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (a->epoll < 0)
        return err_from_errno(errno);
    pd_init(&a->pd, a->epoll);
    return open_channel(a, servers);
}

static void close_asking(struct asking *a)
{
    if (a->channel != NULL)
        ares_destroy(a->channel); /* answers what is still open, into `a` */
    if (a->epoll >= 0) {
        pd_forget(&a->pd);
        (void)close(a->epoll);
    }
    ares_library_cleanup();
}

int resolver_ask(struct question *v, size_t n, const struct conf_strs *servers, struct arena *arena, int64_t deadline)
{
    struct asking a = { .epoll = -1, .arena = arena, .v = v, .n = n };
    int rc;

    for (size_t i = 0; i < n; i++)
        v[i] = (struct question){ .name = v[i].name, .kind = v[i].kind, .why = ares_strerror(ARES_ETIMEOUT) };
    rc = open_asking(&a, servers);
    if (rc == 0)
        rc = converse(&a, deadline);
    if (rc == 0 && a.pending > 0)
        ares_cancel(a.channel);
    close_asking(&a);
    return rc < 0 ? rc : a.no_memory ? -ERR_NOMEM : 0;
}
