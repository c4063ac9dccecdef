/*
 * exchange.h - one request and its answer.
 *
 * exchange_run() is the page to read first: everything that happens to a request, top to bottom.
 *
 * Threads: one fiber, with a second one while a body is uploaded.  Memory: on the fiber's stack; what it needs more comes from
 * its arena and dies with it.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "fiber/timer.h"
#include "http/codec.h"
#include "http/h1_codec.h"
#include "http/hop.h"
#include "proxy/affinity.h"
#include "proxy/conn.h"
#include "proxy/worker.h"
#include "upstream/lease.h"

struct upload;

struct exchange {
    struct conn *conn; /* NULL once a tunnel has it */
    struct ip peer;
    struct ip client_ip;  /* the peer, or whom trusted proxies name */
    struct codec *client; /* toward the client */
    struct arena *arena;
    struct served *served;
    const struct snapshot *conf;
    const struct listener_conf *listener;
    const struct route_conf *route; /* NULL: none matched */
    struct fiber *fiber;            /* that runs it */
    struct pool *pool;
    struct lease lease;
    struct codec *backend; /* toward the backend, while there is a lease */
    struct h1_codec h1;    /* that one, over HTTP/1 */
    struct upload *upload; /* NULL: nothing (more) to send up in a fiber of its own */
    struct buf replay;     /* what was read of the request body so far, while it may have to be sent again */
    struct message *replay_trailers;
    bool replay_whole;     /* `replay` is all of the body */
    bool replay_lost;      /* more was read than is kept: the request can't be sent again */
    bool head_sent;        /* the final head is on its way to the client */
    bool keep_alive;       /* the client's connection, as far as we know now */
    bool request_was_read; /* there is a valid request head */
    bool sent_up;          /* bytes of it may have reached a backend */
    bool reused;           /* the last try went over a kept connection */
    bool connected;        /* to the backend at hand */
    bool answered;         /* bytes of an answer have come from the backend at hand */
    bool told_interim;     /* the client has got a 1xx head of it, or of one before */
    bool was_reset;        /* the upload has found out that the backend reset the connection */
    uint8_t attempts;
    uint8_t end;           /* enum exchange_end */
    uint16_t status;       /* sent to the client */
    int reason;            /* 0, or the (negative) code it failed with */
    bool grpc;             /* it speaks gRPC */
    int64_t moved;         /* gRPC: when bytes of a body last moved, either way */
    struct timer deadline; /* gRPC: the client's; armed if it has one */
    struct tried tried;
    struct affinity affinity;
    int64_t started, wall, sent_at, first_byte;
    uint64_t body_sent;
    struct message req;
};

/* Reads one request from the connection and answers it. */
enum exchange_end exchange_run(struct exchange *x, int64_t head_deadline);

/* For the files of src/proxy: */
/* forward.c: finds a backend, sends the request, has the answer passed on. */
int forward(struct exchange *x);
/* answer.c: answers of our own.  `rc` is why. */
int answer_error(struct exchange *x, int rc);
int answer_respond(struct exchange *x, const struct respond_conf *r);
int answer_redirect(struct exchange *x, const struct redirect_conf *r);
int answer_redirect_https(struct exchange *x); /* the same host and target there */
/* Sends a final answer with a body of ours. */
int answer_send(struct exchange *x, struct message *m, struct slice body);
/* Applies rules to a head. */
int header_rules_apply(const struct header_rules *rules, struct message *m, struct arena *a);
/* To a client that opens a WebSocket over HTTP/2 any 2xx says that it is open (RFC 8441 5): is that answer one that does not? */
static inline bool exchange_would_mislead(const struct exchange *x, unsigned status)
{
    return x->req.h2 && x->req.upgrade && status >= 200 && status < 300;
}
/* exchange.c: what each message loses and gains on its way. */
struct hop_info exchange_hop_info(const struct exchange *x);
/* A piece of a body, with this much patience; in gRPC a side may well be silent as long as the other speaks. */
int exchange_read_body(struct exchange *x, struct codec *from, struct body *b, int64_t patience);
/* The same of what there is already. */
int exchange_read_first(struct exchange *x, struct codec *from, struct body *b);
static inline const struct timeouts_conf *exchange_timeouts(const struct exchange *x) { return &x->conf->timeouts; }
/* The deadline that lies `after` microseconds ahead. */
static inline int64_t deadline_in(int64_t after) { return clock_after(fiber_now(), after); }
/* record.c: one line of the access log, and the counters. */
void exchange_record(const struct exchange *x);
/* The line, for whoever ends the exchange later: malloc'ed; NULL when nobody would read it. */
struct access_record;
struct access_record *exchange_record_keep(const struct exchange *x);
#endif
