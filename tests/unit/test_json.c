/* Tests of base/json: which bytes are UTF-8, and that nothing else comes out. */
#include <check.h>

#include "base/json.h"
#include "base/rand.h"

Suite *json_suite(void);

/* The straightforward way: decode, then look at the number. */
static size_t length_by_decoding(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
    uint32_t c;

    if (len < 2 || n < len)
        return len == 1 ? 1 : 0;
    c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : len;
}

START_TEST(a_character_is_what_decoding_says_it_is)
{
    static const unsigned char tails[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
    enum { N = sizeof tails };
    unsigned wrong = 0;

    for (unsigned first = 0; first < 256; first++)
        for (unsigned i = 0; i < N * N * N; i++)
            for (size_t n = 1; n <= 4; n++) {
                unsigned char p[4] = { (unsigned char)first, tails[i % N], tails[i / N % N], tails[i / N / N] };
                wrong += json_utf8_length((const char *)p, n) != length_by_decoding(p, n);
            }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(json_utf8_length("", 0), 0);
}
END_TEST

START_TEST(what_comes_out_is_always_utf_8_and_never_ends_the_string)
{
    char in[64], out[400], *end;

    rand_seed(7);
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)rand_below(sizeof in);
        for (size_t i = 0; i < n; i++)
            in[i] = (char)rand_u64();
        end = json_escape(out, out + sizeof out, slice_of(in, n), NULL);
        for (char *p = out; p < end;) {
            size_t len = json_utf8_length(p, (size_t)(end - p));
            if (len == 0 || (unsigned char)*p < 0x20 || *p == '"' || *p == 0x7f || (*p == '\\' && end - p < 2))
                ck_abort_msg("byte %02x", (unsigned char)*p);
            p += *p == '\\' ? 2 : (ptrdiff_t)len;
        }
    }
}
END_TEST

START_TEST(what_does_not_fit_is_left_out_by_whole_characters)
{
    static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 3, 3, 3, 9, 10 }; /* a é \u0001 b */
    char out[16];
    bool cut;

    for (size_t room = 0; room <= 10; room++) {
        cut = false;
        ck_assert_uint_eq((size_t)(json_escape(out, out + room,
                                               SLICE("a\xc3\xa9\x01"
                                                     "b"),
                                               &cut) -
                                   out),
                          expected[room]);
        ck_assert_int_eq(cut, room < 10);
    }
}
END_TEST

Suite *json_suite(void)
{
    Suite *s = suite_create("json");
    TCase *t = tcase_create("json");

    tcase_add_test(t, a_character_is_what_decoding_says_it_is);
    tcase_add_test(t, what_comes_out_is_always_utf_8_and_never_ends_the_string);
    tcase_add_test(t, what_does_not_fit_is_left_out_by_whole_characters);
    suite_add_tcase(s, t);
    return s;
}
