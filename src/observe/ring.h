/*
 * ring.h - bytes from one thread to another, without a lock and without a system call.
 *
 * The memory is mapped twice, one behind the other, so that what is free and what is filled is always one piece: a line is
 * formatted in place, and a write takes all there is.
 *
 * Promise: what was committed is seen whole and in order; nothing ever waits.
 * Threads: one writes (reserve, commit), one reads (filled, taken).  Memory: the ring's, until ring_close().
 */
#ifndef OBSERVE_RING_H
#define OBSERVE_RING_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct ring {
    char *bytes;                        /* size bytes, mapped twice */
    size_t size;                        /* power of two */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever written */
    uint64_t tail_seen;                 /* the writer's: what it last knew of tail */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever read */
};

/* `size`: a power of two and a multiple of the page size.  -ERR_NOMEM, -ERR_NOFILE, -ERR_IO. */
int ring_open(struct ring *r, size_t size);
void ring_close(struct ring *r);

/* The free bytes, .n may be 0; looks at the reader's side only when fewer than `wanted` are known to be free. */
struct ring_room {
    char *p;
    size_t n;
} ring_reserve(struct ring *r, size_t wanted);
/* The first n of them are now filled.  Returns how many are filled in all, by what the writer knows. */
size_t ring_commit(struct ring *r, size_t n);

struct slice ring_filled(const struct ring *r);
void ring_taken(struct ring *r, size_t n);
#endif
