/*
 * explain.h - `weir explain`: what would become of a request, decided by the code that decides about live ones.
 *
 * Promise: the request is put together as bytes and read by the parser of live connections; route and pool come from the
 * live router.  Of a listener with `sni` it is the connection that a client opens for the URL: the name in its ClientHello is the
 * URL's host, and nothing else of the request counts.  Nothing is sent anywhere.
 * Threads: any.  Memory: nothing is kept.
 */
#ifndef PROXY_EXPLAIN_H
#define PROXY_EXPLAIN_H
#include <stdio.h>

#include "conf/snapshot.h"

enum explain_result {
    EXPLAIN_FOUND,   /* a route or the listener's pool takes it */
    EXPLAIN_NONE,    /* none does: 404, or the connection is closed */
    EXPLAIN_REFUSED, /* no such listener, or not a request that the proxy would read */
};

/*
 * `listener_name` NULL: the first http listener, or the first at all.  `url`: "http://host/path?query", "/path" or "*".
 * `headers`: n texts "name: value".  What is found and what is wrong goes to `out`.  Returns enum explain_result: the exit code.
 */
int explain_run(const struct snapshot *conf, const char *listener_name, const char *method, const char *url,
                const char *const *headers, int n, FILE *out);
#endif
