/* overflow.c - a fiber that runs into its guard is named before the process dies. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fiber/core.h"

#define SIGNAL_STACK (64u * 1024u)

void overflow_thread_open(struct sched *s)
{
    stack_t st = { .ss_size = SIGNAL_STACK };

    s->signal_stack = st.ss_sp = malloc(SIGNAL_STACK);
    if (s->signal_stack != NULL)
        (void)sigaltstack(&st, NULL); /* without it an overflow is a bare crash, no more */
}

void overflow_thread_close(struct sched *s)
{
    stack_t none = { .ss_flags = SS_DISABLE };

    (void)sigaltstack(&none, NULL);
    free(s->signal_stack);
}

static void say(const char *text) { (void)!write(STDERR_FILENO, text, strlen(text)); }

static void on_fault(int sig, siginfo_t *info, void *context)
{
    struct sched *s = sched_of_thread;

    (void)context;
    if (s != NULL && s->running != NULL) {
        struct fiber *f = s->running;
        say("weir: fault in fiber '");
        say(f->name);
        say("' while ");
        say(f->doing);
        say(stack_guard_hit(&s->stacks, info->si_addr) == f->stack ? ": its stack overflowed\n" : "\n");
    }
    (void)raise(sig); /* SA_RESETHAND: the default action follows, with a core */
}

void sched_catch_overflow(void)
{
    struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND };

    (void)sigemptyset(&sa.sa_mask);
    (void)sigaction(SIGSEGV, &sa, NULL);
    (void)sigaction(SIGBUS, &sa, NULL);
}
