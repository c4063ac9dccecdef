/* buf.c - doubling, and remembering that it once failed. */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

enum { LEAST = 256 };

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}

static char *fail(struct buf *b)
{
    b->failed = true;
    return NULL;
}

/* Kept out of the way of the many that fit. */
__attribute__((noinline)) static char *grow(struct buf *b, size_t more)
{
    size_t cap = b->cap < LEAST ? LEAST : b->cap;
    char *p;

    if (b->failed || more > PTRDIFF_MAX / 2 - b->n)
        return fail(b);
    while (cap <= b->n + more) /* one for the NUL */
        cap *= 2;
    p = realloc(b->p, cap);
    if (p == NULL)
        return fail(b);
    b->p = p;
    b->cap = cap;
    return p + b->n;
}

char *buf_reserve(struct buf *b, size_t more)
{
    char *at = more < b->cap - b->n && !b->failed ? b->p + b->n : grow(b, more);

    if (at != NULL)
        *at = '\0';
    return at;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    char *at = buf_reserve(b, n);

    if (at == NULL || n == 0)
        return;
    memcpy(at, p, n);
    at[n] = '\0';
    b->n += n;
}

void buf_add(struct buf *b, const char *s) { buf_append(b, s, strlen(s)); }
void buf_add_slice(struct buf *b, struct slice s) { buf_append(b, s.p, s.n); }
void buf_add_char(struct buf *b, char c) { buf_append(b, &c, 1); }

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    char *at;
    int n;

    va_copy(again, ap);
    at = buf_reserve(b, 64); /* most fit at the first try */
    n = at == NULL ? 0 : vsnprintf(at, b->cap - b->n, fmt, ap);
    if (n < 0) {
        at[0] = '\0';
        (void)fail(b);
    } else if (at != NULL && (size_t)n >= b->cap - b->n) {
        at[0] = '\0';
        at = buf_reserve(b, (size_t)n);
        if (at != NULL)
            (void)vsnprintf(at, (size_t)n + 1, fmt, again);
    }
    if (!b->failed)
        b->n += (size_t)n;
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_add_json(struct buf *b, struct slice s)
{
    char *at;

    if (s.n > PTRDIFF_MAX / 16) {
        (void)fail(b);
        return;
    }
    at = buf_reserve(b, 6 * s.n + 2); /* no byte needs more than \u00XX */
    if (at == NULL)
        return;
    *at++ = '"';
    at = json_escape(at, b->p + b->cap - 2, s, NULL);
    *at++ = '"';
    *at = '\0';
    b->n = (size_t)(at - b->p);
}

char *buf_steal(struct buf *b, size_t *n)
{
    char *p = b->p;

    if (b->failed) {
        buf_free(b);
        p = NULL;
    }
    if (n != NULL)
        *n = b->n;
    *b = (struct buf){ 0 };
    return p;
}
