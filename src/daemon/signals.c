/* signals.c - signalfd(2). */
#include "daemon/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void wanted(sigset_t *set)
{
    static const int numbers[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1 };

    (void)sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        (void)sigaddset(set, numbers[i]);
}

void signals_block(void)
{
    sigset_t set;

    wanted(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void read_all(void *arg)
{
    struct signals *s = arg;
    struct signalfd_siginfo info;

    fiber_doing("waiting for a signal");
    while (pd_wait_read(&s->pd, CLOCK_NEVER) == 0) {
        ssize_t n = read(s->pd.fd, &info, sizeof info);
        if (n == (ssize_t)sizeof info)
            s->on((int)info.ssi_signo, s->arg);
        else if (errno != EINTR)
            pd_read_again(&s->pd);
    }
}

int signals_start(struct signals *s, struct group *g, void (*on)(int number, void *arg), void *arg)
{
    sigset_t set;
    int fd;

    wanted(&set);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    pd_init(&s->pd, fd);
    s->on = on;
    s->arg = arg;
    return fiber_go(g, "signals", read_all, s);
}

void signals_close(struct signals *s)
{
    if (s->on == NULL)
        return;
    pd_forget(&s->pd);
    (void)close(s->pd.fd);
    s->on = NULL;
}
