/* test_tls_svid.c - identities in effect: taken whole or not at all, and found by what is wanted. */
#include <check.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/protobuf.h"
#include "net/svid_message.h"
#include "net/tls_ctx.h"
#include "net/tls_svid.h"

Suite *tls_svid_suite(void);

static char why[400];

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    ck_assert_ptr_nonnull(key);
    return key;
}

/* Signed by itself; `san` as OpenSSL's files write it, NULL: none. */
static X509 *new_cert(EVP_PKEY *key, const char *san, long from_s, long to_s)
{
    X509 *x = X509_new();
    X509_EXTENSION *e = san == NULL ? NULL : X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);

    ck_assert_ptr_nonnull(x);
    ck_assert_int_eq(X509_set_version(x, 2), 1);
    ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
    ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notBefore(x), from_s));
    ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notAfter(x), to_s));
    ck_assert_int_eq(X509_set_pubkey(x, key), 1);
    ck_assert(e == NULL || X509_add_ext(x, e, -1) == 1);
    ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
    X509_EXTENSION_free(e);
    return x;
}

static void add(struct buf *to, uint32_t number, struct slice bytes)
{
    char head[PB_HEAD_MOST];

    buf_append(to, head, pb_put_head(head, number, bytes.n));
    buf_add_slice(to, bytes);
}

static void add_der_cert(struct buf *to, uint32_t number, X509 *x)
{
    unsigned char *der = NULL;
    int n = i2d_X509(x, &der);

    ck_assert_int_gt(n, 0);
    add(to, number, slice_of((char *)der, (size_t)n));
    OPENSSL_free(der);
}

static void add_der_key(struct buf *to, uint32_t number, EVP_PKEY *key)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    unsigned char *der = NULL;
    int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der);

    ck_assert_int_gt(n, 0);
    add(to, number, slice_of((char *)der, (size_t)n));
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
}

/* An identity whose certificate is for `san` and lives from now on for so many seconds. */
static void add_svid(struct buf *to, const char *id, const char *san, const char *hint, long seconds)
{
    EVP_PKEY *key = new_key();
    X509 *x = new_cert(key, san, seconds - 3600, seconds);
    struct buf svid = { 0 };

    add(&svid, 1, slice_str(id));
    add_der_cert(&svid, 2, x);
    add_der_key(&svid, 3, key);
    add_der_cert(&svid, 4, x);
    add(&svid, 5, slice_str(hint));
    add(to, 1, buf_slice(&svid));
    buf_free(&svid);
    X509_free(x);
    EVP_PKEY_free(key);
}

#define WEB "spiffe://prod.example/web"
#define API "spiffe://prod.example/api"

static int take(struct buf *message)
{
    int rc;

    why[0] = '\0';
    rc = tls_svids_take(buf_slice(message), why, sizeof why);
    buf_free(message);
    return rc;
}

static void take_two(void)
{
    struct buf m = { 0 };

    add_svid(&m, WEB, "URI:" WEB, "", 1800);
    add_svid(&m, API, "URI:" API ",DNS:api.example", "inner", 1800);
    ck_assert_int_eq(take(&m), 0);
}

static void forget(void) { tls_svids_forget(); }

START_TEST(what_was_taken_is_found_by_id_by_hint_and_by_default)
{
    const struct tls_svids *s;

    ck_assert_ptr_null(tls_svids_now());
    take_two();
    s = tls_svids_now();
    ck_assert_uint_eq(s->n_svids, 2);
    ck_assert_uint_eq(s->n_bundles, 1);
    ck_assert_str_eq(tls_svids_find(s, "default")->id, WEB);
    ck_assert_str_eq(tls_svids_find(s, API)->id, API);
    ck_assert_str_eq(tls_svids_find(s, "inner")->id, API);
    ck_assert_ptr_null(tls_svids_find(s, "outer"));
    ck_assert_ptr_null(tls_svids_find(s, "spiffe://prod.example/db"));
    ck_assert_int_eq((int)(s->svids[0].not_after - s->svids[0].not_before), 3600);
}
END_TEST

START_TEST(what_can_not_be_taken_leaves_what_was_there)
{
    uint64_t version;
    struct buf m = { 0 };

    take_two();
    version = tls_svids_version();
    add_svid(&m, WEB, "URI:" API, "", 1800);
    ck_assert_int_eq(take(&m), -ERR_INVALID);
    ck_assert_str_eq(why, "identity " WEB ": the certificate does not bear the ID");
    add_svid(&m, WEB, NULL, "", 1800);
    ck_assert_int_eq(take(&m), -ERR_INVALID);
    add_svid(&m, WEB, "URI:" WEB ",URI:" API, "", 1800);
    ck_assert_int_eq(take(&m), -ERR_INVALID);
    add_svid(&m, WEB, "URI:" WEB, "", -60);
    ck_assert_int_eq(take(&m), -ERR_INVALID);
    ck_assert_str_eq(why, "identity " WEB ": the certificate has expired");
    add_svid(&m, WEB, "URI:" WEB, "", 1800);
    add_svid(&m, API, "URI:" WEB, "", 1800); /* the second spoils the first */
    ck_assert_int_eq(take(&m), -ERR_INVALID);
    ck_assert_uint_eq(tls_svids_version(), version);
    ck_assert_str_eq(tls_svids_find(tls_svids_now(), "inner")->id, API);
}
END_TEST

START_TEST(who_holds_a_reference_keeps_what_was_before)
{
    struct tls_svids *old;

    take_two();
    old = tls_svids_ref(tls_svids_now());
    take_two();
    ck_assert_ptr_ne(old, tls_svids_now());
    ck_assert_str_eq(tls_svids_find(old, API)->id, API);
    tls_svids_unref(&old);
    ck_assert_ptr_null(old);
}
END_TEST

START_TEST(what_is_wanted_is_default_an_id_or_a_hint)
{
    char longest[257];

    memset(longest, 'x', 256);
    longest[256] = '\0';
    ck_assert_ptr_null(tls_svid_wanted_wrong("default"));
    ck_assert_ptr_null(tls_svid_wanted_wrong(WEB));
    ck_assert_ptr_null(tls_svid_wanted_wrong("inner"));
    ck_assert_ptr_nonnull(tls_svid_wanted_wrong(""));
    ck_assert_ptr_nonnull(tls_svid_wanted_wrong("spiffe://prod.example"));
    ck_assert_ptr_nonnull(tls_svid_wanted_wrong("spiffe://prod.example/*"));
    ck_assert_ptr_nonnull(tls_svid_wanted_wrong(longest));
}
END_TEST

static void on_problem(void *arg, const struct tls_problem *p) { *(bool *)arg |= p->fatal; }

START_TEST(a_party_waits_for_its_identity_and_is_stale_with_each_new_message)
{
    struct tls_server_conf conf = { .svid = "inner", .client_auth = TLS_AUTH_REQUIRED };
    struct tls_certificate_info c;
    struct tls_ctx *old;
    bool fatal = false;
    struct tls_party *p = tls_server_new("unit", &conf, NULL, on_problem, &fatal);

    ck_assert(p != NULL && !fatal);
    ck_assert(tls_party_now(p)->waits && !tls_party_is_stale(p) && !tls_party_certificate(p, 0, &c));
    take_two();
    ck_assert(tls_party_is_stale(p));
    old = tls_party_renew(p, on_problem, &fatal);
    ck_assert_ptr_nonnull(old);
    tls_ctx_unref(&old);
    ck_assert(!tls_party_now(p)->waits && !tls_party_is_stale(p));
    ck_assert(tls_party_certificate(p, 0, &c));
    ck_assert_str_eq(c.path, API);
    ck_assert_uint_eq(c.n_names, 1);
    {
        struct buf m = { 0 };
        add_svid(&m, WEB, "URI:" WEB, "", 1800); /* it is not the one that is wanted */
        ck_assert_int_eq(take(&m), 0);
    }
    ck_assert(tls_party_is_stale(p));
    ck_assert_ptr_null(tls_party_renew(p, on_problem, &fatal));
    ck_assert(fatal && !tls_party_is_stale(p) && !tls_party_now(p)->waits);
    tls_party_free(&p);
}
END_TEST

Suite *tls_svid_suite(void)
{
    Suite *s = suite_create("tls_svid");
    TCase *t = tcase_create("tls_svid");

    tcase_add_checked_fixture(t, NULL, forget);
    tcase_add_test(t, what_was_taken_is_found_by_id_by_hint_and_by_default);
    tcase_add_test(t, what_can_not_be_taken_leaves_what_was_there);
    tcase_add_test(t, who_holds_a_reference_keeps_what_was_before);
    tcase_add_test(t, what_is_wanted_is_default_an_id_or_a_hint);
    tcase_add_test(t, a_party_waits_for_its_identity_and_is_stale_with_each_new_message);
    suite_add_tcase(s, t);
    return s;
}
