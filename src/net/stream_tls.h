/*
 * stream_tls.h - TLS on a stream: handshakes, and what was learned in them.  Reading and writing go on through stream.h.
 *
 * Promise: no system call that can be known to say EAGAIN is made.  A small record costs one recv; what one stream_write()
 * seals leaves in as few sends as 64 KiB need.  What the handshake has left to say leaves together with the first bytes that
 * are written, or when there is nothing to read.  An idle stream holds no buffer of records, ours or OpenSSL's.
 * The peer's end without a close_notify is no end: reading says -ERR_RESET.
 *
 * Threads: as stream.h says.  Memory: what a stream has of TLS is freed when it is closed.
 */
#ifndef NET_STREAM_TLS_H
#define NET_STREAM_TLS_H
#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"
#include "net/stream.h"
#include "net/tls_ctx.h"

struct ssl_session_st;
struct ssl_st;

/* The last session that a backend gave us: one a worker and backend. */
struct tls_session {
    struct ssl_session_st *session; /* NULL: none */
    uint64_t ctx_id;                /* of the context that it was agreed under */
    int64_t until;                  /* how long the backend counts as verified: seconds of the wall clock */
};
void tls_session_forget(struct tls_session *s);

/* The handshake with a client, by what the listener serves now.  0; -ERR_TLS, -ERR_TLS_ALERT, -ERR_TLS_CERTIFICATE,
 * -ERR_TLS_NO_CERTIFICATE, -ERR_NO_IDENTITY (of our own, yet), -ERR_PLAIN_HTTP (a request in clear was sent: it can be answered so, for the stream is in clear
 * again), -ERR_TIMEOUT, -ERR_CLOSED (before a byte), -ERR_RESET, -ERR_NOMEM, -ERR_CANCELED. */
int stream_tls_accept(struct stream *s, const struct tls_party *server, int64_t deadline);
/* The same with a backend at that address, taking up `last` if it may (NULL: no).  `protocol`: all that is offered by ALPN;
 * NULL: what the party offers.  -ERR_TLS_IDENTITY: it is another one;
 * -ERR_NO_IDENTITY: we have none yet, and nothing was said. */
int stream_tls_connect(struct stream *s, const struct tls_party *client, const struct addr *to, const char *protocol,
                       struct tls_session *last, int64_t deadline);
/* What was wrong with the last handshake that failed on this thread, in OpenSSL's words; until the next wait. */
const char *stream_tls_why(void);

/* Of a stream with TLS, from its handshake to its end: */
struct slice stream_tls_protocol(const struct stream *s); /* agreed by ALPN, "http/1.1"; empty: none was */
struct slice stream_tls_version(const struct stream *s);  /* "TLSv1.3" */
struct slice stream_tls_name(const struct stream *s);     /* that the client asked for; empty: none */
bool stream_tls_resumed(const struct stream *s);
uint64_t stream_tls_ctx_id(const struct stream *s); /* 0 in clear */
/* May a request for that host (without port) come on this connection?  It may if the certificate that was served is for it,
 * if it is what the client asked for, and if the client asked for none at all. */
bool stream_tls_is_for(const struct stream *s, struct slice host);

/* Who the client is, by a certificate that was verified.  All of it is printable ASCII. */
struct tls_identity {
    const char *subject;     /* "CN=web,O=Example" (RFC 2253) */
    const char *sans;        /* "DNS:web.example, URI:spiffe://prod.example/web"; may be "" */
    const char *spiffe;      /* the one URI among them, if it is a SPIFFE ID; else "" */
    const char *fingerprint; /* SHA-256 of the certificate, in hex */
    const char *serial;      /* in hex */
};
const struct tls_identity *stream_tls_identity(const struct stream *s); /* NULL: none */
/* The SPIFFE ID, else the subject; "" without a certificate. */
struct slice stream_tls_identity_text(const struct stream *s);

/* What else a handshake with a client has settled.  In clear all of it is empty. */
struct tls_facts {
    const char *cipher;    /* "TLS_AES_256_GCM_SHA384" */
    const char *signature; /* of our certificate: what it is signed by, "ecdsa-with-SHA256" */
    char key[16];          /* of our certificate: "EC256", "RSA2048" */
    char common_name[256]; /* of the client's certificate, in UTF-8; longer ones are left out */
};
void stream_tls_facts(const struct stream *s, struct tls_facts *out);

/* What the handshake has left to say leaves now: for who neither writes nor reads next.  Nothing to do in clear. */
void stream_tls_flush(struct stream *s);

/* For tls_ctx.c: OpenSSL's hook for a session that a backend gave us. */
int stream_tls_keep_session(struct ssl_st *ssl, struct ssl_session_st *session);

/* For stream.c: */
ssize_t stream_tls_read_now(struct stream *s, void *buf, size_t n);
int stream_tls_wait_readable(struct stream *s, int64_t deadline);
ssize_t stream_tls_write_now(struct stream *s, const struct iovec *iov, int n);
int stream_tls_write(struct stream *s, const struct iovec *iov, int n, int64_t deadline);
void stream_tls_say_end(struct stream *s);
void stream_tls_free(struct stream *s);
void stream_tls_thread_ends(void);
#endif
