/*
 * netpoll.h - readiness of descriptors: each is registered once, edge-triggered and persistent; waiting is a stored pointer.
 *
 * A `pd` keeps what is known: whether reading or writing may succeed.  I/O is tried only while the flag is up; a short read
 * or write takes it down, so that no system call is made that can be known to say EAGAIN.  An end of stream that epoll has
 * announced keeps the read flag up past a short read.  A pd starts with both flags up and unregistered; the first wait
 * registers it, so a connection that never waits costs no epoll_ctl.
 *
 * Threads: a pd belongs to one scheduler, that of the thread that first waits on it.
 * Memory: the pd is the caller's; netpoll_forget() before the descriptor is closed.
 */
#ifndef FIBER_NETPOLL_H
#define FIBER_NETPOLL_H
#include <stdbool.h>
#include <stdint.h>

#include "fiber/fiber.h"

#define PD_EVENT_SIZE 128 /* room for libevent's struct event; netpoll.c checks it */

enum {
    PD_READ = 1,
    PD_WRITE = 2,
    PD_EOF = 4,
    PD_REGISTERED = 8,
    /* Set before registering a listening socket: reported as readable on every poll while it is, so that whoever takes only some
     * of what waits need not ask until EAGAIN. */
    PD_LEVEL = 16,
    /* An error may stand behind the bytes that were reported, and libevent doesn't tell: who would wait for more looks once more. */
    PD_DOUBT = 32,
};

struct pd {
    int fd;
    uint8_t flags;
    struct fiber *reader, *writer; /* who waits */
    /* Called on the scheduler's stack when it becomes readable and nobody waits: the owner starts a fiber or drops the
     * connection.  NULL: the flag is all. */
    void (*on_readable)(struct pd *p);
    void *owner; /* for on_readable */
    _Alignas(8) unsigned char event[PD_EVENT_SIZE];
};

void pd_init(struct pd *p, int fd);
/* Registers it now (an idle connection that waits for its next byte).  -ERR_NOMEM, -ERR_IO. */
int pd_register(struct pd *p);
/* Undoes the registration; nobody may be waiting.  Afterwards the descriptor may be closed, or handed to another thread. */
void pd_forget(struct pd *p);

static inline bool pd_may_read(const struct pd *p) { return (p->flags & PD_READ) != 0; }
/* The message has ended where its bytes did: there is nothing to look for behind it. */
static inline void pd_no_doubt(struct pd *p) { p->flags &= (uint8_t)~PD_DOUBT; }
static inline bool pd_may_write(const struct pd *p) { return (p->flags & PD_WRITE) != 0; }
/* After EAGAIN, or after fewer bytes than asked for. */
static inline void pd_read_drained(struct pd *p)
{
    if ((p->flags & PD_EOF) == 0)
        p->flags &= (uint8_t)~PD_READ;
}
static inline void pd_read_again(struct pd *p) { p->flags &= (uint8_t)~PD_READ; } /* after EAGAIN: nothing, not even an end */
static inline void pd_read_found(struct pd *p) { p->flags |= PD_READ; }           /* seen before epoll told */
static inline void pd_write_full(struct pd *p) { p->flags &= (uint8_t)~PD_WRITE; }

/* From a fiber: until the flag is up.  0, -ERR_TIMEOUT, -ERR_CANCELED, or a failed registration's code. */
int pd_wait_read(struct pd *p, int64_t deadline);
int pd_wait_write(struct pd *p, int64_t deadline);

/* Who waits to read looks up: its wait returns -ERR_AGAIN.  False: nobody waits. */
bool pd_nudge_reader(struct pd *p);

/* What is behind: libevent, or a test's in-memory sockets. */
struct netpoll_engine {
    void *(*open)(void *arg);
    void (*close)(void *state);
    int (*add)(void *state, struct pd *p);
    void (*remove)(void *state, struct pd *p);
    /* Reports readiness through pd_report() until `until` (CLOCK_NEVER: for ever; 0: don't wait) or wake(). */
    void (*poll)(void *state, int64_t until);
    void (*wake)(void *state); /* from any thread; makes a poll that waits return */
};
extern const struct netpoll_engine netpoll_libevent;
const char *netpoll_library(void); /* "libevent 2.1.12-stable": for `weir -V` */

/* For engines: what became possible (PD_READ, PD_WRITE, PD_EOF). */
void pd_report(struct pd *p, unsigned what);
#endif
