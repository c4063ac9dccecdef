/*
 * h2_parts.h - what the three files of an HTTP/2 connection share; they alone know nghttp2.
 *
 * h2_session.c has the connection, h2_events.c what nghttp2 reports of the peer, h2_submit.c what is said to it.
 *
 * Threads: the connection's worker.
 */
#ifndef HTTP_H2_PARTS_H
#define HTTP_H2_PARTS_H
#include <nghttp2/nghttp2.h>

#include "http/h2_session.h"

static inline nghttp2_session *ng(struct h2_session *s) { return s->ng; }

/* The ping that asks whether the peer has heard that we go. */
extern const uint8_t h2_leave_mark[8];

/* ---- h2_events.c ---- */

void h2_events_set(nghttp2_session_callbacks *c);
/* That was too much: GOAWAY, and `why` is logged.  For a callback to return. */
int h2_calm(struct h2_session *s, const char *why);
/* Both sides have ended, or it was reset; `fault` is 0 or what its exchange is told. */
void h2_stream_closes(struct h2_stream *st, int fault);
void h2_stream_destroy(struct h2_stream *st);

/* ---- h2_submit.c ---- */

/* A head, and with `ends` the end of the stream.  0, or <0 as h2_stream_submit(). */
int h2_submit(struct h2_stream *st, const struct message *m, const struct head_frame *frame, bool ends);
/* nghttp2 has a DATA frame's head ready: that, and the bytes of the stream, go behind what is to be sent. */
int h2_send_out(nghttp2_session *n, nghttp2_frame *frame, const uint8_t *head, size_t len, nghttp2_data_source *source,
                void *arg);
#endif
