/* hash.c - folded 64 x 64 -> 128 bit multiplications, eight bytes at a time, little-endian on every machine. */
#include "base/hash.h"

#include <endian.h>
#include <string.h>

#define K0 UINT64_C(0xa0761d6478bd642f)
#define K1 UINT64_C(0xe7037ed1a0b428db)

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t load(const unsigned char *p, size_t n)
{
    uint64_t x = 0;

    memcpy(&x, p, n);
    return le64toh(x);
}

/* Folds A-Z to a-z in eight bytes at once; bytes with the top bit set stay. */
static uint64_t lower(uint64_t x)
{
    uint64_t ascii = ~x & UINT64_C(0x8080808080808080);
    uint64_t low = x & UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t from_a = low + UINT64_C(0x3f3f3f3f3f3f3f3f); /* top bit: >= 'A' */
    uint64_t past_z = low + UINT64_C(0x2525252525252525); /* top bit: > 'Z' */

    return x | ((from_a & ~past_z & ascii) >> 2);
}

static inline uint64_t hash(const unsigned char *p, size_t n, uint64_t seed, int fold_case)
{
    uint64_t h = seed ^ K0;
    size_t left = n;

    for (; left > 8; p += 8, left -= 8) {
        uint64_t x = load(p, 8);
        h = fold(h ^ (fold_case ? lower(x) : x), K1);
    }
    if (left > 0) {
        uint64_t x = load(p, left);
        h = fold(h ^ (fold_case ? lower(x) : x), K1);
    }
    return fold(h ^ n, K0 ^ K1);
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed) { return hash(p, n, seed, 0); }
uint64_t hash_nocase(const void *p, size_t n, uint64_t seed) { return hash(p, n, seed, 1); }
