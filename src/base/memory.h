/*
 * memory.h - freed memory goes back to the kernel.
 *
 * mimalloc keeps the pages that a burst has left empty until the thread that owns them allocates much again; a thread that
 * has become idle never does.  With another malloc() this does nothing.
 * Threads: any, each for its own.  Takes a few milliseconds after a large burst.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

void memory_give_back(void);
#endif
