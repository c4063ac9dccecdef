/*
 * check_type.h - one way of asking a backend whether it is well: the contract of a check type.
 *
 * A check type is one file health/check_<name>.c and one line in health/checks.c.  health/dial.h connects for all of them.
 *
 * Threads: probes run as fibers of the health thread; nothing is shared with workers.
 * Memory: the caller's; a probe leaves nothing behind, whatever its result.
 */
#ifndef HEALTH_CHECK_TYPE_H
#define HEALTH_CHECK_TYPE_H
#include <stdbool.h>
#include <stdint.h>

#include "health/check_conf.h"

/* Why a probe failed: the word in log, metric and listings. */
enum probe_result {
    PROBE_OK,
    PROBE_REFUSED,     /* nobody listens */
    PROBE_TIMEOUT,     /* no connection, or no answer, in time */
    PROBE_UNREACHABLE, /* no way there */
    PROBE_CLOSED,      /* connection ended or reset before the answer was complete */
    PROBE_BAD_ANSWER,  /* not what the protocol allows */
    PROBE_STATUS,      /* a status that is not expected */
    PROBE_BODY,        /* the body does not match */
    PROBE_TLS,         /* the handshake, or verifying the backend, failed */
    PROBE_LOCAL,       /* we had no descriptor, port or memory: says nothing about the backend, and counts for nothing */
};
const char *probe_word(enum probe_result r);

#define PROBE_DETAIL_MAX 96

struct probe {
    const struct check_conf *conf;
    const struct addr *to;
    const char *host; /* what to call the backend where the protocol wants a name; NULL: it has none */
    char detail
        [PROBE_DETAIL_MAX]; /* out: one line for people ("status 500", "Connection refused"); "" when there is nothing to add */
};

/* Told of what is wrong with a definition: the key, which item of it (0 if it is no array), what stands there, and why not. */
struct check_complaints {
    void (*wrong)(struct check_complaints *to, const char *key, size_t item, const char *found, const char *why);
    bool no_memory; /* out */
};

/* What probes of a type speak. */
enum check_tls { CHECK_IN_CLEAR, CHECK_AS_POOL, CHECK_OVER_TLS };

struct check_type {
    const char *name; /* the word in the configuration */
    /* The rows of check_keys that mean something to this type beside those that all have; ended by NULL.  May be NULL. */
    const char *const *keys;
    enum check_tls tls;
    /* Optional.  When the file is checked: says all that is wrong with its settings, gives the usual values to those that
     * are not written, and may leave what it made of them in conf->compiled. */
    void (*check)(struct check_conf *conf, struct check_complaints *to);
    /* Frees conf->compiled. */
    void (*forget)(struct check_conf *conf);
    /* Asks once, and is back soon after the deadline at the latest, or when the fiber is called off. */
    enum probe_result (*probe)(struct probe *p, int64_t deadline);
};

/* health/checks.c.  NULL: no such type. */
const struct check_type *check_type_find(const char *name);
const struct check_type *check_type_at(size_t i); /* NULL past the last */
/* Is this row one of those that only some types know, and this type is none of them? */
bool check_type_ignores(const struct check_type *t, const char *key);
#endif
