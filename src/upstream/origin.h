/*
 * origin.h - whose connection to a backend it is, where a pool announces that (send_proxy_protocol): one for each connection of a
 * client that comes to such a pool.
 *
 * A backend takes all that comes on a connection for the announced client's.  So a kept connection serves nobody but the client's
 * connection that it was opened for, and is closed with it: not its address is what counts, for behind one address there may be
 * many, and TLS tells more of a client than that.
 *
 * Threads: the client's connection's.  Memory: its own; it outlives every lease that was taken for it.
 */
#ifndef UPSTREAM_ORIGIN_H
#define UPSTREAM_ORIGIN_H
#include "base/list.h"
#include "net/addr.h"
#include "net/proxy_protocol.h"
#include "net/stream.h"

struct origin {
    struct ip from, to;          /* as the client's connection has them, or as a proxy before us announced them */
    const struct stream *client; /* for what TLS told of it */
    struct list kept;            /* idle connections to backends that were opened for it: backend_conn.of_origin */
};

/* NULL: out of memory. */
struct origin *origin_new(const struct stream *client, const struct ip *from, const struct ip *to);
/* Closes what was kept for it.  Takes the address, accepts NULL inside. */
void origin_free(struct origin **op);
/* Announces it on a connection of which nothing has been written.  0 or a code. */
int origin_announce(const struct origin *o, enum proxy_send how, struct stream *to, int64_t deadline);
#endif
