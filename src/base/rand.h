/*
 * rand.h - the one door to randomness that need not be secret (choices, jitter, request ids).
 *
 * Promise: rand_seed() makes the calling thread's sequence the same each time; without it a thread seeds itself from the
 * kernel.  Never for keys or cookies.  Source: xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64.
 * Threads: each has its own sequence.  Memory: none.
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H
#include <stdint.h>

void rand_seed(uint64_t seed);
uint64_t rand_u64(void);
/* 0 to n - 1, all alike; n > 0. */
uint64_t rand_below(uint64_t n);
#endif
