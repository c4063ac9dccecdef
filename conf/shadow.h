/*
 * shadow.h - finds routes that can't be reached because an earlier one matches all that they could.
 *
 * Cost: flat a route, so 10,000 routes are checked at every reload.  Misses what only several earlier routes cover
 * together; never reports a route that can be reached.
 * Threads: any one.  Memory: the arena given.
 */
#ifndef CONF_SHADOW_H
#define CONF_SHADOW_H
#include "conf/snapshot.h"

typedef void shadow_found_fn(void *arg, size_t shadowed, size_t by);

/* False: out of memory. */
bool shadow_find(const struct snapshot *s, struct arena *a, shadow_found_fn *found, void *arg);
/* Does `a` match every request that `b` matches? */
bool shadow_covers(const struct route_conf *a, const struct route_conf *b);
#endif
