/*
 * share.h - HTTP/2 connections to backends, each used by many exchanges of a worker at once.
 *
 * A stream is lent from a connection that has room for one; where there is none, one is opened, and those who come meanwhile
 * wait for it.  A backend that says GOAWAY gets no more streams there; what it did not process is refused (-ERR_STREAM_REFUSED)
 * and may be sent again.  Silence while something is awaited is asked about by a ping, and a connection that does not answer is
 * given up.  An idle one is watched like a kept HTTP/1 connection, has no fiber, and is closed after keepalive.timeout.  One that was
 * opened under other certificates or rules than those of now takes no more streams, and ends with its last.
 *
 * Threads: a connection belongs to the worker that opened it.
 * Memory: the connection's own; it is freed when it has ended and its last stream has been given back.
 */
#ifndef UPSTREAM_SHARE_H
#define UPSTREAM_SHARE_H
#include "http/h2_session.h"
#include "upstream/pool.h"

struct backend_conn;

/* *st is the caller's until share_give_back().  *reused: over a connection that was there.  Codes as lease_begin(). */
int share_take(struct pool *p, struct backend *b, struct h2_stream **st, bool *reused, int64_t connect_deadline);
/* A stream of a connection that is there and has room; NULL: there is none. */
struct h2_stream *share_try(struct pool *p, struct backend *b);
/* A new connection on which HTTP/2 was agreed: it is shared from now on, and *st is a stream of it.  -ERR_NOMEM: it is closed. */
int share_adopt(struct pool *p, struct backend_conn **conn, struct h2_stream **st);
void share_give_back(struct h2_stream **st);

/* Closes an idle one of this worker's to that backend; false: there is none. */
bool share_drop_idle(struct backend *b);
/* Closes this worker's idle ones: all, or those to backends that are retired. */
void shares_close(bool only_retired);
/* The thread ends: no fiber runs any more. */
void shares_free(void);
#endif
