/*
 * signals.h - signals as something that a fiber reads: no handlers, no interrupted calls.
 *
 * Threads: signals_block() before any thread is started, so that all inherit it; the rest on the main scheduler.
 * Memory: the caller's struct.
 */
#ifndef DAEMON_SIGNALS_H
#define DAEMON_SIGNALS_H
#include "fiber/netpoll.h"

struct signals {
    struct pd pd;
    void (*on)(int number, void *arg); /* on the fiber that reads them; must not wait long */
    void *arg;
};

/* HUP, INT, TERM, QUIT and USR1 wait to be read; PIPE is ignored. */
void signals_block(void);
/* Starts the fiber that reads them.  -ERR_x. */
int signals_start(struct signals *s, struct group *g, void (*on)(int number, void *arg), void *arg);
/* When the group's fibers have ended. */
void signals_close(struct signals *s);
#endif
