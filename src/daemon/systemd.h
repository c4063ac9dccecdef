/*
 * systemd.h - what systemd is told: ready, reloading, stopping, status, and that the workers turn (the watchdog).
 *
 * Each does nothing when systemd didn't start us.
 * Source: sd_notify(3), sd_watchdog_enabled(3).
 * Threads: the main one.  Memory: none.
 */
#ifndef DAEMON_SYSTEMD_H
#define DAEMON_SYSTEMD_H
#include <stdint.h>

void systemd_ready(const char *status);
void systemd_reloading(void);
void systemd_stopping(const char *status);
void systemd_status(const char *status);
void systemd_watchdog(void);
/* Microseconds within which systemd_watchdog() must be called again and again; 0: nobody watches. */
int64_t systemd_watchdog_interval(void);
#endif
