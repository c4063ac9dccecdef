/*
 * redirect.h - where a redirect leads: the words of its `to` in terms of a request.
 *
 * Threads: any, no state.  Memory: the caller's buffer.
 */
#ifndef PROXY_REDIRECT_H
#define PROXY_REDIRECT_H
#include "base/buf.h"
#include "http/message.h"

/* Adds `to` with {host} (without its port), {uri} (path and query), {path} and {query} in place.  0; -ERR_BAD_HOST: it asks for the
 * host of a request that names none (HTTP/1.0); -ERR_NOMEM. */
int redirect_location(const char *to, const struct message *m, struct buf *out);
#endif
