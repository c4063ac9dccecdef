/*
 * workload_api.h - our identity from the SPIFFE Workload API: a stream of messages, each of which replaces the one before.
 *
 * While a listener's or a pool's `tls` has an `svid`, a connection to daemon.workload_api is open; what it says is taken up as a
 * change of files is (renewal.h).  When it can't be had, or says what can't be used, the last good identity stays, and it is tried
 * again: after 250 ms, then twice as long each time, up to 30 s, by chance sooner or later.  Each reason is told once.
 * An identity that nears its end is told of, too.
 *
 * Sources: the SPIFFE Workload API and Workload Endpoint standards.
 * Threads: the main one, in two fibers of the supervisor's group.  Memory: the supervisor's struct.
 */
#ifndef DAEMON_WORKLOAD_API_H
#define DAEMON_WORKLOAD_API_H
#include <stdbool.h>
#include <stdint.h>

#include "fiber/event.h"
#include "net/addr.h"

enum { WORKLOAD_API_WHY = 400 };

struct supervisor;
struct workload_api {
    struct supervisor *supervisor;
    struct addr at;     /* where the stream is */
    int64_t pause;      /* before the next try; 0: nothing failed since the last message */
    bool tried;         /* something has come of the first try */
    struct event first; /* it has */
    char why[WORKLOAD_API_WHY];
    char told[WORKLOAD_API_WHY]; /* the last failure that was told of; "": none since the last message */
    uint64_t version;            /* of the identities that the following is about */
    bool told_missing, told_near, told_over;
};

/* From a fiber.  Starts the others, and waits for the first identity if there is somebody to ask: no longer than two seconds, and not
 * when it can't be had.  -ERR_NOMEM. */
int workload_api_start(struct workload_api *w, struct supervisor *s);
#endif
