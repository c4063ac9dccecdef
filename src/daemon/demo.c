/* demo.c - three backends, a file for them, requests of our own, a table. */
#include "daemon/demo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/small_http.h"
#include "base/buf.h"
#include "base/must.h"
#include "daemon/supervisor.h"
#include "http/h1_codec.h"

enum { BACKENDS = 3, CONNECTIONS = 10, REQUESTS_EACH = 12, BACKEND_CONNECTIONS = 64, PORTS_TRIED = 100 };
#define REQUEST_DEADLINE (5 * CLOCK_S)

struct demo_backend {
    struct acceptor acceptor;
    struct small_site site;
    struct demo_count count;
    unsigned port;
};

struct demo {
    const char *program;
    struct demo_backend backend[BACKENDS];
    unsigned port, admin_port;
    char dir[32], conf[64], control[64];
    unsigned failed;
};

/* ---- the table ---- */

void demo_table(const struct demo_count *v, size_t n, struct buf *out)
{
    unsigned requests = 0, weights = 0;

    for (size_t i = 0; i < n; i++) {
        requests += v[i].requests;
        weights += v[i].weight;
    }
    buf_printf(out, "  %-10s %7s %9s %8s %9s\n", "backend", "weight", "requests", "share", "by weight");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "  %-10s %7u %9u %7.1f%% %8.1f%%\n", v[i].name, v[i].weight, v[i].requests,
                   requests == 0 ? 0.0 : 100.0 * v[i].requests / requests, weights == 0 ? 0.0 : 100.0 * v[i].weight / weights);
}

/* ---- sockets and files ---- */

static struct addr loopback(unsigned port)
{
    struct addr a = { .len = sizeof a.in };

    a.in.sin_family = AF_INET;
    a.in.sin_port = htons((uint16_t)port);
    a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* Two demos that start at once must not find the same port free: a name that only one of them can have, for as long as it lives.
 * A descriptor, -1: another one has it. */
static int claim(unsigned port)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int n = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "weir-demo-%u", port); /* abstract: no file */

    if (fd >= 0 && bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static bool is_free(unsigned port)
{
    struct acceptor a = { .fd = -1 };
    struct addr at = loopback(port);
    struct buf why = { 0 };
    bool is = acceptor_listen(&a, &at, &why) == 0;

    acceptor_close(&a);
    buf_free(&why);
    return is;
}

/* The first port from `from` on that nobody has; `from` itself if there is none, and the start will say so.  The claim is never
 * given up. */
static unsigned free_port(unsigned from)
{
    for (unsigned port = from; port < from + PORTS_TRIED; port++) {
        int fd = claim(port);
        if (fd >= 0 && is_free(port))
            return port;
        if (fd >= 0)
            (void)close(fd);
    }
    return from;
}

static void backend_answers(const struct message *m, struct slice body, struct small_reply *r, void *arg)
{
    const struct demo_backend *b = arg;

    buf_printf(&r->body, "%s\n", b->count.name);
    (void)m;
    (void)body;
}

static int open_backend(struct demo_backend *b, const char *name, unsigned weight)
{
    struct addr at = loopback(0);
    struct buf why = { 0 };
    int rc = acceptor_listen(&b->acceptor, &at, &why);

    b->count = (struct demo_count){ .name = name, .weight = weight };
    b->site = (struct small_site){ .answer = backend_answers, .arg = b, .idle = 300 * CLOCK_S };
    if (rc < 0)
        (void)fprintf(stderr, "weir: %s\n", why.p != NULL ? why.p : err_text(rc));
    else if (getsockname(b->acceptor.fd, &at.sa, &at.len) < 0)
        rc = err_from_errno(errno);
    b->port = ntohs(at.in.sin_port);
    buf_free(&why);
    return rc;
}

static void write_conf(const struct demo *d, FILE *f)
{
    (void)fprintf(f,
                  "// The demo's own file.  Change it and try: %s ctl -s %s reload\n"
                  "daemon    = { control = \"%s\"; admin = \"127.0.0.1:%u\"; };\n"
                  "log       = { level = \"warn\"; access = \"off\"; };\n"
                  "timeouts  = { drain = \"2s\"; };\n"
                  "listeners = ( { name = \"demo\"; bind = \"127.0.0.1:%u\"; pool = \"colours\"; } );\n"
                  "pools     = ( { name = \"colours\"; backends = (\n",
                  d->program, d->control, d->control, d->admin_port, d->port);
    for (int i = 0; i < BACKENDS; i++)
        (void)fprintf(f, "    { address = \"127.0.0.1:%u\"; weight = %u; }%s  // %s\n", d->backend[i].port,
                      d->backend[i].count.weight, i + 1 < BACKENDS ? "," : " ", d->backend[i].count.name);
    (void)fprintf(f, "  ); } );\n");
}

static int make_files(struct demo *d)
{
    FILE *f;
    bool ok;

    (void)snprintf(d->dir, sizeof d->dir, "/tmp/weir-demo-XXXXXX");
    if (mkdtemp(d->dir) == NULL) {
        d->dir[0] = '\0';
        (void)fprintf(stderr, "weir: no folder in /tmp: %s\n", strerror(errno));
        return -ERR_IO;
    }
    (void)snprintf(d->conf, sizeof d->conf, "%s/proxy.conf", d->dir);
    (void)snprintf(d->control, sizeof d->control, "%s/control.sock", d->dir);
    f = fopen(d->conf, "we");
    if (f == NULL)
        return -ERR_IO;
    write_conf(d, f);
    ok = ferror(f) == 0;
    return fclose(f) == 0 && ok ? 0 : -ERR_IO;
}

static void remove_files(struct demo *d)
{
    if (d->dir[0] == '\0')
        return;
    (void)unlink(d->conf);
    (void)unlink(d->control);
    (void)rmdir(d->dir);
    d->dir[0] = '\0';
}

/* ---- requests ---- */

/* Which backend answered: its name is the body.  False: something is wrong. */
static bool count_answer(struct demo *d, struct slice body)
{
    for (int i = 0; i < BACKENDS; i++) {
        struct demo_count *c = &d->backend[i].count;
        size_t n = strlen(c->name);
        if (body.n == n + 1 && memcmp(body.p, c->name, n) == 0) {
            c->requests++;
            return true;
        }
    }
    return false;
}

static bool ask_once(struct demo *d, struct h1_codec *c, struct arena *a, const struct addr *to)
{
    static const struct head_limits limits = { .head = 8192, .line = 4096, .headers = 64 };
    struct message req = {
        .method_name = SLICE("GET"), .method = METHOD_GET, .target = SLICE("/"), .path = SLICE("/"), .minor = 1
    };
    struct message res = { 0 };
    struct head_frame f = { .framing = FRAMING_NONE };
    int64_t deadline = fiber_now() + REQUEST_DEADLINE;
    char host[ADDR_TEXT_MAX], text[64];
    struct body b;
    size_t n = 0;

    req.authority = slice_str(addr_format(to, host));
    h1_codec_next(c, a);
    if (c->codec.ops->write_head(&c->codec, &req, &f, NULL, deadline) < 0 ||
        c->codec.ops->read_response(&c->codec, &res, METHOD_GET, &limits, deadline) < 0 || res.status != 200)
        return false;
    do {
        if (c->codec.ops->read_body(&c->codec, &b, deadline) < 0 || n + b.data.n > sizeof text)
            return false;
        if (b.data.n > 0)
            memcpy(text + n, b.data.p, b.data.n);
        n += b.data.n;
    } while (!b.last);
    return count_answer(d, slice_of(text, n));
}

/* One client's connection: a few requests, one after the other. */
static void ask(struct demo *d)
{
    struct addr to = loopback(d->port);
    struct stream s = { 0 };
    struct h1_codec c;
    struct arena a;

    if (stream_connect(&s, &to, fiber_now() + REQUEST_DEADLINE) < 0) {
        d->failed += REQUESTS_EACH;
        return;
    }
    h1_codec_open(&c, &s);
    for (int i = 0; i < REQUESTS_EACH; i++) {
        bool good;

        arena_init(&a, NULL, 0);
        good = ask_once(d, &c, &a, &to);
        arena_free(&a);
        if (!good) {
            d->failed += (unsigned)(REQUESTS_EACH - i);
            break;
        }
    }
    h1_codec_close(&c);
    stream_close(&s);
}

static void print_result(const struct demo *d)
{
    struct demo_count counts[BACKENDS];
    struct buf out = { 0 };

    for (int i = 0; i < BACKENDS; i++)
        counts[i] = d->backend[i].count;
    buf_printf(&out, "Sent %d requests over %d connections to http://127.0.0.1:%u/:\n\n", CONNECTIONS * REQUESTS_EACH,
               CONNECTIONS, d->port);
    demo_table(counts, BACKENDS, &out);
    if (d->failed > 0)
        buf_printf(&out, "  %u requests failed\n", d->failed);
    buf_printf(&out,
               "\nIt goes on running.  Try in another terminal:\n\n"
               "  curl http://127.0.0.1:%u/\n"
               "  curl http://127.0.0.1:%u/metrics\n"
               "  %s ctl -s %s status\n"
               "  $EDITOR %s && %s ctl -s %s reload\n\n"
               "Ctrl-C ends it.\n",
               d->port, d->admin_port, d->program, d->control, d->conf, d->program, d->control);
    (void)fwrite(out.p != NULL ? out.p : "", 1, out.n, stdout);
    (void)fflush(stdout);
    buf_free(&out);
}

/* ---- hooks ---- */

static int before(struct supervisor *s, void *arg)
{
    struct demo *d = arg;
    int rc = 0;

    for (int i = 0; i < BACKENDS && rc == 0; i++)
        rc = acceptor_start(&d->backend[i].acceptor, &s->group, "demo backend", BACKEND_CONNECTIONS, small_http_serve,
                            &d->backend[i].site);
    return rc;
}

static void print_called(void *arg) { print_result(arg); }

static void ready(struct supervisor *s, void *arg)
{
    struct demo *d = arg;

    (void)s;
    fiber_doing("sending requests");
    for (int i = 0; i < CONNECTIONS; i++)
        ask(d);
    fiber_on_thread_stack(print_called, d); /* stdio */
}

static void after(struct supervisor *s, void *arg)
{
    struct demo *d = arg;

    (void)s;
    for (int i = 0; i < BACKENDS; i++)
        acceptor_close(&d->backend[i].acceptor);
    remove_files(d);
}

static int open_all(struct demo *d)
{
    static const char *const names[BACKENDS] = { "red", "green", "blue" };
    int rc = 0;

    d->port = free_port(8080);
    d->admin_port = free_port(9901);
    for (int i = 0; i < BACKENDS && rc == 0; i++)
        rc = open_backend(&d->backend[i], names[i], (unsigned)(BACKENDS - i));
    return rc < 0 ? rc : make_files(d);
}

int demo_run(const char *program)
{
    static struct demo d;
    const struct supervisor_hooks hooks = { .before = before, .ready = ready, .after = after, .arg = &d };
    int rc = 1;

    d.program = program;
    for (int i = 0; i < BACKENDS; i++)
        d.backend[i].acceptor.fd = -1;
    if (open_all(&d) == 0)
        rc = supervisor_run(d.conf, &hooks);
    for (int i = 0; i < BACKENDS; i++)
        if (d.backend[i].acceptor.fd >= 0)
            (void)close(d.backend[i].acceptor.fd);
    remove_files(&d);
    return rc;
}
