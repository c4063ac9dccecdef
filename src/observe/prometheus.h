/*
 * prometheus.h - all metrics in Prometheus' text format 0.0.4.
 *
 * Rows of base/metrics.def that are counted render by themselves.  A row that is ASKED has a module which gives its samples
 * when somebody reads; it registers with prometheus_ask().  What has no row may be written by hand with family and sample.
 *
 * Promise: each family has its HELP and TYPE once, in front of its samples; label values and help are escaped; a label with
 * more than eight values shows only those that were ever counted.
 * Threads: registering before threads start; prometheus_render() on one at a time: sources run on it, and must be safe there.
 * Memory: goes into the caller's buf (failure is sticky there).
 */
#ifndef OBSERVE_PROMETHEUS_H
#define OBSERVE_PROMETHEUS_H
#include "base/buf.h"
#include "base/metric.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Writes HELP and TYPE ("counter", "gauge", "histogram").  All samples of the family follow before the next family. */
void prometheus_family(struct buf *out, const char *name, const char *type, const char *help);
/* Label names and values in turn, ended by NULL: prometheus_sample(out, name, 1.0, "pool", p->name, "backend", b->name, NULL);
 * A value that is NULL is written as "". */
void prometheus_sample(struct buf *out, const char *name, double value, ...) __attribute__((sentinel));

/* Writes the samples (not the family) of the row `name` belongs to. */
typedef void prometheus_source(struct buf *out, const char *name, void *arg);
/* `m` is an ASKED row.  A second call replaces the first; NULL: nobody is asked, and the family is left out. */
void prometheus_ask(enum metric m, prometheus_source *fn, void *arg);

void prometheus_render(struct buf *out);
#endif
