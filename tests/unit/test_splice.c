/* Tests of net/splice: bytes go from socket to socket, and it is told which side failed. */
#include "tests/lib/fiber_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/scratch.h"
#include "net/splice.h"
#include "net/sys.h"
#include "tests/lib/sockets.h"

Suite *splice_suite(void);

enum { MUCH = 3 * 1000 * 1000 };

static struct end from, to;
static char sent[MUCH], got[MUCH];

static void open_both(void)
{
    end_open_tcp(&from);
    end_open_tcp(&to);
}

static void close_both(void)
{
    end_close(&from);
    end_close(&to);
    splice_free();
    scratch_free();
}

static ssize_t move(size_t n, bool *from_side) { return splice_some(&from.s, &to.s, n, 5 * CLOCK_S, from_side, in_ms(5000)); }

/* Sends and takes on the peers' sides, without ever stopping the worker. */
static void feed(void *arg)
{
    size_t put = 0, taken = 0;

    (void)arg;
    while (taken < MUCH) {
        ssize_t n = put < MUCH ? send(from.peer, sent + put, MUCH - put, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

        put += n > 0 ? (size_t)n : 0;
        n = recv(to.peer, got + taken, MUCH - taken, MSG_DONTWAIT);
        taken += n > 0 ? (size_t)n : 0;
        (void)fiber_sleep(in_ms(0));
    }
}

FIBER_TEST(all_bytes_arrive_in_their_order)
{
    struct group g;
    bool side;

    for (size_t i = 0; i < MUCH; i++)
        sent[i] = (char)(i * 31 + i / 251);
    open_both();
    group_init(&g);
    ck_assert_int_eq(fiber_go(&g, "feed", feed, NULL), 0);
    for (size_t moved = 0; moved < MUCH;) {
        ssize_t n = move(MUCH - moved, &side);

        ck_assert_int_gt(n, 0);
        moved += (size_t)n;
    }
    ck_assert_int_eq(group_join(&g, in_ms(10000)), 0);
    ck_assert_mem_eq(got, sent, MUCH);
    close_both();
}

FIBER_TEST(no_more_than_asked_for_is_moved)
{
    char rest[8];
    bool side;

    open_both();
    peer_say(&from, "abcdef");
    ck_assert_int_eq(move(4, &side), 4);
    peer_expect(&to, "abcd");
    ck_assert_int_eq(stream_read(&from.s, rest, sizeof rest, in_ms(5000)), 2);
    close_both();
}

FIBER_TEST(the_end_of_the_stream_gives_0)
{
    bool side;

    open_both();
    peer_close(&from);
    ck_assert_int_eq(move(100, &side), 0);
    close_both();
}

FIBER_TEST(nothing_at_hand_is_said_without_waiting)
{
    bool side;

    open_both();
    ck_assert_int_eq(splice_now(&from.s, &to.s, 100, &side, in_ms(5000)), -ERR_AGAIN);
    ck_assert(!pd_may_read(&from.s.pd));
    close_both();
}

FIBER_TEST(a_silent_sender_is_the_senders_fault)
{
    bool side = false;

    open_both();
    ck_assert_int_eq(splice_some(&from.s, &to.s, 100, CLOCK_S, &side, in_ms(3)), -ERR_TIMEOUT);
    ck_assert(side);
    close_both();
}

static void reset(struct end *e)
{
    static const struct linger now = { .l_onoff = 1 };

    ck_assert_int_eq(setsockopt(e->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    peer_close(e);
}

FIBER_TEST(a_sender_that_resets_is_the_senders_fault)
{
    bool side = false;

    open_both();
    reset(&from);
    ck_assert_int_eq(move(100, &side), -ERR_RESET);
    ck_assert(side);
    close_both();
}

FIBER_TEST(a_receiver_that_is_gone_is_the_receivers_fault)
{
    bool side = true;

    open_both();
    reset(&to);
    peer_say(&from, "x");
    ck_assert_int_eq(move(100, &side), -ERR_RESET);
    ck_assert(!side);
    close_both();
}

static int no_pipe(int fds[2])
{
    (void)fds;
    errno = EMFILE;
    return -1;
}

FIBER_TEST(without_a_pipe_nothing_is_moved)
{
    const struct sys_ops *kernel = sys;
    struct sys_ops none = *sys;
    char text[8];
    bool side;

    open_both();
    peer_say(&from, "abc");
    none.pipe = no_pipe;
    sys = &none;
    ck_assert_int_eq(move(100, &side), -ERR_NOFILE);
    sys = kernel;
    ck_assert_int_eq(stream_read(&from.s, text, sizeof text, in_ms(5000)), 3);
    close_both();
}

FIBER_TEST(past_the_most_pipes_nothing_is_moved_until_one_is_closed)
{
    bool side;

    open_both();
    peer_say(&from, "abc");
    splice_pipes_most(0);
    ck_assert_int_eq(move(100, &side), -ERR_NOFILE);
    splice_pipes_most(1);
    ck_assert_int_eq(move(100, &side), 3);
    splice_free();
    peer_say(&from, "abc");
    ck_assert_int_eq(move(100, &side), 3);
    splice_pipes_most(UINT32_MAX);
    close_both();
}

static int n_pipes;
static const struct sys_ops *kernel_calls;

static int counted_pipe(int fds[2])
{
    n_pipes++;
    return kernel_calls->pipe(fds);
}

static void count_pipes(struct sys_ops *counting)
{
    kernel_calls = sys;
    *counting = *sys;
    counting->pipe = counted_pipe;
    n_pipes = 0;
    sys = counting;
}

FIBER_TEST(a_pipe_is_used_again)
{
    struct sys_ops counting;
    bool side;

    open_both();
    count_pipes(&counting);
    for (int i = 0; i < 5; i++) {
        peer_say(&from, "x");
        ck_assert_int_eq(move(100, &side), 1);
    }
    sys = kernel_calls;
    ck_assert_int_eq(n_pipes, 1);
    close_both();
}

/* What a failed receiver left in the pipe would otherwise come out at the next one. */
FIBER_TEST(a_pipe_with_bytes_in_it_is_not_used_again)
{
    struct sys_ops counting;
    bool side;

    open_both();
    count_pipes(&counting);
    reset(&to);
    peer_say(&from, "stale");
    ck_assert_int_lt(move(100, &side), 0);
    end_close(&to);
    end_open_tcp(&to);
    peer_say(&from, "fresh");
    ck_assert_int_eq(move(100, &side), 5);
    sys = kernel_calls;
    peer_expect(&to, "fresh");
    ck_assert_int_eq(n_pipes, 2);
    close_both();
}

Suite *splice_suite(void)
{
    Suite *s = suite_create("splice");
    TCase *t = tcase_create("splice");

    tcase_add_test(t, all_bytes_arrive_in_their_order);
    tcase_add_test(t, no_more_than_asked_for_is_moved);
    tcase_add_test(t, the_end_of_the_stream_gives_0);
    tcase_add_test(t, nothing_at_hand_is_said_without_waiting);
    tcase_add_test(t, a_silent_sender_is_the_senders_fault);
    tcase_add_test(t, a_sender_that_resets_is_the_senders_fault);
    tcase_add_test(t, a_receiver_that_is_gone_is_the_receivers_fault);
    tcase_add_test(t, without_a_pipe_nothing_is_moved);
    tcase_add_test(t, past_the_most_pipes_nothing_is_moved_until_one_is_closed);
    tcase_add_test(t, a_pipe_is_used_again);
    tcase_add_test(t, a_pipe_with_bytes_in_it_is_not_used_again);
    suite_add_tcase(s, t);
    return s;
}
