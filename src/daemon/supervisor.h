/*
 * supervisor.h - the process: started in order, serving, reloaded, drained, ended.
 *
 * Order: the configuration (all that is wrong is told), limits, sockets, privileges, log, threads, the first snapshot on every
 * worker, and only then "ready".  Exit status: 0 ended as asked (also by a second signal), 1 could not start.
 *
 * Threads: the main one, and on it the fibers of the main scheduler.  Memory: one a process.
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H
#include <stdbool.h>
#include <stdint.h>

#include "admin/control.h"
#include "admin/host.h"
#include "admin/http.h"
#include "daemon/crew.h"
#include "daemon/health_thread.h"
#include "daemon/limits.h"
#include "daemon/privileges.h"
#include "daemon/signals.h"
#include "daemon/workload_api.h"
#include "fiber/sync.h"

struct listener_set;
struct serving;
struct snapshot;

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_SERVING, SUPERVISOR_DRAINING };

struct supervisor;
/* For `weir demo`; each may be NULL. */
struct supervisor_hooks {
    int (*before)(struct supervisor *s, void *arg); /* in a fiber, before the workers serve; <0: don't start */
    void (*ready)(struct supervisor *s, void *arg); /* in a fiber of the supervisor's group, once it serves */
    void (*after)(struct supervisor *s, void *arg); /* when the group's fibers have ended */
    void *arg;
};

#define SUPERVISOR_MAGIC 0x53555056u
struct supervisor {
    uint32_t magic;
    enum supervisor_state state;
    const char *path; /* of the configuration */
    const struct supervisor_hooks *hooks;
    struct limits_room room;
    struct identity who;
    struct snapshot *boot; /* what it was started with: some keys stay as they were then */
    struct snapshot *conf; /* in effect */
    struct serving *serving;
    struct listener_set *listeners;
    struct crew crew;
    struct health_thread health;
    struct members_readers readers; /* of sets of backends: the workers, and this thread */
    struct sched *sched;
    struct group group;          /* the main thread's fibers */
    struct fiber_mutex changing; /* a reload, or a drain, has begun */
    struct fiber_sem end;        /* given once for each reason to end */
    bool reload_asked;           /* by a signal, and not begun yet */
    bool pid_file_is_ours;
    bool left_over;              /* connections were cut off at the end */
    bool failed;                 /* it could not start */
    struct control control;
    struct admin_http http;
    struct signals signals;
    struct workload_api workload_api;
    struct admin_host host;
    int64_t started, loaded; /* microseconds since 1970 */
};

/* The whole life of the process.  Returns the exit status. */
int supervisor_run(const char *path, const struct supervisor_hooks *hooks);
/* As SIGTERM: the second time ends at once. */
void supervisor_stop(struct supervisor *s);
#endif
