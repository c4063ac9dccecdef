/*
 * scratch.h - the worker's lent buffers: what is read and written stands here for a moment, so that who waits holds nothing.
 *
 * Rule: what stands in the scratch is gone at the next call that takes a deadline.  Whoever still has unread bytes in `in`
 * says so by having claimed it: before a wait, and before somebody else reads into it, his keep() is called and copies them.
 * `out` is for putting together what is written at once (stream_write() copies what a slow peer leaves).
 * Sanitizer builds overwrite the scratch at each wait, so that a breach shows.
 *
 * Threads: each has its own.  Memory: made at the first use, freed by scratch_free() when the thread ends.
 */
#ifndef NET_SCRATCH_H
#define NET_SCRATCH_H
#include <stddef.h>

#include "base/buf.h"

#define SCRATCH_IN  (64u * 1024u)
#define SCRATCH_OUT (160u * 1024u) /* two of the largest heads and what is added to them */

struct scratch_user {
    void (*keep)(struct scratch_user *u); /* copies what it still needs; must not wait */
};

/* NULL: out of memory. */
char *scratch_in(struct scratch_user *u);
char *scratch_out(void);
/* The user goes away, or needs nothing any more. */
void scratch_release(struct scratch_user *u);
/* Buffers that have grown go from who has sent all to who will send: takes one over into an empty buffer, if one is there ... */
void scratch_take(struct buf *b);
/* ... and lays one by, or frees it if there are enough; it is empty then. */
void scratch_give(struct buf *b);
/* Called before every wait. */
void scratch_lost(void);
void scratch_free(void);
#endif
