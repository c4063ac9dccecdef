/*
 * reload.h - a new configuration in the running process: whole, or not at all.
 *
 * Built aside on the main thread; only what is complete is published.  It is in effect on every worker when the call
 * returns.  One at a time: a second one waits and then reads the file again.
 * Threads: the main one.  Memory: the old configuration lives as long as somebody uses it.
 */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

struct buf;
struct supervisor;

/* From a fiber.  0, or a code and all that is wrong in `out`; what has changed and warnings with success. */
int reload_run(struct supervisor *s, struct buf *out);
/* As SIGHUP: a fiber does it and logs. */
void reload_ask(struct supervisor *s);
#endif
