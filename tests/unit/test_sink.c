/* Tests of base/sink: no kind of descriptor makes a writer wait. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/sink.h"

Suite *sink_suite(void);

static char block[3000];

/* Writes until there is no room; returns how many bytes went out. */
static size_t fill(const struct sink *s)
{
    size_t total = 0;
    ssize_t n;

    while ((n = sink_write(s, block, sizeof block)) > 0)
        total += (size_t)n;
    ck_assert_int_eq(n, -ERR_AGAIN);
    return total;
}

static void drain(int fd, size_t n)
{
    static char into[65536];
    ssize_t got;

    for (; n > 0; n -= (size_t)got) {
        got = read(fd, into, n < sizeof into ? n : sizeof into);
        ck_assert_int_gt(got, 0);
    }
}

START_TEST(a_full_pipe_says_again)
{
    struct sink s;
    int ends[2];
    size_t n;

    ck_assert_int_eq(pipe(ends), 0);
    sink_open(&s, ends[1]);
    n = fill(&s);
    ck_assert(!sink_wait(&s, 0));
    drain(ends[0], n);
    ck_assert(sink_wait(&s, 1000));
    ck_assert_int_gt(sink_write(&s, block, 10), 0);
    sink_close(&s);
}
END_TEST

START_TEST(a_full_pipe_that_cannot_be_reopened_says_again)
{
    struct sink s;
    int ends[2];
    size_t n;

    ck_assert_int_eq(pipe(ends), 0);
    s = (struct sink){ .fd = ends[1], .kind = SINK_ASK_FIRST };
    n = fill(&s);
    drain(ends[0], n);
    ck_assert_int_gt(sink_write(&s, block, 10), 0);
}
END_TEST

START_TEST(a_full_socket_says_again_and_stays_blocking_for_its_owner)
{
    struct sink s;
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    sink_open(&s, ends[1]);
    ck_assert_int_gt(fill(&s), 0);
    ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    sink_close(&s);
    ck_assert_int_ge(fcntl(ends[1], F_GETFL), 0); /* still the caller's */
}
END_TEST

START_TEST(a_socket_whose_reader_is_gone_is_an_error_and_no_signal)
{
    struct sink s;
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    sink_open(&s, ends[1]);
    (void)close(ends[0]);
    ck_assert_int_eq(sink_write(&s, block, 10), -ERR_CLOSED);
}
END_TEST

START_TEST(a_file_takes_all_at_once)
{
    FILE *f = tmpfile();
    struct sink s;

    ck_assert_ptr_nonnull(f);
    sink_open(&s, fileno(f));
    ck_assert_int_eq(sink_write(&s, block, sizeof block), sizeof block);
    sink_close(&s);
    (void)fclose(f);
}
END_TEST

Suite *sink_suite(void)
{
    Suite *s = suite_create("sink");
    TCase *t = tcase_create("sink");

    tcase_add_test(t, a_full_pipe_says_again);
    tcase_add_test(t, a_full_pipe_that_cannot_be_reopened_says_again);
    tcase_add_test(t, a_full_socket_says_again_and_stays_blocking_for_its_owner);
    tcase_add_test(t, a_socket_whose_reader_is_gone_is_an_error_and_no_signal);
    tcase_add_test(t, a_file_takes_all_at_once);
    suite_add_tcase(s, t);
    return s;
}
