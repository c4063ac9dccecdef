/*
 * forwarded_for.h - who the client is behind proxies that are trusted: X-Forwarded-For, read from its end.
 *
 * Each proxy adds the address that it saw.  The last address that is none of `trusted` is the client; what stands before it may be
 * made up.  An entry that is no address ends the search: then it is the proxy that wrote it.
 *
 * Threads: any.  Memory: none.
 */
#ifndef PROXY_FORWARDED_FOR_H
#define PROXY_FORWARDED_FOR_H
#include "conf/snapshot.h"
#include "http/message.h"

bool networks_have(const struct networks *n, const struct ip *ip);
/* `peer` itself when it is not trusted or says nothing. */
struct ip forwarded_for(const struct networks *trusted, const struct message *m, const struct ip *peer);
#endif
