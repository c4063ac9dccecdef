/*
 * samples.h - the metrics that are asked for: backends, schedulers, what runs.
 *
 * Threads: the main one.  Memory: none; `host` outlives it.
 */
#ifndef ADMIN_SAMPLES_H
#define ADMIN_SAMPLES_H
#include "admin/host.h"

void samples_register(const struct admin_host *host);
void samples_forget(void);
#endif
