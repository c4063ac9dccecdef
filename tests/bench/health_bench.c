/*
 * health_bench.c - what health checks cost: the processor time of a probe, and of 5,000 backends asked once a second.
 *
 * The backends are one child process that listens on all of 127.0.0.0/8.  What the kernel does on the loopback device for the
 * backend's side of a handshake is counted as ours, so a real network costs less.
 *
 *     health_bench tcp|http [CHECKERS [SECONDS]]
 *
 * Prints "key value" lines; exit code 1 if a probe failed or 5,000 tcp checks a second take 10 % of a core or more.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fiber/fiber.h"
#include "fiber/sched.h"
#include "health/checker.h"
#include "health/http_plan.h"

#define CORE_SHARE_MOST 0.10
#define FULL            5000

static struct bench {
    struct check_conf conf;
    struct checker **checkers;
    size_t n;
    int64_t seconds;
    uint16_t port;
    uint64_t probes, failed;
    double cpu, wall;
} b;

static int listen_on(uint16_t *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&in, &len) < 0)
        exit(2);
    *port = ntohs(in.sin_port);
    return fd;
}

static void answer(int fd)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nok\n";
    char buf[2048];
    ssize_t n = recv(fd, buf, sizeof buf, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0)
        (void)!send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL);
    (void)close(fd);
}

static _Noreturn void serve(int listening)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = listening }, got[64];
    int ep = epoll_create1(0);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)epoll_ctl(ep, EPOLL_CTL_ADD, listening, &ev);
    for (;;) {
        int n = epoll_wait(ep, got, 64, -1);
        for (int i = 0; i < n; i++) {
            int fd;
            if (got[i].data.fd != listening) {
                answer(got[i].data.fd);
                continue;
            }
            while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                ev = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
                (void)epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
            }
        }
    }
}

static void changed(void *arg, const struct health_change *c)
{
    (void)arg;
    if (c->to != HEALTH_UP)
        fprintf(stderr, "down: %s %s\n", probe_word(c->reason), c->detail);
}

static const struct checker_hooks hooks = { .changed = changed };

static void totals(uint64_t *probes, uint64_t *failed, double *cpu)
{
    struct rusage ru;

    *probes = *failed = 0;
    for (size_t i = 0; i < b.n; i++) {
        const struct health_record *r = checker_record(b.checkers[i]);
        *probes += r->probes;
        *failed += r->failed + (r->last == PROBE_LOCAL);
    }
    getrusage(RUSAGE_SELF, &ru);
    *cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) + (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static void run(void *arg)
{
    uint64_t probes, failed;
    int64_t start;
    double cpu;

    for (size_t i = 0; i < b.n; i++) {
        struct addr a = { .len = sizeof a.in };
        a.in = (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_port = htons(b.port),
                                     .sin_addr = { htonl(0x7f010000u + (uint32_t)i) } };
        b.checkers[i] = checker_start(&b.conf, &a, "bench", NULL, false, &hooks, NULL);
        if (b.checkers[i] == NULL)
            exit(2);
    }
    (void)fiber_sleep(clock_now() + CLOCK_S); /* each has had its first */
    totals(&probes, &failed, &cpu);
    start = clock_now();
    (void)fiber_sleep(start + b.seconds * CLOCK_S);
    totals(&b.probes, &b.failed, &b.cpu);
    b.wall = (double)(clock_now() - start) / 1e6;
    b.probes -= probes;
    b.cpu -= cpu;
    for (size_t i = 0; i < b.n; i++)
        checker_stop(&b.checkers[i]);
    sched_stop(arg);
}

static void no_complaints(struct check_complaints *to, const char *key, size_t item, const char *found, const char *why)
{
    (void)to;
    fprintf(stderr, "%s[%zu] %s: %s\n", key, item, found, why);
    exit(2);
}

int main(int argc, char **argv)
{
    struct check_complaints to = { .wrong = no_complaints };
    const char *type = argc > 1 ? argv[1] : "tcp";
    struct rlimit files = { 65536, 65536 };
    struct sched *s;
    int listening;
    pid_t child;
    double share;

    b.n = argc > 2 ? strtoul(argv[2], NULL, 10) : FULL;
    b.seconds = argc > 3 ? strtol(argv[3], NULL, 10) : 5;
    b.conf = (struct check_conf){ .type_name = type,
                                  .type = check_type_find(type),
                                  .interval = CLOCK_S,
                                  .timeout = CLOCK_S,
                                  .fast_interval = CLOCK_S,
                                  .down_interval = CLOCK_S,
                                  .rise = 2,
                                  .fall = 3,
                                  .jitter = 10 };
    if (b.conf.type == NULL)
        exit(2);
    if (b.conf.type->check != NULL)
        b.conf.type->check(&b.conf, &to);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    listening = listen_on(&b.port);
    child = fork();
    if (child == 0)
        serve(listening);
    (void)close(listening);
    b.checkers = calloc(b.n, sizeof *b.checkers);
    s = sched_open("bench", false);
    if (s == NULL || b.checkers == NULL || fiber_go(NULL, "bench", run, s) < 0)
        exit(2);
    sched_run(s);
    sched_close(&s);
    (void)kill(child, SIGKILL);
    share = b.cpu / (double)b.probes * FULL;
    printf("type %s\nprobes %lu\nfailed %lu\nprobes_a_second %.0f\nus_a_probe %.2f\ncore_share_of_5000_a_second %.3f\n", type,
           (unsigned long)b.probes, (unsigned long)b.failed, (double)b.probes / b.wall, b.cpu / (double)b.probes * 1e6, share);
    check_conf_free(&b.conf);
    free(b.checkers);
    return b.failed > 0 || (strcmp(type, "tcp") == 0 && share >= CORE_SHARE_MOST);
}
