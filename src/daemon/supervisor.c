/* supervisor.c - start, serve, drain, end. */
#include "daemon/supervisor.h"

#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/fibers.h"
#include "admin/samples.h"
#include "base/buf.h"
#include "base/metric.h"
#include "base/version.h"
#include "conf/load.h"
#include "conf/snapshot.h"
#include "daemon/check.h"
#include "daemon/lines.h"
#include "daemon/reload.h"
#include "daemon/renewal.h"
#include "daemon/systemd.h"
#include "net/scratch.h"
#include "net/tls_svid.h"
#include "observe/access_log.h"
#include "proxy/worker.h"
#include "upstream/lease.h"

#define DRAIN_LOOK   (10 * CLOCK_MS)
#define END_PATIENCE (2 * CLOCK_S) /* for the main thread's own fibers */
#define FIBERS_WAIT  (2 * CLOCK_S)
enum { WORKERS_MOST = SCHED_MOST - 4 }; /* the main thread has a scheduler, too */

/* ---- what the admin side sees ---- */

static void view(void *arg, struct admin_view *out)
{
    const struct supervisor *s = arg;

    MUST_BE(s, SUPERVISOR_MAGIC);
    *out = (struct admin_view){
        .conf = s->conf,
        .pools = s->serving->pools,
        .scheds = s->crew.scheds,
        .n_scheds = s->crew.n + 2,
        .n_workers = s->crew.n,
        .connections = atomic_load(&connections.open),
        .connections_most = atomic_load(&connections.most),
        .started = s->started,
        .loaded = s->loaded,
        .draining = s->state == SUPERVISOR_DRAINING,
    };
}

static int reload(void *arg, struct buf *out) { return reload_run(arg, out); }

static int backends(void *arg, const char *pool, struct buf *out)
{
    struct supervisor *s = arg;

    return health_thread_list(&s->health, pool, out);
}

static int order(void *arg, const char *which, enum members_order what, unsigned weight, struct buf *out)
{
    struct supervisor *s = arg;

    return health_thread_order(&s->health, which, what, weight, out);
}

static void stop(void *arg) { supervisor_stop(arg); }

static void drain_once(void *arg)
{
    struct supervisor *s = arg;

    if (s->state != SUPERVISOR_DRAINING)
        stop(s);
}

static uint64_t lost_lines(void)
{
    struct access_log_stats stats;

    access_log_stats_get(&stats);
    return stats.ring_full;
}

static int reopen(void *arg)
{
    int rc = access_log_reopen();

    (void)arg;
    if (rc < 0)
        log_error("access_log.not_reopened", "reason=%s", err_word(rc));
    else
        log_info("access_log.reopened", "lost=%llu", (unsigned long long)lost_lines());
    return rc;
}

/* Everything in the proxy that says what it is about says whom it is for: the client. */
static void about(const void *subject, char *out, size_t size)
{
    const struct ip *peer = subject;
    char text[IP_TEXT_MAX];
    size_t n = ip_format(peer, text);

    if (peer->family == 0)
        (void)snprintf(out, size, "%.*s", (int)n, text);
    else
        (void)snprintf(out, size, peer->family == 6 ? "[%.*s]:%u" : "%.*s:%u", (int)n, text, peer->port);
}

/* ---- signals ---- */

static void print_fibers(void *arg)
{
    struct supervisor *s = arg;
    struct buf out = { 0 };

    fibers_list(s->crew.scheds, s->crew.n + 2, about, &out, clock_now() + FIBERS_WAIT);
    if (out.n > 0)
        (void)!write(STDERR_FILENO, out.p, out.n);
    buf_free(&out);
}

static void on_signal(int number, void *arg)
{
    struct supervisor *s = arg;

    switch (number) {
    case SIGHUP: reload_ask(s); break;
    case SIGUSR1: (void)reopen(s); break;
    case SIGQUIT:
        if (fiber_go(&s->group, "list fibers", print_fibers, s) < 0)
            log_error("daemon.no_memory", "what=\"the list of fibers\"");
        break;
    default:
        log_info("daemon.signal", "signal=%s", number == SIGINT ? "INT" : "TERM");
        stop(s);
        break;
    }
}

/* ---- ending ---- */

static void drain(void *arg)
{
    struct supervisor *s = arg;
    int64_t deadline;

    fiber_doing("draining");
    if (fiber_mutex_lock(&s->changing, CLOCK_NEVER) < 0) /* a reload that has begun is finished first */
        return;
    deadline = clock_after(clock_now(), s->conf->timeouts.drain);
    crew_drain(&s->crew);
    fiber_mutex_unlock(&s->changing);
    while (atomic_load(&connections.open) > 0 && clock_now() < deadline)
        if (fiber_sleep(clock_now() + DRAIN_LOOK) < 0)
            return;
    fiber_sem_give(&s->end);
}

void supervisor_stop(struct supervisor *s)
{
    char status[64];

    if (s->state != SUPERVISOR_DRAINING) {
        s->state = SUPERVISOR_DRAINING;
        (void)snprintf(status, sizeof status, "draining %u connections", atomic_load(&connections.open));
        systemd_stopping(status);
        log_info("daemon.draining", "connections=%u at_most_s=%.1f", atomic_load(&connections.open),
                 (double)s->conf->timeouts.drain / 1e6);
        if (fiber_go(&s->group, "drain", drain, s) == 0)
            return;
    }
    fiber_sem_give(&s->end); /* a second time, or no memory to drain with */
}

/* ---- serving ---- */

static void watch(void *arg)
{
    struct supervisor *s = arg;
    int64_t half = systemd_watchdog_interval() / 2;

    fiber_doing("watching the workers");
    do {
        if (crew_pulse(&s->crew))
            systemd_watchdog();
    } while (fiber_sleep(clock_now() + half) == 0);
}

static void run_ready_hook(void *arg)
{
    struct supervisor *s = arg;

    s->hooks->ready(s, s->hooks->arg);
}

static int start_fibers(struct supervisor *s)
{
    int rc = signals_start(&s->signals, &s->group, on_signal, s);

    if (rc == 0 && s->control.acceptor.fd >= 0)
        rc = control_start(&s->control, &s->group, &s->host);
    if (rc == 0 && s->http.acceptor.fd >= 0)
        rc = admin_http_start(&s->http, &s->group, &s->host);
    if (rc == 0)
        rc = renewal_start(s);
    if (rc == 0 && systemd_watchdog_interval() > 0)
        rc = fiber_go(&s->group, "watchdog", watch, s);
    if (rc == 0 && s->hooks != NULL && s->hooks->ready != NULL)
        rc = fiber_go(&s->group, "hook", run_ready_hook, s);
    return rc;
}

static bool begin(struct supervisor *s)
{
    int rc = 0;

    if (s->hooks != NULL && s->hooks->before != NULL)
        rc = s->hooks->before(s, s->hooks->arg);
    if (rc == 0)
        rc = workload_api_start(&s->workload_api, s);
    if (rc == 0) {
        health_thread_adopt(&s->health, s->serving->pools, s->conf->n_pools, true);
        crew_publish(&s->crew, s->serving, s->listeners);
        rc = start_fibers(s);
    }
    if (rc < 0) {
        log_error("daemon.not_started", "reason=%s", err_word(rc));
        return false;
    }
    s->state = SUPERVISOR_SERVING;
    s->loaded = clock_wall();
    log_info("daemon.ready", "version=%s pid=%d workers=%u connections_most=%u file=%s", version_text, (int)getpid(), s->crew.n,
             atomic_load(&connections.most), s->path);
    systemd_ready("serving");
    return true;
}

/* The main thread's first fiber: everything from the first snapshot to the last connection. */
static void life(void *arg)
{
    struct supervisor *s = arg;

    fiber_doing("waiting for the end");
    s->failed = !begin(s);
    if (!s->failed)
        (void)fiber_sem_take(&s->end, CLOCK_NEVER);
    group_cancel(&s->group, ERR_CANCELED);
    s->left_over = group_join(&s->group, clock_now() + END_PATIENCE) < 0;
    health_thread_quiet(&s->health);
    signals_close(&s->signals);
    control_close(&s->control);
    admin_http_close(&s->http);
    if (s->hooks != NULL && s->hooks->after != NULL)
        s->hooks->after(s, s->hooks->arg);
    sched_stop(s->sched);
}

/* ---- starting ---- */

static unsigned n_workers(const struct snapshot *conf)
{
    cpu_set_t set;
    int n = conf->daemon.workers > 0                      ? (int)conf->daemon.workers
            : sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                          : 1;

    return n < 1 ? 1 : n > WORKERS_MOST ? WORKERS_MOST : (unsigned)n;
}

/* Prints what `why` says and returns false; true when it is only a warning. */
static bool told(int rc, struct buf *why)
{
    if (rc < 0 && why->n > 0)
        (void)fprintf(stderr, "weir: %s%s", why->p, why->p[why->n - 1] == '\n' ? "" : "\n");
    else if (rc < 0)
        (void)fprintf(stderr, "weir: %s\n", err_text(rc));
    else if (why->n > 0)
        lines_log(LOG_LEVEL_WARN, "daemon.warning", buf_slice(why));
    why->n = 0;
    return rc == 0;
}

/* The path that nobody wrote needs a folder that a hand-started proxy doesn't have: no reason not to serve. */
static bool open_control(struct supervisor *s, struct buf *why)
{
    const char *path = s->conf->daemon.control;
    int rc;

    if (path == NULL || strcmp(path, "off") == 0)
        return true;
    rc = control_listen(&s->control, path, why);
    if (rc < 0 && strcmp(path, CONTROL_PATH) != 0)
        return told(rc, why);
    if (rc < 0)
        log_warn("control.none", "reason=\"%.*s\"", (int)why->n, why->n > 0 ? why->p : "");
    why->n = 0;
    return true;
}

static int write_pid_file(struct supervisor *s, const char *path, struct buf *why)
{
    char text[16];
    int fd, n, rc = 0;

    if (path == NULL)
        return 0;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (fd < 0 || write(fd, text, (size_t)n) != n) {
        buf_printf(why, "daemon.pid_file: %s: %s", path, strerror(errno));
        rc = -ERR_IO;
    }
    s->pid_file_is_ours = rc == 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static void remove_pid_file(const struct supervisor *s)
{
    const char *path = s->pid_file_is_ours ? s->boot->daemon.pid_file : NULL; /* it may be another one's, which goes on */

    if (path != NULL && unlink(path) < 0 && errno != ENOENT)
        log_debug("daemon.pid_file_left", "path=%s error=\"%m\"", path);
}

/* Everything that needs rights, in order; false: told why. */
static bool open_all(struct supervisor *s, unsigned n, struct buf *why)
{
    const struct daemon_conf *d = &s->conf->daemon;
    uint32_t most;

    limits_read(&s->room);
    if (!told(limits_connections(s->conf->limits.connections, &s->room, &most, why), why))
        return false;
    limits_apply(most, &s->room);
    if (!told(privileges_look_up(d->user, &s->who, why), why) ||
        !told(listener_set_open(s->conf, NULL, n, &s->listeners, why), why))
        return false;
    if (d->admin != NULL && !told(admin_http_listen(&s->http, &d->admin_addr, why), why))
        return false;
    if (!open_control(s, why))
        return false;
    if (s->who.other && control_chown(&s->control, s->who.uid, s->who.gid) < 0)
        log_warn("control.owner", "error=\"%m\"");
    return told(write_pid_file(s, d->pid_file, why), why) && told(privileges_drop(d->user, &s->who, why), why);
}

static bool open_log(const struct log_conf *l, unsigned n)
{
    int rc = access_log_open(l->access, (enum access_format)l->format, n);

    if (rc < 0)
        (void)fprintf(stderr, "weir: log.access: %s can't be opened: %s\n", l->access, strerror(errno));
    return rc == 0;
}

/* On each worker, when a pool has other backends than before. */
static void drop_retired(void) { keepalive_close(true); }

static bool start_threads(struct supervisor *s, unsigned n)
{
    s->serving = serving_new(s->conf, n, NULL);
    s->sched = s->serving != NULL ? sched_open("main", false) : NULL;
    if (s->sched != NULL && crew_start(&s->crew, n) == 0) {
        s->crew.scheds[0] = s->sched;
        s->readers = (struct members_readers){ .scheds = s->crew.scheds, .n = n + 1, .passes = drop_retired };
        if (health_thread_start(&s->health, &s->readers) == 0) {
            s->crew.scheds[n + 1] = s->health.sched;
            pool_notice = members_notice;
            if (fiber_go(NULL, "supervisor", life, s) == 0)
                return true;
        }
    }
    (void)fprintf(stderr, "weir: out of memory or descriptors while starting %u workers\n", n);
    return false;
}

static bool start(struct supervisor *s)
{
    struct buf why = { 0 };
    unsigned n;
    bool ok;

    s->conf = check_load(s->path);
    if (s->conf == NULL)
        return false;
    s->boot = snapshot_ref(s->conf);
    log_set_level((enum log_level)s->conf->log.level);
    n = n_workers(s->conf);
    ok = open_all(s, n, &why) && open_log(&s->conf->log, n) && start_threads(s, n);
    buf_free(&why);
    return ok;
}

/* Runs the main scheduler until what others have sent home has arrived. */
static void settle(void *arg) { sched_stop(arg); }

static void end(struct supervisor *s)
{
    uint32_t open = atomic_load(&connections.open);

    crew_stop(&s->crew);
    health_thread_stop(&s->health);
    if (open > 0)
        log_warn("daemon.cut_off", "connections=%u", open);
    s->left_over |= atomic_load(&connections.open) > 0;
    serving_unref(&s->serving);
    if (s->listeners != NULL)
        listener_set_unref(&s->listeners);
    if (s->sched != NULL && !s->left_over && fiber_go(NULL, "settle", settle, s->sched) == 0)
        sched_run(s->sched);
    samples_forget();
    access_log_close();
    remove_pid_file(s);
}

static void free_all(struct supervisor *s)
{
    acceptor_close(&s->http.acceptor); /* still open when the start failed */
    control_close(&s->control);
    if (s->sched != NULL)
        sched_close(&s->sched);
    if (s->conf != NULL)
        snapshot_unref(&s->conf);
    if (s->boot != NULL)
        snapshot_unref(&s->boot);
    tls_svids_forget();
    scratch_free();
    metric_thread_close();
    s->magic = 0;
}

int supervisor_run(const char *path, const struct supervisor_hooks *hooks)
{
    static struct supervisor s; /* too large for a frame that others check */
    bool started;

    s = (struct supervisor){ .magic = SUPERVISOR_MAGIC, .path = path, .hooks = hooks, .started = clock_wall() };
    s.host = (struct admin_host){ &s, view, reload, drain_once, reopen, about, backends, order };
    s.control.acceptor.fd = s.http.acceptor.fd = -1;
    group_init(&s.group);
    signals_block();
    sched_catch_overflow();
    (void)metric_thread_open("main");
    samples_register(&s.host);
    started = start(&s);
    if (started)
        sched_run(s.sched);
    end(&s);
    if (started)
        log_info("daemon.ended", "pid=%d", (int)getpid());
    if (s.left_over)
        _exit(0); /* fibers that were cut off hold what nobody can free any more */
    free_all(&s);
    return started && !s.failed ? 0 : 1;
}
