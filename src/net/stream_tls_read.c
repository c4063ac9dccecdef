/* stream_tls_read.c - reading: what the socket has goes to OpenSSL, and what is in it to who reads the stream. */
#include <errno.h>

#include "base/metric.h"
#include "net/scratch.h"
#include "net/stream_tls_parts.h"
#include "net/sys.h"

int stream_tls_bio_read(BIO *b, char *p, int n)
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

bool stream_tls_may_read(const struct stream *s) { return s->tls->more; }

/* In TLS 1.3 a client may be told only now that its certificate is missing, or is none that is wanted. */
static int broken_code(struct stream_tls *t)
{
    if (!SSL_is_server(t->ssl) && tls_is_alert(ERR_peek_error()))
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
        (void)stream_tls_send_out(t); /* maybe an alert */
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
        tls_clear_errors();
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
        int rc = stream_tls_send_out(t);
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
    tls_clear_errors();
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

        rc = stream_tls_send_out(t);
        if (rc < 0 && rc != -ERR_AGAIN)
            return rc;
        scratch_lost();
        rc = pd_wait_read(&s->pd, deadline);
        if (rc < 0)
            return rc;
    }
    return 0;
}
