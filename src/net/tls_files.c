/* tls_files.c - certificates, keys, OCSP responses and authorities, from files or the Workload API; and what is wrong with them. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "net/tls_parts.h"

enum { FILE_MOST = 4 * 1024 * 1024, EXPIRY_WARNING_DAYS = 14 };
#define DAY ((int64_t)24 * 3600)

/* ---- saying what is wrong ---- */

void tls_say(struct tls_making *m, bool fatal, const char *key, size_t index, const char *fmt, ...)
{
    char text[512];
    struct tls_problem p = { fatal, key, index, text };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    m->failed |= fatal;
    if (m->say != NULL)
        m->say(m->arg, &p);
}

const char *tls_openssl_why(void)
{
    unsigned long e = ERR_peek_error();
    const char *text = ERR_reason_error_string(e);

    ERR_clear_error();
    return text != NULL ? text : "no reason given";
}

void tls_out_of_memory(struct tls_making *m) { m->failed = true; }

/* ---- files ---- */

char *tls_read_whole(const char *path, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error;
    struct stat st;
    char *text = NULL;
    size_t have = 0;

    if (fd < 0)
        return NULL;
    errno = EINVAL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        goto out;
    errno = EFBIG;
    if (st.st_size > FILE_MOST)
        goto out;
    text = malloc((size_t)st.st_size + 1);
    while (text != NULL && have < (size_t)st.st_size) {
        ssize_t got = read(fd, text + have, (size_t)st.st_size - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error = errno;
            OPENSSL_cleanse(text, have);
            free(text);
            text = NULL;
            errno = error;
        }
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    *n = have;
out:
    error = errno;
    (void)close(fd);
    errno = error;
    return text;
}

static void forget(char *text, size_t n)
{
    if (text != NULL)
        OPENSSL_cleanse(text, n);
    free(text);
}

/* A file as a BIO over its bytes; NULL: said. */
static BIO *open_file(struct tls_making *m, const char *key, size_t index, const char *path, char **text, size_t *n)
{
    BIO *b = NULL;

    *text = tls_read_whole(path, n);
    if (*text == NULL)
        tls_say(m, true, key, index, "can't read %s: %s", path, errno == EINVAL ? "not a regular file" : strerror(errno));
    else
        b = BIO_new_mem_buf(*text, (int)*n);
    if (*text != NULL && b == NULL)
        tls_out_of_memory(m);
    return b;
}

/* ---- a certificate ---- */

static enum key_kind kind_of(EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS: return KEY_RSA;
    case EVP_PKEY_EC: return KEY_EC;
    default: return KEY_OTHER;
    }
}

/* Whoever is asked for a pass phrase has none: files of a daemon are opened by nobody. */
static int no_pass_phrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

static bool read_certificates(struct tls_making *m, struct tls_certificate *c, size_t index, bool *opened)
{
    char *text;
    size_t n;
    BIO *b = open_file(m, "cert", index, c->path, &text, &n);
    X509 *x;

    *opened = b != NULL;
    c->chain = sk_X509_new_null();
    while (b != NULL && c->chain != NULL && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
        if (c->x509 == NULL)
            c->x509 = x;
        else if (sk_X509_push(c->chain, x) == 0)
            X509_free(x);
    }
    if (b != NULL && c->x509 == NULL)
        tls_say(m, true, "cert", index, "%s holds no certificate in PEM (%s)", c->path, tls_openssl_why());
    else if (b != NULL && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        tls_say(m, true, "cert", index, "%s: certificate %d is malformed (%s)", c->path, sk_X509_num(c->chain) + 2,
                tls_openssl_why());
    ERR_clear_error();
    BIO_free(b);
    forget(text, text != NULL ? n : 0);
    return c->x509 != NULL;
}

static bool read_key(struct tls_making *m, struct tls_certificate *c, size_t index, const char *path)
{
    const char *key = path == c->path ? "cert" : "key";
    bool locked = false;
    char *text;
    size_t n;
    BIO *b = open_file(m, key, index, path, &text, &n);

    if (b != NULL) {
        c->key = PEM_read_bio_PrivateKey(b, NULL, no_pass_phrase, &locked);
        if (c->key == NULL && locked)
            tls_say(m, true, key, index,
                    "the key in %s is locked by a pass phrase; store it without one, readable for the proxy alone", path);
        else if (c->key == NULL)
            tls_say(m, true, key, index, "%s holds no private key in PEM%s", path,
                    path == c->path ? "; write `key` if it is in another file" : "");
        ERR_clear_error();
    }
    BIO_free(b);
    forget(text, text != NULL ? n : 0);
    return c->key != NULL;
}

int64_t tls_seconds_of(const ASN1_TIME *t)
{
    struct tm tm;

    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int64_t tls_now_seconds(void) { return clock_wall() / CLOCK_S; }

static void check_dates(struct tls_making *m, const struct tls_certificate *c, size_t index)
{
    int64_t now = tls_now_seconds(), from = tls_seconds_of(X509_get0_notBefore(c->x509));

    if (c->not_after <= now)
        tls_say(m, false, "cert", index, "the certificate in %s has expired, %lld days ago", c->path,
                (long long)(now - c->not_after) / DAY);
    else if (from > now)
        tls_say(m, false, "cert", index, "the certificate in %s is not valid yet, for another %lld hours", c->path,
                (long long)(from - now) / 3600 + 1);
    else if (c->not_after - now < EXPIRY_WARNING_DAYS * DAY)
        tls_say(m, false, "cert", index, "the certificate in %s expires in %lld days", c->path,
                (long long)((c->not_after - now) / DAY));
}

/* A name as a host is compared: small letters, no control bytes inside. */
static const char *lower_name(struct tls_making *m, const unsigned char *p, int n)
{
    char *text;

    if (n <= 0 || n > 253)
        return NULL;
    text = arena_take(&m->files->arena, (size_t)n + 1);
    if (text == NULL) {
        tls_out_of_memory(m);
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f)
            return NULL;
        text[i] = (char)slice_lower((char)p[i]);
    }
    text[n] = '\0';
    return text;
}

static void add_name(struct tls_making *m, struct tls_certificate *c, const ASN1_STRING *s)
{
    const char *text = lower_name(m, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));

    if (text != NULL)
        c->names[c->n_names++] = text;
}

/* DNS names; the common name only where there are none (RFC 6125 6.4.4). */
static void read_names(struct tls_making *m, struct tls_certificate *c)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(c->x509, NID_subject_alt_name, NULL, NULL);
    X509_NAME *subject = X509_get_subject_name(c->x509);
    int n = alt == NULL ? 0 : sk_GENERAL_NAME_num(alt), cn = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    c->names = arena_take(&m->files->arena, ((size_t)n + 1) * sizeof *c->names);
    if (c->names == NULL) {
        tls_out_of_memory(m);
        GENERAL_NAMES_free(alt);
        return;
    }
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);
        if (g->type == GEN_DNS)
            add_name(m, c, g->d.dNSName);
    }
    if (c->n_names == 0 && cn >= 0)
        add_name(m, c, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, cn)));
    GENERAL_NAMES_free(alt);
    ERR_clear_error();
}

/* ---- a stapled answer ---- */

static int64_t ocsp_until(const unsigned char *der, long n, const char **wrong)
{
    const unsigned char *p = der;
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, n);
    OCSP_BASICRESP *basic = r != NULL && OCSP_response_status(r) == OCSP_RESPONSE_STATUS_SUCCESSFUL ? OCSP_response_get1_basic(r)
                                                                                                    : NULL;
    OCSP_SINGLERESP *one = basic != NULL ? OCSP_resp_get0(basic, 0) : NULL;
    ASN1_GENERALIZEDTIME *next = NULL;
    int64_t until = 0;

    *wrong = r == NULL ? "it is no OCSP response in DER" : one == NULL ? "it is an answer without a status" : NULL;
    if (one != NULL) {
        (void)OCSP_single_get0_status(one, NULL, NULL, NULL, &next);
        until = next == NULL ? INT64_MAX : tls_seconds_of(next);
        if (until <= tls_now_seconds())
            *wrong = "it is out of date";
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    ERR_clear_error();
    return until;
}

/* It may not be there, or not be good any more: then nothing is sent along, which is no fault of the certificate's. */
static void read_ocsp(struct tls_making *m, struct tls_certificate *c, size_t index, const char *path)
{
    const char *wrong = NULL;
    size_t n = 0;
    char *der = tls_read_whole(path, &n);

    if (der == NULL) {
        tls_say(m, false, "ocsp", index, "can't read %s: %s; nothing is stapled", path, strerror(errno));
        return;
    }
    c->ocsp_until = ocsp_until((const unsigned char *)der, (long)n, &wrong);
    if (wrong != NULL)
        tls_say(m, false, "ocsp", index, "%s is not stapled: %s", path, wrong);
    else
        c->ocsp = OPENSSL_memdup(der, n);
    c->n_ocsp = c->ocsp != NULL ? (long)n : 0;
    free(der);
}

int tls_staple(SSL *ssl, void *arg)
{
    const struct tls_files *f = arg;
    const X509 *served = SSL_get_certificate(ssl);

    for (size_t i = 0; i < f->n_certs; i++) {
        const struct tls_certificate *c = &f->certs[i];
        unsigned char *copy;
        if (c->x509 != served || c->ocsp == NULL || c->ocsp_until <= tls_now_seconds())
            continue;
        copy = OPENSSL_memdup(c->ocsp, (size_t)c->n_ocsp);
        if (copy == NULL)
            return SSL_TLSEXT_ERR_NOACK;
        (void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, c->n_ocsp); /* takes it over */
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

void tls_read_certificate(struct tls_making *m, size_t i, const char *cert, const char *key, const char *ocsp)
{
    struct tls_certificate *c = &m->files->certs[i];
    size_t index = m->party->is_server ? i : TLS_NO_INDEX;
    bool opened, has_cert, has_key;

    c->path = cert;
    has_cert = read_certificates(m, c, index, &opened);
    has_key = (key != NULL || opened) && read_key(m, c, index, key != NULL ? key : c->path); /* one file: said once */
    m->files->n_certs = i + 1;
    if (has_cert) {
        c->not_after = tls_seconds_of(X509_get0_notAfter(c->x509));
        check_dates(m, c, index);
        read_names(m, c);
    }
    if (has_cert && has_key) {
        c->kind = kind_of(c->key);
        if (X509_check_private_key(c->x509, c->key) != 1)
            tls_say(m, true, key != NULL ? "key" : "cert", index, "the key in %s is not that of the certificate in %s",
                    key != NULL ? key : cert, cert);
        ERR_clear_error();
    }
    if (ocsp != NULL)
        read_ocsp(m, c, index, ocsp);
}

/* ---- an identity of the Workload API ---- */

static void use_svid(struct tls_making *m, const struct tls_svid *s)
{
    struct tls_certificate *c = &m->files->certs[0];

    c->path = arena_strdup(&m->files->arena, s->id);
    c->chain = X509_chain_up_ref(s->chain);
    if (c->path == NULL || c->chain == NULL || X509_up_ref(s->cert) != 1) {
        sk_X509_pop_free(c->chain, X509_free);
        c->chain = NULL;
        tls_out_of_memory(m);
        return;
    }
    c->x509 = s->cert;
    m->files->n_certs = 1;
    if (EVP_PKEY_up_ref(s->key) == 1)
        c->key = s->key;
    else
        tls_out_of_memory(m);
    c->kind = kind_of(s->key);
    c->not_after = s->not_after;
    read_names(m, c);
}

void tls_take_svid(struct tls_making *m, const char *wanted)
{
    struct tls_svids *all = tls_svids_now();
    const struct tls_svid *s = all == NULL ? NULL : tls_svids_find(all, wanted);

    m->ctx->waits = all == NULL;
    if (all == NULL)
        return;
    m->files->svids = tls_svids_ref(all);
    if (s == NULL)
        tls_say(m, true, "svid", TLS_NO_INDEX, "the Workload API gives us no identity \"%s\"; the first that it gives is %s",
                wanted, all->svids[0].id);
    else
        use_svid(m, s);
}

/* ---- authorities ---- */

/* When a revocation list is out of date. */
static int64_t list_ends(struct tls_making *m, const X509_CRL *crl)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    int64_t end = next == NULL ? INT64_MAX : tls_seconds_of(next);

    if (end < m->files->lists_until)
        m->files->lists_until = end;
    return end;
}

/* PEM certificates or revocation lists of a file, each given to `add`. */
static void read_store(struct tls_making *m, X509_STORE *store, const char *key, const char *path, bool lists,
                       STACK_OF(X509_NAME) * subjects)
{
    char *text;
    size_t n, count = 0;
    BIO *b = open_file(m, key, TLS_NO_INDEX, path, &text, &n);

    while (b != NULL) {
        X509 *x = lists ? NULL : PEM_read_bio_X509_AUX(b, NULL, NULL, NULL);
        X509_CRL *crl = lists ? PEM_read_bio_X509_CRL(b, NULL, NULL, NULL) : NULL;
        X509_NAME *subject = x != NULL && subjects != NULL ? X509_NAME_dup(X509_get_subject_name(x)) : NULL;
        if (x == NULL && crl == NULL)
            break;
        count++;
        if ((lists ? X509_STORE_add_crl(store, crl) : X509_STORE_add_cert(store, x)) != 1)
            tls_out_of_memory(m);
        if (crl != NULL && list_ends(m, crl) <= tls_now_seconds())
            tls_say(m, false, key, TLS_NO_INDEX, "a revocation list in %s is out of date: what it is for can't be verified",
                    path);
        if (subject != NULL && sk_X509_NAME_push(subjects, subject) == 0)
            X509_NAME_free(subject);
        X509_free(x);
        X509_CRL_free(crl);
    }
    if (b != NULL && (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
        tls_say(m, true, key, TLS_NO_INDEX, "%s: %s %zu is %s", path, lists ? "revocation list" : "certificate", count + 1,
                count == 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? "not there: it holds none in PEM"
                                                                                           : "malformed");
    ERR_clear_error();
    BIO_free(b);
    forget(text, text != NULL ? n : 0);
}

X509_STORE *tls_make_store(struct tls_making *m, const char *ca_key, const char *ca, const char *crl_key, const char *crl,
                           STACK_OF(X509_NAME) * subjects)
{
    X509_STORE *store = X509_STORE_new();

    if (store == NULL) {
        tls_out_of_memory(m);
        return NULL;
    }
    if (ca != NULL)
        read_store(m, store, ca_key, ca, false, subjects);
    else if (X509_STORE_set_default_paths(store) != 1)
        tls_say(m, false, ca_key, TLS_NO_INDEX, "the system's authorities can't be read (%s)", tls_openssl_why());
    if (crl != NULL) {
        read_store(m, store, crl_key, crl, true, NULL);
        (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    return store;
}
