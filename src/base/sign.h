/*
 * sign.h - HMAC-SHA256: what only those who know a secret can have written.  The door to libcrypto's digests.
 *
 * Source: RFC 2104, FIPS 180-4; the work is OpenSSL's.
 * Threads: a key is made and freed by one; any number may sign with it at once.
 * Memory: the key's own; libcrypto allocates for each signature, and what it can't allocate is -ERR_NOMEM.
 */
#ifndef BASE_SIGN_H
#define BASE_SIGN_H
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { SIGN_SIZE = 32 };

struct sign_key;
/* NULL: out of memory (or libcrypto has no SHA-256 to offer). */
struct sign_key *sign_key_new(struct slice secret);
void sign_key_free(struct sign_key **kp);

/* Of the parts, one directly behind the other: who signs texts of any length puts a byte between them that none of them holds. */
int sign(const struct sign_key *k, const struct slice *parts, size_t n, uint8_t out[SIGN_SIZE]);
/* Takes as long whatever the bytes are: how much of a forged signature is right can't be measured. */
bool sign_same(const void *a, const void *b, size_t n);

/* No signature: where a protocol wants it as a mark that a text was understood (RFC 6455 4.2.2). */
enum { SHA1_SIZE = 20 };
int sign_sha1(struct slice text, uint8_t out[SHA1_SIZE]);
#endif
