/* Tests of http/upgrade: what Upgrade fields name, however they are spelled and spread. */
#include <check.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "http/upgrade.h"

Suite *upgrade_suite(void);

struct upgrades {
    struct message m;
    struct header headers[4];
};

/* Each text is a field of its own. */
static void set(struct upgrades *u, const char *first, const char *second)
{
    u->m = (struct message){ .headers = u->headers, .cap_headers = 4 };
    ck_assert_int_eq(message_add(&u->m, SLICE("Host"), SLICE("h2")), 0);
    if (first != NULL)
        ck_assert_int_eq(message_add(&u->m, SLICE("Upgrade"), slice_str(first)), 0);
    if (second != NULL)
        ck_assert_int_eq(message_add(&u->m, SLICE("upgrade"), slice_str(second)), 0);
}

static const struct {
    const char *first, *second;
    bool is;
} https[] = {
    { "h2c", NULL, true },      { "H2C", NULL, true },  { "websocket", "h2c", true }, { "websocket , H2c", NULL, true },
    { "HTTP/2.0", NULL, true }, { "http", NULL, true }, { "h2c-14", NULL, true },     { "websocket", NULL, false },
    { "auth2", "x/h2", false }, { NULL, NULL, false },  { ", ,", "", false },         { "httpx", NULL, false },
};

START_TEST(http_is_found_in_any_field_and_any_case)
{
    struct upgrades u;

    set(&u, https[_i].first, https[_i].second);
    ck_assert_int_eq(upgrade_names_http(&u.m), https[_i].is);
}
END_TEST

static const struct {
    const char *asked, *asked_too, *given, *given_too;
    bool is;
} answers[] = {
    { "websocket", NULL, "WebSocket", NULL, true },
    { "a, b", NULL, "b", NULL, true },
    { "a", "b", "b", "a", true },
    { "a", NULL, "b", NULL, false },
    { "a", NULL, "a, b", NULL, false },
    { "a", NULL, "a", "b", false },
    { "a/1", NULL, "a/2", NULL, false },
    { "a", NULL, NULL, NULL, false },
    { NULL, NULL, "a", NULL, false },
};

START_TEST(only_what_was_asked_for_may_be_switched_to)
{
    struct upgrades asked, given;

    set(&asked, answers[_i].asked, answers[_i].asked_too);
    set(&given, answers[_i].given, answers[_i].given_too);
    ck_assert_int_eq(upgrade_was_asked_for(&given.m, &asked.m), answers[_i].is);
}
END_TEST

START_TEST(a_field_that_was_dropped_names_nothing)
{
    struct upgrades u;

    set(&u, "h2c", NULL);
    message_drop(&u.m, HEADER_UPGRADE);
    ck_assert(!upgrade_names_http(&u.m));
}
END_TEST

static const struct {
    const char *key, *upgrade;
    enum method method;
    bool opens;
} handshakes[] = {
    { "dGhlIHNhbXBsZSBub25jZQ==", "websocket", METHOD_GET, true }, /* RFC 6455 1.3 */
    { "dGhlIHNhbXBsZSBub25jZQ==", "x, WebSocket", METHOD_GET, true },
    { "dGhlIHNhbXBsZSBub25jZQ==", "x", METHOD_GET, false },
    { "dGhlIHNhbXBsZSBub25jZQ==", NULL, METHOD_GET, false },
    { "dGhlIHNhbXBsZSBub25jZQ==", "websocket", METHOD_POST, false },
    { "dGhlIHNhbXBsZSBub25jZR==", "websocket", METHOD_GET, false }, /* bits left over */
    { "dGhlIHNhbXBsZSBub25jZ===", "websocket", METHOD_GET, false },
    { "dGhlIHNhbXBsZSBub25jZSBu", "websocket", METHOD_GET, false }, /* 18 bytes */
    { "", "websocket", METHOD_GET, false },
    { NULL, "websocket", METHOD_GET, false },
};

START_TEST(a_websocket_is_opened_by_a_get_with_a_key)
{
    struct upgrades u;
    struct slice key;

    set(&u, handshakes[_i].upgrade, NULL);
    u.m.method = (uint8_t)handshakes[_i].method;
    if (handshakes[_i].key != NULL)
        ck_assert_int_eq(message_add(&u.m, SLICE("sec-websocket-key"), slice_str(handshakes[_i].key)), 0);
    key = upgrade_websocket_key(&u.m);
    ck_assert_int_eq(key.n > 0, handshakes[_i].opens);
    ck_assert(key.n == 0 || slice_eq(key, slice_str(handshakes[_i].key)));
}
END_TEST

START_TEST(two_keys_are_none)
{
    struct upgrades u;

    set(&u, "websocket", NULL);
    u.m.method = METHOD_GET;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(message_add(&u.m, SLICE("Sec-WebSocket-Key"), SLICE("dGhlIHNhbXBsZSBub25jZQ==")), 0);
    ck_assert_uint_eq(upgrade_websocket_key(&u.m).n, 0);
}
END_TEST

START_TEST(a_key_has_its_answer)
{
    char accept[WEBSOCKET_ACCEPT_LEN];

    ck_assert_int_eq(upgrade_websocket_accept(SLICE("dGhlIHNhbXBsZSBub25jZQ=="), accept), 0);
    ck_assert(memcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof accept) == 0); /* RFC 6455 1.3 */
}
END_TEST

static const struct {
    const char *first, *second;
    int rc;
} accepts[] = {
    { "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", NULL, 0 },
    { "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", NULL, -ERR_UPGRADE_FAILED },
    { "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", -ERR_UPGRADE_FAILED },
    { "", NULL, -ERR_UPGRADE_FAILED },
    { NULL, NULL, -ERR_UPGRADE_FAILED },
};

START_TEST(the_answer_to_a_key_is_checked)
{
    struct upgrades asked, given;

    set(&asked, "websocket", NULL);
    asked.m.method = METHOD_GET;
    ck_assert_int_eq(message_add(&asked.m, SLICE("Sec-WebSocket-Key"), SLICE("dGhlIHNhbXBsZSBub25jZQ==")), 0);
    set(&given, "websocket", NULL);
    if (accepts[_i].first != NULL)
        ck_assert_int_eq(message_add(&given.m, SLICE("Sec-WebSocket-Accept"), slice_str(accepts[_i].first)), 0);
    if (accepts[_i].second != NULL)
        ck_assert_int_eq(message_add(&given.m, SLICE("sec-websocket-accept"), slice_str(accepts[_i].second)), 0);
    ck_assert_int_eq(upgrade_websocket_check(&given.m, &asked.m), accepts[_i].rc);
}
END_TEST

Suite *upgrade_suite(void)
{
    Suite *s = suite_create("upgrade");
    TCase *t = tcase_create("fields");

    tcase_add_loop_test(t, http_is_found_in_any_field_and_any_case, 0, ARRAY_LEN(https));
    tcase_add_loop_test(t, only_what_was_asked_for_may_be_switched_to, 0, ARRAY_LEN(answers));
    tcase_add_test(t, a_field_that_was_dropped_names_nothing);
    tcase_add_loop_test(t, a_websocket_is_opened_by_a_get_with_a_key, 0, ARRAY_LEN(handshakes));
    tcase_add_test(t, two_keys_are_none);
    tcase_add_test(t, a_key_has_its_answer);
    tcase_add_loop_test(t, the_answer_to_a_key_is_checked, 0, ARRAY_LEN(accepts));
    suite_add_tcase(s, t);
    return s;
}
