/*
 * client_hello.h - the name that a TLS client asks for, read from its first bytes without taking part in the handshake.
 *
 * The message may be spread over several records and, with calls that pass more and more of the bytes, over several reads.
 * No input makes it read outside its bytes or run longer than linear.
 *
 * Sources: RFC 8446 4.1.2 and 5.1 (ClientHello, records), RFC 6066 3 (server_name).
 * Threads: any, no state.  Memory: the caller's.
 */
#ifndef NET_CLIENT_HELLO_H
#define NET_CLIENT_HELLO_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define CLIENT_HELLO_MOST (16u * 1024u) /* bytes, records' headers included: what is worth waiting for */
#define CLIENT_HELLO_NAME 256u          /* a host name has at most 253 bytes */

/* 1: read; *name, in small letters, stands in `text` and is empty when the client names nobody.  0: more bytes are needed.
 * -ERR_BAD_CLIENT_HELLO: these are no TLS, or a malformed or too long hello. */
int client_hello_name(const uint8_t *bytes, size_t n, char text[CLIENT_HELLO_NAME], struct slice *name);
/* How a host that is named there is read: into `text`, as above.  False: such a hello is malformed. */
bool client_hello_host(struct slice host, char text[CLIENT_HELLO_NAME], struct slice *name);
#endif
