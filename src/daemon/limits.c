/* limits.c - descriptors and memory, and what they allow. */
#include "daemon/limits.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "net/splice.h"
#include "proxy/worker.h"

enum { CONNECTIONS_MOST = 10000000 };

static uint64_t raise_files(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return 1024;
    if (r.rlim_cur < r.rlim_max) {
        struct rlimit higher = { r.rlim_max, r.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
            r = higher;
        else
            log_warn("daemon.files_not_raised", "limit=%llu hard=%llu error=\"%m\"", (unsigned long long)r.rlim_cur,
                     (unsigned long long)r.rlim_max);
    }
    return r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : r.rlim_cur;
}

static uint64_t read_number(const char *path)
{
    unsigned long long n;
    FILE *f = fopen(path, "re");
    int got;

    if (f == NULL)
        return UINT64_MAX;
    got = fscanf(f, "%llu", &n); /* "max" is no number */
    (void)fclose(f);
    return got == 1 ? n : UINT64_MAX;
}

/* Version 2's memory.max, of our own group and of the outermost one that we see. */
static uint64_t group_memory(void)
{
    uint64_t least = read_number("/sys/fs/cgroup/memory.max");
    char line[512], path[600];
    FILE *f = fopen("/proc/self/cgroup", "re");

    if (f == NULL)
        return least;
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
        if (read_number(path) < least)
            least = read_number(path);
    }
    (void)fclose(f);
    return least;
}

void limits_read(struct limits_room *room)
{
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), group = group_memory();

    room->files = raise_files();
    room->memory = group < machine ? group : machine;
}

/* A process with few descriptors still needs some of its own. */
static uint64_t own_files(uint64_t files) { return files / 2 < LIMITS_FILES_OF_OUR_OWN ? files / 2 : LIMITS_FILES_OF_OUR_OWN; }

int limits_connections(uint32_t configured, const struct limits_room *room, uint32_t *out, struct buf *why)
{
    uint64_t own = own_files(room->files), by_files = (room->files - own) / 2,
             by_memory = room->memory / 2 / LIMITS_CONNECTION_BYTES;
    unsigned long long files_wanted = 2ull * configured + own;
    uint64_t fit = by_files < by_memory ? by_files : by_memory;

    if (configured == 0) {
        *out = fit > CONNECTIONS_MOST ? CONNECTIONS_MOST : fit < 1 ? 1 : (uint32_t)fit;
        return 0;
    }
    if (configured + own > room->files) {
        buf_printf(
            why,
            "limits.connections: %u can't fit into %llu open files; raise the limit (LimitNOFILE=, ulimit -n) or write at most %llu",
            configured, (unsigned long long)room->files, (unsigned long long)by_files);
        return -ERR_INVALID;
    }
    if (configured > by_files)
        buf_printf(why, "limits.connections: %u with a backend connection each would need %llu open files, and there may be %llu",
                   configured, files_wanted, (unsigned long long)room->files);
    else if (configured > by_memory)
        buf_printf(why, "limits.connections: %u may need %llu MiB of memory, and there are %llu", configured,
                   (unsigned long long)configured * (LIMITS_CONNECTION_BYTES >> 10) >> 10, (unsigned long long)(room->memory >> 20));
    *out = configured;
    return 0;
}

uint32_t limits_pipes(uint32_t n, const struct limits_room *room)
{
    uint64_t own = own_files(room->files), taken = 2ull * n + own;
    uint64_t spare = (room->files > taken ? room->files - taken : 0) + (own > LIMITS_FILES_KEPT_BACK ? own - LIMITS_FILES_KEPT_BACK : 0);

    return spare / 2 < UINT32_MAX ? (uint32_t)(spare / 2) : UINT32_MAX;
}

void limits_apply(uint32_t n, const struct limits_room *room)
{
    atomic_store(&connections.most, n);
    splice_pipes_most(limits_pipes(n, room));
}
