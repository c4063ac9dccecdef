/*
 * discovery_conf.h - what proxy.conf says about a pool's discovery: the rows and the struct they fill.
 *
 * One flat group for all types.  A key that its type doesn't know is refused, as far as one can see that it was written.
 * Threads: constant once loaded.  Memory: the snapshot's arena.
 */
#ifndef DISCOVERY_DISCOVERY_CONF_H
#define DISCOVERY_DISCOVERY_CONF_H
#include <stdbool.h>
#include <stdint.h>

#include "base/conf_key.h"

struct addr;
struct source_ops;

enum { DISCOVERY_ALL, DISCOVERY_FIRST };                /* addresses */
enum { DISCOVERY_ANY, DISCOVERY_IPV4, DISCOVERY_IPV6 }; /* family */

struct discovery_conf {
    const char *type;             /* "dns", "dns-srv", "file", "etcd", "heartbeat" */
    const struct source_ops *ops; /* looked up by conf */
    int64_t max_age;              /* how long the last good list is used when nothing newer can be had; 0: for ever */
    /* dns, dns-srv */
    const char *name;
    uint32_t port;               /* dns: of the backends */
    int addresses;               /* DISCOVERY_ALL ... */
    int family;                  /* DISCOVERY_ANY ... */
    struct conf_strs servers;    /* name servers, "127.0.0.1:5353"; none: the system's */
    int64_t ttl_least, ttl_most; /* limits to what the answers say */
    /* file */
    const char *path;
    /* etcd */
    struct conf_strs endpoints; /* "127.0.0.1:2379" */
    const char *prefix;
    /* heartbeat */
    int64_t ttl; /* unless the registration says another */
};

extern const struct conf_key discovery_keys[];

/* Keys without a default, which only some types know. */
enum discovery_key {
    DISCOVERY_NAME = 1,
    DISCOVERY_PORT = 2,
    DISCOVERY_SERVERS = 4,
    DISCOVERY_PATH = 8,
    DISCOVERY_ENDPOINTS = 16,
    DISCOVERY_PREFIX = 32,
};

/* The words that `type` may be; NULL past the last. */
const char *discovery_type(size_t i);
/* Sets ops by type.  False: there is no such type. */
bool discovery_find(struct discovery_conf *conf);
/* NULL: the settings make sense for ops; else a sentence that says what is wrong and what is right. */
const char *discovery_check(const struct discovery_conf *conf);
/* Do two definitions ask the same?  How often, and for how long what was found is used, aside. */
bool discovery_same(const struct discovery_conf *a, const struct discovery_conf *b);
/* A copy whose texts are the arena's.  0, -ERR_NOMEM. */
int discovery_copy(struct discovery_conf *out, const struct discovery_conf *c, struct arena *a);
/* Takes over the times of a definition that asks the same. */
void discovery_retime(struct discovery_conf *c, const struct discovery_conf *times);
/* Of a name server: an address, whose port is 53 unless written.  False: none. */
bool discovery_server(const char *text, struct addr *out);

#define DISCOVERY_TTL_LEAST "1s" /* of a registration */
#define DISCOVERY_TTL_MOST  "1h"
#endif
