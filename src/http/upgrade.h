/*
 * upgrade.h - what the Upgrade fields of a message name, and a WebSocket's opening handshake.
 *
 * There may be several fields, each a list; names are compared without regard to case, versions ("name/version") too.
 *
 * Source: RFC 9110 7.8, RFC 6455 4.
 * Threads: any, no state.
 */
#ifndef HTTP_UPGRADE_H
#define HTTP_UPGRADE_H
#include <stdbool.h>

#include "http/message.h"

/* Is one of them a version of HTTP: "h2c", "h2", "HTTP/2.0"? */
bool upgrade_names_http(const struct message *m);
/* The answer names at least one protocol, and none that the request doesn't. */
bool upgrade_was_asked_for(const struct message *answer, const struct message *request);

enum { WEBSOCKET_KEY_LEN = 24, WEBSOCKET_ACCEPT_LEN = 28 }; /* 16 and 20 bytes in base64 */
/* The Sec-WebSocket-Key of a request that opens a WebSocket; empty if it does not, or not well. */
struct slice upgrade_websocket_key(const struct message *request);
/* The Sec-WebSocket-Accept that belongs to the key.  0 or -ERR_NOMEM. */
int upgrade_websocket_accept(struct slice key, char accept[WEBSOCKET_ACCEPT_LEN]);
/* Does the answer have the one Sec-WebSocket-Accept that belongs to the request's key?  0, -ERR_UPGRADE_FAILED or -ERR_NOMEM. */
int upgrade_websocket_check(const struct message *answer, const struct message *request);
#endif
