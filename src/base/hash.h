/*
 * hash.h - one hash of bytes for tables and for consistent hashing.
 *
 * Promise: the same bytes and seed give the same number on every machine and in every version (rings of several proxies
 * agree).  Against chosen keys a table passes a random seed.  Source: wyhash-like folded multiply (Wang Yi, 2019).
 * Threads: any, no state.  Memory: none.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stdint.h>

#include "base/slice.h"

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);
uint64_t hash_nocase(const void *p, size_t n, uint64_t seed); /* ASCII letters folded */

static inline uint64_t hash_slice(struct slice s, uint64_t seed) { return hash_bytes(s.p, s.n, seed); }
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}
#endif
