/*
 * protobuf.h - the fields of a Protocol Buffers message, one after the other, read strictly.
 *
 * A message is a row of fields, each a tag (varint: field number << 3 | wire type) and a value:
 *
 *     type 0: a varint, 7 bits a byte, lowest first, at most 10 bytes     type 1: 8 bytes, lowest first
 *     type 2: a length (varint) and that many bytes: text, bytes or a message     type 5: 4 bytes, lowest first
 *
 * Promise: nothing outside of what was given is read.  What the format does not allow ends the reading: a number 0 or beyond
 * 2^29, a length beyond the end, a varint of more than 64 bits, and groups (types 3 and 4), which nobody writes any more.
 * Who reads skips the fields that he doesn't know, as the format wants it.
 *
 * Source: protobuf.dev, "Encoding".
 * Threads: any, no state.  Memory: slices into the bytes that were given.
 */
#ifndef BASE_PROTOBUF_H
#define BASE_PROTOBUF_H
#include <stdint.h>

#include "base/slice.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t value;     /* of the types that are numbers */
    struct slice bytes; /* of PB_BYTES */
};

/* Takes the first field off *in.  1: there was one; 0: the message has ended; -ERR_INVALID. */
int pb_next(struct slice *in, struct pb_field *f);
static inline int pb_is(const struct pb_field *f, uint32_t number, enum pb_type type)
{
    return f->number == number && f->type == type;
}

#define PB_HEAD_MOST 15 /* bytes of a tag and a length */
/* Writes tag and length of a field of n bytes, which are to follow; returns how many bytes those are. */
size_t pb_put_head(char out[PB_HEAD_MOST], uint32_t number, size_t n);
#endif
