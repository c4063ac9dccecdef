/* Tests of the check types and of health/dial over real sockets: what each kind of backend is found to be. */
#include "tests/lib/fiber_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/metric.h"
#include "base/must.h"
#include "fiber/sync.h"
#include "health/checker.h"
#include "health/dial.h"
#include "health/http_plan.h"
#include "http/codec.h"
#include "net/scratch.h"
#include "net/stream_tls.h"
#include "net/sys.h"
#include "tests/lib/certificate.h"
#include "tests/lib/sockets.h"

Suite *health_checks_suite(void);

/* ---- a backend with a script ---- */

enum then { THEN_CLOSE, THEN_RESET, THEN_STAY, THEN_TRICKLE, THEN_FLOOD };
static struct backend_script {
    const char *say; /* after the request */
    enum then then;
    bool at_first;    /* doesn't wait for the request */
    char asked[4096]; /* the last request */
    unsigned accepted;
    int shook;   /* what came of the last handshake */
    ssize_t got; /* by the last read of a request */
    bool served; /* the last connection has ended */
} script;

static struct tls_party *server; /* the backend speaks TLS; NULL: it does not */

struct served {
    struct addr at;
    struct pd listening;
    struct group group;
};

static void trickle(struct stream *s)
{
    while (stream_write_bytes(s, "x", 1, in_ms(5000)) == 0 && fiber_sleep(clock_now() + CLOCK_MS) == 0)
        ;
}

static void flood(struct stream *s)
{
    static char block[65536];

    memset(block, 'x', sizeof block);
    while (stream_write_bytes(s, block, sizeof block, in_ms(5000)) == 0)
        ;
}

static void take_request(struct stream *s)
{
    size_t n = 0;

    script.asked[0] = '\0';
    while (n < sizeof script.asked - 1 && strstr(script.asked, "\r\n\r\n") == NULL) {
        ssize_t got = stream_read(s, script.asked + n, sizeof script.asked - 1 - n, in_ms(5000));
        script.got = got;
        if (got <= 0)
            return;
        n += (size_t)got;
        script.asked[n] = '\0';
    }
}

static void serve_one(int fd)
{
    struct stream s;
    char byte;

    stream_open(&s, fd, true);
    script.accepted++;
    if (server != NULL) {
        script.shook = stream_tls_accept(&s, server, in_ms(5000));
        if (script.shook < 0) {
            stream_close(&s);
            return;
        }
        stream_tls_flush(&s);
    }
    if (!script.at_first)
        take_request(&s);
    if (script.say != NULL)
        (void)stream_write_bytes(&s, script.say, strlen(script.say), in_ms(5000));
    if (script.then == THEN_TRICKLE)
        trickle(&s);
    if (script.then == THEN_FLOOD)
        flood(&s);
    if (script.then == THEN_STAY)
        (void)stream_read(&s, &byte, 1, CLOCK_NEVER); /* until the peer has had enough */
    if (script.then == THEN_RESET)
        stream_close_reset(&s);
    stream_close(&s);
    script.served = true;
}

static void serve(void *arg)
{
    struct served *v = arg;

    while (pd_wait_read(&v->listening, CLOCK_NEVER) == 0) {
        int fd = sys->accept(v->listening.fd, NULL, NULL);
        if (fd < 0)
            pd_read_again(&v->listening);
        else
            serve_one(fd);
    }
}

static void serve_start(struct served *v, const char *say, enum then then)
{
    int fd = listen_anywhere(&v->at);

    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    memset(&script, 0, sizeof script);
    script.say = say;
    script.then = then;
    pd_init(&v->listening, fd);
    v->listening.flags |= PD_LEVEL;
    group_init(&v->group);
    ck_assert_int_eq(fiber_go(&v->group, "backend", serve, v), 0);
}

static void serve_stop(struct served *v)
{
    group_cancel(&v->group, ERR_CANCELED);
    (void)group_join(&v->group, CLOCK_NEVER);
    pd_forget(&v->listening);
    ck_assert_int_eq(close(v->listening.fd), 0);
    scratch_free();
}

/* ---- asking ---- */

static void complain(struct check_complaints *to, const char *key, size_t item, const char *found, const char *why)
{
    (void)to;
    ck_abort_msg("%s[%zu] = %s: %s", key, item, found, why);
}

static char detail[PROBE_DETAIL_MAX];

static enum probe_result ask_conf(struct check_conf *conf, const char *type, const struct addr *to, int64_t ms)
{
    struct check_complaints complaints = { .wrong = complain };
    struct probe p = { .conf = conf, .to = to, .host = "backend.test:81" };
    int64_t before = clock_now(), deadline = before + ms * CLOCK_MS;
    enum probe_result r;

    conf->type_name = type;
    conf->type = check_type_find(type);
    if (conf->type->check != NULL)
        conf->type->check(conf, &complaints);
    r = conf->type->probe(&p, deadline);
    ck_assert_int_le(clock_now(), deadline + 2000 * CLOCK_MS); /* far less, but the machine may be busy */
    check_conf_free(conf);
    strcpy(detail, p.detail);
    return r;
}

static enum probe_result ask(const char *type, const struct addr *to, int64_t ms)
{
    struct check_conf conf = { .port = 0 };

    return ask_conf(&conf, type, to, ms);
}

#define ck_assert_result(got, want)                                                                   \
    do {                                                                                              \
        enum probe_result got_ = (got);                                                               \
        ck_assert_msg(got_ == (want), "%s (%s), not %s", probe_word(got_), detail, probe_word(want)); \
    } while (0)

/* ---- tcp ---- */

FIBER_TEST(a_listener_is_well)
{
    struct addr at;
    int fd = listen_anywhere(&at);

    ck_assert_result(ask("tcp", &at, 5000), PROBE_OK);
    ck_assert_str_eq(detail, "");
    close(fd);
}

FIBER_TEST(where_nobody_listens_is_refused)
{
    struct addr at = nobody_there();

    ck_assert_result(ask("tcp", &at, 5000), PROBE_REFUSED);
    ck_assert_str_eq(detail, "Connection refused");
    ck_assert_result(ask("http", &at, 5000), PROBE_REFUSED);
}

FIBER_TEST(a_full_backlog_is_a_timeout)
{
    struct addr at;
    int fd = listen_anywhere(&at), fill[8];

    ck_assert_int_eq(listen(fd, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], &at.sa, at.len);
    }
    ck_assert_result(ask("tcp", &at, 100), PROBE_TIMEOUT);
    ck_assert_str_eq(detail, "no connection in time");
    for (size_t i = 0; i < ARRAY_LEN(fill); i++)
        close(fill[i]);
    close(fd);
}

FIBER_TEST(a_tcp_check_is_never_seen_by_accept)
{
    struct addr at;
    int fd = listen_anywhere(&at);

    for (int i = 0; i < 50; i++)
        ck_assert_result(ask("tcp", &at, 5000), PROBE_OK);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_lt(accept(fd, NULL, NULL), 0);
    ck_assert_int_eq(errno, EAGAIN);
    close(fd);
}

static struct addr unix_at(char dir[32])
{
    struct addr a;
    char text[64];

    strcpy(dir, "/tmp/weir-health-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(text, sizeof text, "unix:%s/s", dir);
    ck_assert_ptr_null(addr_parse(text, &a, NULL));
    return a;
}

static void unix_gone(const struct addr *a, const char *dir)
{
    (void)unlink(a->un.sun_path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static int unix_listen(const struct addr *a, int backlog)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, &a->sa, a->len), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    return fd;
}

FIBER_TEST(a_unix_socket_is_well_while_somebody_listens)
{
    char dir[32];
    struct addr at = unix_at(dir);
    int fd;

    ck_assert_result(ask("tcp", &at, 5000), PROBE_REFUSED); /* no such file */
    fd = unix_listen(&at, 5);
    ck_assert_result(ask("tcp", &at, 5000), PROBE_OK);
    close(fd);
    ck_assert_result(ask("tcp", &at, 5000), PROBE_REFUSED); /* a file, but nobody behind it */
    unix_gone(&at, dir);
}

static void accept_later(void *arg)
{
    ck_assert_int_eq(fiber_sleep(clock_now() + 20 * CLOCK_MS), 0);
    close(accept(*(int *)arg, NULL, NULL));
}

FIBER_TEST(a_unix_socket_whose_backlog_is_full_for_a_moment_is_well)
{
    char dir[32];
    struct addr at = unix_at(dir);
    int fd = unix_listen(&at, 0), fill = socket(AF_UNIX, SOCK_STREAM, 0);
    struct group g;

    ck_assert_int_eq(connect(fill, &at.sa, at.len), 0);
    ck_assert_result(ask("tcp", &at, 50), PROBE_TIMEOUT);
    group_init(&g);
    ck_assert_int_eq(fiber_go(&g, "later", accept_later, &fd), 0);
    ck_assert_result(ask("tcp", &at, 10000), PROBE_OK);
    ck_assert_int_eq(group_join(&g, in_ms(5000)), 0);
    close(fill);
    close(fd);
    unix_gone(&at, dir);
}

/* ---- what is ours to blame ---- */

static const struct sys_ops *kernel;
static struct sys_ops faulty;
static int fault_errno;
static unsigned n_sockets;

static int faulty_socket(int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    errno = fault_errno;
    return -1;
}

static int faulty_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    (void)fd, (void)sa, (void)len;
    errno = fault_errno;
    return -1;
}

static int counted_socket(int domain, int type, int protocol)
{
    n_sockets++;
    return kernel->socket(domain, type, protocol);
}

FIBER_TEST(what_we_lack_says_nothing_about_the_backend)
{
    static const struct {
        bool at_socket;
        int error;
        enum probe_result result;
    } rows[] = {
        { true, EMFILE, PROBE_LOCAL },
        { true, ENFILE, PROBE_LOCAL },
        { true, ENOMEM, PROBE_LOCAL },
        { true, ENOBUFS, PROBE_LOCAL },
        { true, EAFNOSUPPORT, PROBE_UNREACHABLE },
        { false, EADDRNOTAVAIL, PROBE_LOCAL },
        { false, ENETUNREACH, PROBE_UNREACHABLE },
        { false, EHOSTUNREACH, PROBE_UNREACHABLE },
        { false, EPERM, PROBE_UNREACHABLE },
        { false, ECONNREFUSED, PROBE_REFUSED },
        { false, ECONNRESET, PROBE_CLOSED },
        { false, ETIMEDOUT, PROBE_TIMEOUT },
    };
    struct addr at = nobody_there();

    kernel = sys;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        faulty = *kernel;
        fault_errno = rows[i].error;
        if (rows[i].at_socket)
            faulty.socket = faulty_socket;
        else
            faulty.connect = faulty_connect;
        sys = &faulty;
        ck_assert_result(ask("tcp", &at, 1000), rows[i].result);
        ck_assert_str_eq(detail, strerrordesc_np(rows[i].error));
        sys = kernel;
    }
}

FIBER_TEST(a_socket_is_used_again_and_forgets_what_was)
{
    struct addr good, bad = nobody_there();
    int fd = listen_anywhere(&good);

    kernel = sys;
    faulty = *kernel;
    faulty.socket = counted_socket;
    n_sockets = 0;
    sys = &faulty;
    dial_users(1);
    for (int i = 0; i < 100; i++)
        ck_assert_result(ask("tcp", &good, 5000), PROBE_OK);
    ck_assert_uint_eq(n_sockets, 1);
    for (int i = 0; i < 100; i++) {
        ck_assert_result(ask("tcp", &bad, 5000), PROBE_REFUSED);
        ck_assert_result(ask("tcp", &good, 5000), PROBE_OK);
    }
    dial_users(-1);
    sys = kernel;
    close(fd);
}

FIBER_TEST(a_socket_that_met_a_silent_backend_is_as_good_for_the_next)
{
    struct served v;
    struct addr at;
    int fd = listen_anywhere(&at);

    dial_users(1);
    serve_start(&v, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", THEN_STAY);
    for (int i = 0; i < 20; i++) {
        ck_assert_result(ask("http", &v.at, 5000), PROBE_OK);
        ck_assert_result(ask("tcp", &at, 5000), PROBE_OK);
        ck_assert_result(ask("http", &at, 5), PROBE_TIMEOUT); /* it is registered with epoll from here on */
    }
    serve_stop(&v);
    dial_users(-1);
    close(fd);
}

/* ---- http ---- */

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

FIBER_TEST(http_finds_what_each_answer_is_worth)
{
    static const struct {
        const char *say;
        enum then then;
        enum probe_result result;
    } rows[] = {
        { OK_HEAD "Content-Length: 2\r\n\r\nok", THEN_STAY, PROBE_OK },
        { OK_HEAD "Content-Length: 2\r\n\r\nok", THEN_RESET, PROBE_OK },
        { OK_HEAD "\r\nuntil the end", THEN_CLOSE, PROBE_OK },
        { OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n", THEN_STAY, PROBE_OK },
        { "HTTP/1.0 204 No Content\r\n\r\n", THEN_STAY, PROBE_OK },
        { "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", THEN_STAY, PROBE_OK },
        { "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", THEN_STAY, PROBE_STATUS },
        { "HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n", THEN_STAY, PROBE_STATUS }, /* the body is not waited for */
        { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", THEN_STAY, PROBE_STATUS },
        { "SSH-2.0-OpenSSH_9.2\r\n", THEN_STAY, PROBE_BAD_ANSWER },
        { OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", THEN_STAY, PROBE_BAD_ANSWER },
        { OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", THEN_STAY, PROBE_BAD_ANSWER },
        { NULL, THEN_CLOSE, PROBE_CLOSED },
        { NULL, THEN_RESET, PROBE_CLOSED },
        { "HTTP/1.1 2", THEN_CLOSE, PROBE_CLOSED },
        { OK_HEAD "Content-Length: 9\r\n\r\nhalf", THEN_CLOSE, PROBE_CLOSED },
        { OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", THEN_CLOSE, PROBE_CLOSED },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct served v;
        enum probe_result r;
        serve_start(&v, rows[i].say, rows[i].then);
        r = ask("http", &v.at, 5000);
        ck_assert_msg(r == rows[i].result, "row %zu: %s (%s), not %s", i, probe_word(r), detail, probe_word(rows[i].result));
        serve_stop(&v);
    }
}

FIBER_TEST(an_answer_that_does_not_come_is_a_timeout)
{
    struct served v;

    serve_start(&v, NULL, THEN_STAY);
    ck_assert_result(ask("http", &v.at, 30), PROBE_TIMEOUT);
    serve_stop(&v);
}

FIBER_TEST(an_answer_that_trickles_for_ever_is_a_timeout)
{
    static const char *const starts[] = { "HTTP/1.1 200 OK\r\nA: ", OK_HEAD "\r\n", OK_HEAD "Content-Length: 60000\r\n\r\n" };

    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct served v;
        serve_start(&v, starts[i], THEN_TRICKLE);
        ck_assert_result(ask("http", &v.at, 50), PROBE_TIMEOUT);
        serve_stop(&v);
    }
}

FIBER_TEST(of_an_endless_body_only_the_beginning_is_read)
{
    struct served v;
    struct check_conf conf = { .body = "never there" };

    serve_start(&v, OK_HEAD "\r\n", THEN_FLOOD);
    ck_assert_result(ask("http", &v.at, 20000), PROBE_OK);
    ck_assert_result(ask_conf(&conf, "http", &v.at, 20000), PROBE_BODY);
    ck_assert_str_eq(detail, "65536 bytes of body, and no match");
    serve_stop(&v);
}

FIBER_TEST(a_head_without_end_is_a_bad_answer)
{
    struct served v;

    serve_start(&v, OK_HEAD "A: ", THEN_FLOOD);
    ck_assert_result(ask("http", &v.at, 20000), PROBE_BAD_ANSWER);
    serve_stop(&v);
}

FIBER_TEST(interim_answers_without_end_are_a_bad_answer)
{
    static char many[(INTERIM_MOST + 1) * 32 + 1];
    struct served v;

    for (int i = 0; i <= INTERIM_MOST; i++)
        strcat(many, "HTTP/1.1 100 Continue\r\n\r\n");
    serve_start(&v, many, THEN_STAY);
    ck_assert_result(ask("http", &v.at, 5000), PROBE_BAD_ANSWER);
    serve_stop(&v);
}

static enum probe_result ask_expecting(const char *answer, struct check_conf conf)
{
    struct served v;
    enum probe_result r;

    serve_start(&v, answer, THEN_CLOSE);
    r = ask_conf(&conf, "http", &v.at, 5000);
    serve_stop(&v);
    return r;
}

FIBER_TEST(only_the_expected_statuses_are_good)
{
    const char *set[] = { "201", "4xx", "500-502" };
    static const struct {
        const char *status;
        bool good;
    } rows[] = { { "200", false }, { "201", true }, { "202", false }, { "399", false }, { "400", true },
                 { "499", true },  { "500", true }, { "502", true },  { "503", false }, { "599", false } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char answer[64];
        snprintf(answer, sizeof answer, "HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n", rows[i].status);
        ck_assert_result(ask_expecting(answer, (struct check_conf){ .expect = { set, 3 } }),
                         rows[i].good ? PROBE_OK : PROBE_STATUS);
        if (!rows[i].good)
            ck_assert_str_eq(detail + strlen("status "), rows[i].status);
    }
}

FIBER_TEST(the_body_must_contain_the_text)
{
    struct check_conf conf = { .body = "status: green" };

    ck_assert_result(ask_expecting(OK_HEAD "\r\nx status: green x", conf), PROBE_OK);
    ck_assert_result(ask_expecting(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n8\r\nstatus: \r\n5\r\ngreen\r\n0\r\n\r\n", conf),
                     PROBE_OK);
    ck_assert_result(ask_expecting(OK_HEAD "\r\nx status: red x", conf), PROBE_BODY);
    ck_assert_result(ask_expecting(OK_HEAD "Content-Length: 0\r\n\r\n", conf), PROBE_BODY);
}

FIBER_TEST(the_body_must_match_the_expression)
{
    struct check_conf conf = { .body_regex = "\"status\" *: *\"(green|yellow)\"" };

    ck_assert_result(ask_expecting(OK_HEAD "\r\n{ \"status\" : \"yellow\" }", conf), PROBE_OK);
    ck_assert_result(ask_expecting(OK_HEAD "\r\n{ \"status\" : \"red\" }", conf), PROBE_BODY);
    ck_assert_result(ask_expecting(OK_HEAD "Content-Length: 0\r\n\r\n", conf), PROBE_BODY);
}

struct turns {
    unsigned n;
    bool over;
};

static void take_turns(void *arg)
{
    struct turns *t = arg;

    while (!t->over && fiber_sleep(clock_now() + 100) == 0)
        t->n++;
}

FIBER_TEST(a_large_body_and_expression_leave_the_thread_to_others)
{
    static char answer[64 * 1024 + 64];
    struct check_conf conf = { .body_regex = "(a?){150}[^b]*a{150}.*b.*c.*d" };
    struct turns turns = { 0 };
    struct group others;
    struct served v;

    memset(answer, 'a', sizeof answer - 1);
    memcpy(answer, OK_HEAD "\r\n", strlen(OK_HEAD "\r\n"));
    group_init(&others);
    ck_assert_int_eq(fiber_go(&others, "others", take_turns, &turns), 0);
    serve_start(&v, answer, THEN_CLOSE);
    ck_assert_result(ask_conf(&conf, "http", &v.at, 60000), PROBE_BODY);
    serve_stop(&v);
    turns.over = true;
    ck_assert_int_eq(group_join(&others, CLOCK_NEVER), 0);
    ck_assert_uint_gt(turns.n, 10);
}

START_TEST(the_metric_calls_a_result_what_the_log_calls_it)
{
    size_t row = 0;
    char buf[16];

    while (metric_rows[row].first != METRIC_PROBES)
        row++;
    for (unsigned r = PROBE_OK; r <= PROBE_LOCAL; r++)
        ck_assert_str_eq(metric_rows[row].value(r, buf), probe_word((enum probe_result)r));
}
END_TEST

/* A text of n bytes that comes in two pieces, cut at `cut`. */
static const char *half;
static void serve_halves(void *arg)
{
    struct served *v = arg;
    struct stream s;

    ck_assert_int_eq(pd_wait_read(&v->listening, in_ms(5000)), 0);
    stream_open(&s, sys->accept(v->listening.fd, NULL, NULL), true);
    take_request(&s);
    ck_assert_int_eq(stream_write_bytes(&s, OK_HEAD "\r\nab", strlen(OK_HEAD "\r\nab"), in_ms(5000)), 0);
    ck_assert_int_eq(fiber_sleep(clock_now() + 20 * CLOCK_MS), 0);
    ck_assert_int_eq(stream_write_bytes(&s, half, strlen(half), in_ms(5000)), 0);
    stream_close(&s);
}

FIBER_TEST(a_text_is_found_across_two_pieces)
{
    struct check_conf conf = { .body = "abcd" };
    struct served v;

    half = "cd";
    pd_init(&v.listening, listen_anywhere(&v.at));
    v.listening.flags |= PD_LEVEL;
    group_init(&v.group);
    ck_assert_int_eq(fiber_go(&v.group, "backend", serve_halves, &v), 0);
    ck_assert_result(ask_conf(&conf, "http", &v.at, 5000), PROBE_OK);
    serve_stop(&v);
}

FIBER_TEST(the_request_is_as_configured)
{
    const char *fields[] = { "X-Check: yes", "User-Agent:ours" };
    struct check_conf conf = { .method = "POST", .path = "/health?full=1", .host = "app.test", .headers = { fields, 2 } };
    struct served v;

    serve_start(&v, OK_HEAD "Content-Length: 0\r\n\r\n", THEN_STAY);
    ck_assert_result(ask_conf(&conf, "http", &v.at, 5000), PROBE_OK);
    ck_assert_str_eq(script.asked, "POST /health?full=1 HTTP/1.1\r\nHost: app.test\r\nX-Check: yes\r\nUser-Agent: ours\r\n"
                                   "Content-Length: 0\r\nConnection: close\r\n\r\n");
    ck_assert_result(ask("http", &v.at, 5000), PROBE_OK);
    ck_assert_str_eq(script.asked,
                     "GET / HTTP/1.1\r\nHost: backend.test:81\r\nUser-Agent: weir-health\r\nConnection: close\r\n\r\n");
    serve_stop(&v);
}

FIBER_TEST(the_answer_to_head_has_no_body)
{
    ck_assert_result(ask_expecting(OK_HEAD "Content-Length: 1000\r\n\r\n", (struct check_conf){ .method = "HEAD" }), PROBE_OK);
}

/* ---- over TLS ---- */

static struct tls_certificate_conf certificate;
static struct tls_server_conf server_conf;
static struct tls_client_conf client_conf;

static void begin_tls(void)
{
    certificate_begin("DNS:a.example,IP:127.0.0.1,URI:spiffe://unit.test/web");
    certificate = (struct tls_certificate_conf){ .cert = certificate_path, .key = certificate_key_path };
    server_conf = (struct tls_server_conf){ .certificates = { &certificate, 1 }, .tickets = true };
    client_conf = (struct tls_client_conf){ .verify = true, .ca = certificate_path, .server_name = "a.example" };
}

static void end_tls(void)
{
    certificate_end();
    server = NULL;
}

#define OK_ANSWER OK_HEAD "Content-Length: 2\r\n\r\nok"

/* Asks a backend that speaks TLS by server_conf, as client_conf says. */
static enum probe_result ask_tls(const char *type, const char *say, enum then then)
{
    struct check_conf conf = { .tls = true };
    enum probe_result r;
    struct served v;

    server = tls_server_new("unit", &server_conf, NULL, NULL, NULL);
    conf.tls_party = tls_client_new("unit", &client_conf, NULL, NULL, NULL);
    ck_assert(server != NULL && conf.tls_party != NULL);
    conf.owns_party = true;
    serve_start(&v, say, then);
    r = ask_conf(&conf, type, &v.at, 5000);
    for (int64_t until = in_ms(5000); script.shook == 0 && !script.served && clock_now() < until;)
        ck_assert_int_eq(fiber_sleep(clock_now() + CLOCK_MS), 0);
    serve_stop(&v);
    tls_party_free(&server);
    stream_tls_thread_ends();
    return r;
}

FIBER_TEST(an_http_check_asks_over_tls_where_its_definition_has_it)
{
    ck_assert_result(ask_tls("http", OK_ANSWER, THEN_STAY), PROBE_OK);
    ck_assert_str_eq(script.asked,
                     "GET / HTTP/1.1\r\nHost: backend.test:81\r\nUser-Agent: weir-health\r\nConnection: close\r\n\r\n");
    ck_assert_result(ask_tls("http", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", THEN_STAY), PROBE_STATUS);
    ck_assert_result(ask_tls("http", NULL, THEN_CLOSE), PROBE_CLOSED);
}

/* The backend sees no failure: its handshake comes to its end, and there is a close_notify behind it. */
FIBER_TEST(a_tls_check_shakes_hands_and_says_farewell)
{
    ck_assert_result(ask_tls("tls", NULL, THEN_CLOSE), PROBE_OK);
    ck_assert_str_eq(detail, "");
    ck_assert_int_eq(script.shook, 0);
    ck_assert_int_eq(script.got, 0);
}

FIBER_TEST(who_can_not_be_verified_fails_both_checks_in_words)
{
    static const char *const types[] = { "tls", "http" };

    client_conf.server_name = "b.example";
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        ck_assert_result(ask_tls(types[i], OK_ANSWER, THEN_STAY), PROBE_TLS);
        ck_assert_str_eq(detail, "hostname mismatch");
    }
    client_conf.verify = false;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        ck_assert_result(ask_tls(types[i], OK_ANSWER, THEN_CLOSE), PROBE_OK);
}

FIBER_TEST(the_address_that_is_asked_must_be_in_the_certificate_when_there_is_no_name)
{
    client_conf.server_name = NULL;
    ck_assert_result(ask_tls("tls", NULL, THEN_CLOSE), PROBE_OK);
    certificate_make("DNS:a.example,IP:127.0.0.2");
    ck_assert_result(ask_tls("tls", NULL, THEN_CLOSE), PROBE_TLS);
    ck_assert_str_eq(detail, "IP address mismatch");
}

FIBER_TEST(another_identity_fails)
{
    static const char *const allowed[] = { "spiffe://unit.test/web" }, *const others[] = { "spiffe://unit.test/api" };

    client_conf.identity = (struct conf_strs){ (const char **)(uintptr_t)allowed, 1 };
    ck_assert_result(ask_tls("tls", NULL, THEN_CLOSE), PROBE_OK);
    client_conf.identity = (struct conf_strs){ (const char **)(uintptr_t)others, 1 };
    ck_assert_result(ask_tls("tls", NULL, THEN_CLOSE), PROBE_TLS);
    ck_assert_str_eq(detail, "its identity is not allowed: it is spiffe://unit.test/web");
}

FIBER_TEST(a_certificate_of_ours_is_shown)
{
    server_conf.client_auth = TLS_AUTH_REQUIRED;
    server_conf.client_ca = certificate_path;
    client_conf.cert = certificate_path;
    client_conf.key = certificate_key_path;
    ck_assert_result(ask_tls("http", OK_ANSWER, THEN_STAY), PROBE_OK);
    client_conf.cert = client_conf.key = NULL;
    ck_assert_result(ask_tls("http", OK_ANSWER, THEN_STAY), PROBE_TLS); /* TLS 1.3: told when the handshake is over for us */
    ck_assert_int_eq(script.shook, -ERR_TLS_NO_CERTIFICATE);
}

FIBER_TEST(a_backend_that_speaks_no_tls_fails)
{
    struct check_conf conf = { .owns_party = true, .tls_party = tls_client_new("unit", &client_conf, NULL, NULL, NULL) };
    struct served v;

    serve_start(&v, "HTTP/1.1 400 Bad Request\r\n\r\n", THEN_STAY);
    script.at_first = true;
    ck_assert_result(ask_conf(&conf, "tls", &v.at, 5000), PROBE_TLS);
    ck_assert_str_eq(detail, "wrong version number");
    serve_stop(&v);
    conf.tls_party = tls_client_new("unit", &client_conf, NULL, NULL, NULL);
    serve_start(&v, NULL, THEN_STAY);
    ck_assert_result(ask_conf(&conf, "tls", &v.at, 50), PROBE_TIMEOUT);
    serve_stop(&v);
}

FIBER_TEST(a_socket_that_spoke_tls_is_in_clear_for_the_next)
{
    struct served v;

    dial_users(1);
    for (int i = 0; i < 5; i++) {
        ck_assert_result(ask_tls("http", OK_ANSWER, THEN_STAY), PROBE_OK);
        client_conf.server_name = "b.example";
        ck_assert_result(ask_tls("tls", NULL, THEN_CLOSE), PROBE_TLS);
        client_conf.server_name = "a.example";
        serve_start(&v, OK_ANSWER, THEN_STAY);
        ck_assert_result(ask("http", &v.at, 5000), PROBE_OK);
        serve_stop(&v);
    }
    dial_users(-1);
}

/* ---- a checker over real sockets ---- */

struct heard {
    struct fiber_sem sem;
    enum health_state state;
    enum probe_result reason;
};

static void changed(void *arg, const struct health_change *c)
{
    struct heard *h = arg;

    h->state = c->to;
    h->reason = c->reason;
    fiber_sem_give(&h->sem);
}

FIBER_TEST(a_checker_sees_a_backend_go_and_come_back)
{
    static const struct checker_hooks hooks = { .changed = changed };
    struct check_conf conf = { .type = check_type_find("tcp"),
                               .interval = 10 * CLOCK_MS,
                               .timeout = 2 * CLOCK_S,
                               .fast_interval = 10 * CLOCK_MS,
                               .down_interval = 10 * CLOCK_MS,
                               .rise = 2,
                               .fall = 3 };
    struct heard h = { .state = HEALTH_UNKNOWN };
    struct checker *c;
    struct addr at;
    int fd = listen_anywhere(&at);

    c = checker_start(&conf, &at, "x", NULL, true, &hooks, &h);
    ck_assert_ptr_nonnull(c);
    ck_assert_int_eq(fiber_sem_take(&h.sem, in_ms(10000)), 0);
    ck_assert_int_eq(h.state, HEALTH_UP);
    close(fd);
    ck_assert_int_eq(fiber_sem_take(&h.sem, in_ms(10000)), 0);
    ck_assert_int_eq(h.state, HEALTH_DOWN);
    ck_assert_int_eq(h.reason, PROBE_REFUSED);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
    ck_assert_int_eq(bind(fd, &at.sa, at.len), 0);
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(fiber_sem_take(&h.sem, in_ms(10000)), 0);
    ck_assert_int_eq(h.state, HEALTH_UP);
    checker_stop(&c);
    close(fd);
}

FIBER_TEST(stopping_in_the_middle_of_each_step_leaves_nothing_behind)
{
    static const struct checker_hooks hooks = { .changed = changed };
    struct check_conf conf = { .type = check_type_find("http"),
                               .type_name = "http",
                               .interval = 10 * CLOCK_MS,
                               .timeout = 10 * CLOCK_S,
                               .fast_interval = 10 * CLOCK_MS,
                               .down_interval = 10 * CLOCK_MS,
                               .rise = 2,
                               .fall = 3 };
    struct check_complaints complaints = { .wrong = complain };
    static const char *const says[] = { NULL, "HTTP/1.1 20", OK_HEAD "Content-Length: 5\r\n\r\nab",
                                        OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab" };

    conf.type->check(&conf, &complaints);
    for (size_t i = 0; i < ARRAY_LEN(says) * 5; i++) {
        struct heard h = { .state = HEALTH_UNKNOWN };
        struct served v;
        struct checker *c;
        serve_start(&v, says[i / 5], THEN_STAY);
        c = checker_start(&conf, &v.at, "x", NULL, true, &hooks, &h);
        ck_assert_ptr_nonnull(c);
        while (i % 5 > 0 && script.accepted == 0)
            ck_assert_int_eq(fiber_sleep(clock_now() + CLOCK_MS), 0);
        for (size_t k = 1; k < i % 5; k++)
            fiber_yield();
        checker_stop(&c);
        serve_stop(&v);
        ck_assert_int_eq(h.state, HEALTH_UNKNOWN);
    }
    check_conf_free(&conf);
}

/* ---- definitions ---- */

START_TEST(the_address_that_is_asked_follows_the_definition)
{
    static const struct {
        const char *backend, *address;
        uint32_t port;
        const char *asked;
    } rows[] = {
        { "10.0.0.1:80", NULL, 0, "10.0.0.1:80" },
        { "10.0.0.1:80", NULL, 81, "10.0.0.1:81" },
        { "[::1]:80", NULL, 81, "[::1]:81" },
        { "10.0.0.1:80", "10.9.9.9:99", 0, "10.9.9.9:99" },
        { "10.0.0.1:80", "10.9.9.9", 0, "10.9.9.9:80" },
        { "10.0.0.1:80", "[::1]", 0, "[::1]:80" },
        { "10.0.0.1:80", "[::1]", 82, "[::1]:82" },
        { "10.0.0.1:80", "unix:/run/s", 0, "unix:/run/s" },
        { "unix:/run/b", NULL, 0, "unix:/run/b" },
        { "unix:/run/b", "10.9.9.9:99", 0, "10.9.9.9:99" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct check_conf conf = { .port = rows[i].port };
        struct addr backend, asked;
        char text[ADDR_TEXT_MAX];
        ck_assert_ptr_null(addr_parse(rows[i].backend, &backend, NULL));
        if (rows[i].address != NULL) {
            ck_assert_ptr_null(check_address_parse(rows[i].address, &conf.address, NULL));
            ck_assert_str_eq(check_address_format(&conf.address, text), rows[i].address);
        }
        asked = check_target(&conf, &backend);
        ck_assert_str_eq(addr_format(&asked, text), rows[i].asked);
    }
}
END_TEST

START_TEST(definitions_are_the_same_when_they_ask_the_same)
{
    const char *one[] = { "A: b" }, *other[] = { "A: c" };
    const struct check_conf a = { .type_name = "http", .path = "/x", .headers = { one, 1 }, .interval = 1, .rise = 1 };
    struct check_conf b = a;
    char path[] = "/x";

    b.path = path; /* by its bytes, not by its place */
    b.interval = b.timeout = b.slow_start = 7;
    b.rise = b.fall = b.jitter = 7;
    ck_assert(check_conf_same(&a, &b));
    b.headers.v = other;
    ck_assert(!check_conf_same(&a, &b));
    b = a;
    b.path = "/y";
    ck_assert(!check_conf_same(&a, &b));
    b = a;
    b.type_name = "tcp";
    ck_assert(!check_conf_same(&a, &b));
    b = a;
    b.port = 1;
    ck_assert(!check_conf_same(&a, &b));
    b = a;
    b.h2 = true;
    ck_assert(!check_conf_same(&a, &b));
    b = a;
    b.body_regex = "x";
    ck_assert(!check_conf_same(&a, &b));
    b = a;
    b.service = "x";
    ck_assert(!check_conf_same(&a, &b));
    b = a;
    ck_assert_ptr_null(check_address_parse("10.0.0.1", &b.address, NULL));
    ck_assert(!check_conf_same(&a, &b));
}
END_TEST

static bool same_over_tls(const struct tls_client_conf *x, const struct tls_client_conf *y)
{
    struct check_conf a = { .type_name = "tls" }, b = a;
    bool same;

    a.tls_party = tls_client_new("a", x, NULL, NULL, NULL);
    b.tls_party = y == NULL ? NULL : tls_client_new("b", y, NULL, NULL, NULL);
    a.owns_party = b.owns_party = true;
    ck_assert(a.tls_party != NULL && (b.tls_party != NULL || y == NULL));
    same = check_conf_same(&a, &b);
    ck_assert_int_eq(check_conf_same(&b, &a), same);
    check_conf_free(&a);
    check_conf_free(&b);
    return same;
}

START_TEST(definitions_ask_the_same_when_their_tls_is_the_same)
{
    const char *one[] = { "spiffe://unit.test/a" }, *other[] = { "spiffe://unit.test/b" };
    const struct tls_client_conf a = client_conf;
    struct tls_client_conf b = a;
    char name[] = "a.example";

    b.server_name = name;
    ck_assert(same_over_tls(&a, &b));
    ck_assert(!same_over_tls(&a, NULL));
    b.server_name = "b.example";
    ck_assert(!same_over_tls(&a, &b));
    b.server_name = NULL;
    ck_assert(!same_over_tls(&a, &b));
    b = a;
    b.verify = false;
    ck_assert(!same_over_tls(&a, &b));
    b = a;
    b.min = TLS_MIN_1_3;
    ck_assert(!same_over_tls(&a, &b));
    b = a;
    b.cert = certificate_path;
    b.key = certificate_key_path;
    ck_assert(!same_over_tls(&a, &b));
    b = a;
    b.identity = (struct conf_strs){ other, 1 };
    ck_assert(!same_over_tls(&a, &b));
    {
        struct tls_client_conf c = b;
        c.identity.v = one;
        ck_assert(!same_over_tls(&c, &b));
    }
}
END_TEST

START_TEST(every_result_has_a_word)
{
    for (int r = PROBE_OK; r <= PROBE_LOCAL; r++)
        ck_assert_str_ne(probe_word((enum probe_result)r), "");
}
END_TEST

Suite *health_checks_suite(void)
{
    Suite *s = suite_create("health_checks");
    TCase *tc = tcase_create("health_checks");

    tcase_add_test(tc, a_listener_is_well);
    tcase_add_test(tc, where_nobody_listens_is_refused);
    tcase_add_test(tc, a_full_backlog_is_a_timeout);
    tcase_add_test(tc, a_tcp_check_is_never_seen_by_accept);
    tcase_add_test(tc, a_unix_socket_is_well_while_somebody_listens);
    tcase_add_test(tc, a_unix_socket_whose_backlog_is_full_for_a_moment_is_well);
    tcase_add_test(tc, what_we_lack_says_nothing_about_the_backend);
    tcase_add_test(tc, a_socket_is_used_again_and_forgets_what_was);
    tcase_add_test(tc, a_socket_that_met_a_silent_backend_is_as_good_for_the_next);
    tcase_add_test(tc, http_finds_what_each_answer_is_worth);
    tcase_add_test(tc, an_answer_that_does_not_come_is_a_timeout);
    tcase_add_test(tc, an_answer_that_trickles_for_ever_is_a_timeout);
    tcase_add_test(tc, of_an_endless_body_only_the_beginning_is_read);
    tcase_add_test(tc, a_head_without_end_is_a_bad_answer);
    tcase_add_test(tc, interim_answers_without_end_are_a_bad_answer);
    tcase_add_test(tc, only_the_expected_statuses_are_good);
    tcase_add_test(tc, the_body_must_contain_the_text);
    tcase_add_test(tc, the_body_must_match_the_expression);
    tcase_add_test(tc, the_metric_calls_a_result_what_the_log_calls_it);
    tcase_add_test(tc, a_large_body_and_expression_leave_the_thread_to_others);
    tcase_add_test(tc, a_text_is_found_across_two_pieces);
    tcase_add_test(tc, the_request_is_as_configured);
    tcase_add_test(tc, the_answer_to_head_has_no_body);
    tcase_add_test(tc, a_checker_sees_a_backend_go_and_come_back);
    tcase_add_test(tc, stopping_in_the_middle_of_each_step_leaves_nothing_behind);
    tcase_add_test(tc, the_address_that_is_asked_follows_the_definition);
    tcase_add_test(tc, definitions_are_the_same_when_they_ask_the_same);
    tcase_add_test(tc, every_result_has_a_word);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);

    tc = tcase_create("over TLS");
    tcase_add_checked_fixture(tc, begin_tls, end_tls);
    tcase_add_test(tc, an_http_check_asks_over_tls_where_its_definition_has_it);
    tcase_add_test(tc, a_tls_check_shakes_hands_and_says_farewell);
    tcase_add_test(tc, who_can_not_be_verified_fails_both_checks_in_words);
    tcase_add_test(tc, the_address_that_is_asked_must_be_in_the_certificate_when_there_is_no_name);
    tcase_add_test(tc, another_identity_fails);
    tcase_add_test(tc, a_certificate_of_ours_is_shown);
    tcase_add_test(tc, a_backend_that_speaks_no_tls_fails);
    tcase_add_test(tc, a_socket_that_spoke_tls_is_in_clear_for_the_next);
    tcase_add_test(tc, definitions_ask_the_same_when_their_tls_is_the_same);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}
