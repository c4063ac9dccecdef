/*
 * route_bench.c - what finding a route costs with 10, 100 and 10,000 of them: user instructions, and nanoseconds.
 *
 * Instructions are counted exactly, by single-stepping a child, so no counter of the processor is needed and other work on
 * the machine does not show.  "hot" asks for one route again and again; "spread" for another one each time, so that with
 * many routes it also has what the caches cost.
 *
 * Prints "key value" lines; exit code 1 if the instructions are not flat: above 1.15 times those with 10 routes.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/snapshot.h"
#include "http/h1_parse.h"
#include "proxy/route.h"
#include "tests/bench/bench.h"

#define DIGITS 5
#define ROUNDS 400000u
#define FLAT   1.15

/* `#` is the route's number. */
struct shape {
    const char *name;
    const char *host, *path;         /* of each route; NULL: any */
    const char *ask_host, *ask_path; /* of a request that it takes */
};

static const struct shape shapes[] = {
    { "host", "h#.example.com", NULL, "h#.example.com", "/api/v1/users" },
    { "wide", "*.w#.example.com", NULL, "www.w#.example.com", "/api/v1/users" },
    { "prefix", NULL, "/p#/*", "www.example.com", "/p#/users" },
    { "exact", NULL, "/api/e#", "www.example.com", "/api/e#" },
    { "host_prefix", "h#.example.com", "/p#/*", "h#.example.com:8080", "/p#/users" },
};

struct bench {
    struct arena arena;
    struct snapshot conf;
    struct router *router;
    struct message m;
    struct slice path;
    char *digits[2]; /* where the number stands in the request's host and path, if it does */
    uint32_t state;
};

static char *filled(struct bench *b, const char *pattern, size_t number)
{
    char *text = arena_take(&b->arena, strlen(pattern) + DIGITS + 1), *at = text;

    if (text == NULL)
        exit(2);
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '#')
            at += sprintf(at, "%0*zu", DIGITS, number);
        else
            *at++ = *pattern;
    }
    *at = '\0';
    return text;
}

static void add_route(struct bench *b, const struct shape *s, size_t i)
{
    struct route_conf *r = &b->conf.routes[i];

    *r = (struct route_conf){ .name = "r", .file = "proxy.conf" };
    if (s->host != NULL) {
        r->host.v = arena_take(&b->arena, sizeof(char *));
        if (r->host.v == NULL)
            exit(2);
        r->host.v[0] = filled(b, s->host, i);
        r->host.n = 1;
    }
    if (s->path != NULL)
        r->path = filled(b, s->path, i);
}

/* The request of route 0, in which others only change the digits. */
static void make_request(struct bench *b, const struct shape *s)
{
    static const struct head_limits limits = { 32768, 8192, 100 };
    char *host = filled(b, s->ask_host, 0), *path = filled(b, s->ask_path, 0), *head = arena_take(&b->arena, 512);
    size_t seen = 0;
    int n;

    if (head == NULL)
        exit(2);
    n = snprintf(head, 512, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    b->m.cap_headers = 101;
    b->m.headers = arena_take(&b->arena, 101 * sizeof(struct header));
    if (h1_parse_request(&b->m, head, (size_t)n, &seen, &limits) != n)
        exit(2);
    b->digits[0] = strstr(host, "00000") == NULL ? NULL : head + (b->m.authority.p - head) + (strstr(host, "00000") - host);
    b->digits[1] = strstr(path, "00000") == NULL ? NULL : head + (b->m.path.p - head) + (strstr(path, "00000") - path);
}

static void setup(struct bench *b, const struct shape *s, size_t n)
{
    *b = (struct bench){ .state = 1 };
    arena_init(&b->arena, NULL, 0);
    b->conf.routes = arena_take(&b->arena, (n + 1) * sizeof(*b->conf.routes));
    if (b->conf.routes == NULL)
        exit(2);
    b->conf.n_routes = n;
    for (size_t i = 0; i < n; i++)
        add_route(b, s, i);
    b->router = router_new(&b->conf);
    if (b->router == NULL)
        exit(2);
    make_request(b, s);
}

static void teardown(struct bench *b)
{
    router_free(&b->router);
    arena_free(&b->arena);
}

static void ask_for(struct bench *b, size_t number)
{
    for (int k = 0; k < 2; k++) {
        size_t x = number;
        for (int i = DIGITS - 1; i >= 0 && b->digits[k] != NULL; i--, x /= 10)
            b->digits[k][i] = (char)('0' + x % 10);
    }
}

/* What one request costs beyond its parsing. */
__attribute__((noinline)) static const struct route_conf *route(struct bench *b)
{
    if (route_path(b->m.path, &b->arena, &b->path) < 0)
        return NULL;
    return router_find(b->router, &b->m, b->path);
}

/* --- instructions --- */

static void child(struct bench *b, bool with)
{
    const struct route_conf *volatile found = route(b); /* symbols are bound, pages are there */

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(1);
    raise(SIGSTOP);
    if (with)
        found = route(b);
    raise(SIGUSR1);
    _exit(found == NULL);
}

static long steps(struct bench *b, bool with)
{
    pid_t pid = fork();
    long n = 0;
    int status;

    if (pid == 0)
        child(b, with);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return -1;
    while (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
           WSTOPSIG(status) == SIGTRAP)
        n++;
    kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return n;
}

static long instructions(struct bench *b) { return steps(b, true) - steps(b, false); }

/* --- time --- */

static size_t next_number(struct bench *b, size_t n)
{
    b->state = b->state * 1664525u + 1013904223u;
    return (size_t)((uint64_t)b->state * n >> 32);
}

static double loop_ns(struct bench *b, size_t n, bool spread, bool with)
{
    double begin = bench_ns();
    size_t missed = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        ask_for(b, spread ? next_number(b, n) : n / 2);
        __asm__ volatile("" ::: "memory");
        if (with)
            missed += route(b) == NULL;
    }
    if (missed > 0 && n > 0)
        exit(2);
    return (bench_ns() - begin) / ROUNDS;
}

/* The best of a few, less what the loop itself takes. */
static double best_ns(struct bench *b, size_t n, bool spread)
{
    double with = 1e9, without = 1e9;

    for (int i = 0; i < 5; i++) {
        double a = loop_ns(b, n, spread, true), z = loop_ns(b, n, spread, false);
        with = a < with ? a : with;
        without = z < without ? z : without;
    }
    return with - without;
}

static void say(const struct shape *s, size_t n, const char *what, double value)
{
    char key[64];

    (void)snprintf(key, sizeof(key), "route_%s_%zu_%s", s->name, n, what);
    bench_say(key, value);
}

static bool measure(const struct shape *s)
{
    static const size_t sizes[] = { 0, 10, 100, 10000 };
    long with_ten = 0, now = 0;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct bench b;
        setup(&b, s, sizes[i]);
        ask_for(&b, sizes[i] / 2);
        now = instructions(&b);
        with_ten = sizes[i] == 10 ? now : with_ten;
        say(s, sizes[i], "instructions", (double)now);
        say(s, sizes[i], "hot_ns", best_ns(&b, sizes[i], false));
        say(s, sizes[i], "spread_ns", best_ns(&b, sizes[i], true));
        teardown(&b);
    }
    return now > 0 && (double)now <= FLAT * (double)with_ten;
}

int main(void)
{
    bool flat = true;

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        flat = measure(&shapes[i]) && flat;
    return flat ? 0 : 1;
}
