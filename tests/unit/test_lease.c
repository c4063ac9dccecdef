/* Tests of upstream/lease: connections to a backend are opened, kept, taken again, judged and dropped. */
#include "tests/lib/fiber_test.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/scratch.h"
#include "net/sys.h"
#include "tests/lib/sockets.h"
#include "upstream/give_way.h"
#include "upstream/lease.h"

Suite *lease_suite(void);

static struct pool_conf conf;
static struct backend_conf server;
static struct pool *pool;
static struct backend *backend;
static int listening;

static void open_pool(uint32_t max_connections, unsigned n_workers)
{
    if (listening <= 0)
        listening = listen_anywhere(&server.address);
    server.address_text = "backend";
    server.weight = 1;
    server.max_connections = max_connections;
    conf = (struct pool_conf){
        .name = "app",
        .strategy = strategy_find("round_robin"),
        .backends = { &server, 1 },
        .keepalive = { .idle = 4, .timeout = 30 * CLOCK_S },
    };
    pool = pool_new(&conf, n_workers, NULL);
    ck_assert_ptr_nonnull(pool);
    backend = pool_set_now(pool)->members[0];
}

static void close_pool(void)
{
    keepalive_close(false);
    ck_assert_uint_eq(backend_inflight(backend), 0);
    ck_assert_uint_eq(backend_connections(backend), 0);
    ck_assert_uint_eq(atomic_load(&backend->n_idle), 0);
    pool_free(&pool);
    if (listening > 0)
        (void)close(listening);
    listening = 0;
    scratch_free();
}

static struct lease begin(enum lease_want want)
{
    struct lease l;

    ck_assert_int_eq(lease_begin(&l, pool, backend, want, NULL, in_ms(5000)), 0);
    return l;
}

/* Gives it back clean; the connection, to be found again. */
static struct backend_conn *end(struct lease *l)
{
    struct backend_conn *c = l->conn;

    l->reusable = true;
    lease_end(l);
    return c;
}

static struct backend_conn *kept(void)
{
    struct lease l = begin(LEASE_FRESH);

    return end(&l);
}

static uint32_t n_idle(void) { return atomic_load(&backend->n_idle); }

static void await_idle(uint32_t n)
{
    int64_t patience = in_ms(5000);

    while (n_idle() != n && clock_now() < patience)
        (void)fiber_sleep(in_ms(1));
    ck_assert_uint_eq(n_idle(), n);
}

FIBER_TEST(a_connection_given_back_clean_is_taken_again)
{
    struct backend_conn *c;
    struct lease l;

    open_pool(0, 1);
    c = kept();
    ck_assert_uint_eq(n_idle(), 1);
    l = begin(LEASE_ANY);
    ck_assert_ptr_eq(l.conn, c);
    ck_assert(l.reused);
    (void)end(&l);
    close_pool();
}

FIBER_TEST(a_connection_that_nobody_vouches_for_is_closed)
{
    struct lease l;

    open_pool(0, 1);
    l = begin(LEASE_ANY);
    ck_assert(!l.reused);
    lease_end(&l);
    ck_assert_uint_eq(n_idle(), 0);
    ck_assert_uint_eq(backend_connections(backend), 0);
    close_pool();
}

FIBER_TEST(the_last_used_is_taken_first)
{
    struct lease a, b;
    struct backend_conn *last;

    open_pool(0, 1);
    a = begin(LEASE_ANY);
    b = begin(LEASE_ANY);
    (void)end(&b);
    last = end(&a);
    a = begin(LEASE_ANY);
    ck_assert_ptr_eq(a.conn, last);
    (void)end(&a);
    close_pool();
}

FIBER_TEST(a_fresh_one_is_never_a_kept_one)
{
    struct lease l;

    open_pool(0, 1);
    (void)kept();
    l = begin(LEASE_FRESH);
    ck_assert(!l.reused);
    lease_end(&l);
    close_pool();
}

FIBER_TEST(a_sure_one_may_be_kept_but_hardly_idle)
{
    struct backend_conn *c;
    struct lease l;

    open_pool(0, 1);
    c = kept();
    l = begin(LEASE_SURE);
    ck_assert(l.reused);
    (void)end(&l);
    c->idle_since -= 2 * CLOCK_S;
    l = begin(LEASE_SURE);
    ck_assert(!l.reused);
    lease_end(&l);
    ck_assert_uint_eq(n_idle(), 1); /* it is still good for others */
    close_pool();
}

FIBER_TEST(a_sure_one_shows_no_sign_of_an_end)
{
    struct lease l;
    int fd;

    open_pool(0, 1);
    (void)kept();
    fd = accept_peer(listening);
    (void)close(fd); /* the worker has not heard of it yet */
    l = begin(LEASE_SURE);
    ck_assert(!l.reused);
    ck_assert_uint_eq(n_idle(), 0);
    lease_end(&l);
    close_pool();
}

FIBER_TEST(an_idle_one_that_the_backend_closes_is_dropped)
{
    open_pool(0, 1);
    (void)kept();
    (void)close(accept_peer(listening));
    await_idle(0);
    close_pool();
}

FIBER_TEST(an_idle_one_that_speaks_unasked_is_dropped)
{
    int fd;

    open_pool(0, 1);
    (void)kept();
    fd = accept_peer(listening);
    ck_assert_int_eq(send(fd, "HTTP/1.1 408 \r\n\r\n", 17, 0), 17);
    await_idle(0);
    (void)close(fd);
    close_pool();
}

FIBER_TEST(one_with_unread_bytes_is_not_kept)
{
    struct lease l;
    int fd;

    open_pool(0, 1);
    l = begin(LEASE_ANY);
    fd = accept_peer(listening);
    ck_assert_int_eq(send(fd, "x", 1, 0), 1);
    ck_assert_int_eq(stream_wait_readable(&l.conn->stream, in_ms(5000)), 0);
    (void)end(&l);
    ck_assert_uint_eq(n_idle(), 0);
    (void)close(fd);
    close_pool();
}

FIBER_TEST(no_more_are_kept_than_the_pool_says)
{
    struct lease l[6];

    open_pool(0, 1);
    for (int i = 0; i < 6; i++)
        l[i] = begin(LEASE_ANY);
    for (int i = 0; i < 6; i++)
        (void)end(&l[i]);
    ck_assert_uint_eq(n_idle(), 4);
    ck_assert_uint_eq(backend_connections(backend), 4);
    close_pool();
}

FIBER_TEST(the_number_kept_counts_for_all_workers_together)
{
    open_pool(0, 2);
    atomic_fetch_add(&backend->n_idle, 4); /* another worker's */
    (void)kept();
    ck_assert_uint_eq(n_idle(), 4);
    atomic_fetch_sub(&backend->n_idle, 4);
    close_pool();
}

FIBER_TEST(one_that_has_idled_its_time_is_closed)
{
    open_pool(0, 1);
    conf.keepalive.timeout = 10 * CLOCK_MS;
    (void)kept();
    ck_assert_uint_eq(n_idle(), 1);
    await_idle(0);
    close_pool();
}

/* Its timer is armed for the first idle time and re-filed when it fires. */
FIBER_TEST(one_that_was_used_meanwhile_idles_its_whole_time)
{
    struct backend_conn *c;
    struct lease l;

    open_pool(0, 1);
    conf.keepalive.timeout = 40 * CLOCK_MS;
    (void)kept();
    (void)fiber_sleep(in_ms(20));
    l = begin(LEASE_ANY);
    ck_assert(l.reused);
    conf.keepalive.timeout = 10 * CLOCK_S;
    l.keep_for = conf.keepalive.timeout;
    c = end(&l);
    (void)fiber_sleep(in_ms(40));
    ck_assert_uint_eq(n_idle(), 1);
    ck_assert(c->idle && timer_is_armed(&c->timer));
    close_pool();
}

FIBER_TEST(a_retired_backends_connections_are_not_kept)
{
    open_pool(0, 1);
    (void)kept();
    atomic_store(&backend->retired, true);
    keepalive_close(true);
    ck_assert_uint_eq(n_idle(), 0);
    (void)kept();
    ck_assert_uint_eq(n_idle(), 0);
    close_pool();
}

FIBER_TEST(those_of_backends_in_use_outlive_the_retired)
{
    open_pool(0, 1);
    (void)kept();
    keepalive_close(true);
    ck_assert_uint_eq(n_idle(), 1);
    close_pool();
}

/* ---- a limit of connections ---- */

static bool may_be_picked(void)
{
    struct tried none = { .n = 0 };

    return pool_pick(pool, 0, &none) != NULL;
}

FIBER_TEST(a_backend_at_its_limit_serves_again_over_its_idle_connection)
{
    struct lease l;

    open_pool(1, 1);
    l = begin(LEASE_ANY);
    ck_assert(!may_be_picked());
    (void)end(&l);
    ck_assert_uint_eq(n_idle(), 1);
    ck_assert(may_be_picked());
    l = begin(LEASE_ANY);
    ck_assert(l.reused);
    (void)end(&l);
    close_pool();
}

FIBER_TEST(a_new_connection_at_the_limit_takes_the_place_of_an_idle_one)
{
    struct lease l;

    open_pool(1, 1);
    (void)kept();
    l = begin(LEASE_FRESH);
    ck_assert_uint_eq(backend_connections(backend), 1);
    (void)end(&l);
    close_pool();
}

static _Atomic int stage;

static void await_stage(int n)
{
    while (atomic_load(&stage) < n)
        ck_assert_int_eq(fiber_sleep(in_ms(1)), 0);
}

static void keeps_one_idle(void)
{
    open_pool(1, 2);
    (void)kept();
    ck_assert_uint_eq(n_idle(), 1);
    atomic_store(&stage, 1);
    await_stage(2);
}

static void needs_one(void)
{
    struct lease l;

    await_stage(1);
    ck_assert(may_be_picked());
    l = begin(LEASE_ANY);
    ck_assert_uint_eq(backend_connections(backend), 1);
    ck_assert(!may_be_picked());
    (void)end(&l);
    ck_assert_uint_eq(n_idle(), 1);
}

FIBER_TEST_ON(2, an_idle_connection_gives_way_to_another_worker)
{
    worker_index_set((unsigned)fiber_test_thread());
    lease_thread_begins();
    if (worker_index() == 0)
        keeps_one_idle();
    else
        needs_one();
    lease_thread_ends();
    if (worker_index() == 0) {
        close_pool();
    } else {
        scratch_free();
        atomic_store(&stage, 2);
    }
}

static void ask_in_vain(void *arg) { give_way_ask(backend, in_ms(*(int *)arg)); }

/* Questions to a worker that does not come to read them: they end with the deadline, or with the worker. */
FIBER_TEST(a_question_that_nobody_reads_keeps_nobody)
{
    int ms[2] = { 20, 60000 };
    struct group g;

    open_pool(1, 2);
    worker_index_set(1);
    lease_thread_begins();
    (void)kept();
    worker_index_set(0);
    atomic_fetch_add(&backend->in_use, 1);
    group_init(&g);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(fiber_go(&g, "asks", ask_in_vain, &ms[i]), 0);
    fiber_yield(); /* both have asked, and the mail has not been looked at */
    worker_index_set(1);
    lease_thread_ends();
    worker_index_set(0);
    ck_assert_int_eq(group_join(&g, in_ms(5000)), 0);
    atomic_fetch_sub(&backend->in_use, 1);
    close_pool();
}

FIBER_TEST(no_more_are_kept_than_the_limit_allows)
{
    struct lease l[2];

    open_pool(2, 1);
    l[0] = begin(LEASE_ANY);
    l[1] = begin(LEASE_ANY);
    atomic_store(&backend->max_connections, 1); /* by a reload */
    (void)end(&l[0]);
    ck_assert_uint_eq(n_idle(), 0);
    (void)end(&l[1]);
    ck_assert_uint_eq(n_idle(), 1);
    close_pool();
}

/* ---- failures ---- */

FIBER_TEST(a_backend_that_refuses_is_told_by_its_own_code)
{
    struct lease l = { 0 };

    open_pool(0, 1);
    (void)close(listening);
    listening = -1;
    ck_assert_int_eq(lease_begin(&l, pool, backend, LEASE_ANY, NULL, in_ms(5000)), -ERR_CONNECT_REFUSED);
    ck_assert_ptr_null(l.backend);
    lease_end(&l); /* no lease: nothing happens */
    close_pool();
}

static const struct sys_ops *real_sys;

static int slow_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    (void)real_sys->connect(fd, to, len);
    errno = EINPROGRESS;
    return -1;
}

static int socket_error(int fd, int level, int name, void *value, socklen_t *len)
{
    static const int error = ECONNRESET;

    (void)fd, (void)level, (void)name, (void)len;
    memcpy(value, &error, sizeof error);
    return 0;
}

FIBER_TEST(a_backend_that_resets_what_it_has_taken_does_not_refuse)
{
    struct sys_ops resetting = *sys;
    struct lease l = { 0 };

    real_sys = sys;
    resetting.connect = slow_connect;
    resetting.getsockopt = socket_error;
    open_pool(0, 1);
    sys = &resetting;
    ck_assert_int_eq(lease_begin(&l, pool, backend, LEASE_ANY, NULL, in_ms(5000)), -ERR_BACKEND_RESET);
    sys = real_sys;
    close_pool();
}

static int local_cause;

static int connect_in_vain(int fd, const struct sockaddr *to, socklen_t len)
{
    (void)fd, (void)to, (void)len;
    errno = local_cause;
    return -1;
}

FIBER_TEST(what_we_lack_is_not_held_against_the_backend)
{
    static const struct {
        int error, code;
    } causes[] = {
        { EADDRNOTAVAIL, -ERR_NOPORT }, { EAGAIN, -ERR_NOPORT }, { EMFILE, -ERR_NOFILE },
        { ENFILE, -ERR_NOFILE },        { ENOMEM, -ERR_NOMEM },  { ENOBUFS, -ERR_NOMEM },
    };
    struct sys_ops lacking = *sys;
    struct lease l = { 0 };

    real_sys = sys;
    lacking.connect = connect_in_vain;
    open_pool(0, 1);
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        sys = &lacking;
        local_cause = causes[i].error;
        ck_assert_int_eq(lease_begin(&l, pool, backend, LEASE_ANY, NULL, in_ms(5000)), causes[i].code);
        sys = real_sys;
        pool_done(pool, backend, &(struct outcome){ .latency = -1, .code = causes[i].code });
        ck_assert_uint_eq(atomic_load(&backend->failures), 0);
    }
    close_pool();
}

/* ---- for whom ---- */

static const struct stream somebody; /* in clear: it tells nothing */

static struct origin *origin_at(const char *text)
{
    struct network from, to;
    struct origin *o;

    ck_assert(network_parse(text, &from) == NULL && network_parse("10.0.0.1", &to) == NULL);
    o = origin_new(&somebody, &from.base, &to.base);
    ck_assert_ptr_nonnull(o);
    return o;
}

static struct lease begin_for(struct origin *o)
{
    struct lease l;

    ck_assert_int_eq(lease_begin(&l, pool, backend, LEASE_ANY, o, in_ms(5000)), 0);
    return l;
}

static void expect_line(int fd, const char *line)
{
    char got[128] = "";

    ck_assert_int_eq(recv(fd, got, strlen(line), MSG_WAITALL), (ssize_t)strlen(line));
    ck_assert_str_eq(got, line);
    ck_assert_int_eq(recv(fd, got, 1, MSG_DONTWAIT), -1);
}

FIBER_TEST(a_connection_that_is_announced_serves_its_origin_alone)
{
    struct origin *one = origin_at("192.0.2.1"), *two = origin_at("192.0.2.2");
    struct backend_conn *c;
    struct lease l;
    int fd;

    open_pool(0, 1);
    conf.send_proxy_protocol = PROXY_SEND_V1;
    l = begin_for(one);
    fd = accept_peer(listening);
    expect_line(fd, "PROXY TCP4 192.0.2.1 10.0.0.1 0 0\r\n");
    c = end(&l);
    l = begin_for(two);
    ck_assert(!l.reused && l.conn != c);
    (void)end(&l);
    l = begin_for(one);
    ck_assert(l.reused && l.conn == c);
    (void)end(&l);
    ck_assert_uint_eq(n_idle(), 2);
    origin_free(&one);
    ck_assert_uint_eq(n_idle(), 1);
    keepalive_close(false);
    origin_free(&two); /* of which nothing is left */
    (void)close(fd);
    close_pool();
}

FIBER_TEST(a_connection_that_was_announced_otherwise_is_dropped)
{
    struct origin *o = origin_at("192.0.2.1");
    struct lease l;

    open_pool(0, 1);
    conf.send_proxy_protocol = PROXY_SEND_V1;
    l = begin_for(o);
    (void)end(&l);
    conf.send_proxy_protocol = PROXY_SEND_V2;
    l = begin_for(o);
    ck_assert(!l.reused);
    ck_assert_uint_eq(n_idle(), 0);
    (void)end(&l);
    conf.send_proxy_protocol = PROXY_SEND_OFF;
    l = begin(LEASE_ANY);
    ck_assert(!l.reused);
    ck_assert_uint_eq(n_idle(), 0);
    (void)end(&l);
    origin_free(&o);
    ck_assert_uint_eq(n_idle(), 1);
    close_pool();
}

FIBER_TEST(at_the_limit_the_kept_connection_of_another_origin_gives_way)
{
    struct origin *one = origin_at("192.0.2.1"), *two = origin_at("192.0.2.2");
    struct lease l;

    open_pool(1, 1);
    conf.send_proxy_protocol = PROXY_SEND_V2;
    l = begin_for(one);
    (void)end(&l);
    ck_assert(backend_has_room(backend));
    l = begin_for(two);
    ck_assert(!l.reused);
    ck_assert_uint_eq(backend_connections(backend), 1);
    (void)end(&l);
    origin_free(&one);
    origin_free(&two);
    ck_assert_uint_eq(n_idle(), 0);
    close_pool();
}

/* ---- what its closes teach ---- */

/* `n` connections idle for `ms`, then the backend closes them at once. */
static void backend_closes_after(int64_t ms, int n)
{
    struct lease l[4];
    int fd[4];

    for (int i = 0; i < n; i++) {
        l[i] = begin(LEASE_FRESH);
        fd[i] = accept_peer(listening);
    }
    for (int i = 0; i < n; i++)
        (void)end(&l[i]);
    (void)fiber_sleep(in_ms(ms));
    for (int i = 0; i < n; i++)
        (void)close(fd[i]);
    await_idle(0);
}

static int64_t lesson(void) { return atomic_load(&backend->worker[0].lesson.limit); }

FIBER_TEST(three_closes_at_the_same_age_teach_a_shorter_limit)
{
    struct lease l;

    open_pool(0, 1);
    for (int i = 0; i < 2; i++)
        backend_closes_after(300, 1);
    ck_assert_int_eq(lesson(), CLOCK_NEVER);
    backend_closes_after(300, 1);
    ck_assert_int_lt(lesson(), 300 * CLOCK_MS);
    ck_assert_int_gt(lesson(), 150 * CLOCK_MS);
    l = begin(LEASE_ANY);
    (void)end(&l);
    ck_assert_int_le(LIST_ITEM(list_first(&backend->worker[0].idle), struct backend_conn, link)->idle_until,
                     fiber_now() + 300 * CLOCK_MS);
    close_pool();
}

FIBER_TEST(a_restart_teaches_nothing)
{
    open_pool(0, 1);
    backend_closes_after(80, 4);
    ck_assert_int_eq(lesson(), CLOCK_NEVER);
    close_pool();
}

FIBER_TEST(closes_at_different_ages_teach_nothing)
{
    open_pool(0, 1);
    backend_closes_after(60, 1);
    backend_closes_after(180, 1);
    backend_closes_after(60, 1);
    ck_assert_int_eq(lesson(), CLOCK_NEVER);
    close_pool();
}

/* ---- on a clock that stands while anything happens, and then jumps to the next timer ---- */

static int64_t virtual_now;
static int64_t virtual_clock(void) { return virtual_now; }
static const struct clock_source virtual_source = { virtual_clock, virtual_clock };
static struct pd *watched[16];

static void *engine_open(void *arg) { return arg; }
static void engine_close(void *state) { (void)state; }
static void engine_wake(void *state) { (void)state; }

static int engine_add(void *state, struct pd *p)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
        if (watched[i] == NULL) {
            watched[i] = p;
            return 0;
        }
    }
    return -ERR_NOMEM;
}

static void engine_remove(void *state, struct pd *p)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        if (watched[i] == p)
            watched[i] = NULL;
}

/* What is news about it. */
static unsigned look_at(const struct pd *p)
{
    struct pollfd fd = { .fd = p->fd, .events = POLLIN | POLLOUT };

    ck_assert_int_ge(poll(&fd, 1, 0), 0);
    return (unsigned)~p->flags &
           (((fd.revents & (POLLIN | POLLHUP)) != 0 ? PD_READ : 0u) | ((fd.revents & POLLOUT) != 0 ? PD_WRITE : 0u));
}

static void engine_poll(void *state, int64_t until)
{
    bool any = false;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
        unsigned news = watched[i] != NULL ? look_at(watched[i]) : 0;
        any |= news != 0;
        if (news != 0)
            pd_report(watched[i], news);
    }
    ck_assert_msg(any || until != CLOCK_NEVER, "everybody waits for ever");
    if (!any && until > virtual_now)
        virtual_now = until;
}

static void run_virtually(fiber_fn *fn)
{
    static const struct netpoll_engine engine = {
        engine_open, engine_close, engine_add, engine_remove, engine_poll, engine_wake
    };
    const struct clock_source *real = clock_source;
    static char state;
    struct sched *s;

    clock_source = &virtual_source;
    virtual_now = 1000 * CLOCK_S;
    s = sched_open_on("virtual", false, &engine, &state);
    ck_assert_ptr_nonnull(s);
    ck_assert_int_eq(fiber_go(NULL, "test", fn, NULL), 0);
    sched_run(s);
    sched_close(&s);
    clock_source = real;
}

#define VIRTUAL_TEST(name)                            \
    static void name##_body(void);                    \
    static void name##_fiber(void *unused)            \
    {                                                 \
        (void)unused;                                 \
        name##_body();                                \
        sched_stop(sched_self());                     \
    }                                                 \
    START_TEST(name) { run_virtually(name##_fiber); } \
    END_TEST                                          \
    static void name##_body(void)

static void pass(int64_t ms) { ck_assert_int_eq(fiber_sleep(in_ms(ms)), 0); }

static void learn_a_limit(void)
{
    open_pool(0, 1);
    for (int i = 0; i < 3; i++)
        backend_closes_after(400, 1);
    ck_assert_int_eq(lesson(), 320 * CLOCK_MS);
}

/* One connection idles as long as it may; true: the backend closed it after 400 ms. */
static bool idles(bool backend_closes)
{
    int fd, most = 1000;

    (void)kept();
    fd = accept_peer(listening);
    for (int ms = 0; n_idle() > 0 && ms < most; ms += 20) {
        if (backend_closes && ms == 400)
            break;
        pass(20);
    }
    (void)close(fd);
    backend_closes = n_idle() > 0;
    await_idle(0);
    return backend_closes;
}

VIRTUAL_TEST(a_limit_that_holds_no_more_is_unlearned)
{
    learn_a_limit();
    pass(1000);
    ck_assert(!idles(false));
    ck_assert_int_eq(lesson(), CLOCK_NEVER);
    close_pool();
}

VIRTUAL_TEST(a_limit_that_still_holds_is_tried_ever_more_seldom)
{
    unsigned closed = 0;

    learn_a_limit();
    for (int i = 0; i < 600; i++) {
        closed += idles(true);
        pass(1000);
    }
    ck_assert_int_eq(lesson(), 320 * CLOCK_MS);
    ck_assert_uint_ge(closed, 6);
    ck_assert_uint_le(closed, 20);
    close_pool();
}

VIRTUAL_TEST(a_connection_that_probes_the_limit_serves_no_request_beyond_it)
{
    struct lease l;

    learn_a_limit();
    pass(1000);
    (void)kept();
    pass(310);
    ck_assert_uint_eq(n_idle(), 1);
    pass(20);
    ck_assert_uint_eq(n_idle(), 1);
    l = begin(LEASE_ANY);
    ck_assert(!l.reused);
    lease_end(&l);
    close_pool();
}

VIRTUAL_TEST(a_sure_one_has_idled_less_than_half_of_what_others_outlived)
{
    struct lease l;

    open_pool(0, 1);
    (void)kept();
    pass(25);
    l = begin(LEASE_SURE);
    ck_assert(!l.reused); /* nobody knows this backend */
    lease_end(&l);
    pass(600);
    l = begin(LEASE_ANY);
    ck_assert(l.reused);
    (void)end(&l);
    pass(250);
    l = begin(LEASE_SURE);
    ck_assert(l.reused);
    (void)end(&l);
    pass(350);
    l = begin(LEASE_SURE);
    ck_assert(!l.reused);
    lease_end(&l);
    close_pool();
}

VIRTUAL_TEST(a_close_makes_what_was_sure_unsure)
{
    struct lease l;

    open_pool(0, 1);
    (void)kept();
    pass(600);
    l = begin(LEASE_ANY);
    (void)end(&l); /* 600 ms were nothing */
    pass(100);
    (void)close(accept_peer(listening));
    await_idle(0);
    (void)kept();
    pass(60);
    l = begin(LEASE_SURE);
    ck_assert(!l.reused);
    lease_end(&l);
    close_pool();
}

Suite *lease_suite(void)
{
    Suite *s = suite_create("lease");
    TCase *keep = tcase_create("keep"), *limit = tcase_create("limit"), *lessons = tcase_create("lessons");

    tcase_add_test(keep, a_connection_given_back_clean_is_taken_again);
    tcase_add_test(keep, a_connection_that_nobody_vouches_for_is_closed);
    tcase_add_test(keep, the_last_used_is_taken_first);
    tcase_add_test(keep, a_fresh_one_is_never_a_kept_one);
    tcase_add_test(keep, a_sure_one_may_be_kept_but_hardly_idle);
    tcase_add_test(keep, a_sure_one_shows_no_sign_of_an_end);
    tcase_add_test(keep, an_idle_one_that_the_backend_closes_is_dropped);
    tcase_add_test(keep, an_idle_one_that_speaks_unasked_is_dropped);
    tcase_add_test(keep, one_with_unread_bytes_is_not_kept);
    tcase_add_test(keep, no_more_are_kept_than_the_pool_says);
    tcase_add_test(keep, the_number_kept_counts_for_all_workers_together);
    tcase_add_test(keep, one_that_has_idled_its_time_is_closed);
    tcase_add_test(keep, one_that_was_used_meanwhile_idles_its_whole_time);
    tcase_add_test(keep, a_retired_backends_connections_are_not_kept);
    tcase_add_test(keep, those_of_backends_in_use_outlive_the_retired);
    tcase_add_test(limit, a_backend_at_its_limit_serves_again_over_its_idle_connection);
    tcase_add_test(limit, a_new_connection_at_the_limit_takes_the_place_of_an_idle_one);
    tcase_add_test(limit, an_idle_connection_gives_way_to_another_worker);
    tcase_add_test(limit, a_question_that_nobody_reads_keeps_nobody);
    tcase_add_test(limit, no_more_are_kept_than_the_limit_allows);
    tcase_add_test(limit, a_backend_that_refuses_is_told_by_its_own_code);
    tcase_add_test(limit, a_backend_that_resets_what_it_has_taken_does_not_refuse);
    tcase_add_test(keep, a_connection_that_is_announced_serves_its_origin_alone);
    tcase_add_test(keep, a_connection_that_was_announced_otherwise_is_dropped);
    tcase_add_test(limit, at_the_limit_the_kept_connection_of_another_origin_gives_way);
    tcase_add_test(limit, what_we_lack_is_not_held_against_the_backend);
    tcase_add_test(lessons, three_closes_at_the_same_age_teach_a_shorter_limit);
    tcase_add_test(lessons, a_restart_teaches_nothing);
    tcase_add_test(lessons, closes_at_different_ages_teach_nothing);
    tcase_add_test(lessons, a_limit_that_holds_no_more_is_unlearned);
    tcase_add_test(lessons, a_limit_that_still_holds_is_tried_ever_more_seldom);
    tcase_add_test(lessons, a_connection_that_probes_the_limit_serves_no_request_beyond_it);
    tcase_add_test(lessons, a_sure_one_has_idled_less_than_half_of_what_others_outlived);
    tcase_add_test(lessons, a_close_makes_what_was_sure_unsure);
    suite_add_tcase(s, keep);
    suite_add_tcase(s, limit);
    suite_add_tcase(s, lessons);
    return s;
}
