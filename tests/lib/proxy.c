/* proxy.c - one worker on a thread. */
#include "tests/lib/proxy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "conf/load.h"
#include "proxy/worker.h"
#include "tests/lib/sockets.h"

struct snapshot *proxy_conf(const char *text)
{
    struct conf_report report;
    struct snapshot *s = NULL;
    int rc = conf_load_text(text, "proxy.conf", &s, &report);

    ck_assert_msg(rc == 0, "%s", report.text);
    conf_report_free(&report);
    return s;
}

static void on_ready(struct worker *w, void *arg)
{
    struct proxy *p = arg;

    p->worker = w;
    (void)sem_post(&p->told);
}

static void *thread_main(void *arg)
{
    ck_assert_int_eq(worker_run(0, on_ready, arg), 0);
    return NULL;
}

static void wait_told(sem_t *s)
{
    while (sem_wait(s) < 0)
        ck_assert_int_eq(errno, EINTR);
}

static void published(void *arg) { (void)sem_post(arg); }

static void serve(struct proxy *p, const char *text)
{
    struct snapshot *conf = proxy_conf(text);
    struct buf why = { 0 };
    int rc = listener_set_open(conf, NULL, 1, &p->listeners, &why);

    ck_assert_msg(rc == 0, "%s", why.p);
    buf_free(&why);
    p->serving = serving_new(conf, 1, NULL);
    ck_assert_ptr_nonnull(p->serving);
    snapshot_unref(&conf);
    ck_assert_int_eq(worker_publish(p->worker, p->serving, p->listeners, published, &p->told), 0);
    wait_told(&p->told);
}

void proxy_start(struct proxy *p, const char *listener, const char *text)
{
    char front[ADDR_TEXT_MAX], back[ADDR_TEXT_MAX], all[4096];
    int n;

    memset(p, 0, sizeof *p);
    (void)signal(SIGPIPE, SIG_IGN);
    p->addr = nobody_there();
    p->backend_fd = listen_anywhere(&p->backend);
    n = snprintf(all, sizeof all,
                 "listeners = ( { name = \"web\"; bind = \"%s\"; %s } );\n"
                 "pools = ( { name = \"app\"; backends = [ \"%s\" ]; } );\n%s",
                 addr_format(&p->addr, front), listener, addr_format(&p->backend, back), text);
    ck_assert_int_lt(n, (int)sizeof all);
    atomic_store(&connections.most, 100);
    ck_assert_int_eq(sem_init(&p->told, 0, 0), 0);
    ck_assert_int_eq(pthread_create(&p->thread, NULL, thread_main, p), 0);
    wait_told(&p->told);
    serve(p, all);
}

void proxy_stop(struct proxy *p)
{
    ck_assert_int_eq(worker_stop(p->worker), 0);
    ck_assert_int_eq(pthread_join(p->thread, NULL), 0);
    serving_unref(&p->serving);
    listener_set_unref(&p->listeners);
    (void)close(p->backend_fd);
    (void)sem_destroy(&p->told);
}

static struct timeval patience = { .tv_sec = 10 };

int proxy_connect(const struct proxy *p)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    ck_assert_int_eq(connect(fd, &p->addr.sa, p->addr.len), 0);
    return fd;
}

int proxy_backend(const struct proxy *p) { return accept_peer(p->backend_fd); }

void say(int fd, const char *text) { ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text)); }

const char *hear(int fd, const char *end)
{
    static char text[65536];
    size_t n = 0;

    for (;;) {
        ssize_t got = recv(fd, text + n, end != NULL ? 1 : sizeof text - 1 - n, 0);

        if (got < 0 && errno == ECONNRESET && end == NULL)
            got = 0;
        ck_assert_msg(got >= 0, "after \"%.*s\": %s", (int)n, text, strerror(errno));
        n += (size_t)got;
        text[n] = '\0';
        ck_assert_uint_lt(n, sizeof text - 1);
        if (end != NULL && n >= strlen(end) && strcmp(text + n - strlen(end), end) == 0)
            return text;
        if (got == 0) {
            ck_assert_msg(end == NULL, "\"%s\" never came after \"%s\"", end, text);
            return text;
        }
    }
}

const char *proxy_ask(const struct proxy *p, const char *request)
{
    int fd = proxy_connect(p);
    const char *answer;

    say(fd, request);
    answer = hear(fd, NULL);
    (void)close(fd);
    return answer;
}
