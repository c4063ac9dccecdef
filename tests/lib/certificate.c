/* certificate.c - made by OpenSSL, without its program. */
#include "tests/lib/certificate.h"

#include <check.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char certificate_path[64], certificate_key_path[64];
static char folder[] = "/tmp/weir-tls-XXXXXX";

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

void certificate_make(const char *san)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    FILE *f;

    ck_assert(key != NULL && x != NULL && name != NULL);
    ck_assert_int_eq(X509_set_version(x, 2), 1);
    ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(x), 4711), 1);
    ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notBefore(x), -60));
    ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notAfter(x), 100L * 24 * 3600));
    ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"unit, test", -1, -1, 0), 1);
    ck_assert_int_eq(X509_set_subject_name(x, name), 1);
    ck_assert_int_eq(X509_set_issuer_name(x, name), 1);
    ck_assert_int_eq(X509_set_pubkey(x, key), 1);
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x, NID_subject_alt_name, san);
    ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
    f = fopen(certificate_path, "we");
    ck_assert(f != NULL && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    f = fopen(certificate_key_path, "we");
    ck_assert(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    X509_NAME_free(name);
    X509_free(x);
    EVP_PKEY_free(key);
}

void certificate_begin(const char *sans)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(certificate_path, sizeof certificate_path, "%s/cert.pem", folder);
    (void)snprintf(certificate_key_path, sizeof certificate_key_path, "%s/key.pem", folder);
    certificate_make(sans);
}

void certificate_end(void)
{
    (void)unlink(certificate_path);
    (void)unlink(certificate_key_path);
    (void)rmdir(folder);
}
