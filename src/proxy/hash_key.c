/* hash_key.c - finds what is hashed, and hashes it. */
#include "proxy/hash_key.h"

#include "base/hash.h"
#include "base/must.h"
#include "http/cookie.h"
#include "proxy/route_match.h"

#define SEED UINT64_C(0x77656972206b6579) /* "weir key": never changes, or keys would move to other backends */

static const struct slice absent;

static struct slice header_text(const struct message *m, const char *name)
{
    const struct header *h = message_find_name(m, slice_str(name));

    return h == NULL ? absent : header_value_of(h);
}

static struct slice cookie_text(const struct message *m, const char *name)
{
    struct cookie_walk w = cookie_walk_of(m);
    struct slice value;

    return cookie_next(&w, slice_str(name), &value) ? value : absent;
}

/* "a=1&name=value&b": the value behind the first `name`; without a '=' it is empty. */
static struct slice query_text(struct slice query, struct slice name)
{
    while (query.n > 0) {
        const char *end = memchr(query.p, '&', query.n);
        size_t n = end == NULL ? query.n : (size_t)(end - query.p);
        if (n >= name.n && memcmp(query.p, name.p, name.n) == 0 && (n == name.n || query.p[name.n] == '='))
            return n == name.n ? absent : slice_of(query.p + name.n + 1, n - name.n - 1);
        query = end == NULL ? absent : slice_of(end + 1, query.n - n - 1);
    }
    return absent;
}

struct slice hash_key_text(const struct hash_conf *conf, const struct hash_input *in)
{
    const struct message *m = in->request;

    MUST(conf->kind != HASH_CLIENT_IP);
    if (conf->kind == HASH_SNI)
        return in->sni;
    if (m == NULL)
        return absent;
    switch (conf->kind) {
    case HASH_HEADER: return header_text(m, conf->name);
    case HASH_COOKIE: return cookie_text(m, conf->name);
    case HASH_QUERY: return query_text(m->query, slice_str(conf->name));
    case HASH_PATH: return in->path;
    default: return route_host(m->authority);
    }
}

static uint64_t hash_of(const struct hash_conf *conf, struct slice text)
{
    bool is_name = conf->kind == HASH_HOST || conf->kind == HASH_SNI;

    /* The last step mixes once more: strategies take the upper bits, the lower ones, or a remainder. */
    return hash_u64(is_name ? hash_nocase(text.p, text.n, SEED) : hash_bytes(text.p, text.n, SEED));
}

bool hash_key(const struct hash_conf *conf, const struct hash_input *in, uint64_t *hash)
{
    struct slice text;

    if (conf->kind == HASH_CLIENT_IP)
        text = slice_of((const char *)in->client.bytes, in->client.family == 0 ? 0 : in->client.family == 4 ? 4 : 16);
    else
        text = hash_key_text(conf, in);
    if (text.n == 0)
        return false;
    *hash = hash_of(conf, text);
    return true;
}
