/*
 * tls_svid.h - identities that the SPIFFE Workload API has given us, and the authorities that others' are verified by.
 *
 * A `tls_svids` is what one message said (svid_message.h), read by OpenSSL: certificates with their keys, the bundle of each trust
 * domain, revocation lists.  The last good one is in effect for all who make a context from now on (tls_ctx.h).
 *
 * Promise: a message whose certificates, keys or lists can't be read, or don't fit together, changes nothing.
 * A peer is verified by the bundle of the trust domain that its own SPIFFE ID names, and by no other; it must be a workload's
 * (one URI among its names, a path in the ID, no authority's rights), and not be on a list that was given for its authority.
 *
 * Sources: X509-SVID 5, the SPIFFE Workload API 4.6 and 5.2.
 * Threads: taken and found on the main thread; what was made is constant, and verifying runs on any.
 * Memory: counted.  Keys are OpenSSL's, which wipes them.
 */
#ifndef NET_TLS_SVID_H
#define NET_TLS_SVID_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct evp_pkey_st;
struct ssl_ctx_st;
struct stack_st_X509;
struct stack_st_X509_CRL;
struct x509_st;

struct tls_svid {
    const char *id;   /* "spiffe://prod.example/web" */
    const char *hint; /* "" if it has none */
    struct x509_st *cert;
    struct stack_st_X509 *chain; /* behind it, toward its authority */
    struct evp_pkey_st *key;
    int64_t not_before, not_after; /* seconds since 1970 */
};

struct tls_bundle {
    struct slice domain;
    struct stack_st_X509 *certs;
};

#define TLS_SVIDS_MAGIC 0x54535644u
struct tls_svids {
    uint32_t magic;
    _Atomic uint32_t refs;
    struct arena arena;
    size_t n_svids, n_bundles;
    struct tls_svid *svids;         /* the first is the default */
    struct tls_bundle *bundles;     /* one a trust domain */
    struct stack_st_X509_CRL *crls; /* NULL: none */
};

/* Reads a message and puts it into effect.  -ERR_INVALID: why not, for people; -ERR_NOMEM.  Needs more stack than a fiber has. */
int tls_svids_take(struct slice message, char *why, size_t size);
/* Changes with each message that was taken; 0 before the first. */
uint64_t tls_svids_version(void);
/* Those in effect, borrowed; NULL: none has come yet. */
struct tls_svids *tls_svids_now(void);
/* The process ends. */
void tls_svids_forget(void);

struct tls_svids *tls_svids_ref(struct tls_svids *s);
void tls_svids_unref(struct tls_svids **sp);

#define TLS_SVID_DEFAULT "default"
/* NULL: such a text says which identity is meant: "default", a SPIFFE ID, or a hint; else a sentence. */
const char *tls_svid_wanted_wrong(const char *wanted);
/* NULL: there is none like that. */
const struct tls_svid *tls_svids_find(const struct tls_svids *s, const char *wanted);
/* Who connects by `ssl` is verified by these, which outlive it. */
void tls_svids_verify_by(struct tls_svids *s, struct ssl_ctx_st *ssl);
#endif
