/*
 * pool_conf.h - what proxy.conf says about a pool: the rows and the structs that they fill.
 *
 * Threads: constant once loaded.  Memory: the snapshot's arena.
 */
#ifndef UPSTREAM_POOL_CONF_H
#define UPSTREAM_POOL_CONF_H
#include <stdbool.h>
#include <stdint.h>

#include "base/conf_key.h"
#include "discovery/discovery_conf.h"
#include "health/check_conf.h"
#include "net/addr.h"
#include "net/tls_conf.h"
#include "resilience/outlier.h"
#include "upstream/hash_conf.h"

struct sticky_conf;
struct strategy_ops;
struct tls_party;

struct backend_conf {
    struct addr address;
    const char *address_text; /* as written: names the backend in logs and metrics */
    uint32_t weight;          /* 0: gets no new requests */
    bool backup;              /* only used when too few others may be: priority 1 */
    uint32_t priority;        /* used only while too few backends of a lower number may be */
    uint32_t max_connections; /* 0: no limit */
};

struct keepalive_conf {
    uint32_t idle;   /* idle connections kept to each backend, over all workers */
    int64_t timeout; /* how long one is kept */
};

/* Toward the backends.  AUTO: what they choose by ALPN, where there is TLS. */
enum pool_protocol { POOL_HTTP1, POOL_H2, POOL_AUTO };

struct pool_conf {
    const char *name;
    int protocol; /* enum pool_protocol */
    const char *strategy_name;
    const struct strategy_ops *strategy; /* looked up by conf */
    struct conf_list backends;           /* struct backend_conf; none is right with discovery only */
    struct discovery_conf *discovery;    /* NULL: there are only those */
    struct keepalive_conf keepalive;
    struct outlier_conf outlier;
    struct hash_conf hash;      /* read by strategies that hash */
    struct sticky_conf *sticky; /* NULL: the strategy alone decides */
    struct check_conf *health;  /* NULL: live requests alone tell */
    int send_proxy_protocol;    /* enum proxy_send (net/proxy_protocol.h) */
    const struct tls_client_conf *tls;   /* NULL: in clear */
    struct tls_party *tls_party;         /* of it */
    /* where it stands, for messages */
    const char *file;
    unsigned line;
};

extern const struct conf_key pool_keys[];    /* into struct pool_conf, without what conf reads: `backends` (two shapes), `hash` */
extern const struct conf_key backend_keys[]; /* into struct backend_conf */
#endif
