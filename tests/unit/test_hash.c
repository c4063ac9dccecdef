/* Tests of base/hash: a promise kept in every version, and a good spread. */
#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/rand.h"

Suite *hash_suite(void);

/* Never change these: proxies of several versions must send the same key to the same backend. */
static const struct {
    struct slice bytes;
    uint64_t seed, hash;
} vectors[] = {
    { { "", 0 }, 0, UINT64_C(0x111cb3a78f59a58e) },
    { { "", 0 }, 1, UINT64_C(0xdaabd7f1576ef699) },
    { { "a", 1 }, 0, UINT64_C(0x32d3412a45ea3296) },
    { { "a", 1 }, 1, UINT64_C(0x21299c1e7176b21a) },
    { { "abcdefg", 7 }, 0, UINT64_C(0xd1a8618ddaa5216b) },
    { { "abcdefgh", 8 }, 0, UINT64_C(0x77fe985df32131be) },
    { { "abcdefghi", 9 }, 0, UINT64_C(0xfe68cab7174718b0) },
    { { "10.0.0.1:8080", 13 }, 0, UINT64_C(0x0b115cab2c61989b) },
    { { "10.0.0.1:8080", 13 }, 7, UINT64_C(0xfac9252b69b2d7bd) },
    { { "\0", 1 }, 0, UINT64_C(0x9234095c4a61214e) },
    { { "\0\0\0\0\0\0\0\0", 8 }, 0, UINT64_C(0x1f548839e214fdf8) },
};

START_TEST(the_numbers_are_those_promised)
{
    unsigned char all[256];

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        ck_assert_uint_eq(hash_slice(vectors[i].bytes, vectors[i].seed), vectors[i].hash);
    for (unsigned i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    ck_assert_uint_eq(hash_bytes(all, sizeof all, 0), UINT64_C(0xd1137ffe326993fa));
    ck_assert_uint_eq(hash_bytes(NULL, 0, 0), vectors[0].hash);
}
END_TEST

START_TEST(without_case_it_is_the_hash_of_the_lower_cased_bytes)
{
    unsigned char key[40], low[40];

    rand_seed(1);
    for (int round = 0; round < 50000; round++) {
        size_t n = (size_t)rand_below(sizeof key + 1);
        for (size_t i = 0; i < n; i++) {
            key[i] = (unsigned char)rand_u64();
            low[i] = key[i] >= 'A' && key[i] <= 'Z' ? (unsigned char)(key[i] + 32) : key[i];
        }
        if (hash_nocase(key, n, 9) != hash_bytes(low, n, 9))
            ck_abort_msg("round %d", round);
    }
    for (unsigned c = 0; c < 256; c++) { /* each byte at each place */
        for (size_t at = 0; at < 8; at++) {
            unsigned char word[8] = "@[`{AZaz", lower[8] = "@[`{azaz";
            word[at] = (unsigned char)c;
            lower[at] = (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
            ck_assert(hash_nocase(word, 8, 0) == hash_bytes(lower, 8, 0));
        }
    }
}
END_TEST

START_TEST(where_the_bytes_stand_does_not_matter)
{
    char place[64] = "";

    for (size_t at = 0; at < 16; at++) {
        memcpy(place + at, "10.0.0.1:8080", 13);
        ck_assert_uint_eq(hash_bytes(place + at, 13, 0), UINT64_C(0x0b115cab2c61989b));
    }
}
END_TEST

/* How far counts of keys a bucket are from even: about 1 for a good hash, in units of what chance alone makes. */
static double unevenness(const unsigned *count, unsigned buckets, unsigned keys)
{
    double sum = 0, even = (double)keys / buckets;

    for (unsigned i = 0; i < buckets; i++)
        sum += (count[i] - even) * (count[i] - even) / even;
    return sum / (buckets - 1);
}

START_TEST(similar_keys_spread_evenly_by_low_and_by_high_bits)
{
    enum { KEYS = 64000, BUCKETS = 256 };
    static const char *const forms[] = { "10.0.%u.1:8080", "/users/%u/profile", "%u", "session-%08u-long-enough-for-words",
                                         "%-12ux" };
    char key[64];

    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        unsigned low[BUCKETS] = { 0 }, high[BUCKETS] = { 0 };
        for (unsigned i = 0; i < KEYS; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            int n = snprintf(key, sizeof key, forms[f], i);
#pragma GCC diagnostic pop
            uint64_t h = hash_bytes(key, (size_t)n, 0);
            low[h % BUCKETS]++;
            high[h >> 56]++;
        }
        ck_assert_msg(unevenness(low, BUCKETS, KEYS) < 1.5 && unevenness(high, BUCKETS, KEYS) < 1.5, "%s: %f %f", forms[f],
                      unevenness(low, BUCKETS, KEYS), unevenness(high, BUCKETS, KEYS));
    }
}
END_TEST

START_TEST(numbers_in_a_row_spread_evenly)
{
    enum { KEYS = 64000, BUCKETS = 256 };
    unsigned low[BUCKETS] = { 0 }, high[BUCKETS] = { 0 };

    for (uint64_t i = 0; i < KEYS; i++) {
        low[hash_u64(i) % BUCKETS]++;
        high[hash_u64(i << 12) >> 56]++;
    }
    ck_assert_double_lt(unevenness(low, BUCKETS, KEYS), 1.5);
    ck_assert_double_lt(unevenness(high, BUCKETS, KEYS), 1.5);
}
END_TEST

START_TEST(each_bit_of_key_and_seed_changes_half_of_the_hash)
{
    enum { TIMES = 300, BYTES = 20 };
    unsigned char key[BYTES];
    uint64_t seed;

    rand_seed(4);
    for (unsigned bit = 0; bit < 8 * BYTES + 64; bit++) {
        double changed = 0;
        for (int i = 0; i < TIMES; i++) {
            uint64_t before;
            for (size_t j = 0; j < BYTES; j++)
                key[j] = (unsigned char)rand_u64();
            seed = rand_u64();
            before = hash_bytes(key, BYTES, seed);
            if (bit < 8 * BYTES)
                key[bit / 8] ^= (unsigned char)(1u << bit % 8);
            else
                seed ^= UINT64_C(1) << (bit - 8 * BYTES);
            changed += __builtin_popcountll(before ^ hash_bytes(key, BYTES, seed));
        }
        ck_assert_msg(fabs(changed / TIMES - 32) < 2, "bit %u: %f", bit, changed / TIMES);
    }
}
END_TEST

START_TEST(a_length_is_part_of_the_key)
{
    char zeros[32] = "";

    for (size_t a = 0; a <= sizeof zeros; a++)
        for (size_t b = 0; b < a; b++)
            ck_assert_uint_ne(hash_bytes(zeros, a, 0), hash_bytes(zeros, b, 0));
}
END_TEST

Suite *hash_suite(void)
{
    Suite *s = suite_create("hash");
    TCase *t = tcase_create("hash");

    tcase_add_test(t, the_numbers_are_those_promised);
    tcase_add_test(t, without_case_it_is_the_hash_of_the_lower_cased_bytes);
    tcase_add_test(t, where_the_bytes_stand_does_not_matter);
    tcase_add_test(t, similar_keys_spread_evenly_by_low_and_by_high_bits);
    tcase_add_test(t, numbers_in_a_row_spread_evenly);
    tcase_add_test(t, each_bit_of_key_and_seed_changes_half_of_the_hash);
    tcase_add_test(t, a_length_is_part_of_the_key);
    suite_add_tcase(s, t);
    return s;
}
