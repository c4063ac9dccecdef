/*
 * give_way.h - idle connections of one worker give way where another one needs a connection and the backend's limit is reached.
 *
 * A worker can neither use nor close what another one keeps.  So it asks: who keeps idle ones there closes as many as are too many, and
 * then the one that asked opens its own.
 *
 * Threads: each worker says when it begins and ends; any worker asks.  A lock is taken to ask, which is rare.
 * Memory: a question is on the stack of the fiber that asks.
 */
#ifndef UPSTREAM_GIVE_WAY_H
#define UPSTREAM_GIVE_WAY_H
#include "upstream/backend.h"

/* This thread is the worker of worker_index() and can be asked from now on: `close_surplus` is called on its scheduler's stack, with a
 * backend that has more connections than it should, if it still has. */
void give_way_begin(void (*close_surplus)(struct backend *b));
void give_way_end(void);
/* Asks other workers that keep idle ones there, one after the other, while there are too many connections. */
void give_way_ask(struct backend *b, int64_t deadline);
#endif
