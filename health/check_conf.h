/*
 * check_conf.h - what proxy.conf says about a health check: the rows and the struct they fill.
 *
 * Threads: constant once loaded.  Memory: the snapshot's arena; what is not is freed by check_conf_free().
 */
#ifndef HEALTH_CHECK_CONF_H
#define HEALTH_CHECK_CONF_H
#include <stdbool.h>
#include <stdint.h>

#include "base/conf_key.h"
#include "net/addr.h"

struct check_type;
struct tls_party;

struct check_conf {
    const char *type_name;
    const struct check_type *type; /* looked up by conf */
    int64_t interval, timeout;
    int64_t fast_interval;   /* while the state is changing */
    int64_t down_interval;   /* where the interval backs off to while it is down */
    uint32_t rise, fall;     /* passes, failures in a row that change the state */
    uint32_t jitter;         /* percent of the interval, either way */
    uint32_t port;           /* 0: the traffic's */
    struct addr address;     /* len 0: the traffic's; else all backends of the pool are asked there; port 0: at their own port */
    int64_t slow_start;      /* how long a backend that has come back, or is new, takes to its full share; 0: at once */
    bool tls;                /* false: in clear, whatever the pool speaks */
    const char *server_name; /* tls, in a pool without TLS: the name that is asked for; NULL: none */
    /* http, host of grpc too; NULL and empty ones that have a usual value get it when the file is checked */
    const char *method, *path, *host;
    struct conf_strs headers; /* "NAME: VALUE" */
    struct conf_strs expect;  /* "200", "200-299", "2xx" */
    const char *body;         /* the answer's body contains it */
    const char *body_regex;   /* POSIX extended, matches somewhere in the body */
    const char *service;      /* grpc: that is asked for; NULL or "": the server as a whole */
    bool h2;                  /* http: in HTTP/2, as the pool's requests are; found by conf */
    void *compiled;           /* what the type made of the above when the file was checked; not the arena's */
    /* What probes speak TLS by, found by conf: the pool's, or one of its own, that verifies nothing; NULL: they are in clear. */
    struct tls_party *tls_party;
    bool owns_party;
    int send_proxy_protocol; /* enum proxy_send: what a probe that speaks begins with; found by conf */
};

extern const struct conf_key check_keys[];

/* "10.0.0.1", "10.0.0.1:8080", "[::1]", "unix:/run/app.sock": the address of the row of that name (a conf_parse_fn). */
const char *check_address_parse(const char *text, void *addr, struct arena *a);
/* The same as text, without the port 0; returns out. */
char *check_address_format(const struct addr *a, char out[ADDR_TEXT_MAX]);

/* Does it say all of where to ask, a port too if it can have one? */
bool check_address_is_whole(const struct addr *a);

/* Do two definitions ask the same?  When, how long and how often aside: a checker can go on with other times. */
bool check_conf_same(const struct check_conf *a, const struct check_conf *b);
/* Where the backend at that address is asked. */
struct addr check_target(const struct check_conf *conf, const struct addr *backend);
/* Gives back what is not the arena's.  Takes NULL. */
void check_conf_free(struct check_conf *conf);
#endif
