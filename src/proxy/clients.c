/* clients.c - a sharded table of addresses. */
#include "proxy/clients.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/must.h"

enum { SHARDS = 64, BUCKETS = 64 };

struct client {
    struct client *next;
    uint8_t bytes[16];
    uint8_t family;
    uint32_t n;
};

static struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct client *bucket[BUCKETS];
} shards[SHARDS] = { [0 ... SHARDS - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER } };

static struct client **find(struct shard *s, const struct ip *ip, uint64_t hash)
{
    struct client **c = &s->bucket[hash / SHARDS % BUCKETS];

    while (*c != NULL && ((*c)->family != ip->family || memcmp((*c)->bytes, ip->bytes, sizeof ip->bytes) != 0))
        c = &(*c)->next;
    return c;
}

static bool enter_locked(struct shard *s, const struct ip *ip, uint64_t hash, uint32_t most)
{
    struct client **c = find(s, ip, hash);

    if (*c == NULL) {
        struct client *new = calloc(1, sizeof *new);
        if (new == NULL)
            return false;
        memcpy(new->bytes, ip->bytes, sizeof new->bytes);
        new->family = ip->family;
        *c = new;
    }
    if ((*c)->n >= most)
        return false;
    (*c)->n++;
    return true;
}

bool clients_enter(const struct ip *ip, uint32_t most)
{
    uint64_t hash = hash_bytes(ip->bytes, sizeof ip->bytes, ip->family);
    struct shard *s = &shards[hash % SHARDS];
    bool in;

    (void)pthread_mutex_lock(&s->lock);
    in = enter_locked(s, ip, hash, most);
    (void)pthread_mutex_unlock(&s->lock);
    return in;
}

void clients_leave(const struct ip *ip)
{
    uint64_t hash = hash_bytes(ip->bytes, sizeof ip->bytes, ip->family);
    struct shard *s = &shards[hash % SHARDS];
    struct client **c, *gone;

    (void)pthread_mutex_lock(&s->lock);
    c = find(s, ip, hash);
    gone = *c;
    MUST(gone != NULL && gone->n > 0);
    if (--gone->n == 0) {
        *c = gone->next;
        free(gone);
    }
    (void)pthread_mutex_unlock(&s->lock);
}
