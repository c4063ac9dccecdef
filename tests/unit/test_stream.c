/* Tests of net/stream and net/sys: what is read and written, what waiting ends in, and which calls are not made. */
#include "tests/lib/fiber_test.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/scratch.h"
#include "net/sys.h"
#include "tests/lib/sockets.h"

Suite *stream_suite(void);

static const struct sys_ops *kernel;
static struct sys_ops counting;
static int n_recv, n_send;

static ssize_t counted_recv(int fd, void *buf, size_t n, int flags)
{
    n_recv++;
    return kernel->recv(fd, buf, n, flags);
}

static ssize_t counted_send(int fd, const void *buf, size_t n, int flags)
{
    n_send++;
    return kernel->send(fd, buf, n, flags);
}

static void count_calls(void)
{
    kernel = sys;
    counting = *sys;
    counting.recv = counted_recv;
    counting.send = counted_send;
    n_recv = n_send = 0;
    sys = &counting;
}

static void count_no_more(void) { sys = kernel; }

FIBER_TEST(a_read_gives_what_the_peer_sent)
{
    struct end e;
    char got[16];

    end_open(&e);
    peer_say(&e, "hello");
    ck_assert_int_eq(stream_read(&e.s, got, sizeof got, in_ms(5000)), 5);
    ck_assert_mem_eq(got, "hello", 5);
    end_close(&e);
}

FIBER_TEST(a_read_past_the_last_byte_gives_0)
{
    struct end e;
    char got[16];

    end_open(&e);
    peer_close(&e);
    ck_assert_int_eq(stream_read(&e.s, got, sizeof got, in_ms(5000)), 0);
    ck_assert_int_eq(stream_read(&e.s, got, sizeof got, in_ms(5000)), 0);
    end_close(&e);
}

FIBER_TEST(the_end_shows_behind_bytes_that_came_with_it)
{
    struct end e;
    char got[16];

    end_open_tcp(&e);
    ck_assert_int_eq(stream_read(&e.s, got, sizeof got, in_ms(1)), -ERR_TIMEOUT); /* it is watched from here on */
    peer_say(&e, "bye");
    peer_close(&e);
    ck_assert_int_eq(stream_read(&e.s, got, sizeof got, in_ms(5000)), 3);
    ck_assert_int_eq(stream_read(&e.s, got, sizeof got, in_ms(5000)), 0);
    end_close(&e);
}

FIBER_TEST(a_read_ends_with_its_deadline)
{
    struct end e;
    char byte;

    end_open(&e);
    ck_assert_int_eq(stream_read(&e.s, &byte, 1, in_ms(5)), -ERR_TIMEOUT);
    end_close(&e);
}

FIBER_TEST(nothing_is_read_again_after_a_short_read)
{
    struct end e;
    char got[16];

    end_open(&e);
    peer_say(&e, "x");
    count_calls();
    ck_assert_int_eq(stream_read_now(&e.s, got, sizeof got), 1);
    ck_assert_int_eq(stream_read_now(&e.s, got, sizeof got), -ERR_AGAIN);
    count_no_more();
    ck_assert_int_eq(n_recv, 1);
    end_close(&e);
}

FIBER_TEST(nothing_is_written_again_after_a_short_write)
{
    static char much[8 << 20];
    struct end e;
    struct iovec iov = { much, sizeof much };

    end_open(&e);
    count_calls();
    ck_assert_int_gt(stream_write_now(&e.s, &iov, 1), 0);
    ck_assert_int_eq(stream_write_now(&e.s, &iov, 1), -ERR_AGAIN);
    count_no_more();
    ck_assert_int_eq(n_send, 1);
    end_close(&e);
}

static void reset_by_peer(struct end *e)
{
    static const struct linger now = { .l_onoff = 1 };

    ck_assert_int_eq(setsockopt(e->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    peer_close(e);
}

FIBER_TEST(a_reset_is_told_to_the_reader)
{
    struct end e;
    char byte;

    end_open_tcp(&e);
    reset_by_peer(&e);
    ck_assert_int_eq(stream_read(&e.s, &byte, 1, in_ms(5000)), -ERR_RESET);
    end_close(&e);
}

FIBER_TEST(a_reset_is_told_to_the_writer)
{
    struct end e;

    end_open_tcp(&e);
    reset_by_peer(&e);
    ck_assert_int_eq(stream_write_bytes(&e.s, "x", 1, in_ms(5000)), -ERR_RESET);
    end_close(&e);
}

struct taker {
    struct end *e;
    char *got;
    size_t n;
    bool done;
};

/* Takes the bytes on the other side, a few at a time, without ever stopping the worker. */
static void take(void *arg)
{
    struct taker *t = arg;
    size_t n = 0;

    while (n < t->n) {
        ssize_t got = recv(t->e->peer, t->got + n, t->n - n < 50000 ? t->n - n : 50000, MSG_DONTWAIT);

        if (got > 0)
            n += (size_t)got;
        else
            ck_assert_int_eq(errno, EAGAIN);
        (void)fiber_sleep(in_ms(0));
    }
    t->done = true;
}

static void fill(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 + i / 251);
}

FIBER_TEST(a_long_write_arrives_whole_though_the_scratch_is_lost_meanwhile)
{
    enum { HEAD = 100000, BODY = 2000000 };
    static char body[BODY], got[HEAD + BODY];
    struct end e;
    char *head = scratch_out(), *wanted = malloc(HEAD);
    struct iovec iov[2] = { { head, HEAD }, { body, BODY } };
    struct taker t = { &e, got, sizeof got, false };

    ck_assert(head != NULL && wanted != NULL);
    fill(head, HEAD);
    memcpy(wanted, head, HEAD);
    fill(body, BODY);
    end_open(&e);
    ck_assert_int_eq(fiber_go(NULL, "taker", take, &t), 0);
    ck_assert_int_eq(stream_write(&e.s, iov, 2, in_ms(10000)), 0);
    while (!t.done)
        (void)fiber_sleep(in_ms(1));
    ck_assert_mem_eq(got, wanted, HEAD);
    ck_assert_mem_eq(got + HEAD, body, BODY);
    free(wanted);
    end_close(&e);
    scratch_free();
}

FIBER_TEST(a_write_that_nobody_takes_ends_with_its_deadline)
{
    static char much[8 << 20];
    struct end e;

    end_open(&e);
    ck_assert_int_eq(stream_write_bytes(&e.s, much, sizeof much, in_ms(5)), -ERR_TIMEOUT);
    end_close(&e);
}

FIBER_TEST(empty_pieces_are_written_without_a_call)
{
    struct end e;
    struct iovec iov[] = { { NULL, 0 }, { NULL, 0 } };

    end_open(&e);
    count_calls();
    ck_assert_int_eq(stream_write(&e.s, iov, 2, in_ms(5)), 0);
    count_no_more();
    ck_assert_int_eq(n_send, 0);
    end_close(&e);
}

FIBER_TEST(a_connection_to_a_listening_port_is_made)
{
    struct addr a;
    struct stream s;
    int listening = listen_anywhere(&a), fd;

    ck_assert_int_eq(stream_connect(&s, &a, in_ms(5000)), 0);
    fd = accept_peer(listening);
    ck_assert(s.open && s.is_tcp);
    ck_assert_int_eq(stream_write_bytes(&s, "x", 1, in_ms(5000)), 0);
    stream_close(&s);
    (void)close(fd);
    (void)close(listening);
}

FIBER_TEST(a_port_where_nobody_listens_refuses)
{
    struct addr a = nobody_there();
    struct stream s;

    ck_assert_int_eq(stream_connect(&s, &a, in_ms(5000)), -ERR_REFUSED);
    ck_assert(!s.open);
}

FIBER_TEST(a_unix_socket_that_is_not_there_is_unreachable_or_refuses)
{
    struct addr a;
    struct stream s;

    ck_assert_ptr_null(addr_parse("unix:/nonexistent/weir.sock", &a, NULL));
    ck_assert_int_lt(stream_connect(&s, &a, in_ms(5000)), 0);
    ck_assert(!s.open);
}

static int no_socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    errno = EMFILE;
    return -1;
}

FIBER_TEST(running_out_of_descriptors_has_a_code_of_its_own)
{
    struct sys_ops none;
    struct addr a = nobody_there();
    struct stream s = { .open = false };
    int rc;

    kernel = sys;
    none = *sys;
    none.socket = no_socket;
    sys = &none;
    rc = stream_connect(&s, &a, in_ms(5000));
    sys = kernel;
    ck_assert_int_eq(rc, -ERR_NOFILE);
}

/* A listener whose backlog is full does not answer: the closest that loopback has to a silent host. */
FIBER_TEST(a_connection_that_gets_no_answer_ends_with_its_deadline)
{
    struct addr a;
    int listening = listen_anywhere(&a), filler[8], rc;
    struct stream s;

    ck_assert_int_eq(listen(listening, 0), 0);
    for (int i = 0; i < 8; i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(filler[i], &a.sa, a.len);
    }
    rc = stream_connect(&s, &a, in_ms(30));
    ck_assert_int_eq(rc, -ERR_TIMEOUT);
    ck_assert(!s.open);
    for (int i = 0; i < 8; i++)
        (void)close(filler[i]);
    (void)close(listening);
}

static int no_port(int fd, const struct sockaddr *sa, socklen_t len)
{
    (void)fd, (void)sa, (void)len;
    errno = EADDRNOTAVAIL;
    return -1;
}

FIBER_TEST(running_out_of_ports_has_a_code_of_its_own)
{
    struct sys_ops none;
    struct addr a = nobody_there();
    struct stream s = { .open = false };
    int rc;

    kernel = sys;
    none = *sys;
    none.connect = no_port;
    sys = &none;
    rc = stream_connect(&s, &a, in_ms(5000));
    sys = kernel;
    ck_assert_int_eq(rc, -ERR_NOPORT);
}

/* A Unix socket whose backlog is full. */
struct full {
    struct addr at;
    char path[64];
    int listening, filler;
};

static void full_open(struct full *f)
{
    struct addr a;

    (void)snprintf(f->path, sizeof f->path, "unix:/tmp/weir-full-%d", (int)getpid());
    ck_assert_ptr_null(addr_parse(f->path, &a, NULL));
    f->at = a;
    f->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    f->filler = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(f->listening, &a.sa, a.len), 0);
    ck_assert_int_eq(listen(f->listening, 0), 0);
    ck_assert_int_eq(connect(f->filler, &a.sa, a.len), 0);
}

static void full_close(struct full *f)
{
    (void)unlink(f->path + strlen("unix:"));
    (void)close(f->filler);
    (void)close(f->listening);
}

FIBER_TEST(a_unix_socket_that_has_no_room_is_no_refusal)
{
    struct stream s;
    struct full f;

    full_open(&f);
    ck_assert_int_eq(stream_connect(&s, &f.at, in_ms(30)), -ERR_TIMEOUT);
    ck_assert(!s.open);
    full_close(&f);
}

static void make_room(void *arg)
{
    const struct full *f = arg;

    ck_assert_int_eq(fiber_sleep(clock_now() + 20 * CLOCK_MS), 0);
    (void)close(accept(f->listening, NULL, NULL));
}

FIBER_TEST(a_unix_socket_that_has_no_room_is_tried_again_until_it_has)
{
    struct group group;
    struct stream s;
    struct full f;

    full_open(&f);
    group_init(&group);
    ck_assert_int_eq(fiber_go(&group, "room", make_room, &f), 0);
    ck_assert_int_eq(stream_connect(&s, &f.at, in_ms(5000)), 0);
    ck_assert_int_eq(group_join(&group, CLOCK_NEVER), 0);
    ck_assert_int_eq(stream_write_bytes(&s, "x", 1, in_ms(5000)), 0);
    stream_close(&s);
    full_close(&f);
}

FIBER_TEST(a_look_tells_quiet_from_bytes_from_the_end)
{
    struct end e;
    char byte;

    end_open_tcp(&e);
    ck_assert_int_eq(stream_peek(&e.s), STREAM_QUIET);
    peer_say(&e, "x");
    ck_assert_int_eq(stream_peek(&e.s), STREAM_HAS_BYTES);
    ck_assert_int_eq(stream_read(&e.s, &byte, 1, in_ms(5000)), 1);
    peer_close(&e);
    ck_assert_int_eq(stream_wait_readable(&e.s, in_ms(5000)), 0);
    ck_assert_int_eq(stream_peek(&e.s), STREAM_ENDED);
    end_close(&e);
}

FIBER_TEST(a_look_at_a_reset_connection_says_so)
{
    struct end e;

    end_open_tcp(&e);
    reset_by_peer(&e);
    ck_assert_int_eq(stream_peek(&e.s), STREAM_BROKEN);
    end_close(&e);
}

FIBER_TEST(closing_with_a_reset_is_seen_as_one)
{
    struct end e;
    char byte;

    end_open_tcp(&e);
    stream_close_reset(&e.s);
    ck_assert_int_eq(recv(e.peer, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    end_close(&e);
}

FIBER_TEST(a_shutdown_lets_the_other_direction_live_on)
{
    struct end e;
    char byte;

    end_open_tcp(&e);
    ck_assert_int_eq(stream_shutdown(&e.s), 0);
    ck_assert_int_eq(recv(e.peer, &byte, 1, 0), 0);
    peer_say(&e, "y");
    ck_assert_int_eq(stream_read(&e.s, &byte, 1, in_ms(5000)), 1);
    end_close(&e);
}

FIBER_TEST(closing_twice_closes_once)
{
    struct end e, other;

    end_open(&e);
    stream_close(&e.s);
    end_open(&other); /* takes the same number */
    stream_close(&e.s);
    ck_assert_int_eq(stream_write_bytes(&other.s, "x", 1, in_ms(5)), 0);
    end_close(&other);
    end_close(&e);
}

static void wait_for_byte(void *arg)
{
    struct end *e = arg;
    char byte;

    ck_assert_int_eq(stream_read(&e->s, &byte, 1, in_ms(5000)), -ERR_CANCELED);
}

FIBER_TEST(a_reader_that_is_called_off_says_so)
{
    struct end e;
    struct group g;

    end_open(&e);
    group_init(&g);
    ck_assert_int_eq(fiber_go(&g, "reader", wait_for_byte, &e), 0);
    fiber_yield();
    group_cancel(&g, ERR_DRAINING);
    ck_assert_int_eq(group_join(&g, in_ms(5000)), 0);
    end_close(&e);
}

START_TEST(an_accepted_socket_does_not_block)
{
    struct addr a;
    int listening = listen_anywhere(&a), fd = socket(AF_INET, SOCK_STREAM, 0), accepted;
    char byte;

    ck_assert_int_eq(connect(fd, &a.sa, a.len), 0);
    accepted = sys->accept(listening, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    ck_assert_int_eq(sys->recv(accepted, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, EAGAIN);
    (void)close(accepted);
    (void)close(fd);
    (void)close(listening);
}
END_TEST

Suite *stream_suite(void)
{
    Suite *s = suite_create("stream");
    TCase *t = tcase_create("stream");

    tcase_add_test(t, a_read_gives_what_the_peer_sent);
    tcase_add_test(t, a_read_past_the_last_byte_gives_0);
    tcase_add_test(t, the_end_shows_behind_bytes_that_came_with_it);
    tcase_add_test(t, a_read_ends_with_its_deadline);
    tcase_add_test(t, nothing_is_read_again_after_a_short_read);
    tcase_add_test(t, nothing_is_written_again_after_a_short_write);
    tcase_add_test(t, a_reset_is_told_to_the_reader);
    tcase_add_test(t, a_reset_is_told_to_the_writer);
    tcase_add_test(t, a_long_write_arrives_whole_though_the_scratch_is_lost_meanwhile);
    tcase_add_test(t, a_write_that_nobody_takes_ends_with_its_deadline);
    tcase_add_test(t, empty_pieces_are_written_without_a_call);
    tcase_add_test(t, a_connection_to_a_listening_port_is_made);
    tcase_add_test(t, a_port_where_nobody_listens_refuses);
    tcase_add_test(t, a_unix_socket_that_is_not_there_is_unreachable_or_refuses);
    tcase_add_test(t, running_out_of_descriptors_has_a_code_of_its_own);
    tcase_add_test(t, running_out_of_ports_has_a_code_of_its_own);
    tcase_add_test(t, a_unix_socket_that_has_no_room_is_no_refusal);
    tcase_add_test(t, a_unix_socket_that_has_no_room_is_tried_again_until_it_has);
    tcase_add_test(t, a_connection_that_gets_no_answer_ends_with_its_deadline);
    tcase_add_test(t, a_look_tells_quiet_from_bytes_from_the_end);
    tcase_add_test(t, a_look_at_a_reset_connection_says_so);
    tcase_add_test(t, closing_with_a_reset_is_seen_as_one);
    tcase_add_test(t, a_shutdown_lets_the_other_direction_live_on);
    tcase_add_test(t, closing_twice_closes_once);
    tcase_add_test(t, a_reader_that_is_called_off_says_so);
    tcase_add_test(t, an_accepted_socket_does_not_block);
    suite_add_tcase(s, t);
    return s;
}
