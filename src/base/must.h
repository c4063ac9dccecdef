/*
 * must.h - assertions about what we promised ourselves; compiled in always.
 *
 * Promise: a broken promise stops the process with the condition, the place and the running fiber's name.
 * Input from a peer, a file or an operator is never asserted on: that is an error (base/err.h).
 * Threads: any.  Memory: none.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H
#include <stddef.h>
#include <stdint.h>

#define MUST(cond) (__builtin_expect(!!(cond), 1) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))

/* A magic number is the first field of what lives long or crosses a `void *`: a stale pointer is caught at once. */
#define MUST_BE(p, m) MUST((p) != NULL && (p)->magic == (m))

_Noreturn void must_fail(const char *cond, const char *file, int line);

/* Called by must_fail() before it aborts, to say what was being done; set once at start-up.  May be NULL. */
extern void (*must_context)(void);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, field) ((type *)(void *)((char *)(p) - offsetof(type, field)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#endif
