/* text.c - a duration in the unit that fits. */
#include "admin/text.h"

#include "base/buf.h"
#include "base/clock.h"

void text_duration(struct buf *out, int64_t us)
{
    int64_t s = us / CLOCK_S;

    if (us < 0)
        us = s = 0;
    if (us < CLOCK_MS)
        buf_printf(out, "%dus", (int)us);
    else if (us < CLOCK_S)
        buf_printf(out, "%.1fms", (double)us / 1e3);
    else if (s < 60)
        buf_printf(out, "%.3fs", (double)us / 1e6);
    else if (s < 3600)
        buf_printf(out, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        buf_printf(out, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    else
        buf_printf(out, "%lldd%02dh", (long long)(s / 86400), (int)(s / 3600 % 24));
}
