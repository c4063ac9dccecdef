/*
 * heartbeat.h - the register of backends that tell of themselves, and go when they stop doing so.
 *
 * The admin side writes into it, sources of the type "heartbeat" read it.  It belongs to the process and not to a configuration:
 * a reload changes nothing in it, so a pool has its backends at once and not only after their next beats.
 *
 * Codes: -ERR_CANCELED, -ERR_TIMEOUT: the register could not be had in time; -ERR_NOMEM.
 * Threads: fibers of any scheduler; the lock is held for a look or a copy, never while anybody waits.
 * Memory: the register's, at most FOUND_MOST for each pool; what is over is freed at the next call that changes anything.
 */
#ifndef DISCOVERY_HEARTBEAT_H
#define DISCOVERY_HEARTBEAT_H
#include "discovery/found_list.h"

/* Registers f for `ttl` from now on, or prolongs and changes it.  1: it is new; 0: it was there; -ERR_INVALID: the pool is full. */
int heartbeat_put(const char *pool, const struct found *f, int64_t ttl, int64_t deadline);
/* 1: it is gone; 0: it was not there. */
int heartbeat_remove(const char *pool, const struct addr *a, int64_t deadline);

struct heartbeat_view {
    struct found_list list;
    int64_t *until;   /* of each: when it is over; NULL: it is empty */
    int64_t next;     /* the first of these; CLOCK_NEVER: none */
    uint64_t version; /* another one when there may be something new */
};
/* A copy of what there is, for heartbeat_view_free(). */
int heartbeat_look(const char *pool, struct heartbeat_view *out, int64_t deadline);
void heartbeat_view_free(struct heartbeat_view *v);
/* Until the version is another one than this. */
int heartbeat_wait(const char *pool, uint64_t version, int64_t deadline);
#endif
