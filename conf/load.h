/*
 * load.h - proxy.conf to a snapshot, or to the list of all that is wrong with it.
 *
 * Promise: touches nothing but the files it reads.  Reports every error of the file at once, each as
 * "FILE:LINE: KEY.PATH: what was found; what is right", nearest known name for an unknown key.
 * Threads: any one; blocks on the disk, so never a worker.  Memory: the snapshot is the caller's reference.
 */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H
#include <stddef.h>
#include <stdio.h>

struct snapshot;

struct conf_report {
    char *text; /* the messages, a line each, errors before warnings ("FILE:LINE: warning: ..."); behind a syntax error the
                 * source line and a caret, indented.  "" when there are none.  Free with conf_report_free() */
    size_t n_errors, n_warnings;
};
void conf_report_free(struct conf_report *r);

/* 0 and *out, or -ERR_INVALID / -ERR_NOMEM and what is wrong in *report.  Warnings are reported in both cases. */
int conf_load(const char *path, struct snapshot **out, struct conf_report *report);
/* The same from text in memory; `path` is for messages and for relative includes. */
int conf_load_text(const char *text, const char *path, struct snapshot **out, struct conf_report *report);

/* Writes the snapshot as a file that loads to the same snapshot, every default spelled out. */
int conf_dump(const struct snapshot *s, FILE *out);
/* "libconfig 1.5": for `weir -V`. */
const char *conf_library(void);
/* Writes docs/config.md's tables from the rows. */
int conf_manual(FILE *out);
#endif
