/* stream_tls_write.c - writing: records are sealed, sent together, and put aside where the socket doesn't take them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "net/scratch.h"
#include "net/stream_tls_parts.h"
#include "net/sys.h"

enum {
    RECORD_MOST = SSL3_RT_MAX_PLAIN_LENGTH,
    SEALED_MOST = 4 * (RECORD_MOST + SSL3_RT_MAX_ENCRYPTED_OVERHEAD + SSL3_RT_HEADER_LENGTH), /* that leave in one send */
};

/* What a thread needs while it seals: nothing of it outlives a call. */
struct sealing {
    size_t n;
    char sealed[SEALED_MOST];
    char plain[RECORD_MOST];
};
static _Thread_local struct sealing *sealing;

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

int stream_tls_send_out(struct stream_tls *t)
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

int stream_tls_drain(struct stream_tls *t, int64_t deadline)
{
    int rc;

    while ((rc = stream_tls_send_out(t)) == -ERR_AGAIN) {
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
        (void)stream_tls_send_out(s->tls);
}

int stream_tls_bio_write(BIO *b, const char *p, int n)
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

/* ---- sealing ---- */

static bool take_sealing(void)
{
    if (sealing == NULL) {
        sealing = malloc(sizeof *sealing);
        if (sealing != NULL)
            sealing->n = 0;
    }
    return sealing != NULL;
}

void stream_tls_thread_ends(void)
{
    free(sealing);
    sealing = NULL;
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
    tls_clear_errors();
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
    int rc = t->failed_out < 0 ? t->failed_out : stream_tls_send_out(t);

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
    return stream_tls_drain(t, deadline);
}
