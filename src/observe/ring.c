/* ring.c - one memory, two views of it. */
#define _GNU_SOURCE /* memfd_create */
#include "observe/ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/must.h"

static int map_twice(struct ring *r, int fd)
{
    char *p = mmap(NULL, 2 * r->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -ERR_NOMEM;
    if (mmap(p, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mmap(p + r->size, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        (void)munmap(p, 2 * r->size);
        return -ERR_NOMEM;
    }
    r->bytes = p;
    return 0;
}

int ring_open(struct ring *r, size_t size)
{
    int fd, rc;

    MUST(size > 0 && (size & (size - 1)) == 0);
    *r = (struct ring){ .size = size };
    fd = memfd_create("weir-ring", MFD_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    rc = ftruncate(fd, (off_t)size) < 0 ? err_from_errno(errno) : map_twice(r, fd);
    (void)close(fd);
    return rc;
}

void ring_close(struct ring *r)
{
    if (r->bytes != NULL)
        (void)munmap(r->bytes, 2 * r->size);
    r->bytes = NULL;
}

struct ring_room ring_reserve(struct ring *r, size_t wanted)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (r->size - (size_t)(head - r->tail_seen) < wanted)
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return (struct ring_room){ r->bytes + (head & (r->size - 1)), r->size - (size_t)(head - r->tail_seen) };
}

size_t ring_commit(struct ring *r, size_t n)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed) + n;

    /* Sequentially consistent: the reader that goes to sleep looks at head after it has said so, and the writer looks at
     * whether it sleeps after this. */
    atomic_store_explicit(&r->head, head, memory_order_seq_cst);
    return (size_t)(head - r->tail_seen);
}

struct slice ring_filled(const struct ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&r->head, memory_order_seq_cst);

    return slice_of(r->bytes + (tail & (r->size - 1)), (size_t)(head - tail));
}

void ring_taken(struct ring *r, size_t n)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    atomic_store_explicit(&r->tail, tail + n, memory_order_release);
}
