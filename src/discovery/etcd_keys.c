/* etcd_keys.c - a table by key. */
#include "discovery/etcd_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "discovery/document.h"

enum { VALUE_MOST = 64 * 1024 }; /* no backend's document comes near that */

struct key {
    struct list link;
    struct found found;
    bool is_good;       /* `found` is set */
    bool is_bad;        /* the last value made no sense */
    bool seen;          /* since etcd_keys_begin() */
    uint64_t bad_value; /* its hash */
    size_t n;
    char text[];
};

void etcd_keys_init(struct etcd_keys *k)
{
    for (size_t i = 0; i < ETCD_KEY_BUCKETS; i++)
        list_init(&k->buckets[i]);
    k->n = 0;
}

static void drop(struct etcd_keys *k, struct key *it)
{
    list_remove(&it->link);
    free(it);
    k->n--;
}

/* All, or those that were not seen. */
static void drop_all(struct etcd_keys *k, bool only_unseen)
{
    for (size_t i = 0; i < ETCD_KEY_BUCKETS; i++)
        LIST_EACH_SAFE(&k->buckets[i], it)
        {
            struct key *key = LIST_ITEM(it, struct key, link);
            if (!only_unseen || !key->seen)
                drop(k, key);
        }
}

void etcd_keys_free(struct etcd_keys *k) { drop_all(k, false); }

static struct list *bucket_of(struct etcd_keys *k, struct slice key)
{
    return &k->buckets[hash_slice(key, 0) % ETCD_KEY_BUCKETS];
}

static struct key *find(struct etcd_keys *k, struct slice key)
{
    struct list *bucket = bucket_of(k, key);

    LIST_EACH(bucket, it)
    {
        struct key *known = LIST_ITEM(it, struct key, link);
        if (slice_eq(slice_of(known->text, known->n), key))
            return known;
    }
    return NULL;
}

static struct key *add(struct etcd_keys *k, struct slice key)
{
    struct key *it = calloc(1, sizeof *it + key.n);

    if (it == NULL)
        return NULL;
    it->n = key.n;
    memcpy(it->text, key.p, key.n);
    list_push_back(bucket_of(k, key), &it->link);
    k->n++;
    return it;
}

static int refuse(struct key *it, uint64_t value, char why[SOURCE_WHY])
{
    if (it->is_bad && it->bad_value == value)
        why[0] = '\0';
    it->is_bad = true;
    it->bad_value = value;
    return -ERR_INVALID;
}

int etcd_keys_put(struct etcd_keys *k, struct slice key, struct slice value, char why[SOURCE_WHY])
{
    struct key *it = find(k, key);
    struct found f;
    int rc = -ERR_INVALID;

    if (it == NULL)
        it = add(k, key);
    if (it == NULL)
        return -ERR_NOMEM;
    it->seen = true;
    if (value.n > VALUE_MOST)
        memcpy(why, "too large", sizeof "too large");
    else
        rc = document_one(value, NULL, &f, why);
    if (rc < 0)
        return refuse(it, hash_slice(value, 0), why);
    it->found = f;
    it->is_good = true;
    it->is_bad = false;
    return 0;
}

void etcd_keys_remove(struct etcd_keys *k, struct slice key)
{
    struct key *it = find(k, key);

    if (it != NULL)
        drop(k, it);
}

void etcd_keys_begin(struct etcd_keys *k)
{
    for (size_t i = 0; i < ETCD_KEY_BUCKETS; i++)
        LIST_EACH(&k->buckets[i], it)
    LIST_ITEM(it, struct key, link)->seen = false;
}

void etcd_keys_commit(struct etcd_keys *k) { drop_all(k, true); }

int etcd_keys_list(const struct etcd_keys *k, struct found_list *out, bool *flawed)
{
    int rc = 0;

    *flawed = false;
    for (size_t i = 0; i < ETCD_KEY_BUCKETS; i++)
        for (const struct list *it = k->buckets[i].next; it != &k->buckets[i] && rc >= 0; it = it->next) {
            const struct key *key = LIST_ITEM((struct list *)(uintptr_t)it, struct key, link);
            *flawed |= key->is_bad;
            if (key->is_good)
                rc = found_list_add(out, &key->found);
        }
    return rc < 0 ? rc : 0;
}
