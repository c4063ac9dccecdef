/* Tests of proxy/hash_key: what of a request is hashed, and that the number stays what it is. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "proxy/hash_key.h"

Suite *hash_key_suite(void);

static struct message m;
static struct header fields[16];
static struct hash_input in;

static void setup(void)
{
    m = (struct message){ .headers = fields, .cap_headers = ARRAY_LEN(fields) };
    m.path = SLICE("/cache//a");
    m.query = SLICE("user=u%31&b=2&user=two&flag&empty=&x=y=z");
    m.authority = SLICE("WWW.Example.com:8443");
    ck_assert_int_eq(message_add(&m, SLICE("Host"), m.authority), 0);
    ck_assert_int_eq(message_add(&m, SLICE("X-User"), SLICE("alice")), 0);
    ck_assert_int_eq(message_add(&m, SLICE("x-user"), SLICE("bob")), 0);
    ck_assert_int_eq(message_add(&m, SLICE("X-Empty"), SLICE("")), 0);
    ck_assert_int_eq(message_add(&m, SLICE("Cookie"), SLICE("a=1; session=\"s 1\"")), 0);
    ck_assert_int_eq(message_add(&m, SLICE("Cookie"), SLICE("session=later; Session=other")), 0);
    in = (struct hash_input){ .request = &m, .path = SLICE("/cache/a") };
}

static struct slice text_of(enum hash_kind kind, const char *name)
{
    struct hash_conf conf = { .kind = kind, .name = name };

    return hash_key_text(&conf, &in);
}

static bool number(enum hash_kind kind, const char *name, uint64_t *hash)
{
    struct hash_conf conf = { .kind = kind, .name = name };

    return hash_key(&conf, &in, hash);
}

static uint64_t number_of(enum hash_kind kind, const char *name)
{
    uint64_t hash = 0;

    ck_assert(number(kind, name, &hash));
    return hash;
}

START_TEST(the_text_of_each_kind_is_found)
{
    static const struct {
        enum hash_kind kind;
        const char *name, *text; /* "": absent */
    } cases[] = {
        { HASH_HEADER, "x-user", "alice" },
        { HASH_HEADER, "X-USER", "alice" },
        { HASH_HEADER, "X-User2", "" },
        { HASH_HEADER, "X-Empty", "" },
        { HASH_HEADER, "cookie", "a=1; session=\"s 1\"" },
        { HASH_COOKIE, "session", "s 1" },
        { HASH_COOKIE, "Session", "other" },
        { HASH_COOKIE, "SESSION", "" },
        { HASH_COOKIE, "a", "1" },
        { HASH_QUERY, "user", "u%31" },
        { HASH_QUERY, "User", "" },
        { HASH_QUERY, "use", "" },
        { HASH_QUERY, "b", "2" },
        { HASH_QUERY, "flag", "" },
        { HASH_QUERY, "empty", "" },
        { HASH_QUERY, "x", "y=z" },
        { HASH_PATH, NULL, "/cache/a" },
        { HASH_HOST, NULL, "WWW.Example.com" },
        { HASH_SNI, NULL, "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice got = text_of(cases[i].kind, cases[i].name);
        uint64_t hash;
        ck_assert_msg(slice_eq(got, slice_str(cases[i].text)), "case %zu: " SLICE_FMT, i, SLICE_ARG(got));
        ck_assert_int_eq(number(cases[i].kind, cases[i].name, &hash), cases[i].text[0] != '\0');
    }
}
END_TEST

START_TEST(a_parameter_is_found_wherever_it_stands)
{
    static const struct {
        const char *query, *text;
    } cases[] = {
        { "q=1", "1" },  { "a&q=1", "1" }, { "&&q=1&&", "1" },     { "q", "" },        { "q=", "" },
        { "q&q=2", "" }, { "qq=1", "" },   { "a=q=1&q=2", "2" },   { "Q=1&q=3", "3" }, { "q=%26&x", "%26" },
        { "a=1&q", "" }, { "", "" },       { "q=1;r=2", "1;r=2" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        m.query = slice_str(cases[i].query);
        ck_assert_msg(slice_eq(text_of(HASH_QUERY, "q"), slice_str(cases[i].text)), "%s", cases[i].query);
    }
    m.query = slice_of(NULL, 0);
    ck_assert_uint_eq(text_of(HASH_QUERY, "q").n, 0);
}
END_TEST

START_TEST(without_a_request_only_address_and_sni_are_there)
{
    in = (struct hash_input){ .client = { .family = 4, .bytes = { 192, 0, 2, 1 } }, .sni = SLICE("db.example") };
    for (int kind = 0; kind < HASH_KINDS; kind++) {
        uint64_t hash;
        ck_assert_int_eq(number((enum hash_kind)kind, "user", &hash), !hash_kind_needs_request((enum hash_kind)kind));
    }
}
END_TEST

START_TEST(a_client_is_its_address_without_the_port)
{
    uint64_t first, ignored;

    in.client = (struct ip){ .family = 4, .bytes = { 192, 0, 2, 1 }, .port = 1000 };
    first = number_of(HASH_CLIENT_IP, NULL);
    in.client.port = 2000;
    ck_assert_uint_eq(number_of(HASH_CLIENT_IP, NULL), first);
    in.client.bytes[3] = 2;
    ck_assert_uint_ne(number_of(HASH_CLIENT_IP, NULL), first);
    in.client = (struct ip){ .family = 6, .bytes = { 192, 0, 2, 1 } };
    ck_assert_uint_ne(number_of(HASH_CLIENT_IP, NULL), first);
    in.client = (struct ip){ .family = 0 }; /* all clients of a Unix socket would be one */
    ck_assert(!number(HASH_CLIENT_IP, NULL, &ignored));
}
END_TEST

START_TEST(a_host_is_the_same_in_any_case_and_with_any_port)
{
    uint64_t first = number_of(HASH_HOST, NULL);
    static const char *const same[] = { "www.example.com", "www.example.com:80", "www.EXAMPLE.com.", "www.example.com.:1" };

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        m.authority = slice_str(same[i]);
        ck_assert_uint_eq(number_of(HASH_HOST, NULL), first);
    }
    m.authority = SLICE("www.example.org");
    ck_assert_uint_ne(number_of(HASH_HOST, NULL), first);
    m.authority = SLICE("");
    ck_assert(!number(HASH_HOST, NULL, &first));
}
END_TEST

START_TEST(values_are_compared_byte_by_byte)
{
    uint64_t first = number_of(HASH_HEADER, "x-user");

    fields[1].value = "Alice";
    ck_assert_uint_ne(number_of(HASH_HEADER, "x-user"), first);
}
END_TEST

/* Never change these: instances of several versions must send the same key to the same backend. */
START_TEST(the_numbers_are_those_promised)
{
    ck_assert_uint_eq(number_of(HASH_HEADER, "x-user"), UINT64_C(0xfdeb46ce76d45b3f));
    ck_assert_uint_eq(number_of(HASH_HOST, NULL), UINT64_C(0xb62e5b6c48212839));
    in.client = (struct ip){ .family = 4, .bytes = { 192, 0, 2, 1 } };
    ck_assert_uint_eq(number_of(HASH_CLIENT_IP, NULL), UINT64_C(0xcba3aabf7c3d9c61));
}
END_TEST

/* Of keys that differ in few bits, as users are numbered: by the upper bits, by the lower ones, and by a remainder. */
START_TEST(similar_keys_spread_evenly)
{
    enum { KEYS = 40000, BINS = 16 };
    unsigned high[BINS] = { 0 }, low[BINS] = { 0 };

    for (unsigned i = 0; i < KEYS; i++) {
        char text[16];
        uint64_t hash;
        fields[1].value = text;
        fields[1].value_len = (uint16_t)snprintf(text, sizeof text, "user%u", i);
        hash = number_of(HASH_HEADER, "x-user");
        high[hash >> 60]++;
        low[hash % BINS]++;
    }
    for (unsigned i = 0; i < BINS; i++) { /* 2,500 expected, 6 deviations are 290 */
        ck_assert_msg(high[i] > 2210 && high[i] < 2790, "high %u: %u", i, high[i]);
        ck_assert_msg(low[i] > 2210 && low[i] < 2790, "low %u: %u", i, low[i]);
    }
}
END_TEST

Suite *hash_key_suite(void)
{
    Suite *s = suite_create("hash_key");
    TCase *t = tcase_create("hash_key");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, the_text_of_each_kind_is_found);
    tcase_add_test(t, a_parameter_is_found_wherever_it_stands);
    tcase_add_test(t, without_a_request_only_address_and_sni_are_there);
    tcase_add_test(t, a_client_is_its_address_without_the_port);
    tcase_add_test(t, a_host_is_the_same_in_any_case_and_with_any_port);
    tcase_add_test(t, values_are_compared_byte_by_byte);
    tcase_add_test(t, the_numbers_are_those_promised);
    tcase_add_test(t, similar_keys_spread_evenly);
    suite_add_tcase(s, t);
    return s;
}
