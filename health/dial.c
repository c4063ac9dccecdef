/* dial.c - one connection for one probe. */
#include "health/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "base/must.h"
#include "net/proxy_protocol.h"
#include "net/scratch.h"
#include "net/stream_tls.h"
#include "net/sys.h"

void dial_detail(struct probe *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(p->detail, sizeof p->detail, fmt, ap);
    va_end(ap);
}

enum probe_result dial_failed(struct probe *p, int code, const char *doing)
{
    dial_detail(p, "%s: %s", doing, err_text(code));
    switch (-code) {
    case ERR_TIMEOUT: return PROBE_TIMEOUT;
    case ERR_REFUSED: return PROBE_REFUSED;
    case ERR_UNREACHABLE: return PROBE_UNREACHABLE;
    case ERR_CLOSED:
    case ERR_IO:
    case ERR_RESET:
    case ERR_STREAM_REFUSED: return PROBE_CLOSED;
    case ERR_TLS_ALERT: return PROBE_TLS;
    case ERR_NOMEM:
    case ERR_NOFILE:
    case ERR_NOPORT:
    case ERR_INTERNAL:
    case ERR_CANCELED: return PROBE_LOCAL;
    default: return PROBE_BAD_ANSWER;
    }
}

/* From errno, whose words say more than the codes of err.h. */
static enum probe_result refused(struct probe *p, int error)
{
    dial_detail(p, "%s", strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error");
    switch (error) {
    case ECONNREFUSED:
    case ENOENT: return PROBE_REFUSED; /* ENOENT: a Unix socket that is not there */
    case ETIMEDOUT: return PROBE_TIMEOUT;
    case ECONNRESET:
    case ECONNABORTED: return PROBE_CLOSED;
    case EADDRNOTAVAIL: /* every local port is in use */
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EINTR: return PROBE_LOCAL;
    default: return PROBE_UNREACHABLE;
    }
}

/* ---- sockets ---- */

struct spare {
    struct spare *next;
    int family;
    struct stream stream; /* registered with epoll or not, as it was */
};

static _Thread_local struct {
    struct spare *first;
    unsigned n;
    int users;
} spares;

static struct spare *take_spare(int family)
{
    for (struct spare **at = &spares.first; *at != NULL; at = &(*at)->next) {
        struct spare *s = *at;
        if (s->family != family)
            continue;
        *at = s->next;
        spares.n--;
        return s;
    }
    return NULL;
}

/* A free socket, or NULL and errno. */
static struct spare *socket_for(const struct addr *to)
{
    int family = to->sa.sa_family, fd;
    struct spare *s = take_spare(family);

    if (s != NULL)
        return s;
    s = malloc(sizeof *s);
    if (s == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    fd = sys->socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int error = errno;
        free(s);
        errno = error;
        return NULL;
    }
    s->family = family;
    stream_open(&s->stream, fd, family != AF_UNIX);
    s->stream.side = METRIC_SIDE_BACKEND;
    return s;
}

static void destroy(struct spare *s)
{
    if (s->stream.tls != NULL)
        stream_close(&s->stream);
    else
        stream_close_reset(&s->stream);
    free(s);
}

/* Connecting to "nowhere" resets the connection and makes the socket as it was before (connect(2), AF_UNSPEC). */
static bool disconnect(struct stream *s)
{
    static const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

    return s->is_tcp && sys->connect(s->pd.fd, &nowhere, sizeof nowhere) == 0;
}

void dial_close(struct stream **sp)
{
    struct spare *s = *sp == NULL ? NULL : CONTAINER_OF(*sp, struct spare, stream);

    *sp = NULL;
    if (s == NULL)
        return;
    if (s->stream.tls != NULL || spares.users == 0 || spares.n >= DIAL_SPARE || !disconnect(&s->stream)) {
        destroy(s);
        return;
    }
    s->next = spares.first;
    spares.first = s;
    spares.n++;
}

void dial_users(int more)
{
    spares.users += more;
    MUST(spares.users >= 0);
    while (spares.users == 0 && spares.first != NULL) {
        struct spare *s = spares.first;
        spares.first = s->next;
        spares.n--;
        destroy(s);
    }
}

/* ---- connecting ---- */

/* An error shows as readable, too: of a socket that is only writable nothing need be asked. */
static enum probe_result await(struct probe *p, struct stream *s, int64_t deadline)
{
    socklen_t len = sizeof(int);
    int error = 0, rc;

    scratch_lost();
    rc = pd_wait_write(&s->pd, deadline);
    if (rc == -ERR_TIMEOUT) {
        dial_detail(p, "no connection in time");
        return PROBE_TIMEOUT;
    }
    if (rc < 0)
        return dial_failed(p, rc == -ERR_CANCELED ? rc : -ERR_NOMEM, "connecting"); /* it could not be registered */
    if ((s->pd.flags & (PD_READ | PD_EOF | PD_DOUBT)) == 0)
        return PROBE_OK;
    if (sys->getsockopt(s->pd.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return error == 0 ? PROBE_OK : refused(p, error);
}

/*
 * On the same machine the handshake is over when connect() returns, although it says EINPROGRESS: asking again tells, and a
 * socket that epoll does not know need not be told to it.  Elsewhere asking again is in vain, and happens once a socket.
 */
static enum probe_result connect_tcp(struct probe *p, struct stream *s, int64_t deadline)
{
    static const int off = 0;
    int rc;

    s->pd.flags &= PD_REGISTERED;                                                 /* nothing is possible until epoll says so */
    (void)sys->setsockopt(s->pd.fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off); /* holds back the ACK of the handshake */
    rc = sys->connect(s->pd.fd, &p->to->sa, p->to->len);
    if (rc < 0 && errno == EINPROGRESS && (s->pd.flags & PD_REGISTERED) == 0)
        rc = sys->connect(s->pd.fd, &p->to->sa, p->to->len);
    if (rc < 0 && (errno == EINPROGRESS || errno == EALREADY))
        return await(p, s, deadline);
    if (rc < 0 && errno != EISCONN)
        return refused(p, errno);
    s->pd.flags |= PD_WRITE;
    return PROBE_OK;
}

static enum probe_result connect_unix(struct probe *p, struct stream *s, int64_t deadline)
{
    int rc = stream_connect_unix(s, p->to, deadline);

    if (rc < 0)
        return dial_failed(p, rc, "waiting for room in the backlog");
    return rc == 0 ? PROBE_OK : refused(p, rc);
}

enum probe_result dial(struct probe *p, struct stream **out, int64_t deadline)
{
    struct spare *s = socket_for(p->to);
    enum probe_result r;

    *out = NULL;
    if (s == NULL)
        return refused(p, errno);
    r = s->stream.is_tcp ? connect_tcp(p, &s->stream, deadline) : connect_unix(p, &s->stream, deadline);
    if (r == PROBE_OK)
        *out = &s->stream;
    else
        destroy(s);
    return r;
}

/* ---- PROXY protocol ---- */

/* Version 2 has a word for connections of the proxy's own, LOCAL.  That of version 1, UNKNOWN, some receivers refuse: they are told
 * the probe's own addresses (proxy-protocol.txt 2.1). */
static enum probe_result introduce(struct probe *p, struct stream *s, int64_t deadline)
{
    enum proxy_send how = (enum proxy_send)p->conf->send_proxy_protocol;
    struct proxy_client own = { .from = stream_local(s), .to = ip_of(&p->to->sa, p->to->len) };
    struct buf header = { 0 };
    int rc;

    proxy_header_write(&header, how, how == PROXY_SEND_V1 ? &own : NULL);
    rc = header.failed ? -ERR_NOMEM : stream_write_bytes(s, header.p, header.n, deadline);
    buf_free(&header);
    return rc < 0 ? dial_failed(p, rc, "sending the PROXY protocol header") : PROBE_OK;
}

/* ---- TLS ---- */

static enum probe_result tls_failed(struct probe *p, int code)
{
    const char *why = stream_tls_why();

    switch (-code) {
    case ERR_TLS:
    case ERR_TLS_ALERT:
    case ERR_TLS_CERTIFICATE: dial_detail(p, "%s", why[0] != '\0' ? why : err_text(code)); return PROBE_TLS;
    case ERR_TLS_IDENTITY: dial_detail(p, "its identity is not allowed: %s", why); return PROBE_TLS;
    case ERR_NO_IDENTITY: dial_detail(p, "%s", why); return PROBE_LOCAL;
    default: return dial_failed(p, code, "TLS handshake");
    }
}

enum probe_result dial_tls(struct probe *p, const char *protocol, struct stream **out, int64_t deadline)
{
    const struct tls_party *party = p->conf->tls_party;
    enum probe_result r = dial(p, out, deadline);
    int rc;

    if (r == PROBE_OK && p->conf->send_proxy_protocol != PROXY_SEND_OFF) {
        r = introduce(p, *out, deadline);
        if (r != PROBE_OK)
            dial_close(out);
    }
    if (r != PROBE_OK || party == NULL)
        return r;
    fiber_doing("shaking hands");
    rc = stream_tls_connect(*out, party, p->to, protocol, NULL, deadline);
    if (rc == 0)
        return PROBE_OK;
    r = tls_failed(p, rc);
    dial_close(out);
    return r;
}
