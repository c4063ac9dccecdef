/* Tests of proxy/listener: which sockets are opened, which are kept, and what is said when one can't be. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "proxy/listener.h"
#include "tests/lib/proxy.h"
#include "tests/lib/sockets.h"

Suite *listener_suite(void);

enum { WORKERS = 3 };

static char dir[] = "/tmp/weir_listener_XXXXXX";
static struct buf why;

static void setup(void) { ck_assert_ptr_nonnull(mkdtemp(dir)); }

static void teardown(void)
{
    buf_free(&why);
    (void)rmdir(dir);
}

static const char *tcp(const struct addr *a)
{
    static char text[4][ADDR_TEXT_MAX];
    static int i;

    return addr_format(a, text[i++ % 4]);
}

static const char *path(void)
{
    static char text[64];

    (void)snprintf(text, sizeof text, "%s/s", dir);
    return text;
}

static const char *un(void)
{
    static char text[80];

    (void)snprintf(text, sizeof text, "unix:%s", path());
    return text;
}

static struct addr un_addr(void)
{
    struct addr a;

    ck_assert_ptr_null(addr_parse(un(), &a, NULL));
    return a;
}

/* A configuration with listeners at those addresses (the second may be NULL). */
static struct snapshot *conf(const char *first, const char *second, const char *settings)
{
    char text[1024], other[256] = "";

    if (second != NULL)
        (void)snprintf(other, sizeof other, ", { name = \"b\"; bind = \"%s\"; pool = \"app\"; }", second);
    (void)snprintf(text, sizeof text,
                   "listeners = ( { name = \"a\"; bind = \"%s\"; pool = \"app\"; %s }%s );\n"
                   "pools = ( { name = \"app\"; backends = [ \"127.0.0.1:1\" ]; } );\n",
                   first, settings, other);
    return proxy_conf(text);
}

static struct listener_set *open_set(struct snapshot *s, struct listener_set *old)
{
    struct listener_set *set = NULL;
    int rc = listener_set_open(s, old, WORKERS, &set, &why);

    ck_assert_msg(rc == 0, "%s", why.p);
    return set;
}

static void refuse_set(struct snapshot *s, struct listener_set *old)
{
    struct listener_set *set = NULL;

    ck_assert_int_eq(listener_set_open(s, old, WORKERS, &set, &why), -ERR_INVALID);
    ck_assert_ptr_null(set);
}

static bool can_connect(const struct addr *a)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = connect(fd, &a->sa, a->len) == 0;

    (void)close(fd);
    return can;
}

static bool exists(void)
{
    struct stat st;

    return lstat(path(), &st) == 0;
}

START_TEST(each_worker_has_a_socket_of_its_own)
{
    struct addr a = nobody_there();
    struct snapshot *s = conf(tcp(&a), NULL, "");
    struct listener_set *set = open_set(s, NULL);

    ck_assert_uint_eq(set->v[0]->n_sockets, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_ge(set->v[0]->socket[i], 0);
    ck_assert_int_ne(set->v[0]->socket[0], set->v[0]->socket[1]);
    ck_assert(can_connect(&a));
    listener_set_unref(&set);
    ck_assert(!can_connect(&a));
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_port_in_use_is_said_with_its_place)
{
    struct addr a;
    int fd = listen_anywhere(&a);
    struct snapshot *s = conf(tcp(&a), NULL, "");

    refuse_set(s, NULL);
    ck_assert_ptr_nonnull(strstr(why.p, "proxy.conf:1: listeners.a: "));
    ck_assert_ptr_nonnull(strstr(why.p, tcp(&a)));
    ck_assert_ptr_nonnull(strstr(why.p, "in use by another program"));
    snapshot_unref(&s);
    (void)close(fd);
}
END_TEST

/* SO_REUSEPORT alone would have let us in beside it. */
START_TEST(a_port_that_another_shares_is_in_use_too)
{
    struct addr a = nobody_there();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct snapshot *s = conf(tcp(&a), NULL, "");

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    ck_assert_int_eq(bind(fd, &a.sa, a.len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    refuse_set(s, NULL);
    ck_assert_ptr_nonnull(strstr(why.p, "in use by another program"));
    snapshot_unref(&s);
    (void)close(fd);
}
END_TEST

START_TEST(all_that_is_wrong_is_said_at_once)
{
    struct addr a, b;
    int first = listen_anywhere(&a), second = listen_anywhere(&b);
    struct snapshot *s = conf(tcp(&a), tcp(&b), "");

    refuse_set(s, NULL);
    ck_assert_ptr_nonnull(strstr(why.p, "listeners.a"));
    ck_assert_ptr_nonnull(strstr(why.p, "listeners.b"));
    snapshot_unref(&s);
    (void)close(first);
    (void)close(second);
}
END_TEST

START_TEST(an_address_of_another_machine_is_said_so)
{
    struct snapshot *s = conf("192.0.2.1:8080", NULL, "");

    refuse_set(s, NULL);
    ck_assert_ptr_nonnull(strstr(why.p, "this machine does not have that address"));
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_failure_leaves_nothing_open_and_the_old_ones_alone)
{
    struct addr a = nobody_there(), b = nobody_there(), c;
    int fd = listen_anywhere(&c);
    struct snapshot *before = conf(tcp(&a), NULL, ""), *after = conf(tcp(&b), tcp(&c), "");
    struct listener_set *set = open_set(before, NULL);

    refuse_set(after, set);
    ck_assert(!can_connect(&b));
    ck_assert(can_connect(&a));
    listener_set_unref(&set);
    snapshot_unref(&before);
    snapshot_unref(&after);
    (void)close(fd);
}
END_TEST

START_TEST(an_unchanged_listener_keeps_its_sockets)
{
    struct addr a = nobody_there(), b = nobody_there();
    struct snapshot *before = conf(tcp(&a), NULL, ""), *after = conf(tcp(&a), tcp(&b), "via = false;");
    struct listener_set *old = open_set(before, NULL), *new = open_set(after, old);

    ck_assert_ptr_eq(new->v[0], old->v[0]);
    listener_set_unref(&old);
    ck_assert(can_connect(&a));
    ck_assert(can_connect(&b));
    listener_set_unref(&new);
    snapshot_unref(&before);
    snapshot_unref(&after);
}
END_TEST

START_TEST(a_listener_that_is_gone_gives_its_port_back)
{
    struct addr a = nobody_there(), b = nobody_there();
    struct snapshot *before = conf(tcp(&a), NULL, ""), *after = conf(tcp(&b), NULL, "");
    struct listener_set *old = open_set(before, NULL), *new = open_set(after, old);

    listener_set_unref(&old);
    ck_assert(!can_connect(&a));
    listener_set_unref(&new);
    snapshot_unref(&before);
    snapshot_unref(&after);
}
END_TEST

START_TEST(a_listener_may_change_its_mode)
{
    struct addr a = nobody_there();
    struct snapshot *before = conf(tcp(&a), NULL, ""), *after = conf(tcp(&a), NULL, "mode = \"tcp\";");
    struct listener_set *old = open_set(before, NULL), *new = open_set(after, old);

    listener_set_unref(&old);
    ck_assert(can_connect(&a));
    listener_set_unref(&new);
    snapshot_unref(&before);
    snapshot_unref(&after);
}
END_TEST

/* ---- Unix sockets ---- */

START_TEST(a_unix_socket_is_there_as_long_as_its_listener)
{
    struct snapshot *s = conf(un(), NULL, "");
    struct listener_set *set = open_set(s, NULL);
    struct addr a = un_addr();

    ck_assert(can_connect(&a));
    ck_assert_int_lt(set->v[0]->socket[1], 0); /* one worker accepts: it can't be shared */
    listener_set_unref(&set);
    ck_assert(!exists());
    snapshot_unref(&s);
}
END_TEST

static int listen_un(void)
{
    struct addr a = un_addr();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, &a.sa, a.len), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

START_TEST(a_stale_socket_file_is_removed)
{
    struct snapshot *s = conf(un(), NULL, "");
    struct listener_set *set;
    struct addr a = un_addr();

    (void)close(listen_un()); /* its owner died */
    ck_assert(exists());
    set = open_set(s, NULL);
    ck_assert(can_connect(&a));
    listener_set_unref(&set);
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_socket_that_somebody_answers_on_is_not_taken)
{
    struct snapshot *s = conf(un(), NULL, "");
    struct addr a = un_addr();
    int fd = listen_un();

    refuse_set(s, NULL);
    ck_assert_ptr_nonnull(strstr(why.p, "in use by another program"));
    ck_assert(can_connect(&a));
    snapshot_unref(&s);
    (void)close(fd);
    (void)unlink(path());
}
END_TEST

/* connect() says EAGAIN then, not ECONNREFUSED. */
START_TEST(a_socket_whose_owner_is_busy_is_not_taken)
{
    struct addr a = un_addr();
    struct snapshot *s = conf(un(), NULL, "");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting[4];

    ck_assert_int_eq(bind(fd, &a.sa, a.len), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    for (int i = 0; i < 4; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(waiting[i], &a.sa, a.len);
    }
    refuse_set(s, NULL);
    ck_assert(exists());
    for (int i = 0; i < 4; i++)
        (void)close(waiting[i]);
    (void)close(fd);
    (void)unlink(path());
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_left_alone)
{
    struct snapshot *s = conf(un(), NULL, "");
    FILE *f = fopen(path(), "w");

    ck_assert_ptr_nonnull(f);
    (void)fclose(f);
    refuse_set(s, NULL);
    ck_assert(exists());
    (void)unlink(path());
    snapshot_unref(&s);
}
END_TEST

/* ---- weir -t ---- */

START_TEST(a_trial_says_what_is_taken_and_binds_nothing)
{
    struct addr a, b = nobody_there();
    int fd = listen_anywhere(&a);
    struct snapshot *s = conf(tcp(&a), tcp(&b), "");

    listener_set_try(s, &why);
    ck_assert_ptr_nonnull(strstr(why.p, "listeners.a"));
    ck_assert_ptr_null(strstr(why.p, "listeners.b"));
    ck_assert(!can_connect(&b));
    snapshot_unref(&s);
    (void)close(fd);
}
END_TEST

Suite *listener_suite(void)
{
    Suite *s = suite_create("listener");
    TCase *t = tcase_create("tcp"), *u = tcase_create("unix");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, each_worker_has_a_socket_of_its_own);
    tcase_add_test(t, a_port_in_use_is_said_with_its_place);
    tcase_add_test(t, a_port_that_another_shares_is_in_use_too);
    tcase_add_test(t, all_that_is_wrong_is_said_at_once);
    tcase_add_test(t, an_address_of_another_machine_is_said_so);
    tcase_add_test(t, a_failure_leaves_nothing_open_and_the_old_ones_alone);
    tcase_add_test(t, an_unchanged_listener_keeps_its_sockets);
    tcase_add_test(t, a_listener_that_is_gone_gives_its_port_back);
    tcase_add_test(t, a_listener_may_change_its_mode);
    tcase_add_test(t, a_trial_says_what_is_taken_and_binds_nothing);
    tcase_add_checked_fixture(u, setup, teardown);
    tcase_add_test(u, a_unix_socket_is_there_as_long_as_its_listener);
    tcase_add_test(u, a_stale_socket_file_is_removed);
    tcase_add_test(u, a_socket_that_somebody_answers_on_is_not_taken);
    tcase_add_test(u, a_socket_whose_owner_is_busy_is_not_taken);
    tcase_add_test(u, a_file_that_is_no_socket_is_left_alone);
    suite_add_tcase(s, t);
    suite_add_tcase(s, u);
    return s;
}
