/*
 * base64.h - bytes as text of 64 characters, and back.
 *
 * Promise: decoding takes only what encoding writes: the standard alphabet, padded, nothing between, no bits left over.
 * Source: RFC 4648 section 4.
 * Threads: any, no state.  Memory: the caller's.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include <stddef.h>

#include "base/slice.h"

struct buf;

/* Appends the text of s. */
void base64_encode(struct buf *out, struct slice s);
/* The bytes of which s is the text, into out[0..size); how many, or -ERR_INVALID when it is none, or they don't fit. */
long base64_decode(struct slice s, char *out, size_t size);
#define BASE64_DECODED_MOST(n) ((n) / 4 * 3) /* of n characters */
#endif
