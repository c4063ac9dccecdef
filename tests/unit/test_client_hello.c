/* Tests of net/client_hello: the name in hellos as they are, as they may be cut, and as they must not be. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/client_hello.h"

Suite *client_hello_suite(void);

/* A hello under construction; lengths are put in when their content is there. */
struct hello {
    uint8_t bytes[40000];
    size_t n;
};

static void put(struct hello *h, const void *p, size_t n)
{
    memcpy(h->bytes + h->n, p, n);
    h->n += n;
}

static void put_number(struct hello *h, size_t value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0;)
        h->bytes[h->n++] = (uint8_t)(value >> (8 * i));
}

static void put_names(struct hello *h, const char *name)
{
    size_t n = strlen(name);

    put_number(h, 0, 2); /* server_name */
    put_number(h, n + 5, 2);
    put_number(h, n + 3, 2);
    put_number(h, 0, 1);
    put_number(h, n, 2);
    put(h, name, n);
}

static void put_padding(struct hello *h, size_t n)
{
    put_number(h, 21, 2);
    put_number(h, n, 2);
    memset(h->bytes + h->n, 0, n);
    h->n += n;
}

/* The handshake message around those extensions; `name` NULL: without server_name. */
static void message(struct hello *m, const char *name, size_t padding)
{
    struct hello e = { .n = 0 };

    put_padding(&e, padding);
    if (name != NULL)
        put_names(&e, name);
    m->n = 0;
    put_number(m, 1, 1);
    put_number(m, 2 + 32 + 1 + 4 + 2 + 2 + e.n, 3);
    put_number(m, 0x0303, 2);
    memset(m->bytes + m->n, 7, 32);
    m->n += 32;
    put_number(m, 0, 1);
    put_number(m, 2, 2);
    put_number(m, 0x1301, 2);
    put_number(m, 1, 1);
    put_number(m, 0, 1);
    put_number(m, e.n, 2);
    put(m, e.bytes, e.n);
}

/* In records of that many bytes each. */
static void records(struct hello *h, const struct hello *m, size_t each)
{
    h->n = 0;
    for (size_t at = 0; at < m->n; at += each) {
        size_t n = m->n - at < each ? m->n - at : each;
        put_number(h, 22, 1);
        put_number(h, 0x0301, 2);
        put_number(h, n, 2);
        put(h, m->bytes + at, n);
    }
}

static char text[CLIENT_HELLO_NAME];
static struct slice name;
static struct hello m, h;

static int read_all(void) { return client_hello_name(h.bytes, h.n, text, &name); }

START_TEST(the_name_is_found)
{
    message(&m, "api.example.com", 100);
    records(&h, &m, 16384);
    ck_assert_int_eq(read_all(), 1);
    ck_assert(slice_eq(name, SLICE("api.example.com")));
}
END_TEST

START_TEST(the_name_comes_in_small_letters_and_without_a_last_dot)
{
    message(&m, "API.Example.com.", 0);
    records(&h, &m, 16384);
    ck_assert_int_eq(read_all(), 1);
    ck_assert(slice_eq(name, SLICE("api.example.com")));
}
END_TEST

START_TEST(a_hello_that_names_nobody_is_read_too)
{
    message(&m, NULL, 10);
    records(&h, &m, 16384);
    ck_assert_int_eq(read_all(), 1);
    ck_assert_uint_eq(name.n, 0);
}
END_TEST

START_TEST(a_hello_may_be_cut_into_records_of_any_size)
{
    static const size_t sizes[] = { 1, 2, 3, 4, 5, 50, 77, 200 };

    message(&m, "a.example", 60);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        records(&h, &m, sizes[i]);
        ck_assert_int_eq(read_all(), 1);
        ck_assert(slice_eq(name, SLICE("a.example")));
    }
}
END_TEST

START_TEST(every_prefix_asks_for_more)
{
    message(&m, "a.example", 60);
    for (size_t each = 3; each < 300; each += 40) {
        records(&h, &m, each);
        for (size_t n = 0; n < h.n; n++)
            ck_assert_int_eq(client_hello_name(h.bytes, n, text, &name), 0);
        ck_assert_int_eq(read_all(), 1);
    }
}
END_TEST

START_TEST(what_follows_the_hello_is_not_looked_at)
{
    message(&m, "a.example", 0);
    records(&h, &m, 16384);
    put(&h, "whatever", 8);
    ck_assert_int_eq(read_all(), 1);
}
END_TEST

START_TEST(a_large_hello_is_read)
{
    message(&m, "a.example", 9000);
    records(&h, &m, 16384);
    ck_assert_int_eq(read_all(), 1);
    ck_assert(slice_eq(name, SLICE("a.example")));
}
END_TEST

START_TEST(a_hello_that_is_too_large_is_refused)
{
    message(&m, "a.example", 17000);
    records(&h, &m, 8000);
    ck_assert_int_eq(read_all(), -ERR_BAD_CLIENT_HELLO);
    ck_assert_int_eq(client_hello_name(h.bytes, 20, text, &name), -ERR_BAD_CLIENT_HELLO);
}
END_TEST

START_TEST(what_is_no_tls_is_refused_at_its_first_bytes)
{
    static const char *const others[] = { "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "\x15\x03\x01", "\x16\x02", "\x80\x2e" };

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_int_eq(client_hello_name((const uint8_t *)others[i], strlen(others[i]), text, &name), -ERR_BAD_CLIENT_HELLO);
}
END_TEST

START_TEST(bytes_that_no_host_has_are_refused)
{
    static const char *const names[] = { "a b", "a/b", "a\nb", "", "\xc3\xa4.example", ".", "a:80", "*.a" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        message(&m, names[i], 0);
        records(&h, &m, 16384);
        ck_assert_msg(read_all() == -ERR_BAD_CLIENT_HELLO, "%s", names[i]);
    }
}
END_TEST

START_TEST(a_length_that_lies_is_refused)
{
    size_t refused = 0;

    message(&m, "a.example", 0);
    for (size_t at = 4 + 34; at < m.n; at++) { /* each byte behind the random, made larger */
        struct hello lie = m;
        lie.bytes[at] = (uint8_t)(lie.bytes[at] + 200);
        records(&h, &lie, 16384);
        refused += read_all() == -ERR_BAD_CLIENT_HELLO;
    }
    ck_assert_uint_gt(refused, 10);
}
END_TEST

START_TEST(a_second_name_is_refused)
{
    struct hello e = { .n = 0 };

    put_names(&e, "a.example");
    put_names(&e, "b.example");
    m.n = 0;
    put_number(&m, 1, 1);
    put_number(&m, 2 + 32 + 1 + 4 + 2 + 2 + e.n, 3);
    put_number(&m, 0x0303, 2);
    m.n += 32;
    put_number(&m, 0, 1);
    put_number(&m, 2, 2);
    put_number(&m, 0x1301, 2);
    put_number(&m, 0x0100, 2);
    put_number(&m, e.n, 2);
    put(&m, e.bytes, e.n);
    records(&h, &m, 16384);
    ck_assert_int_eq(read_all(), -ERR_BAD_CLIENT_HELLO);
}
END_TEST

Suite *client_hello_suite(void)
{
    Suite *s = suite_create("client_hello");
    TCase *t = tcase_create("client_hello");

    tcase_add_test(t, the_name_is_found);
    tcase_add_test(t, the_name_comes_in_small_letters_and_without_a_last_dot);
    tcase_add_test(t, a_hello_that_names_nobody_is_read_too);
    tcase_add_test(t, a_hello_may_be_cut_into_records_of_any_size);
    tcase_add_test(t, every_prefix_asks_for_more);
    tcase_add_test(t, what_follows_the_hello_is_not_looked_at);
    tcase_add_test(t, a_large_hello_is_read);
    tcase_add_test(t, a_hello_that_is_too_large_is_refused);
    tcase_add_test(t, what_is_no_tls_is_refused_at_its_first_bytes);
    tcase_add_test(t, bytes_that_no_host_has_are_refused);
    tcase_add_test(t, a_length_that_lies_is_refused);
    tcase_add_test(t, a_second_name_is_refused);
    suite_add_tcase(s, t);
    return s;
}
