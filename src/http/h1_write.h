/*
 * h1_write.h - heads and chunk framing as bytes: pure functions into the caller's buffer.
 *
 * Promise: what goes out is framed from our own understanding (the arguments), never from fields as received: the callers
 * pass fields through hop.h first, and Content-Length, Transfer-Encoding and Connection are written here and nowhere else.
 * Each field is written as "name: value\r\n".  Nothing is written beyond `size`.
 *
 * Source: RFC 9112.  Threads: any.  Memory: the caller's.
 */
#ifndef HTTP_H1_WRITE_H
#define HTTP_H1_WRITE_H
#include <stddef.h>
#include <stdint.h>

#include "http/message.h"

/* All return the bytes written, or 0 when `size` is too small. */
/* "METHOD target HTTP/1.1" and the fields not dropped.  The target goes in origin form (also if it came in absolute form), and
 * Host is written first, from m->authority (an empty one as an empty value). */
size_t h1_write_request(char *out, size_t size, const struct message *m, const struct head_frame *f);
/* "HTTP/1.1 status reason" and the fields not dropped. */
size_t h1_write_response(char *out, size_t size, const struct message *m, const struct head_frame *f);
/* "1f40\r\n"; the chunk's own final CRLF is the caller's (H1_CHUNK_END). */
size_t h1_write_chunk_size(char *out, size_t size, uint64_t n);
#define H1_CHUNK_SIZE_MOST 18u
/* "0\r\n", the trailer fields not dropped (may be NULL), "\r\n". */
size_t h1_write_last_chunk(char *out, size_t size, const struct message *trailers);

/* The usual phrase ("Not Found"), "" if there is none. */
const char *h1_reason(unsigned status);
#endif
