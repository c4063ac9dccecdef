/* Tests of proxy/forwarded_for: who the client is, and who can't pretend to be. */
#include <check.h>
#include <string.h>

#include "base/must.h"
#include "proxy/forwarded_for.h"

Suite *forwarded_for_suite(void);

static struct network nets[3];
static const struct networks trusted = { nets, 3 };

static void setup(void)
{
    static const char *const texts[] = { "10.0.0.0/8", "2001:db8::/32", "unix" };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_ptr_null(network_parse(texts[i], &nets[i]));
}

static struct ip ip(const char *text)
{
    struct network n;

    ck_assert_ptr_null(network_parse(text, &n));
    return n.base;
}

/* The client as text, for a peer and up to two fields. */
static const char *client(const char *peer, const char *one, const char *two)
{
    static char text[IP_TEXT_MAX];
    struct header fields[2];
    struct message m = { .headers = fields, .cap_headers = 2 };
    struct ip from = ip(peer), got;

    ck_assert_int_eq(message_add(&m, SLICE("X-Forwarded-For"), slice_str(one)), 0);
    if (two != NULL)
        ck_assert_int_eq(message_add(&m, SLICE("x-forwarded-for"), slice_str(two)), 0);
    got = forwarded_for(&trusted, &m, &from);
    text[ip_format(&got, text)] = '\0';
    return text;
}

START_TEST(the_last_address_that_is_not_trusted_is_the_client)
{
    static const struct {
        const char *peer, *one, *two, *client;
    } cases[] = {
        { "192.0.2.9", "203.0.113.1", NULL, "192.0.2.9" }, /* it says so itself */
        { "10.0.0.1", "203.0.113.1", NULL, "203.0.113.1" },
        { "10.0.0.1", "198.51.100.7, 203.0.113.1", NULL, "203.0.113.1" }, /* the first is made up */
        { "10.0.0.1", "203.0.113.1, 10.0.0.2", NULL, "203.0.113.1" },
        { "10.0.0.1", "203.0.113.1,10.0.0.3,10.0.0.2", NULL, "203.0.113.1" },
        { "10.0.0.1", "198.51.100.7", "203.0.113.1", "203.0.113.1" },
        { "10.0.0.1", "203.0.113.1", "10.0.0.2", "203.0.113.1" },
        { "10.0.0.1", "10.0.0.3", "10.0.0.2", "10.0.0.3" }, /* a client from inside */
        { "10.0.0.1", "", NULL, "10.0.0.1" },
        { "10.0.0.1", "unknown", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.1, unknown", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.1, unknown, 10.0.0.2", NULL, "10.0.0.2" },
        { "10.0.0.1", "203.0.113.1,", NULL, "10.0.0.1" },
        { "10.0.0.1", "unix", NULL, "10.0.0.1" },
        { "10.0.0.1", "10.0.0.0/8", NULL, "10.0.0.1" },
        { "10.0.0.1", "203.0.113.1:4711", NULL, "203.0.113.1" },
        { "10.0.0.1", "2a00::1", NULL, "2a00::1" },
        { "10.0.0.1", "[2a00::1]", NULL, "2a00::1" },
        { "10.0.0.1", "[2a00::1]:4711", NULL, "2a00::1" },
        { "10.0.0.1", "[]", NULL, "10.0.0.1" },
        { "10.0.0.1", "[", NULL, "10.0.0.1" },
        { "10.0.0.1", ":", NULL, "10.0.0.1" },
        { "2001:db8::1", "203.0.113.1", NULL, "203.0.113.1" },
        { "unix", "203.0.113.1", NULL, "203.0.113.1" },
        { "10.0.0.1", "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222", NULL, "10.0.0.1" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_msg(strcmp(client(cases[i].peer, cases[i].one, cases[i].two), cases[i].client) == 0, "case %zu: %s", i,
                      client(cases[i].peer, cases[i].one, cases[i].two));
}
END_TEST

START_TEST(a_list_without_end_is_not_read_to_its_end)
{
    char list[60000] = "203.0.113.1";
    size_t n = strlen(list);

    while (n + 12 < sizeof list) {
        memcpy(list + n, ",10.1.1.1", 10);
        n += 9;
    }
    ck_assert_str_eq(client("10.0.0.1", list, NULL), "10.1.1.1");
}
END_TEST

Suite *forwarded_for_suite(void)
{
    Suite *s = suite_create("forwarded_for");
    TCase *t = tcase_create("forwarded_for");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, the_last_address_that_is_not_trusted_is_the_client);
    tcase_add_test(t, a_list_without_end_is_not_read_to_its_end);
    suite_add_tcase(s, t);
    return s;
}
