/*
 * text.h - numbers as people read them.
 *
 * Threads: any, no state.  Memory: the caller's buf.
 */
#ifndef ADMIN_TEXT_H
#define ADMIN_TEXT_H
#include <stdint.h>

struct buf;

/* "250us", "12.3ms", "1.234s", "5m07s", "3h04m", "12d03h". */
void text_duration(struct buf *out, int64_t us);
#endif
