/*
 * sticky.h - the signed cookie that takes a client back to the backend that it was at.
 *
 *     value   = base64url(version(1) expiry(5) id(8) mac(16)), 40 characters
 *     expiry  = seconds since 1970, big-endian; 0: none
 *     id      = the first 8 bytes of HMAC(secret, "weir backend" NUL pool NUL address)
 *     mac     = the first 16 bytes of HMAC(secret, "weir sticky" NUL pool NUL version expiry id)
 *
 * So it is the same on every instance with that secret, in whatever order backends are listed, and over restarts; it tells
 * nothing of an address; and a cookie of one pool is nothing in another.  Of several secrets the first signs, all verify.
 *
 * Never yields; time is an argument.
 * Threads: immutable; any number read and write cookies at once.  Memory: its own; it refers to its configuration.
 */
#ifndef UPSTREAM_STICKY_H
#define UPSTREAM_STICKY_H
#include <stdbool.h>
#include <stdint.h>

#include "base/conf_key.h"
#include "base/slice.h"
#include "net/addr.h"

enum {
    STICKY_SIZE = 30,         /* bytes of a cookie, before base64url */
    STICKY_TEXT = 40,         /* and behind it */
    STICKY_SECRET_LEAST = 16, /* bytes of a secret */
    STICKY_SECRETS_MOST = 8,
};

struct sticky_conf {
    const char *cookie;
    struct conf_strs secret; /* as written */
    const char *secret_file; /* NULL: none */
    int64_t ttl;             /* 0: as long as the browser keeps it */
    /* made of one of the two when the file is checked */
    struct conf_strs secrets; /* the first signs, all verify */
};
extern const struct conf_key sticky_keys[];

struct sticky;
/* NULL: out of memory. */
struct sticky *sticky_new(const struct sticky_conf *conf, const char *pool_name);
void sticky_free(struct sticky **sp);

/* What a valid cookie says. */
struct sticky_seen {
    uint64_t id; /* of a backend, maybe one that is there no more */
    bool old;    /* more than half of its time is over, or it is not as this configuration would write it */
};
/* 0, or -ERR_INVALID: it is none of ours, or its time is over; -ERR_NOMEM.  `wall`: microseconds since 1970. */
int sticky_read(const struct sticky *s, struct slice value, int64_t wall, struct sticky_seen *out);
/* -ERR_NOMEM. */
int sticky_write(const struct sticky *s, const struct addr *backend, int64_t wall, char out[STICKY_TEXT]);

/* The id of a backend in cookies signed with the i-th secret of n.  -ERR_NOMEM. */
size_t sticky_n_secrets(const struct sticky *s);
int sticky_id(const struct sticky *s, size_t i, const struct addr *backend, uint64_t *id);
#endif
