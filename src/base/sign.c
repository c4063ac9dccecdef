/* sign.c - HMAC-SHA256 by OpenSSL's libcrypto. */
#include "base/sign.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

#include "base/err.h"

/* A context that knows the key and has read nothing; each signature works on a copy, so that no thread waits for another. */
struct sign_key {
    EVP_MAC_CTX *keyed;
};

static EVP_MAC_CTX *keyed_new(struct slice secret)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);

    EVP_MAC_free(hmac); /* the context holds a reference */
    if (ctx != NULL && EVP_MAC_init(ctx, (const unsigned char *)secret.p, secret.n, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

struct sign_key *sign_key_new(struct slice secret)
{
    struct sign_key *k = malloc(sizeof *k);

    if (k == NULL)
        return NULL;
    k->keyed = keyed_new(secret);
    if (k->keyed == NULL)
        sign_key_free(&k);
    return k;
}

void sign_key_free(struct sign_key **kp)
{
    struct sign_key *k = *kp;

    *kp = NULL;
    if (k == NULL)
        return;
    EVP_MAC_CTX_free(k->keyed); /* which wipes the key */
    free(k);
}

int sign(const struct sign_key *k, const struct slice *parts, size_t n, uint8_t out[SIGN_SIZE])
{
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(k->keyed);
    bool done = ctx != NULL;
    size_t size = 0;

    for (size_t i = 0; i < n && done; i++)
        done = parts[i].n == 0 || EVP_MAC_update(ctx, (const unsigned char *)parts[i].p, parts[i].n) == 1;
    done = done && EVP_MAC_final(ctx, out, &size, SIGN_SIZE) == 1 && size == SIGN_SIZE;
    EVP_MAC_CTX_free(ctx);
    return done ? 0 : -ERR_NOMEM;
}

bool sign_same(const void *a, const void *b, size_t n) { return CRYPTO_memcmp(a, b, n) == 0; }

int sign_sha1(struct slice text, uint8_t out[SHA1_SIZE])
{
    return EVP_Digest(text.p, text.n, out, NULL, EVP_sha1(), NULL) == 1 ? 0 : -ERR_NOMEM;
}
