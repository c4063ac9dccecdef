/* access_log.c - the rings' one reader: when it looks, when it sleeps, and where it writes to. */
#define _GNU_SOURCE /* memrchr, pthread_setname_np */
#include "observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "base/sink.h"
#include "observe/prometheus.h"
#include "observe/ring.h"

enum { LOOK_EVERY_MS = 50, FLUSH_MOST_S = 5 };
enum { WANTED = 4096 }; /* a ring with less room than this looks at the reader's side first */

/* What the log thread is doing, which says who needs to wake it. */
enum bell {
    AWAKE,   /* nobody */
    PAUSED,  /* the file takes nothing: only the main thread */
    NAPPING, /* traffic goes on: also a worker whose ring is half full */
    ASLEEP,  /* nothing was going on: everybody */
};

struct worker_log {
    struct ring ring;
    _Alignas(64) _Atomic uint64_t ring_full; /* its own */
    _Atomic uint64_t wakes;
};

static struct {
    struct worker_log *workers;
    unsigned n_workers;
    bool open;
    pthread_t thread;
    _Atomic bool on;
    _Atomic int format;
    _Atomic uint32_t bell;

    pthread_mutex_t lock; /* main and log thread */
    char *path;           /* the main thread's */
    struct sink next;     /* where to go on; has_next */
    bool has_next, stop;
    uint64_t flush_wanted, flush_done;
    int flush_result;
    _Atomic bool orders;     /* one of the above wants to be looked at */
    _Atomic uint32_t obeyed; /* counts orders carried out; the main thread waits for it to move */

    struct sink sink; /* the log thread's; fd -1: nowhere */
    unsigned turn;    /* the ring to go on with: it may have a line half written */
    size_t sent;      /* bytes of that ring that are written but not a whole line yet */
    _Atomic uint64_t written, write_errors, abandoned;
} it = { .lock = PTHREAD_MUTEX_INITIALIZER, .sink = { .fd = -1 } };

static void count(_Atomic uint64_t *n, uint64_t more)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed);
}
static uint64_t read_count(const _Atomic uint64_t *n) { return atomic_load_explicit(n, memory_order_relaxed); }

/* ---- waking and sleeping */

/* Sleeps while *word is `while_it_is`, until woken.  False: `ms` went by; less than 0: for ever. */
static bool word_wait(_Atomic uint32_t *word, uint32_t while_it_is, int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_it_is, ms < 0 ? NULL : &t, NULL, 0) == 0 || errno != ETIMEDOUT;
}

static void word_wake(_Atomic uint32_t *word) { (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

/* True: it was asleep (as deeply as `least`), so a system call was made. */
static bool bell_ring(enum bell least)
{
    if (atomic_load_explicit(&it.bell, memory_order_seq_cst) < (uint32_t)least)
        return false;
    if (atomic_exchange_explicit(&it.bell, AWAKE, memory_order_seq_cst) == AWAKE)
        return false; /* another worker was faster */
    word_wake(&it.bell);
    return true;
}

/* ---- the workers' side */

bool access_log_is_on(void) { return atomic_load_explicit(&it.on, memory_order_relaxed); }

void access_log_line(unsigned worker, const struct access_record *r)
{
    struct worker_log *w;
    struct ring_room room;
    size_t filled;
    char *end;

    if (!access_log_is_on())
        return;
    MUST(worker < it.n_workers);
    w = &it.workers[worker];
    room = ring_reserve(&w->ring, w->ring.size / 2 < WANTED ? WANTED : w->ring.size / 2);
    end = access_format(room.p, room.p + room.n, (enum access_format)atomic_load_explicit(&it.format, memory_order_relaxed), r);
    if (end == NULL) {
        count(&w->ring_full, 1);
        return;
    }
    filled = ring_commit(&w->ring, (size_t)(end - room.p));
    if (bell_ring(filled >= w->ring.size / 2 ? NAPPING : ASLEEP))
        count(&w->wakes, 1);
}

/* ---- the log thread */

/* Bytes of whole lines among the first n. */
static size_t whole_lines(const char *p, size_t n)
{
    const char *newline = memrchr(p, '\n', n);

    return newline == NULL ? 0 : (size_t)(newline - p) + 1;
}

static void say_failed(int errnum)
{
    count(&it.write_errors, 1);
    errno = errnum;
    log_every_second(LOG_LEVEL_ERROR, "access_log.write_failed", "reason=\"%m\" errors=%llu",
                     (unsigned long long)read_count(&it.write_errors));
}

/* Writes what the ring has.  The ring moves on by whole lines, so that a new file never begins with half a one.  0: all that
 * was there is out; -ERR_AGAIN: the reader has no room; another -ERR_x: the write failed. */
static int drain_ring(struct ring *r)
{
    struct slice have = ring_filled(r);
    ssize_t n;
    size_t lines;

    while (it.sent < have.n) {
        n = sink_write(&it.sink, have.p + it.sent, have.n - it.sent);
        if (n < 0 && n != -ERR_AGAIN)
            say_failed(errno);
        if (n <= 0)
            return n == 0 ? -ERR_AGAIN : (int)n;
        count(&it.written, (uint64_t)n);
        it.sent += (size_t)n;
        lines = whole_lines(have.p, it.sent);
        ring_taken(r, lines);
        it.sent -= lines;
        have = slice_of(have.p + lines, have.n - lines);
    }
    return 0;
}

/* One look at each ring, beginning where a line may be half written. */
static int drain_all(bool *any)
{
    int rc;

    *any = false;
    for (unsigned i = 0; i < it.n_workers; i++) {
        struct ring *r = &it.workers[it.turn].ring;
        if (ring_filled(r).n > 0)
            *any = true;
        rc = it.sink.fd < 0 ? 0 : drain_ring(r);
        if (it.sink.fd < 0)
            ring_taken(r, ring_filled(r).n); /* just turned off */
        if (rc < 0)
            return rc;
        it.turn = (it.turn + 1) % it.n_workers;
    }
    return 0;
}

static bool all_empty(void)
{
    for (unsigned i = 0; i < it.n_workers; i++)
        if (ring_filled(&it.workers[i].ring).n > 0)
            return false;
    return true;
}

/* Sleeps as deeply as `how` allows, unless something came up meanwhile. */
static void rest(enum bell how)
{
    bool wanted;

    atomic_store_explicit(&it.bell, how, memory_order_seq_cst);
    wanted = atomic_load_explicit(&it.orders, memory_order_seq_cst) || (how == ASLEEP && !all_empty());
    if (!wanted)
        (void)word_wait(&it.bell, how, how == ASLEEP ? -1 : LOOK_EVERY_MS);
    atomic_store_explicit(&it.bell, AWAKE, memory_order_seq_cst);
}

/* After the old place got what it would take. */
static void go_to_next_place(void)
{
    sink_close(&it.sink);
    it.sink = it.next;
    it.has_next = false;
    it.sent = 0; /* a line half written to the old place is written whole to the new one */
}

/* What the main thread asked for, once a look at the rings gave `drained`.  True: end. */
static bool obey(int drained)
{
    bool stop, done = false;

    (void)pthread_mutex_lock(&it.lock);
    if (it.has_next) {
        go_to_next_place();
        done = true;
    }
    if (drained != -ERR_AGAIN && it.flush_done != it.flush_wanted) {
        it.flush_result = drained;
        it.flush_done = it.flush_wanted;
        done = true;
    }
    stop = it.stop;
    atomic_store_explicit(&it.orders, it.flush_done != it.flush_wanted, memory_order_seq_cst);
    (void)pthread_mutex_unlock(&it.lock);
    if (done) {
        (void)atomic_fetch_add_explicit(&it.obeyed, 1, memory_order_seq_cst);
        word_wake(&it.obeyed);
    }
    return stop;
}

static void *log_thread(void *arg)
{
    bool any, orders;
    int rc;

    (void)arg;
    (void)pthread_setname_np(pthread_self(), "weir-access-log");
    for (;;) {
        orders = atomic_load_explicit(&it.orders,
                                      memory_order_seq_cst); /* before the look: a flush wants one that began after it */
        rc = drain_all(&any);
        if (orders && obey(rc))
            return NULL;
        if (rc == -ERR_AGAIN)
            (void)sink_wait(&it.sink, LOOK_EVERY_MS);
        else if (rc < 0)
            rest(PAUSED);
        else
            rest(any ? NAPPING : ASLEEP);
    }
}

/* ---- the main thread's side */

static int say_not_opened(const char *path, int errnum)
{
    char quoted[256];

    errno = errnum;
    log_error("access_log.open_failed", "path=%s reason=\"%m\"", log_quote(quoted, sizeof quoted, slice_str(path)));
    errno = errnum;
    return err_from_errno(errnum);
}

/* Where lines go for `path`; fd -1: off. */
static int open_place(const char *path, struct sink *out)
{
    int fd;

    *out = (struct sink){ .fd = -1 };
    if (strcmp(path, "off") == 0)
        return 0;
    if (strcmp(path, "stdout") == 0) {
        sink_open(out, STDOUT_FILENO);
        return 0;
    }
    /* O_NONBLOCK: a named pipe without a reader is an error and not a wait; a file does not care */
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0)
        return say_not_opened(path, errno);
    *out = (struct sink){ .fd = fd, .kind = SINK_PLAIN, .own = true };
    return 0;
}

static void order_locked(void)
{
    atomic_store_explicit(&it.orders, true, memory_order_seq_cst);
    (void)bell_ring(PAUSED);
}

/* True once the flush numbered `mine` is done; sets *rc. */
static bool flush_is_done(uint64_t mine, int *rc)
{
    bool done;

    (void)pthread_mutex_lock(&it.lock);
    done = it.flush_done >= mine;
    *rc = done ? it.flush_result : -ERR_TIMEOUT;
    (void)pthread_mutex_unlock(&it.lock);
    return done;
}

int access_log_flush(void)
{
    uint64_t mine;
    uint32_t seen;
    int rc;

    if (!it.open)
        return 0;
    (void)pthread_mutex_lock(&it.lock);
    mine = ++it.flush_wanted;
    order_locked();
    (void)pthread_mutex_unlock(&it.lock);
    for (;;) {
        seen = atomic_load_explicit(&it.obeyed, memory_order_seq_cst);
        if (flush_is_done(mine, &rc) || !word_wait(&it.obeyed, seen, FLUSH_MOST_S * 1000))
            return rc;
    }
}

static bool is_handed_over(void)
{
    bool done;

    (void)pthread_mutex_lock(&it.lock);
    done = !it.has_next;
    (void)pthread_mutex_unlock(&it.lock);
    return done;
}

/* The log thread goes on there; returns when it does.  It waits only for a write to a file at work. */
static void hand_over(struct sink next)
{
    uint32_t seen;

    (void)pthread_mutex_lock(&it.lock);
    it.next = next;
    it.has_next = true;
    order_locked();
    (void)pthread_mutex_unlock(&it.lock);
    for (;;) {
        seen = atomic_load_explicit(&it.obeyed, memory_order_seq_cst);
        if (is_handed_over())
            return;
        (void)word_wait(&it.obeyed, seen, -1);
    }
}

int access_log_reopen(void)
{
    struct sink next;
    int rc;

    if (!it.open || !access_log_is_on())
        return 0;
    rc = open_place(it.path, &next);
    if (rc == 0)
        hand_over(next);
    return rc;
}

int access_log_reconfigure(const char *path, enum access_format format)
{
    char *copy = strdup(path);
    struct sink next;
    int rc;

    MUST(it.open);
    if (copy == NULL)
        return -ERR_NOMEM;
    rc = open_place(path, &next);
    if (rc < 0) {
        free(copy);
        return rc;
    }
    if (next.fd < 0)
        atomic_store_explicit(&it.on, false, memory_order_relaxed);
    hand_over(next);
    free(it.path);
    it.path = copy;
    atomic_store_explicit(&it.format, (int)format, memory_order_relaxed);
    atomic_store_explicit(&it.on, next.fd >= 0, memory_order_relaxed);
    return 0;
}

static void free_rings(void)
{
    for (unsigned i = 0; i < it.n_workers; i++)
        ring_close(&it.workers[i].ring);
    free(it.workers);
    it.workers = NULL;
    it.n_workers = 0;
}

static int open_rings(unsigned n, size_t size)
{
    int rc = 0;

    it.workers = aligned_alloc(64, n * sizeof it.workers[0]);
    if (it.workers == NULL)
        return -ERR_NOMEM;
    memset(it.workers, 0, n * sizeof it.workers[0]);
    for (it.n_workers = 0; it.n_workers < n && rc == 0; it.n_workers++)
        rc = ring_open(&it.workers[it.n_workers].ring, size);
    if (rc < 0)
        free_rings();
    return rc;
}

static void dropped(struct buf *out, const char *name, void *arg)
{
    struct access_log_stats s;

    (void)arg;
    access_log_stats_get(&s);
    prometheus_sample(out, name, (double)s.ring_full, "cause", "ring_full", NULL);
    prometheus_sample(out, name, (double)s.abandoned, "cause", "shutdown", NULL);
}

/* Signals are the main thread's business. */
static int start_thread(void)
{
    sigset_t all, old;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&it.thread, NULL, log_thread, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = rc;
    return rc == 0 ? 0 : -ERR_NOMEM;
}

static void reset(const struct sink *place, enum access_format format)
{
    it.sink = *place;
    it.turn = 0;
    it.sent = 0;
    it.stop = it.has_next = false;
    it.orders = false;
    it.flush_wanted = it.flush_done = 0;
    it.bell = AWAKE;
    it.format = (int)format;
    it.on = place->fd >= 0;
    it.written = it.write_errors = it.abandoned = 0;
}

int access_log_open_sized(const char *path, enum access_format format, unsigned n_workers, size_t ring_size)
{
    struct sink place;
    int rc;

    MUST(!it.open && n_workers > 0);
    it.path = strdup(path);
    if (it.path == NULL)
        return -ERR_NOMEM;
    rc = open_place(path, &place);
    if (rc < 0)
        goto no_place;
    rc = open_rings(n_workers, ring_size);
    if (rc < 0)
        goto no_rings;
    reset(&place, format);
    rc = start_thread();
    if (rc < 0)
        goto no_thread;
    it.open = true;
    prometheus_ask(METRIC_ACCESS_LOG_DROPPED, dropped, NULL);
    return 0;

no_thread:
    it.on = false;
    free_rings();
no_rings:
    sink_close(&place);
no_place:
    free(it.path);
    it.path = NULL;
    return rc;
}

int access_log_open(const char *path, enum access_format format, unsigned n_workers)
{
    return access_log_open_sized(path, format, n_workers, ACCESS_LOG_RING);
}

static void count_abandoned(void)
{
    uint64_t lines = 0;

    for (unsigned i = 0; i < it.n_workers; i++) {
        struct slice s = ring_filled(&it.workers[i].ring);
        for (size_t at = 0; at < s.n; at++)
            lines += s.p[at] == '\n';
    }
    count(&it.abandoned, lines);
    if (lines > 0)
        log_error("access_log.lines_lost", "lines=%llu", (unsigned long long)lines);
}

void access_log_close(void)
{
    if (!it.open)
        return;
    (void)access_log_flush();
    (void)pthread_mutex_lock(&it.lock);
    it.stop = true;
    order_locked();
    (void)pthread_mutex_unlock(&it.lock);
    (void)pthread_join(it.thread, NULL);
    count_abandoned();
    it.on = false;
    it.open = false;
    prometheus_ask(METRIC_ACCESS_LOG_DROPPED, NULL, NULL);
    sink_close(&it.sink);
    free_rings();
    free(it.path);
    it.path = NULL;
}

void access_log_stats_get(struct access_log_stats *out)
{
    *out = (struct access_log_stats){ .written = read_count(&it.written),
                                      .write_errors = read_count(&it.write_errors),
                                      .abandoned = read_count(&it.abandoned) };
    for (unsigned i = 0; i < it.n_workers; i++) {
        out->ring_full += read_count(&it.workers[i].ring_full);
        out->wakes += read_count(&it.workers[i].wakes);
    }
}
