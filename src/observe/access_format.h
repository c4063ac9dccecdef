/*
 * access_format.h - what one finished exchange looks like as a line of the access log.
 *
 * "combined" is exactly Apache's combined format, so that existing tools read it; JSON has everything, one object a line
 * (docs/access-log.md).  What a peer sent can end neither the field nor the line: combined writes quotes, backslashes,
 * controls and bytes from 0x7f on as \xHH; JSON follows base/json.h.  A text is cut after ACCESS_TEXT_MOST bytes.
 *
 * Threads: any (the text of the current second is kept a thread).  Memory: the caller's; nothing is allocated.
 */
#ifndef OBSERVE_ACCESS_FORMAT_H
#define OBSERVE_ACCESS_FORMAT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define ACCESS_TEXT_MOST 8192

enum access_format { ACCESS_COMBINED, ACCESS_JSON };

/* Plain values, valid for the call.  A text that is not known is empty. */
struct access_record {
    struct slice client;         /* address as text, without port */
    struct slice method, target; /* as received; empty when the request line could not be read */
    struct slice host, referer, user_agent;
    struct slice listener, route, pool, backend;
    struct slice request_id;
    struct slice tls_version, tls_name, tls_identity; /* "TLSv1.3", SNI, the client certificate's; empty in clear */
    int64_t started;                                  /* microseconds since 1970 UTC, of the request's first byte */
    int64_t duration_us;                              /* to the answer's last byte */
    int64_t first_byte_us;                            /* from start to the backend's first byte; -1: there was none */
    uint64_t sent, received;                          /* body bytes, to and from the client */
    int status;                                       /* what the client got; 0: nothing */
    int reason;                                       /* enum err, either sign; 0: all went well */
    unsigned attempts;                                /* backends tried */
    uint8_t major, minor;                             /* of the protocol: 1.1, 2.0 */
    bool reused;                                      /* the last attempt used a kept connection */
};

/* Writes the line with its newline at `at`; returns the byte behind it, NULL if it does not fit before `end`. */
char *access_format(char *at, const char *end, enum access_format format, const struct access_record *r);
#endif
