/* registration.c - words and paths to calls of the register. */
#include "admin/registration.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "conf/snapshot.h"
#include "discovery/document.h"
#include "discovery/heartbeat.h"
#include "fiber/fiber.h"

#define REGISTER_WAIT CLOCK_S

enum { NAME_MOST = 256 };

static const struct slice prefix = { "/v1/pools/", 10 };

/* Who is meant, as far as it was said. */
struct asked {
    char pool[NAME_MOST], addr_text[NAME_MOST], ttl_text[32]; /* "": not said */
    struct addr addr;
    int64_t ttl;
};

/* ---- what is right ---- */

/* An HTTP status, and a sentence in `out` unless it is 200. */
static unsigned check_pool(const struct admin_host *host, struct asked *a, struct buf *out)
{
    const struct pool_conf *p;
    struct admin_view v;

    host->view(host->arg, &v);
    p = snapshot_pool(v.conf, a->pool);
    if (p == NULL) {
        buf_printf(out, "there is no pool %s\n", a->pool);
        return 404;
    }
    if (p->discovery == NULL || strcmp(p->discovery->type, "heartbeat") != 0) {
        buf_printf(out, "pool %s takes no registrations; its discovery has not the type \"heartbeat\"\n", a->pool);
        return 409;
    }
    a->ttl = p->discovery->ttl;
    return 200;
}

static unsigned check_addr(struct asked *a, struct buf *out)
{
    const char *wrong = addr_parse(a->addr_text, &a->addr, NULL);

    if (wrong == NULL)
        return 200;
    buf_printf(out, "%s: %s\n", a->addr_text, wrong);
    return 400;
}

static unsigned check_ttl(struct asked *a, struct buf *out)
{
    int64_t least, most, ttl;
    const char *wrong;

    if (a->ttl_text[0] == '\0')
        return 200;
    MUST(conf_parse_time(DISCOVERY_TTL_LEAST, &least) == NULL && conf_parse_time(DISCOVERY_TTL_MOST, &most) == NULL);
    wrong = conf_parse_time(a->ttl_text, &ttl);
    if (wrong == NULL && (ttl < least || ttl > most))
        wrong = "a registration lasts from " DISCOVERY_TTL_LEAST " to " DISCOVERY_TTL_MOST;
    if (wrong == NULL) {
        a->ttl = ttl;
        return 200;
    }
    buf_printf(out, "ttl %s: %s\n", a->ttl_text, wrong);
    return 400;
}

/* ---- what is done ---- */

static unsigned failed(int rc, const char *pool, struct buf *out)
{
    if (rc == -ERR_INVALID) {
        buf_printf(out, "pool %s has %d backends already\n", pool, FOUND_MOST);
        return 409;
    }
    buf_printf(out, "%s\n", err_text(rc));
    return 503;
}

static unsigned put(struct asked *a, struct slice body, struct buf *out)
{
    char why[SOURCE_WHY], text[ADDR_TEXT_MAX];
    struct found f;
    unsigned status = check_addr(a, out);
    int rc;

    if (status == 200)
        status = check_ttl(a, out);
    if (status != 200)
        return status;
    if (document_one(body, &a->addr, &f, why) < 0) {
        buf_printf(out, "%s\n", why);
        return 400;
    }
    rc = heartbeat_put(a->pool, &f, a->ttl, fiber_now() + REGISTER_WAIT);
    if (rc < 0)
        return failed(rc, a->pool, out);
    buf_printf(out, "%s %s in pool %s for %lld s\n", addr_format(&a->addr, text), rc == 1 ? "is registered" : "stays", a->pool,
               (long long)(a->ttl / CLOCK_S));
    return rc == 1 ? 201 : 200;
}

static unsigned take_out(struct asked *a, struct buf *out)
{
    char text[ADDR_TEXT_MAX];
    unsigned status = check_addr(a, out);
    int rc;

    if (status != 200)
        return status;
    rc = heartbeat_remove(a->pool, &a->addr, fiber_now() + REGISTER_WAIT);
    if (rc < 0)
        return failed(rc, a->pool, out);
    buf_printf(out, "%s %s in pool %s\n", addr_format(&a->addr, text), rc == 1 ? "is no longer" : "was not registered", a->pool);
    return rc == 1 ? 200 : 404;
}

static unsigned list(const char *pool, struct buf *out)
{
    struct heartbeat_view v;
    int rc = heartbeat_look(pool, &v, fiber_now() + REGISTER_WAIT);
    int64_t now = clock_now();

    if (rc < 0)
        return failed(rc, pool, out);
    buf_add(out, "[");
    for (size_t i = 0; i < v.list.n; i++) {
        const struct found *f = &v.list.v[i];
        buf_add(out, i > 0 ? ",\n  { \"address\": " : "\n  { \"address\": ");
        buf_add_json(out, slice_str(f->name));
        buf_printf(out, ", \"weight\": %u, \"priority\": %u, \"max_connections\": %u, \"left_ms\": %lld }", f->weight,
                   f->priority, f->max_connections, (long long)((v.until[i] - now) / CLOCK_MS));
    }
    buf_add(out, v.list.n > 0 ? "\n]\n" : "]\n");
    heartbeat_view_free(&v);
    return 200;
}

/* ---- by HTTP ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : slice_lower(c) >= 'a' && slice_lower(c) <= 'f' ? slice_lower(c) - 'a' + 10 : -1;
}

/* With percent signs decoded, as a string.  False: it does not fit, or holds what is no text. */
static bool decode(struct slice s, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
                return false;
            c = hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 == size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

/* What stands before the next '/', which is taken off. */
static struct slice next_segment(struct slice *path)
{
    const char *slash = memchr(path->p, '/', path->n);
    struct slice s = slice_of(path->p, slash == NULL ? path->n : (size_t)(slash - path->p));
    size_t used = s.n + (slash != NULL);

    *path = slice_of(path->p + used, path->n - used);
    return s;
}

/* /v1/pools/POOL/backends, or with /ADDR */
static bool read_path(struct slice path, struct asked *a)
{
    path = slice_of(path.p + prefix.n, path.n - prefix.n);
    if (!decode(next_segment(&path), a->pool, sizeof a->pool) || a->pool[0] == '\0')
        return false;
    if (!slice_eq(next_segment(&path), SLICE("backends")))
        return false;
    return decode(path, a->addr_text, sizeof a->addr_text);
}

static bool read_query(struct slice query, struct asked *a)
{
    if (query.n == 0)
        return true;
    return slice_starts(query, SLICE("ttl=")) && decode(slice_of(query.p + 4, query.n - 4), a->ttl_text, sizeof a->ttl_text);
}

static unsigned wrong_method(struct small_reply *r, const char *allow)
{
    r->allow = allow;
    buf_printf(&r->body, "only %s\n", allow);
    return 405;
}

bool registration_is(struct slice path) { return slice_starts(path, prefix); }

void registration_answer(const struct admin_host *host, const struct message *m, struct slice body, struct small_reply *r)
{
    struct asked a = { .ttl = 0 };
    bool one;

    if (!read_path(m->path, &a)) {
        r->status = 404;
        buf_add(&r->body, "write /v1/pools/POOL/backends, or /v1/pools/POOL/backends/ADDR\n");
        return;
    }
    if (!read_query(m->query, &a)) {
        r->status = 400;
        buf_add(&r->body, "the only thing to be asked is ttl=10s\n");
        return;
    }
    one = a.addr_text[0] != '\0';
    r->status = check_pool(host, &a, &r->body);
    if (r->status != 200)
        return;
    if (one && m->method == METHOD_PUT)
        r->status = put(&a, body, &r->body);
    else if (one && m->method == METHOD_DELETE)
        r->status = take_out(&a, &r->body);
    else if (one)
        r->status = wrong_method(r, "PUT, DELETE");
    else if (m->method != METHOD_GET && m->method != METHOD_HEAD)
        r->status = wrong_method(r, "GET, HEAD");
    else {
        r->status = list(a.pool, &r->body);
        r->content_type = r->status == 200 ? "application/json" : r->content_type;
    }
}

/* ---- by command ---- */

/* args: POOL [ADDR [TTL]]; the status of what is wrong with them, or 200. */
static unsigned read_args(const struct admin_host *host, char **args, struct asked *a, struct buf *out)
{
    char *to[] = { a->pool, a->addr_text, a->ttl_text };
    const size_t size[] = { sizeof a->pool, sizeof a->addr_text, sizeof a->ttl_text };

    for (size_t i = 0; i < 3 && args[i] != NULL; i++) {
        size_t n = strlen(args[i]);
        if (n >= size[i]) {
            buf_printf(out, "%s is too long\n", args[i]);
            return 400;
        }
        memcpy(to[i], args[i], n + 1);
    }
    return check_pool(host, a, out);
}

static int code(unsigned status) { return status < 300 ? 0 : -ERR_INVALID; }

int registration_register(const struct admin_host *host, char **args, struct buf *out)
{
    struct asked a = { .ttl = 0 };
    unsigned status = read_args(host, args, &a, out);

    return code(status == 200 ? put(&a, slice_of(NULL, 0), out) : status);
}

int registration_deregister(const struct admin_host *host, char **args, struct buf *out)
{
    struct asked a = { .ttl = 0 };
    unsigned status = read_args(host, args, &a, out);

    return code(status == 200 ? take_out(&a, out) : status);
}

int registration_list(const struct admin_host *host, char **args, struct buf *out)
{
    struct asked a = { .ttl = 0 };
    unsigned status = read_args(host, args, &a, out);

    return code(status == 200 ? list(a.pool, out) : status);
}
