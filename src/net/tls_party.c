/* tls_party.c - one end's TLS as configured, and whether what it was made of has changed. */
#include <openssl/opensslv.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "net/tls_parts.h"

enum { WATCHED_FEW = 4 }; /* files of a party beside its certificates' */

static struct tls_look look_at(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return (struct tls_look){ 0 };
    return (struct tls_look){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim, true };
}

static bool same_look(const struct tls_look *a, const struct tls_look *b)
{
    if (!a->there || !b->there)
        return a->there == b->there;
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
           a->mtime.tv_nsec == b->mtime.tv_nsec && a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static void watch(struct tls_party *p, const char *path)
{
    if (path != NULL)
        p->watched[p->n_watched++] = (struct tls_watched){ .path = path };
}

static void watch_all(struct tls_party *p)
{
    const struct tls_certificate_conf *v;

    if (!p->is_server) {
        MUST(p->client != NULL);
        watch(p, p->client->ca);
        watch(p, p->client->crl);
        watch(p, p->client->cert);
        watch(p, p->client->key);
        return;
    }
    v = p->server->certificates.v;
    for (size_t i = 0; i < p->server->certificates.n; i++) {
        watch(p, v[i].cert);
        watch(p, v[i].key);
        watch(p, v[i].ocsp);
    }
    watch(p, p->server->client_ca);
    watch(p, p->server->client_crl);
}

/* Before they are read: what changes meanwhile is seen as a change. */
static void look_at_all(struct tls_party *p)
{
    p->svids_version = tls_svids_version();
    for (size_t i = 0; i < p->n_watched; i++)
        p->watched[i].read = p->watched[i].last = look_at(p->watched[i].path);
}

static struct tls_party *party_new(const char *name, const struct tls_server_conf *server, const struct tls_client_conf *client,
                                   const struct conf_strs *protocols, tls_say_fn *say, void *arg)
{
    size_t n_certs = server != NULL ? server->certificates.n : 1;
    struct tls_party *p = calloc(1, sizeof *p + (3 * n_certs + WATCHED_FEW) * sizeof p->watched[0]);
    struct tls_ctx *c;

    if (p == NULL)
        return NULL;
    p->magic = TLS_PARTY_MAGIC;
    p->is_server = server != NULL;
    p->name = name;
    p->server = server;
    p->client = client;
    p->protocols = protocols;
    watch_all(p);
    look_at_all(p);
    c = tls_ctx_make(p, say, arg);
    atomic_store(&p->now, c);
    if (c == NULL)
        tls_party_free(&p);
    return p;
}

struct tls_party *tls_server_new(const char *name, const struct tls_server_conf *conf, const struct conf_strs *protocols,
                                 tls_say_fn *say, void *arg)
{
    return party_new(name, conf, NULL, protocols, say, arg);
}

struct tls_party *tls_client_new(const char *name, const struct tls_client_conf *conf, const struct conf_strs *protocols,
                                 tls_say_fn *say, void *arg)
{
    return party_new(name, NULL, conf, protocols, say, arg);
}

void tls_party_free(struct tls_party **pp)
{
    struct tls_party *p = *pp;
    struct tls_ctx *c;

    *pp = NULL;
    if (p == NULL)
        return;
    MUST_BE(p, TLS_PARTY_MAGIC);
    c = atomic_load(&p->now);
    tls_ctx_unref(&c);
    p->magic = 0;
    free(p);
}

const char *tls_party_name(const struct tls_party *p) { return p->name; }
bool tls_party_is_server(const struct tls_party *p) { return p->is_server; }
const char *tls_party_svid(const struct tls_party *p) { return p->is_server ? p->server->svid : p->client->svid; }

bool tls_party_same(const struct tls_party *a, const struct tls_party *b)
{
    const struct tls_client_conf *x, *y;

    if (a == NULL || b == NULL)
        return a == b;
    MUST(!a->is_server && !b->is_server);
    x = a->client;
    y = b->client;
    return x->verify == y->verify && x->min == y->min && conf_same_text(x->ca, y->ca) && conf_same_text(x->crl, y->crl) &&
           conf_same_text(x->server_name, y->server_name) && conf_same_text(x->cert, y->cert) && conf_same_text(x->key, y->key) &&
           conf_same_text(x->svid, y->svid) && conf_same_texts(&x->identity, &y->identity) &&
           conf_same_texts(a->protocols, b->protocols);
}

struct tls_ctx *tls_party_now(const struct tls_party *p)
{
    return atomic_load_explicit(&((struct tls_party *)(uintptr_t)p)->now, memory_order_acquire);
}

bool tls_party_is_stale(struct tls_party *p)
{
    bool changed = false, moving = false;

    if (tls_party_svid(p) != NULL)
        return p->svids_version != tls_svids_version();
    for (size_t i = 0; i < p->n_watched; i++) {
        struct tls_look now = look_at(p->watched[i].path);
        moving |= !same_look(&now, &p->watched[i].last);
        changed |= !same_look(&now, &p->watched[i].read);
        p->watched[i].last = now;
    }
    return changed && !moving;
}

struct tls_ctx *tls_party_renew(struct tls_party *p, tls_say_fn *say, void *arg)
{
    struct tls_ctx *c;

    look_at_all(p);
    c = tls_ctx_make(p, say, arg);
    return c == NULL ? NULL : atomic_exchange_explicit(&p->now, c, memory_order_acq_rel);
}

bool tls_party_certificate(const struct tls_party *p, size_t i, struct tls_certificate_info *out)
{
    const struct tls_files *f = tls_party_now(p)->files;

    if (i >= f->n_certs)
        return false;
    *out = (struct tls_certificate_info){ f->certs[i].path, f->certs[i].not_after, f->certs[i].names, f->certs[i].n_names };
    return true;
}

const char *tls_library(void) { return OpenSSL_version(OPENSSL_VERSION); }
