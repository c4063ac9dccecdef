/* fiber_bench.c - our side of the benchmark: `fiber_bench WHAT [N]`; see tests/bench/run for what is measured. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "fiber/chan.h"
#include "fiber/fiber.h"
#include "fiber/netpoll.h"
#include "fiber/sched.h"
#include "fiber/timer.h"
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static long n;
static double start;

static void done(const char *key, double count) { bench_say(key, (bench_ns() - start) / count); }

/* --- switch, yield, spawn --- */

__attribute__((noinline)) static void yields(void *arg)
{
    for (long i = 0; i < (long)(intptr_t)arg; i++)
        fiber_yield();
}

static void bench_switch(void *arg)
{
    (void)arg;
    fiber_go(NULL, "a", yields, (void *)(intptr_t)(n / 2));
    start = bench_ns();
    yields((void *)(intptr_t)(n / 2));
    done("switch", (double)n);
}

__attribute__((noinline)) static void far_yield(int depth)
{
    if (depth > 0)
        far_yield(depth - 1);
    else
        fiber_yield();
    __asm__ volatile(""); /* no tail call */
}

static void far_yields(void *arg)
{
    for (long i = 0; i < (long)(intptr_t)arg; i++)
        far_yield(2);
}

static void bench_yield(void *arg)
{
    (void)arg;
    fiber_go(NULL, "a", far_yields, (void *)(intptr_t)(n / 2));
    start = bench_ns();
    yields((void *)(intptr_t)(n / 2));
    done("yield", (double)n);
}

static void ends(void *arg) { ++*(long *)arg; }

static void bench_spawn(void *arg)
{
    long ended = 0;

    (void)arg;
    start = bench_ns();
    for (long i = 0; i < n; i++) {
        fiber_go(NULL, "child", ends, &ended);
        fiber_yield();
    }
    done("spawn", (double)n);
}

static void bench_spawn_batch(void *arg)
{
    long ended = 0;

    (void)arg;
    for (int round = 0; round < 2; round++) { /* the first warms the stacks up */
        start = bench_ns();
        for (long i = 0; i < (round == 0 ? 1 : n / 256); i++) {
            for (int k = 0; k < 256; k++)
                fiber_go(NULL, "child", ends, &ended);
            while (ended % 256 != 0 || ended == 0)
                fiber_yield();
            fiber_yield();
        }
    }
    done("spawn_batch", (double)(n / 256 * 256));
}

/* --- channels --- */

static struct chan *there, *back;

static void answers(void *arg)
{
    uint64_t v;

    (void)arg;
    while (chan_recv(there, &v, CLOCK_NEVER) == 0)
        (void)chan_send(back, &v, CLOCK_NEVER);
}

static void bench_chan(void *arg)
{
    uint64_t v = 1;

    (void)arg;
    there = chan_new(sizeof v, 0);
    back = chan_new(sizeof v, 0);
    fiber_go(NULL, "answers", answers, NULL);
    start = bench_ns();
    for (long i = 0; i < n; i++) {
        (void)chan_send(there, &v, CLOCK_NEVER);
        (void)chan_recv(back, &v, CLOCK_NEVER);
    }
    done("chan", (double)n);
    chan_close(there);
    fiber_yield();
}

static void fills(void *arg)
{
    uint64_t v = 1;

    (void)arg;
    for (long i = 0; i < n; i++)
        (void)chan_send(there, &v, CLOCK_NEVER);
    chan_close(there);
}

static void bench_chan_buf(void *arg)
{
    uint64_t v;

    (void)arg;
    there = chan_new(sizeof v, 128);
    fiber_go(NULL, "fills", fills, NULL);
    start = bench_ns();
    while (chan_recv(there, &v, CLOCK_NEVER) == 0)
        ;
    done("chan_buf", (double)n);
}

static void feeds_two(void *arg)
{
    uint64_t v = 1;

    (void)arg;
    for (long i = 0; i < n; i++)
        (void)chan_send((i & 1) != 0 ? back : there, &v, CLOCK_NEVER);
}

static void bench_select(void *arg)
{
    uint64_t v;

    (void)arg;
    there = chan_new(sizeof v, 0);
    back = chan_new(sizeof v, 0);
    fiber_go(NULL, "feeds", feeds_two, NULL);
    start = bench_ns();
    for (long i = 0; i < n; i++) {
        struct chan_case k[] = { { .chan = there, .op = CHAN_RECV, .elem = &v }, { .chan = back, .op = CHAN_RECV, .elem = &v } };

        if (chan_select(k, 2, fiber_now() + 10 * CLOCK_S) < 0)
            abort();
    }
    done("select", (double)n);
}

/* --- deadlines --- */

enum { LIVE = 100000 };
static struct timer live[LIVE], probes[64];

static void fires_not(struct timer *t) { (void)t; }

static void bench_deadline(void *arg)
{
    int64_t now = fiber_now();

    (void)arg;
    for (int i = 0; i < LIVE; i++) {
        timer_init(&live[i], fires_not);
        timer_arm(&live[i], now + 60 * CLOCK_S + (int64_t)i * 977);
    }
    for (int i = 0; i < 64; i++)
        timer_init(&probes[i], fires_not);
    start = bench_ns();
    for (long i = 0; i < n; i++) {
        timer_arm(&probes[i & 63], now + 30 * CLOCK_S + (i & 1023) * CLOCK_MS);
        timer_disarm(&probes[i & 63]);
    }
    done("deadline", (double)n);
    for (int i = 0; i < LIVE; i++)
        timer_disarm(&live[i]);
}

/* --- memory --- */

__attribute__((noinline)) static int parks_deep(int depth)
{
    volatile int here = depth;

    return depth > 0 ? parks_deep(depth - 1) + here : fiber_sleep(CLOCK_NEVER) + here;
}

static void parks(void *arg) { *(volatile int *)arg += parks_deep(4); }

static void bench_parked(void *arg)
{
    static int sum;

    (void)arg;
    bench_memory(0);
    for (long i = 0; i < n; i++)
        if (fiber_go(NULL, "parked", parks, &sum) < 0) {
            fprintf(stderr, "fiber_bench: only %ld fibers\n", i);
            exit(1);
        }
    fiber_yield();
    fiber_sleep(clock_now() + 10 * CLOCK_MS);
    bench_memory(n);
    _exit(0);
}

/* --- echo: every request has a deadline --- */

enum { REQUEST = 128 }; /* as echo_client.c sends them */
static long requests;
static int talking;
static double cpu;

static void serves(void *arg)
{
    struct pd *p = arg;
    char buf[4096];

    for (;;) {
        ssize_t r, w;

        if (pd_wait_read(p, fiber_now() + 60 * CLOCK_S) < 0)
            break;
        r = read(p->fd, buf, sizeof buf);
        if (r < 0 && errno == EAGAIN) {
            pd_read_again(p);
            continue;
        }
        if (r <= 0)
            break;
        if ((size_t)r < sizeof buf)
            pd_read_drained(p);
        if (r == REQUEST)
            pd_no_doubt(p);
        w = write(p->fd, buf, (size_t)r);
        if (w != r)
            break;
        requests++;
    }
    pd_forget(p);
    close(p->fd);
    if (--talking > 0)
        return;
    bench_say("echo_cpu", (bench_cpu_us() - cpu) / (double)requests);
    bench_say("echo_requests", (double)requests);
    sched_stop(sched_self());
}

static int listening(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        exit(1);
    printf("port %d\n", ntohs(sa.sin_port));
    fflush(stdout);
    return fd;
}

static void bench_echo(void *arg)
{
    int l = listening();

    (void)arg;
    talking = (int)n;
    for (long i = 0; i < n; i++) {
        struct pd *p = malloc(sizeof *p);
        int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;

        if (p == NULL || fd < 0)
            exit(1);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pd_init(p, fd);
        fiber_go(NULL, "serves", serves, p);
    }
    cpu = bench_cpu_us();
}

/* --- */

static const struct {
    const char *name;
    fiber_fn *fn;
    long n;
} all[] = {
    { "switch", bench_switch, 20000000 }, { "yield", bench_yield, 20000000 },
    { "spawn", bench_spawn, 5000000 },    { "spawn_batch", bench_spawn_batch, 5000000 },
    { "chan", bench_chan, 5000000 },      { "chan_buf", bench_chan_buf, 20000000 },
    { "select", bench_select, 5000000 },  { "deadline", bench_deadline, 20000000 },
    { "parked", bench_parked, 100000 },   { "echo", bench_echo, 100 },
};

static fiber_fn *chosen;

static void main_fiber(void *arg)
{
    chosen(arg);
    if (chosen != bench_echo)
        sched_stop(sched_self());
}

int main(int argc, char **argv)
{
    struct sched *s;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (argc > 1 && strcmp(argv[1], all[i].name) == 0) {
            chosen = all[i].fn;
            n = bench_count(argc, argv, all[i].n);
        }
    if (chosen == NULL) {
        fprintf(stderr, "usage: fiber_bench switch|yield|spawn|spawn_batch|chan|chan_buf|select|deadline|parked|echo [N]\n");
        return 2;
    }
    s = sched_open("bench", false);
    if (s == NULL || fiber_go(NULL, "main", main_fiber, NULL) < 0)
        return 1;
    sched_run(s);
    _exit(0);
}
