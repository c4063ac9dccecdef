/*
 * log.h - the daemon's own log: events, not prose.
 *
 * One line an event: time, level, event name, then key=value (values with spaces or quotes are quoted by the caller's
 * format; what a peer sent is passed through log_quote()).  One line a change of state, in the function that makes it.
 *     log_info("backend.down", "pool=%s backend=%s reason=%s", p->name, b->name, err_word(rc));
 * log_every_second() is for what a flood would repeat: it writes one line a second and place, with the number left out.
 *
 * Promise: a call is one write(2) that never waits for the reader (a line for which a pipe has no room is dropped and
 * counted); a line is never torn, never longer than 1400 bytes (then it ends in "..."), and holds no control bytes.
 * Under systemd (JOURNAL_STREAM names the stream, sd-daemon(3)) lines carry a priority prefix and no time.
 * Threads: any.  Memory: none kept.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* Where lines go; standard error unless set.  A test passes a pipe.  Called while no other thread logs. */
void log_set_fd(int fd);
/* Lines lost because the reader had no room for them or was gone. */
uint64_t log_dropped(void);

void log_event(enum log_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) (log_get_level() >= LOG_LEVEL_DEBUG ? log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__) : (void)0)

/* A place that may be reached a million times a second. */
struct log_throttle {
    int64_t second;     /* the second of the last line */
    uint64_t left_out;  /* since then */
};
/* True when a line may be written now; *left_out is how many were not since the last. */
bool log_throttle_pass(struct log_throttle *t, uint64_t *left_out);
#define log_every_second(level, event, fmt, ...)                                                    \
    do {                                                                                            \
        static struct log_throttle throttle_;                                                       \
        uint64_t left_out_;                                                                         \
        if (log_throttle_pass(&throttle_, &left_out_))                                              \
            log_event(level, event, fmt " repeated=%llu", __VA_ARGS__, (unsigned long long)left_out_); \
    } while (0)

/* Writes `s` as a quoted string with JSON's escapes (bytes that are no UTF-8 as \u00XX) into out, always ended by NUL and
 * cut to size; returns out. */
char *log_quote(char *out, size_t size, struct slice s);
#endif
