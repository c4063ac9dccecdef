/* clock.c - time from the kernel, unless a test says otherwise. */
#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts); /* can't fail for these two */
    return (int64_t)ts.tv_sec * CLOCK_S + ts.tv_nsec / 1000;
}

static int64_t kernel_monotonic(void) { return read_clock(CLOCK_MONOTONIC); }
static int64_t kernel_wall(void) { return read_clock(CLOCK_REALTIME); }

static const struct clock_source kernel_clock = { kernel_monotonic, kernel_wall };
const struct clock_source *clock_source = &kernel_clock;
