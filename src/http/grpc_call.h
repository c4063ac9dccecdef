/*
 * grpc_call.h - one call of a gRPC service, as its client, over an HTTP/2 connection that it has for itself.
 *
 * One request message, and a stream of answers: a unary call is one with a single answer.  A fiber of the call's own works for
 * the connection; who calls grpc_call_read() waits for it.
 *
 * Promise: no more than a message of `message_most` bytes, a piece of the next and HTTP/2's windows are held.  What is no answer
 * of gRPC's (a status other than 200, another content type, a compressed message, an end without a status) is told as such.
 *
 * Source: gRPC over HTTP2 (doc/PROTOCOL-HTTP2.md of gRPC).  A message there: a byte for "compressed", four of length, highest
 * first, and that many bytes.
 * Threads: one fiber's.  Memory: the caller's struct; what it refers to is freed by grpc_call_close().
 */
#ifndef HTTP_GRPC_CALL_H
#define HTTP_GRPC_CALL_H
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "fiber/fiber.h"
#include "http/h2_single.h"
#include "http/message.h"

struct stream;

#define GRPC_REQUEST_MOST 512 /* bytes of a request message */

struct grpc_ask {
    struct slice authority, path; /* path: "/package.Service/Method" */
    struct slice metadata[2];     /* a field more: its name, in small letters, and its value; empty: none */
    struct slice request;         /* the message: at most GRPC_REQUEST_MOST bytes */
    uint32_t message_most;        /* bytes of a message of the answer */
    bool secret;                  /* what comes is wiped after use */
};

struct grpc_call {
    struct stream *stream;
    struct h2_single h2;
    bool answered; /* the head has come */
    bool secret;
    uint32_t message_most;
    struct buf in; /* what came and was not asked for; at its start the message that was handed out */
    size_t handed;
    int status;    /* of gRPC, once it has ended; -1 before */
    char why[128]; /* after a failure: what was wrong, or the words that came with the status; printable ASCII */
};

/* Sends the request on `s`, which stays the caller's, and on which nothing else is said until grpc_call_close().  On failure
 * there is nothing to close.  0, -ERR_NOMEM, -ERR_TIMEOUT, -ERR_CANCELED, or what the connection ended with. */
int grpc_call_open(struct grpc_call *c, struct stream *s, const struct grpc_ask *ask, int64_t deadline);
/* 1: *message, good until the next call.  0: the answer has ended in order, with c->status.  -ERR_BAD_RESPONSE: c->why;
 * else as above. */
int grpc_call_read(struct grpc_call *c, struct slice *message, int64_t deadline);
/* Says goodbye without waiting for the peer; waits for the fiber to end. */
void grpc_call_close(struct grpc_call *c);

const char *grpc_code_word(int status); /* "UNIMPLEMENTED"; a code that gRPC doesn't know: "" */
#endif
