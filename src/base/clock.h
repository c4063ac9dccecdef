/*
 * clock.h - the one door to time.
 *
 * Times are microseconds of the monotonic clock, deadlines absolute.  A test replaces `clock_source` and owns time.
 * Threads: any; `clock_source` is set before threads start.  Memory: none.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stdint.h>

#define CLOCK_NEVER INT64_MAX
#define CLOCK_MS INT64_C(1000)
#define CLOCK_S INT64_C(1000000)

struct clock_source {
    int64_t (*monotonic)(void); /* microseconds since some start */
    int64_t (*wall)(void);      /* microseconds since 1970-01-01 UTC */
};
extern const struct clock_source *clock_source;

static inline int64_t clock_now(void) { return clock_source->monotonic(); }
static inline int64_t clock_wall(void) { return clock_source->wall(); }

/* `now` + `after` that sticks at CLOCK_NEVER. */
static inline int64_t clock_after(int64_t now, int64_t after) { return after >= CLOCK_NEVER - now ? CLOCK_NEVER : now + after; }
#endif
