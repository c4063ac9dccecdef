/*
 * affinity.h - which backend a request belongs to: by a key that is hashed, or by the client's cookie.
 *
 * Costs a comparison or two where the pool does neither.  Never yields.
 * Threads: the exchange's fiber.  Memory: in the exchange; texts in its arena.
 */
#ifndef PROXY_AFFINITY_H
#define PROXY_AFFINITY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct exchange;
struct hash_input;
struct message;
struct pool;

struct affinity {
    uint64_t hash;                /* for strategies that hash */
    uint64_t id;                  /* of the backend that the cookie names */
    const struct backend *picked; /* by that; only ever compared */
    bool named;                   /* the request has a valid cookie */
    bool old;                     /* which is to be renewed */
};

/* Reads key and cookie of a request as it was received, and takes the cookie out: it is none of the backend's business.
 * -ERR_NOMEM, -ERR_BAD_TARGET. */
int affinity_begin(struct exchange *x);
/* The backend of the cookie, or else the strategy's choice; as pool_pick(). */
struct backend *affinity_pick(struct exchange *x);
/* A kept connection to `b` was dead: is it the cookie's, so that another one to it comes before another backend? */
static inline bool affinity_holds(const struct affinity *a, const struct backend *b) { return b != NULL && a->picked == b; }
/* Adds the cookie to the answer of the backend at hand, unless the client has it already.  -ERR_NOMEM, -ERR_TOO_MANY_HEADERS. */
int affinity_answer(struct exchange *x, struct message *m);

/* The number for pool_pick(): of the key, or chance without one; 0 when the strategy doesn't hash. */
uint64_t affinity_hash(const struct pool *pool, const struct hash_input *in);
#endif
