/*
 * splice.h - bytes from one socket to another without copying them, through a pipe of the worker's pool.
 *
 * Worth it from some 32 KiB on.  A pipe is held only while it has bytes in it: who waits for the sender holds none.
 * Source: splice(2).
 * Threads: the pool is the thread's.  Memory: a pipe that failed half-way is closed with what is in it.
 */
#ifndef NET_SPLICE_H
#define NET_SPLICE_H
#include <stdint.h>

#include "net/stream.h"

#define SPLICE_LEAST (32u * 1024u)

/* Waits for bytes and moves up to `n` of them: >0 how many, 0 the end of the stream, <0 a code.  `read_deadline` is for the
 * sender, `write_idle` (microseconds) for the receiver.  -ERR_NOFILE: no pipe to be had; nothing was moved, copy instead.
 * *from_side tells after an error whether the sender failed. */
ssize_t splice_some(struct stream *from, struct stream *to, size_t n, int64_t write_idle, bool *from_side, int64_t deadline);
/* The same without waiting for the sender: -ERR_AGAIN. */
ssize_t splice_now(struct stream *from, struct stream *to, size_t n, bool *from_side, int64_t write_deadline);
/* The most pipes of all threads; from then on there is none to be had.  A receiver that reads nothing keeps one: without a
 * ceiling a few hundred of them would take every descriptor. */
void splice_pipes_most(uint32_t n);
void splice_free(void); /* the thread ends */
#endif
