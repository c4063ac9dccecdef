/* Tests of base/log: what a line looks like, and that nobody waits for its reader. */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

Suite *log_suite(void);

static int ends[2]; /* of the pipe that lines go to */
static int64_t mono, wall;
static const struct clock_source *real_clock;

static int64_t test_monotonic(void) { return mono; }
static int64_t test_wall(void) { return wall; }
static const struct clock_source test_clock = { test_monotonic, test_wall };

static void open_pipe(void)
{
    ck_assert_int_eq(pipe(ends), 0);
    mono = 0;
    wall = INT64_C(1767323045678901); /* 2026-01-02 03:04:05.678901 */
    real_clock = clock_source;
    clock_source = &test_clock;
    (void)unsetenv("JOURNAL_STREAM");
    log_set_level(LOG_LEVEL_INFO);
    log_set_fd(ends[1]);
}

static void close_pipe(void)
{
    log_set_fd(STDERR_FILENO);
    clock_source = real_clock;
    log_set_level(LOG_LEVEL_INFO);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* What was written up to now. */
static const char *written(void)
{
    static char text[65536];
    ssize_t n;

    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    n = read(ends[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(a_line_has_time_level_event_and_pairs)
{
    log_info("backend.down", "pool=%s failures=%u", "a", 3u);
    ck_assert_str_eq(written(), "2026-01-02T03:04:05.678Z info backend.down pool=a failures=3\n");
}
END_TEST

START_TEST(an_event_may_stand_alone)
{
    log_warn("drain.begin", "%s", "");
    ck_assert_str_eq(written(), "2026-01-02T03:04:05.678Z warn drain.begin\n");
}
END_TEST

static void name_journal(int fd)
{
    struct stat st;
    char name[64];

    ck_assert_int_eq(fstat(fd, &st), 0);
    (void)snprintf(name, sizeof name, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    ck_assert_int_eq(setenv("JOURNAL_STREAM", name, 1), 0);
}

START_TEST(to_the_journal_a_line_has_a_priority_and_no_time)
{
    name_journal(ends[1]);
    log_set_fd(ends[1]);
    log_error("e", "n=%d", 1);
    log_warn("w", "n=%d", 2);
    log_info("i", "n=%d", 3);
    (void)unsetenv("JOURNAL_STREAM");
    ck_assert_str_eq(written(), "<3>e n=1\n<4>w n=2\n<6>i n=3\n");
}
END_TEST

START_TEST(a_journal_that_is_another_stream_changes_nothing)
{
    ck_assert_int_eq(setenv("JOURNAL_STREAM", "1:2", 1), 0);
    log_set_fd(ends[1]);
    log_info("i", "n=%d", 3);
    (void)unsetenv("JOURNAL_STREAM");
    ck_assert_str_eq(written(), "2026-01-02T03:04:05.678Z info i n=3\n");
}
END_TEST

START_TEST(a_line_below_the_level_is_not_written)
{
    log_set_level(LOG_LEVEL_WARN);
    log_info("quiet", "n=%d", 1);
    log_debug("quieter", "n=%d", 1);
    ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(an_overlong_line_is_cut_and_says_so)
{
    static char longish[5000];
    const char *text;
    size_t n;

    memset(longish, 'x', sizeof longish - 1);
    log_info("long", "v=%s", longish);
    text = written();
    n = strlen(text);
    ck_assert_uint_eq(n, 1400);
    ck_assert_str_eq(text + n - 5, "x...\n");
}
END_TEST

START_TEST(a_cut_never_splits_a_character)
{
    static char wide[4004];
    const char *text, *p;
    char pad[4] = "";

    for (size_t i = 0; i < 4000; i += 4)
        memcpy(wide + i, "\xf0\x9f\x98\x80", 4);
    for (size_t shift = 0; shift < 4; shift++) {
        log_info("wide", "v=%s%s", pad, wide);
        text = written();
        for (p = text; *p != '\0'; p += json_utf8_length(p, strlen(p)))
            ck_assert_uint_gt(json_utf8_length(p, strlen(p)), 0);
        pad[shift] = shift < 3 ? 'x' : '\0';
    }
}
END_TEST

START_TEST(no_value_can_begin_a_second_line)
{
    log_info("evil", "v=%s", "a\nb\r\x1b[1mc\x7f");
    ck_assert_str_eq(written() + 30, "evil v=a?b??[1mc?\n");
}
END_TEST

START_TEST(errno_survives_a_line)
{
    errno = ENOSPC;
    log_info("x", "reason=\"%m\"");
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_str_eq(written() + 30, "x reason=\"No space left on device\"\n");
}
END_TEST

START_TEST(a_full_pipe_loses_lines_counts_them_and_does_not_wait)
{
    uint64_t before = log_dropped();
    int lines = 0;
    const char *text;

    (void)fcntl(ends[1], F_SETPIPE_SZ, 4096);
    for (int i = 0; i < 1000; i++)
        log_info("flood", "i=%04d", i);
    text = written();
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    ck_assert_int_gt(lines, 10);
    ck_assert_uint_eq(log_dropped() - before, (uint64_t)(1000 - lines));
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* the caller's end is as it was */
}
END_TEST

START_TEST(after_the_reader_has_caught_up_lines_are_written_again)
{
    (void)fcntl(ends[1], F_SETPIPE_SZ, 4096);
    for (int i = 0; i < 1000; i++)
        log_info("flood", "i=%04d", i);
    (void)written();
    log_info("after", "n=%d", 1);
    ck_assert_str_eq(written() + 30, "after n=1\n");
}
END_TEST

START_TEST(a_reader_that_is_gone_costs_only_the_line)
{
    uint64_t before = log_dropped();
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);

    (void)close(ends[0]);
    log_info("gone", "n=%d", 1);
    ck_assert_uint_eq(log_dropped() - before, 1);
    ends[0] = -1;
    (void)signal(SIGPIPE, old);
}
END_TEST

START_TEST(a_flood_writes_one_line_a_second_and_says_how_many_it_left_out)
{
    for (int i = 0; i < 100; i++) {
        mono = i * CLOCK_S / 50;
        log_every_second(LOG_LEVEL_WARN, "flood", "i=%d", i);
    }
    ck_assert_str_eq(written(), "2026-01-02T03:04:05.678Z warn flood i=0 repeated=0\n"
                                "2026-01-02T03:04:05.678Z warn flood i=50 repeated=49\n");
}
END_TEST

static void *chatter(void *arg)
{
    static char filler[300];

    memset(filler, 'x', sizeof filler - 1);
    for (int i = 0; i < 100; i++)
        log_info("chat", "who=%d %s end=%d", *(int *)arg, filler, *(int *)arg);
    return NULL;
}

START_TEST(lines_of_several_threads_are_never_torn)
{
    int who[4] = { 0, 1, 2, 3 }, from, to;
    unsigned lines = 0;
    pthread_t t[4];
    char line[512];
    FILE *f;

    (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, chatter, &who[i]), 0);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(t[i], NULL);
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    f = fdopen(dup(ends[0]), "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f) != NULL) {
        ck_assert_int_eq(sscanf(line, "%*s info chat who=%d %*s end=%d\n", &from, &to), 2);
        ck_assert_int_eq(from, to);
        lines++;
    }
    ck_assert_uint_eq(lines, 400);
    (void)fclose(f);
}
END_TEST

START_TEST(a_quoted_text_has_json_escapes)
{
    char out[128];

    ck_assert_str_eq(log_quote(out, sizeof out, SLICE("a\"b\\c\nd\x01\xff\x7f")), "\"a\\\"b\\\\c\\nd\\u0001\\u00ff\\u007f\"");
}
END_TEST

START_TEST(a_quoted_text_is_cut_to_any_size)
{
    char out[16], expected[16];

    for (size_t size = 0; size <= 10; size++) {
        memset(out, '#', sizeof out);
        (void)log_quote(out, size, SLICE("abcdef"));
        ck_assert_int_eq(out[size], '#');
        if (size == 0)
            continue;
        expected[0] = '\0';
        if (size >= 3)
            (void)snprintf(expected, sizeof expected, "\"%.*s\"", (int)(size - 3), "abcdef");
        ck_assert_str_eq(out, expected);
    }
}
END_TEST

Suite *log_suite(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");

    tcase_add_checked_fixture(t, open_pipe, close_pipe);
    tcase_add_test(t, a_line_has_time_level_event_and_pairs);
    tcase_add_test(t, an_event_may_stand_alone);
    tcase_add_test(t, to_the_journal_a_line_has_a_priority_and_no_time);
    tcase_add_test(t, a_journal_that_is_another_stream_changes_nothing);
    tcase_add_test(t, a_line_below_the_level_is_not_written);
    tcase_add_test(t, an_overlong_line_is_cut_and_says_so);
    tcase_add_test(t, a_cut_never_splits_a_character);
    tcase_add_test(t, no_value_can_begin_a_second_line);
    tcase_add_test(t, errno_survives_a_line);
    tcase_add_test(t, a_full_pipe_loses_lines_counts_them_and_does_not_wait);
    tcase_add_test(t, after_the_reader_has_caught_up_lines_are_written_again);
    tcase_add_test(t, a_reader_that_is_gone_costs_only_the_line);
    tcase_add_test(t, a_flood_writes_one_line_a_second_and_says_how_many_it_left_out);
    tcase_add_test(t, lines_of_several_threads_are_never_torn);
    tcase_add_test(t, a_quoted_text_has_json_escapes);
    tcase_add_test(t, a_quoted_text_is_cut_to_any_size);
    suite_add_tcase(s, t);
    return s;
}
