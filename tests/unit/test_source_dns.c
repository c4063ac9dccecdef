/* test_source_dns.c - what is particular to names: parts of an answer, TTLs, truncation, turning order, priorities and weights. */
#include "tests/lib/fiber_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/resolver.h"
#include "tests/lib/dns_server.h"
#include "tests/lib/source_owner.h"

Suite *source_dns_suite(void);

static struct dns_server dns;
static char address[32];
static const char *servers[2] = { address };
static struct discovery_conf conf;
static struct owner owner;

static void open_world(const char *type)
{
    dns_server_start(&dns);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", dns.port);
    conf = (struct discovery_conf){ .type = type, .name = "app.test", .ttl_least = 50 * CLOCK_MS, .ttl_most = 3600 * CLOCK_S };
    conf.servers = (struct conf_strs){ servers, 1 };
    if (strcmp(type, "dns") == 0)
        conf.port = 80;
}

static void close_world(void)
{
    owner_stop(&owner);
    dns_server_stop(&dns);
    owner_clock_restore();
}

static void have(const char *v4, const char *v6)
{
    dns_server_begin(&dns);
    if (v4 != NULL)
        dns_server_a(&dns, "app.test", v4);
    if (v6 != NULL)
        dns_server_aaaa(&dns, "app.test", v6);
    dns_server_commit(&dns);
}

static void await_n(size_t n)
{
    int64_t deadline = in_ms(15000);

    ck_assert_int_eq(fiber_mutex_lock(&owner.mutex, CLOCK_NEVER), 0);
    while (owner.published == 0 || owner.n != n)
        ck_assert_int_eq(fiber_cond_wait(&owner.told, &owner.mutex, deadline), 0);
    fiber_mutex_unlock(&owner.mutex);
}

/* Until it was told so many times more. */
static void await_published(unsigned more)
{
    unsigned until = owner.published + more;
    int64_t deadline = in_ms(15000);

    ck_assert_int_eq(fiber_mutex_lock(&owner.mutex, CLOCK_NEVER), 0);
    while (owner.published < until)
        ck_assert_int_eq(fiber_cond_wait(&owner.told, &owner.mutex, deadline), 0);
    fiber_mutex_unlock(&owner.mutex);
}

static bool found(const char *name)
{
    struct addr a;

    ck_assert_ptr_null(addr_parse(name, &a, NULL));
    for (size_t i = 0; i < owner.n; i++)
        if (addr_equal(&owner.v[i].addr, &a))
            return true;
    return false;
}

FIBER_TEST(both_families_are_found)
{
    open_world("dns");
    have("10.0.0.1", "2001:db8::1");
    owner_start(&owner, &conf);
    await_n(2);
    ck_assert(found("10.0.0.1:80") && found("[2001:db8::1]:80"));
    close_world();
}

FIBER_TEST(only_the_family_that_is_wanted_is_asked_for)
{
    open_world("dns");
    conf.family = DISCOVERY_IPV6;
    have("10.0.0.1", "2001:db8::1");
    owner_start(&owner, &conf);
    await_n(1);
    ck_assert(found("[2001:db8::1]:80"));
    ck_assert_uint_eq(dns.questions, 1);
    close_world();
}

FIBER_TEST(a_family_that_fails_keeps_its_addresses_while_the_other_changes)
{
    open_world("dns");
    have("10.0.0.1", "2001:db8::1");
    owner_start(&owner, &conf);
    await_n(2);
    dns_server_aaaa_mode(&dns, DNS_SERVFAIL);
    have("10.0.0.2", "2001:db8::1");
    while (!found("10.0.0.2:80"))
        await_published(1);
    ck_assert(found("[2001:db8::1]:80") && owner.n == 2);
    ck_assert_ptr_nonnull(strstr(owner.why, "its last addresses stay"));
    close_world();
}

FIBER_TEST(a_family_that_fails_too_long_loses_its_addresses)
{
    open_world("dns");
    conf.max_age = 60 * CLOCK_S;
    have("10.0.0.1", "2001:db8::1");
    owner_start(&owner, &conf);
    await_n(2);
    dns_server_aaaa_mode(&dns, DNS_SERVFAIL);
    owner_await_failure(&owner, "its last addresses stay");
    owner_clock_jump(61 * CLOCK_S);
    await_n(1);
    ck_assert(found("10.0.0.1:80"));
    close_world();
}

FIBER_TEST(a_family_that_the_name_has_no_more_is_gone)
{
    open_world("dns");
    have("10.0.0.1", "2001:db8::1");
    owner_start(&owner, &conf);
    await_n(2);
    have("10.0.0.1", NULL);
    await_n(1);
    ck_assert(found("10.0.0.1:80"));
    close_world();
}

FIBER_TEST(of_many_addresses_one_is_taken_and_kept_when_their_order_turns)
{
    open_world("dns");
    conf.addresses = DISCOVERY_FIRST;
    dns_server_begin(&dns);
    dns_server_a(&dns, "app.test", "10.0.0.1");
    dns_server_a(&dns, "app.test", "10.0.0.2");
    dns_server_commit(&dns);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 0, 0 });
    dns_server_begin(&dns);
    dns_server_a(&dns, "app.test", "10.0.0.2");
    dns_server_a(&dns, "app.test", "10.0.0.1");
    dns_server_commit(&dns);
    await_published(2);
    ck_assert(HAS(&owner, { 1, 0, 0 }));
    have("10.0.0.2", NULL);
    AWAIT(&owner, { 2, 0, 0 });
    close_world();
}

FIBER_TEST(a_ttl_of_0_is_no_reason_to_ask_without_end)
{
    unsigned before;

    open_world("dns");
    conf.ttl_least = CLOCK_S;
    have("10.0.0.1", NULL);
    owner_start(&owner, &conf);
    await_n(1);
    before = dns.questions;
    ck_assert_int_eq(fiber_sleep(in_ms(300)), 0);
    ck_assert_uint_eq(dns.questions, before);
    owner_clock_jump(CLOCK_S);
    await_published(1);
    close_world();
}

FIBER_TEST(a_long_ttl_is_cut_and_a_usual_one_waited_for)
{
    open_world("dns");
    conf.ttl_most = 300 * CLOCK_S;
    dns.ttl = 100;
    have("10.0.0.1", NULL);
    owner_start(&owner, &conf);
    await_n(1);
    dns.ttl = 100000;
    have("10.0.0.2", NULL);
    owner_clock_jump(90 * CLOCK_S);
    ck_assert(found("10.0.0.1:80"));
    owner_clock_jump(11 * CLOCK_S);
    AWAIT(&owner, { 2, 0, 0 });
    have("10.0.0.3", NULL);
    owner_clock_jump(301 * CLOCK_S);
    AWAIT(&owner, { 3, 0, 0 });
    close_world();
}

FIBER_TEST(an_answer_that_is_too_long_for_udp_is_asked_for_by_tcp)
{
    open_world("dns");
    dns_server_mode(&dns, DNS_TRUNCATED);
    dns_server_begin(&dns);
    for (int i = 1; i <= 12; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "10.0.0.%d", i);
        dns_server_a(&dns, "app.test", text);
    }
    dns_server_commit(&dns);
    owner_start(&owner, &conf);
    await_n(12);
    ck_assert_uint_ge(dns.by_tcp, 1);
    close_world();
}

FIBER_TEST(the_next_server_is_asked_when_the_first_is_not_there)
{
    struct dns_server gone;

    open_world("dns");
    dns_server_start(&gone);
    dns_server_stop(&gone);
    static char first[32];
    (void)snprintf(first, sizeof first, "127.0.0.1:%u", gone.port);
    servers[0] = first;
    servers[1] = address;
    conf.servers.n = 2;
    have("10.0.0.1", NULL);
    owner_start(&owner, &conf);
    await_n(1);
    servers[0] = address;
    close_world();
}

FIBER_TEST(a_source_whose_server_is_silent_ends_at_once_when_called_off)
{
    open_world("dns");
    dns_server_mode(&dns, DNS_SILENT);
    owner_start(&owner, &conf);
    while (dns.questions == 0)
        ck_assert_int_eq(fiber_sleep(in_ms(1)), 0);
    close_world(); /* fails when it takes long */
}

FIBER_TEST(a_name_that_does_not_exist_is_asked_for_ever_more_rarely)
{
    open_world("dns");
    owner_start(&owner, &conf);
    owner_await_failure(&owner, "not found");
    for (int i = 0; i < 12; i++)
        owner_clock_jump(31 * CLOCK_S);
    unsigned before = dns.questions;
    ck_assert_int_eq(fiber_sleep(in_ms(300)), 0);
    ck_assert_uint_le(dns.questions - before, 2);
    ck_assert_uint_eq(owner.published, 0);
    close_world();
}

/* ---- SRV ---- */

static void target(const char *name, const char *v4)
{
    if (v4 != NULL)
        dns_server_a(&dns, name, v4);
}

FIBER_TEST(the_lowest_priority_is_the_first_level_whatever_its_number)
{
    open_world("dns-srv");
    dns_server_begin(&dns);
    dns_server_srv(&dns, "app.test", 500, 1, 80, "c.test");
    dns_server_srv(&dns, "app.test", 20, 1, 80, "a.test");
    dns_server_srv(&dns, "app.test", 30, 1, 80, "b.test");
    dns_server_srv(&dns, "app.test", 20, 1, 80, "d.test");
    target("a.test", "10.0.0.1");
    target("b.test", "10.0.0.2");
    target("c.test", "10.0.0.3");
    target("d.test", "10.0.0.4");
    dns_server_commit(&dns);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 1, 0 }, { 2, 1, 1 }, { 3, 1, 2 }, { 4, 1, 0 });
    close_world();
}

FIBER_TEST(large_weights_keep_their_proportions_and_none_drains)
{
    open_world("dns-srv");
    dns_server_begin(&dns);
    dns_server_srv(&dns, "app.test", 0, 60000, 80, "a.test");
    dns_server_srv(&dns, "app.test", 0, 30000, 80, "b.test");
    dns_server_srv(&dns, "app.test", 0, 0, 80, "c.test");
    target("a.test", "10.0.0.1");
    target("b.test", "10.0.0.2");
    target("c.test", "10.0.0.3");
    dns_server_commit(&dns);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 1000, 0 }, { 2, 500, 0 }, { 3, 1, 0 });
    close_world();
}

FIBER_TEST(one_target_may_have_several_ports_and_addresses)
{
    open_world("dns-srv");
    dns_server_begin(&dns);
    dns_server_srv(&dns, "app.test", 0, 1, 80, "a.test");
    dns_server_srv(&dns, "app.test", 0, 1, 81, "A.test");
    target("a.test", "10.0.0.1");
    target("a.test", "10.0.0.2");
    dns_server_commit(&dns);
    owner_start(&owner, &conf);
    await_n(4);
    ck_assert(found("10.0.0.1:80") && found("10.0.0.1:81") && found("10.0.0.2:80") && found("10.0.0.2:81"));
    close_world();
}

FIBER_TEST(a_target_without_an_address_is_left_out)
{
    open_world("dns-srv");
    dns_server_begin(&dns);
    dns_server_srv(&dns, "app.test", 0, 1, 80, "a.test");
    dns_server_srv(&dns, "app.test", 0, 1, 80, "nowhere.test");
    target("a.test", "10.0.0.1");
    dns_server_commit(&dns);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 1, 0 });
    close_world();
}

FIBER_TEST(records_whose_targets_have_no_address_leave_the_last_list_in_place)
{
    open_world("dns-srv");
    dns_server_begin(&dns);
    dns_server_srv(&dns, "app.test", 0, 1, 80, "a.test");
    target("a.test", "10.0.0.1");
    dns_server_commit(&dns);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 1, 0 });
    dns_server_begin(&dns);
    dns_server_srv(&dns, "app.test", 0, 1, 80, "nowhere.test");
    dns_server_commit(&dns);
    owner_await_failure(&owner, "not found");
    ck_assert(HAS(&owner, { 1, 1, 0 }));
    close_world();
}

/* ---- answers by the byte ---- */

static int parse(const unsigned char *bytes, int n, struct question *q, struct arena *a)
{
    *q = (struct question){ .kind = QUESTION_SRV };
    return resolver_parse_srv(q, bytes, n, a);
}

/* A question for "a" and two records: an SRV for b.c, TTL 16, and a CNAME, TTL 3. */
static const unsigned char whole[] = "\x00\x01\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"
                                     "\x01"
                                     "a\x00\x00\x21\x00\x01"
                                     "\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x10\x00\x0b\x00\x02\x00\x03\x00\x50\x01"
                                     "b\x01"
                                     "c\x00"
                                     "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x03\x00\x02\xc0\x0c";

START_TEST(srv_records_are_read_with_the_least_ttl_of_the_answer)
{
    struct arena a = { 0 };
    struct question q;

    ck_assert_int_eq(parse(whole, sizeof whole - 1, &q, &a), 0);
    ck_assert_uint_eq(q.n, 1);
    ck_assert_str_eq(q.srvs[0].target, "b.c");
    ck_assert_uint_eq(q.srvs[0].priority, 2);
    ck_assert_uint_eq(q.srvs[0].weight, 3);
    ck_assert_uint_eq(q.srvs[0].port, 80);
    ck_assert_int_eq(q.ttl, 3 * CLOCK_S);
    arena_free(&a);
}
END_TEST

START_TEST(an_answer_cut_anywhere_is_refused)
{
    unsigned char *piece;
    struct question q;

    for (int n = 0; n < (int)sizeof whole - 1; n++) {
        struct arena a = { 0 };
        piece = malloc((size_t)n + 1); /* so that a sanitizer sees a read behind it */
        ck_assert_ptr_nonnull(piece);
        memcpy(piece, whole, (size_t)n);
        ck_assert_int_eq(parse(piece, n, &q, &a), -ERR_INVALID);
        arena_free(&a);
        free(piece);
    }
}
END_TEST

Suite *source_dns_suite(void)
{
    Suite *s = suite_create("source_dns");
    TCase *t = tcase_create("names");

    tcase_add_test(t, both_families_are_found);
    tcase_add_test(t, only_the_family_that_is_wanted_is_asked_for);
    tcase_add_test(t, a_family_that_fails_keeps_its_addresses_while_the_other_changes);
    tcase_add_test(t, a_family_that_fails_too_long_loses_its_addresses);
    tcase_add_test(t, a_family_that_the_name_has_no_more_is_gone);
    tcase_add_test(t, of_many_addresses_one_is_taken_and_kept_when_their_order_turns);
    tcase_add_test(t, a_ttl_of_0_is_no_reason_to_ask_without_end);
    tcase_add_test(t, a_long_ttl_is_cut_and_a_usual_one_waited_for);
    tcase_add_test(t, an_answer_that_is_too_long_for_udp_is_asked_for_by_tcp);
    tcase_add_test(t, the_next_server_is_asked_when_the_first_is_not_there);
    tcase_add_test(t, a_source_whose_server_is_silent_ends_at_once_when_called_off);
    tcase_add_test(t, a_name_that_does_not_exist_is_asked_for_ever_more_rarely);
    suite_add_tcase(s, t);
    t = tcase_create("services");
    tcase_add_test(t, the_lowest_priority_is_the_first_level_whatever_its_number);
    tcase_add_test(t, large_weights_keep_their_proportions_and_none_drains);
    tcase_add_test(t, one_target_may_have_several_ports_and_addresses);
    tcase_add_test(t, a_target_without_an_address_is_left_out);
    tcase_add_test(t, records_whose_targets_have_no_address_leave_the_last_list_in_place);
    tcase_add_test(t, srv_records_are_read_with_the_least_ttl_of_the_answer);
    tcase_add_test(t, an_answer_cut_anywhere_is_refused);
    suite_add_tcase(s, t);
    return s;
}
