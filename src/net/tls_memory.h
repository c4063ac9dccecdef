/*
 * tls_memory.h - where OpenSSL's large buffers stand: apart from what lives as long as a connection.
 *
 * OpenSSL allocates buffers of 4 and of 16 to 22 KiB for the time of a handshake or of one record.  On the heap they lie
 * between the small objects of connections, so that a burst of handshakes leaves it full of holes that nobody gives back:
 * 7,000 idle connections kept 25 KiB each, 10 of it holes.  Here such a buffer gets a slot of whole pages from a region of
 * its own; each thread keeps a few slots ready, and the pages of all others go back to the kernel as soon as they are free.
 *
 * Promise: never worse than malloc(): what fits no slot, or comes when all are taken, is allocated there.
 * Threads: any; slots may be freed by another thread than allocated them.
 * Memory: address space for the slots is reserved at the start, and counted as used only as far as it has been needed.
 */
#ifndef NET_TLS_MEMORY_H
#define NET_TLS_MEMORY_H
#include <stdbool.h>
#include <stddef.h>

/* Makes OpenSSL allocate here.  Called before anything of OpenSSL's is; false: it was too late, or there are no slots (a
 * sanitizer watches the heap), and OpenSSL goes on with malloc(). */
bool tls_memory_start(void);

/* As OpenSSL calls them (CRYPTO_set_mem_functions(3)); a size of 0 frees. */
void *tls_memory_alloc(size_t size, const char *file, int line);
void *tls_memory_realloc(void *p, size_t size, const char *file, int line);
void tls_memory_free(void *p, const char *file, int line);

/* True when it stands in a slot. */
bool tls_memory_is_slot(const void *p);

/* Gives back what this thread keeps. */
void tls_memory_thread_ends(void);
#endif
