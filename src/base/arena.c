/* arena.c - chunks that double, the first one lent. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/sanitize.h"

#define ALIGN 16u
#define CHUNK_LEAST 512u
#define SLACK 256u
#define CHUNK_MOST (256u * 1024u)

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* of data */
    _Alignas(ALIGN) char data[];
};

#ifdef WEIR_ASAN
enum { EACH_PIECE_ALONE = 1 }; /* so that one byte too far is seen */
#else
enum { EACH_PIECE_ALONE = 0 };
#endif

static char *aligned(char *p) { return p + (-(uintptr_t)p & (ALIGN - 1)); }

void arena_init(struct arena *a, void *lent, size_t lent_size)
{
    *a = (struct arena){ 0 };
    if (lent == NULL || EACH_PIECE_ALONE)
        return;
    a->end = (char *)lent + lent_size;
    a->next = aligned(lent);
    if (a->next > a->end)
        a->next = a->end;
}

void arena_free(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->older;
        free(c);
    }
    a->next = a->end = NULL;
}

static struct arena_chunk *chunk_add(struct arena *a, size_t size)
{
    struct arena_chunk *c = malloc(sizeof *c + size);

    if (c == NULL)
        return NULL;
    c->size = size;
    c->older = a->chunks;
    a->chunks = c;
    return c;
}

static void *take_from_new_chunk(struct arena *a, size_t n)
{
    size_t size = a->chunks == NULL ? CHUNK_LEAST : a->chunks->size * 2;
    struct arena_chunk *c;

    if (a->chunks == NULL && n > size / 2)
        size = n + SLACK; /* often one large piece, a request's head, and some small ones */
    if (size > CHUNK_MOST)
        size = CHUNK_MOST;
    if (EACH_PIECE_ALONE || (a->chunks != NULL && n > size / 2) || n + SLACK > size) { /* its own chunk; the current one stays in use */
        c = chunk_add(a, n);
        return c == NULL ? NULL : c->data;
    }
    c = chunk_add(a, size);
    if (c == NULL)
        return NULL;
    a->next = c->data + n;
    a->end = c->data + size;
    return c->data;
}

void *arena_take(struct arena *a, size_t n)
{
    if (n > PTRDIFF_MAX / 2)
        return NULL;
    if (EACH_PIECE_ALONE)
        return take_from_new_chunk(a, n);
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (n == 0)
        n = ALIGN;
    if (n <= (size_t)(a->end - a->next)) {
        void *p = a->next;
        a->next += n;
        return p;
    }
    return take_from_new_chunk(a, n);
}

void *arena_take_zero(struct arena *a, size_t n)
{
    void *p = arena_take(a, n);

    if (p != NULL)
        memset(p, 0, n);
    return p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = arena_take(a, s.n + 1);

    if (p == NULL)
        return (struct slice){ 0 };
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return slice_of(p, s.n);
}

char *arena_strdup(struct arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = arena_take(a, n);

    return p == NULL ? NULL : memcpy(p, s, n);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    p = arena_take(a, (size_t)n + 1);
    if (p == NULL)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}
