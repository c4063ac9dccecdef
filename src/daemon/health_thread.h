/*
 * health_thread.h - the thread that keeps memberships: checks, discovery, ejections; it serves nothing.
 *
 * Threads: called on the main thread; those marked "from a fiber" wait there.
 * Memory: the caller's struct; health_thread_stop() frees what the start took.
 */
#ifndef DAEMON_HEALTH_THREAD_H
#define DAEMON_HEALTH_THREAD_H
#include <pthread.h>
#include <semaphore.h>

#include "upstream/members.h"

struct health_thread {
    pthread_t thread;
    struct sched *sched; /* NULL: it does not run */
    struct members *members;
    const struct members_readers *readers;
    sem_t told;
    struct mail stop;
};

/* Starts it and waits until it can be called.  -ERR_NOMEM: it does not run. */
int health_thread_start(struct health_thread *h, const struct members_readers *readers);
/* From a fiber: the pools are watched from now on, and older ones no more. */
void health_thread_adopt(struct health_thread *h, struct pool *const *pools, size_t n, bool cold);
/* From a fiber: as crew_settle(), of this thread. */
void health_thread_settle(struct health_thread *h);
/* From a fiber, while the workers run: ends all that goes on there. */
void health_thread_quiet(struct health_thread *h);
/* When no worker runs any more. */
void health_thread_stop(struct health_thread *h);

/* From a fiber: what `weir ctl` asks. */
int health_thread_list(struct health_thread *h, const char *pool, struct buf *out);
int health_thread_order(struct health_thread *h, const char *which, enum members_order order, unsigned weight, struct buf *out);
#endif
