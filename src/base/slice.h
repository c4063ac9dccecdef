/*
 * slice.h - bytes that stand somewhere else: a pointer and a length, no terminator, never owned.
 *
 * Threads: any, no state.  Memory: the bytes belong to whoever made them; a slice is valid as long as they are.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){ "" literal, sizeof(literal) - 1 })
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const char *p, size_t n) { return (struct slice){ p, n }; }
static inline struct slice slice_str(const char *s) { return (struct slice){ s, s == NULL ? 0 : strlen(s) }; }
static inline bool slice_eq(struct slice a, struct slice b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline unsigned char slice_lower(char c) { return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c); }
/* ASCII letters only: header names, hosts.  Not strncasecmp(), which stops at a NUL and asks the locale. */
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i] && slice_lower(a.p[i]) != slice_lower(b.p[i]))
            return false;
    return true;
}
static inline bool slice_starts(struct slice s, struct slice with)
{
    return s.n >= with.n && (with.n == 0 || memcmp(s.p, with.p, with.n) == 0);
}
#endif
