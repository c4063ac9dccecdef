/*
 * check.h - reading a configuration for a person: `weir -t`, --dump-config, explain, and the start.
 *
 * Threads: the only one.  Memory: the snapshot is the caller's reference.
 */
#ifndef DAEMON_CHECK_H
#define DAEMON_CHECK_H

struct snapshot;

/* Loads the file; everything that is wrong with it goes to standard error.  NULL: it can't be used. */
struct snapshot *check_load(const char *path);
/* `weir -t`: the exit status. */
int check_file(const char *path);
/* `weir --dump-config` */
int check_dump(const char *path);
#endif
