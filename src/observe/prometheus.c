/* prometheus.c - rows to text; what a process knows about itself is asked of the kernel here, too. */
#include "observe/prometheus.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"

enum {
    SHOW_ALL_MOST = 8,      /* values of a label that are shown even at zero */
    COUNT_FDS_MOST = 20000, /* old kernels: beyond that, counting would take too long */
};

/* One family's question; by the row's first slot. */
static struct {
    prometheus_source *fn;
    void *arg;
} sources[METRIC_SLOTS];

void prometheus_ask(enum metric m, prometheus_source *fn, void *arg)
{
    sources[m].fn = fn;
    sources[m].arg = arg;
}

/* Backslash and newline, in label values also the quote; the bytes are passed on as they are. */
static void add_escaped(struct buf *out, const char *s, bool quote)
{
    size_t plain;

    for (; s != NULL && *s != '\0'; s++) {
        plain = strcspn(s, "\\\n\"");
        buf_append(out, s, plain);
        s += plain;
        if (*s == '\0')
            break;
        if (*s == '\n')
            buf_add(out, "\\n");
        else if (*s == '"' && !quote)
            buf_add_char(out, '"');
        else
            buf_append(out, (char[2]){ '\\', *s }, 2);
    }
}

void prometheus_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s ", name);
    add_escaped(out, help, false);
    buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

static void add_label(struct buf *out, bool first, const char *label, const char *value)
{
    buf_add_char(out, first ? '{' : ',');
    buf_add(out, label);
    buf_add(out, "=\"");
    add_escaped(out, value, true);
    buf_add_char(out, '"');
}

static void add_value(struct buf *out, double value)
{
    if (isnan(value))
        buf_add(out, " NaN\n");
    else if (isinf(value))
        buf_add(out, value > 0 ? " +Inf\n" : " -Inf\n");
    else if (value == trunc(value) && fabs(value) < 1e15)
        buf_printf(out, " %" PRId64 "\n", (int64_t)value);
    else
        buf_printf(out, " %.15g\n", value);
}

void prometheus_sample(struct buf *out, const char *name, double value, ...)
{
    const char *label;
    bool first = true;
    va_list ap;

    buf_add(out, name);
    va_start(ap, value);
    for (label = va_arg(ap, const char *); label != NULL; label = va_arg(ap, const char *)) {
        add_label(out, first, label, va_arg(ap, const char *));
        first = false;
    }
    va_end(ap);
    if (!first)
        buf_add_char(out, '}');
    add_value(out, value);
}

/* A gauge may be below zero for a moment: one thread's -1 is read before another's +1. */
static double value_of(const struct metric_row *row, uint64_t v)
{
    return row->kind == METRIC_GAUGE ? (double)(int64_t)v : (double)v;
}

static void render_counted(struct buf *out, const struct metric_row *row, const uint64_t *slot)
{
    char text[16];

    if (row->value == NULL) {
        prometheus_sample(out, row->name, value_of(row, slot[0]), NULL);
        return;
    }
    for (unsigned i = 0; i < row->n_values; i++)
        if (slot[i] != 0 || row->n_values <= SHOW_ALL_MOST)
            prometheus_sample(out, row->name, value_of(row, slot[i]), row->labels, row->value(i, text), NULL);
}

static void render_histogram(struct buf *out, const struct metric_row *row, const uint64_t *slot)
{
    uint64_t so_far = 0;

    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        so_far += slot[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", row->name, (double)metric_bounds[i] / 1e6, so_far);
    }
    so_far += slot[METRIC_BUCKETS];
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", row->name, so_far);
    buf_printf(out, "%s_sum %.15g\n", row->name, (double)slot[METRIC_BUCKETS + 1] / 1e6);
    buf_printf(out, "%s_count %" PRIu64 "\n", row->name, so_far);
}

static void render_row(struct buf *out, const struct metric_row *row, const uint64_t *slot)
{
    static const char *const types[] = { "counter", "gauge", "histogram", "counter", "gauge" };
    bool asked = row->kind == METRIC_ASKED_COUNTER || row->kind == METRIC_ASKED_GAUGE;

    if (asked && sources[row->first].fn == NULL)
        return;
    prometheus_family(out, row->name, types[row->kind], row->help);
    if (asked)
        sources[row->first].fn(out, row->name, sources[row->first].arg);
    else if (row->kind == METRIC_HISTOGRAM)
        render_histogram(out, row, slot);
    else
        render_counted(out, row, slot);
}

/* What the kernel knows about us. */

static void open_fds(struct buf *out, const char *name, void *arg)
{
    struct stat st;
    DIR *d;
    int n = 0;

    (void)arg;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) { /* Linux 6.2 and later tell the number so */
        prometheus_sample(out, name, (double)st.st_size, NULL);
        return;
    }
    d = opendir("/proc/self/fd");
    if (d == NULL)
        return;
    while (n < COUNT_FDS_MOST && readdir(d) != NULL)
        n++;
    (void)closedir(d);
    if (n < COUNT_FDS_MOST)
        prometheus_sample(out, name, n - 3, NULL); /* ".", ".." and the directory itself */
}

static void max_fds(struct buf *out, const char *name, void *arg)
{
    struct rlimit r;

    (void)arg;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0)
        prometheus_sample(out, name, r.rlim_cur == RLIM_INFINITY ? (double)INFINITY : (double)r.rlim_cur, NULL);
}

static void resident_bytes(struct buf *out, const char *name, void *arg)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long resident;

    (void)arg;
    if (f == NULL)
        return;
    if (fscanf(f, "%*u %lu", &resident) == 1)
        prometheus_sample(out, name, (double)resident * (double)sysconf(_SC_PAGESIZE), NULL);
    (void)fclose(f);
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static void cpu_seconds(struct buf *out, const char *name, void *arg)
{
    struct rusage r;

    (void)arg;
    if (getrusage(RUSAGE_SELF, &r) == 0)
        prometheus_sample(out, name, seconds(r.ru_utime) + seconds(r.ru_stime), NULL);
}

/* Worked out once: between the two clocks the result would wander from one reading to the next. */
static double read_start_time(void)
{
    unsigned long long ticks = 0;
    struct timespec real, boot;
    char line[1024], *at;
    FILE *f = fopen("/proc/self/stat", "re");

    if (f == NULL)
        return -1;
    at = fgets(line, sizeof line, f) == NULL ? NULL : strrchr(line, ')'); /* the program's name may hold anything */
    (void)fclose(f);
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL || clock_gettime(CLOCK_REALTIME, &real) < 0 || clock_gettime(CLOCK_BOOTTIME, &boot) < 0)
        return -1;
    ticks = strtoull(at, NULL, 10);
    return (double)(real.tv_sec - boot.tv_sec) + (double)(real.tv_nsec - boot.tv_nsec) / 1e9 +
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void start_time(struct buf *out, const char *name, void *arg)
{
    static double at;

    (void)arg;
    if (at == 0)
        at = round(read_start_time() * 100) / 100;
    if (at > 0)
        prometheus_sample(out, name, at, NULL);
}

static void log_lines_dropped(struct buf *out, const char *name, void *arg)
{
    (void)arg;
    prometheus_sample(out, name, (double)log_dropped(), NULL);
}

static void ask_ourselves(void)
{
    static const struct {
        enum metric m;
        prometheus_source *fn;
    } own[] = {
        { METRIC_OPEN_FDS, open_fds },       { METRIC_MAX_FDS, max_fds },       { METRIC_RESIDENT_BYTES, resident_bytes },
        { METRIC_CPU_SECONDS, cpu_seconds }, { METRIC_START_TIME, start_time }, { METRIC_LOG_DROPPED, log_lines_dropped },
    };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (sources[own[i].m].fn == NULL)
            prometheus_ask(own[i].m, own[i].fn, NULL);
}

void prometheus_render(struct buf *out)
{
    uint64_t *slots = calloc(METRIC_SLOTS, sizeof *slots); /* too large for a fiber's stack */

    if (slots == NULL) {
        out->failed = true;
        return;
    }
    ask_ourselves();
    metric_read_all(slots);
    for (size_t i = 0; i < metric_n_rows; i++)
        render_row(out, &metric_rows[i], &slots[metric_rows[i].first]);
    free(slots);
}
