/* stream.c - sockets; what has TLS on it goes on to stream_tls_read.c and stream_tls_write.c. */
#include "net/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "base/must.h"
#include "net/scratch.h"
#include "net/stream_tls.h"
#include "net/sys.h"

#define FULL_FIRST CLOCK_MS /* how long after a full backlog a Unix socket is tried again; then twice that ... */
#define FULL_MOST  (64 * CLOCK_MS)

void stream_open(struct stream *s, int fd, bool is_tcp)
{
    pd_init(&s->pd, fd);
    s->open = true;
    s->is_tcp = s->raw = is_tcp;
    s->side = METRIC_SIDE_CLIENT;
    s->tls = NULL;
}

static void close_socket(struct stream *s)
{
    s->open = false;
    if (s->tls != NULL)
        stream_tls_free(s);
    pd_forget(&s->pd);
    (void)sys->close(s->pd.fd);
}

void stream_close(struct stream *s)
{
    if (!s->open)
        return;
    if (s->tls != NULL)
        stream_tls_say_end(s);
    close_socket(s);
}

void stream_close_reset(struct stream *s)
{
    static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    if (!s->open)
        return;
    if (s->is_tcp)
        (void)sys->setsockopt(s->pd.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close_socket(s);
}

static int finish_connect(struct stream *s, int64_t deadline)
{
    socklen_t len = sizeof(int);
    int error = 0, rc;

    s->pd.flags = 0; /* nothing is possible until epoll says so */
    scratch_lost();
    rc = pd_wait_write(&s->pd, deadline);
    if (rc < 0)
        return rc;
    if (sys->getsockopt(s->pd.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return err_from_errno(error);
}

int stream_connect_unix(struct stream *s, const struct addr *to, int64_t deadline)
{
    for (int64_t pause = FULL_FIRST;; pause = pause < FULL_MOST ? pause * 2 : pause) {
        int64_t until = clock_now() + pause;
        int rc;

        if (sys->connect(s->pd.fd, &to->sa, to->len) == 0)
            return 0;
        if (errno != EAGAIN)
            return errno;
        scratch_lost();
        rc = fiber_sleep(until < deadline ? until : deadline);
        if (rc == 0 && until >= deadline)
            rc = -ERR_TIMEOUT;
        if (rc < 0)
            return rc;
    }
}

/* A socket that has just been made. */
static int connect_to(struct stream *s, const struct addr *to, int64_t deadline)
{
    int rc = 0;

    if (to->sa.sa_family == AF_UNIX)
        rc = stream_connect_unix(s, to, deadline);
    else if (sys->connect(s->pd.fd, &to->sa, to->len) < 0)
        rc = errno;
    if (rc == EINPROGRESS)
        return finish_connect(s, deadline);
    if (rc == EAGAIN) /* connect(2): "insufficient entries in the routing cache" */
        return -ERR_NOPORT;
    if (rc == 0)
        s->pd.flags = PD_WRITE;
    return rc > 0 ? err_from_errno(rc) : rc;
}

int stream_connect(struct stream *s, const struct addr *to, int64_t deadline)
{
    static const int on = 1;
    bool is_tcp = to->sa.sa_family != AF_UNIX;
    int fd = sys->socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return err_from_errno(errno);
    stream_open(s, fd, is_tcp);
    s->side = METRIC_SIDE_BACKEND;
    if (is_tcp)
        (void)sys->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    rc = connect_to(s, to, deadline);
    if (rc < 0)
        stream_close(s);
    return rc;
}

ssize_t stream_read_now(struct stream *s, void *buf, size_t n)
{
    ssize_t got;

    if (UNLIKELY(s->tls != NULL))
        return stream_tls_read_now(s, buf, n);
    if (!pd_may_read(&s->pd))
        return -ERR_AGAIN;
    do
        got = sys->recv(s->pd.fd, buf, n, 0);
    while (UNLIKELY(got < 0 && errno == EINTR)); /* no "nothing there": nobody would look again */
    if (LIKELY(got >= 0)) {
        if ((size_t)got < n && got > 0)
            pd_read_drained(&s->pd);
        metric_add_at(METRIC_RECEIVED, s->side, got);
        return got;
    }
    if (errno != EAGAIN)
        return err_from_errno(errno);
    pd_read_again(&s->pd);
    return -ERR_AGAIN;
}

int stream_wait_readable(struct stream *s, int64_t deadline)
{
    if (UNLIKELY(s->tls != NULL))
        return stream_tls_wait_readable(s, deadline);
    if (pd_may_read(&s->pd))
        return 0;
    scratch_lost();
    return pd_wait_read(&s->pd, deadline);
}

int stream_wait_writable(struct stream *s, int64_t deadline)
{
    if (pd_may_write(&s->pd))
        return 0;
    scratch_lost();
    return pd_wait_write(&s->pd, deadline);
}

ssize_t stream_read(struct stream *s, void *buf, size_t n, int64_t deadline)
{
    for (;;) {
        ssize_t got;
        int rc = stream_wait_readable(s, deadline);

        if (rc < 0)
            return rc;
        got = stream_read_now(s, buf, n);
        if (got != -ERR_AGAIN)
            return got;
    }
}

ssize_t stream_write_now(struct stream *s, const struct iovec *iov, int n)
{
    size_t want = 0;
    ssize_t put;

    if (UNLIKELY(s->tls != NULL))
        return stream_tls_write_now(s, iov, n);
    if (!pd_may_write(&s->pd))
        return -ERR_AGAIN;
    if (n == 1) {
        want = iov->iov_len;
        put = sys->send(s->pd.fd, iov->iov_base, want, MSG_NOSIGNAL);
    } else {
        struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
        for (int i = 0; i < n; i++)
            want += iov[i].iov_len;
        put = sys->sendmsg(s->pd.fd, &m, MSG_NOSIGNAL);
    }
    if (LIKELY(put >= 0)) {
        if ((size_t)put < want)
            pd_write_full(&s->pd);
        metric_add_at(METRIC_SENT, s->side, put);
        return put;
    }
    if (errno == EINTR)
        return -ERR_AGAIN;
    if (errno != EAGAIN)
        return err_from_errno(errno);
    pd_write_full(&s->pd);
    return -ERR_AGAIN;
}

/* Skips `done` bytes of the vector; returns how many pieces are left. */
static int advance(struct iovec **iov, int n, size_t done)
{
    while (n > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        n--;
    }
    if (n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
    return n;
}

static char *copy_pieces(const struct iovec *iov, int n, size_t *size)
{
    size_t total = 0, at = 0;
    char *copy;

    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    copy = malloc(total);
    if (copy == NULL)
        return NULL;
    for (int i = 0; i < n; i++) {
        memcpy(copy + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    *size = total;
    return copy;
}

/* The peer is slow: what is left is copied, for the scratch is gone after a wait. */
static int write_slowly(struct stream *s, const struct iovec *iov, int n, int64_t deadline)
{
    struct iovec rest;
    char *copy = copy_pieces(iov, n, &rest.iov_len);
    int rc = 0;

    if (copy == NULL)
        return -ERR_NOMEM;
    rest.iov_base = copy;
    while (rc == 0 && rest.iov_len > 0) {
        ssize_t put;

        scratch_lost();
        rc = pd_wait_write(&s->pd, deadline);
        if (rc < 0)
            break;
        put = stream_write_now(s, &rest, 1);
        if (put >= 0) {
            rest.iov_base = (char *)rest.iov_base + put;
            rest.iov_len -= (size_t)put;
        } else if (put != -ERR_AGAIN) {
            rc = (int)put;
        }
    }
    free(copy);
    return rc;
}

int stream_write(struct stream *s, struct iovec *iov, int n, int64_t deadline)
{
    if (UNLIKELY(s->tls != NULL))
        return stream_tls_write(s, iov, n, deadline);
    n = advance(&iov, n, 0);
    while (n > 0) {
        ssize_t put = stream_write_now(s, iov, n);

        if (put == -ERR_AGAIN)
            return write_slowly(s, iov, n, deadline);
        if (put < 0)
            return (int)put;
        n = advance(&iov, n, (size_t)put);
    }
    return 0;
}

int stream_shutdown(struct stream *s)
{
    if (s->open && s->tls != NULL)
        stream_tls_say_end(s);
    if (s->open && sys->shutdown(s->pd.fd, SHUT_WR) < 0)
        return err_from_errno(errno);
    return 0;
}

struct ip stream_local(const struct stream *s)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    } a;
    socklen_t len = sizeof a;

    if (sys->getsockname(s->pd.fd, &a.sa, &len) < 0)
        return (struct ip){ .family = 0 };
    return ip_of(&a.sa, len);
}

enum stream_peek stream_peek(struct stream *s)
{
    char byte;
    ssize_t got;

    do
        got = sys->recv(s->pd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return STREAM_HAS_BYTES;
    if (got == 0)
        return STREAM_ENDED;
    return errno == EAGAIN ? STREAM_QUIET : STREAM_BROKEN;
}

bool stream_is_quiet(struct stream *s)
{
    char byte;

    if (s->tls != NULL)
        return stream_tls_read_now(s, &byte, 1) == -ERR_AGAIN;
    if (!pd_may_read(&s->pd))
        return true;
    if (stream_peek(s) != STREAM_QUIET)
        return false;
    pd_read_again(&s->pd);
    return true;
}

bool stream_has_bytes(struct stream *s)
{
    if (stream_peek(s) != STREAM_HAS_BYTES)
        return false;
    pd_read_found(&s->pd);
    return true;
}
