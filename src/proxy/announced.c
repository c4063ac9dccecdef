/* announced.c - the header is looked at until it is whole, and only then taken: what is behind it stays in the socket. */
#include "proxy/announced.h"

#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/proxy_protocol.h"
#include "net/scratch.h"
#include "net/sys.h"
#include "proxy/accept.h"
#include "proxy/exchange.h"
#include "proxy/listener.h"
#include "upstream/origin.h"

static void keep_nothing(struct scratch_user *u) { (void)u; }
static _Thread_local struct scratch_user peeking = { keep_nothing };

/* Takes the header, which has been seen, out of the socket: n bytes of `seen`. */
static int take(struct stream *s, uint8_t *bytes, size_t n, size_t seen)
{
    ssize_t got;

    do
        got = sys->recv(s->pd.fd, bytes, n, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)n)
        return got < 0 ? err_from_errno(errno) : -ERR_INTERNAL;
    metric_add_at(METRIC_RECEIVED, s->side, got);
    if (n == seen && seen < PROXY_HEADER_MOST)
        pd_read_drained(&s->pd);
    return 0;
}

/* One look.  1: the header has been taken; 0: not yet; or a code.  *any: bytes are there. */
static int look(struct stream *s, struct proxy_header *h, bool *any)
{
    uint8_t *bytes = (uint8_t *)scratch_in(&peeking);
    ssize_t got;
    int rc = 0;

    if (bytes == NULL)
        return -ERR_NOMEM;
    do
        got = sys->recv(s->pd.fd, bytes, PROXY_HEADER_MOST, MSG_PEEK);
    while (got < 0 && errno == EINTR); /* no "nothing there": nobody would look again */
    *any |= got > 0;
    if (got < 0 && errno != EAGAIN)
        rc = err_from_errno(errno);
    else if (got == 0)
        rc = -ERR_CLOSED;
    else if (got > 0)
        rc = proxy_header_read(bytes, (size_t)got, h);
    if (rc > 0) {
        rc = take(s, bytes, (size_t)rc, (size_t)got);
        rc = rc == 0 ? 1 : rc;
    }
    scratch_release(&peeking);
    if (rc == 0 && (s->pd.flags & PD_EOF) != 0)
        rc = *any ? -ERR_BAD_PROXY_HEADER : -ERR_CLOSED; /* no more will come */
    if (rc == 0)
        pd_read_again(&s->pd); /* what comes next is told anew */
    return rc;
}

/* 0, or the code it ends with. */
static int read_header(struct stream *s, struct proxy_header *h, int64_t deadline)
{
    bool any = false;
    int rc = 0;

    while (rc == 0) {
        rc = stream_wait_readable(s, deadline);
        if (rc == 0)
            rc = look(s, h, &any);
    }
    switch (-rc) {
    case ERR_TIMEOUT: return -ERR_PROXY_HEADER_TIMEOUT;
    case ERR_CANCELED: return -fiber_cause();
    case ERR_CLOSED:
    case ERR_RESET:
    case ERR_IO: return any ? -ERR_BAD_PROXY_HEADER : -ERR_CLOSED;
    default: return rc < 0 ? rc : 0;
    }
}

static void tell(const struct conn *c, int rc)
{
    char proxy[IP_TEXT_MAX];

    if (rc == -ERR_CLOSED || rc == -ERR_DRAINING)
        return; /* it came and went without a word, as checks of a port do */
    metric_add_at(METRIC_FAILURES, metric_reason(rc), 1);
    (void)ip_format(&c->peer, proxy);
    log_every_second(LOG_LEVEL_WARN, "proxy_protocol.failed", "listener=%s from=%s reason=%s", c->door->conf->name, proxy,
                     err_word(rc));
}

bool announced_begin(struct conn *c)
{
    int64_t patience = c->door->served->serving->conf->timeouts.request_header;
    struct proxy_header h = { .local = true };
    int rc;

    fiber_doing("waiting for the PROXY protocol header");
    rc = read_header(&c->stream, &h, deadline_in(patience));
    if (rc == 0 && !h.local) {
        c->origin = origin_new(&c->stream, &h.from, &h.to);
        if (c->origin == NULL)
            rc = -ERR_NOMEM;
        c->peer = h.from;
    }
    if (rc < 0) {
        tell(c, rc);
        return false;
    }
    c->unannounced = false;
    return accept_client(c->door, c);
}
