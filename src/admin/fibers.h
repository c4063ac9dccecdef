/*
 * fibers.h - what every fiber of every thread is doing, as text.
 *
 * Each scheduler is asked by mail and writes its own part; one that doesn't answer in time is named as such.
 * Threads: from a fiber of one of the schedulers.  Memory: goes into the caller's buf; at most FIBERS_MOST a thread.
 */
#ifndef ADMIN_FIBERS_H
#define ADMIN_FIBERS_H
#include <stddef.h>
#include <stdint.h>

struct buf;
struct sched;

#define FIBERS_MOST 10000

/* `about` (may be NULL) tells what a fiber works for: admin_host.about. */
void fibers_list(struct sched *const *scheds, unsigned n, void (*about)(const void *subject, char *out, size_t size),
                 struct buf *out, int64_t deadline);
#endif
