/* Tests of proxy/grpc: what is gRPC, how long its client waits, and which status our failures are. */
#include <check.h>

#include "base/clock.h"
#include "base/err.h"
#include "proxy/grpc.h"

Suite *grpc_suite(void);

static struct header fields[4];

static struct message with(const char *name, const char *value)
{
    struct message m = { .h2 = true, .headers = fields, .cap_headers = 4 };

    ck_assert_int_eq(message_add(&m, slice_str(name), slice_str(value)), 0);
    return m;
}

static const struct {
    const char *type;
    bool is;
} types[] = {
    { "application/grpc", true }, { "application/grpc+proto", true }, { "application/grpc;x=y", true },
    { "Application/GRPC", true }, { "application/grpc-web", false },  { "application/grpcish", false },
    { "application/grp", false }, { "application/json", false },      { "", false },
};

START_TEST(its_content_type_tells)
{
    struct message m = with("content-type", types[_i].type);

    ck_assert_int_eq(grpc_is(&m), types[_i].is);
    m.h2 = false;
    ck_assert(!grpc_is(&m));
}
END_TEST

static const struct {
    const char *text;
    int64_t us;
} timeouts[] = {
    { "1H", 3600 * CLOCK_S },
    { "2M", 120 * CLOCK_S },
    { "10S", 10 * CLOCK_S },
    { "250m", 250 * CLOCK_MS },
    { "7u", 7 },
    { "9999n", 9 },
    { "99999999H", INT64_C(99999999) * 3600 * CLOCK_S },
    { "", CLOCK_NEVER },
    { "S", CLOCK_NEVER },
    { "5", CLOCK_NEVER },
    { "5s", CLOCK_NEVER },
    { "-5S", CLOCK_NEVER },
    { "1 S", CLOCK_NEVER },
    { "123456789S", CLOCK_NEVER },
};

START_TEST(a_timeout_is_digits_and_a_unit)
{
    struct message m = with("grpc-timeout", timeouts[_i].text);

    ck_assert_int_eq(grpc_timeout(&m), timeouts[_i].us);
}
END_TEST

START_TEST(failures_have_a_status)
{
    ck_assert_uint_eq(grpc_status(-ERR_DEADLINE), 4);
    ck_assert_uint_eq(grpc_status(-ERR_NO_BACKEND), 14);
    ck_assert_uint_eq(grpc_status(-ERR_BACKEND_RESET), 14);
    ck_assert_uint_eq(grpc_status(-ERR_NO_ROUTE), 12);
    ck_assert_uint_eq(grpc_status(-ERR_BODY_TOO_LARGE), 8);
    ck_assert_uint_eq(grpc_status(-ERR_BAD_HOST), 13);
    ck_assert_uint_eq(grpc_status(-ERR_URI_TOO_LONG), 2);
}
END_TEST

Suite *grpc_suite(void)
{
    Suite *s = suite_create("grpc");
    TCase *t = tcase_create("grpc");

    tcase_add_loop_test(t, its_content_type_tells, 0, sizeof types / sizeof types[0]);
    tcase_add_loop_test(t, a_timeout_is_digits_and_a_unit, 0, sizeof timeouts / sizeof timeouts[0]);
    tcase_add_test(t, failures_have_a_status);
    suite_add_tcase(s, t);
    return s;
}
