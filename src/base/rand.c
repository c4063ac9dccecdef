/* rand.c - xoshiro256** a thread. */
#include "base/rand.h"

#include <stdbool.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/must.h"

static _Thread_local uint64_t state[4];
static _Thread_local bool seeded;

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

void rand_seed(uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64: any seed, also 0, fills the state well */
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        state[i] = z ^ (z >> 31);
    }
    seeded = true;
}

static void seed_from_kernel(void)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint64_t)clock_wall() ^ (uint64_t)(uintptr_t)&seed; /* early boot: no secrets hang on it */
    rand_seed(seed);
}

uint64_t rand_u64(void)
{
    uint64_t result, t;

    if (UNLIKELY(!seeded))
        seed_from_kernel();
    result = rotate(state[1] * 5, 7) * 9;
    t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = rotate(state[3], 45);
    return result;
}

uint64_t rand_below(uint64_t n)
{
    MUST(n > 0);
    return (uint64_t)(((unsigned __int128)rand_u64() * n) >> 64); /* bias below n / 2^64 */
}
