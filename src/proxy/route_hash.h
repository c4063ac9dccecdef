/*
 * route_hash.h - the hash of the router's tables: in few instructions, for hosts and paths of some ten bytes.
 *
 * Differs from base/hash.h in that it is only for tables of one process: the number may change from version to version, and
 * `fold` (a bit that is set in each byte) makes letters alike without asking whether they are letters; whoever looks up
 * compares the text anyway.
 *
 * Private to src/proxy/route.c.  Source: the folded multiply of wyhash (Wang Yi, 2019).
 * Threads: any, no state.  Memory: none.
 */
#ifndef PROXY_ROUTE_HASH_H
#define PROXY_ROUTE_HASH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HASH_AS_IS = 0, HASH_NOCASE = 0x20 };

static inline uint64_t hash_mix(uint64_t x)
{
    unsigned __int128 m = (unsigned __int128)x * UINT64_C(0xe7037ed1a0b428db);

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t hash_load8(const char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    return x;
}

static inline uint64_t hash_load4(const char *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof(x));
    return x;
}

/* The last eight bytes overlap those before: no loop over a rest. */
static inline uint64_t hash_text(const char *p, size_t n, uint64_t seed, unsigned char fold)
{
    uint64_t bits = UINT64_C(0x0101010101010101) * fold, h = seed ^ n;

    if (n >= 8) {
        const char *last = p + n - 8;
        for (; p < last; p += 8)
            h = hash_mix(h ^ (hash_load8(p) | bits));
        return hash_mix(h ^ (hash_load8(last) | bits));
    }
    if (n >= 4)
        return hash_mix(h ^ (hash_load4(p) | hash_load4(p + n - 4) << 32 | bits));
    if (n > 0)
        h ^= ((uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 | (uint64_t)(unsigned char)p[n - 1] << 16) |
             bits;
    return hash_mix(h);
}

/* The text's first `n` bytes went in, in steps: the next longer prefix does not start again. */
struct prefix_hash {
    uint64_t h;
    size_t n;
};
#define PREFIX_STEP 32u

static inline uint64_t hash_prefix(struct prefix_hash *x, const char *p, size_t n)
{
    for (; n - x->n > PREFIX_STEP; x->n += PREFIX_STEP)
        x->h = hash_text(p + x->n, PREFIX_STEP, x->h, HASH_AS_IS);
    return hash_text(p + x->n, n - x->n, x->h, HASH_AS_IS);
}
#endif
