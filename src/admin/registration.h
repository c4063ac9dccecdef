/*
 * registration.h - backends register themselves: by HTTP on the admin listener, and by `weir ctl`.
 *
 *     GET    /v1/pools/POOL/backends               what is registered, as JSON
 *     PUT    /v1/pools/POOL/backends/ADDR?ttl=10s  registers it, or beats; the body may be its document (discovery/document.h)
 *     DELETE /v1/pools/POOL/backends/ADDR          takes it out at once
 * POOL and ADDR may be percent-encoded; the pool's discovery must be of the type "heartbeat".
 *
 * Promise: who can reach the listener or the socket can say where traffic goes.  There is no other check.
 * Threads: fibers of the main scheduler.  Memory: none kept here (discovery/heartbeat.h).
 */
#ifndef ADMIN_REGISTRATION_H
#define ADMIN_REGISTRATION_H
#include "admin/host.h"
#include "admin/small_http.h"

enum { REGISTRATION_BODY = 16 * 1024 }; /* the largest document */

/* Is it for a request with this path? */
bool registration_is(struct slice path);
void registration_answer(const struct admin_host *host, const struct message *m, struct slice body, struct small_reply *r);

/* Commands (admin/commands.c); args are ended by NULL. */
int registration_register(const struct admin_host *host, char **args, struct buf *out);   /* POOL ADDR [TTL] */
int registration_deregister(const struct admin_host *host, char **args, struct buf *out); /* POOL ADDR */
int registration_list(const struct admin_host *host, char **args, struct buf *out);       /* POOL */
#endif
