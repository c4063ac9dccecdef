/*
 * worker.h - what one worker thread has: its scheduler, its doors (listening sockets), its connections, what it serves by.
 *
 * Threads: everything here is the worker's own, but for what is sent by mail (worker_publish, worker_drain, ...: main thread).
 * Memory: worker_run() makes and frees it on its thread.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "fiber/sched.h"
#include "fiber/timer.h"
#include "proxy/listener.h"
#include "proxy/serving.h"

/* A serving and how many of this worker's exchanges, doors and tunnels use it. */
struct served {
    struct serving *serving;
    uint32_t users;
};

#define WORKER_MAGIC 0x574f524bu
struct worker {
    uint32_t magic;
    unsigned index;
    struct sched *sched;
    struct served *served;      /* for new requests on doors that are in the configuration */
    struct list doors;          /* struct door */
    struct list idle_new;       /* struct conn: no request yet, by age */
    struct list idle_kept;      /* struct conn: between requests, by age */
    struct list tunnels;        /* struct tunnel */
    struct list h2;             /* struct h2_conn: all of them */
    struct list busy;           /* struct conn with a fiber */
    struct timer sweep;         /* closes those that idled too long */
    int64_t stop_at;            /* while stopping: when patience ends */
    char name[16];
    bool draining;              /* answers carry Connection: close, nothing new is accepted */
    uint32_t n_conns;
    uint32_t conns_peak;        /* since memory was last given back */
    struct timer give_back;     /* armed when most of many connections have gone */
    uint32_t n_leaving;         /* HTTP/2 connections that are being ended in good order */
};
extern _Thread_local struct worker *worker_self;
/* What workers poll with: a test puts in-memory sockets behind it, as it does behind `sys`. */
extern const struct netpoll_engine *worker_netpoll;

struct served *served_new(struct serving *s); /* takes over the reference; one user, the caller; NULL: out of memory */
static inline struct served *served_use(struct served *s)
{
    s->users++;
    return s;
}
void served_done(struct served **sp);
/* A connection is this worker's from now on, or no more. */
void worker_conn_begins(struct worker *w);
void worker_conn_ends(struct worker *w);
/* A connection has gone idle: makes sure that the sweep comes in time. */
void worker_watch_idle(struct worker *w);

/* Client connections of the whole process, and the limit: shared by all workers. */
struct connection_count {
    _Atomic uint32_t open;
    _Atomic uint32_t most;
};
extern struct connection_count connections;

/* The thread's main function: opens its scheduler, calls ready(arg) (after which mail may be sent to it), serves until worker_stop(). */
int worker_run(unsigned index, void (*ready)(struct worker *w, void *arg), void *arg);

/* From the main thread; each calls done(arg) on the worker's thread when it is carried out (may be NULL).  -ERR_NOMEM. */
/* Serve by `s` from now on, on these listeners: doors that aren't among them are closed. */
int worker_publish(struct worker *w, struct serving *s, struct listener_set *listeners, void (*done)(void *), void *arg);
/* Accept nothing more, end keep-alive, tell tunnels nothing yet. */
int worker_drain(struct worker *w, void (*done)(void *), void *arg);
/* Nothing but done(arg): what the worker had taken from shared memory, and not counted, before this was sent it has let go of. */
int worker_settle(struct worker *w, void (*done)(void *), void *arg);
/* Ends sched_run(); connections still open are reset. */
int worker_stop(struct worker *w);
#endif
