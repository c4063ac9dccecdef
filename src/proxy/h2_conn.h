/*
 * h2_conn.h - a client's connection that speaks HTTP/2: a fiber a stream, each of which runs an exchange like any other.
 *
 * Threads: one worker.  Memory: belongs to its conn, and ends with it.
 */
#ifndef PROXY_H2_CONN_H
#define PROXY_H2_CONN_H
#include "base/slice.h"

struct conn;
struct worker;

/* From now on the connection speaks HTTP/2 (prior knowledge, or ALPN).  `first`: what has been read of it.  -ERR_NOMEM. */
int h2_conn_begin(struct conn *c, struct slice first);
/* The connection's fiber, after h2_conn_begin() or when an idle one gets one again: serves until it idles or has ended. */
void h2_conn_run(struct conn *c);
/* Ends it in good order: GOAWAY first.  An idle one gets a fiber for that; where there is none, it is closed. */
void h2_conn_leave(struct conn *c);
/* Of this worker, all those that should end now (conn_must_end) and have not been told. */
void h2_conns_leave(struct worker *w);
#endif
