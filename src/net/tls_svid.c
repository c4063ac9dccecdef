/* tls_svid.c - certificates, keys and bundles in DER, and who is verified by which of them. */
#include "net/tls_svid.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "net/spiffe.h"
#include "net/svid_message.h"

enum {
    CHAIN_MOST = 16,
    BUNDLE_MOST = 512, /* certificates of a trust domain */
    HINT_MOST = 255,
};

static struct tls_svids *in_effect;
static uint64_t version;

/* ---- DER ---- */

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;

    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Certificates one behind the other, and nothing else.  NULL: they are not, or more than `most`, or memory is out. */
static STACK_OF(X509) * read_certs(struct slice der, int most)
{
    const unsigned char *p = (const unsigned char *)der.p, *end = p + der.n;
    STACK_OF(X509) *all = sk_X509_new_null();

    while (all != NULL && p < end) {
        X509 *x = d2i_X509(NULL, &p, end - p);
        if (x != NULL && sk_X509_num(all) < most && sk_X509_push(all, x) > 0)
            continue;
        X509_free(x);
        sk_X509_pop_free(all, X509_free);
        return NULL;
    }
    return all;
}

/* PKCS#8 without a pass phrase. */
static EVP_PKEY *read_key(struct slice der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.n);
    EVP_PKEY *key = info != NULL && p == (const unsigned char *)der.p + der.n ? EVP_PKCS82PKEY(info) : NULL;

    PKCS8_PRIV_KEY_INFO_free(info); /* wipes it */
    return key;
}

/* ---- what a certificate says ---- */

/* The one URI among its names, in *names, which the caller frees; empty if there is not exactly one. */
static struct slice only_uri(const X509 *x, GENERAL_NAMES **names)
{
    struct slice uri = { NULL, 0 };
    unsigned n = 0;

    *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; *names != NULL && i < sk_GENERAL_NAME_num(*names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(*names, i);
        if (g->type != GEN_URI)
            continue;
        n++;
        uri = slice_of((const char *)ASN1_STRING_get0_data(g->d.uniformResourceIdentifier),
                       (size_t)ASN1_STRING_length(g->d.uniformResourceIdentifier));
    }
    return n == 1 ? uri : slice_of(NULL, 0);
}

/* X509-SVID 5.2: not an authority's. */
static bool is_leaf(X509 *x)
{
    if (X509_check_ca(x) != 0)
        return false;
    return (X509_get_extension_flags(x) & EXFLAG_KUSAGE) == 0 || (X509_get_key_usage(x) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) == 0;
}

static bool bears_id(X509 *x, struct slice id)
{
    GENERAL_NAMES *names;
    bool same = slice_eq(only_uri(x, &names), id);

    GENERAL_NAMES_free(names);
    return same;
}

/* ---- a message ---- */

static const char no_memory[] = "";

static const char *check_fit(const struct tls_svid *s, const struct svid_entry *e)
{
    if (!is_leaf(s->cert))
        return "the certificate is an authority's";
    if (!bears_id(s->cert, e->id))
        return "the certificate does not bear the ID";
    if (X509_check_private_key(s->cert, s->key) != 1)
        return "the key is not that of the certificate";
    return s->not_after <= clock_wall() / CLOCK_S ? "the certificate has expired" : NULL;
}

static const char *take_svid(struct tls_svids *to, const struct svid_entry *e)
{
    struct tls_svid *s = &to->svids[to->n_svids];

    s->id = arena_copy(&to->arena, e->id).p;
    s->hint = arena_copy(&to->arena, e->hint).p;
    if (s->id == NULL || s->hint == NULL)
        return no_memory;
    to->n_svids++; /* what follows is freed with it */
    s->chain = read_certs(e->certs, CHAIN_MOST);
    if (s->chain == NULL)
        return "the certificate can't be read";
    s->cert = sk_X509_shift(s->chain);
    s->not_before = seconds_of(X509_get0_notBefore(s->cert));
    s->not_after = seconds_of(X509_get0_notAfter(s->cert));
    s->key = read_key(e->key);
    if (s->key == NULL)
        return "the key can't be read as PKCS#8 without a pass phrase";
    return check_fit(s, e);
}

static struct tls_bundle *find_bundle(const struct tls_svids *s, struct slice domain)
{
    for (size_t i = 0; i < s->n_bundles; i++)
        if (slice_eq(s->bundles[i].domain, domain))
            return &s->bundles[i];
    return NULL;
}

/* Of several for one domain the first counts: our own comes before federated ones. */
static const char *take_bundle(struct tls_svids *to, struct slice domain, struct slice der)
{
    struct tls_bundle *b = &to->bundles[to->n_bundles];

    if (find_bundle(to, domain) != NULL)
        return NULL;
    b->domain = arena_copy(&to->arena, domain);
    if (b->domain.p == NULL)
        return no_memory;
    b->certs = read_certs(der, BUNDLE_MOST);
    if (b->certs == NULL)
        return "the bundle can't be read";
    to->n_bundles++;
    return NULL;
}

static const char *take_crl(struct tls_svids *to, struct slice der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);

    if (to->crls == NULL)
        to->crls = sk_X509_CRL_new_null();
    if (crl != NULL && p == (const unsigned char *)der.p + der.n && to->crls != NULL && sk_X509_CRL_push(to->crls, crl) > 0)
        return NULL;
    X509_CRL_free(crl);
    return "it can't be read";
}

static int refuse(char *why, size_t size, const char *what, struct slice which, const char *wrong)
{
    if (wrong == no_memory)
        return -ERR_NOMEM;
    (void)snprintf(why, size, "%s%.*s: %s", what, which.n > 300 ? 300 : (int)which.n, which.n > 0 ? which.p : "", wrong);
    return -ERR_INVALID;
}

static int take_all(struct tls_svids *to, const struct svid_message *m, char *why, size_t size)
{
    const char *wrong;

    for (size_t i = 0; i < m->n_svids; i++) {
        const struct svid_entry *e = &m->svids[i];
        wrong = take_svid(to, e);
        if (wrong == NULL)
            wrong = take_bundle(to, e->domain, e->bundle);
        if (wrong != NULL)
            return refuse(why, size, "identity ", e->id, wrong);
    }
    for (size_t i = 0; i < m->n_bundles; i++) {
        wrong = take_bundle(to, m->bundles[i].domain, m->bundles[i].certs);
        if (wrong != NULL)
            return refuse(why, size, "federated bundle of ", m->bundles[i].domain, wrong);
    }
    for (size_t i = 0; i < m->n_crls; i++) {
        wrong = take_crl(to, m->crls[i]);
        if (wrong != NULL)
            return refuse(why, size, "a revocation list", slice_of(NULL, 0), wrong);
    }
    return 0;
}

static struct tls_svids *svids_new(const struct svid_message *m)
{
    struct tls_svids *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->magic = TLS_SVIDS_MAGIC;
    atomic_store(&s->refs, 1);
    arena_init(&s->arena, NULL, 0);
    s->svids = arena_take_zero(&s->arena, m->n_svids * sizeof *s->svids);
    s->bundles = arena_take_zero(&s->arena, (m->n_svids + m->n_bundles) * sizeof *s->bundles);
    if (s->svids == NULL || s->bundles == NULL)
        tls_svids_unref(&s);
    return s;
}

int tls_svids_take(struct slice message, char *why, size_t size)
{
    struct svid_message *m = malloc(sizeof *m);
    const char *wrong = m == NULL ? NULL : svid_message_read(message, m);
    struct tls_svids *s = NULL;
    int rc = -ERR_NOMEM;

    ERR_clear_error();
    if (wrong != NULL)
        rc = refuse(why, size, "the message", slice_of(NULL, 0), wrong);
    else if (m != NULL)
        s = svids_new(m);
    if (s != NULL)
        rc = take_all(s, m, why, size);
    if (rc == 0) {
        struct tls_svids *old = in_effect;
        in_effect = s;
        s = old;
        version++;
    }
    tls_svids_unref(&s);
    ERR_clear_error();
    free(m);
    return rc;
}

uint64_t tls_svids_version(void) { return version; }
struct tls_svids *tls_svids_now(void) { return in_effect; }
void tls_svids_forget(void) { tls_svids_unref(&in_effect); }

struct tls_svids *tls_svids_ref(struct tls_svids *s)
{
    MUST_BE(s, TLS_SVIDS_MAGIC);
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void svids_free(struct tls_svids *s)
{
    for (size_t i = 0; i < s->n_svids; i++) {
        X509_free(s->svids[i].cert);
        sk_X509_pop_free(s->svids[i].chain, X509_free);
        EVP_PKEY_free(s->svids[i].key);
    }
    for (size_t i = 0; i < s->n_bundles; i++)
        sk_X509_pop_free(s->bundles[i].certs, X509_free);
    sk_X509_CRL_pop_free(s->crls, X509_CRL_free);
    arena_free(&s->arena);
    s->magic = 0;
    free(s);
}

void tls_svids_unref(struct tls_svids **sp)
{
    struct tls_svids *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    MUST_BE(s, TLS_SVIDS_MAGIC);
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        svids_free(s);
}

/* ---- which one ---- */

const char *tls_svid_wanted_wrong(const char *wanted)
{
    struct slice text = slice_str(wanted);
    struct spiffe_id id;

    if (slice_starts(text, SLICE("spiffe://"))) {
        const char *wrong = spiffe_parse(text, &id);
        return wrong != NULL ? wrong : id.path.n == 0 ? "it is a trust domain's, and no workload's" : NULL;
    }
    if (text.n == 0 || text.n > HINT_MOST)
        return "write \"default\", the SPIFFE ID, or its hint";
    return NULL;
}

const struct tls_svid *tls_svids_find(const struct tls_svids *s, const char *wanted)
{
    bool by_id = strncmp(wanted, "spiffe://", 9) == 0;

    MUST_BE(s, TLS_SVIDS_MAGIC);
    for (size_t i = 0; i < s->n_svids; i++)
        if (strcmp(by_id ? s->svids[i].id : s->svids[i].hint, wanted) == 0)
            return &s->svids[i];
    return strcmp(wanted, TLS_SVID_DEFAULT) == 0 ? &s->svids[0] : NULL;
}

/* ---- others ---- */

/* An authority for which no list was given has revoked nothing. */
static int on_verify(int good, X509_STORE_CTX *ctx)
{
    if (good || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNABLE_TO_GET_CRL)
        return good;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* The bundle that decides about it; NULL, and *error. */
static const struct tls_bundle *bundle_for(const struct tls_svids *s, X509 *x, int *error)
{
    const struct tls_bundle *b = NULL;
    GENERAL_NAMES *names;
    struct spiffe_id id;

    *error = X509_V_ERR_APPLICATION_VERIFICATION;
    if (spiffe_parse(only_uri(x, &names), &id) == NULL && id.path.n > 0 && is_leaf(x)) {
        *error = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
        b = find_bundle(s, id.domain);
    }
    GENERAL_NAMES_free(names);
    return b;
}

static int verify(X509_STORE_CTX *ctx, void *arg)
{
    const struct tls_svids *s = arg;
    X509 *x = X509_STORE_CTX_get0_cert(ctx);
    int error = X509_V_ERR_UNSPECIFIED;
    const struct tls_bundle *b = x == NULL ? NULL : bundle_for(s, x, &error);

    if (b == NULL) {
        X509_STORE_CTX_set_error(ctx, error);
        return 0;
    }
    X509_STORE_CTX_set0_trusted_stack(ctx, b->certs);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN); /* an authority of a bundle need not be a root */
    if (s->crls != NULL) {
        X509_STORE_CTX_set0_crls(ctx, s->crls);
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
        X509_STORE_CTX_set_verify_cb(ctx, on_verify);
    }
    return X509_verify_cert(ctx) == 1;
}

void tls_svids_verify_by(struct tls_svids *s, struct ssl_ctx_st *ssl)
{
    MUST_BE(s, TLS_SVIDS_MAGIC);
    SSL_CTX_set_cert_verify_callback(ssl, verify, s);
}
