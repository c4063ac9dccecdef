/* tls_memory.c - regions of equal slots; what is free is known by its number. */
#include "net/tls_memory.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/must.h"
#include "base/sanitize.h"

enum {
    SLOTS_MOST = 65536, /* in a region */
    SLOTS_STEP = 64,    /* made usable at once */
    KEEP_MOST = 16,     /* ready slots of a thread */
    N_REGIONS = 2,
};

/* Sizes seen with OpenSSL 3.0: 4,104 (the buffer of a flight); 16,584 and 16,712 (records), 21,848 (handshake messages).  The
 * 7.6 KiB between them are an SSL, which lives as long as its connection. */
struct region {
    size_t least, most; /* sizes that belong here; a slot holds `most` */
    char *base;
    pthread_mutex_t lock;
    uint32_t usable; /* slots whose pages may be touched; the rest are only reserved */
    uint32_t used;   /* the first slot that was never handed out */
    uint32_t n_free;
    uint32_t free_slots[SLOTS_MOST];
};

static struct region regions[N_REGIONS] = {
    { .least = 4097, .most = 2 * 4096, .lock = PTHREAD_MUTEX_INITIALIZER },
    { .least = 12 * 1024 + 1, .most = 6 * 4096, .lock = PTHREAD_MUTEX_INITIALIZER },
};

/* Slots that this thread freed last: their pages are there, and likely in its cache. */
struct kept {
    uint32_t n;
    uint32_t slots[KEEP_MOST];
};
static _Thread_local struct kept kept[N_REGIONS];

/* The regions stand side by side: a comparison tells that a pointer is none of theirs.  all_size is 0 without them. */
static uintptr_t all_base;
static size_t all_size;

static size_t region_size(const struct region *r) { return SLOTS_MOST * r->most; }

static struct region *region_for(size_t size)
{
    for (struct region *r = regions; r < regions + N_REGIONS; r++)
        if (size >= r->least && size <= r->most && all_size > 0)
            return r;
    return NULL;
}

bool tls_memory_is_slot(const void *p) { return (uintptr_t)p - all_base < all_size; }

static struct region *region_of(const void *p)
{
    struct region *r = regions;

    if (!tls_memory_is_slot(p))
        return NULL;
    while ((uintptr_t)p >= (uintptr_t)r->base + region_size(r))
        r++;
    return r;
}

static char *slot_at(const struct region *r, uint32_t number) { return r->base + number * r->most; }

static uint32_t number_of(const struct region *r, const void *p)
{
    size_t at = (size_t)((const char *)p - r->base);

    MUST(at % r->most == 0);
    return (uint32_t)(at / r->most);
}

static bool make_usable(struct region *r)
{
    if (r->usable == SLOTS_MOST || mprotect(slot_at(r, r->usable), SLOTS_STEP * r->most, PROT_READ | PROT_WRITE) < 0)
        return false;
    r->usable += SLOTS_STEP;
    return true;
}

static char *shared_take(struct region *r)
{
    char *p = NULL;

    (void)pthread_mutex_lock(&r->lock);
    if (r->n_free > 0)
        p = slot_at(r, r->free_slots[--r->n_free]);
    else if (r->used < r->usable || make_usable(r))
        p = slot_at(r, r->used++);
    (void)pthread_mutex_unlock(&r->lock);
    return p;
}

static void shared_give(struct region *r, uint32_t number)
{
    (void)madvise(slot_at(r, number), r->most, MADV_DONTNEED); /* if it fails, the pages stay: no harm but their size */
    (void)pthread_mutex_lock(&r->lock);
    MUST(r->n_free < SLOTS_MOST);
    r->free_slots[r->n_free++] = number;
    (void)pthread_mutex_unlock(&r->lock);
}

static char *slot_take(struct region *r)
{
    struct kept *k = &kept[r - regions];

    return k->n > 0 ? slot_at(r, k->slots[--k->n]) : shared_take(r);
}

static void slot_give(struct region *r, void *p)
{
    struct kept *k = &kept[r - regions];

    if (k->n < KEEP_MOST)
        k->slots[k->n++] = number_of(r, p);
    else
        shared_give(r, number_of(r, p));
}

void *tls_memory_alloc(size_t size, const char *file, int line)
{
    struct region *r = size < regions[0].least ? NULL : region_for(size);
    void *p = r != NULL ? slot_take(r) : NULL;

    (void)file, (void)line;
    return p != NULL ? p : malloc(size);
}

void *tls_memory_realloc(void *p, size_t size, const char *file, int line)
{
    struct region *r = region_of(p);
    void *to;

    if (size == 0) {
        tls_memory_free(p, file, line);
        return NULL;
    }
    if (p == NULL)
        return tls_memory_alloc(size, file, line);
    if (r == NULL)
        return realloc(p, size);
    if (size <= r->most)
        return p;
    to = tls_memory_alloc(size, file, line);
    if (to != NULL) {
        memcpy(to, p, r->most);
        slot_give(r, p);
    }
    return to;
}

void tls_memory_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (tls_memory_is_slot(p))
        slot_give(region_of(p), p);
    else
        free(p);
}

void tls_memory_thread_ends(void)
{
    for (struct region *r = regions; r < regions + N_REGIONS; r++) {
        struct kept *k = &kept[r - regions];
        while (k->n > 0)
            shared_give(r, k->slots[--k->n]);
    }
}

static bool reserve(void)
{
    size_t size = 0;
    char *base;

    for (struct region *r = regions; r < regions + N_REGIONS; r++)
        size += region_size(r);
    base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return false;
    all_base = (uintptr_t)base;
    all_size = size;
    for (struct region *r = regions; r < regions + N_REGIONS; r++) {
        r->base = base;
        base += region_size(r);
    }
    return true;
}

bool tls_memory_start(void)
{
#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
    return false;
#else
    return CRYPTO_set_mem_functions(tls_memory_alloc, tls_memory_realloc, tls_memory_free) == 1 && (all_size > 0 || reserve());
#endif
}
