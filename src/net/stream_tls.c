/* stream_tls.c - OpenSSL between a stream and its socket.
 *
 * OpenSSL reads the socket through a BIO of ours that asks only while the stream says that there is something.  What it
 * writes never waits and never fails for want of room: it is put aside (`out`) and leaves when the socket takes it; so no call
 * of OpenSSL has to be repeated.  Its error queue is the thread's: it is empty before each call, and looked at right after.
 */
#include "net/stream_tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/metric.h"
#include "base/must.h"
#include "net/scratch.h"
#include "net/spiffe.h"
#include "net/sys.h"
#include "net/tls_parts.h"

enum {
    RECORD_MOST = SSL3_RT_MAX_PLAIN_LENGTH,
    SEALED_MOST = 4 * (RECORD_MOST + SSL3_RT_MAX_ENCRYPTED_OVERHEAD + SSL3_RT_HEADER_LENGTH), /* that leave in one send */
    SANS_MOST = 8 * 1024,
    ALERT_REASONS = SSL_AD_REASON_OFFSET, /* an error from here to +255 is an alert that was received */
};

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

/* What a thread needs while it seals: nothing of it outlives a call. */
struct sealing {
    size_t n;
    char sealed[SEALED_MOST];
    char plain[RECORD_MOST];
};
static _Thread_local struct sealing *sealing;
static _Thread_local char why[192];

const char *stream_tls_why(void) { return why; }

static inline void clear_errors(void)
{
    if (UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* ---- what waits to be sent ---- */

static bool put_aside(struct stream_tls *t, const char *p, size_t n)
{
    if (t->n_out == 0)
        t->at_out = 0;
    if (t->at_out + t->n_out + n > t->cap_out) {
        size_t cap = (size_t)t->n_out + n < 512 ? 512 : t->n_out + n;
        char *out = malloc(cap);
        if (out == NULL) {
            t->failed_out = -ERR_NOMEM; /* a record that is missing is the end of the connection */
            return false;
        }
        if (t->n_out > 0)
            memcpy(out, t->out + t->at_out, t->n_out);
        free(t->out);
        t->out = out;
        t->at_out = 0;
        t->cap_out = (uint32_t)cap;
    }
    memcpy(t->out + t->at_out + t->n_out, p, n);
    t->n_out += (uint32_t)n;
    return true;
}

static void drop_out(struct stream_tls *t)
{
    free(t->out);
    t->out = NULL;
    t->at_out = t->n_out = t->cap_out = 0;
}

/* What was put aside, what has been gathered, and one record more: to the socket, and the rest aside. */
static bool send_all(struct stream_tls *t, const char *record, size_t n)
{
    struct stream *s = t->stream;
    size_t n_sealed = sealing != NULL ? sealing->n : 0;
    struct iovec v[3] = { { t->out + t->at_out, t->n_out },
                          { n_sealed > 0 ? sealing->sealed : NULL, n_sealed },
                          { (void *)(uintptr_t)record, n } };
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
    size_t total = t->n_out + n_sealed + n;
    ssize_t put = 0;

    if (n_sealed > 0)
        sealing->n = 0;
    if (pd_may_write(&s->pd)) {
        if (t->n_out + n_sealed == 0)
            put = sys->send(s->pd.fd, record, n, MSG_NOSIGNAL);
        else
            put = sys->sendmsg(s->pd.fd, &m, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR) {
            t->failed_out = err_from_errno(errno);
            return false;
        }
        if (put < 0 && errno == EINTR)
            put = 0;
        else if (put < (ssize_t)total)
            pd_write_full(&s->pd);
        if (put < 0)
            put = 0;
        metric_add_at(METRIC_SENT, s->side, put);
    }
    if (LIKELY((size_t)put == total)) {
        if (t->out != NULL)
            drop_out(t);
        return true;
    }
    for (int i = 0; i < 3; i++) {
        size_t done = (size_t)put < v[i].iov_len ? (size_t)put : v[i].iov_len;
        put -= (ssize_t)done;
        if (i == 0) {
            t->at_out += (uint32_t)done;
            t->n_out -= (uint32_t)done;
        } else if (v[i].iov_len > done && !put_aside(t, (char *)v[i].iov_base + done, v[i].iov_len - done)) {
            return false;
        }
    }
    return true;
}

/* 0: all has left; -ERR_AGAIN, or a code. */
static int flush(struct stream_tls *t)
{
    struct stream *s = t->stream;

    while (t->n_out > 0 && t->failed_out == 0) {
        ssize_t put;

        if (!pd_may_write(&s->pd))
            return -ERR_AGAIN;
        put = sys->send(s->pd.fd, t->out + t->at_out, t->n_out, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno != EAGAIN)
            t->failed_out = err_from_errno(errno);
        if (put < (ssize_t)t->n_out)
            pd_write_full(&s->pd);
        if (put > 0) {
            t->at_out += (uint32_t)put;
            t->n_out -= (uint32_t)put;
            metric_add_at(METRIC_SENT, s->side, put);
        }
    }
    if (t->n_out == 0 && t->out != NULL)
        drop_out(t);
    return t->failed_out;
}

static int drain(struct stream_tls *t, int64_t deadline)
{
    int rc;

    while ((rc = flush(t)) == -ERR_AGAIN) {
        scratch_lost();
        rc = pd_wait_write(&t->stream->pd, deadline);
        if (rc < 0)
            return rc;
    }
    return rc;
}

void stream_tls_flush(struct stream *s)
{
    if (s->tls != NULL)
        (void)flush(s->tls);
}

/* ---- the BIO ---- */

static int bio_write(BIO *b, const char *p, int n)
{
    struct stream_tls *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    if (t->failed_out < 0 || n <= 0)
        return -1;
    if (!t->seals)
        return put_aside(t, p, (size_t)n) ? n : -1;
    if (t->last_record || sealing->n + (size_t)n > SEALED_MOST)
        return send_all(t, p, (size_t)n) ? n : -1;
    memcpy(sealing->sealed + sealing->n, p, (size_t)n);
    sealing->n += (size_t)n;
    return n;
}

static int bio_read(BIO *b, char *p, int n)
{
    struct stream_tls *t = BIO_get_data(b);
    struct stream *s = t->stream;
    ssize_t got;

    BIO_clear_retry_flags(b);
    if (!t->at_end && t->failed_in == 0 && pd_may_read(&s->pd)) {
        do
            got = sys->recv(s->pd.fd, p, (size_t)n, 0);
        while (UNLIKELY(got < 0 && errno == EINTR)); /* no "nothing there": nobody would look again */
        if (LIKELY(got > 0)) {
            if (got < n)
                pd_read_drained(&s->pd);
            metric_add_at(METRIC_RECEIVED, s->side, got);
            t->any_in = true;
            return (int)got;
        }
        if (got == 0)
            t->at_end = true;
        else if (errno != EAGAIN)
            t->failed_in = err_from_errno(errno);
        else
            pd_read_again(&s->pd);
    }
    BIO_set_retry_read(b); /* also at the end: OpenSSL would not write any more if it knew */
    return -1;
}

static long bio_ctrl(BIO *b, int command, long number, void *p)
{
    (void)b;
    (void)number;
    (void)p;
    return command == BIO_CTRL_FLUSH; /* when to send is decided here, not by OpenSSL */
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_end(void)
{
    BIO_meth_free(bio_method);
    bio_method = NULL;
}

static void bio_begin(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir stream");

    if (m != NULL && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        bio_method = m;
    else
        BIO_meth_free(m);
    (void)OPENSSL_atexit(bio_end);
}

/* ---- sessions with backends ---- */

void tls_session_forget(struct tls_session *s)
{
    SSL_SESSION_free(s->session);
    *s = (struct tls_session){ 0 };
}

int stream_tls_keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct stream_tls *t = SSL_get_app_data(ssl);

    if (t == NULL || t->last == NULL)
        return 0;
    tls_session_forget(t->last);
    *t->last = (struct tls_session){ session, t->ctx->id,
                                     SSL_session_reused(ssl) ? t->until : tls_verified_until(ssl, t->ctx->files) };
    return 1; /* it is ours now */
}

/* ---- a stream's TLS ---- */

static struct stream_tls *tls_new(struct stream *s, const struct tls_party *party)
{
    struct stream_tls *t = calloc(1, sizeof *t);
    BIO *b;

    (void)pthread_once(&bio_once, bio_begin);
    if (t == NULL)
        return NULL;
    t->stream = s;
    t->ctx = tls_ctx_ref(tls_party_now(party));
    clear_errors();
    t->ssl = SSL_new(t->ctx->ssl);
    b = t->ssl != NULL && bio_method != NULL ? BIO_new(bio_method) : NULL;
    if (b != NULL) {
        BIO_set_data(b, t);
        BIO_set_init(b, 1);
        SSL_set_bio(t->ssl, b, b);
        (void)SSL_set_app_data(t->ssl, t);
        s->tls = t;
        s->raw = false;
        return t;
    }
    ERR_clear_error();
    SSL_free(t->ssl);
    tls_ctx_unref(&t->ctx);
    free(t);
    return NULL;
}

void stream_tls_free(struct stream *s)
{
    struct stream_tls *t = s->tls;

    s->tls = NULL;
    s->raw = s->is_tcp;
    SSL_free(t->ssl);
    tls_ctx_unref(&t->ctx);
    free(t->identity);
    free(t->out);
    free(t);
}

void stream_tls_thread_ends(void)
{
    free(sealing);
    sealing = NULL;
}

/* ---- the handshake ---- */

static int refused_certificate(struct stream_tls *t)
{
    long error = SSL_get_verify_result(t->ssl);

    (void)snprintf(why, sizeof why, "%s",
                   error == X509_V_ERR_APPLICATION_VERIFICATION ? "not an SVID of a workload"
                                                                : X509_verify_cert_error_string(error));
    return -ERR_TLS_CERTIFICATE;
}

static bool is_alert(unsigned long e)
{
    int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;

    return reason >= ALERT_REASONS && reason < ALERT_REASONS + 256;
}

static int handshake_code(struct stream_tls *t)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
    const char *text = ERR_reason_error_string(e);
    int rc = -ERR_TLS;

    (void)snprintf(why, sizeof why, "%s", text != NULL ? text : "");
    ERR_clear_error();
    if (t->failed_in < 0 || t->failed_out < 0)
        return t->failed_in < 0 ? t->failed_in : t->failed_out;
    if (t->at_end)
        rc = t->any_in ? -ERR_RESET : -ERR_CLOSED;
    else if (reason == SSL_R_HTTP_REQUEST)
        rc = -ERR_PLAIN_HTTP;
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        rc = -ERR_TLS_NO_CERTIFICATE;
    else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        rc = refused_certificate(t);
    else if (is_alert(e))
        rc = -ERR_TLS_ALERT;
    return rc;
}

static int shake(struct stream_tls *t, int64_t deadline)
{
    for (;;) {
        int rc;

        clear_errors();
        rc = SSL_do_handshake(t->ssl);
        if (rc == 1)
            return 0;
        if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ || t->at_end || t->failed_in < 0) {
            rc = handshake_code(t);
            if (rc != -ERR_PLAIN_HTTP)
                (void)flush(t); /* the alert */
            return rc;
        }
        rc = drain(t, deadline);
        if (rc == 0 && !pd_may_read(&t->stream->pd)) {
            scratch_lost();
            rc = pd_wait_read(&t->stream->pd, deadline);
        }
        if (rc < 0) {
            why[0] = '\0';
            return rc;
        }
    }
}

/* Done: what was only for the handshake goes. */
static void shaken(struct stream_tls *t)
{
    t->shaken = true;
    t->more = SSL_has_pending(t->ssl) != 0;
    metric_add_at(METRIC_TLS_HANDSHAKES, t->stream->side, 1);
    if (SSL_session_reused(t->ssl))
        metric_add_at(METRIC_TLS_RESUMED, t->stream->side, 1);
}

static int failed(struct stream *s, int rc)
{
    if (rc != -ERR_CLOSED && rc != -ERR_CANCELED)
        metric_add_at(METRIC_TLS_FAILED, s->side, 1);
    if (s->tls != NULL)
        stream_tls_free(s);
    return rc;
}

/* ---- who the peer is ---- */

/* Printable ASCII without what separates: a name that holds more says nothing that can be trusted. */
static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f || s.p[i] == ',' || s.p[i] == '"')
            return false;
    return s.n > 0;
}

static void add_san(struct buf *out, const char *kind, const ASN1_STRING *s)
{
    struct slice text = slice_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));

    if (is_plain(text) && out->n + text.n < SANS_MOST)
        buf_printf(out, "%s%s:" SLICE_FMT, out->n > 0 ? ", " : "", kind, SLICE_ARG(text));
}

static void add_ip(struct buf *out, const ASN1_OCTET_STRING *s)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    bool v4 = ASN1_STRING_length(s) == 4;
    char text[IP_TEXT_MAX];
    struct ip ip;

    if (!v4 && ASN1_STRING_length(s) != 16)
        return;
    memcpy(v4 ? (void *)&in.sin_addr : (void *)&in6.sin6_addr, ASN1_STRING_get0_data(s), v4 ? 4 : 16);
    ip = v4 ? ip_of((struct sockaddr *)&in, sizeof in) : ip_of((struct sockaddr *)&in6, sizeof in6);
    (void)ip_format(&ip, text);
    buf_printf(out, "%sIP:%s", out->n > 0 ? ", " : "", text);
}

/* `spiffe`: the URI, when there is exactly one and it is a SPIFFE ID (X509-SVID 2 and 5.2). */
static void read_sans(const X509 *x, struct buf *sans, struct buf *spiffe)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    unsigned n_uris = 0;

    for (int i = 0; all != NULL && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        struct spiffe_id id;
        struct slice uri;
        switch (g->type) {
        case GEN_DNS: add_san(sans, "DNS", g->d.dNSName); break;
        case GEN_EMAIL: add_san(sans, "email", g->d.rfc822Name); break;
        case GEN_IPADD: add_ip(sans, g->d.iPAddress); break;
        case GEN_URI:
            add_san(sans, "URI", g->d.uniformResourceIdentifier);
            uri = slice_of((const char *)ASN1_STRING_get0_data(g->d.uniformResourceIdentifier),
                           (size_t)ASN1_STRING_length(g->d.uniformResourceIdentifier));
            if (++n_uris == 1 && spiffe_parse(uri, &id) == NULL)
                buf_add_slice(spiffe, uri);
            break;
        default: break;
        }
    }
    if (n_uris > 1)
        spiffe->n = 0;
    GENERAL_NAMES_free(all);
    ERR_clear_error();
}

static void put_hex(struct buf *out, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%02x", p[i]);
}

static void read_subject(X509 *x, struct buf *out)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text;
    long n;

    if (b == NULL) {
        out->failed = true;
        return;
    }
    (void)X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253); /* escapes what is not ASCII, and controls */
    n = BIO_get_mem_data(b, &text);
    for (long i = 0; i < n; i++)
        buf_add_char(out, text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?');
    BIO_free(b);
}

static void read_numbers(X509 *x, struct buf *fingerprint, struct buf *serial)
{
    const ASN1_INTEGER *number = X509_get0_serialNumber(x);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (X509_digest(x, EVP_sha256(), digest, &n) == 1)
        put_hex(fingerprint, digest, n);
    put_hex(serial, ASN1_STRING_get0_data(number), (size_t)ASN1_STRING_length(number));
}

/* All texts in one piece, behind the struct.  NULL: out of memory. */
static struct tls_identity *identity_of(X509 *x)
{
    struct buf texts[5] = { { 0 } };
    struct tls_identity *id;
    const char **fields[5];
    size_t total = 0;
    bool good = true;
    char *at;

    read_subject(x, &texts[0]);
    read_sans(x, &texts[1], &texts[2]);
    read_numbers(x, &texts[3], &texts[4]);
    for (int i = 0; i < 5; i++) {
        good = good && !texts[i].failed;
        total += texts[i].n + 1;
    }
    id = good ? malloc(sizeof *id + total) : NULL;
    if (id != NULL) {
        fields[0] = &id->subject;
        fields[1] = &id->sans;
        fields[2] = &id->spiffe;
        fields[3] = &id->fingerprint;
        fields[4] = &id->serial;
        at = (char *)(id + 1);
        for (int i = 0; i < 5; i++) {
            *fields[i] = at;
            if (texts[i].n > 0)
                memcpy(at, texts[i].p, texts[i].n);
            at[texts[i].n] = '\0';
            at += texts[i].n + 1;
        }
    }
    for (int i = 0; i < 5; i++)
        buf_free(&texts[i]);
    ERR_clear_error();
    return id;
}

static int read_identity(struct stream_tls *t)
{
    X509 *x = SSL_get0_peer_certificate(t->ssl);

    if (x == NULL)
        return 0;
    if (SSL_get_verify_result(t->ssl) != X509_V_OK)
        return refused_certificate(t); /* of a session that was taken up; it would not have come so far otherwise */
    t->identity = identity_of(x);
    return t->identity == NULL ? -ERR_NOMEM : 0;
}

/* Ours, whatever OpenSSL made of it. */
static int no_identity(void)
{
    (void)snprintf(why, sizeof why, "%s", err_text(-ERR_NO_IDENTITY));
    return -ERR_NO_IDENTITY;
}

int stream_tls_accept(struct stream *s, const struct tls_party *server, int64_t deadline)
{
    struct stream_tls *t = tls_new(s, server);
    int rc;

    why[0] = '\0';
    if (t == NULL)
        return failed(s, -ERR_NOMEM);
    SSL_set_accept_state(t->ssl);
    rc = shake(t, deadline);
    if (rc == 0)
        rc = read_identity(t);
    if (rc == 0 && SSL_version(t->ssl) == TLS1_2_VERSION && !SSL_session_reused(t->ssl))
        (void)tls_limit_session(t->ssl, t->ctx->files); /* one that is kept here was given no ticket */
    if (t->ctx->waits && rc != -ERR_CLOSED && rc != -ERR_CANCELED && rc < 0)
        rc = no_identity();
    if (rc < 0)
        return failed(s, rc);
    shaken(t);
    return 0;
}

/* Whose name the certificate must bear. */
static bool set_expected_name(struct stream_tls *t, const struct addr *to)
{
    const struct tls_client_conf *conf = t->ctx->client;
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

    if (conf->server_name != NULL && SSL_set_tlsext_host_name(t->ssl, (char *)(uintptr_t)conf->server_name) != 1)
        return false;
    if (!conf->verify || conf->svid != NULL) /* an SVID is for nothing but its ID */
        return true;
    /* RFC 9525 2: a common name is no name of a host */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (conf->server_name != NULL)
        return X509_VERIFY_PARAM_set1_host(param, conf->server_name, 0) == 1;
    if (conf->identity.n > 0)
        return true;
    if (to->sa.sa_family == AF_INET)
        return X509_VERIFY_PARAM_set1_ip(param, (const unsigned char *)&to->in.sin_addr, 4) == 1;
    return to->sa.sa_family == AF_INET6 && X509_VERIFY_PARAM_set1_ip(param, (const unsigned char *)&to->in6.sin6_addr, 16) == 1;
}

static int check_backend_identity(struct stream_tls *t)
{
    const struct conf_strs *allowed = &t->ctx->client->identity;
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    struct buf sans = { 0 }, spiffe = { 0 };
    int rc = -ERR_TLS_IDENTITY;

    if (allowed->n == 0)
        return 0;
    if (x != NULL)
        read_sans(x, &sans, &spiffe);
    for (size_t i = 0; i < allowed->n && rc < 0; i++)
        if (spiffe_matches(allowed->v[i], buf_slice(&spiffe)))
            rc = 0;
    (void)snprintf(why, sizeof why, "it is %.*s", spiffe.n > 0 ? (int)spiffe.n : 4, spiffe.n > 0 ? spiffe.p : "none");
    buf_free(&sans);
    buf_free(&spiffe);
    return rc;
}

/* As on the wire: a length, and so many bytes. */
static bool set_only_protocol(struct stream_tls *t, const char *protocol)
{
    unsigned char text[256];
    size_t n = strlen(protocol);

    MUST(n > 0 && n < sizeof text);
    text[0] = (unsigned char)n;
    memcpy(text + 1, protocol, n);
    return SSL_set_alpn_protos(t->ssl, text, (unsigned)n + 1) == 0; /* 0 is good, unlike elsewhere */
}

int stream_tls_connect(struct stream *s, const struct tls_party *client, const struct addr *to, const char *protocol,
                       struct tls_session *last, int64_t deadline)
{
    struct stream_tls *t = tls_new(s, client);
    int rc;

    why[0] = '\0';
    if (t == NULL || !set_expected_name(t, to) || (protocol != NULL && !set_only_protocol(t, protocol))) {
        ERR_clear_error();
        return failed(s, -ERR_NOMEM);
    }
    if (t->ctx->waits)
        return failed(s, no_identity());
    t->last = last;
    if (last != NULL && last->session != NULL && last->ctx_id == t->ctx->id && last->until > tls_now_seconds()) {
        (void)SSL_set_session(t->ssl, last->session);
        t->until = last->until;
    }
    SSL_set_connect_state(t->ssl);
    rc = shake(t, deadline);
    if (rc == 0)
        rc = check_backend_identity(t);
    if (rc < 0) {
        if (last != NULL)
            tls_session_forget(last); /* whatever was wrong, it may have been that */
        return failed(s, rc);
    }
    shaken(t);
    return 0;
}

/* ---- reading ---- */

bool stream_tls_may_read(const struct stream *s) { return s->tls->more; }

/* In TLS 1.3 a client may be told only now that its certificate is missing, or is none that is wanted. */
static int broken_code(struct stream_tls *t)
{
    if (!SSL_is_server(t->ssl) && is_alert(ERR_peek_error()))
        return -ERR_TLS_ALERT;
    return t->failed_out < 0 ? t->failed_out : -ERR_IO;
}

/* OpenSSL had nothing: why not?  -ERR_AGAIN, 0 at the end, or a code that stays. */
static int read_code(struct stream_tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        if (t->at_end && t->failed_in == 0)
            t->failed_in = -ERR_RESET; /* cut: without a close_notify */
        t->more = t->failed_in < 0;
        return t->more ? t->failed_in : -ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        t->more = true; /* and for good */
        return 0;
    default:
        t->more = true;
        if (t->failed_in == 0)
            t->failed_in = broken_code(t);
        ERR_clear_error();
        (void)flush(t); /* maybe an alert */
        return t->failed_in;
    }
}

ssize_t stream_tls_read_now(struct stream *s, void *buf, size_t n)
{
    struct stream_tls *t = s->tls;
    size_t total = 0;
    int got = 0;

    if (t->more || pd_may_read(&s->pd)) {
        if (UNLIKELY(t->failed_in < 0))
            return t->failed_in;
        clear_errors();
        do {
            size_t most = n - total;
            got = SSL_read(t->ssl, (char *)buf + total, most > INT32_MAX ? INT32_MAX : (int)most);
            if (got > 0)
                total += (size_t)got;
            t->more = SSL_has_pending(t->ssl) != 0;
        } while (got > 0 && total < n && (t->more || pd_may_read(&s->pd)));
        if (got <= 0)
            got = read_code(t, got);
        if (total > 0)
            return (ssize_t)total; /* what was wrong behind it comes up again */
        if (got != -ERR_AGAIN)
            return got;
    }
    if (UNLIKELY(t->n_out > 0)) { /* the peer may wait for it */
        int rc = flush(t);
        if (rc < 0)
            return rc; /* a failure here may be all that is ever told of a reset */
    }
    return -ERR_AGAIN;
}

/* A record has come: is there something for us in it, or only for OpenSSL? */
static bool has_something(struct stream_tls *t)
{
    char byte;
    int got;

    if (t->failed_in < 0)
        return true;
    clear_errors();
    got = SSL_peek(t->ssl, &byte, 1);
    if (got > 0)
        return t->more = true;
    return read_code(t, got) != -ERR_AGAIN;
}

int stream_tls_wait_readable(struct stream *s, int64_t deadline)
{
    struct stream_tls *t = s->tls;

    while (!t->more && !(pd_may_read(&s->pd) && has_something(t))) {
        int rc;

        rc = flush(t);
        if (rc < 0 && rc != -ERR_AGAIN)
            return rc;
        scratch_lost();
        rc = pd_wait_read(&s->pd, deadline);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- writing ---- */

static bool take_sealing(void)
{
    if (sealing == NULL) {
        sealing = malloc(sizeof *sealing);
        if (sealing != NULL)
            sealing->n = 0;
    }
    return sealing != NULL;
}

struct plain {
    const struct iovec *v;
    int n;
    size_t at; /* in v[0] */
    size_t left;
};

static void plain_skip(struct plain *p, size_t n)
{
    p->at += n;
    p->left -= n;
    while (p->n > 0 && p->at >= p->v->iov_len) {
        p->at -= p->v->iov_len;
        p->v++;
        p->n--;
    }
}

/* Up to a record's worth, from where it stands if it stands in one piece. */
static struct slice next_record(struct plain *p)
{
    size_t most = p->left < RECORD_MOST ? p->left : RECORD_MOST, n = 0;
    struct slice out = slice_of((const char *)p->v->iov_base + p->at, most);

    if (p->v->iov_len - p->at >= most) {
        plain_skip(p, most);
        return out;
    }
    out.p = sealing->plain;
    while (n < most) {
        size_t here = p->v->iov_len - p->at < most - n ? p->v->iov_len - p->at : most - n;
        memcpy(sealing->plain + n, (const char *)p->v->iov_base + p->at, here);
        n += here;
        plain_skip(p, here);
    }
    return out;
}

/* Seals all of it; what the socket doesn't take is put aside. */
static int seal(struct stream_tls *t, const struct iovec *iov, int n)
{
    struct plain p = { .v = iov, .n = n };
    int rc = 0;

    for (int i = 0; i < n; i++)
        p.left += iov[i].iov_len;
    if (p.left == 0)
        return 0;
    plain_skip(&p, 0);
    if (UNLIKELY(!take_sealing()))
        return -ERR_NOMEM;
    sealing->n = 0;
    t->seals = true;
    clear_errors();
    while (p.left > 0) {
        struct slice record = next_record(&p);
        t->last_record = p.left == 0;
        if (UNLIKELY(SSL_write(t->ssl, record.p, (int)record.n) != (int)record.n)) {
            rc = t->failed_out < 0 ? t->failed_out : -ERR_IO;
            ERR_clear_error();
            break;
        }
    }
    t->seals = false;
    if (UNLIKELY(rc < 0))
        t->failed_out = rc;
    return rc;
}

ssize_t stream_tls_write_now(struct stream *s, const struct iovec *iov, int n)
{
    struct stream_tls *t = s->tls;
    size_t total = 0;
    int rc = t->failed_out < 0 ? t->failed_out : flush(t);

    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    if (rc == 0)
        rc = seal(t, iov, n);
    return rc < 0 ? rc : (ssize_t)total;
}

int stream_tls_write(struct stream *s, const struct iovec *iov, int n, int64_t deadline)
{
    struct stream_tls *t = s->tls;
    int rc = t->failed_out < 0 ? t->failed_out : seal(t, iov, n);

    if (rc < 0 || LIKELY(t->n_out == 0))
        return rc;
    return drain(t, deadline);
}

/* ---- ending ---- */

/* close_notify: what came before it was all. */
void stream_tls_say_end(struct stream *s)
{
    struct stream_tls *t = s->tls;

    if (!t->shaken || t->failed_in == -ERR_IO || t->failed_in == -ERR_TLS_ALERT || t->failed_out < 0 ||
        (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0)
        return;
    clear_errors();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
    (void)flush(t);
}

/* ---- what was learned ---- */

struct slice stream_tls_protocol(const struct stream *s)
{
    const unsigned char *p = NULL;
    unsigned n = 0;

    if (s->tls != NULL)
        SSL_get0_alpn_selected(s->tls->ssl, &p, &n);
    return slice_of((const char *)p, n);
}

struct slice stream_tls_version(const struct stream *s)
{
    return s->tls == NULL ? SLICE("") : slice_str(SSL_get_version(s->tls->ssl));
}

struct slice stream_tls_name(const struct stream *s)
{
    const char *name = s->tls == NULL ? NULL : SSL_get_servername(s->tls->ssl, TLSEXT_NAMETYPE_host_name);

    return name == NULL ? SLICE("") : slice_str(name);
}

bool stream_tls_resumed(const struct stream *s) { return s->tls != NULL && SSL_session_reused(s->tls->ssl) != 0; }
uint64_t stream_tls_ctx_id(const struct stream *s) { return s->tls == NULL ? 0 : s->tls->ctx->id; }

bool stream_tls_is_for(const struct stream *s, struct slice host)
{
    struct slice asked = stream_tls_name(s);

    if (asked.n == 0 || host.n == 0 || slice_eq_nocase(asked, host))
        return true;
    return tls_ctx_covers(s->tls->ctx, SSL_get_SSL_CTX(s->tls->ssl), host);
}

const struct tls_identity *stream_tls_identity(const struct stream *s) { return s->tls == NULL ? NULL : s->tls->identity; }

struct slice stream_tls_identity_text(const struct stream *s)
{
    const struct tls_identity *id = stream_tls_identity(s);

    return id == NULL ? SLICE("") : slice_str(id->spiffe[0] != '\0' ? id->spiffe : id->subject);
}

static void read_common_name(const X509 *x, char out[256])
{
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
    unsigned char *text = NULL;

    if (at < 0)
        return;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0 && n < 256 && memchr(text, '\0', (size_t)n) == NULL)
        memcpy(out, text, (size_t)n);
    OPENSSL_free(text);
}

static const char *kind_of_key(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return "RSA";
    case EVP_PKEY_EC: return "EC";
    default: return "";
    }
}

void stream_tls_facts(const struct stream *s, struct tls_facts *out)
{
    const X509 *own, *theirs;
    const EVP_PKEY *key;

    memset(out, 0, sizeof *out);
    out->cipher = out->signature = "";
    if (s->tls == NULL)
        return;
    own = SSL_get_certificate(s->tls->ssl);
    theirs = SSL_get0_peer_certificate(s->tls->ssl);
    key = own == NULL ? NULL : X509_get0_pubkey(own);
    out->cipher = SSL_get_cipher_name(s->tls->ssl);
    if (own != NULL && X509_get_signature_nid(own) != NID_undef)
        out->signature = OBJ_nid2sn(X509_get_signature_nid(own));
    if (key != NULL && kind_of_key(key)[0] != '\0')
        (void)snprintf(out->key, sizeof out->key, "%s%d", kind_of_key(key), EVP_PKEY_get_bits(key));
    if (theirs != NULL)
        read_common_name(theirs, out->common_name);
    ERR_clear_error();
}
