/*
 * host.h - what the admin side sees of the daemon, and what it may ask of it.
 *
 * The daemon fills one in; nothing here knows who that is.
 * Threads: the main thread's fibers, but for `about`.  Memory: the daemon's; it outlives every admin connection.
 */
#ifndef ADMIN_HOST_H
#define ADMIN_HOST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "upstream/members.h"

struct buf;
struct pool;
struct sched;
struct snapshot;

/* Good until the caller next waits. */
struct admin_view {
    const struct snapshot *conf;
    struct pool *const *pools;   /* as conf->pools */
    struct sched *const *scheds; /* the main thread's first, then the workers', last the health thread's */
    unsigned n_scheds, n_workers;
    uint32_t connections, connections_most;
    int64_t started, loaded; /* microseconds since 1970 */
    bool draining;
};

struct admin_host {
    void *arg;
    void (*view)(void *arg, struct admin_view *out);
    /* Loads the configuration anew; waits until it is in effect.  What changed, or all that is wrong, goes to `out`. */
    int (*reload)(void *arg, struct buf *out);
    void (*drain)(void *arg);
    int (*reopen)(void *arg);
    /* What a fiber works for, as text ("" if it can't be told).  On the thread that the fiber belongs to. */
    void (*about)(const void *subject, char *out, size_t size);
    /* What is known of the backends of a pool, or of all (NULL); what the operator says of one.  Both wait. */
    int (*backends)(void *arg, const char *pool, struct buf *out);
    int (*order)(void *arg, const char *which, enum members_order order, unsigned weight, struct buf *out);
};
#endif
