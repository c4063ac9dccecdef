/*
 * backend.h - one server: its address, and what all workers know of it together.
 *
 * A backend is found by pool name and address and lives on over reloads, with its counts, its health and its idle connections.
 *
 * Threads: numbers are atomics that all workers share, so that balancing is one decision for the whole machine; each worker
 *     has its own list of idle connections.
 * Memory: counted (backend_ref, backend_unref).  Sets of a pool hold references, and so does every request that tried it.
 */
#ifndef UPSTREAM_BACKEND_H
#define UPSTREAM_BACKEND_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "fiber/mailbox.h"
#include "fiber/sync.h"
#include "net/addr.h"
#include "net/stream_tls.h"
#include "resilience/outlier.h"
#include "upstream/strategy.h"
#include "upstream/tally.h"

struct backend_conf;
struct member;

/* What idle connections, and closes by the backend itself, have taught about how long it keeps one. */
struct idle_lesson {
    _Atomic int64_t limit; /* microseconds; CLOCK_NEVER while nothing is known */
    int64_t candidate;     /* closes that agree */
    unsigned agreed;
    int64_t told;  /* when the last one counted */
    int64_t alive; /* some that had idled that long were still good, and none younger has been closed since */
    /* Now and then one connection outlives the limit, unused, to see whether it still holds. */
    bool probing;
    int64_t probe_at, probe_pause;
};
#define IDLE_ALIVE_FIRST (40 * CLOCK_MS) /* `alive` of a backend that nobody knows */

struct backend_worker {
    _Alignas(64) struct list idle; /* struct backend_conn, last used first */
    _Atomic uint32_t n_idle;       /* of these and of `shared` */
    struct idle_lesson lesson;
    struct list shared;         /* struct share: HTTP/2 connections */
    struct wait_group dialing;  /* whether one is being opened */
    int dialed;                 /* how that went */
    struct tls_session session; /* the last that the backend gave this worker */
};

/* Why a backend may not be picked (candidate.out): any of these. */
enum backend_out {
    BACKEND_DOWN = 1,    /* its health check fails */
    BACKEND_REFUSED = 2, /* it refused a connection, and has not taken one since */
    BACKEND_EJECTED = 4, /* too many failures of live requests */
    BACKEND_NEW = 8,     /* it came while others were well, and has never passed its check: it is not counted on */
};

/* What people are told it is; the first that holds. */
enum backend_state {
    BACKEND_IS_UP,
    BACKEND_IS_DOWN,
    BACKEND_IS_REFUSING,
    BACKEND_IS_EJECTED,
    BACKEND_IS_CHECKING,
    BACKEND_IS_DRAINED,
    BACKEND_IS_WARMING,
};
const char *backend_state_word(enum backend_state s);

#define BACKEND_MAGIC 0x4241434bu
struct backend {
    _Alignas(64) struct candidate candidate; /* and the rest of the line: what every request touches */
    _Atomic uint32_t refs;
    _Atomic uint32_t in_use;          /* connections that carry something, or are being opened */
    _Atomic uint32_t n_idle;          /* connections that wait for a request */
    _Atomic uint32_t max_connections; /* 0: no limit */
    _Atomic uint64_t requests;

    uint32_t magic;
    struct backend *next_in_bucket; /* of the register: backend.c */
    uint64_t key;
    struct addr addr;
    const char *pool_name, *name; /* name: the address as written */
    struct tally *tally;          /* of its pool; a reference */
    _Atomic uint32_t level;       /* priority: 0 is used first */
    _Atomic bool retired;         /* it is in no pool any more: nothing is kept for it */
    bool joined;                  /* a member counted in the tally; under its lock */
    bool discovered;              /* no configuration names it; set before anybody else sees it */

    _Alignas(64) struct outlier outlier; /* what only failures write */
    _Atomic uint64_t failures;
    _Atomic bool succeeded; /* a request has, since somebody last looked (backend_has_succeeded) */
    _Atomic int64_t ejected_until;
    _Atomic int eject_verdict;          /* enum outlier_verdict */
    _Atomic int64_t weight_by_operator; /* -1: none, the configured one holds */
    _Atomic uint32_t weight_configured;

    struct mail notice;       /* to the health thread: look at it (upstream/members.c) */
    _Atomic bool noticing;    /* it is on its way */
    struct member *member;    /* the health thread's; NULL: in no pool */
    struct list ordered;      /* the health thread's: of its pool's, while a weight of the operator's holds */
    _Atomic uint32_t state;   /* enum backend_state, as last told */
    _Atomic uint32_t changes; /* how often that was another one */

    unsigned n_workers;
    struct backend_worker worker[]; /* by worker_index() */
};

/* Finds the backend of that pool and address, or makes it with what `conf` says.  One that is there already stays as it is until
 * backend_apply().  The caller's reference; NULL: out of memory.  Not for workers: it takes a lock. */
struct backend *backend_find(const char *pool_name, const struct backend_conf *conf, unsigned n_workers);
/* The weight, priority and limit of `conf` hold from now on. */
void backend_apply(struct backend *b, const struct backend_conf *conf);
/* A weight that holds instead of the configured one, over reloads, too; -1: the configured one again. */
void backend_set_weight(struct backend *b, int64_t weight);
struct backend *backend_ref(struct backend *b);
void backend_unref(struct backend **bp); /* any thread */

/* It is a member of its pool from now on, and nothing is held against it: who joins begins anew. */
void backend_join(struct backend *b);
/* It is in no pool any more: it counts for nothing, and what its last requests meet takes nobody out. */
void backend_leave(struct backend *b);

/* Reasons why it may not be picked, added and taken away; false: it was so already.  Any thread. */
bool backend_take_out(struct backend *b, enum backend_out why);
bool backend_bring_back(struct backend *b, enum backend_out why);
/* The same for what live requests find out (BACKEND_REFUSED, BACKEND_EJECTED and for how long).  False: it was so already, it is no
 * member, so that nobody would bring it back, it is the last one that is well, or too many are ejected.  With conf->dry_run nothing
 * changes. */
bool backend_take_out_live(struct backend *b, enum backend_out why, const struct outlier_conf *conf, enum outlier_verdict verdict,
                           int64_t now);
static inline uint32_t backend_out(const struct backend *b)
{
    return atomic_load_explicit(&b->candidate.out, memory_order_relaxed);
}

/* An exchange has ended, whose first byte came after `latency` microseconds (-1: none did). */
void backend_note_outcome(struct backend *b, int64_t latency, bool failed, int64_t now);
/* A request has succeeded: only the first since somebody looked is written down. */
static inline void backend_note_success(struct backend *b)
{
    if (!atomic_load_explicit(&b->succeeded, memory_order_relaxed))
        atomic_store_explicit(&b->succeeded, true, memory_order_relaxed);
}
/* Has one, since this was last asked?  One asks: its health check. */
static inline bool backend_has_succeeded(struct backend *b)
{
    return atomic_exchange_explicit(&b->succeeded, false, memory_order_relaxed);
}
/* May this worker send it one more request: over a connection that it keeps, or a new one, for which idle ones give way? */
bool backend_has_room(const struct backend *b);

/* More connections than it may have: somebody opens one while others idle, which give way. */
bool backend_is_over_limit(const struct backend *b);
static inline uint32_t backend_connections(const struct backend *b)
{
    return atomic_load_explicit(&b->in_use, memory_order_relaxed) + atomic_load_explicit(&b->n_idle, memory_order_relaxed);
}

/* Which worker the calling thread is, 0 to n - 1: set once by each. */
void worker_index_set(unsigned index);
unsigned worker_index(void);
#endif
