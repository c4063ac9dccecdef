/* route_path.c - the one spelling of a path by which routes are chosen. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "proxy/route.h"

/* Sixteen bytes at once, by whatever the machine has for it. */
#define BYTES16 uint8_t __attribute__((vector_size(16)))
#define WORDS2  uint64_t __attribute__((vector_size(16)))

static inline uint64_t load(const char *p, size_t n)
{
    uint64_t x = 0;

    memcpy(&x, p, n); /* n is a constant */
    return x;
}

/* Is there a '%' in x, or a '/' or '.' behind a '/'?  ('.' and '/' differ in the last bit.) */
static inline bool bytes_may_change(WORDS2 now, WORDS2 before)
{
    BYTES16 x = (BYTES16)now;
    WORDS2 hit = (WORDS2)((x == '%') | (((x | 1) == '/') & ((BYTES16)before == '/')));

    return (hit[0] | hit[1]) != 0;
}

static inline bool sixteen_may_change(const char *p)
{
    WORDS2 now, before;

    memcpy(&now, p, 16);
    memcpy(&before, p - 1, 16);
    return bytes_may_change(now, before);
}

/* Two halves that overlap: all of p[1..n), for n of 5 to 8 and of 9 to 17. */
static inline bool short_may_change(const char *p, size_t n)
{
    const char *end = p + n;
    WORDS2 now, before;

    if (n > 8) {
        now = (WORDS2){ load(p + 1, 8), load(end - 8, 8) };
        before = (WORDS2){ load(p, 8), load(end - 9, 8) };
    } else {
        now = (WORDS2){ load(p + 1, 4), load(end - 4, 4) };
        before = (WORDS2){ load(p, 4), load(end - 5, 4) };
    }
    return bytes_may_change(now, before);
}

/* False: surely plain.  Names with a leading dot are looked at closer. */
static inline bool may_change(struct slice path)
{
    const char *p = path.p + 1, *end = path.p + path.n;

    if (path.n > 17) {
        for (; end - p > 16; p += 16)
            if (sixteen_may_change(p))
                return true;
        return sixteen_may_change(end - 16);
    }
    if (path.n > 4)
        return short_may_change(path.p, path.n);
    for (; p < end; p++)
        if (*p == '%' || (p[-1] == '/' && (*p == '/' || *p == '.')))
            return true;
    return false;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* RFC 3986 6.2.2.1 and 6.2.2.2: unreserved bytes stand for themselves, other escapes get capital digits.  Never %2F: an
 * escaped slash is data and not structure.  The length, or -ERR_BAD_TARGET. */
static int64_t decode(struct slice path, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < path.n; i++) {
        int high, low;
        if (path.p[i] != '%') {
            out[n++] = path.p[i];
            continue;
        }
        if (path.n - i < 3)
            return -ERR_BAD_TARGET;
        high = hex_value(path.p[i + 1]);
        low = hex_value(path.p[i + 2]);
        if (high < 0 || low < 0 || high + low == 0)
            return -ERR_BAD_TARGET;
        i += 2;
        if (is_unreserved(high * 16 + low)) {
            out[n++] = (char)(high * 16 + low);
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[high];
        out[n++] = digits[low];
    }
    return (int64_t)n;
}

/* Merges slashes and resolves "." and ".." from left to right, in place: what is written never overtakes what is read.
 * `n` > 0 and p[0] is '/'.  The length, or -ERR_BAD_TARGET. */
static int64_t resolve(char *p, size_t n)
{
    size_t out = 0, at = 0;

    while (at < n) { /* p[at] is a slash */
        size_t name = at + 1, end = name;
        bool dots;
        while (end < n && p[end] != '/')
            end++;
        at = end;
        if (end == name && end < n)
            continue; /* another slash follows */
        dots = end - name <= 2 && end > name && p[name] == '.' && p[end - 1] == '.';
        if (dots && end - name == 2) {
            if (out == 0)
                return -ERR_BAD_TARGET;
            while (p[--out] != '/')
                ;
        }
        if (!dots) {
            p[out++] = '/';
            memmove(p + out, p + name, end - name);
            out += end - name;
        } else if (end == n) {
            p[out++] = '/';
        }
    }
    return (int64_t)out;
}

/* Not inlined: its frame would be paid for by all the paths that are plain. */
__attribute__((noinline)) static int plain(struct slice path, struct arena *a, struct slice *out)
{
    char *p = arena_take(a, path.n + 1);
    int64_t n;

    if (p == NULL)
        return -ERR_NOMEM;
    n = decode(path, p);
    if (n >= 0)
        n = resolve(p, (size_t)n);
    if (n < 0)
        return (int)n;
    p[n] = '\0';
    *out = slice_of(p, (size_t)n);
    if (slice_eq(path, *out))
        *out = path;
    return 0;
}

int route_path(struct slice path, struct arena *a, struct slice *out)
{
    if (UNLIKELY(path.n == 0 || path.p[0] != '/')) { /* "*": no path, and nothing to make plain */
        if (path.n > 1)
            return -ERR_BAD_TARGET;
        *out = path;
        return 0;
    }
    if (UNLIKELY(may_change(path)))
        return plain(path, a, out);
    *out = path;
    return 0;
}
