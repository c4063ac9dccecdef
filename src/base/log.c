/* log.c - a line is put together on the stack and leaves in one write. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/json.h"
#include "base/sink.h"

enum { LINE_MOST = 1400 }; /* a fiber's stack has 64 KiB, and a pipe takes up to PIPE_BUF bytes untorn */

static struct sink sink = { .fd = -1 };
static bool to_journal;
static pthread_once_t opened = PTHREAD_ONCE_INIT;
static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic uint64_t dropped;

void log_set_level(enum log_level level) { atomic_store_explicit(&current_level, (int)level, memory_order_relaxed); }
enum log_level log_get_level(void) { return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed); }
uint64_t log_dropped(void) { return atomic_load_explicit(&dropped, memory_order_relaxed); }

/* A desktop's shells inherit the variable, too: only where it names this very stream (device:inode) is it about us. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char name[48];

    if (stream == NULL || fstat(fd, &st) < 0)
        return false;
    (void)snprintf(name, sizeof name, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return strcmp(name, stream) == 0;
}

static void send_to(int fd)
{
    sink_close(&sink);
    sink_open(&sink, fd);
    to_journal = is_journal(fd);
}

static void send_to_stderr(void)
{
    if (sink.fd < 0)
        send_to(STDERR_FILENO);
}

void log_set_fd(int fd)
{
    (void)pthread_once(&opened, send_to_stderr);
    send_to(fd);
}

/* "2026-01-02T03:04:05.678Z info ", or "<6>", for which the journal adds time and level itself. */
static char *put_start(char *at, enum log_level level)
{
    static const char words[][6] = { "error", "warn", "info", "debug" };
    static const char syslog_levels[] = "3467";
    int64_t wall_ms;
    struct date d;

    if (to_journal) {
        *at++ = '<';
        *at++ = syslog_levels[level];
        *at++ = '>';
        return at;
    }
    wall_ms = clock_wall() / CLOCK_MS;
    date_of(wall_ms / 1000, &d);
    at = date_digits(at, d.year, 4);
    *at++ = '-';
    at = date_digits(at, d.month, 2);
    *at++ = '-';
    at = date_digits(at, d.day, 2);
    *at++ = 'T';
    at = date_digits(at, d.hour, 2);
    *at++ = ':';
    at = date_digits(at, d.minute, 2);
    *at++ = ':';
    at = date_digits(at, d.second, 2);
    *at++ = '.';
    at = date_digits(at, (int)(wall_ms % 1000), 3);
    *at++ = 'Z';
    *at++ = ' ';
    at = stpcpy(at, words[level]);
    *at++ = ' ';
    return at;
}

static char *put_cut_mark(char *at)
{
    while (((unsigned char)at[-1] & 0xc0) == 0x80)
        at--; /* the last character may be half a one: it goes */
    if ((unsigned char)at[-1] >= 0xc0)
        at--;
    memcpy(at, "...", 3);
    return at + 3;
}

/* Whatever a value held, an event stays one line. */
static void flatten(char *p, const char *end)
{
    for (; p < end; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[LINE_MOST], *at, *text;
    int saved = errno, n; /* for %m, and for a caller that looks again */
    size_t room;
    va_list ap;

    if (level > log_get_level())
        return;
    (void)pthread_once(&opened, send_to_stderr);
    text = at = put_start(line, level);
    at = stpncpy(at, event, 64);
    *at++ = ' ';

    room = sizeof line - 3 - (size_t)(at - line); /* the NUL's place is the first dot's */
    errno = saved;
    va_start(ap, fmt);
    n = vsnprintf(at, room, fmt, ap);
    va_end(ap);
    if (n <= 0)
        at--; /* the blank after the event */
    else
        at = (size_t)n < room ? at + n : put_cut_mark(at + room - 1);
    flatten(text, at);
    *at++ = '\n';
    if (sink_write(&sink, line, (size_t)(at - line)) < 0)
        atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    errno = saved;
}

bool log_throttle_pass(struct log_throttle *t, uint64_t *left_out)
{
    int64_t now = clock_now() / CLOCK_S + 1; /* never 0, which is a throttle's start */
    int64_t last = __atomic_load_n(&t->second, __ATOMIC_RELAXED);

    if (last == now || !__atomic_compare_exchange_n(&t->second, &last, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        (void)__atomic_fetch_add(&t->left_out, 1, __ATOMIC_RELAXED);
        return false;
    }
    *left_out = __atomic_exchange_n(&t->left_out, 0, __ATOMIC_RELAXED);
    return true;
}

char *log_quote(char *out, size_t size, struct slice s)
{
    char *at = out;

    if (size < 3) {
        if (size > 0)
            *out = '\0';
        return out;
    }
    *at++ = '"';
    at = json_escape(at, out + size - 2, s, NULL);
    *at++ = '"';
    *at = '\0';
    return out;
}
