/*
 * hop.h - the rules of being in the middle: what must not pass, and what an intermediary adds.
 *
 * Drops hop-by-hop fields (Connection and all that it lists, Keep-Alive, Proxy-Connection, TE but "trailers", Trailer as
 * received, Transfer-Encoding, Upgrade unless the exchange is an upgrade, HTTP2-Settings); replaces X-Forwarded-* and
 * Forwarded; sets X-Client-Cert-* for a client with a verified certificate; adds Via.  Framing fields (Content-Length, Transfer-Encoding, Connection, Host) are dropped here too: h1_write
 * writes them anew.  Fields that a Connection field lists but that are end-to-end by their nature (Host, Content-Length,
 * Transfer-Encoding, Cookie, Authorization, X-Forwarded-*, Forwarded, Via) can't be removed that way.
 *
 * Sources: RFC 9110 7.6, RFC 7239, RFC 9112 9.6.
 * Threads: any.  Memory: what is added comes from `a`.
 */
#ifndef HTTP_HOP_H
#define HTTP_HOP_H
#include <stdbool.h>

#include "base/arena.h"
#include "http/message.h"

struct tls_identity;

enum forwarded_mode { FORWARDED_X, FORWARDED_RFC7239, FORWARDED_BOTH, FORWARDED_OFF };

struct hop_info {
    struct slice client_ip;    /* "192.0.2.1", "2001:db8::1", "" for a Unix socket */
    bool trusted;              /* the client is itself a proxy that we trust: its Forwarded fields are continued, not replaced */
    bool secure;               /* the client came over TLS: "https" */
    enum forwarded_mode forwarded;
    bool via;                  /* add a Via field */
    struct slice via_name;     /* our pseudonym, "weir" */
    const struct tls_identity *identity; /* the client's, by a certificate that was verified; NULL: none */
};

#define HOP_IDENTITY 6

/* Toward a backend.  `m` must have room for 5 more fields (-ERR_TOO_MANY_HEADERS otherwise).  With FORWARDED_OFF what the
 * client sent is still dropped unless it is trusted; "X-Forwarded-*" is any such name, also with '_' for '-'.  So are
 * X-Client-Cert-*, and Client-Cert and Client-Cert-Chain (RFC 9440); an identity needs room for HOP_IDENTITY fields more.  Expect is
 * passed only with m->expect_continue.  -ERR_NOMEM; -ERR_BAD_HEADER: Connection lists more than 64 options. */
int hop_request(struct message *m, const struct hop_info *info, struct arena *a);

/* Toward a client.  `upgrading`: a 101 whose Upgrade field passes.  `m` needs room for 1 more field.  -ERR_NOMEM;
 * -ERR_BAD_RESPONSE: Connection lists more than 64 options. */
int hop_response(struct message *m, const struct hop_info *info, bool upgrading, struct arena *a);
#endif
