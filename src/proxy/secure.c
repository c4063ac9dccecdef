/* secure.c - TLS with clients, as far as the proxy has a say in it. */
#include "proxy/secure.h"

#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/scratch.h"
#include "net/spiffe.h"
#include "net/stream_tls.h"
#include "net/sys.h"
#include "proxy/exchange.h"
#include "proxy/route.h"

static int client_code(int rc)
{
    switch (-rc) {
    case ERR_TLS: return -ERR_CLIENT_TLS_FAILED;
    case ERR_TLS_ALERT: return -ERR_CLIENT_TLS_ALERT;
    case ERR_TLS_CERTIFICATE: return -ERR_CLIENT_CERT_REFUSED;
    case ERR_TLS_NO_CERTIFICATE: return -ERR_CLIENT_CERT_MISSING;
    case ERR_TIMEOUT: return -ERR_CLIENT_TLS_TIMEOUT;
    case ERR_RESET:
    case ERR_IO: return -ERR_CLIENT_CLOSED;
    case ERR_CANCELED: return -fiber_cause();
    default: return rc;
    }
}

static void tell(const struct conn *c, int rc)
{
    char client[IP_TEXT_MAX], quoted[256];

    if (rc == -ERR_CLOSED || rc == -ERR_DRAINING)
        return; /* it came and went without a word, as checks of a port do */
    metric_add_at(METRIC_FAILURES, metric_reason(rc), 1);
    (void)ip_format(&c->peer, client);
    log_every_second(LOG_LEVEL_INFO, "tls.handshake_failed", "listener=%s client=%s reason=%s why=%s", c->door->conf->name,
                     client, err_word(rc), log_quote(quoted, sizeof quoted, slice_str(stream_tls_why())));
}

/* A request in clear on a port of TLS: in clear it can be told so. */
static bool answer_in_clear(struct conn *c)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 58\r\nConnection: close\r\n\r\n"
        "400 Bad Request: a plain HTTP request on a port of HTTPS.\n";

    return c->door->conf->mode == LISTENER_HTTP &&
           stream_write_bytes(&c->stream, answer, sizeof answer - 1, deadline_in(CLOCK_S)) == 0;
}

bool secure_begin(struct conn *c, bool *told)
{
    const struct listener_conf *l = c->door->conf;
    int rc;

    fiber_doing("in the TLS handshake with the client");
    rc = client_code(
        stream_tls_accept(&c->stream, l->tls_party, deadline_in(c->door->served->serving->conf->timeouts.tls_handshake)));
    *told = false;
    if (rc == 0)
        return true;
    tell(c, rc);
    if (rc == -ERR_PLAIN_HTTP)
        *told = answer_in_clear(c);
    return false;
}

static void keep_nothing(struct scratch_user *u) { (void)u; }
static _Thread_local struct scratch_user peeking = { keep_nothing };

int secure_peek_name(struct conn *c, char text[CLIENT_HELLO_NAME], struct slice *name, int64_t deadline)
{
    struct stream *s = &c->stream;
    int rc = 0;

    fiber_doing("waiting for the ClientHello");
    while (rc == 0) {
        uint8_t *bytes;
        ssize_t got;

        rc = stream_wait_readable(s, deadline);
        if (rc < 0)
            return rc == -ERR_TIMEOUT ? -ERR_CLIENT_TLS_TIMEOUT : rc == -ERR_CANCELED ? -fiber_cause() : rc;
        bytes = (uint8_t *)scratch_in(&peeking);
        if (bytes == NULL)
            return -ERR_NOMEM;
        got = sys->recv(s->pd.fd, bytes, CLIENT_HELLO_MOST, MSG_PEEK);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            rc = err_from_errno(errno);
        else if (got == 0)
            rc = -ERR_CLOSED;
        else if (got > 0)
            rc = client_hello_name(bytes, (size_t)got, text, name);
        scratch_release(&peeking);
        if (rc == 0 && (s->pd.flags & PD_EOF) != 0)
            rc = -ERR_BAD_CLIENT_HELLO; /* no more will come */
        if (rc == 0)
            pd_read_again(&s->pd); /* what comes next is told anew */
    }
    return rc < 0 ? rc : 0;
}

int secure_check_host(const struct exchange *x)
{
    return stream_tls_is_for(&x->conn->stream, route_host(x->req.authority)) ? 0 : -ERR_MISDIRECTED;
}

int secure_check_identity(const struct stream *client, const struct identity_conf *wanted)
{
    const struct tls_identity *id = stream_tls_identity(client);
    const struct conf_strs *allow = &wanted->allow;

    for (size_t i = 0; id != NULL && i < allow->n; i++)
        if (spiffe_matches(allow->v[i], slice_str(id->spiffe)))
            return 0;
    return -ERR_IDENTITY_DENIED;
}
