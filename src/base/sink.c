/* sink.c - writing without waiting, whatever the descriptor is. */
#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static int reopen_without_waiting(int fd)
{
    char path[32];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void sink_open(struct sink *s, int fd)
{
    struct stat st;
    int own;

    *s = (struct sink){ .fd = fd, .kind = SINK_PLAIN };
    if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
        return;
    if (S_ISSOCK(st.st_mode)) {
        s->kind = SINK_SOCKET;
        return;
    }
    s->kind = SINK_ASK_FIRST;
    own = S_ISFIFO(st.st_mode) ? reopen_without_waiting(fd) : -1;
    if (own >= 0)
        *s = (struct sink){ .fd = own, .kind = SINK_PLAIN, .own = true };
}

void sink_close(struct sink *s)
{
    if (s->own)
        (void)close(s->fd);
    *s = (struct sink){ .fd = -1 };
}

bool sink_wait(const struct sink *s, int timeout_ms)
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };

    return poll(&p, 1, timeout_ms) > 0; /* also when it is broken: the write then says how */
}

ssize_t sink_write(const struct sink *s, const void *p, size_t n)
{
    ssize_t done;

    if (s->kind == SINK_ASK_FIRST) {
        if (!sink_wait(s, 0))
            return -ERR_AGAIN;
        if (n > PIPE_BUF)
            n = PIPE_BUF; /* what a pipe that is writable takes without waiting */
    }
    do
        done = s->kind == SINK_SOCKET ? send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(s->fd, p, n);
    while (done < 0 && errno == EINTR);
    return done < 0 ? err_from_errno(errno) : done;
}
