/*
 * tls_ctx.h - what TLS is spoken by: certificates, keys, authorities and rules, of a listener or of a pool.
 *
 * A `tls_party` is one end's TLS as configured; it belongs to its snapshot.  Its `tls_ctx` is what was made of the files when
 * they were last read; when they change, the main thread makes a new one and swaps it in (tls_party_renew), without a reload.
 * A connection keeps the context that it began with.
 * Where `svid` is written, certificate, key and authorities are those of the Workload API (tls_svid.h) instead of files: a new
 * message takes the place of a change of files.  Until the first comes, the context has no certificate.
 *
 * Promise: what is wrong with the files is said once and for each of them, in words; a party never has half a context.
 * Threads: made, looked at and renewed on the main thread (blocks on the disk); tls_party_now() on any.
 * Memory: a context is counted; a party is its snapshot's.
 */
#ifndef NET_TLS_CTX_H
#define NET_TLS_CTX_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "net/tls_conf.h"

struct buf;
struct ssl_ctx_st;

#define TLS_CTX_MAGIC 0x544c5358u
struct tls_ctx {
    uint32_t magic;
    _Atomic uint32_t refs;
    uint64_t id;            /* of this making: what was agreed under another one is not taken up again */
    struct ssl_ctx_st *ssl; /* what connections are made from; of a server: the default certificate's */
    bool is_server;
    bool waits;                           /* for an identity of the Workload API's: nobody's handshake succeeds yet */
    struct tls_files *files;              /* certificates, names, and the contexts for them */
    const struct tls_client_conf *client; /* toward backends: the party's copy of its settings */
};
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx **cp); /* any thread */
/* Is the set of certificates that `ssl` (an SSL_CTX of c) stands for good for that host? */
bool tls_ctx_covers(const struct tls_ctx *c, const struct ssl_ctx_st *ssl, struct slice host);

/* Something wrong with a file.  `key`: of the group, "client_ca", or of its certificate number `index`, "cert". */
#define TLS_NO_INDEX SIZE_MAX
struct tls_problem {
    bool fatal; /* else a warning */
    const char *key;
    size_t index; /* of `certificates`, TLS_NO_INDEX elsewhere */
    const char *text;
};
typedef void tls_say_fn(void *arg, const struct tls_problem *p);

struct tls_party;
/* `name`: of the listener, for logs and metrics, and what its sessions are bound to; `protocols`: for ALPN, in the order of
 * preference, none: ALPN is not answered.  Texts must outlive the party.  NULL: something fatal was said, or (nothing said)
 * memory is out. */
struct tls_party *tls_server_new(const char *name, const struct tls_server_conf *conf, const struct conf_strs *protocols,
                                 tls_say_fn *say, void *arg);
struct tls_party *tls_client_new(const char *name, const struct tls_client_conf *conf, const struct conf_strs *protocols,
                                 tls_say_fn *say, void *arg);
void tls_party_free(struct tls_party **pp);
const char *tls_party_name(const struct tls_party *p);
bool tls_party_is_server(const struct tls_party *p);
/* NULL: its certificates are files'; else which identity of the Workload API it takes. */
const char *tls_party_svid(const struct tls_party *p);
/* Are two parties toward backends (each may be NULL) configured the same?  Their files may have changed in between. */
bool tls_party_same(const struct tls_party *a, const struct tls_party *b);

/* The context in effect, borrowed: whoever waits or keeps it takes a reference first. */
struct tls_ctx *tls_party_now(const struct tls_party *p);
/* The files are not what was read any more, and have not changed since the last look, or the Workload API has said something new:
 * now is the time to renew. */
bool tls_party_is_stale(struct tls_party *p);
/* Reads the files anew.  The context that was in effect, which the caller frees once no other thread can be about to take it; NULL:
 * the old one goes on, why has been said (fatal; nothing: out of memory). */
struct tls_ctx *tls_party_renew(struct tls_party *p, tls_say_fn *say, void *arg);

/* Certificates of our own. */
struct tls_certificate_info {
    const char *path;  /* of the file; or a SPIFFE ID */
    int64_t not_after; /* seconds since 1970 */
    const char *const *names;
    size_t n_names;
};
/* False past the last. */
bool tls_party_certificate(const struct tls_party *p, size_t i, struct tls_certificate_info *out);

/* The keys of session tickets, one set for the whole process: a new one seals from now on, the one before still opens.
 * Main thread. */
void tls_tickets_rotate(void);

const char *tls_library(void); /* "OpenSSL 3.0.19": for `weir -V` */
#endif
