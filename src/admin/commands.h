/*
 * commands.h - what `weir ctl` can ask: a table of name, arguments, help and function.
 *
 * To add a command: write its function, add its row.
 * Threads: fibers of the main scheduler.  Memory: the answer goes into the caller's buf.
 */
#ifndef ADMIN_COMMANDS_H
#define ADMIN_COMMANDS_H
#include "admin/host.h"
#include "base/buf.h"

/* Runs one line.  0, or a code and the reason in `out`. */
int commands_run(const struct admin_host *host, const char *line, struct buf *out);
/* The list of commands, as `help` prints it. */
void commands_help(struct buf *out);
#endif
