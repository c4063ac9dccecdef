/*
 * sim.h - what all parts of a simulated run share: chance from one seed, the trace, and the one way to fail.
 *
 * Everything that happens follows from the seed: chance comes in independent streams (a stream a purpose), so that what one
 * actor does changes nothing in what another draws.
 * Threads: one.  Memory: see sim_alloc().
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct rng {
    uint64_t s;
};
struct rng rng_of(uint64_t purpose, uint64_t index); /* of this seed */
uint64_t rng_next(struct rng *r);
static inline uint64_t rng_below(struct rng *r, uint64_t n) { return n == 0 ? 0 : rng_next(r) % n; }
static inline uint64_t rng_between(struct rng *r, uint64_t least, uint64_t most) { return least + rng_below(r, most - least + 1); }
static inline bool rng_chance(struct rng *r, unsigned of_1000) { return rng_below(r, 1000) < of_1000; }
enum { RNG_PLAN = 1, RNG_NET, RNG_ALLOC, RNG_CLIENT, RNG_WRITER, RNG_BACKEND, RNG_TRY, RNG_MAIN };

extern uint64_t sim_seed;
extern bool sim_verbose;
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Says what is wrong, with the seed, and ends the run. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* alloc.c: memory for the simulation itself; never fails by plan, not counted. */
void *sim_alloc(size_t n); /* zeroed */
void *sim_grow(void *p, size_t n);
void sim_free(void *p);
void sim_free_all(void); /* what actors that were abandoned had */
/* While on, allocations of the code under test fail `of_1000` of the time. */
void alloc_faults(unsigned of_1000);
void alloc_check(void); /* fails if the code under test has left something allocated since alloc_start() */
void alloc_start(void);
/* Is the running code the proxy's, and not an actor's? */
bool sim_is_proxy(void);
#endif
