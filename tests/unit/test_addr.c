/* Tests of net/addr: addresses and networks as text and back. */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "net/addr.h"

Suite *addr_suite(void);

static struct addr parsed(const char *text)
{
    struct addr a;

    ck_assert_pstr_eq(addr_parse(text, &a, NULL), NULL);
    return a;
}

START_TEST(an_address_comes_back_as_it_was_written)
{
    static const char *const texts[] = { "10.0.0.1:80",     "0.0.0.0:65535", "[::1]:8080",
                                         "[2001:db8::1]:1", "[::]:443",      "unix:/run/app.sock" };
    char out[ADDR_TEXT_MAX];

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct addr a = parsed(texts[i]);
        ck_assert_str_eq(addr_format(&a, out), texts[i]);
    }
}
END_TEST

START_TEST(a_wrong_address_is_told_what_is_right_and_changes_nothing)
{
    static const char names[] =
        "not an address; names are not looked up here, write 10.0.0.1:8080, [::1]:8080 or unix:/run/app.sock";
    static const struct {
        const char *text, *said;
    } bad[] = {
        { "", names },
        { "localhost:80", names },
        { "*:80", names },
        { "10.0.0.1.:80", names },
        { "10.0.0.256:80", names },
        { ":80", names },
        { "10.0.0.1", "no port; write 10.0.0.1:8080" },
        { "10.0.0.1:", "not a port; it is a number from 1 to 65535" },
        { "10.0.0.1:0", "not a port; it is a number from 1 to 65535" },
        { "10.0.0.1:65536", "not a port; it is a number from 1 to 65535" },
        { "10.0.0.1:000080", "not a port; it is a number from 1 to 65535" },
        { "10.0.0.1:80x", "not a port; it is a number from 1 to 65535" },
        { "::1", "an IPv6 address stands in brackets; write [::1]:8080" },
        { "[::1]", "no port; write [::1]:8080" },
        { "[::1:80", "no ] behind the IPv6 address; write [::1]:8080" },
        { "[10.0.0.1]:80", "not an IPv6 address; write [::1]:8080" },
        { "[::1]:0", "not a port; it is a number from 1 to 65535" },
        { "unix:", "the path of a Unix socket must be absolute; write unix:/run/app.sock" },
        { "unix:app.sock", "the path of a Unix socket must be absolute; write unix:/run/app.sock" },
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct addr a = { .len = 77 };
        ck_assert_pstr_eq(addr_parse(bad[i].text, &a, NULL), bad[i].said);
        ck_assert_uint_eq(a.len, 77);
    }
}
END_TEST

START_TEST(a_unix_path_fits_with_its_end_or_is_refused)
{
    char text[128] = "unix:/";
    struct addr a;

    memset(text + 6, 'x', 106);
    ck_assert_ptr_null(addr_parse(text, &a, NULL)); /* 107 bytes */
    text[112] = 'x';
    ck_assert_pstr_eq(addr_parse(text, &a, NULL), "the path of a Unix socket is too long; at most 107 bytes");
}
END_TEST

START_TEST(equal_addresses_have_equal_hashes_and_others_differ)
{
    struct addr a = parsed("10.0.0.1:80"), b = parsed("10.0.0.1:80"), port = parsed("10.0.0.1:81"), v6 = parsed("[::1]:80");
    struct addr u = parsed("unix:/a"), w = parsed("unix:/b");

    ck_assert(addr_equal(&a, &b));
    ck_assert_uint_eq(addr_hash(&a), addr_hash(&b));
    ck_assert(!addr_equal(&a, &port));
    ck_assert(!addr_equal(&a, &v6));
    ck_assert(!addr_equal(&u, &w));
    b.in.sin_zero[0] = 1; /* padding tells nothing */
    ck_assert(addr_equal(&a, &b));
}
END_TEST

static struct ip ip_from(const char *text)
{
    struct addr a = parsed(text);

    return ip_of(&a.sa, a.len);
}

START_TEST(ipv4_inside_ipv6_is_ipv4)
{
    struct ip ip = ip_from("[::ffff:192.0.2.1]:7");
    char out[IP_TEXT_MAX];

    ck_assert_uint_eq(ip.family, 4);
    ck_assert_uint_eq(ip.port, 7);
    ck_assert_uint_eq(ip_format(&ip, out), 9);
    ck_assert_str_eq(out, "192.0.2.1");
}
END_TEST

START_TEST(a_peer_without_an_address_is_a_unix_socket)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct ip ip = ip_of((const struct sockaddr *)&un, sizeof un.sun_family);
    char out[IP_TEXT_MAX];

    ck_assert_uint_eq(ip_format(&ip, out), 4);
    ck_assert_str_eq(out, "unix");
    ip = ip_of(NULL, 0);
    ck_assert_uint_eq(ip.family, 0);
}
END_TEST

START_TEST(a_network_has_its_addresses_and_no_others)
{
    static const struct {
        const char *network, *address;
        bool inside;
    } cases[] = {
        { "10.0.0.0/8", "10.255.0.1:1", true },
        { "10.0.0.0/8", "11.0.0.1:1", false },
        { "10.0.0.0/9", "10.127.255.255:1", true },
        { "10.0.0.0/9", "10.128.0.0:1", false },
        { "0.0.0.0/0", "203.0.113.9:1", true },
        { "0.0.0.0/0", "[2001:db8::1]:1", false },
        { "192.0.2.7", "192.0.2.7:1", true },
        { "192.0.2.7", "192.0.2.6:1", false },
        { "2001:db8::/33", "[2001:db8:7fff::1]:1", true },
        { "2001:db8::/33", "[2001:db8:8000::1]:1", false },
        { "::/0", "[2001:db8::1]:1", true },
        { "::1", "[::1]:1", true },
        { "10.0.0.0/8", "[::ffff:10.1.1.1]:1", true },
        { "::ffff:10.0.0.0/104", "10.1.1.1:1", true },
        { "unix", "unix:/run/x", true },
        { "unix", "10.0.0.1:1", false },
        { "0.0.0.0/0", "unix:/run/x", false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct network n;
        struct ip ip = ip_from(cases[i].address);
        ck_assert_pstr_eq(network_parse(cases[i].network, &n), NULL);
        ck_assert_msg(network_has(&n, &ip) == cases[i].inside, "%s in %s", cases[i].address, cases[i].network);
    }
}
END_TEST

START_TEST(a_wrong_network_is_told_what_is_right)
{
    static const char what[] = "not a network; write 10.0.0.0/8, 2001:db8::/32, a single address, or unix";
    static const char tail[] = "the address has bits behind its prefix; write the network's first address, like 10.0.0.0/8";
    static const struct {
        const char *text, *said;
    } bad[] = {
        { "", what },
        { "example.com", what },
        { "10.0.0/8", what },
        { "10.0.0.1:80", what },
        { "10.0.0.0/33", "not a prefix; write 0 to 32 behind the /" },
        { "10.0.0.0/", "not a prefix; write 0 to 32 behind the /" },
        { "10.0.0.0/-1", "not a prefix; write 0 to 32 behind the /" },
        { "2001:db8::/129", "not a prefix; write 0 to 128 behind the /" },
        { "10.0.0.1/8", tail },
        { "10.0.0.0/4", tail },
        { "2001:db8::1/32", tail },
        { "::ffff:10.0.0.0/8",
          "not a prefix of an IPv4 network inside IPv6; write 96 to 128 behind the /, or the IPv4 network itself" },
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct network n;
        ck_assert_pstr_eq(network_parse(bad[i].text, &n), bad[i].said);
    }
}
END_TEST

Suite *addr_suite(void)
{
    Suite *s = suite_create("addr");
    TCase *t = tcase_create("addr");

    tcase_add_test(t, an_address_comes_back_as_it_was_written);
    tcase_add_test(t, a_wrong_address_is_told_what_is_right_and_changes_nothing);
    tcase_add_test(t, a_unix_path_fits_with_its_end_or_is_refused);
    tcase_add_test(t, equal_addresses_have_equal_hashes_and_others_differ);
    tcase_add_test(t, ipv4_inside_ipv6_is_ipv4);
    tcase_add_test(t, a_peer_without_an_address_is_a_unix_socket);
    tcase_add_test(t, a_network_has_its_addresses_and_no_others);
    tcase_add_test(t, a_wrong_network_is_told_what_is_right);
    suite_add_tcase(s, t);
    return s;
}
