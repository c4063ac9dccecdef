/*
 * hash_key.h - the part of a request by which strategies that hash choose, and the number made of it.
 *
 * Promise: the same text gives the same number on every machine and in every version, so that several instances send it to the
 * same backend.  No allocation, never yields.
 *
 * Decided here: header fields are found by name in any case, cookies and parameters byte by byte; of several the first counts.
 * A parameter's value is taken as it is written, not decoded (two spellings are two keys; nothing has to be copied).  The path is
 * the plain one that routes are chosen by, since all its spellings name one resource.  A host is taken without port and in any
 * case.  An address is hashed by its bytes.  What is empty counts as absent: those who lack it must not all meet at one backend.
 *
 * Threads: any.  Memory: slices point into what was given.
 */
#ifndef PROXY_HASH_KEY_H
#define PROXY_HASH_KEY_H
#include "http/message.h"
#include "net/addr.h"
#include "upstream/hash_conf.h"

struct hash_input {
    const struct message *request; /* NULL: none is read here (mode "tcp") */
    struct slice path;             /* plain (proxy/route.h) */
    struct ip client;
    struct slice sni; /* .n 0: there is none */
};

/* The text of a key; .n 0: the request hasn't got it.  Not for client_ip, which is no text. */
struct slice hash_key_text(const struct hash_conf *conf, const struct hash_input *in);
/* False: the request hasn't got it, so chance should decide. */
bool hash_key(const struct hash_conf *conf, const struct hash_input *in, uint64_t *hash);
#endif
