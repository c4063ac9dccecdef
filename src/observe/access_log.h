/*
 * access_log.h - one line an exchange, written to disk by a thread of its own.
 *
 * A worker formats its line in place in its own ring and goes on; the log thread drains all rings with large writes.
 *
 * Promise: access_log_line() takes no lock and never waits, for a disk or for anybody.  When its ring is full (the disk is
 * full or slow, nobody reads standard output) the whole line is dropped and counted.  The thread looks every 50 ms while
 * there is traffic, sleeps when there is none, and is woken only by the first line after that or by a ring half full.
 * A write that fails is tried again with the same bytes; the log says so once a second.
 * Threads: each worker passes its own index; everything else is the main thread's.
 * Memory: the rings (1 MiB a worker) live from open to close.  One access log a process.
 */
#ifndef OBSERVE_ACCESS_LOG_H
#define OBSERVE_ACCESS_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/access_format.h"

#define ACCESS_LOG_RING (1024u * 1024u)

/* `path`: a file (created 0640, appended to), "stdout" or "off".  -ERR_x: nothing was opened; the log and errno say why. */
int access_log_open(const char *path, enum access_format format, unsigned n_workers);
/* The same with rings of another size (a power of two, at least a page): tests. */
int access_log_open_sized(const char *path, enum access_format format, unsigned n_workers, size_t ring_size);

/* False: nobody would read the record, so the caller need not fill it. */
bool access_log_is_on(void);
void access_log_line(unsigned worker, const struct access_record *r);

/* Opens the file anew (it was renamed).  On -ERR_x the old one goes on. */
int access_log_reopen(void);
/* After a reload.  On -ERR_x nothing has changed; errno says why.  What is in the rings goes to the old place. */
int access_log_reconfigure(const char *path, enum access_format format);
/* Everything written before is on its way to the file when it returns 0; -ERR_IO: it can't be written; -ERR_TIMEOUT: nobody
 * took it for five seconds. */
int access_log_flush(void);
/* Flushes, ends the thread, and frees.  No worker may be writing. */
void access_log_close(void);

struct access_log_stats {
    uint64_t written;      /* bytes */
    uint64_t ring_full;    /* lines lost because the ring was full */
    uint64_t abandoned;    /* lines lost at close because they could not be written */
    uint64_t write_errors; /* failed writes; the bytes were kept */
    uint64_t wakes;        /* system calls that workers made to wake the thread */
};
void access_log_stats_get(struct access_log_stats *out);
#endif
