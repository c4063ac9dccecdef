/*
 * listener.h - listening sockets: opened by the main thread, a socket a worker (SO_REUSEPORT), kept over reloads.
 *
 * A `listener` is an address that is listened on, shared by all workers; a `door` is one worker's share of it: its socket, the
 * fiber that accepts, and by which configuration its connections are served.
 *
 * Threads: listeners are made on the main thread and counted; a door belongs to its worker.
 * Memory: a listener lives as long as a configuration, a door or a connection that has not started refers to it.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "conf/snapshot.h"
#include "fiber/netpoll.h"

struct worker;
struct served;

#define LISTENER_MAGIC 0x4c495354u
struct listener {
    uint32_t magic;
    _Atomic uint32_t refs;
    char *name;          /* of the configuration that opened it; the address decides whether it stays */
    struct addr bind;
    unsigned n_sockets;
    int *socket;         /* by worker; -1: this worker doesn't accept here (a Unix socket has one), or it is taken */
    char *unlink_path;   /* of a Unix socket: removed when the listener goes */
};
struct listener *listener_ref(struct listener *l);
void listener_unref(struct listener **lp);

/* The listeners of one configuration, in its order. */
struct listener_set {
    _Atomic uint32_t refs;
    size_t n;
    struct listener *v[];
};
/* Opens what `old` (may be NULL) doesn't have.  On an error (said in `why`, for people: "web: 0.0.0.0:80 is in use") nothing is
 * changed and nothing stays open.  -ERR_INVALID, -ERR_NOMEM. */
struct buf;
int listener_set_open(const struct snapshot *s, struct listener_set *old, unsigned n_workers, struct listener_set **out, struct buf *why);
struct listener_set *listener_set_ref(struct listener_set *set);
void listener_set_unref(struct listener_set **setp);
/* For `weir -t`: says in `why` what could not be bound right now. */
void listener_set_try(const struct snapshot *s, struct buf *why);

#define DOOR_MAGIC 0x444f4f52u
struct door {
    uint32_t magic;
    struct list link; /* of the worker's doors */
    struct worker *worker;
    struct listener *listener;
    struct served *served; /* what its connections are served by: the last configuration that has it */
    const struct listener_conf *conf; /* in that */
    struct pd pd;
    struct fiber *fiber; /* that accepts, once it runs */
    uint8_t batch;       /* how many it takes at once: more while more keep coming */
    bool accepting;      /* it has been started and has not ended */
    bool closed;         /* the configuration has it no more: finish what is there */
    uint32_t conns;
};
/* Brings the worker's doors in line with a configuration. */
int doors_update(struct worker *w, struct served *served, struct listener_set *set);
void doors_close(struct worker *w);
void doors_tidy(struct worker *w); /* before an update: frees those that the one before closed */
void doors_end(struct worker *w); /* the thread ends: frees them */
struct door *door_find(struct worker *w, const struct listener *l);
/* One connection less. */
void door_leave(struct door **dp);
#endif
