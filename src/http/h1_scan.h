/*
 * h1_scan.h - what kind of byte is it, and how far does a run of one kind go: the inner loops of the HTTP/1 parser.
 *
 * Private to src/http.  Sixteen bytes at a time where SSE2 is there, a table otherwise and for the rest; both give the
 * same answer.  Nothing is read beyond p[n - 1].
 * Sources: RFC 9110 5.5 (values), 5.6.2 (tokens); RFC 3986 3.2.2 (hosts).
 * Threads: any.  Memory: a constant table.
 */
#ifndef HTTP_H1_SCAN_H
#define HTTP_H1_SCAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum h1_class {
    H1_TOKEN = 1,   /* tchar */
    H1_VALUE = 2,   /* field-vchar, SP, HTAB, obs-text */
    H1_TARGET = 4,  /* visible ASCII but '#': a fragment is never sent; '?' is not in it, a scan stops there */
    H1_REGNAME = 8, /* unreserved and sub-delims but ',': two Hosts joined by somebody must not pass for one */
    H1_HEX = 16,
    H1_DIGIT = 32,
    H1_LITERAL = 64, /* between the brackets of an IPv6 address */
};
extern const uint8_t h1_class[256];

static inline bool h1_is(char c, unsigned classes) { return (h1_class[(uint8_t)c] & classes) != 0; }

static inline size_t h1_scan_class(const char *p, size_t i, size_t n, unsigned classes)
{
    while (i < n && h1_is(p[i], classes))
        i++;
    return i;
}

#ifdef __SSE2__
static inline __m128i h1_load16(const char *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline __m128i h1_splat(int c) { return _mm_set1_epi8((char)c); }
static inline __m128i h1_at_most(__m128i x, int c) { return _mm_cmpeq_epi8(_mm_min_epu8(x, h1_splat(c)), x); }
static inline __m128i h1_at_least(__m128i x, int c) { return _mm_cmpeq_epi8(_mm_max_epu8(x, h1_splat(c)), x); }

/* The bits of bytes that are letters, digits or '-'; `lower` is x with bit 5 set. */
static inline unsigned h1_plain_token(__m128i x, __m128i lower)
{
    __m128i letter = _mm_cmpgt_epi8(_mm_add_epi8(lower, h1_splat(0x7f - 'z')), h1_splat(0x7f - 26));
    __m128i digit = _mm_cmpgt_epi8(_mm_add_epi8(x, h1_splat(0x7f - '9')), h1_splat(0x7f - 10));
    __m128i hyphen = _mm_cmpeq_epi8(x, h1_splat('-'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), hyphen));
}

/* The bits of bytes from ' ' to '~'. */
static inline unsigned h1_plain_value(__m128i x)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(_mm_add_epi8(x, h1_splat(1)), h1_splat(' ')));
}

/* Each step: the bits of the bytes x at which the scan has to stop. */
#define H1_STEPS16(p, i, n, stops)                          \
    for (; (n) - (i) >= 16; (i) += 16) {                    \
        __m128i x = h1_load16((p) + (i));                   \
        unsigned mask = (unsigned)_mm_movemask_epi8(stops); \
        if (mask != 0)                                      \
            return (i) + (size_t)__builtin_ctz(mask);       \
    }
#endif

/* Bytes from p that may stand in a field value: the next one is CR if all is well. */
static inline size_t h1_scan_value(const char *p, size_t n)
{
    size_t i = 0;

#ifdef __SSE2__
    H1_STEPS16(
        p, i, n,
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(x, h1_splat('\t')), h1_at_most(x, 0x1f)), _mm_cmpeq_epi8(x, h1_splat(0x7f))))
#endif
    return h1_scan_class(p, i, n, H1_VALUE);
}

static inline size_t h1_scan_token(const char *p, size_t n) { return h1_scan_class(p, 0, n, H1_TOKEN); }

/* Stops at SP, '?', '#' and all that may not stand in a target. */
static inline size_t h1_scan_target(const char *p, size_t n)
{
    size_t i = 0;

#ifdef __SSE2__
    H1_STEPS16(p, i, n,
               _mm_or_si128(_mm_or_si128(h1_at_most(x, 0x20), h1_at_least(x, 0x7f)),
                            _mm_or_si128(_mm_cmpeq_epi8(x, h1_splat('#')), _mm_cmpeq_epi8(x, h1_splat('?')))))
#endif
    return h1_scan_class(p, i, n, H1_TARGET);
}
#endif
