/*
 * demo.h - `weir demo`: a proxy with three backends in one process, to see it work at once.
 *
 * Promise: loopback only; leaves nothing behind; ends with Ctrl-C and exit status 0.
 * Threads: the backends are fibers of the main scheduler.  Memory: one a process.
 */
#ifndef DAEMON_DEMO_H
#define DAEMON_DEMO_H
#include <stddef.h>

struct buf;

/* `program`: how it was called, for what it says to try next. */
int demo_run(const char *program);

struct demo_count {
    const char *name;
    unsigned weight, requests;
};
/* The balance as a small table. */
void demo_table(const struct demo_count *v, size_t n, struct buf *out);
#endif
