/*
 * control.h - the control socket: a line in, text out, then "ok" or "error" as the last line.
 *
 * A stale socket file is replaced only when nobody answers on it; a file that is no socket is never touched.
 * Promise: mode 0600; a client that is silent or slow keeps nobody waiting.
 * Threads: fibers of the main scheduler.  Memory: one a process.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H
#include <sys/types.h>

#include "admin/acceptor.h"
#include "admin/host.h"

#define CONTROL_PATH "/run/weir/control.sock" /* where `weir ctl` looks unless told */
#define CONTROL_MOST 16                       /* connections at once */

struct control {
    struct acceptor acceptor;
    struct addr addr;
    const struct admin_host *host;
};

/* Before privileges are dropped and before there are threads (the umask is the process's).  `path` outlives it.
 * -ERR_x and a reason for people in `why`: then there is none. */
int control_listen(struct control *c, const char *path, struct buf *why);
/* So that the file belongs to whom the process becomes. */
int control_chown(struct control *c, uid_t uid, gid_t gid);
int control_start(struct control *c, struct group *g, const struct admin_host *host);
/* Removes the file. */
void control_close(struct control *c);
#endif
