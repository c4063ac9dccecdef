/*
 * tally.h - what is counted for a pool as a whole, and lives on over reloads: found by the pool's name.
 *
 * Threads: what requests write are atomics.  Who may be picked is counted under a lock, which a worker takes only when it takes a
 *     backend out: each change of a backend and of the numbers is one step, so that limits hold for all workers together.  Finding
 *     takes another lock and is for threads that serve nothing.
 * Memory: counted; pools and backends hold references.
 */
#ifndef UPSTREAM_TALLY_H
#define UPSTREAM_TALLY_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"

enum { LEVELS_MOST = 10 }; /* priorities */

struct tally {
    struct list link;
    _Atomic uint32_t refs;
    const char *name;
    _Alignas(64) _Atomic uint64_t turn[LEVELS_MOST]; /* of strategies that take turns */
    _Alignas(64) _Atomic uint32_t inflight;          /* only counted where a strategy bounds load by it */
    pthread_mutex_t lock;                            /* of what follows (backend.c) */
    uint32_t n_serving;                              /* members of weight above 0 that are not BACKEND_NEW */
    uint32_t n_out;                                  /* of those: how many may not be picked, for reasons of health */
    uint32_t n_ejected;                              /* of those: for failures of live requests */
};

/* The tally of that name, made if there is none.  The caller's reference; NULL: out of memory. */
struct tally *tally_find(const char *name);
struct tally *tally_ref(struct tally *t);
void tally_unref(struct tally **tp); /* any thread */
#endif
