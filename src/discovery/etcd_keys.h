/*
 * etcd_keys.h - the keys below a prefix, and the backend that each holds.
 *
 * Promise: a key whose value makes no sense keeps the last one that did.
 * Threads: one fiber.  Memory: the table's, until etcd_keys_free().
 */
#ifndef DISCOVERY_ETCD_KEYS_H
#define DISCOVERY_ETCD_KEYS_H
#include "base/list.h"
#include "discovery/found_list.h"

enum { ETCD_KEY_BUCKETS = 1024 };

struct etcd_keys {
    struct list buckets[ETCD_KEY_BUCKETS];
    size_t n;
};

void etcd_keys_init(struct etcd_keys *k);
void etcd_keys_free(struct etcd_keys *k);
/* Takes a value.  0; -ERR_NOMEM; -ERR_INVALID: it makes no sense, for which `why` gives the reason, or "" when the same value was
 * refused before. */
int etcd_keys_put(struct etcd_keys *k, struct slice key, struct slice value, char why[SOURCE_WHY]);
void etcd_keys_remove(struct etcd_keys *k, struct slice key);
/* Around a reading of all keys: what was not put between the two is gone. */
void etcd_keys_begin(struct etcd_keys *k);
void etcd_keys_commit(struct etcd_keys *k);
/* All backends; *flawed: a key's last value made no sense.  0; -ERR_NOMEM; -ERR_INVALID: more than FOUND_MOST. */
int etcd_keys_list(const struct etcd_keys *k, struct found_list *out, bool *flawed);
#endif
