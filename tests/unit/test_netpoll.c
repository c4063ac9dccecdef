/* Tests of fiber/netpoll: what the flags say, when, and who is woken; over pairs of connected sockets. */
#include "tests/lib/fiber_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fiber/netpoll.h"

Suite *netpoll_suite(void);

struct ends {
    struct pd a, b;
};

static void ends_open(struct ends *e)
{
    int fd[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    pd_init(&e->a, fd[0]);
    pd_init(&e->b, fd[1]);
}

static void end_close(struct pd *p)
{
    if (p->fd < 0)
        return;
    pd_forget(p);
    ck_assert_int_eq(close(p->fd), 0);
    p->fd = -1;
}

static void ends_close(struct ends *e)
{
    end_close(&e->a);
    end_close(&e->b);
}

/* How all of Weir reads and writes: never without the flag. */
static ssize_t get(struct pd *p, void *to, size_t size, int64_t deadline)
{
    for (;;) {
        int rc = pd_wait_read(p, deadline);
        ssize_t n;

        if (rc < 0)
            return rc;
        n = read(p->fd, to, size);
        if (n >= 0) {
            if ((size_t)n < size && n > 0)
                pd_read_drained(p);
            return n;
        }
        ck_assert_int_eq(errno, EAGAIN);
        pd_read_again(p);
    }
}

static ssize_t give(struct pd *p, const void *from, size_t size, int64_t deadline)
{
    for (;;) {
        int rc = pd_wait_write(p, deadline);
        ssize_t n;

        if (rc < 0)
            return rc;
        n = write(p->fd, from, size);
        if (n >= 0) {
            if ((size_t)n < size)
                pd_write_full(p);
            return n;
        }
        ck_assert_int_eq(errno, EAGAIN);
        pd_write_full(p);
    }
}

static void join(struct group *g) { ck_assert_int_eq(group_join(g, in_ms(30000)), 0); }

/* --- flags --- */

FIBER_TEST(a_new_descriptor_may_be_tried_and_is_not_registered)
{
    struct ends e;
    char c = 0;

    ends_open(&e);
    ck_assert(pd_may_read(&e.a) && pd_may_write(&e.a));
    ck_assert_int_eq(give(&e.a, "xy", 2, 1), 2);
    ck_assert_int_eq(get(&e.b, &c, 1, 1), 1);
    ck_assert_int_eq(c, 'x');
    ck_assert_uint_eq(e.a.flags & PD_REGISTERED, 0);
    ck_assert_uint_eq(e.b.flags & PD_REGISTERED, 0);
    ends_close(&e);
}

FIBER_TEST(the_first_wait_registers)
{
    struct ends e;
    char c;

    ends_open(&e);
    ck_assert_int_eq(get(&e.a, &c, 1, in_ms(3)), -ERR_TIMEOUT);
    ck_assert_uint_ne(e.a.flags & PD_REGISTERED, 0);
    ends_close(&e);
}

FIBER_TEST(a_short_read_takes_the_flag_down_and_a_full_one_does_not)
{
    struct ends e;
    char buf[8];

    ends_open(&e);
    give(&e.a, "abcdef", 6, 1);
    ck_assert_int_eq(get(&e.b, buf, 3, 1), 3);
    ck_assert(pd_may_read(&e.b));
    ck_assert_int_eq(get(&e.b, buf, 8, 1), 3);
    ck_assert(!pd_may_read(&e.b));
    ends_close(&e);
}

FIBER_TEST(registering_reports_what_is_already_there)
{
    struct ends e;
    char buf[8];

    ends_open(&e);
    ck_assert_int_eq(get(&e.b, buf, 8, in_ms(1)), -ERR_TIMEOUT);
    give(&e.a, "abc", 3, 1);
    end_close(&e.a);
    pd_forget(&e.b);
    e.b.flags = 0; /* as if all had been drained before the peer wrote */
    ck_assert_int_eq(pd_wait_read(&e.b, in_ms(30000)), 0);
    ck_assert_int_eq(read(e.b.fd, buf, 8), 3);
    ends_close(&e);
}

/* --- end of stream --- */

FIBER_TEST(an_end_announced_with_the_last_bytes_is_seen_after_a_short_read)
{
    struct ends e;
    char buf[8];

    ends_open(&e);
    ck_assert_int_eq(get(&e.b, buf, 8, in_ms(1)), -ERR_TIMEOUT);
    give(&e.a, "abc", 3, 1);
    end_close(&e.a);
    ck_assert_int_eq(get(&e.b, buf, 8, in_ms(30000)), 3);
    ck_assert(pd_may_read(&e.b));
    ck_assert_int_eq(get(&e.b, buf, 8, in_ms(30000)), 0);
    ends_close(&e);
}

FIBER_TEST(an_end_that_comes_later_wakes_the_reader)
{
    struct ends e;
    char buf[8];

    ends_open(&e);
    give(&e.a, "abc", 3, 1);
    ck_assert_int_eq(get(&e.b, buf, 8, in_ms(30000)), 3);
    ck_assert_int_eq(get(&e.b, buf, 8, in_ms(1)), -ERR_TIMEOUT);
    ck_assert_int_eq(shutdown(e.a.fd, SHUT_WR), 0);
    ck_assert_int_eq(get(&e.b, buf, 8, in_ms(30000)), 0);
    ends_close(&e);
}

FIBER_TEST(a_writer_learns_that_the_peer_is_gone)
{
    struct ends e;
    static char big[1 << 20];
    ssize_t n;

    ends_open(&e);
    while ((n = give(&e.a, big, sizeof big, in_ms(1))) > 0)
        ;
    ck_assert_int_eq(n, -ERR_TIMEOUT);
    end_close(&e.b);
    ck_assert_int_eq(pd_wait_write(&e.a, in_ms(30000)), 0);
    ends_close(&e);
}

/* --- waiting --- */

struct io {
    struct pd *p;
    ssize_t result;
    size_t total, most;
    int64_t deadline;
    struct fiber *fiber;
    char buf[4096];
};

static void reads_once(void *arg)
{
    struct io *io = arg;

    io->fiber = fiber_self();
    io->result = get(io->p, io->buf, sizeof io->buf, io->deadline);
}

static void reads_all(void *arg)
{
    struct io *io = arg;

    while ((io->result = get(io->p, io->buf, sizeof io->buf, io->deadline)) > 0)
        io->total += (size_t)io->result;
}

static void writes_all(void *arg)
{
    struct io *io = arg;

    while (io->total < io->most) {
        size_t want = io->most - io->total;

        io->result = give(io->p, io->buf, want < sizeof io->buf ? want : sizeof io->buf, io->deadline);
        if (io->result < 0)
            return;
        io->total += (size_t)io->result;
    }
    (void)shutdown(io->p->fd, SHUT_WR);
}

FIBER_TEST(a_waiting_reader_is_woken_by_data)
{
    struct ends e;
    struct io io = { .p = &e.b, .deadline = CLOCK_NEVER };
    struct group g;

    ends_open(&e);
    group_init(&g);
    fiber_go(&g, "reader", reads_once, &io);
    fiber_sleep(in_ms(3));
    ck_assert_int_eq(io.result, 0);
    give(&e.a, "hello", 5, 1);
    join(&g);
    ck_assert_int_eq(io.result, 5);
    ck_assert_mem_eq(io.buf, "hello", 5);
    ends_close(&e);
}

FIBER_TEST(a_writer_waits_when_the_socket_is_full_and_goes_on_when_it_is_not)
{
    struct ends e;
    struct io out = { .p = &e.a, .most = 4 << 20, .deadline = CLOCK_NEVER }, in = { .p = &e.b, .deadline = CLOCK_NEVER };
    struct group g;

    ends_open(&e);
    group_init(&g);
    fiber_go(&g, "writer", writes_all, &out);
    fiber_sleep(in_ms(3));
    ck_assert_uint_lt(out.total, out.most);
    ck_assert(!pd_may_write(&e.a));
    fiber_go(&g, "reader", reads_all, &in);
    join(&g);
    ck_assert_uint_eq(in.total, out.most);
    ck_assert_int_eq(in.result, 0);
    ends_close(&e);
}

FIBER_TEST(one_descriptor_serves_a_reader_and_a_writer_at_once)
{
    struct ends e;
    struct io io[4] = {
        { .p = &e.a, .most = 2 << 20, .deadline = CLOCK_NEVER },
        { .p = &e.b, .most = 2 << 20, .deadline = CLOCK_NEVER },
        { .p = &e.a, .deadline = CLOCK_NEVER },
        { .p = &e.b, .deadline = CLOCK_NEVER },
    };
    struct group g;

    ends_open(&e);
    group_init(&g);
    for (int i = 0; i < 4; i++)
        fiber_go(&g, i < 2 ? "writer" : "reader", i < 2 ? writes_all : reads_all, &io[i]);
    join(&g);
    ck_assert_uint_eq(io[2].total, 2 << 20);
    ck_assert_uint_eq(io[3].total, 2 << 20);
    ends_close(&e);
}

FIBER_TEST(a_wait_ends_at_its_deadline_and_leaves_nobody_behind)
{
    struct ends e;
    char c;

    ends_open(&e);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(get(&e.a, &c, 1, in_ms(2)), -ERR_TIMEOUT);
    ck_assert_ptr_null(e.a.reader);
    ck_assert_ptr_null(e.a.writer);
    ends_close(&e);
}

FIBER_TEST(a_wait_with_a_deadline_in_the_past_succeeds_only_if_the_flag_is_up)
{
    struct ends e;

    ends_open(&e);
    ck_assert_int_eq(pd_wait_read(&e.a, 0), 0);
    pd_read_again(&e.a);
    ck_assert_int_eq(pd_wait_read(&e.a, 0), -ERR_TIMEOUT);
    ck_assert_int_eq(pd_wait_read(&e.a, 1), -ERR_TIMEOUT);
    ends_close(&e);
}

FIBER_TEST(a_wait_that_is_called_off_ends_and_another_may_follow)
{
    struct ends e;
    struct io io = { .p = &e.b, .deadline = CLOCK_NEVER }, again = { .p = &e.b, .deadline = CLOCK_NEVER };
    struct group g;

    ends_open(&e);
    group_init(&g);
    fiber_go(&g, "reader", reads_once, &io);
    fiber_sleep(in_ms(2));
    fiber_cancel(io.fiber, ERR_DRAINING);
    join(&g);
    ck_assert_int_eq(io.result, -ERR_CANCELED);
    ck_assert_ptr_null(e.b.reader);
    fiber_go(&g, "reader", reads_once, &again);
    give(&e.a, "z", 1, 1);
    join(&g);
    ck_assert_int_eq(again.result, 1);
    ends_close(&e);
}

/* --- nobody waits --- */

static int called;

static void counts_calls(struct pd *p)
{
    ck_assert_ptr_null(fiber_self());
    ck_assert(pd_may_read(p));
    called++;
}

FIBER_TEST(an_idle_descriptor_calls_its_owner_when_it_becomes_readable)
{
    struct ends e;

    ends_open(&e);
    e.b.on_readable = counts_calls;
    pd_read_again(&e.b);
    ck_assert_int_eq(pd_register(&e.b), 0);
    fiber_sleep(in_ms(2));
    ck_assert_int_eq(called, 0);
    give(&e.a, "x", 1, 1);
    for (int i = 0; i < 1000 && called == 0; i++)
        fiber_sleep(in_ms(1));
    ck_assert_int_eq(called, 1);
    ends_close(&e);
}

FIBER_TEST(who_waits_is_woken_instead_of_the_owner_being_called)
{
    struct ends e;
    struct io io = { .p = &e.b, .deadline = CLOCK_NEVER };
    struct group g;

    ends_open(&e);
    e.b.on_readable = counts_calls;
    pd_read_again(&e.b);
    group_init(&g);
    fiber_go(&g, "reader", reads_once, &io);
    fiber_yield();
    give(&e.a, "x", 1, 1);
    join(&g);
    ck_assert_int_eq(called, 0);
    ck_assert_int_eq(io.result, 1);
    ends_close(&e);
}

static void forgets(struct pd *p)
{
    called++;
    pd_forget(p);
}

FIBER_TEST(the_owner_may_forget_the_descriptor_in_the_call)
{
    struct ends e;

    ends_open(&e);
    e.b.on_readable = forgets;
    pd_read_again(&e.b);
    ck_assert_int_eq(pd_register(&e.b), 0);
    give(&e.a, "x", 1, 1);
    for (int i = 0; i < 1000 && called == 0; i++)
        fiber_sleep(in_ms(1));
    ck_assert_int_eq(called, 1);
    ck_assert_uint_eq(e.b.flags & PD_REGISTERED, 0);
    give(&e.a, "x", 1, 1);
    fiber_sleep(in_ms(3));
    ck_assert_int_eq(called, 1);
    ends_close(&e);
}

FIBER_TEST(a_forgotten_descriptor_may_be_waited_for_again)
{
    struct ends e;
    char c;

    ends_open(&e);
    ck_assert_int_eq(get(&e.b, &c, 1, in_ms(1)), -ERR_TIMEOUT);
    pd_forget(&e.b);
    pd_forget(&e.b); /* twice does nothing */
    give(&e.a, "x", 1, 1);
    ck_assert_int_eq(get(&e.b, &c, 1, in_ms(30000)), 1);
    ends_close(&e);
}

FIBER_TEST(a_file_that_can_not_be_watched_is_an_error)
{
    struct pd p;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    pd_init(&p, fd);
    pd_read_again(&p);
    ck_assert_int_lt(pd_wait_read(&p, CLOCK_NEVER), 0);
    ck_assert_uint_eq(p.flags & PD_REGISTERED, 0);
    ck_assert_ptr_null(p.reader);
    pd_forget(&p);
    close(fd);
}

/* --- many --- */

enum { PAIRS = 150, ROUNDS = 40 };
static struct ends pairs[PAIRS];

static void echoes(void *arg)
{
    struct pd *p = arg;
    char buf[64];
    ssize_t n;

    while ((n = get(p, buf, sizeof buf, CLOCK_NEVER)) > 0)
        ck_assert_int_eq(give(p, buf, (size_t)n, CLOCK_NEVER), n);
}

static void asks(void *arg)
{
    struct pd *p = arg;
    char out[32], in[64];

    for (int i = 0; i < ROUNDS; i++) {
        memset(out, 'a' + i % 26, sizeof out);
        ck_assert_int_eq(give(p, out, sizeof out, CLOCK_NEVER), sizeof out);
        ck_assert_int_eq(get(p, in, sizeof in, in_ms(30000)), sizeof out);
        ck_assert_mem_eq(in, out, sizeof out);
    }
    end_close(p);
}

FIBER_TEST(many_conversations_go_on_at_once)
{
    struct group g;

    group_init(&g);
    for (int i = 0; i < PAIRS; i++) {
        ends_open(&pairs[i]);
        ck_assert_int_eq(fiber_go(&g, "echo", echoes, &pairs[i].b), 0);
        ck_assert_int_eq(fiber_go(&g, "ask", asks, &pairs[i].a), 0);
    }
    join(&g);
    for (int i = 0; i < PAIRS; i++)
        ends_close(&pairs[i]);
}

Suite *netpoll_suite(void)
{
    Suite *s = suite_create("netpoll");
    TCase *flags = tcase_create("flags"), *waits = tcase_create("waits"), *idle = tcase_create("idle"), *many = tcase_create("many");

    tcase_add_test(flags, a_new_descriptor_may_be_tried_and_is_not_registered);
    tcase_add_test(flags, the_first_wait_registers);
    tcase_add_test(flags, a_short_read_takes_the_flag_down_and_a_full_one_does_not);
    tcase_add_test(flags, registering_reports_what_is_already_there);
    tcase_add_test(flags, an_end_announced_with_the_last_bytes_is_seen_after_a_short_read);
    tcase_add_test(flags, an_end_that_comes_later_wakes_the_reader);
    tcase_add_test(flags, a_writer_learns_that_the_peer_is_gone);
    suite_add_tcase(s, flags);

    tcase_add_test(waits, a_waiting_reader_is_woken_by_data);
    tcase_add_test(waits, a_writer_waits_when_the_socket_is_full_and_goes_on_when_it_is_not);
    tcase_add_test(waits, one_descriptor_serves_a_reader_and_a_writer_at_once);
    tcase_add_test(waits, a_wait_ends_at_its_deadline_and_leaves_nobody_behind);
    tcase_add_test(waits, a_wait_with_a_deadline_in_the_past_succeeds_only_if_the_flag_is_up);
    tcase_add_test(waits, a_wait_that_is_called_off_ends_and_another_may_follow);
    suite_add_tcase(s, waits);

    tcase_add_test(idle, an_idle_descriptor_calls_its_owner_when_it_becomes_readable);
    tcase_add_test(idle, who_waits_is_woken_instead_of_the_owner_being_called);
    tcase_add_test(idle, the_owner_may_forget_the_descriptor_in_the_call);
    tcase_add_test(idle, a_forgotten_descriptor_may_be_waited_for_again);
    tcase_add_test(idle, a_file_that_can_not_be_watched_is_an_error);
    suite_add_tcase(s, idle);

    tcase_add_test(many, many_conversations_go_on_at_once);
    suite_add_tcase(s, many);
    return s;
}
