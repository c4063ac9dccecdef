/*
 * tls_parts.h - what the files behind tls_ctx.h share; with those behind stream_tls.h and tls_svid.c they alone know
 * OpenSSL.
 *
 * tls_files.c reads certificates and authorities, tls_names.c has which certificate is for whom, tls_tickets.c the keys of
 * session tickets, tls_sessions.c how long a session lives; tls_ctx.c makes OpenSSL's contexts of all that, and tls_party.c has one end's TLS and notices when it is stale.
 *
 * Threads: what makes, the main thread; callbacks of OpenSSL, those of connections.  Memory: a context's arena.
 */
#ifndef NET_TLS_PARTS_H
#define NET_TLS_PARTS_H
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "net/tls_ctx.h"
#include "net/tls_svid.h"

enum { KEY_KINDS = 3 };
enum key_kind { KEY_RSA, KEY_EC, KEY_OTHER }; /* a context of OpenSSL holds one certificate of each */

struct tls_certificate {
    const char *path;
    X509 *x509;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    const char **names; /* small letters; a wildcard as it is written */
    size_t n_names;
    enum key_kind kind;
    int64_t not_after;
    unsigned char *ocsp; /* NULL: none */
    long n_ocsp;
    int64_t ocsp_until;
};

/* Certificates of different kinds that share a name, and OpenSSL's context with them. */
struct tls_cert_set {
    SSL_CTX *ssl;
    size_t cert[KEY_KINDS]; /* number + 1; 0: none of that kind */
};

struct tls_name {
    const char *text;
    size_t cert, set;
};

struct tls_files {
    struct arena arena;
    struct tls_certificate *certs;
    size_t n_certs, n_sets, n_names;
    struct tls_cert_set *sets; /* the first is the default */
    struct tls_name *names;    /* sorted, each once */
    unsigned char *alpn;       /* as on the wire */
    unsigned n_alpn;
    struct tls_svids *svids; /* a reference: what peers are verified by; NULL: files */
    int64_t lists_until;     /* when the first of the revocation lists is out of date; INT64_MAX: none */
};

/* What a file looked like. */
struct tls_look {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
    bool there;
};

struct tls_watched {
    const char *path;
    struct tls_look read, last; /* when it was read, and when it was last looked at */
};

#define TLS_PARTY_MAGIC 0x544c5350u
struct tls_party {
    uint32_t magic;
    bool is_server;
    const char *name;
    const struct tls_server_conf *server;
    const struct tls_client_conf *client;
    const struct conf_strs *protocols;
    _Atomic(struct tls_ctx *) now;
    uint64_t svids_version; /* that `now` was made of, or could not be */
    size_t n_watched;
    struct tls_watched watched[];
};

/* ---- making a context ---- */

struct tls_making {
    const struct tls_party *party;
    struct tls_ctx *ctx;
    struct tls_files *files;
    tls_say_fn *say;
    void *arg;
    bool failed;
};

/* tls_ctx.c.  NULL: said why, or out of memory. */
struct tls_ctx *tls_ctx_make(struct tls_party *p, tls_say_fn *say, void *arg);

/* ---- tls_files.c ---- */

/* Something wrong with a file; a fatal one makes it fail. */
__attribute__((format(printf, 5, 6))) void tls_say(struct tls_making *m, bool fatal, const char *key, size_t index,
                                                   const char *fmt, ...);
void tls_out_of_memory(struct tls_making *m);
/* OpenSSL's own words for what it last complained about. */
const char *tls_openssl_why(void);
/* The whole of a regular file: a FIFO or a device would make us wait.  malloc'ed; NULL, and errno. */
char *tls_read_whole(const char *path, size_t *n);
/* Certificate number i from files; `key` and `ocsp` may be NULL. */
void tls_read_certificate(struct tls_making *m, size_t i, const char *cert, const char *key, const char *ocsp);
/* The Workload API's identity instead.  While none has come, the context stays without a certificate. */
void tls_take_svid(struct tls_making *m, const char *wanted);
/* Authorities (ca NULL: the system's) and revocation lists (crl may be NULL), with the authorities' names into `subjects`. */
X509_STORE *tls_make_store(struct tls_making *m, const char *ca_key, const char *ca, const char *crl_key, const char *crl,
                           STACK_OF(X509_NAME) * subjects);
/* Of the wall clock, since 1970; 0: no time at all. */
int64_t tls_seconds_of(const ASN1_TIME *t);
int64_t tls_now_seconds(void);
/* Callback of OpenSSL's: the OCSP response of the certificate that is served; `arg` is the struct tls_files. */
int tls_staple(SSL *ssl, void *arg);

/* ---- tls_names.c ---- */

/* Lists the names of all certificates and the sets of certificates for them.  False: out of memory. */
bool tls_make_names(struct tls_making *m);
/* Callback of OpenSSL's: by SNI; `arg` is the struct tls_files. */
int tls_choose_certificate(SSL *ssl, int *alert, void *arg);

/* ---- tls_tickets.c ---- */

/* Sessions of this context are resumed by tickets.  False: no keys can be had. */
bool tls_tickets_use(SSL_CTX *c);

/* ---- tls_sessions.c ---- */

/* How long what a whole handshake has verified holds: until the first certificate of the peer's chain or the first
 * revocation list is out of date, and for 12 hours at most.  Seconds of the wall clock. */
int64_t tls_verified_until(SSL *ssl, const struct tls_files *f);
/* A server's sessions live no longer than that, however often they are taken up and get new tickets. */
void tls_limit_sessions(SSL_CTX *c, struct tls_files *f);
/* Callback of OpenSSL's, for a ticket; to be called for a session that is kept without one.  `arg` is the struct tls_files. */
int tls_limit_session(SSL *ssl, void *arg);
#endif
