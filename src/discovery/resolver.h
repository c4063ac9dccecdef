/*
 * resolver.h - names to addresses, and SRV records: the door to c-ares.
 *
 * Promise: never blocks the thread but for reading small local files (/etc/hosts, /etc/resolv.conf), which are read anew each
 * time, so that a change of them needs no reload.  "There is none" (the name server is sure) and "it can't be told" (no answer,
 * SERVFAIL) are two results.  The order of answers is the name server's.
 * Threads: fibers of one scheduler.  Memory: answers stand in the caller's arena.
 */
#ifndef DISCOVERY_RESOLVER_H
#define DISCOVERY_RESOLVER_H
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/conf_key.h"
#include "net/addr.h"

enum question_kind { QUESTION_IPV4, QUESTION_IPV6, QUESTION_SRV };
enum question_result {
    QUESTION_FAILED, /* nothing is known */
    QUESTION_EMPTY,  /* no such name, or nothing of that kind */
    QUESTION_ANSWERED,
};

struct srv {
    const char *target; /* without a final dot; "": the service is decidedly not there (RFC 2782) */
    uint16_t priority, weight, port;
};

struct question {
    const char *name;
    enum question_kind kind;
    /* the answer */
    enum question_result result;
    const char *why;    /* unless it was answered: a static sentence */
    int64_t ttl;        /* of what was answered, microseconds */
    struct addr *addrs; /* n of them, ports unset; or */
    struct srv *srvs;   /* n of these */
    size_t n;
};

/* Asks all at once.  `servers` empty: the system's, with its /etc/hosts and search domains; else these, and names as they are.
 * 0: each has a result; -ERR_CANCELED, -ERR_NOMEM, -ERR_NOFILE, ...: none counts. */
int resolver_ask(struct question *v, size_t n, const struct conf_strs *servers, struct arena *a, int64_t deadline);

/* Reads the SRV records of a whole answer.  Exported for its fuzz target. */
int resolver_parse_srv(struct question *q, const unsigned char *bytes, int n, struct arena *a);
#endif
