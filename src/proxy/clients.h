/*
 * clients.h - how many connections each client address has, for limits.per_client.
 *
 * Threads: any worker; a lock a shard, taken once a connection, and only where the limit is set.
 * Memory: an entry an address with connections.
 */
#ifndef PROXY_CLIENTS_H
#define PROXY_CLIENTS_H
#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"

/* Counts one connection of `ip`.  False: it has `most` already (or memory is out), and is not counted. */
bool clients_enter(const struct ip *ip, uint32_t most);
void clients_leave(const struct ip *ip);
#endif
