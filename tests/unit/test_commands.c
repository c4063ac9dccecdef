/* test_commands.c - finding the command that a line means. */
#include <check.h>

#include "admin/commands.h"
#include "base/err.h"
#include "base/log.h"

Suite *commands_suite(void);

static struct {
    int reloads, drains, reopens;
    int reload_rc;
} asked;
static struct buf out;

static int fake_reload(void *arg, struct buf *to)
{
    (void)arg;
    asked.reloads++;
    buf_add(to, "what changed\n");
    return asked.reload_rc;
}

static void fake_drain(void *arg)
{
    (void)arg;
    asked.drains++;
}

static int fake_reopen(void *arg)
{
    (void)arg;
    asked.reopens++;
    return -ERR_IO;
}

static int fake_backends(void *arg, const char *pool, struct buf *to)
{
    (void)arg;
    buf_printf(to, "backends of %s\n", pool != NULL ? pool : "all");
    return 0;
}

static int fake_order(void *arg, const char *which, enum members_order order, unsigned weight, struct buf *to)
{
    (void)arg;
    buf_printf(to, "%s %d %u\n", which, (int)order, weight);
    return 0;
}

static const struct admin_host host = {
    .reload = fake_reload,
    .drain = fake_drain,
    .reopen = fake_reopen,
    .backends = fake_backends,
    .order = fake_order,
};

static void setup(void)
{
    memset(&asked, 0, sizeof asked);
    out = (struct buf){ 0 };
}

static void teardown(void)
{
    buf_free(&out);
    log_set_level(LOG_LEVEL_INFO);
}

static int run(const char *line) { return commands_run(&host, line, &out); }
static bool says(const char *text) { return out.p != NULL && strstr(out.p, text) != NULL; }

START_TEST(a_command_is_found_by_its_name)
{
    ck_assert_int_eq(run("drain"), 0);
    ck_assert_int_eq(asked.drains, 1);
}
END_TEST

START_TEST(white_space_around_words_means_nothing)
{
    ck_assert_int_eq(run(" \t drain \r\n"), 0);
    ck_assert_int_eq(asked.drains, 1);
}
END_TEST

START_TEST(a_reload_passes_on_its_report_and_its_failure)
{
    asked.reload_rc = -ERR_INVALID;
    ck_assert_int_eq(run("reload"), -ERR_INVALID);
    ck_assert(says("what changed"));
}
END_TEST

START_TEST(a_command_of_two_words_takes_its_argument)
{
    ck_assert_int_eq(run("log  level   debug"), 0);
    ck_assert_int_eq(log_get_level(), LOG_LEVEL_DEBUG);
}
END_TEST

START_TEST(half_of_a_commands_name_is_no_command)
{
    ck_assert_int_eq(run("log"), -ERR_INVALID);
    ck_assert_int_eq(run("drai"), -ERR_INVALID);
    ck_assert_int_eq(run("drains"), -ERR_INVALID);
    ck_assert_int_eq(asked.drains, 0);
}
END_TEST

START_TEST(a_wrong_level_is_refused_with_those_there_are)
{
    ck_assert_int_eq(run("log level loud"), -ERR_INVALID);
    ck_assert(says("loud") && says("debug"));
    ck_assert_int_eq(log_get_level(), LOG_LEVEL_INFO);
}
END_TEST

START_TEST(an_argument_in_brackets_may_be_left_out)
{
    ck_assert_int_eq(run("backends"), 0);
    ck_assert(says("backends of all"));
    ck_assert_int_eq(run("backends app"), 0);
    ck_assert(says("backends of app"));
}
END_TEST

START_TEST(drain_with_a_backend_is_about_that_backend)
{
    ck_assert_int_eq(run("drain app/10.0.0.1:80"), 0);
    ck_assert(says("app/10.0.0.1:80 0 0"));
    ck_assert_int_eq(asked.drains, 0);
}
END_TEST

START_TEST(a_weight_is_a_number_within_its_limits)
{
    ck_assert_int_eq(run("weight app/b 7"), 0);
    ck_assert(says("app/b 2 7"));
    ck_assert_int_eq(run("weight app/b 1001"), -ERR_INVALID);
    ck_assert_int_eq(run("weight app/b -1"), -ERR_INVALID);
    ck_assert_int_eq(run("weight app/b"), -ERR_INVALID);
}
END_TEST

START_TEST(a_missing_argument_is_told)
{
    ck_assert_int_eq(run("log level"), -ERR_INVALID);
    ck_assert(says("log level LEVEL"));
}
END_TEST

START_TEST(an_argument_too_many_is_refused_and_nothing_done)
{
    ck_assert_int_eq(run("drain app/b now"), -ERR_INVALID);
    ck_assert_int_eq(asked.drains, 0);
}
END_TEST

START_TEST(an_unknown_command_is_named_and_the_list_given)
{
    ck_assert_int_eq(run("frobnicate"), -ERR_INVALID);
    ck_assert(says("frobnicate") && says("status") && says("reload"));
}
END_TEST

START_TEST(an_empty_line_gets_the_list)
{
    ck_assert_int_eq(run("  \n"), -ERR_INVALID);
    ck_assert(says("status"));
}
END_TEST

START_TEST(a_hostile_line_is_shown_without_its_control_bytes)
{
    ck_assert_int_eq(run("\x1b[31mred\x07"), -ERR_INVALID);
    ck_assert(!says("\x1b"));
}
END_TEST

START_TEST(a_line_that_is_too_long_or_has_too_many_words_is_refused)
{
    char line[1000];

    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    ck_assert_int_eq(run(line), -ERR_INVALID);
    ck_assert_int_eq(run("a b c d e f g h i j k l m n"), -ERR_INVALID);
}
END_TEST

START_TEST(a_log_that_cannot_be_reopened_is_an_error)
{
    ck_assert_int_eq(run("reopen"), -ERR_IO);
    ck_assert_int_eq(asked.reopens, 1);
    ck_assert(says("the old one goes on"));
}
END_TEST

START_TEST(help_lists_every_command_once)
{
    ck_assert_int_eq(run("help"), 0);
    ck_assert(says("status") && says("fibers") && says("log level LEVEL") && says("reopen"));
}
END_TEST

Suite *commands_suite(void)
{
    Suite *s = suite_create("commands");
    TCase *t = tcase_create("commands");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_command_is_found_by_its_name);
    tcase_add_test(t, white_space_around_words_means_nothing);
    tcase_add_test(t, a_reload_passes_on_its_report_and_its_failure);
    tcase_add_test(t, a_command_of_two_words_takes_its_argument);
    tcase_add_test(t, half_of_a_commands_name_is_no_command);
    tcase_add_test(t, a_wrong_level_is_refused_with_those_there_are);
    tcase_add_test(t, an_argument_in_brackets_may_be_left_out);
    tcase_add_test(t, drain_with_a_backend_is_about_that_backend);
    tcase_add_test(t, a_weight_is_a_number_within_its_limits);
    tcase_add_test(t, a_missing_argument_is_told);
    tcase_add_test(t, an_argument_too_many_is_refused_and_nothing_done);
    tcase_add_test(t, an_unknown_command_is_named_and_the_list_given);
    tcase_add_test(t, an_empty_line_gets_the_list);
    tcase_add_test(t, a_hostile_line_is_shown_without_its_control_bytes);
    tcase_add_test(t, a_line_that_is_too_long_or_has_too_many_words_is_refused);
    tcase_add_test(t, a_log_that_cannot_be_reopened_is_an_error);
    tcase_add_test(t, help_lists_every_command_once);
    suite_add_tcase(s, t);
    return s;
}
