/*
 * decimal.h - numbers as decimal text on paths where printf would cost more than all else.
 *
 * Threads: any, no state.  Memory: none.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DECIMAL_MOST = 20 }; /* digits of UINT64_MAX */

/* Writes v without leading zeros and without a NUL; returns how many digits, at most DECIMAL_MOST. */
static inline size_t decimal_put(char *at, uint64_t v)
{
    char text[DECIMAL_MOST];
    size_t first = sizeof text;

    do
        text[--first] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    memcpy(at, text + first, sizeof text - first);
    return sizeof text - first;
}
#endif
