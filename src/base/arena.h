/*
 * arena.h - memory that is taken piece by piece and given back all at once.
 *
 * Promise: pieces are aligned to 16 bytes; arena_free() gives back every piece; a piece is never moved.
 * The first pieces come from bytes that the caller lends (on a fiber's stack, say), so that a small exchange allocates
 * nothing.  Under AddressSanitizer each piece is an allocation of its own.
 * Threads: one at a time.  Memory: the chunks are the arena's; `lent` is the caller's.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include <stddef.h>

#include "base/slice.h"

struct arena_chunk;
struct arena {
    char *next, *end;           /* what is left of the current chunk */
    struct arena_chunk *chunks; /* newest first */
};

/* `lent` may be NULL (then the first piece allocates) and must outlive the arena. */
void arena_init(struct arena *a, void *lent, size_t lent_size);
void arena_free(struct arena *a);

/* NULL when memory is out.  The bytes are not cleared. */
void *arena_take(struct arena *a, size_t n);
void *arena_take_zero(struct arena *a, size_t n);

/* A copy with a terminating NUL, which n does not count; .p is NULL when memory is out. */
struct slice arena_copy(struct arena *a, struct slice s);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
