/*
 * grpc.h - what a request of gRPC asks for beside HTTP: a deadline, and errors as grpc-status.
 *
 * Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md), "HTTP to gRPC status code mapping".
 * Threads: any.  Memory: none.
 */
#ifndef PROXY_GRPC_H
#define PROXY_GRPC_H
#include <stdbool.h>
#include <stdint.h>

#include "http/message.h"

/* HTTP/2 with the content type application/grpc, or one of its kind (application/grpc+proto). */
bool grpc_is(const struct message *m);
/* How long the client waits, from grpc-timeout ("250m", "10S"): microseconds; CLOCK_NEVER: it doesn't say, or not well. */
int64_t grpc_timeout(const struct message *m);
/* The grpc-status for a failure of ours. */
unsigned grpc_status(int code);
#endif
