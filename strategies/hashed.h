/*
 * hashed.h - what strategies that hash share: members in an order that does not hang on the configuration's, and the walk over
 * the backends that a key meets, in the key's own order, to the first one that may have it.
 *
 * Promise: proxies that have the same members agree on each key, however the members were listed.  With r->bound, a backend gets
 * nothing beyond ceil(bound * average * its share of the weights) in flight (Mirrokni, Thorup, Zadimoghaddam 2018).
 * Threads: members are made where a set is built; a walk is one pick's own.  Memory: the caller's.
 */
#ifndef STRATEGIES_HASHED_H
#define STRATEGIES_HASHED_H
#include "base/hash.h"
#include "upstream/strategy.h"

struct member {
    uint64_t id;
    struct backend *b;
    uint32_t weight; /* as it was when the set was built */
};

/* The members by id, from malloc().  NULL: out of memory. */
struct member *hashed_members(const struct ready *r, uint64_t *weights);

/* When a key's exponential clock for that member rings; the first to ring has the key. */
double hashed_time(uint64_t hash, uint64_t id, uint32_t weight);

enum { PASSED_MOST = 16 };

struct walk {
    const struct ready *r;
    const struct pick_key *key;
    unsigned skip; /* backends that a retry passes: it has been there */
    unsigned n_passed;
    bool away;                /* the key's first one is not to be had */
    uint64_t inflight;        /* of all, with this request; 0: there is no bound */
    struct backend *fallback; /* the best so far that one could take although it should not be */
    unsigned rank;            /* of the fallback */
    struct backend *passed[PASSED_MOST];
};

void walk_begin(struct walk *w, const struct ready *r, const struct pick_key *key);
/* Is it this one?  Called with the key's backends in their order, each as often as it comes. */
bool walk_takes(struct walk *w, struct backend *b);
/* The way was long: of all members that may have it, the key's own choice (as in rendezvous.c), each looked at once.  Never NULL. */
struct backend *walk_rest(struct walk *w, struct backend *const *v);
#endif
