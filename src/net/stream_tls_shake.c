/* stream_tls_shake.c - handshakes, with clients and with backends, and what was wrong with one that failed. */
#include <stdio.h>
#include <string.h>

#include "base/metric.h"
#include "base/must.h"
#include "net/scratch.h"
#include "net/spiffe.h"
#include "net/stream_tls_parts.h"

static _Thread_local char why[192];

const char *stream_tls_why(void) { return why; }

static int refused_certificate(struct stream_tls *t)
{
    long error = SSL_get_verify_result(t->ssl);

    (void)snprintf(why, sizeof why, "%s",
                   error == X509_V_ERR_APPLICATION_VERIFICATION ? "not an SVID of a workload"
                                                                : X509_verify_cert_error_string(error));
    return -ERR_TLS_CERTIFICATE;
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
    else if (tls_is_alert(e))
        rc = -ERR_TLS_ALERT;
    return rc;
}

static int shake(struct stream_tls *t, int64_t deadline)
{
    for (;;) {
        int rc;

        tls_clear_errors();
        rc = SSL_do_handshake(t->ssl);
        if (rc == 1)
            return 0;
        if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ || t->at_end || t->failed_in < 0) {
            rc = handshake_code(t);
            if (rc != -ERR_PLAIN_HTTP)
                (void)stream_tls_send_out(t); /* the alert */
            return rc;
        }
        rc = stream_tls_drain(t, deadline);
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

static int read_identity(struct stream_tls *t)
{
    X509 *x = SSL_get0_peer_certificate(t->ssl);

    if (x == NULL)
        return 0;
    if (SSL_get_verify_result(t->ssl) != X509_V_OK)
        return refused_certificate(t); /* of a session that was taken up; it would not have come so far otherwise */
    t->identity = tls_identity_of(x);
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
    struct stream_tls *t = stream_tls_new(s, server);
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
        tls_identity_sans(x, &sans, &spiffe);
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
    struct stream_tls *t = stream_tls_new(s, client);
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
