/*
 * h1_fields.h - a field section (of a head or of trailers) from bytes; what its fields together say.
 *
 * Private to src/http.  Promise: as in h1_parse.h.
 * Threads: any.  Memory: everything points into the bytes.
 */
#ifndef HTTP_H1_FIELDS_H
#define HTTP_H1_FIELDS_H
#include <stddef.h>
#include <stdint.h>

#include "http/h1_parse.h"
#include "http/message.h"

enum h1_coding { H1_CODING_NONE, H1_CODING_CHUNKED, H1_CODING_OTHER, H1_CODING_BAD };

/* What the fields say about the message, before version, method and status are looked at. */
struct h1_meaning {
    struct slice host;
    uint64_t content_length;
    enum h1_coding coding;
    bool has_host, bad_host;     /* bad: repeated */
    bool has_length, bad_length; /* bad: not a number, repeated, beyond 2^63 - 1 */
    bool close, keep_alive, upgrade, has_upgrade;
    bool te_trailers, expect_continue, bad_expect;
};

/*
 * Parses field lines and the empty line after them into m->headers, from index 0.  *say is only added to: clear it first.
 * >0: the length with the empty line; 0: more bytes; -ERR_BAD_HEADER, -ERR_TOO_MANY_HEADERS.
 */
int h1_fields_parse(struct message *m, const char *bytes, size_t n, unsigned most, struct h1_meaning *say);

/* The head is at most this long, whatever the limits say: lengths are 16 bits. */
static inline size_t h1_head_most(const struct head_limits *l) { return l->head < 65535 ? l->head : 65535; }

/*
 * Whether `n` bytes of which `seen` were parsed in vain before can give another answer now: a head that trickles in is
 * only parsed again when the new bytes hold what may be its end, or a limit is reached.
 */
bool h1_worth_parsing(const char *bytes, size_t n, size_t seen, size_t head_most, size_t line_most);

/* A field that may not stand in trailers (RFC 9110 6.5.1). */
bool h1_is_for_heads_only(const struct header *h);
#endif
