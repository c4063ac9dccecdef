/* Tests of upstream/sticky: whose cookie is believed, for how long, and what a backend is called in it. */
#include <check.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "upstream/sticky.h"

Suite *sticky_suite(void);

#define NOW  (INT64_C(1800000000) * CLOCK_S)
#define HOUR (3600 * CLOCK_S)

static const char *first[] = { "0123456789abcdef" }, *rotated[] = { "fedcba9876543210", "0123456789abcdef" },
                  *other[] = { "0123456789abcdeF" };
static struct sticky_conf conf;
static struct sticky *made[8];
static size_t n_made;
static struct addr address;

static void setup(void)
{
    conf = (struct sticky_conf){ .cookie = "weir", .ttl = HOUR };
    ck_assert_ptr_null(addr_parse("10.0.0.1:80", &address, NULL));
}

static void teardown(void)
{
    while (n_made > 0)
        sticky_free(&made[--n_made]);
}

/* Each has a configuration of its own. */
static const struct sticky *make(const char *pool, const char **secrets, size_t n, int64_t ttl)
{
    static struct sticky_conf confs[ARRAY_LEN(made)];
    struct sticky_conf *c = &confs[n_made];

    *c = conf;
    c->secrets = (struct conf_strs){ secrets, n };
    c->ttl = ttl;
    made[n_made] = sticky_new(c, pool);
    ck_assert_ptr_nonnull(made[n_made]);
    return made[n_made++];
}

static const struct sticky *app(void) { return make("app", first, 1, HOUR); }

static struct slice written(const struct sticky *s, int64_t wall)
{
    static char text[STICKY_TEXT];

    ck_assert_int_eq(sticky_write(s, &address, wall, text), 0);
    return slice_of(text, sizeof text);
}

static int reads(const struct sticky *s, struct slice cookie, int64_t wall)
{
    struct sticky_seen seen;

    return sticky_read(s, cookie, wall, &seen);
}

static bool is_old(const struct sticky *s, struct slice cookie, int64_t wall)
{
    struct sticky_seen seen;

    ck_assert_int_eq(sticky_read(s, cookie, wall, &seen), 0);
    return seen.old;
}

START_TEST(a_cookie_names_the_backend_that_it_was_written_for)
{
    const struct sticky *s = app();
    struct sticky_seen seen;
    uint64_t id;

    ck_assert_int_eq(sticky_id(s, 0, &address, &id), 0);
    ck_assert_int_eq(sticky_read(s, written(s, NOW), NOW, &seen), 0);
    ck_assert_uint_eq(seen.id, id);
    ck_assert(!seen.old);
}
END_TEST

/* Never change it: cookies outlive a version, and several versions may serve one site.  Made by Python's hmac. */
START_TEST(a_cookie_is_the_same_on_every_instance)
{
    struct slice c = written(app(), NOW);

    ck_assert_msg(slice_eq(c, SLICE("AQBrSeAQjf7_lJEWMH1gsg0nxCDxPrvWe4B_KqY9")), SLICE_FMT, SLICE_ARG(c));
}
END_TEST

START_TEST(a_cookie_with_any_bit_changed_is_none)
{
    const struct sticky *s = app();
    struct slice good = written(s, NOW);
    char text[STICKY_TEXT];

    for (size_t i = 0; i < STICKY_TEXT; i++)
        for (int c = 0; c < 256; c++) {
            memcpy(text, good.p, sizeof text);
            text[i] = (char)c;
            ck_assert_int_eq(reads(s, slice_of(text, sizeof text), NOW), c == (unsigned char)good.p[i] ? 0 : -ERR_INVALID);
        }
}
END_TEST

START_TEST(a_cookie_of_another_length_is_none)
{
    const struct sticky *s = app();
    char text[STICKY_TEXT + 4];

    memset(text, 'A', sizeof text);
    memcpy(text, written(s, NOW).p, STICKY_TEXT);
    for (size_t n = 0; n <= sizeof text; n++)
        ck_assert_int_eq(reads(s, slice_of(text, n), NOW), n == STICKY_TEXT ? 0 : -ERR_INVALID);
}
END_TEST

START_TEST(garbage_is_none)
{
    static const char *const bad[] = {
        "",
        "=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "________________________________________",
        "++++++++++++++++++++++++++++++++++++////",
        "                                        ",
        "127.0.0.1:8080",
    };
    const struct sticky *s = app();

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_int_eq(reads(s, slice_str(bad[i]), NOW), -ERR_INVALID);
}
END_TEST

START_TEST(a_cookie_of_another_pool_is_none)
{
    struct slice cookie = written(app(), NOW);

    ck_assert_int_eq(reads(make("ap", first, 1, HOUR), cookie, NOW), -ERR_INVALID);
    ck_assert_int_eq(reads(make("app2", first, 1, HOUR), cookie, NOW), -ERR_INVALID);
    ck_assert_int_eq(reads(make("app", first, 1, HOUR), cookie, NOW), 0);
}
END_TEST

START_TEST(a_cookie_of_another_secret_is_none)
{
    ck_assert_int_eq(reads(make("app", other, 1, HOUR), written(app(), NOW), NOW), -ERR_INVALID);
}
END_TEST

START_TEST(a_cookie_of_an_older_secret_is_believed_and_renewed)
{
    const struct sticky *s = make("app", rotated, 2, HOUR);
    struct slice cookie = written(app(), NOW);
    struct sticky_seen seen;
    uint64_t id;

    ck_assert_int_eq(sticky_read(s, cookie, NOW, &seen), 0);
    ck_assert(seen.old);
    ck_assert_int_eq(sticky_id(s, 1, &address, &id), 0);
    ck_assert_uint_eq(seen.id, id);
    ck_assert(!is_old(s, written(s, NOW), NOW));
}
END_TEST

START_TEST(a_cookie_holds_until_its_time_is_over)
{
    const struct sticky *s = app();
    struct slice cookie = written(s, NOW);

    ck_assert_int_eq(reads(s, cookie, NOW + HOUR - CLOCK_S), 0);
    ck_assert_int_eq(reads(s, cookie, NOW + HOUR), -ERR_INVALID);
    ck_assert_int_eq(reads(s, cookie, NOW + 1000 * HOUR), -ERR_INVALID);
}
END_TEST

START_TEST(a_cookie_is_renewed_when_half_of_its_time_is_over)
{
    const struct sticky *s = app();
    struct slice cookie = written(s, NOW);

    ck_assert(!is_old(s, cookie, NOW + HOUR / 2));
    ck_assert(is_old(s, cookie, NOW + HOUR / 2 + CLOCK_S));
}
END_TEST

START_TEST(a_cookie_that_would_last_longer_than_it_should_is_renewed)
{
    struct slice cookie = written(make("app", first, 1, 10 * HOUR), NOW);

    ck_assert(is_old(app(), cookie, NOW));
}
END_TEST

START_TEST(without_an_end_a_cookie_always_holds)
{
    const struct sticky *s = make("app", first, 1, 0);
    struct slice cookie = written(s, NOW);

    ck_assert(!is_old(s, cookie, NOW + 100000 * HOUR));
    ck_assert(is_old(app(), cookie, NOW)); /* which gives it one */
    ck_assert(is_old(s, written(app(), NOW), NOW));
}
END_TEST

START_TEST(ids_differ_by_address_pool_and_secret)
{
    const struct sticky *s[] = { app(), make("app2", first, 1, HOUR), make("app", other, 1, HOUR) };
    struct addr another;
    uint64_t ids[4];

    ck_assert_ptr_null(addr_parse("10.0.0.1:81", &another, NULL));
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(sticky_id(s[i], 0, &address, &ids[i]), 0);
    ck_assert_int_eq(sticky_id(s[0], 0, &another, &ids[3]), 0);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_ne(ids[i], ids[k]);
}
END_TEST

Suite *sticky_suite(void)
{
    Suite *s = suite_create("sticky");
    TCase *t = tcase_create("sticky");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_cookie_names_the_backend_that_it_was_written_for);
    tcase_add_test(t, a_cookie_is_the_same_on_every_instance);
    tcase_add_test(t, a_cookie_with_any_bit_changed_is_none);
    tcase_add_test(t, a_cookie_of_another_length_is_none);
    tcase_add_test(t, garbage_is_none);
    tcase_add_test(t, a_cookie_of_another_pool_is_none);
    tcase_add_test(t, a_cookie_of_another_secret_is_none);
    tcase_add_test(t, a_cookie_of_an_older_secret_is_believed_and_renewed);
    tcase_add_test(t, a_cookie_holds_until_its_time_is_over);
    tcase_add_test(t, a_cookie_is_renewed_when_half_of_its_time_is_over);
    tcase_add_test(t, a_cookie_that_would_last_longer_than_it_should_is_renewed);
    tcase_add_test(t, without_an_end_a_cookie_always_holds);
    tcase_add_test(t, ids_differ_by_address_pool_and_secret);
    suite_add_tcase(s, t);
    return s;
}
