/*
 * snapshot.h - a loaded configuration: whole, valid, immutable, counted.
 *
 * Promise: a snapshot that exists passed every check that the file alone allows; every reference (a route's pool, a
 * listener's pool) is resolved.  Nothing in it changes after conf_load() returned it.
 * The one thing that moves is behind tls_party: its files may be read anew (net/tls_ctx.h).
 * Threads: shared by all; the count is atomic.  Memory: one arena, freed with the last reference.
 */
#ifndef CONF_SNAPSHOT_H
#define CONF_SNAPSHOT_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/conf_key.h"
#include "base/log.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/tls_conf.h"
#include "upstream/pool_conf.h"

struct networks {
    struct network *v;
    size_t n;
};

struct daemon_conf {
    uint32_t workers;      /* 0: one a core */
    const char *user;      /* NULL: stay who we are */
    const char *control;   /* path of the control socket; "off": none */
    const char *admin;     /* as written; NULL: none */
    struct addr admin_addr;
    const char *pid_file;  /* NULL: none */
    const char *workload_api;      /* as written, or from the environment; NULL: none */
    struct addr workload_api_addr;
    int64_t ticket_rotation;
    struct networks trusted_proxies;
};

struct log_conf {
    int level;          /* enum log_level */
    const char *access; /* "off", "stdout" or a path */
    int format;         /* enum access_format (observe/access_format.h) */
};

struct limits_conf {
    uint32_t connections;     /* 0: from RLIMIT_NOFILE and memory */
    uint32_t per_client;      /* 0: no limit */
    uint64_t request_header;  /* bytes of a head, 1K to 60K */
    uint64_t request_line;    /* bytes of the request line; beyond: 414 */
    uint32_t headers;         /* fields in a head */
    uint64_t request_body;    /* 0: no limit; beyond: 413 */
    uint32_t streams;         /* of an HTTP/2 connection, at once */
    uint32_t connection_requests; /* then it is ended in good order */
    uint64_t response_header; /* bytes of a backend's head */
};

struct timeouts_conf {
    int64_t tls_handshake, request_header, client_idle, connect, client_body, first_byte, stream_idle, tunnel_idle, connection_age, drain;
};

/* "set NAME: VALUE", "add NAME: VALUE", "remove NAME" */
enum header_rule_op { HEADER_SET, HEADER_ADD, HEADER_REMOVE };
struct header_rule {
    enum header_rule_op op;
    struct slice name, value;
};
struct header_rules {
    struct header_rule *v;
    size_t n;
};

/* A page for errors of our own: `status` 0 is the page for all others. */
struct error_page {
    uint32_t status;
    const char *path;
    struct slice body;        /* read at load */
    const char *content_type; /* by the file's ending: html, json, else text */
};

struct tls_party;

enum { LISTENER_H1 = 1, LISTENER_H2 = 2 }; /* bits of listener_conf.speaks */
enum listener_mode { LISTENER_HTTP, LISTENER_TCP };
struct listener_conf {
    const char *name; /* unless written: the bind address as written */
    struct addr bind;
    const char *bind_text;
    int mode;              /* enum listener_mode */
    unsigned speaks;       /* LISTENER_H1, LISTENER_H2: of `protocols` */
    const char *pool_name; /* NULL: none */
    const struct pool_conf *pool;
    int forwarded;       /* enum forwarded_mode of http/hop.h; default from the row */
    bool via;            /* add Via to requests and answers */
    bool proxy_status;   /* add Proxy-Status to errors of our own */
    struct header_rules request_headers, response_headers;
    struct conf_strs protocols;        /* spoken with clients, by preference; with TLS offered by ALPN */
    const struct tls_server_conf *tls; /* NULL: in clear */
    struct tls_party *tls_party;       /* of it */
    bool accept_proxy_protocol;        /* from those of proxy_protocol_from */
    struct networks proxy_protocol_from;
    bool redirect_https;               /* every request is answered by a redirect to https:// */
    bool sni;                          /* tcp: routes are chosen by the name in the ClientHello */
    const char *file;
    unsigned line;
};

struct split_conf; /* comes with weighted splits */

struct respond_conf {
    uint32_t status;
    const char *body;         /* "" unless written */
    const char *content_type; /* text/plain; charset=utf-8 unless written */
};
struct redirect_conf {
    uint32_t status; /* 301, 302, 303, 307, 308; 308 unless written */
    const char *to;  /* "https://{host}{uri}": {host} without port, {uri} is path and query, {path}, {query} */
};
struct header_match {
    struct slice name, value; /* "name: value" exact; "name: *" or "name" present */
    bool any;
};

struct route_conf {
    const char *name; /* unless written: "route N" by position, from 1 */
    struct conf_strs host;    /* lower case; "api.example.com", "*.example.com" (any depth of sub-domains, not the domain itself); empty: any */
    const char *path;         /* "/exact", "/prefix/ *" (without the blank), NULL: any.  A '*' stands only at the end, after a '/' */
    struct conf_strs methods; /* empty: any */
    struct header_match *headers; /* all must match */
    size_t n_headers;
    /* one of the three */
    const char *pool_name;
    const struct pool_conf *pool;
    const struct respond_conf *respond;
    const struct redirect_conf *redirect;
    int forwarded; /* -1: as the listener says */
    const struct identity_conf *identity; /* NULL: anybody */
    struct header_rules request_headers, response_headers;
    const char *file;
    unsigned line;
};

#define SNAPSHOT_MAGIC 0x534e4150u
struct snapshot {
    uint32_t magic;
    _Atomic uint32_t refs;
    struct arena arena;
    const char *path; /* of the file */
    struct daemon_conf daemon;
    struct log_conf log;
    struct limits_conf limits;
    struct timeouts_conf timeouts;
    struct error_page *error_pages;
    size_t n_error_pages;
    struct listener_conf *listeners;
    size_t n_listeners;
    struct route_conf *routes;
    size_t n_routes;
    struct pool_conf *pools;
    size_t n_pools;
};

struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot **sp);
const struct pool_conf *snapshot_pool(const struct snapshot *s, const char *name);
const struct listener_conf *snapshot_listener(const struct snapshot *s, const char *name);
#endif
