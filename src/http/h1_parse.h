/*
 * h1_parse.h - HTTP/1.x heads and chunked bodies from bytes: pure functions, no I/O, no state outside their arguments.
 *
 * Promise: anything that two parsers could read differently is refused: both Content-Length and Transfer-Encoding,
 * repeated or listed Content-Length, a transfer coding other than one final "chunked", bare CR or LF, obs-fold, white space
 * before the colon or in a name, NUL and control bytes, bad chunk sizes.  A head that is accepted was read in the only
 * way RFC 9112 allows.  No input makes a function read outside its bytes, run longer than linear, or abort.
 *
 * Sources: RFC 9112 (syntax 2-5, body length 6.3, chunks 7.1), RFC 9110 (field syntax 5.5, Host 7.2), RFC 3986 (targets).
 * Threads: any.  Memory: everything points into `bytes`.
 */
#ifndef HTTP_H1_PARSE_H
#define HTTP_H1_PARSE_H
#include <stddef.h>
#include <stdint.h>

#include "http/message.h"

/*
 * Parses one head at the start of `bytes`.
 * >0: its length, *m is filled (m->headers and m->cap_headers are set by the caller and hold at least limits->headers).
 *  0: more bytes are needed, nothing is wrong so far.  Pass in *seen how many bytes the last call was given (0 at first; the
 *     call updates it): a head that trickles in is not scanned again from its start, so the cost stays linear.
 * <0: a code.  For requests: BAD_REQUEST_LINE, BAD_TARGET, BAD_HEADER, BAD_HOST, BAD_FRAMING, BAD_EXPECT, URI_TOO_LONG,
 *     HEADER_TOO_LARGE, TOO_MANY_HEADERS, METHOD_UNSUPPORTED (CONNECT), CODING_UNSUPPORTED, VERSION_UNSUPPORTED.
 *     For responses: BAD_RESPONSE, BAD_RESPONSE_FRAMING, RESPONSE_TOO_LARGE.
 * One empty line (CRLF) before a request line is skipped and counted in the length (RFC 9112 2.2).
 */
int h1_parse_request(struct message *m, const char *bytes, size_t n, size_t *seen, const struct head_limits *limits);

/* `request_method` decides about the body: none after HEAD, or with 1xx, 204, 304. */
int h1_parse_response(struct message *m, const char *bytes, size_t n, size_t *seen, enum method request_method,
                      const struct head_limits *limits);

/*
 * A chunked body as a small machine that is fed bytes as they come.  Extensions are checked and dropped.
 */
struct h1_chunked {
    uint64_t left;       /* bytes of the current chunk still to come */
    uint32_t line;       /* bytes of the current size line or trailer section so far */
    uint8_t state;       /* private */
    uint8_t digits;      /* private */
};
#define H1_CHUNK_LINE_MOST 4096u /* a size line with its extensions */

enum h1_chunk_step {
    H1_CHUNK_MORE,     /* all bytes used, more are needed */
    H1_CHUNK_DATA,     /* *data is the next piece of body */
    H1_CHUNK_TRAILERS, /* the last chunk has been read: the trailer section follows, for h1_parse_trailers() */
};
void h1_chunked_init(struct h1_chunked *c);
/* Takes from bytes[0..n), says in *used how many; returns a step or -ERR_BAD_CHUNK.  Call again with the rest. */
int h1_chunked_step(struct h1_chunked *c, const char *bytes, size_t n, size_t *used, struct slice *data);

/* Parses the trailer section with its final empty line.  >0: its length (2 if there are none); 0: more bytes; <0: BAD_HEADER,
 * HEADER_TOO_LARGE, TOO_MANY_HEADERS.  Only m->headers and m->n_headers are touched.  Fields that may not stand in trailers
 * (framing, Host, Connection ...: RFC 9110 6.5.1) are marked as dropped. */
int h1_parse_trailers(struct message *m, const char *bytes, size_t n, size_t *seen, const struct head_limits *limits);

/* uri-host [":" port] of RFC 3986, not empty: what Host may be. */
bool h1_authority_is_valid(struct slice s);
#endif
