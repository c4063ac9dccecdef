/*
 * source.h - where a pool's backends come from when they don't stand in proxy.conf: the contract of a discovery source.
 *
 * A source is one file src/discovery/source_<name>.c and one line in source.c.  It is a fiber that watches something outside
 * and says what it found each time it has looked, or why it could not look.  source.c stands between it and its pool: while a
 * source fails, the last good list stays in use, until the failures have lasted `max_age` (0: for ever); then it is taken away.
 *
 * Threads: the health thread's fibers; a source never blocks the thread.
 * Memory: what is published is copied before publish() returns; struct source is the owner's and outlives the fiber.
 */
#ifndef DISCOVERY_SOURCE_H
#define DISCOVERY_SOURCE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discovery/discovery_conf.h"
#include "net/addr.h"

/* A backend as a source tells of it. */
struct found {
    struct addr addr;
    const char *name;  /* the address as text: what logs and metrics call it */
    uint32_t weight;   /* 0: drains */
    uint32_t priority; /* 0 to FOUND_PRIORITY_MOST: used only while no backend of a lower number may be */
    uint32_t max_connections;
};

enum {
    FOUND_MOST = 20000, /* backends of one pool */
    FOUND_PRIORITY_MOST = 9,
    SOURCE_WHY = 320, /* bytes of a reason, with its NUL */
};

/* What a source is to its pool; the owner fills in the upper part and zeroes the rest. */
struct source {
    const struct discovery_conf *conf;
    const char *pool; /* its name, for messages and for sources that register by it */
    /* All backends there are now, none twice.  An empty list is a list, and one that is meant: all have gone.  It may be the same as last time: the
     * owner looks for what is different. */
    void (*publish)(struct source *s, const struct found *v, size_t n);
    /* It can't be read now; `why` for people, printable and on one line.  Called at each failure; the owner logs when it is
     * another reason than last time, or when something was published since. */
    void (*failed)(struct source *s, const char *why);
    void *owner;
    /* Set by the source: what it publishes is good, but not all.  What it could not has been told by failed(), and still holds. */
    bool flawed;
    /* source.c's */
    int64_t failing_since; /* 0: not */
    int64_t pause;         /* before the last try; 0: there was none */
    bool expired;          /* the last good list has been taken away: what was published last is none */
};

struct source_ops {
    const char *name; /* the word in the configuration: discovery = { type = "..."; } */
    unsigned keys;    /* enum discovery_key, or'ed: the settings that mean something to it */
    /* An empty list of its is meant.  Of the others it is a failure: what it is read from has more often lost its state, or been
     * written by a program that has lost its own, than that somebody wants every backend gone. */
    bool may_be_empty;
    /* NULL: its settings make sense; else a sentence that says what is wrong and what is right. */
    const char *(*check)(const struct discovery_conf *conf);
    /* The fiber's main function: returns only when the fiber is called off. */
    void (*run)(struct source *s);
};

/* NULL: no such type. */
const struct source_ops *source_find(const char *name);
const struct source_ops *source_at(size_t i); /* NULL past the last */

/* For sources; none of these yields. */
struct found_list;
void source_found(struct source *s, const struct found_list *l);
void source_failed(struct source *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* When the last good list gets too old and source_failed() must be called again; CLOCK_NEVER: it doesn't now. */
int64_t source_expiry(const struct source *s);
/* When to try again after a failure: later each time, up to half a minute, and by chance sooner or later, so that many proxies
 * don't come at once. */
int64_t source_next_try(struct source *s);
#endif
