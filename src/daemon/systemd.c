/* systemd.c - the only file that knows libsystemd. */
#include "daemon/systemd.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"

/* A status is one line: what a message holds beyond that would be read as further assignments. */
static int line_length(const char *s)
{
    int n = 0;

    while (s[n] != '\0' && s[n] != '\n' && n < 512)
        n++;
    return n;
}

void systemd_ready(const char *status) { (void)sd_notifyf(0, "READY=1\nSTATUS=%.*s", line_length(status), status); }
void systemd_reloading(void) { (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_now()); }
void systemd_stopping(const char *status) { (void)sd_notifyf(0, "STOPPING=1\nSTATUS=%.*s", line_length(status), status); }
void systemd_status(const char *status) { (void)sd_notifyf(0, "STATUS=%.*s", line_length(status), status); }
void systemd_watchdog(void) { (void)sd_notify(0, "WATCHDOG=1"); }

int64_t systemd_watchdog_interval(void)
{
    uint64_t us;

    return sd_watchdog_enabled(0, &us) > 0 && us < INT64_MAX ? (int64_t)us : 0;
}
