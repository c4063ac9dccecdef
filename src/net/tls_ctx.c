/* tls_ctx.c - OpenSSL's contexts, of a listener or of a pool. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "net/stream_tls.h"
#include "net/tls_parts.h"

enum {
    SESSIONS_MOST = 20 * 1024, /* kept in memory, where tickets are off */
};

/* AES-128 first: it costs least, and nothing says that it is too weak. */
#define CIPHERS_1_2                                                                            \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
static char groups[] = "X25519:P-256:P-384"; /* OpenSSL takes no const */

/* ---- contexts of OpenSSL ---- */

static SSL_CTX *ctx_new(struct tls_making *m, const SSL_METHOD *method, int min)
{
    SSL_CTX *c = SSL_CTX_new(method);

    if (c == NULL || SSL_CTX_set_min_proto_version(c, min == TLS_MIN_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(c, CIPHERS_1_2) != 1 || SSL_CTX_set_ciphersuites(c, CIPHERS_1_3) != 1 ||
        SSL_CTX_set1_groups_list(c, groups) != 1) {
        SSL_CTX_free(c);
        ERR_clear_error();
        tls_out_of_memory(m);
        return NULL;
    }
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    (void)SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c, 1);
    return c;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *offered,
                           unsigned n_offered, void *arg)
{
    const struct tls_files *f = arg;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, n, f->alpn, f->n_alpn, offered, n_offered) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2: no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool has_http_1(const struct conf_strs *protocols)
{
    for (size_t i = 0; i < protocols->n; i++)
        if (strcmp(protocols->v[i], "http/1.1") == 0)
            return true;
    return false;
}

/* Who speaks of no protocol would get HTTP/1.1, which is not spoken here (RFC 9113 3.2: HTTP/2 is agreed by ALPN). */
static int demand_alpn(SSL *ssl, int *alert, void *arg)
{
    const unsigned char *p;
    size_t n;

    (void)arg;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &n) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_APPLICATION_PROTOCOL);
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

static void make_alpn(struct tls_making *m)
{
    const struct conf_strs *s = m->party->protocols;
    struct tls_files *f = m->files;
    size_t n = 0;

    for (size_t i = 0; s != NULL && i < s->n; i++)
        n += strlen(s->v[i]) + 1;
    f->alpn = n > 0 ? arena_take(&f->arena, n) : NULL;
    if (n > 0 && f->alpn == NULL) {
        tls_out_of_memory(m);
        return;
    }
    for (size_t i = 0; n > 0 && i < s->n; i++) {
        size_t len = strlen(s->v[i]);
        MUST(len > 0 && len < 256);
        f->alpn[f->n_alpn++] = (unsigned char)len;
        memcpy(f->alpn + f->n_alpn, s->v[i], len);
        f->n_alpn += (unsigned)len;
    }
}

static bool use_certificate(struct tls_making *m, SSL_CTX *ssl, size_t i)
{
    const struct tls_certificate *c = &m->files->certs[i];

    if (SSL_CTX_use_certificate(ssl, c->x509) == 1 && SSL_CTX_use_PrivateKey(ssl, c->key) == 1 &&
        SSL_CTX_set1_chain(ssl, c->chain) == 1)
        return true;
    tls_say(m, true, "cert", m->party->is_server ? i : TLS_NO_INDEX, "the certificate in %s can't be used: %s", c->path,
            tls_openssl_why());
    return false;
}

/* ---- a listener's ---- */

/* What a session may be taken up under again: the same listener, asking for the same. */
static void set_session_id(struct tls_making *m, SSL_CTX *ssl)
{
    const struct tls_server_conf *conf = m->party->server;
    unsigned char id[EVP_MAX_MD_SIZE];
    const char *files[] = { conf->client_ca, conf->client_crl };
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned n = 0;
    bool good = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, m->party->name, strlen(m->party->name)) == 1 &&
                EVP_DigestUpdate(md, &conf->client_auth, sizeof conf->client_auth) == 1;

    for (size_t i = 0; good && conf->client_auth != TLS_AUTH_NONE && i < sizeof files / sizeof files[0]; i++) {
        size_t size = 0;
        char *text = files[i] == NULL ? NULL : tls_read_whole(files[i], &size);
        if (text != NULL)
            good = EVP_DigestUpdate(md, text, size) == 1;
        free(text);
    }
    if (!good || EVP_DigestFinal_ex(md, id, &n) != 1 ||
        SSL_CTX_set_session_id_context(ssl, id, n < SSL_MAX_SID_CTX_LENGTH ? n : SSL_MAX_SID_CTX_LENGTH) != 1)
        tls_out_of_memory(m);
    EVP_MD_CTX_free(md);
}

static void set_resumption(struct tls_making *m, SSL_CTX *ssl)
{
    set_session_id(m, ssl);
    tls_limit_sessions(ssl, m->files);
    (void)SSL_CTX_set_num_tickets(ssl, 1);
    if (m->party->server->svid != NULL && m->party->server->client_auth != TLS_AUTH_NONE) {
        /* SVIDs live for an hour or less, and who takes up a session is not verified again */
        (void)SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_num_tickets(ssl, 0);
        (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
        return;
    }
    if (!m->party->server->tickets) {
        (void)SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_SERVER);
        (void)SSL_CTX_sess_set_cache_size(ssl, SESSIONS_MOST);
        return;
    }
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    if (!tls_tickets_use(ssl))
        tls_out_of_memory(m);
}

struct client_trust {
    X509_STORE *store;
    STACK_OF(X509_NAME) * subjects;
};

static void set_client_auth(struct tls_making *m, SSL_CTX *ssl, const struct client_trust *t)
{
    STACK_OF(X509_NAME) * names;

    if (m->party->server->client_auth == TLS_AUTH_NONE || (t->store == NULL && m->files->svids == NULL))
        return;
    if (m->files->svids != NULL) {
        tls_svids_verify_by(m->files->svids, ssl);
    } else {
        names = SSL_dup_CA_list(t->subjects);
        if (names == NULL)
            tls_out_of_memory(m);
        else
            SSL_CTX_set_client_CA_list(ssl, names);
        SSL_CTX_set1_cert_store(ssl, t->store);
    }
    SSL_CTX_set_verify(ssl,
                       m->party->server->client_auth == TLS_AUTH_REQUIRED ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                                                          : SSL_VERIFY_PEER,
                       NULL);
}

static bool make_set(struct tls_making *m, struct tls_cert_set *s, const struct client_trust *t)
{
    bool good = true;

    s->ssl = ctx_new(m, TLS_server_method(), m->party->server->min);
    if (s->ssl == NULL)
        return false;
    for (size_t k = 0; k < KEY_KINDS; k++)
        if (s->cert[k] != 0)
            good = use_certificate(m, s->ssl, s->cert[k] - 1) && good;
    set_resumption(m, s->ssl);
    set_client_auth(m, s->ssl, t);
    (void)SSL_CTX_set_ex_data(s->ssl, 0, s);
    (void)SSL_CTX_set_tlsext_servername_callback(s->ssl, tls_choose_certificate);
    (void)SSL_CTX_set_tlsext_servername_arg(s->ssl, m->files);
    (void)SSL_CTX_set_tlsext_status_cb(s->ssl, tls_staple);
    (void)SSL_CTX_set_tlsext_status_arg(s->ssl, m->files);
    if (m->files->alpn != NULL)
        SSL_CTX_set_alpn_select_cb(s->ssl, choose_protocol, m->files);
    if (m->files->alpn != NULL && !has_http_1(m->party->protocols))
        SSL_CTX_set_client_hello_cb(s->ssl, demand_alpn, NULL);
    return good && !m->failed;
}

static void make_server(struct tls_making *m)
{
    const struct tls_server_conf *conf = m->party->server;
    const struct tls_certificate_conf *v = conf->certificates.v;
    struct client_trust t = { 0 };

    for (size_t i = 0; i < conf->certificates.n; i++)
        tls_read_certificate(m, i, v[i].cert, v[i].key, v[i].ocsp);
    if (conf->svid != NULL)
        tls_take_svid(m, conf->svid);
    if (conf->client_auth != TLS_AUTH_NONE && conf->client_ca != NULL) {
        t.subjects = sk_X509_NAME_new_null();
        t.store = tls_make_store(m, "client_ca", conf->client_ca, "client_crl", conf->client_crl, t.subjects);
    }
    make_alpn(m);
    if (!m->failed && tls_make_names(m)) {
        for (size_t i = 0; i < m->files->n_sets; i++)
            if (!make_set(m, &m->files->sets[i], &t))
                break;
        m->ctx->ssl = m->files->sets[0].ssl;
    }
    X509_STORE_free(t.store);
    sk_X509_NAME_pop_free(t.subjects, X509_NAME_free);
}

/* ---- a pool's ---- */

static void set_backend_auth(struct tls_making *m, SSL_CTX *ssl)
{
    const struct tls_client_conf *conf = m->party->client;
    X509_STORE *store;

    if (!conf->verify)
        return;
    if (m->files->svids != NULL) {
        tls_svids_verify_by(m->files->svids, ssl);
    } else if (conf->svid == NULL) {
        store = tls_make_store(m, "ca", conf->ca, "crl", conf->crl, NULL);
        if (store != NULL)
            SSL_CTX_set_cert_store(ssl, store); /* takes it over */
    }
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
}

static void make_client(struct tls_making *m)
{
    const struct tls_client_conf *conf = m->party->client;
    SSL_CTX *ssl = ctx_new(m, TLS_client_method(), conf->min);

    m->files->sets = arena_take_zero(&m->files->arena, sizeof m->files->sets[0]);
    if (ssl == NULL || m->files->sets == NULL) {
        SSL_CTX_free(ssl);
        tls_out_of_memory(m);
        return;
    }
    m->files->n_sets = 1;
    m->files->sets[0].ssl = m->ctx->ssl = ssl;
    if (conf->svid != NULL)
        tls_take_svid(m, conf->svid);
    set_backend_auth(m, ssl);
    if (conf->cert != NULL)
        tls_read_certificate(m, 0, conf->cert, conf->key, NULL);
    if (m->files->n_certs > 0 && !m->failed)
        (void)use_certificate(m, ssl, 0);
    make_alpn(m);
    if (m->files->alpn != NULL && SSL_CTX_set_alpn_protos(ssl, m->files->alpn, m->files->n_alpn) != 0)
        tls_out_of_memory(m);
    if (conf->svid != NULL) { /* as toward clients: each handshake verifies */
        (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
        return;
    }
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, stream_tls_keep_session);
}

/* ---- a context ---- */

static void files_free(struct tls_files *f)
{
    for (size_t i = 0; i < f->n_certs; i++) {
        X509_free(f->certs[i].x509);
        sk_X509_pop_free(f->certs[i].chain, X509_free);
        EVP_PKEY_free(f->certs[i].key);
        OPENSSL_free(f->certs[i].ocsp);
    }
    for (size_t i = 0; i < f->n_sets; i++)
        SSL_CTX_free(f->sets[i].ssl);
    tls_svids_unref(&f->svids);
    arena_free(&f->arena);
    free(f);
}

static void ctx_free(struct tls_ctx *c)
{
    files_free(c->files);
    c->magic = 0;
    free(c);
}

struct tls_ctx *tls_ctx_make(struct tls_party *p, tls_say_fn *say, void *arg)
{
    static _Atomic uint64_t made;
    size_t n_certs = p->is_server ? p->server->certificates.n : 1;
    struct tls_making m = { .party = p, .say = say, .arg = arg };

    m.ctx = calloc(1, sizeof *m.ctx);
    m.files = calloc(1, sizeof *m.files);
    if (m.ctx == NULL || m.files == NULL) {
        free(m.ctx);
        free(m.files);
        return NULL;
    }
    arena_init(&m.files->arena, NULL, 0);
    m.files->lists_until = INT64_MAX;
    *m.ctx = (struct tls_ctx){ .magic = TLS_CTX_MAGIC,
                               .id = atomic_fetch_add(&made, 1) + 1,
                               .is_server = p->is_server,
                               .files = m.files,
                               .client = p->client };
    atomic_store(&m.ctx->refs, 1);
    m.files->certs = arena_take_zero(&m.files->arena, (n_certs + 1) * sizeof m.files->certs[0]);
    ERR_clear_error();
    if (m.files->certs == NULL)
        tls_out_of_memory(&m);
    else if (p->is_server)
        make_server(&m);
    else
        make_client(&m);
    ERR_clear_error();
    if (!m.failed)
        return m.ctx;
    ctx_free(m.ctx);
    return NULL;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    MUST_BE(c, TLS_CTX_MAGIC);
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_ctx_unref(struct tls_ctx **cp)
{
    struct tls_ctx *c = *cp;

    *cp = NULL;
    if (c == NULL)
        return;
    MUST_BE(c, TLS_CTX_MAGIC);
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        ctx_free(c);
}
