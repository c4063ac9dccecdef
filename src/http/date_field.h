/*
 * date_field.h - the Date of answers, written once a second.
 *
 * Source: RFC 9110 6.6.1, 5.6.7.
 * Threads: each has its own.  Memory: the thread's; the text stands until the next call.
 */
#ifndef HTTP_DATE_FIELD_H
#define HTTP_DATE_FIELD_H
#include <stdint.h>

#include "base/slice.h"

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" at the monotonic time `now`, which need not be later than the last one. */
struct slice date_field(int64_t now);
#endif
