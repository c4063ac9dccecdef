/*
 * late.c - a preloaded library in which threads run late, as on a machine that is busy elsewhere.
 *
 * A test that looks at what the proxy notes of a request (counters, states, its log) right after the answer has arrived
 * holds only as long as the proxy's threads happen to run on.  With this, any thread but the main one sleeps LATE_US
 * (10,000) after one in LATE_ONE_IN (2) sends on a socket, and before it sees events in one of as many waits: such a test
 * then fails nearly always.  `make e2e-late` runs the tests so.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long late_us = 10000, one_in = 2;

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);

    return text != NULL && atol(text) > 0 ? atol(text) : otherwise;
}

__attribute__((constructor)) static void read_environment(void)
{
    late_us = number_of("LATE_US", late_us);
    one_in = number_of("LATE_ONE_IN", one_in);
}

static void be_late(void)
{
    static _Atomic unsigned calls;
    struct timespec t = { .tv_sec = late_us / 1000000, .tv_nsec = late_us % 1000000 * 1000 };
    int saved = errno;

    if (syscall(SYS_gettid) == getpid())
        return;
    /* Scattered: of every n-th call the same ones of each request would be late. */
    if ((atomic_fetch_add(&calls, 1) * 2654435761u >> 16) % (unsigned long)one_in == 0)
        (void)nanosleep(&t, NULL);
    errno = saved;
}

typedef long call(long, ...);

static call *the_real(void)
{
    static _Atomic(call *) found;

    if (found == NULL)
        found = (call *)dlsym(RTLD_NEXT, "syscall");
    return found;
}

long syscall(long number, ...)
{
    long a[6], n;
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    n = the_real()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_sendto)
        be_late();
    return n;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    ssize_t n = the_real()(SYS_sendmsg, fd, m, flags);

    be_late();
    return n;
}

ssize_t send(int fd, const void *p, size_t size, int flags)
{
    ssize_t n = the_real()(SYS_sendto, fd, p, size, flags, NULL, 0);

    be_late();
    return n;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    long n = the_real()(SYS_epoll_wait, fd, events, most, timeout);

    if (n > 0)
        be_late();
    return (int)n;
}
