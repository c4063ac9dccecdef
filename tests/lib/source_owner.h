/*
 * source_owner.h - a pool's place taken by a test: starts a source, keeps what it publishes, and waits for what should come.
 *
 * Backends are told by a number: 7 is 10.0.0.7:80.  Time is the real one plus what owner_clock_jump() has added.
 * Threads: the fiber that calls; hooks run on the source's.  Memory: owner_stop() frees what owner_start() took.
 */
#ifndef TESTS_SOURCE_OWNER_H
#define TESTS_SOURCE_OWNER_H
#include "discovery/source.h"
#include "fiber/fiber.h"
#include "fiber/sync.h"

enum { OWNER_MOST = 16, OWNER_WHY = 512 };

struct want {
    unsigned id, weight, priority;
};

struct owner {
    struct source source;
    struct group group;
    struct fiber_mutex mutex;
    struct fiber_cond told;
    struct found v[OWNER_MOST]; /* the last list, without names */
    size_t n;
    unsigned published, failed;
    char why[OWNER_WHY]; /* of the last failure */
};

/* Runs conf's source; conf->ops is looked up here. */
void owner_start(struct owner *o, struct discovery_conf *conf);
/* Calls it off, and fails the test unless it ends at once. */
void owner_stop(struct owner *o);
/* Fail the test if it does not come within some seconds. */
void owner_await(struct owner *o, const struct want *v, size_t n);
void owner_await_failure(struct owner *o, const char *part_of_why);
bool owner_has(const struct owner *o, const struct want *v, size_t n);
#define AWAIT(o, ...) \
    owner_await(o, (const struct want[]){ __VA_ARGS__ }, sizeof((const struct want[]){ __VA_ARGS__ }) / sizeof(struct want))
#define AWAIT_NONE(o) owner_await(o, NULL, 0)
#define HAS(o, ...) \
    owner_has(o, (const struct want[]){ __VA_ARGS__ }, sizeof((const struct want[]){ __VA_ARGS__ }) / sizeof(struct want))

/* Time goes on by so much at once; the source is let run. */
void owner_clock_jump(int64_t by);
void owner_clock_restore(void);
#endif
