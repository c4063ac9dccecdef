/* splice.c - socket to pipe, pipe to socket. */
#include "net/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/metric.h"
#include "base/must.h"
#include "net/scratch.h"
#include "net/sys.h"

enum { PIPE_SIZE = 1024 * 1024, PIPES_KEPT = 32 };

static _Thread_local int kept[PIPES_KEPT][2];
static _Thread_local int n_kept;
static _Atomic uint32_t n_pipes, pipes_most = UINT32_MAX; /* of all threads */

void splice_pipes_most(uint32_t n) { atomic_store(&pipes_most, n); }

static int pipe_take(int fds[2])
{
    if (n_kept > 0) {
        n_kept--;
        fds[0] = kept[n_kept][0];
        fds[1] = kept[n_kept][1];
        return 0;
    }
    if (atomic_fetch_add(&n_pipes, 1) >= atomic_load(&pipes_most) || sys->pipe(fds) < 0) {
        atomic_fetch_sub(&n_pipes, 1);
        return -ERR_NOFILE;
    }
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE); /* EPERM past the user's share: the default size works too */
    return 0;
}

static void pipe_drop(int fds[2])
{
    (void)sys->close(fds[0]);
    (void)sys->close(fds[1]);
    atomic_fetch_sub(&n_pipes, 1);
}

static void pipe_give_back(int fds[2])
{
    if (n_kept == PIPES_KEPT) {
        pipe_drop(fds);
        return;
    }
    kept[n_kept][0] = fds[0];
    kept[n_kept][1] = fds[1];
    n_kept++;
}

void splice_free(void)
{
    while (n_kept > 0) {
        n_kept--;
        pipe_drop(kept[n_kept]);
    }
}

static int empty_pipe(int pipe_fd, struct stream *to, size_t n, int64_t deadline)
{
    while (n > 0) {
        ssize_t put = -1;

        if (pd_may_write(&to->pd)) {
            put = sys->splice(pipe_fd, to->pd.fd, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (put < 0 && errno != EAGAIN && errno != EINTR)
                return err_from_errno(errno);
            if (put > 0) {
                n -= (size_t)put;
                metric_add_at(METRIC_SENT, to->side, put);
            } else if (put == 0 || errno == EAGAIN)
                pd_write_full(&to->pd);
        }
        if (n > 0 && !pd_may_write(&to->pd)) {
            int rc;
            scratch_lost();
            rc = pd_wait_write(&to->pd, deadline);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* >0, 0 at the end, -ERR_AGAIN, or a code. */
static ssize_t fill_pipe(struct stream *from, int pipe_fd, size_t n)
{
    ssize_t got;

    do
        got = sys->splice(from->pd.fd, pipe_fd, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (UNLIKELY(got < 0 && errno == EINTR)); /* no "nothing there": nobody would look again */
    if (got >= 0) {
        metric_add_at(METRIC_RECEIVED, from->side, got);
        return got;
    }
    if (errno == EAGAIN) {
        pd_read_again(&from->pd);
        return -ERR_AGAIN;
    }
    return err_from_errno(errno);
}

ssize_t splice_now(struct stream *from, struct stream *to, size_t n, bool *from_side, int64_t write_deadline)
{
    int fds[2], rc;
    ssize_t got;

    *from_side = true;
    if (!pd_may_read(&from->pd))
        return -ERR_AGAIN;
    rc = pipe_take(fds);
    if (rc < 0)
        return rc;
    got = fill_pipe(from, fds[1], n < PIPE_SIZE ? n : PIPE_SIZE);
    if (got <= 0) {
        pipe_give_back(fds);
        return got;
    }
    rc = empty_pipe(fds[0], to, (size_t)got, write_deadline);
    if (rc < 0) {
        *from_side = false;
        pipe_drop(fds);
        return rc;
    }
    pipe_give_back(fds);
    return got;
}

ssize_t splice_some(struct stream *from, struct stream *to, size_t n, int64_t write_idle, bool *from_side, int64_t deadline)
{
    for (;;) {
        ssize_t got;
        int rc = stream_wait_readable(from, deadline);

        *from_side = true;
        if (rc < 0)
            return rc;
        got = splice_now(from, to, n, from_side, clock_after(fiber_now(), write_idle));
        if (got != -ERR_AGAIN)
            return got;
    }
}
