/* Tests of net/proxy_protocol: what is a header, what is none, wherever it is cut, and what is written reads back. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/proxy_protocol.h"

Suite *proxy_protocol_suite(void);

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BAD       (-ERR_BAD_PROXY_HEADER)

/* Of exactly so many bytes, so that a read behind them shows. */
static int read_part(const void *bytes, size_t n, struct proxy_header *h)
{
    uint8_t *copy = malloc(n + (n == 0));
    int rc;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, n);
    rc = proxy_header_read(copy, n, h);
    free(copy);
    return rc;
}

static void expect_ip(const struct ip *ip, const char *text, unsigned port)
{
    char found[IP_TEXT_MAX];

    (void)ip_format(ip, found);
    ck_assert_str_eq(found, text);
    ck_assert_uint_eq(ip->port, port);
}

struct good {
    const char *from, *to; /* NULL: local */
    unsigned from_port, to_port;
    const char *bytes;
    size_t n;
};

#define GOOD(from, from_port, to, to_port, bytes)              \
    {                                                          \
        from, to, from_port, to_port, bytes, sizeof(bytes) - 1 \
    }
#define LOCAL(bytes)                               \
    {                                              \
        NULL, NULL, 0, 0, bytes, sizeof(bytes) - 1 \
    }
#define SIX_A     "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define SIX_B     "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define ZEROS_18  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS_108 ZEROS_18 ZEROS_18 ZEROS_18 ZEROS_18 ZEROS_18 ZEROS_18

static const struct good all_good[] = {
    GOOD("192.168.0.1", 56324, "192.168.0.11", 443, "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
    GOOD("255.255.255.255", 65535, "255.255.255.255", 65535, "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
    GOOD("0.0.0.0", 0, "0.0.0.0", 0, "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"),
    GOOD("2001:db8::1", 1, "2001:db8::2", 2, "PROXY TCP6 2001:db8::1 2001:DB8:0:0:0:0:0:2 1 2\r\n"),
    GOOD("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "::1", 65535,
         "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 0000:0000:0000:0000:0000:0000:0000:0001 65535 65535\r\n"),
    GOOD("10.1.2.3", 9, "::1", 8, "PROXY TCP6 ::ffff:10.1.2.3 ::1 9 8\r\n"), /* IPv4 inside IPv6 is IPv4 */
    LOCAL("PROXY UNKNOWN\r\n"),
    LOCAL("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
    LOCAL("PROXY UNKNOWN what\0ever  \x7f\r\n"),
    GOOD("10.0.0.1", 258, "10.0.0.2", 80, SIGNATURE "\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"),
    GOOD("2001:db8::1", 258, "2001:db8::2", 80, SIGNATURE "\x21\x21\0\x24" SIX_A SIX_B "\x01\x02\0\x50"),
    GOOD("unix", 0, "unix", 0, SIGNATURE "\x21\x31\0\xd8" ZEROS_108 ZEROS_108),
    LOCAL(SIGNATURE "\x20\0\0\0"),
    LOCAL(SIGNATURE "\x20\xff\0\x05"
                    "12345"), /* LOCAL: all that follows means nothing */
    LOCAL(SIGNATURE "\x20\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"),
    LOCAL(SIGNATURE "\x21\0\0\x02"
                    "ab"),                                                   /* UNSPEC */
    LOCAL(SIGNATURE "\x21\x12\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"), /* a datagram's */
    LOCAL(SIGNATURE "\x21\x10\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"),
    /* TLVs: NOOP of 1 byte, an empty one of an application, one that nobody knows */
    GOOD("10.0.0.1", 258, "10.0.0.2", 80,
         SIGNATURE "\x21\x11\0\x17\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                   "\x04\0\x01x"
                   "\xe5\0\0"
                   "\x99\0\x01y"),
    /* a checksum that was computed bit by bit, by a program of its own */
    GOOD("10.0.0.1", 258, "10.0.0.2", 80,
         SIGNATURE "\x21\x11\0\x13\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                   "\x03\0\x04"
                   "\xfb\x59\x3a\xdc"),
};

START_TEST(a_header_is_read_wherever_it_is_cut_and_nothing_behind_it)
{
    const struct good *g = &all_good[_i];
    uint8_t longer[1024];
    struct proxy_header h;

    for (size_t n = 0; n < g->n; n++)
        ck_assert_msg(read_part(g->bytes, n, &h) == 0, "row %d, %zu bytes", _i, n);
    memcpy(longer, g->bytes, g->n);
    for (size_t more = 0; more < 3; more++) {
        memset(longer + g->n, more == 1 ? '\n' : 'G', more);
        ck_assert_int_eq(read_part(longer, g->n + more, &h), (int)g->n);
        ck_assert(h.local == (g->from == NULL));
        if (h.local)
            continue;
        expect_ip(&h.from, g->from, g->from_port);
        expect_ip(&h.to, g->to, g->to_port);
    }
}
END_TEST

struct bad {
    const char *bytes;
    size_t n;
};
#define NOT(bytes)               \
    {                            \
        bytes, sizeof(bytes) - 1 \
    }

static const struct bad all_bad[] = {
    NOT("GET / HTTP/1.1\r\n\r\n"),
    NOT("\x16\x03\x01\x02\0\x01"),
    NOT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    NOT("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY\r\n"),
    NOT("PROXY \r\n"),
    NOT("PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4\r\n"),
    NOT("PROXY TCP4 \r\n"),
    NOT("PROXY TCP4 1.1.1.1\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"),
    NOT("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2  1 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1\r2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n"),
    NOT("PROXY UNKNOWN\n"),
    NOT("PROXY UNKNOWN a\nb\r\n"),
    NOT("PROXY UNKNOWNS\r\n"),
    NOT("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4 0x1.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP4 ::1 ::2 1 2\r\n"),
    NOT("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"),
    NOT("PROXY TCP6 ::1%lo ::2 1 2\r\n"),
    NOT("PROXY TCP6 :::1 ::2 1 2\r\n"),
    NOT("PROXY TCP6 [::1] [::2] 1 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 100000\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"),
    NOT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2x\r\n"),
    /* 108 bytes, and one that does not end at all */
    NOT("PROXY UNKNOWN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
    NOT("PROXY UNKNOWN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    NOT("\r\n\r\n\0\r\nQUIT\r"),
    NOT("\r\n\r\nGET / HTTP/1.1\r\n"),
    NOT(SIGNATURE "\x11"), /* version 1, told before the rest is there */
    NOT(SIGNATURE "\x22"),
    NOT(SIGNATURE "\x2f"),
    NOT(SIGNATURE "\x31\x11\0\x0c"),
    NOT(SIGNATURE "\x21\x11\x0f\xf1"), /* 4097 bytes */
    NOT(SIGNATURE "\x20\0\xff\xff"),
    NOT(SIGNATURE "\x21\x41\0\0"),
    NOT(SIGNATURE "\x21\x13\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"),
    NOT(SIGNATURE "\x21\x11\0\x0b\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0"),
    NOT(SIGNATURE "\x21\x21\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"),
    NOT(SIGNATURE "\x21\x31\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"),
    /* TLVs: a byte, two bytes, one byte too long, a checksum of three bytes, one that is wrong, two of them */
    NOT(SIGNATURE "\x21\x11\0\x0d\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                  "\x04"),
    NOT(SIGNATURE "\x21\x11\0\x0e\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                  "\x04\0"),
    NOT(SIGNATURE "\x21\x11\0\x10\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                  "\x04\0\x02x"),
    NOT(SIGNATURE "\x21\x11\0\x12\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                  "\x03\0\x03"
                  "abc"),
    NOT(SIGNATURE "\x21\x11\0\x13\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                  "\x03\0\x04"
                  "abcd"),
    NOT(SIGNATURE "\x21\x11\0\x13\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x51"
                  "\x03\0\x04"
                  "\xfb\x59\x3a\xdc"),
    NOT(SIGNATURE "\x21\x11\0\x1a\x0a\0\0\x01\x0a\0\0\x02\x01\x02\0\x50"
                  "\x03\0\x04"
                  "\xfb\x59\x3a\xdc"
                  "\x03\0\x04"
                  "\xfb\x59\x3a\xdc"),
};

START_TEST(what_is_no_header_is_refused_and_never_taken_for_one)
{
    const struct bad *b = &all_bad[_i];
    struct proxy_header h;
    bool refused = false;

    for (size_t n = 0; n <= b->n; n++) {
        int rc = read_part(b->bytes, n, &h);
        ck_assert_msg(rc == BAD || (rc == 0 && !refused), "row %d, %zu bytes: %d", _i, n, rc);
        refused = rc == BAD;
    }
    ck_assert(refused);
}
END_TEST

START_TEST(the_longest_header_that_is_taken_has_4096_bytes)
{
    static uint8_t bytes[PROXY_HEADER_MOST] = SIGNATURE "\x20\0\x0f\xf0";
    struct proxy_header h;

    ck_assert_int_eq(read_part(bytes, sizeof bytes - 1, &h), 0);
    ck_assert_int_eq(read_part(bytes, sizeof bytes, &h), (int)sizeof bytes);
}
END_TEST

/* ---- writing ---- */

static struct ip ip(const char *text, uint16_t port)
{
    struct network n;

    ck_assert_ptr_null(network_parse(text, &n));
    n.base.port = port;
    return n.base;
}

static struct proxy_client client_at(const char *from, const char *to)
{
    return (struct proxy_client){ .from = ip(from, 51000), .to = ip(to, 443) };
}

static void expect_bytes(const struct buf *out, const char *bytes, size_t n)
{
    ck_assert_uint_eq(out->n, n);
    ck_assert_mem_eq(out->p, bytes, n);
}

START_TEST(version_1_is_a_line)
{
    struct proxy_client four = client_at("192.0.2.7", "10.0.0.1"), six = client_at("2001:db8::7", "::1"),
                        none = client_at("unix", "unix");
    struct buf out = { 0 };

    proxy_header_write(&out, PROXY_SEND_V1, &four);
    proxy_header_write(&out, PROXY_SEND_V1, &six);
    proxy_header_write(&out, PROXY_SEND_V1, &none);
    proxy_header_write(&out, PROXY_SEND_V1, NULL);
    ck_assert_str_eq(
        out.p,
        "PROXY TCP4 192.0.2.7 10.0.0.1 51000 443\r\nPROXY TCP6 2001:db8::7 ::1 51000 443\r\nPROXY UNKNOWN\r\nPROXY UNKNOWN\r\n");
    buf_free(&out);
}
END_TEST

START_TEST(version_2_bare_is_addresses_and_nothing_else)
{
    struct proxy_client c = client_at("192.0.2.7", "10.0.0.1");
    struct buf out = { 0 };

    c.secure = true;
    c.name = SLICE("a.example");
    proxy_header_write(&out, PROXY_SEND_V2_BARE, &c);
    expect_bytes(&out, SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\xc7\x38\x01\xbb", 28);
    buf_free(&out);
}
END_TEST

START_TEST(a_connection_of_the_proxy_itself_is_local)
{
    struct buf out = { 0 };

    proxy_header_write(&out, PROXY_SEND_V2, NULL);
    expect_bytes(&out, SIGNATURE "\x20\0\0\0", 16);
    buf_free(&out);
}
END_TEST

START_TEST(nothing_is_written_when_nothing_is_to_be_sent)
{
    struct proxy_client c = client_at("192.0.2.7", "10.0.0.1");
    struct buf out = { 0 };

    proxy_header_write(&out, PROXY_SEND_OFF, &c);
    ck_assert_uint_eq(out.n, 0);
    buf_free(&out);
}
END_TEST

START_TEST(addresses_of_two_families_are_told_as_ipv6)
{
    struct proxy_client c = client_at("192.0.2.7", "2001:db8::1");
    struct buf out = { 0 };

    proxy_header_write(&out, PROXY_SEND_V1, &c);
    ck_assert_str_eq(out.p, "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 51000 443\r\n");
    buf_free(&out);
}
END_TEST

START_TEST(what_is_written_reads_back)
{
    static const enum proxy_send ways[] = { PROXY_SEND_V1, PROXY_SEND_V2, PROXY_SEND_V2_BARE };
    static const char *const pairs[][2] = { { "192.0.2.7", "10.0.0.1" }, { "2001:db8::7", "2001:db8::1" } };

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        for (size_t k = 0; k < 2; k++) {
            struct proxy_client c = client_at(pairs[k][0], pairs[k][1]);
            struct buf out = { 0 };
            struct proxy_header h;
            proxy_header_write(&out, ways[i], &c);
            ck_assert_int_eq(read_part(out.p, out.n, &h), (int)out.n);
            ck_assert(!h.local);
            expect_ip(&h.from, pairs[k][0], 51000);
            expect_ip(&h.to, pairs[k][1], 443);
            if (ways[i] == PROXY_SEND_V2) { /* its checksum holds: another byte, and it does not */
                out.p[20] ^= 1;
                ck_assert_int_eq(read_part(out.p, out.n, &h), BAD);
            }
            buf_free(&out);
        }
}
END_TEST

/* The value of a TLV in `in`, from `at` on. */
static struct slice tlv(struct slice in, size_t at, unsigned type)
{
    while (at + 3 <= in.n) {
        const uint8_t *p = (const uint8_t *)in.p + at;
        size_t n = (size_t)p[1] << 8 | p[2];
        if (p[0] == type)
            return slice_of(in.p + at + 3, n);
        at += 3 + n;
    }
    return slice_of(NULL, 0);
}

static void expect_text(struct slice found, const char *text)
{
    ck_assert_uint_eq(found.n, strlen(text));
    ck_assert_mem_eq(found.p, text, found.n);
}

static struct proxy_client secure_client(void)
{
    struct proxy_client c = client_at("192.0.2.7", "10.0.0.1");

    c.secure = c.has_certificate = true;
    c.name = SLICE("a.example");
    c.protocol = SLICE("http/1.1");
    c.version = SLICE("TLSv1.3");
    c.cipher = SLICE("TLS_AES_128_GCM_SHA256");
    c.common_name = SLICE("web");
    c.signature = SLICE("ecdsa-with-SHA256");
    c.key = SLICE("EC256");
    c.spiffe = SLICE("spiffe://prod.example/web");
    return c;
}

START_TEST(version_2_tells_what_tls_told)
{
    struct proxy_client c = secure_client();
    struct buf out = { 0 };
    struct slice ssl;

    proxy_header_write(&out, PROXY_SEND_V2, &c);
    expect_text(tlv(buf_slice(&out), 28, 0x01), "http/1.1");
    expect_text(tlv(buf_slice(&out), 28, 0x02), "a.example");
    expect_text(tlv(buf_slice(&out), 28, PROXY_TLV_SPIFFE), "spiffe://prod.example/web");
    ssl = tlv(buf_slice(&out), 28, 0x20);
    ck_assert_mem_eq(ssl.p, "\x07\0\0\0\0", 5);
    expect_text(tlv(ssl, 5, 0x21), "TLSv1.3");
    expect_text(tlv(ssl, 5, 0x22), "web");
    expect_text(tlv(ssl, 5, 0x23), "TLS_AES_128_GCM_SHA256");
    expect_text(tlv(ssl, 5, 0x24), "ecdsa-with-SHA256");
    expect_text(tlv(ssl, 5, 0x25), "EC256");
    buf_free(&out);
}
END_TEST

/* The flags and the result of verifying. */
static void expect_client(bool has_certificate, bool resumed, const char *start)
{
    struct proxy_client c = secure_client();
    struct buf out = { 0 };
    struct slice ssl;

    c.has_certificate = has_certificate;
    c.resumed = resumed;
    proxy_header_write(&out, PROXY_SEND_V2, &c);
    ssl = tlv(buf_slice(&out), 28, 0x20);
    ck_assert_uint_ge(ssl.n, 5);
    ck_assert_mem_eq(ssl.p, start, 5);
    buf_free(&out);
}

START_TEST(a_client_without_certificate_is_not_verified) { expect_client(false, false, "\x01\0\0\0\x01"); }
END_TEST
START_TEST(a_client_that_took_up_a_session_showed_its_certificate_before) { expect_client(true, true, "\x05\0\0\0\0"); }
END_TEST

START_TEST(a_client_in_clear_has_no_tls_to_tell_of)
{
    struct proxy_client c = secure_client();
    struct buf out = { 0 };

    c.secure = false;
    proxy_header_write(&out, PROXY_SEND_V2, &c);
    ck_assert_uint_eq(out.n, 28 + 7); /* the checksum */
    buf_free(&out);
}
END_TEST

START_TEST(the_longest_that_is_written_is_taken_by_ourselves)
{
    static char text[2048];
    struct proxy_client c = secure_client();
    struct buf out = { 0 };
    struct proxy_header h;

    memset(text, 'a', sizeof text);
    c.spiffe = slice_of(text, sizeof text);
    c.common_name = c.name = slice_of(text, 255);
    proxy_header_write(&out, PROXY_SEND_V2, &c);
    ck_assert_int_eq(read_part(out.p, out.n, &h), (int)out.n);
    buf_free(&out);
}
END_TEST

Suite *proxy_protocol_suite(void)
{
    Suite *s = suite_create("proxy_protocol");
    TCase *t = tcase_create("proxy_protocol");

    tcase_add_loop_test(t, a_header_is_read_wherever_it_is_cut_and_nothing_behind_it, 0, sizeof all_good / sizeof all_good[0]);
    tcase_add_loop_test(t, what_is_no_header_is_refused_and_never_taken_for_one, 0, sizeof all_bad / sizeof all_bad[0]);
    tcase_add_test(t, the_longest_header_that_is_taken_has_4096_bytes);
    tcase_add_test(t, version_1_is_a_line);
    tcase_add_test(t, version_2_bare_is_addresses_and_nothing_else);
    tcase_add_test(t, a_connection_of_the_proxy_itself_is_local);
    tcase_add_test(t, nothing_is_written_when_nothing_is_to_be_sent);
    tcase_add_test(t, addresses_of_two_families_are_told_as_ipv6);
    tcase_add_test(t, what_is_written_reads_back);
    tcase_add_test(t, version_2_tells_what_tls_told);
    tcase_add_test(t, a_client_without_certificate_is_not_verified);
    tcase_add_test(t, a_client_that_took_up_a_session_showed_its_certificate_before);
    tcase_add_test(t, a_client_in_clear_has_no_tls_to_tell_of);
    tcase_add_test(t, the_longest_that_is_written_is_taken_by_ourselves);
    suite_add_tcase(s, t);
    return s;
}
