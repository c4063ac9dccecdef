/*
 * members.h - who is in each pool, brought together: by configuration, discovery, health checks, live requests and the operator.
 *
 * One thread does it all, the health thread, which serves nothing.  What it knows of a backend outlives reloads: state, ejection,
 * the operator's word.  What changes is said once, in one line of the log; the pool then gets a new set, and the old one is freed
 * when every thread that reads sets has come round (each passes between two fibers, where none holds on to a set).
 *
 * Threads: the health thread's, but for members_notice(), which workers call.  Functions from a fiber wait.
 * Memory: members_start() to members_stop().
 */
#ifndef UPSTREAM_MEMBERS_H
#define UPSTREAM_MEMBERS_H
#include <stdbool.h>
#include <stddef.h>

#include "fiber/fiber.h"
#include "upstream/pool.h"

struct buf;
struct members;
struct sched;

/* Who reads sets, and what each of them does when one was exchanged. */
struct members_readers {
    struct sched *const *scheds;
    size_t n;
    void (*passes)(void); /* on each reader's thread, on its scheduler's stack; may be NULL */
};

/* On the health thread, from a fiber.  NULL: out of memory. */
struct members *members_start(const struct members_readers *readers);
/* These pools are the running configuration's from now on; `cold`: the process has just started.  Returns when nothing of the
 * older ones is used any more here, and discovery that is new, of a pool without backends, has said something, or a second has
 * passed. */
void members_adopt(struct members *m, struct pool *const *pools, size_t n, bool cold);
/* Ends checks, sources and timers while readers still run; then members_free(), when they don't. */
void members_stop(struct members *m);
void members_free(struct members **mp);

/* A pool_notice_fn. */
void members_notice(struct backend *b, enum backend_out why);

/* ---- what the operator sees and says ---- */
/* A table of all backends, or those of one pool (NULL: all).  -ERR_INVALID: there is no such pool; `out` says so. */
int members_list(const struct members *m, const char *pool, struct buf *out);
enum members_order { MEMBERS_DRAIN, MEMBERS_READY, MEMBERS_WEIGHT };
/* `which` is POOL/BACKEND.  What was done, or why not, goes to `out`.  0, -ERR_INVALID. */
int members_order(struct members *m, const char *which, enum members_order order, unsigned weight, struct buf *out);
#endif
