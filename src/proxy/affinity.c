/* affinity.c - keys that are hashed, and cookies that stick. */
#include "proxy/affinity.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/must.h"
#include "base/rand.h"
#include "http/cookie.h"
#include "net/stream_tls.h"
#include "proxy/exchange.h"
#include "proxy/hash_key.h"
#include "proxy/route.h"
#include "upstream/sticky.h"

enum { COOKIES_MOST = 4 }; /* of that name, that are looked at: each may cost a signature */

static struct slice cookie_name(const struct pool *p) { return slice_str(p->conf->sticky->cookie); }

/* ---- the request ---- */

uint64_t affinity_hash(const struct pool *pool, const struct hash_input *in)
{
    uint64_t hash;

    if (LIKELY(!pool->conf->strategy->hashes))
        return 0;
    return hash_key(&pool->conf->hash, in, &hash) ? hash : rand_u64();
}

static int hash_request(struct exchange *x)
{
    struct hash_input in = { .request = &x->req, .client = x->client_ip, .sni = stream_tls_name(&x->conn->stream) };
    int rc = 0;

    if (x->pool->conf->hash.kind == HASH_PATH)
        rc = route_path(x->req.path, x->arena, &in.path);
    if (rc == 0)
        x->affinity.hash = affinity_hash(x->pool, &in);
    return rc;
}

/* A neighbour's site may have set one of that name, too, and browsers send both: the first that is ours counts. */
static int read_cookie(struct exchange *x)
{
    struct cookie_walk w = cookie_walk_of(&x->req);
    struct slice name = cookie_name(x->pool), value;
    struct sticky_seen seen;
    int rc = -ERR_INVALID;
    bool any = false;

    for (int i = 0; i < COOKIES_MOST && rc == -ERR_INVALID && cookie_next(&w, name, &value); i++) {
        rc = sticky_read(x->pool->sticky, value, clock_wall(), &seen);
        any = true;
    }
    if (rc == 0) {
        x->affinity.id = seen.id;
        x->affinity.old = seen.old;
        x->affinity.named = true;
    }
    if (rc == -ERR_NOMEM)
        return rc;
    return any ? cookie_remove(&x->req, name, x->arena) : 0;
}

int affinity_begin(struct exchange *x)
{
    int rc = 0;

    if (x->pool->conf->strategy->hashes)
        rc = hash_request(x);
    if (rc == 0 && x->pool->sticky != NULL)
        rc = read_cookie(x);
    return rc;
}

struct backend *affinity_pick(struct exchange *x)
{
    struct backend *b = NULL;

    if (x->affinity.named)
        b = pool_pick_known(x->pool, x->affinity.id, &x->tried);
    if (b == NULL)
        return pool_pick(x->pool, x->affinity.hash, &x->tried);
    x->affinity.picked = b;
    return b;
}

/* ---- the answer ---- */

static const char *set_cookie(const struct exchange *x, const char value[STICKY_TEXT])
{
    const struct sticky_conf *conf = x->pool->conf->sticky;
    char age[40] = "";

    if (conf->ttl != 0)
        (void)snprintf(age, sizeof age, "; Max-Age=%" PRId64, conf->ttl / CLOCK_S);
    return arena_printf(x->arena, "%s=%.*s; Path=/; HttpOnly; SameSite=Lax%s%s", conf->cookie, STICKY_TEXT, value,
                        conn_is_secure(x->conn) ? "; Secure" : "", age);
}

static int add_cookie(struct exchange *x, struct message *m)
{
    char value[STICKY_TEXT];
    const char *text;
    int rc = sticky_write(x->pool->sticky, &x->lease.backend->addr, clock_wall(), value);

    if (rc < 0)
        return rc;
    text = set_cookie(x, value);
    if (text == NULL)
        return -ERR_NOMEM;
    rc = message_reserve(m, 2, x->arena);
    if (rc == 0)
        rc = message_add(m, SLICE("Set-Cookie"), slice_str(text));
    if (rc == 0 && m->status != 101) /* a shared cache would give this client's cookie to others (RFC 9111 7.3) */
        rc = message_add(m, SLICE("Cache-Control"), SLICE("private"));
    return rc;
}

int affinity_answer(struct exchange *x, struct message *m)
{
    if (LIKELY(x->pool->sticky == NULL) || (x->affinity.picked == x->lease.backend && !x->affinity.old))
        return 0;
    return add_cookie(x, m);
}
