/* test_svid_message.c - an X509SVIDResponse taken apart, and what is none. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/protobuf.h"
#include "net/svid_message.h"

Suite *svid_message_suite(void);

static struct svid_message *message;
static struct buf text;

static void begin(void)
{
    message = malloc(sizeof *message);
    ck_assert_ptr_nonnull(message);
}

static void end(void)
{
    free(message);
    buf_free(&text);
}

static void add(struct buf *to, uint32_t number, struct slice bytes)
{
    char head[PB_HEAD_MOST];

    buf_append(to, head, pb_put_head(head, number, bytes.n));
    buf_add_slice(to, bytes);
}

/* Fields 1 to 5 of an identity; NULL: left out. */
static void add_svid(const char *id, const char *certs, const char *key, const char *bundle, const char *hint)
{
    const char *const all[] = { id, certs, key, bundle, hint };
    struct buf svid = { 0 };

    for (uint32_t i = 0; i < 5; i++)
        if (all[i] != NULL)
            add(&svid, i + 1, slice_str(all[i]));
    add(&text, 1, buf_slice(&svid));
    buf_free(&svid);
}

static void add_bundle(const char *domain, const char *certs)
{
    struct buf entry = { 0 };

    add(&entry, 1, slice_str(domain));
    add(&entry, 2, slice_str(certs));
    add(&text, 3, buf_slice(&entry));
    buf_free(&entry);
}

static const char *read_it(void) { return svid_message_read(buf_slice(&text), message); }
static bool is(struct slice s, const char *want) { return slice_eq(s, slice_str(want)); }

START_TEST(all_parts_are_found)
{
    add_svid("spiffe://prod.example/web", "certs", "key", "bundle", "inner");
    add(&text, 2, SLICE("list"));
    add_bundle("spiffe://other.example", "theirs");
    add_svid("spiffe://prod.example/api", "certs2", "key2", "bundle2", NULL);
    add_bundle("third.example", "");
    ck_assert_ptr_null(read_it());
    ck_assert_uint_eq(message->n_svids, 2);
    ck_assert_uint_eq(message->n_crls, 1);
    ck_assert_uint_eq(message->n_bundles, 2);
    ck_assert(is(message->svids[0].id, "spiffe://prod.example/web") && is(message->svids[0].domain, "prod.example"));
    ck_assert(is(message->svids[0].certs, "certs") && is(message->svids[0].key, "key") && is(message->svids[0].bundle, "bundle"));
    ck_assert(is(message->svids[0].hint, "inner") && message->svids[1].hint.n == 0);
    ck_assert(is(message->svids[1].id, "spiffe://prod.example/api") && is(message->crls[0], "list"));
    ck_assert(is(message->bundles[0].domain, "other.example") && is(message->bundles[0].certs, "theirs"));
    ck_assert(is(message->bundles[1].domain, "third.example"));
}
END_TEST

START_TEST(fields_that_nobody_knows_are_skipped)
{
    struct buf svid = { 0 };

    buf_append(&text, "\x20\x07", 2); /* field 4, a number */
    add(&svid, 1, SLICE("spiffe://prod.example/web"));
    buf_append(&svid, "\x30\x01", 2);
    for (uint32_t i = 2; i <= 4; i++)
        add(&svid, i, SLICE("x"));
    add(&svid, 77, SLICE("more"));
    add(&text, 1, buf_slice(&svid));
    buf_free(&svid);
    ck_assert_ptr_null(read_it());
    ck_assert_uint_eq(message->n_svids, 1);
}
END_TEST

START_TEST(an_identity_that_lacks_something_is_refused)
{
    const char *parts[] = { "spiffe://prod.example/web", "certs", "key", "bundle" };

    for (int missing = 0; missing < 4; missing++)
        for (int empty = 0; empty < 2; empty++) {
            const char *p[4];
            memcpy(p, parts, sizeof p);
            p[missing] = empty ? "" : NULL;
            text.n = 0;
            add_svid(p[0], p[1], p[2], p[3], NULL);
            ck_assert_str_eq(read_it(), "an identity lacks its ID, certificate, key or bundle");
        }
}
END_TEST

START_TEST(an_id_must_be_that_of_a_workload)
{
    static const char *const wrong[] = { "spiffe://prod.example",     "spiffe://prod.example/", "https://prod.example/web",
                                         "spiffe://Prod.example/web", "spiffe:///web",          "web" };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        text.n = 0;
        add_svid(wrong[i], "c", "k", "b", NULL);
        ck_assert_str_eq(read_it(), "an identity has what is no SPIFFE ID of a workload");
    }
}
END_TEST

START_TEST(a_federated_bundle_must_be_for_a_trust_domain)
{
    static const char *const wrong[] = { "", "spiffe://other.example/web", "Other.example", "spiffe://", "a b", "https://a" };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        text.n = 0;
        add_svid("spiffe://prod.example/web", "c", "k", "b", NULL);
        add_bundle(wrong[i], "x");
        ck_assert_str_eq(read_it(), "a federated bundle is for what is no trust domain");
    }
}
END_TEST

START_TEST(numbers_are_bounded)
{
    for (int i = 0; i < SVIDS_MOST; i++)
        add_svid("spiffe://prod.example/web", "c", "k", "b", NULL);
    for (int i = 0; i < SVID_CRLS_MOST; i++)
        add(&text, 2, SLICE("x"));
    for (int i = 0; i < SVID_BUNDLES_MOST; i++)
        add_bundle("other.example", "x");
    ck_assert_ptr_null(read_it());
    add_svid("spiffe://prod.example/web", "c", "k", "b", NULL);
    ck_assert_str_eq(read_it(), "there are too many identities");
    text.n = 0;
    for (int i = 0; i <= SVID_CRLS_MOST; i++)
        add(&text, 2, SLICE("x"));
    ck_assert_str_eq(read_it(), "there are too many revocation lists");
    text.n = 0;
    for (int i = 0; i <= SVID_BUNDLES_MOST; i++)
        add_bundle("other.example", "x");
    ck_assert_str_eq(read_it(), "there are too many federated bundles");
}
END_TEST

START_TEST(what_is_no_message_is_refused)
{
    static const struct slice wrong[] = { SLICE("\x08\x01"), SLICE("\x0a\x05"), SLICE("\x0a\x02\x08\x01"), SLICE("\xff"),
                                          SLICE("\x1a\x02\x08\x01") };

    ck_assert_str_eq(read_it(), "there is no identity in it");
    add(&text, 2, SLICE("list"));
    ck_assert_str_eq(read_it(), "there is no identity in it");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        text.n = 0;
        buf_add_slice(&text, wrong[i]);
        ck_assert_str_eq(read_it(), "it is no X509SVIDResponse");
    }
}
END_TEST

Suite *svid_message_suite(void)
{
    Suite *s = suite_create("svid_message");
    TCase *t = tcase_create("svid_message");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, all_parts_are_found);
    tcase_add_test(t, fields_that_nobody_knows_are_skipped);
    tcase_add_test(t, an_identity_that_lacks_something_is_refused);
    tcase_add_test(t, an_id_must_be_that_of_a_workload);
    tcase_add_test(t, a_federated_bundle_must_be_for_a_trust_domain);
    tcase_add_test(t, numbers_are_bounded);
    tcase_add_test(t, what_is_no_message_is_refused);
    suite_add_tcase(s, t);
    return s;
}
