/* sockets.c - socketpairs and loopback connections. */
#include "tests/lib/sockets.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fiber/sched.h"

static void be_a_peer(int fd)
{
    struct timeval patience = { .tv_sec = 10 };

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
}

void end_open(struct end *e)
{
    int fd[2];

    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does: splice() has no MSG_NOSIGNAL */
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    be_a_peer(fd[1]);
    e->peer = fd[1];
    stream_open(&e->s, fd[0], false);
}

int listen_anywhere(struct addr *a)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *a = (struct addr){ .len = sizeof a->in };
    a->in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, &a->sa, a->len), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    ck_assert_int_eq(getsockname(fd, &a->sa, &a->len), 0);
    return fd;
}

struct addr nobody_there(void)
{
    struct addr a;

    (void)close(listen_anywhere(&a));
    return a;
}

int accept_peer(int listening)
{
    int fd;

    be_a_peer(listening);
    fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    be_a_peer(fd);
    return fd;
}

void end_open_tcp(struct end *e)
{
    struct addr a;
    int listening = listen_anywhere(&a), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)signal(SIGPIPE, SIG_IGN);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, &a.sa, a.len), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    e->peer = accept_peer(listening);
    ck_assert_int_eq(close(listening), 0);
    stream_open(&e->s, fd, true);
}

void peer_close(struct end *e)
{
    if (e->peer >= 0)
        ck_assert_int_eq(close(e->peer), 0);
    e->peer = -1;
}

void end_close(struct end *e)
{
    stream_close(&e->s);
    peer_close(e);
}

void peer_send(const struct end *e, const void *p, size_t n) { ck_assert_int_eq(send(e->peer, p, n, MSG_NOSIGNAL), (ssize_t)n); }
void peer_say(const struct end *e, const char *text) { peer_send(e, text, strlen(text)); }

void peer_take(const struct end *e, void *p, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t more = recv(e->peer, (char *)p + got, n - got, 0);

        ck_assert_msg(more > 0, "%zu of %zu bytes came", got, n);
        got += (size_t)more;
    }
}

void peer_expect(const struct end *e, const char *text)
{
    char got[4096] = { 0 };

    ck_assert_uint_lt(strlen(text), sizeof got);
    peer_take(e, got, strlen(text));
    ck_assert_str_eq(got, text);
}
