/*
 * stream_tls_parts.h - what the files behind stream_tls.h share; what they need of OpenSSL comes by tls_parts.h.
 *
 * stream_tls.c has a stream's TLS from beginning to end, stream_tls_shake.c the handshakes, stream_tls_read.c and
 * stream_tls_write.c the bytes, stream_tls_facts.c what was learned; tls_identity.c says who a peer is by its certificate.
 *
 * OpenSSL reads the socket through a BIO of ours that asks only while the stream says that there is something.  What it
 * writes never waits and never fails for want of room: it is put aside (`out`) and leaves when the socket takes it; so no call
 * of OpenSSL has to be repeated.  Its error queue is the thread's: it is empty before each call, and looked at right after.
 *
 * Threads: as stream.h says.  Memory: what a stream has of TLS is freed when it is closed.
 */
#ifndef NET_STREAM_TLS_PARTS_H
#define NET_STREAM_TLS_PARTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/must.h"
#include "net/stream_tls.h"
#include "net/tls_parts.h"

struct stream_tls {
    SSL *ssl;
    struct stream *stream;
    struct tls_ctx *ctx;      /* a reference */
    struct tls_session *last; /* where a new session is put; NULL: nowhere */
    int64_t until;            /* of the session that is being taken up */
    struct tls_identity *identity;
    char *out; /* sealed, and not taken by the socket yet: malloc'ed, `n_out` bytes from `at_out` on */
    uint32_t at_out, n_out, cap_out;
    int failed_in, failed_out; /* codes that stay */
    bool seals;                /* a stream_write() is sealing: records are gathered */
    bool last_record;          /* the one being sealed is its last */
    bool more;                 /* OpenSSL may have bytes, or the end, without the socket */
    bool at_end;               /* the peer closed its socket */
    bool any_in;               /* bytes have come */
    bool shaken;               /* the handshake is done */
};

static inline void tls_clear_errors(void)
{
    if (UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* Was that an alert that was received? */
static inline bool tls_is_alert(unsigned long e)
{
    int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;

    return reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
}

/* ---- stream_tls.c ---- */

/* Puts TLS on the stream, by what the party has now.  NULL: out of memory. */
struct stream_tls *stream_tls_new(struct stream *s, const struct tls_party *party);

/* ---- stream_tls_read.c ---- */

/* Of the BIO: OpenSSL wants up to n bytes of the socket. */
int stream_tls_bio_read(BIO *b, char *p, int n);

/* ---- stream_tls_write.c ---- */

/* Of the BIO: OpenSSL has sealed a record. */
int stream_tls_bio_write(BIO *b, const char *p, int n);
/* What was put aside, as far as the socket takes it.  0: all has left; -ERR_AGAIN, or a code. */
int stream_tls_send_out(struct stream_tls *t);
/* The same, and waits until all has left. */
int stream_tls_drain(struct stream_tls *t, int64_t deadline);

/* ---- tls_identity.c ---- */

/* All that is told of who a peer is, malloc'ed in one piece.  NULL: out of memory. */
struct tls_identity *tls_identity_of(X509 *x);
/* `spiffe`: the URI, when there is exactly one and it is a SPIFFE ID (X509-SVID 2 and 5.2). */
void tls_identity_sans(const X509 *x, struct buf *sans, struct buf *spiffe);
#endif
