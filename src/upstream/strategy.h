/*
 * strategy.h - how one of several backends is chosen: the contract of a strategy, built in or loaded from a shared object.
 *
 * A built-in strategy is one file in strategies/ and one line in strategies/registry.c.  A plugin is a shared object that needs
 * this header only (installed as <weir/strategy.h>) and exports one `struct strategy_plugin` named STRATEGY_PLUGIN_SYMBOL; the
 * configuration names it: strategy = "plugin:/path/x.so".
 *
 * The pool decides who is eligible: a strategy sees backends that are up, not drained, of the priority in use.  What only one
 * request can't use (it has been there, there is no room, it is still warming up) it may ask by pick_may().
 *
 * Threads: pick and done run on workers, several at once, and never yield; `rebuild` runs off the workers, before its set is
 *     published.  `state` is one worker's own.  Numbers of a candidate are shared by all workers: balancing is one decision for
 *     the whole machine.
 * Memory: `state` is zeroed and the pool's; a table lives exactly as long as the set it was built for.
 */
#ifndef UPSTREAM_STRATEGY_H
#define UPSTREAM_STRATEGY_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counts up with every change of what a plugin sees; one built for another number is refused. */
#define STRATEGY_ABI 1u

struct backend; /* begins with a struct candidate */

#define SHARE_WHOLE 65536u

/* What a strategy may know of a backend. */
struct candidate {
    uint64_t id;               /* of its address: the same on every machine, in every order of listing, over restarts */
    _Atomic uint32_t weight;   /* above 0 in every set */
    _Atomic uint32_t share;    /* how much of its weight it gets, of SHARE_WHOLE: less while it warms up (slow start) */
    _Atomic uint32_t inflight; /* requests, or tunnels, at it now */
    _Atomic uint32_t
        latency; /* microseconds: a moving average that jumps up and sinks slowly; of failures only slow ones count; 0: unknown */
    _Atomic uint32_t latency_at; /* when that was noted, in milliseconds of the clock (it wraps) */
    _Atomic uint32_t failing;    /* the share of its last exchanges that failed, of SHARE_WHOLE */
    _Atomic uint32_t failing_at;
    _Atomic uint32_t out; /* the pool's: why it may not be picked, 0: it may (backend.h) */
};

static inline const struct candidate *candidate_of(const struct backend *b) { return (const struct candidate *)(const void *)b; }
static inline uint64_t backend_id(const struct backend *b) { return candidate_of(b)->id; }
static inline uint32_t backend_weight(const struct backend *b)
{
    return atomic_load_explicit(&candidate_of(b)->weight, memory_order_relaxed);
}
static inline uint32_t backend_inflight(const struct backend *b)
{
    return atomic_load_explicit(&candidate_of(b)->inflight, memory_order_relaxed);
}
/* Weight times SHARE_WHOLE, less while it warms up: what strategies that compare loads divide by. */
static inline uint64_t backend_capacity(const struct backend *b)
{
    return (uint64_t)backend_weight(b) * atomic_load_explicit(&candidate_of(b)->share, memory_order_relaxed);
}
/* Microseconds to the first byte, as it stands at `now`; 0: nothing is known, or it was long ago. */
static inline uint32_t backend_latency(const struct backend *b, int64_t now)
{
    const struct candidate *c = candidate_of(b);
    uint32_t latency = atomic_load_explicit(&c->latency, memory_order_relaxed);
    uint32_t age = (uint32_t)(now / 1000) - atomic_load_explicit(&c->latency_at, memory_order_relaxed);

    return age >= 320000u ? 0 : latency >> (age / 10000u); /* halves every 10 s, so that a slow one is tried again */
}

/* How much of SHARE_WHOLE failed of late: who answers errors quickly has few requests in flight and a low latency, and would
 * draw all others if a strategy went by those alone.  Halves every 10 s, so that it is tried again. */
static inline uint32_t backend_failing(const struct backend *b, int64_t now)
{
    const struct candidate *c = candidate_of(b);
    uint32_t failing = atomic_load_explicit(&c->failing, memory_order_relaxed), age;

    if (failing == 0)
        return 0;
    age = (uint32_t)(now / 1000) - atomic_load_explicit(&c->failing_at, memory_order_relaxed);
    return age >= 170000u ? 0 : failing >> (age / 10000u);
}

/* The backends that may be picked now: immutable, shared by all workers, published whole. */
struct ready {
    struct backend **v; /* in no promised order */
    size_t n;
    void *table;                      /* what the strategy's rebuild() made of it, NULL without one */
    uint64_t weight;                  /* of all together */
    double bound;                     /* strategies that hash: the most load of one, as a multiple of the average; 0: no bound */
    _Atomic uint64_t *turn;           /* for strategies that take turns: one sequence for the whole machine, goes on over sets */
    const _Atomic uint32_t *inflight; /* of the whole pool; kept only with a bound */
    /* For rebuild(): zeroed memory that lives as long as the set; NULL: there is none. */
    void *(*take)(struct ready *r, size_t size);
};

/* One request that needs a backend. */
struct pick_key {
    uint64_t hash;    /* of the configured key, well mixed; chance without one */
    unsigned attempt; /* how many backends this request has been offered before, for whatever reason */
    int64_t now;      /* microseconds of the monotonic clock; 0 unless the strategy reads_latency */
    const void *request;
    bool (*may)(const struct pick_key *k, const struct backend *b); /* NULL: all may */
};
static inline bool pick_may(const struct pick_key *k, const struct backend *b) { return k->may == NULL || k->may(k, b); }

/* How an exchange with a backend ended. */
struct outcome {
    int64_t latency; /* microseconds to the first byte; -1: none came */
    int code;        /* 0 or a negative reason */
    unsigned status; /* 0: no answer */
};

struct strategy_ops {
    const char *name;   /* the word in the configuration */
    size_t state_size;  /* zeroed bytes, one set for each pool and worker; may be 0 */
    bool hashes;        /* reads key->hash: needs `hash` in the configuration, and honours its bound */
    bool reads_latency; /* wants `latency` and `failing` of candidates kept up to date, and the key's `now` */
    bool warms_up; /* honours `share` by itself; of others the pool turns down what a backend may not have yet, and asks again */

    /* Optional.  Builds r->table from r->take().  <0: out of memory, the old set stays. */
    int (*rebuild)(struct ready *r);
    /* Never called with an empty set; always returns a member of it, if it can one for which pick_may() holds.  When it
     * returned one that may not be, it is called again with a higher `attempt`, a few times; then the pool takes any. */
    struct backend *(*pick)(void *state, struct ready *r, const struct pick_key *key);
    /* Optional.  The exchange ended: learn from its latency and result. */
    void (*done)(void *state, struct backend *b, const struct outcome *o);
};

#define STRATEGY_PLUGIN_SYMBOL "weir_strategy_plugin"
struct strategy_plugin {
    uint32_t abi;  /* STRATEGY_ABI */
    uint32_t size; /* sizeof(struct strategy_ops) */
    const struct strategy_ops *ops;
};

/* strategies/registry.c.  NULL: no such strategy. */
const struct strategy_ops *strategy_find(const char *name);
/* The i-th, NULL past the last: for messages and for tests that run over all. */
const struct strategy_ops *strategy_at(size_t i);
#endif
