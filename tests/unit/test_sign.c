/* Tests of base/sign: the vectors of RFC 4231, and parts that are one text. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "base/sign.h"

Suite *sign_suite(void);

static const char *hex(const uint8_t mac[SIGN_SIZE])
{
    static char text[2 * SIGN_SIZE + 1];

    for (size_t i = 0; i < SIGN_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", mac[i]);
    return text;
}

static const char *signed_with(struct slice secret, const struct slice *parts, size_t n)
{
    struct sign_key *k = sign_key_new(secret);
    uint8_t mac[SIGN_SIZE];

    ck_assert_ptr_nonnull(k);
    ck_assert_int_eq(sign(k, parts, n, mac), 0);
    sign_key_free(&k);
    ck_assert_ptr_null(k);
    return hex(mac);
}

START_TEST(the_vectors_of_rfc_4231_come_out)
{
    char key[131], data[50];
    struct slice text;

    memset(key, 0x0b, 20);
    ck_assert_str_eq(signed_with(slice_of(key, 20), &SLICE("Hi There"), 1),
                     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    ck_assert_str_eq(signed_with(SLICE("Jefe"), &SLICE("what do ya want for nothing?"), 1),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    text = slice_of(data, sizeof data);
    ck_assert_str_eq(signed_with(slice_of(key, 20), &text, 1),
                     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    ck_assert_str_eq(signed_with(slice_of(key, 131), &SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), 1),
                     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
END_TEST

START_TEST(parts_are_signed_as_the_text_they_make_together)
{
    const struct slice parts[] = { SLICE("what do "), SLICE(""), SLICE("ya want "), SLICE("for nothing?") };

    ck_assert_str_eq(signed_with(SLICE("Jefe"), parts, ARRAY_LEN(parts)),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}
END_TEST

START_TEST(a_key_signs_the_same_again_and_again)
{
    struct sign_key *k = sign_key_new(SLICE("a secret of some length"));
    uint8_t first[SIGN_SIZE], again[SIGN_SIZE], other[SIGN_SIZE];

    ck_assert_ptr_nonnull(k);
    ck_assert_int_eq(sign(k, &SLICE("a"), 1, first), 0);
    ck_assert_int_eq(sign(k, &SLICE("b"), 1, other), 0);
    ck_assert_int_eq(sign(k, &SLICE("a"), 1, again), 0);
    ck_assert(sign_same(first, again, SIGN_SIZE));
    ck_assert(!sign_same(first, other, SIGN_SIZE));
    sign_key_free(&k);
}
END_TEST

START_TEST(one_bit_makes_bytes_differ)
{
    uint8_t a[16] = { 0 }, b[16] = { 0 };

    for (size_t bit = 0; bit < 128; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert(!sign_same(a, b, 16));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert(sign_same(a, b, 16));
}
END_TEST

Suite *sign_suite(void)
{
    Suite *s = suite_create("sign");
    TCase *t = tcase_create("sign");

    tcase_add_test(t, the_vectors_of_rfc_4231_come_out);
    tcase_add_test(t, parts_are_signed_as_the_text_they_make_together);
    tcase_add_test(t, a_key_signs_the_same_again_and_again);
    tcase_add_test(t, one_bit_makes_bytes_differ);
    suite_add_tcase(s, t);
    return s;
}
