/*
 * proxy_protocol.h - the PROXY protocol, versions 1 and 2: the header with which a proxy begins a connection, to say whose it is.
 *
 * Reading: the version is told by the first bytes.  A header is taken as a whole or not at all, in whatever pieces it comes, and
 * no byte behind it is looked at.  What is malformed is refused, nothing is guessed: numbers in another spelling than the
 * canonical one, a line that ends in a lone LF, a TLV that does not end where the header does, a checksum that is wrong.  LOCAL,
 * UNKNOWN, and what can't be the source of a TCP connection (UNSPEC, datagrams) say nothing: the socket's own addresses hold.
 * Of the TLVs only the checksum is looked at.
 *
 * Writing: version 1 is one line.  Version 2 has, unless it is to be bare, TLVs for what TLS told of the client, and a checksum.
 *
 * Sources: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt; CRC-32C is RFC 3720 B.4.
 * Threads: any, no state.  Memory: the caller's.
 */
#ifndef NET_PROXY_PROTOCOL_H
#define NET_PROXY_PROTOCOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "net/addr.h"

#define PROXY_HEADER_MOST 4096u /* bytes of a header that is accepted; nginx takes as many */

struct proxy_header {
    bool local;         /* `from` and `to` are not told: the socket's own hold */
    struct ip from, to; /* family 0: a Unix socket */
};

/* How many bytes the header has, and *out is set; 0: more bytes are needed, and fewer than PROXY_HEADER_MOST are there;
 * -ERR_BAD_PROXY_HEADER: these are the beginning of none. */
int proxy_header_read(const uint8_t *bytes, size_t n, struct proxy_header *out);

/* What is written at the beginning of a connection.  BARE: addresses, and nothing else. */
enum proxy_send { PROXY_SEND_OFF, PROXY_SEND_V1, PROXY_SEND_V2, PROXY_SEND_V2_BARE };

#define PROXY_TLV_SPIFFE 0xe0 /* of the types that are left to applications: the client's verified SPIFFE ID, as text */

/* Whose connection it is. */
struct proxy_client {
    struct ip from, to;
    bool secure;          /* it came over TLS; the rest is for that */
    bool has_certificate; /* the client's, which was verified */
    bool resumed;         /* it showed the certificate on a connection before this one */
    struct slice name;    /* that it asked for (SNI); those that are empty are left out */
    struct slice protocol, version, cipher, common_name, signature, key, spiffe;
};
/* Appends the header; `c` NULL: nobody's, it is the proxy's own (LOCAL, UNKNOWN).  Nothing with PROXY_SEND_OFF.  Failure is the
 * buffer's. */
void proxy_header_write(struct buf *out, enum proxy_send how, const struct proxy_client *c);
#endif
