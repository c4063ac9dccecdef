/*
 * bench.h - what the C sides of the benchmark share: time, memory, and the result lines that tests/bench/run reads.
 *
 * A result is a line "key value" on stdout.  Header only: each program stands alone.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* The processor's time, not the wall's: on a shared machine others' work would be counted, too. */
static inline double bench_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static inline double bench_cpu_us(void)
{
    struct rusage ru;

    getrusage(RUSAGE_SELF, &ru);
    return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 + (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

static inline void bench_say(const char *key, double value)
{
    printf("%s %.3f\n", key, value);
    fflush(stdout);
}

/* A field of /proc/self/status, in bytes. */
static inline double bench_status(const char *field)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            sscanf(line + strlen(field) + 1, "%ld", &kb);
    if (f != NULL)
        fclose(f);
    return (double)kb * 1024;
}

static inline double bench_maps(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    int c, lines = 0;

    while (f != NULL && (c = getc(f)) != EOF)
        lines += c == '\n';
    if (f != NULL)
        fclose(f);
    return lines;
}

/* What n parked ones cost; call once before (n 0) and once with them. */
static inline void bench_memory(long n)
{
    static double rss, tables;

    if (n > 0) {
        bench_say("parked_bytes", (bench_status("VmRSS") - rss) / (double)n);
        bench_say("parked_tables", (bench_status("VmPTE") - tables) / (double)n);
        bench_say("parked_maps", bench_maps());
    }
    rss = bench_status("VmRSS");
    tables = bench_status("VmPTE");
}

static inline long bench_count(int argc, char **argv, long usual) { return argc > 2 ? atol(argv[2]) : usual; }
#endif
