/* Tests of base/conf_key: texts with units, what they mean and what is said when they are wrong. */
#include <check.h>
#include <stdlib.h>

#include "base/conf_key.h"

Suite *conf_key_suite(void);

START_TEST(a_time_is_a_number_and_a_unit_in_microseconds)
{
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        { "0", 0 },          { "250us", 250 },     { "1500ms", 1500000 },           { "10s", 10000000 },
        { "5m", 300000000 }, { "1h", 3600000000 }, { "2d", INT64_C(172800000000) }, { "0s", 0 },
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t us = -1;
        ck_assert_ptr_null(conf_parse_time(good[i].text, &us));
        ck_assert_int_eq(us, good[i].us);
    }
}
END_TEST

START_TEST(a_wrong_time_is_told_what_is_right_and_changes_nothing)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        { "10", "a unit is missing; write one of us, ms, s, m, h, d behind it, like \"10s\"" },
        { "", "not a duration; write a whole number and a unit, like \"10s\"" },
        { "s", "not a duration; write a whole number and a unit, like \"10s\"" },
        { "-1s", "not a duration; write a whole number and a unit, like \"10s\"" },
        { "1.5s", "not a whole number; take a smaller unit, like \"1500ms\" for one and a half seconds" },
        { "10 s", "unknown unit; write one of us, ms, s, m, h, d, like \"10s\"" },
        { "10sec", "unknown unit; write one of us, ms, s, m, h, d, like \"10s\"" },
        { "9999999999999d", "too long a duration" },
        { "99999999999999999999s", "too long a duration" },
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t us = 77;
        ck_assert_pstr_eq(conf_parse_time(bad[i].text, &us), bad[i].said);
        ck_assert_int_eq(us, 77);
    }
}
END_TEST

START_TEST(a_size_counts_in_powers_of_1024)
{
    static const struct {
        const char *text;
        uint64_t n;
    } good[] = {
        { "0", 0 },
        { "512", 512 },
        { "64K", 65536 },
        { "10M", 10485760 },
        { "1G", 1073741824 },
        { "2T", UINT64_C(2199023255552) },
        { "18446744073709551605", UINT64_MAX - 10 },
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t n = 1;
        ck_assert_ptr_null(conf_parse_size(good[i].text, &n));
        ck_assert_uint_eq(n, good[i].n);
    }
}
END_TEST

START_TEST(a_wrong_size_is_told_what_is_right)
{
    uint64_t n = 77;

    ck_assert_pstr_eq(conf_parse_size("64k", &n), "unknown unit; write one of K, M, G, T (powers of 1024), like \"64K\"");
    ck_assert_pstr_eq(conf_parse_size("64KB", &n), "unknown unit; write one of K, M, G, T (powers of 1024), like \"64K\"");
    ck_assert_pstr_eq(conf_parse_size("K", &n),
                      "not a size; write a whole number and, if need be, one of K, M, G, T, like \"64K\"");
    ck_assert_pstr_eq(conf_parse_size("99999999999T", &n), "too large a size");
    ck_assert_pstr_eq(conf_parse_size("99999999999999999999", &n), "too large a size");
    ck_assert_uint_eq(n, 77);
}
END_TEST

START_TEST(a_rate_is_a_number_a_second)
{
    double rate = 0;

    ck_assert_ptr_null(conf_parse_rate("100/s", &rate));
    ck_assert_double_eq(rate, 100);
    ck_assert_ptr_null(conf_parse_rate("600/m", &rate));
    ck_assert_double_eq(rate, 10);
    ck_assert_ptr_null(conf_parse_rate("3600/h", &rate));
    ck_assert_double_eq(rate, 1);
}
END_TEST

START_TEST(a_wrong_rate_is_told_what_is_right)
{
    double rate = 77;

    ck_assert_pstr_eq(conf_parse_rate("100", &rate), "unknown unit; write /s, /m or /h behind it, like \"100/s\"");
    ck_assert_pstr_eq(conf_parse_rate("/s", &rate), "not a rate; write a whole number and a unit, like \"100/s\"");
    ck_assert_pstr_eq(conf_parse_rate("10000000000/s", &rate), "too high a rate; at most 1000000000 a unit");
    ck_assert_double_eq(rate, 77);
}
END_TEST

START_TEST(a_number_has_digits_and_maybe_a_point)
{
    static const char *const bad[] = {
        "", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0x10", "nan", "inf", "1.5 ", " 1", "1.2.3"
    };
    double x = 0;

    ck_assert_ptr_null(conf_parse_float("1.25", &x));
    ck_assert_double_eq(x, 1.25);
    ck_assert_ptr_null(conf_parse_float("100", &x));
    ck_assert_double_eq(x, 100);
    ck_assert_ptr_null(conf_parse_float("0", &x));
    ck_assert_double_eq(x, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_pstr_eq(conf_parse_float(bad[i], &x), "not a number; write it like 1.25");
    ck_assert_double_eq(x, 0);
}
END_TEST

START_TEST(a_whole_number_has_32_bits_and_nothing_else)
{
    uint32_t n = 77;

    ck_assert_pstr_eq(conf_parse_uint("4294967296", &n), "too large; at most 4294967295");
    ck_assert_pstr_eq(conf_parse_uint("-1", &n), "not a whole number; write digits only, like 10");
    ck_assert_pstr_eq(conf_parse_uint("10K", &n), "not a whole number; write digits only, like 10");
    ck_assert_uint_eq(n, 77);
    ck_assert_ptr_null(conf_parse_uint("4294967295", &n));
    ck_assert_uint_eq(n, UINT32_MAX);
}
END_TEST

START_TEST(a_bool_is_true_or_false)
{
    bool b = false;

    ck_assert_ptr_null(conf_parse_bool("true", &b));
    ck_assert(b);
    ck_assert_ptr_null(conf_parse_bool("false", &b));
    ck_assert(!b);
    ck_assert_pstr_eq(conf_parse_bool("yes", &b), "not a bool; write true or false");
}
END_TEST

Suite *conf_key_suite(void)
{
    Suite *s = suite_create("conf_key");
    TCase *t = tcase_create("texts");

    tcase_add_test(t, a_time_is_a_number_and_a_unit_in_microseconds);
    tcase_add_test(t, a_wrong_time_is_told_what_is_right_and_changes_nothing);
    tcase_add_test(t, a_size_counts_in_powers_of_1024);
    tcase_add_test(t, a_wrong_size_is_told_what_is_right);
    tcase_add_test(t, a_rate_is_a_number_a_second);
    tcase_add_test(t, a_wrong_rate_is_told_what_is_right);
    tcase_add_test(t, a_number_has_digits_and_maybe_a_point);
    tcase_add_test(t, a_whole_number_has_32_bits_and_nothing_else);
    tcase_add_test(t, a_bool_is_true_or_false);
    suite_add_tcase(s, t);
    return s;
}
