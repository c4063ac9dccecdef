/*
 * sched.h - one scheduler a thread: its ready queue, timers, netpoll, mailbox, and the work that others may take.
 *
 * One turn: run ready fibers (bounded), take fresh work, empty the mailbox, fire timers, look at the sockets.  A worker with
 * nothing to do takes fresh work from a busy one, then sleeps in the netpoll.
 *
 * Threads: sched_open() on the thread that will run it; sched_stop() and sched_wake() from any.
 * Memory: the caller frees with sched_close() after sched_run() returned.
 */
#ifndef FIBER_SCHED_H
#define FIBER_SCHED_H
#include <stdbool.h>
#include <stdint.h>

#include "fiber/fiber.h"
#include "fiber/mailbox.h"

struct sched;
struct netpoll_engine;

#define SCHED_MOST 256 /* schedulers in a process */

/* Opens a scheduler for the calling thread.  `steals`: takes part in sharing fresh work.  NULL: out of memory or descriptors. */
struct sched *sched_open(const char *name, bool steals);
/* The same on a netpoll of one's own (tests: in-memory sockets, virtual time). */
struct sched *sched_open_on(const char *name, bool steals, const struct netpoll_engine *engine, void *engine_arg);
/* Runs until sched_stop(). */
void sched_run(struct sched *s);
/* Ends sched_run() after the current turn; fibers that still live are abandoned with their stacks. */
void sched_stop(struct sched *s);
void sched_close(struct sched **sp);

struct sched *sched_self(void);
const char *sched_name(const struct sched *s);
struct mailbox *sched_mailbox(struct sched *s);

/* A function that each turn calls on the scheduler's stack (may be NULL): the worker's housekeeping.  No yielding. */
void sched_each_turn(struct sched *s, void (*fn)(void *), void *arg);

/* Counters, exact on the own thread, a snapshot elsewhere. */
struct sched_stats {
    uint64_t turns, switches, started, stolen, polls, mails;
    uint32_t fibers, ready;           /* alive; waiting for the CPU */
    uint32_t stacks_warm, stacks_cold, stacks_unguarded;
    int64_t last_turn;                 /* when it last came round: for a watchdog */
};
void sched_stats_get(struct sched *s, struct sched_stats *out);

/* Handles SIGSEGV and SIGBUS: an overflow of a fiber's stack is reported with the fiber's name.  Once a process; the
 * alternate stack it needs is made by sched_open() for each thread. */
void sched_catch_overflow(void);
#endif
