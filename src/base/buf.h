/*
 * buf.h - bytes that grow: for pages and replies that are made whole before they are sent.
 *
 * Promise: failure is sticky.  After the first failed allocation every call does nothing; check `failed` once, at the end.
 * A zeroed struct is an empty buffer.  p is always ended by a NUL that n does not count, once anything was reserved.
 * Threads: one at a time.  Memory: the buffer's, until buf_free() or buf_steal().
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buf {
    char *p;
    size_t n, cap; /* cap bytes are allocated; n < cap unless both are 0 */
    bool failed;
};

void buf_free(struct buf *b);
/* Room for `more` bytes behind the last one; the caller writes there and adds to n.  NULL: failed. */
char *buf_reserve(struct buf *b, size_t more);
void buf_append(struct buf *b, const void *p, size_t n);
void buf_add(struct buf *b, const char *s);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* `s` as a quoted JSON string (base/json.h). */
void buf_add_json(struct buf *b, struct slice s);

static inline struct slice buf_slice(const struct buf *b) { return slice_of(b->p, b->n); }
/* The bytes, which are now the caller's to free(), and *n (may be NULL); the buffer is empty again.  NULL: failed or nothing. */
char *buf_steal(struct buf *b, size_t *n);
#endif
