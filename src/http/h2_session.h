/*
 * h2_session.h - an HTTP/2 connection, of either side: many streams over one stream of bytes; each stream is a codec.
 *
 * One fiber works for the connection while there is something to do (h2_session_run): it reads, starts what came, and sends.
 * What streams write is put into frames at once and leaves when that fiber comes round, so the frames of all streams that are
 * ready go in one send.  Without streams and bytes the connection has no fiber and no buffers.
 *
 * Promise: back-pressure both ways.  What a peer sends is bounded by the windows (64 KiB a stream, 1 MiB a connection), which
 * open again when it has been taken; who writes waits until the peer's windows and the socket have taken it.  A peer that only
 * makes work is told ENHANCE_YOUR_CALM (h2_guard.h).
 *
 * Sources: RFC 9113, RFC 7541, RFC 8441.  The library is nghttp2, behind h2_session.c alone.
 * Threads: one worker.  Memory: a session is freed when it has no streams; a stream belongs to the exchange that it carries.
 */
#ifndef HTTP_H2_SESSION_H
#define HTTP_H2_SESSION_H
#include "fiber/event.h"
#include "http/codec.h"
#include "http/h2_guard.h"
#include "http/h2_head.h"
#include "http/upgrade.h"
#include "net/stream.h"

struct h2_session;
struct h2_stream;

#define H2_PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN 24u

/* RFC 9113 7 */
enum {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

/* What the owner of the connection is told.  None may wait. */
struct h2_owner {
    /* Server: a request has come; the stream is the owner's now (h2_stream_free).  <0: it can't be served. */
    int (*on_request)(struct h2_session *s, struct h2_stream *st);
    /* There is something to do and no fiber runs h2_session_run(): start one.  <0: it can't. */
    int (*on_work)(struct h2_session *s);
};

struct h2_conf {
    struct head_limits limits;
    uint32_t streams;      /* at once; server: what the client may have, client: the most we use */
    int64_t head_timeout;  /* server: for a header block, from its first byte */
    int64_t write_timeout; /* a peer that takes nothing for that long is given up */
    int64_t ping_after;    /* client: with streams and silence for that long, a ping asks whether it lives; 0: never */
    int64_t ping_timeout;
    bool secure; /* TLS: the scheme is "https" */
    bool secret; /* client: bodies that come are wiped after use */
};

#define H2_SESSION_MAGIC 0x48325345u
struct h2_session {
    uint32_t magic;
    bool server;
    bool writing;       /* a fiber of its own waits for the socket */
    bool finished;      /* nothing more to read or write: GOAWAY has done its work */
    bool going;         /* the peer will take no more streams (its GOAWAY) */
    bool calmed;        /* it was told ENHANCE_YOUR_CALM */
    bool settled;       /* the peer's SETTINGS have come */
    bool peer_connects; /* it knows extended CONNECT */
    bool pinged;        /* a ping of ours is out */
    bool silent;        /* not a byte has come since it had no streams */
    uint8_t leaving;    /* 0; 1: it was said that we go; 2: and which streams are the last */
    int error;          /* 0, or the code that it ended with: no more bytes come or go */
    void *ng;
    struct stream *stream;
    const struct h2_owner *owner;
    void *arg; /* the owner's */
    struct h2_conf conf;
    struct fiber *fiber; /* that runs it */
    struct fiber *writer;
    struct event written;       /* the writer has ended */
    struct list streams, fresh; /* struct h2_stream: all, and requests not told of yet */
    uint32_t n_streams, peer_streams;
    struct buf out; /* frames to be sent, from out_at on */
    size_t out_at;
    struct h2_block block;
    struct h2_guard guard;
    int64_t leave_at, heard, ping_until;
    const char *calm_why;
    uint64_t n_requests;
};

#define H2_STREAM_MAGIC 0x48325354u
struct h2_stream {
    struct codec codec;
    uint32_t magic;
    int32_t id;
    struct h2_session *session;
    struct list link, in_fresh;
    bool owned;  /* by an exchange */
    bool closed; /* both sides have ended, or it was reset */
    bool we_reset, peer_reset;
    bool submitted; /* a final head has been written */
    bool connects;  /* extended CONNECT: a tunnel, without length */
    bool accepts;   /* ... for an HTTP/1 client, who waits for `accept` */
    char accept[WEBSOCKET_ACCEPT_LEN];
    bool in_ended;                           /* the peer has ended its side */
    bool out_last;                           /* `out` is the last piece */
    bool out_ended;                          /* it has been put into frames, and with it all that we say */
    bool final;                              /* client: the final head has come */
    int wrong;                               /* 0, or why it is reset by us: its fault once it is closed */
    int fault;                               /* 0, or what whoever reads or writes is told once it is closed */
    struct h2_head *heads, *read, *trailers; /* to be read; being used; those after the body */
    uint8_t n_heads;
    struct buf in;       /* of the body, from in_at on */
    size_t in_at, taken; /* taken: handed out, to be given back to the window */
    struct slice out;    /* to be put into frames */
    char *out_copy;
    const struct message *out_trailers;
    struct event can_read, can_write;
    struct fiber *watcher;
    void *arg; /* the owner's */
};

/* `s` stays the caller's and must outlive it.  NULL: out of memory. */
struct h2_session *h2_session_new(struct stream *s, bool server, const struct h2_conf *conf, const struct h2_owner *owner,
                                  void *arg);
/* It has no streams. */
void h2_session_free(struct h2_session **sp);
/* Bytes that have been read already. */
void h2_session_feed(struct h2_session *s, const char *bytes, size_t n);
/* From a fiber: works until there is nothing to do.  0: it idles, without streams; <0: it has ended (-ERR_CLOSED: in good order),
 * and streams that are left have been told; -ERR_CANCELED: the fiber was called off, go on with h2_session_run() if you like. */
int h2_session_run(struct h2_session *s);
/* Ends it in good order: GOAWAY first, the streams that are there go on (RFC 9113 6.8). */
void h2_session_leave(struct h2_session *s);
/* Says GOAWAY without waiting for anything: it is closed next. */
void h2_session_goodbye(struct h2_session *s);
/* No more bytes come or go: its streams are told. */
void h2_session_break(struct h2_session *s, int code);

/* Client: may one more stream be opened?  A new one; NULL: out of memory. */
bool h2_session_has_room(const struct h2_session *s);
struct h2_stream *h2_stream_new(struct h2_session *s);
/* Client: its connection, which had idled, ended without a word, as one does that was dead before the stream was put on it. */
bool h2_stream_came_too_late(const struct h2_stream *st);
/* The exchange has ended; what is still open is reset with `error`.  Out of order once the session is freed. */
void h2_stream_free(struct h2_stream **stp, uint32_t error);

const char *h2_library(void); /* "nghttp2 1.52.0": for `weir -V` */

/* ---- between h2_session.c and h2_stream.c ---- */

void h2_stream_init_codec(struct h2_stream *st);
/* Frames of what waits are put together, and sent when the session's fiber comes round. */
void h2_session_work(struct h2_session *s);
/* st->out, st->out_last have changed: what the windows allow is put into frames. */
void h2_stream_offer(struct h2_stream *st);
/* Frames for a head; what stands in st->out follows it, unless the head `ends` it. */
int h2_stream_submit(struct h2_stream *st, const struct message *m, const struct head_frame *f, bool ends);
/* n bytes of the body were taken: the window opens. */
void h2_stream_consume(struct h2_stream *st, size_t n);
#endif
