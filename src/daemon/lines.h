/*
 * lines.h - a report of several lines as events of the log.
 *
 * Threads: any.  Memory: none.
 */
#ifndef DAEMON_LINES_H
#define DAEMON_LINES_H
#include "base/log.h"

/* One event a line, empty ones left out. */
static inline void lines_log(enum log_level level, const char *event, struct slice text)
{
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;

        if (n > 0)
            log_event(level, event, "%.*s", (int)n, text.p);
        n += end != NULL;
        text = slice_of(text.p + n, text.n - n);
    }
}
#endif
