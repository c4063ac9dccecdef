/*
 * renewal.h - certificates and keys that change while the process runs: files that are replaced, keys of tickets that age.
 *
 * Once a second the files of all TLS are looked at; those of a listener or pool that have changed, and then kept still for one
 * look, are read and taken up without a reload.  What can't be taken up is told, and what was there before goes on.
 *
 * What the Workload API says anew (workload_api.h) is taken up in the same way.
 *
 * Threads: the main one.  Memory: none kept.
 */
#ifndef DAEMON_RENEWAL_H
#define DAEMON_RENEWAL_H

struct buf;
struct snapshot;
struct supervisor;

/* Starts the fibers.  -ERR_NOMEM. */
int renewal_start(struct supervisor *s);
/* From a fiber: a look between two others, when something is known to be new. */
void renewal_look(struct supervisor *s);
/* Our certificates and when they expire, a line each: for `weir -t`. */
void renewal_list(const struct snapshot *conf, struct buf *out);
#endif
