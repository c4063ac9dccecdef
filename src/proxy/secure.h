/*
 * secure.h - what TLS is to a client's connection: the handshake at its start, the name it asks for, who the client is.
 *
 * Threads: the connection's worker.  Memory: none kept.
 */
#ifndef PROXY_SECURE_H
#define PROXY_SECURE_H
#include <stdbool.h>

#include "net/client_hello.h"
#include "proxy/conn.h"

struct exchange;
struct identity_conf;
struct stream;

/* The handshake that the listener asks for.  False: it failed, has been told, and the connection is to be closed; *told: with
 * an answer in clear that the client may still be about to read. */
bool secure_begin(struct conn *c, bool *told);
/* The name in the ClientHello, which stays unread.  0 (empty: it names nobody) or a code. */
int secure_peek_name(struct conn *c, char text[CLIENT_HELLO_NAME], struct slice *name, int64_t deadline);
/* May this request come on this connection?  0 or -ERR_MISDIRECTED. */
int secure_check_host(const struct exchange *x);
/* May this client go by a route that wants such an identity?  0 or -ERR_IDENTITY_DENIED. */
int secure_check_identity(const struct stream *client, const struct identity_conf *wanted);
#endif
