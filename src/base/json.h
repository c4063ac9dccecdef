/*
 * json.h - the inside of a JSON string.
 *
 * Promise: what json_escape() writes is valid JSON and valid UTF-8 whatever the bytes were: quotes, backslashes and controls
 * are escaped, a byte that is no UTF-8 is written as the code point of the same number (\u00XX).
 * Source: RFC 8259 section 7, RFC 3629 section 4.
 * Threads: any, no state.  Memory: the caller's.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <stddef.h>

#include "base/slice.h"

/* Writes from `at` as many whole characters of s as fit before `end`, without quotes around them; returns the byte behind.
 * *cut, if not NULL, is set when not all fitted and is otherwise left alone. */
char *json_escape(char *at, const char *end, struct slice s, bool *cut);

/* Length of the well-formed UTF-8 character at p (1 to 4), or 0. */
size_t json_utf8_length(const char *p, size_t n);
#endif
