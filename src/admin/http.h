/*
 * http.h - the admin listener: /metrics for Prometheus, /healthz for whoever sends us traffic, / for people.
 *
 * /v1/pools/POOL/backends takes registrations (registration.h).  Who can reach it is trusted.
 * Promise: nothing that it does waits for a worker.
 * Threads: fibers of the main scheduler.  Memory: one a process.
 */
#ifndef ADMIN_HTTP_H
#define ADMIN_HTTP_H
#include "admin/acceptor.h"
#include "admin/host.h"
#include "admin/small_http.h"

#define ADMIN_HTTP_MOST 32 /* connections at once */

struct admin_http {
    struct acceptor acceptor;
    struct small_site site;
};

/* Before privileges are dropped. */
int admin_http_listen(struct admin_http *h, const struct addr *at, struct buf *why);
int admin_http_start(struct admin_http *h, struct group *g, const struct admin_host *host);
void admin_http_close(struct admin_http *h);
#endif
