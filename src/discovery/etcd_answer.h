/*
 * etcd_answer.h - what etcd's JSON gateway says, read from its text.
 *
 * Source: etcd 3.4 and later, api/etcdserverpb/rpc.proto as the gateway writes it: numbers as strings, bytes in base64.
 * Threads: any.  Memory: keys and values stand in the caller's arena.
 */
#ifndef DISCOVERY_ETCD_ANSWER_H
#define DISCOVERY_ETCD_ANSWER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

struct etcd_pair {
    struct slice key, value;
    bool deleted;
};

struct etcd_answer {
    int64_t revision;
    struct etcd_pair *v; /* keys of a range, or events of a watch */
    size_t n;
    bool more;         /* range: the limit cut it */
    bool canceled;     /* watch: nothing more will come on it */
    int64_t compacted; /* watch: why it is canceled, if that is above 0; what is older than this revision is gone */
};

#define ETCD_SAYS "etcd says: " /* how its own complaints begin */
/* The answer to a range request; or one line of a watch.  -ERR_INVALID (`why` says what is wrong, or what etcd complains of),
 * -ERR_NOMEM. */
int etcd_read_range(struct slice text, struct etcd_answer *out, struct arena *a, char *why, size_t size);
int etcd_read_watch(struct slice line, struct etcd_answer *out, struct arena *a, char *why, size_t size);
#endif
