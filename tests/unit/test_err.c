/* Tests of base/err: the table is sane, whoever adds to it. */
#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"

Suite *err_suite(void);

START_TEST(words_are_unique_and_fit_for_labels_and_logs)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        ck_assert_str_ne(err_word(i), "");
        for (const char *p = err_word(i); *p != '\0'; p++)
            ck_assert_msg(islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_', "%s", err_word(i));
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(err_word(i), err_word(j));
    }
}
END_TEST

START_TEST(sentences_are_unique_and_can_stand_in_a_log_line)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        const char *text = err_text(i);
        ck_assert_msg(strlen(text) > 4 && strpbrk(text, "\"\n\\|") == NULL, "%s", text);
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(text, err_text(j));
    }
}
END_TEST

START_TEST(statuses_are_those_of_errors)
{
    static const int known[] = { 0, 400, 403, 404, 408, 413, 414, 417, 421, 429, 431, 499, 500, 501, 502, 503, 504, 505, 508 };

    for (int i = 0; i < ERR_COUNT; i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++)
            found = found || err_http_status(i) == known[j];
        ck_assert_msg(found, "%s: %d", err_word(i), err_http_status(i));
    }
}
END_TEST

/* RFC 9209 section 2.3. */
static const char *const types[] = {
    "",
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_response",
    "proxy_internal_error",
    "proxy_configuration_error",
    "proxy_loop_detected",
};

START_TEST(proxy_status_types_are_registered_ones)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        bool found = false;
        for (size_t j = 0; j < sizeof types / sizeof types[0]; j++)
            found = found || strcmp(err_proxy_status(i), types[j]) == 0;
        ck_assert_msg(found, "%s: %s", err_word(i), err_proxy_status(i));
    }
}
END_TEST

START_TEST(a_request_error_is_the_clients_status_or_a_refusal_to_implement)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        int status = err_http_status(i);
        if (strcmp(err_proxy_status(i), "http_request_error") == 0)
            ck_assert_msg(status / 100 == 4 || status == 501 || status == 505, "%s", err_word(i));
    }
}
END_TEST

START_TEST(both_signs_mean_the_same)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        ck_assert_ptr_eq(err_word(i), err_word(-i));
        ck_assert_int_eq(err_http_status(i), err_http_status(-i));
    }
    ck_assert_str_eq(err_word(0), "ok");
}
END_TEST

START_TEST(every_errno_becomes_a_negative_code)
{
    ck_assert_int_eq(err_from_errno(0), 0);
    ck_assert_int_eq(err_from_errno(EAGAIN), -ERR_AGAIN);
    ck_assert_int_eq(err_from_errno(ECONNRESET), -ERR_RESET);
    ck_assert_int_eq(err_from_errno(EMFILE), -ERR_NOFILE);
    ck_assert_int_eq(err_from_errno(EADDRNOTAVAIL), -ERR_NOPORT);
    for (int e = 1; e < 200; e++) {
        ck_assert_int_lt(err_from_errno(e), 0);
        ck_assert_int_gt(err_from_errno(e), -ERR_COUNT);
        ck_assert_int_eq(err_http_status(err_from_errno(e)) != 0,
                         err_from_errno(e) == -ERR_NOMEM || err_from_errno(e) == -ERR_NOFILE || err_from_errno(e) == -ERR_NOPORT);
    }
}
END_TEST

Suite *err_suite(void)
{
    Suite *s = suite_create("err");
    TCase *t = tcase_create("err");

    tcase_add_test(t, words_are_unique_and_fit_for_labels_and_logs);
    tcase_add_test(t, sentences_are_unique_and_can_stand_in_a_log_line);
    tcase_add_test(t, statuses_are_those_of_errors);
    tcase_add_test(t, proxy_status_types_are_registered_ones);
    tcase_add_test(t, a_request_error_is_the_clients_status_or_a_refusal_to_implement);
    tcase_add_test(t, both_signs_mean_the_same);
    tcase_add_test(t, every_errno_becomes_a_negative_code);
    suite_add_tcase(s, t);
    return s;
}
