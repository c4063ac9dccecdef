/* Tests of net/stream_tls and net/tls_ctx: two streams that speak TLS with each other, and what it costs them. */
#include "tests/lib/fiber_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/scratch.h"
#include "net/stream_tls.h"
#include "net/sys.h"
#include "tests/lib/certificate.h"

Suite *stream_tls_suite(void);

static void begin(void) { certificate_begin("DNS:a.example,DNS:*.b.example,URI:spiffe://unit.test/web"); }

/* ---- parties ---- */

static struct tls_certificate_conf certificate;
static struct tls_server_conf server_conf;
static struct tls_client_conf client_conf;
static const char *protocol[] = { "http/1.1" };
static const struct conf_strs protocols = { protocol, 1 };

struct both {
    struct tls_party *server, *client;
    struct stream s, c;
    int server_rc, client_rc;
    struct tls_session session;
};

static void parties(struct both *b)
{
    memset(b, 0, sizeof *b);
    certificate = (struct tls_certificate_conf){ .cert = certificate_path, .key = certificate_key_path };
    server_conf = (struct tls_server_conf){ .certificates = { &certificate, 1 }, .tickets = true };
    client_conf = (struct tls_client_conf){ .verify = true, .ca = certificate_path, .server_name = "a.example" };
}

static void make_parties(struct both *b)
{
    b->server = tls_server_new("unit", &server_conf, &protocols, NULL, NULL);
    b->client = tls_client_new("unit", &client_conf, &protocols, NULL, NULL);
    ck_assert(b->server != NULL && b->client != NULL);
}

static void server_shakes(void *arg)
{
    struct both *b = arg;

    b->server_rc = stream_tls_accept(&b->s, b->server, in_ms(5000));
    if (b->server_rc == 0)
        stream_tls_flush(&b->s);
    else
        stream_close(&b->s);
}

static void shake(struct both *b)
{
    static const struct addr nowhere = { .len = sizeof nowhere.in, .in = { .sin_family = AF_INET } };
    struct group g;
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    stream_open(&b->s, fds[0], false);
    stream_open(&b->c, fds[1], false);
    group_init(&g);
    ck_assert_int_eq(fiber_go(&g, "server", server_shakes, b), 0);
    b->client_rc = stream_tls_connect(&b->c, b->client, &nowhere, NULL, &b->session, in_ms(5000));
    if (b->client_rc == 0)
        stream_tls_flush(&b->c);
    else
        stream_close(&b->c);
    ck_assert_int_eq(group_join(&g, in_ms(6000)), 0);
}

static void shaken(struct both *b)
{
    parties(b);
    make_parties(b);
    shake(b);
    ck_assert_int_eq(b->client_rc, 0);
    ck_assert_int_eq(b->server_rc, 0);
}

static void done(struct both *b)
{
    stream_close(&b->s);
    stream_close(&b->c);
    tls_session_forget(&b->session);
    tls_party_free(&b->server);
    tls_party_free(&b->client);
    stream_tls_thread_ends();
    scratch_free();
}

/* ---- handshakes ---- */

FIBER_TEST(both_sides_know_what_was_agreed)
{
    struct both b;

    shaken(&b);
    ck_assert(slice_eq(stream_tls_version(&b.s), SLICE("TLSv1.3")));
    ck_assert(slice_eq(stream_tls_protocol(&b.s), SLICE("http/1.1")));
    ck_assert(slice_eq(stream_tls_protocol(&b.c), SLICE("http/1.1")));
    ck_assert(slice_eq(stream_tls_name(&b.s), SLICE("a.example")));
    ck_assert(!b.s.raw && !stream_tls_resumed(&b.s));
    ck_assert_ptr_null(stream_tls_identity(&b.s));
    done(&b);
}

FIBER_TEST(a_name_that_the_certificate_is_not_for_is_refused)
{
    struct both b;

    parties(&b);
    client_conf.server_name = "c.example";
    make_parties(&b);
    shake(&b);
    ck_assert_int_eq(b.client_rc, -ERR_TLS_CERTIFICATE);
    ck_assert_int_eq(b.server_rc, -ERR_TLS_ALERT);
    done(&b);
}

FIBER_TEST(an_identity_stands_for_a_name)
{
    static const char *const allowed[] = { "spiffe://unit.test/*" }, *const others[] = { "spiffe://unit.test/api" };
    struct both b;

    parties(&b);
    client_conf.server_name = NULL;
    client_conf.identity = (struct conf_strs){ (const char **)(uintptr_t)allowed, 1 };
    make_parties(&b);
    shake(&b);
    ck_assert_int_eq(b.client_rc, 0);
    done(&b);
    parties(&b);
    client_conf.server_name = NULL;
    client_conf.identity = (struct conf_strs){ (const char **)(uintptr_t)others, 1 };
    make_parties(&b);
    shake(&b);
    ck_assert_int_eq(b.client_rc, -ERR_TLS_IDENTITY);
    done(&b);
}

FIBER_TEST(a_client_with_a_certificate_is_known)
{
    const struct tls_identity *id;
    struct both b;

    parties(&b);
    server_conf.client_auth = TLS_AUTH_REQUIRED;
    server_conf.client_ca = certificate_path;
    client_conf.cert = certificate_path;
    client_conf.key = certificate_key_path;
    make_parties(&b);
    shake(&b);
    ck_assert_int_eq(b.server_rc, 0);
    id = stream_tls_identity(&b.s);
    ck_assert_ptr_nonnull(id);
    ck_assert_str_eq(id->subject, "CN=unit\\, test");
    ck_assert_str_eq(id->spiffe, "spiffe://unit.test/web");
    ck_assert_str_eq(id->sans, "DNS:a.example, DNS:*.b.example, URI:spiffe://unit.test/web");
    ck_assert_str_eq(id->serial, "1267");
    ck_assert(slice_eq(stream_tls_identity_text(&b.s), SLICE("spiffe://unit.test/web")));
    done(&b);
}

FIBER_TEST(a_required_certificate_that_is_missing_is_missed)
{
    struct both b;

    parties(&b);
    server_conf.client_auth = TLS_AUTH_REQUIRED;
    server_conf.client_ca = certificate_path;
    make_parties(&b);
    shake(&b);
    ck_assert_int_eq(b.server_rc, -ERR_TLS_NO_CERTIFICATE);
    done(&b);
}

FIBER_TEST(hosts_are_those_of_the_certificate_and_the_one_asked_for)
{
    struct both b;

    shaken(&b);
    ck_assert(stream_tls_is_for(&b.s, SLICE("A.example")));
    ck_assert(stream_tls_is_for(&b.s, SLICE("x.b.example")));
    ck_assert(stream_tls_is_for(&b.s, SLICE("")));
    ck_assert(!stream_tls_is_for(&b.s, SLICE("b.example")));
    ck_assert(!stream_tls_is_for(&b.s, SLICE("x.y.b.example")));
    ck_assert(!stream_tls_is_for(&b.s, SLICE(".b.example")));
    ck_assert(!stream_tls_is_for(&b.s, SLICE("c.example")));
    done(&b);
}

FIBER_TEST(a_session_is_taken_up_under_the_same_context_only)
{
    struct both b;
    struct tls_ctx *old;
    char byte;

    shaken(&b);
    ck_assert_int_eq(stream_write_bytes(&b.s, "x", 1, in_ms(5000)), 0);
    ck_assert_int_eq(stream_read(&b.c, &byte, 1, in_ms(5000)), 1); /* and the session before it */
    stream_close(&b.s);
    stream_close(&b.c);
    shake(&b);
    ck_assert(stream_tls_resumed(&b.c) && stream_tls_resumed(&b.s));
    stream_close(&b.s);
    stream_close(&b.c);
    old = tls_party_renew(b.client, NULL, NULL);
    ck_assert_ptr_nonnull(old);
    tls_ctx_unref(&old);
    shake(&b);
    ck_assert_int_eq(b.client_rc, 0);
    ck_assert(!stream_tls_resumed(&b.c));
    done(&b);
}

/* ---- bytes ---- */

static const struct sys_ops *kernel;
static struct sys_ops counting;
static int n_recv, n_sent;

static ssize_t counted_recv(int fd, void *buf, size_t n, int flags)
{
    n_recv++;
    return kernel->recv(fd, buf, n, flags);
}

static ssize_t counted_send(int fd, const void *buf, size_t n, int flags)
{
    n_sent++;
    return kernel->send(fd, buf, n, flags);
}

static ssize_t counted_sendmsg(int fd, const struct msghdr *m, int flags)
{
    n_sent++;
    return kernel->sendmsg(fd, m, flags);
}

static void count_calls(void)
{
    kernel = sys;
    counting = *sys;
    counting.recv = counted_recv;
    counting.send = counted_send;
    counting.sendmsg = counted_sendmsg;
    n_recv = n_sent = 0;
    sys = &counting;
}

/* Past what the handshake leaves behind: the session. */
static void settle(struct both *b)
{
    char byte;

    ck_assert_int_eq(stream_read_now(&b->c, &byte, 1), -ERR_AGAIN);
    ck_assert_int_eq(stream_write_bytes(&b->c, "x", 1, in_ms(5000)), 0);
    ck_assert_int_eq(stream_read(&b->s, &byte, 1, in_ms(5000)), 1);
}

FIBER_TEST(a_small_record_costs_one_send_and_one_recv)
{
    struct both b;
    struct iovec v[] = { { (char[]){ "head" }, 4 }, { (char[]){ "body" }, 4 } };
    char got[100];

    shaken(&b);
    settle(&b);
    count_calls();
    ck_assert_int_eq(stream_write(&b.s, v, 2, in_ms(5000)), 0);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), 8);
    ck_assert_int_eq(stream_read_now(&b.c, got + 8, sizeof got - 8), -ERR_AGAIN);
    sys = kernel;
    ck_assert_mem_eq(got, "headbody", 8);
    ck_assert_int_eq(n_sent, 1);
    ck_assert_int_eq(n_recv, 1);
    done(&b);
}

static char much[3 << 20];

FIBER_TEST(records_that_are_sealed_together_leave_together)
{
    struct both b;

    shaken(&b);
    settle(&b);
    count_calls();
    ck_assert_int_eq(stream_write_bytes(&b.s, much, 60000, in_ms(5000)), 0);
    sys = kernel;
    ck_assert_int_eq(n_sent, 1);
    done(&b);
}

static void write_much(void *arg)
{
    struct both *b = arg;
    struct iovec v[] = { { much, 100 }, { much + 100, 20000 }, { much + 20100, 0 }, { much + 20100, sizeof much - 20100 } };

    ck_assert_int_eq(stream_write(&b->s, v, 4, in_ms(20000)), 0);
    ck_assert_int_eq(stream_shutdown(&b->s), 0);
}

FIBER_TEST(what_the_peer_does_not_take_waits_and_nothing_is_lost)
{
    static char got[sizeof much];
    struct both b;
    struct group g;
    size_t n = 0;
    ssize_t rc;

    for (size_t i = 0; i < sizeof much; i++)
        much[i] = (char)(i * 7 + i / 251);
    shaken(&b);
    group_init(&g);
    ck_assert_int_eq(fiber_go(&g, "writer", write_much, &b), 0);
    while ((rc = stream_read(&b.c, got + n, n < sizeof got ? 1 + n % 70000 < sizeof got - n ? 1 + n % 70000 : sizeof got - n : 0,
                             in_ms(20000))) > 0)
        n += (size_t)rc;
    if (n < sizeof got)
        ck_abort_msg("%zu bytes, %zd", n, rc);
    ck_assert_int_eq(group_join(&g, in_ms(5000)), 0);
    ck_assert_mem_eq(got, much, sizeof much);
    ck_assert_int_eq(stream_read(&b.c, got, 1, in_ms(5000)), 0);
    done(&b);
}

FIBER_TEST(an_end_without_close_notify_is_no_end)
{
    struct both b;
    char got[10];

    shaken(&b);
    ck_assert_int_eq(stream_write_bytes(&b.s, "half", 4, in_ms(5000)), 0);
    ck_assert_int_eq(shutdown(b.s.pd.fd, SHUT_WR), 0);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), 4);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), -ERR_RESET);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), -ERR_RESET);
    ck_assert_int_eq(stream_write_bytes(&b.c, "still", 5, in_ms(5000)), 0);
    ck_assert_int_eq(stream_read(&b.s, got, sizeof got, in_ms(5000)), 5);
    done(&b);
}

FIBER_TEST(an_end_with_close_notify_is_one_and_the_other_way_stays_open)
{
    struct both b;
    char got[10];

    shaken(&b);
    ck_assert_int_eq(stream_shutdown(&b.s), 0);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), 0);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), 0);
    ck_assert_int_eq(stream_write_bytes(&b.c, "still", 5, in_ms(5000)), 0);
    ck_assert_int_eq(stream_read(&b.s, got, sizeof got, in_ms(5000)), 5);
    done(&b);
}

FIBER_TEST(bytes_that_were_changed_on_the_way_are_an_error)
{
    struct both b;
    char record[100], got[10];
    ssize_t n;

    shaken(&b);
    settle(&b);
    ck_assert_int_eq(stream_write_bytes(&b.s, "hello", 5, in_ms(5000)), 0);
    n = recv(b.c.pd.fd, record, sizeof record, 0);
    ck_assert_int_gt(n, 20);
    record[n - 1] ^= 1;
    ck_assert_int_eq(send(b.s.pd.fd, record, (size_t)n, MSG_NOSIGNAL), n);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), -ERR_IO);
    ck_assert_int_eq(stream_read(&b.c, got, sizeof got, in_ms(5000)), -ERR_IO);
    done(&b);
}

FIBER_TEST(a_wait_does_not_end_for_words_between_tls_and_tls)
{
    struct both b;

    shaken(&b); /* the session has been sent, and nothing else */
    ck_assert_int_eq(stream_wait_readable(&b.c, in_ms(30)), -ERR_TIMEOUT);
    ck_assert(stream_is_quiet(&b.c));
    ck_assert_ptr_nonnull(b.session.session);
    done(&b);
}

/* ---- files ---- */

struct said {
    unsigned fatal, warnings;
    char last[600];
};

static void listen_to(void *arg, const struct tls_problem *p)
{
    struct said *s = arg;

    *(p->fatal ? &s->fatal : &s->warnings) += 1;
    (void)snprintf(s->last, sizeof s->last, "%s: %s", p->key, p->text);
}

static void overwrite(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    ck_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

START_TEST(a_party_is_stale_once_its_files_have_changed_and_kept_still)
{
    struct both b;
    struct said said = { 0 };
    struct tls_ctx *old;
    uint64_t id;

    parties(&b);
    make_parties(&b);
    id = tls_party_now(b.server)->id;
    ck_assert(!tls_party_is_stale(b.server));
    certificate_make("DNS:new.example");
    ck_assert(!tls_party_is_stale(b.server)); /* it is still moving, for all we know */
    ck_assert(tls_party_is_stale(b.server));
    old = tls_party_renew(b.server, listen_to, &said);
    ck_assert(old != NULL && old->id == id && tls_party_now(b.server)->id != id && said.fatal == 0);
    tls_ctx_unref(&old);
    ck_assert(!tls_party_is_stale(b.server));
    done(&b);
}
END_TEST

START_TEST(what_can_not_be_read_leaves_the_old_one)
{
    struct both b;
    struct said said = { 0 };
    struct tls_ctx *before;

    parties(&b);
    make_parties(&b);
    before = tls_party_now(b.server);
    overwrite(certificate_path, "junk\n");
    ck_assert_ptr_null(tls_party_renew(b.server, listen_to, &said));
    ck_assert_ptr_eq(tls_party_now(b.server), before);
    ck_assert_uint_eq(said.fatal, 1);
    ck_assert_msg(strstr(said.last, "cert: ") == said.last && strstr(said.last, "holds no certificate") != NULL, "%s", said.last);
    ck_assert(!tls_party_is_stale(b.server)); /* said once */
    done(&b);
}
END_TEST

START_TEST(a_certificate_tells_its_names_and_its_end)
{
    struct tls_certificate_info c;
    struct both b;

    parties(&b);
    make_parties(&b);
    ck_assert(tls_party_certificate(b.server, 0, &c));
    ck_assert_uint_eq(c.n_names, 2);
    ck_assert_str_eq(c.names[1], "*.b.example");
    ck_assert_int_gt(c.not_after, clock_wall() / CLOCK_S + 99 * 24 * 3600L);
    ck_assert(!tls_party_certificate(b.server, 1, &c));
    done(&b);
}
END_TEST

Suite *stream_tls_suite(void)
{
    Suite *s = suite_create("stream_tls");
    TCase *t = tcase_create("stream_tls");

    tcase_add_checked_fixture(t, begin, certificate_end);
    tcase_add_test(t, both_sides_know_what_was_agreed);
    tcase_add_test(t, a_name_that_the_certificate_is_not_for_is_refused);
    tcase_add_test(t, an_identity_stands_for_a_name);
    tcase_add_test(t, a_client_with_a_certificate_is_known);
    tcase_add_test(t, a_required_certificate_that_is_missing_is_missed);
    tcase_add_test(t, hosts_are_those_of_the_certificate_and_the_one_asked_for);
    tcase_add_test(t, a_session_is_taken_up_under_the_same_context_only);
    tcase_add_test(t, a_small_record_costs_one_send_and_one_recv);
    tcase_add_test(t, records_that_are_sealed_together_leave_together);
    tcase_add_test(t, what_the_peer_does_not_take_waits_and_nothing_is_lost);
    tcase_add_test(t, an_end_without_close_notify_is_no_end);
    tcase_add_test(t, an_end_with_close_notify_is_one_and_the_other_way_stays_open);
    tcase_add_test(t, bytes_that_were_changed_on_the_way_are_an_error);
    tcase_add_test(t, a_wait_does_not_end_for_words_between_tls_and_tls);
    tcase_add_test(t, a_party_is_stale_once_its_files_have_changed_and_kept_still);
    tcase_add_test(t, what_can_not_be_read_leaves_the_old_one);
    tcase_add_test(t, a_certificate_tells_its_names_and_its_end);
    suite_add_tcase(s, t);
    return s;
}
