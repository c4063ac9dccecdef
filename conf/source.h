/*
 * source.h - the text of a configuration with its @include lines spliced in, and where each line came from.
 *
 * libconfig 1.5 looks for included files in one folder or in the working folder; here a name is relative to the folder of
 * the file that includes it.  libconfig never opens a file itself: what was checked is what is parsed.
 * Promise: bounded in depth and in total size; a file that includes itself is an error.
 * Threads: any one; blocks on the disk.  Memory: source_free(); file names in `lines` live in the arena.
 */
#ifndef CONF_SOURCE_H
#define CONF_SOURCE_H
#include <stddef.h>

#include "base/arena.h"
#include "conf/messages.h"

struct source {
    char *text; /* ends in a line feed and a NUL */
    size_t n, room;
    struct place *lines; /* where the i-th line (from 0) of the text was written */
    size_t n_lines, lines_room;
    size_t *starts; /* lines (from 0) on which the settings and items begin, in their order: made by lexer.c */
    size_t n_starts, starts_room;
};

/* What is wrong goes to `m`; then the text is not to be used.  `text` NULL: read from `path`. */
void source_open(struct source *s, const char *text, const char *path, struct arena *names, struct messages *m);
void source_free(struct source *s);
/* Adds to `starts`. */
void source_mark(struct source *s, size_t line, struct messages *m);

/* The whole file, ended by NUL; the caller frees it.  0 or -errno; -EFBIG beyond `most` bytes. */
int source_read_file(const char *path, size_t most, char **text, size_t *n);
/* `name` as seen from the folder of `file`.  NULL: out of memory. */
const char *source_beside(struct arena *a, const char *file, const char *name);
#endif
