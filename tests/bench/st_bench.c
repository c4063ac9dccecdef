/* st_bench.c - State Threads (Debian's libst) on what it can do of the same: `st_bench WHAT [N]`.  It has no channels; a round
 * trip is two condition variables. */
#include <netinet/in.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <st.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"

static long n, ended, requests;
static int talking;
static st_cond_t ping, pong;
static int turn;

__attribute__((noinline)) static void yields(long count)
{
    for (long i = 0; i < count; i++)
        st_usleep(0);
}

static void *yielder(void *arg)
{
    (void)arg;
    yields(n / 2);
    return NULL;
}

static void *ends(void *arg)
{
    (void)arg;
    ended++;
    return NULL;
}

static void *answers(void *arg)
{
    while (arg == NULL) { /* for ever */
        while (turn != 1)
            st_cond_wait(ping);
        turn = 0;
        st_cond_signal(pong);
    }
    return NULL;
}

__attribute__((noinline)) static int parks_deep(int depth)
{
    volatile int here = depth;

    return depth > 0 ? parks_deep(depth - 1) + here : st_sleep(-1) + here;
}

static void *parks(void *arg)
{
    parks_deep(4);
    return arg;
}

static void *serves(void *arg)
{
    st_netfd_t fd = arg;
    char buf[4096];
    ssize_t r;

    while ((r = st_read(fd, buf, sizeof buf, 60000000)) > 0 && st_write(fd, buf, (size_t)r, 60000000) == r)
        requests++;
    st_netfd_close(fd);
    talking--;
    return NULL;
}

static void echo(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    st_netfd_t l;
    double cpu;

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        exit(1);
    printf("port %d\n", ntohs(sa.sin_port));
    fflush(stdout);
    l = st_netfd_open_socket(fd);
    for (talking = 0; talking < n; talking++) {
        st_netfd_t c = st_accept(l, NULL, NULL, ST_UTIME_NO_TIMEOUT);

        setsockopt(st_netfd_fileno(c), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        st_thread_create(serves, c, 0, 65536);
    }
    cpu = bench_cpu_us();
    while (talking > 0)
        st_usleep(1000);
    bench_say("echo_cpu", (bench_cpu_us() - cpu) / (double)requests);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    double start;

    st_set_eventsys(ST_EVENTSYS_ALT);
    if (st_init() < 0)
        return 1;
    start = bench_ns();
    if (strcmp(what, "switch") == 0) {
        n = bench_count(argc, argv, 2000000);
        st_thread_create(yielder, NULL, 0, 65536);
        yields(n / 2);
        bench_say("switch", (bench_ns() - start) / (double)n);
    } else if (strcmp(what, "spawn") == 0) {
        n = bench_count(argc, argv, 1000000);
        for (long i = 0; i < n; i++)
            st_thread_join(st_thread_create(ends, NULL, 1, 65536), NULL);
        bench_say("spawn", (bench_ns() - start) / (double)n);
    } else if (strcmp(what, "chan") == 0) {
        n = bench_count(argc, argv, 3000000);
        ping = st_cond_new();
        pong = st_cond_new();
        st_thread_create(answers, NULL, 0, 65536);
        for (long i = 0; i < n; i++) {
            turn = 1;
            st_cond_signal(ping);
            while (turn != 0)
                st_cond_wait(pong);
        }
        bench_say("chan", (bench_ns() - start) / (double)n);
    } else if (strcmp(what, "parked") == 0) {
        n = bench_count(argc, argv, 100000);
        bench_memory(0);
        for (long i = 0; i < n; i++)
            if (st_thread_create(parks, NULL, 0, 65536) == NULL)
                return 1;
        st_usleep(10000);
        bench_memory(n);
    } else if (strcmp(what, "echo") == 0) {
        n = bench_count(argc, argv, 100);
        echo();
    } else {
        return 2;
    }
    _exit(0);
}
