/*
 * announced.h - who the client is, as a proxy in front of us announces it: the PROXY protocol at a connection's start.
 *
 * Who must announce is decided by where a connection comes from, never by its bytes: one from proxy_protocol_from has a valid header
 * or is closed; of any other nothing is taken for a header, so a made-up one fails as whatever the listener speaks.
 * Once read, the announced address is the connection's peer, for all that looks at it.
 *
 * Threads: announced_must() the one that accepts, announced_begin() the connection's fiber.
 * Memory: none while it waits; afterwards the connection's origin.
 */
#ifndef PROXY_ANNOUNCED_H
#define PROXY_ANNOUNCED_H
#include <stdbool.h>

#include "base/must.h"
#include "conf/snapshot.h"

struct conn;

/* Must a connection from there begin with a header? */
static inline bool announced_must(const struct listener_conf *l, const struct ip *peer)
{
    if (LIKELY(!l->accept_proxy_protocol))
        return false;
    for (size_t i = 0; i < l->proxy_protocol_from.n; i++)
        if (network_has(&l->proxy_protocol_from.v[i], peer))
            return true;
    return false;
}

/* Reads the header, and not a byte behind it.  False: there is none, or its client has too many connections; it has been told,
 * and the connection is to be closed. */
bool announced_begin(struct conn *c);
#endif
