/*
 * h2_head.h - the fields of an HTTP/2 header block become a message, by HTTP/2's rules for them.
 *
 * Promise: nothing that HTTP/1 would read otherwise gets through: names are lower-case tokens, values hold no control byte
 * but a tab and no blanks around them; pseudo-fields come first, once, and are those of the kind of message; no fields
 * of one connection (Connection, Transfer-Encoding, Upgrade, ...), TE only as "trailers"; Host is what :authority is; one
 * Content-Length, a number.  Cookies that came apart are joined.  CONNECT with :protocol "websocket" becomes the GET with
 * Upgrade that it stands for (RFC 8441); what answers it is turned back in h2_write.c.
 *
 * Sources: RFC 9113 8.2, 8.3; RFC 8441.  No I/O, never yields.
 * Threads: any.  Memory: a block's buffers are its own (h2_block_free); a head is one allocation, freed with free().
 */
#ifndef HTTP_H2_HEAD_H
#define HTTP_H2_HEAD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/message.h"

/* The fields of the block that is being received, pseudo-fields among them. */
struct h2_field {
    uint32_t at; /* of the name in `bytes`; the value stands behind it */
    uint16_t name_len, value_len;
};
struct h2_block {
    struct buf bytes, fields; /* fields: of struct h2_field */
    unsigned n;
    size_t size; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts: 32 more a field */
    int wrong;   /* the code of the limit that was passed: nothing more is kept */
};
void h2_block_begin(struct h2_block *b);
/* False: so far beyond the limit that nothing can be meant by it but harm. */
bool h2_block_add(struct h2_block *b, struct slice name, struct slice value, const struct head_limits *limits);
void h2_block_free(struct h2_block *b);

struct h2_head {
    struct h2_head *next; /* for whoever queues them */
    struct message m;
    size_t size; /* of the block, as RFC 9113 6.5.2 counts */
    int wrong;   /* 0, or the code of what is wrong with it: then only fields for the log are set */
    bool ended;  /* no body follows */
    struct header fields[];
};

/* NULL: out of memory.  `ended`: the stream ends with this block. */
struct h2_head *h2_head_request(const struct h2_block *b, bool ended, const struct head_limits *limits);
struct h2_head *h2_head_response(const struct h2_block *b, bool ended);
struct h2_head *h2_head_trailers(const struct h2_block *b);
/* An answer's framing, once it is known what it answers. */
void h2_head_frame_response(struct h2_head *h, enum method request_method);
#endif
