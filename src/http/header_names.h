/*
 * header_names.h - comparing names and words, any case, against known ones in a few instructions.
 *
 * Private to src/http.  A known word is lower case and holds letters, digits and '-' only.
 * Threads: any.  Memory: constant tables (message.c).
 */
#ifndef HTTP_HEADER_NAMES_H
#define HTTP_HEADER_NAMES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

#define HEADER_NAME_MOST 17
#define HEADER_NAME_ROOM 24

extern const char header_names[][HEADER_NAME_ROOM]; /* by enum header_id, filled up with NUL */

/* Length and the first letter's low bits tell all known names apart: the only one that this can be, or HEADER_OTHER. */
extern const uint8_t header_candidates[HEADER_NAME_MOST + 1][32];

/* n > 0 */
static inline unsigned header_candidate(const char *name, size_t n)
{
    return n > HEADER_NAME_MOST ? 0 : header_candidates[n][(uint8_t)name[0] & 31];
}

static inline uint64_t word_load8(const char *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof(w));
    return w;
}

/* Up to 7 bytes as one word: 4 and, overlapping, 4, or what there is. */
static inline uint64_t word_load_few(const char *p, size_t n)
{
    uint32_t first, last;

    if (n < 4)
        return (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    memcpy(&first, p, sizeof(first));
    memcpy(&last, p + (n - 4), sizeof(last));
    return (uint64_t)last << 32 | first;
}

#define WORD_CASE UINT64_C(0x2020202020202020)

/* Setting bit 5 makes letters small.  It would make '-' of CR, and digits of other controls: there must be none in `any`. */
static inline bool word_same(const char *any, const char *lower, size_t n)
{
    if (n == 0)
        return true;
    if (n < 8)
        return (word_load_few(any, n) | WORD_CASE) == (word_load_few(lower, n) | WORD_CASE);
    for (size_t i = 0; i + 8 < n; i += 8)
        if ((word_load8(any + i) | WORD_CASE) != word_load8(lower + i))
            return false;
    return (word_load8(any + (n - 8)) | WORD_CASE) == word_load8(lower + (n - 8));
}

/* A parsed value has HTAB as its only control, which no known word's byte is with bit 5 set. */
#define WORD_IS(s, literal) ((s).n == sizeof(literal) - 1 && word_same((s).p, "" literal, sizeof(literal) - 1))
#endif
