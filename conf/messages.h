/*
 * messages.h - collects what is wrong with a configuration and writes it as one report.
 *
 * Promise: adding never fails where the caller would have to look: when memory runs out the fact is kept and
 * messages_report() returns it.  Control bytes in a message are written as \xNN, so one message stays on one line
 * (an excerpt of the source and a caret may follow it, indented).  Beyond MESSAGES_MOST messages are only counted.
 * Threads: one at a time.  Memory: texts are kept until messages_free(); file names are borrowed until then.
 */
#ifndef CONF_MESSAGES_H
#define CONF_MESSAGES_H
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"
#include "conf/load.h"

#define MESSAGES_MOST 200

struct place {
    const char *file;
    unsigned line; /* 0: the file as a whole */
};

struct message;
struct messages {
    struct arena arena;
    struct message *first, **last;
    size_t n_errors, n_warnings, n_kept;
    bool no_memory;
};

void messages_init(struct messages *m);
void messages_free(struct messages *m);

void messages_error(struct messages *m, struct place at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void messages_warning(struct messages *m, struct place at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An error with the source line and a caret under its `column`th byte (from 0). */
void messages_error_at(struct messages *m, struct place at, struct slice source_line, size_t column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The text in quotes, cut when it is long; lives as long as the messages.  Never NULL. */
const char *messages_quote(struct messages *m, const char *text);

/* Errors before warnings, in the order of the files and their lines.  0, -ERR_INVALID (there are errors) or -ERR_NOMEM. */
int messages_report(struct messages *m, struct conf_report *out);
#endif
