/*
 * hash_conf.h - what of a request a strategy that hashes goes by: `hash = { key = "header:X-User"; bound = 1.25; }`.
 *
 * Threads: constant once loaded.  Memory: the snapshot's arena.
 */
#ifndef UPSTREAM_HASH_CONF_H
#define UPSTREAM_HASH_CONF_H
#include "base/conf_key.h"

enum hash_kind { HASH_CLIENT_IP, HASH_HEADER, HASH_COOKIE, HASH_QUERY, HASH_PATH, HASH_HOST, HASH_SNI, HASH_KINDS };

struct hash_conf {
    const char *key; /* as written */
    double bound;    /* the most requests of one backend, as a multiple of the average; 0: no bound */
    /* made of `key` when the file is checked */
    enum hash_kind kind;
    const char *name; /* of the field, cookie or parameter; NULL with other kinds */
};
extern const struct conf_key hash_keys[];

/* The word in front of the colon: "client_ip", "header" ... */
const char *hash_kind_word(enum hash_kind kind);
bool hash_kind_has_name(enum hash_kind kind);
/* Does a connection have it of which no request is read (mode "tcp")? */
static inline bool hash_kind_needs_request(enum hash_kind kind) { return kind != HASH_CLIENT_IP && kind != HASH_SNI; }
#endif
