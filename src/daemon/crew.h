/*
 * crew.h - the worker threads, as one: started, told, asked whether they still turn, stopped.
 *
 * Threads: everything here is called on the main thread; those marked "from a fiber" wait there.
 * Memory: the caller's struct; crew_stop() frees what crew_start() took.
 */
#ifndef DAEMON_CREW_H
#define DAEMON_CREW_H
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fiber/mailbox.h"

struct listener_set;
struct sched;
struct serving;
struct worker;

struct crew_member {
    unsigned index;
    pthread_t thread;
    struct worker *worker; /* from ready() on, until crew_stop() */
    sem_t *told;           /* posted when it is ready, or has failed */
    int rc;                /* of worker_run() */
    struct mail pulse;
    _Atomic bool pulse_out; /* sent and not answered yet */
};

struct crew {
    unsigned n;
    struct crew_member *v;
    struct sched **scheds; /* n + 2: the first and the last are left to the caller (the main and the health thread's) */
};

/* Starts n threads and waits until each can be sent mail.  Signals must be blocked already.  -ERR_x: none runs. */
int crew_start(struct crew *c, unsigned n);
/* From a fiber: returns when every worker serves by it.  Can't fail; out of memory, it waits for some. */
void crew_publish(struct crew *c, struct serving *s, struct listener_set *listeners);
/* From a fiber: returns when no worker accepts any more. */
void crew_drain(struct crew *c);
/* From a fiber.  What a worker holds of shared things without a count, it holds within one turn: waits until each has begun another. */
void crew_settle(struct crew *c);
/* True: all have answered the last pulse.  Sends the next one to those who have. */
bool crew_pulse(struct crew *c);
/* Ends the threads and waits for that. */
void crew_stop(struct crew *c);
#endif
