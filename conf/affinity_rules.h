/*
 * affinity_rules.h - checks what rows can't of `hash` and `sticky`, and completes both: kinds of keys, secrets.
 *
 * Promise: no message holds a secret.
 * Threads: any one; secret_file is read from the disk.  Memory: the snapshot's arena.
 */
#ifndef CONF_AFFINITY_RULES_H
#define CONF_AFFINITY_RULES_H
#include "conf/walk.h"
#include "upstream/pool_conf.h"

/* `node` and `at` are the pool's; its strategy has been looked up (NULL: there is none of that name). */
void affinity_check(struct walk *w, const struct conf_node *node, struct walk_at at, struct pool_conf *p);
/* A listener in mode "tcp" leads to the pool: `at` is where it says so. */
void affinity_check_tcp(struct walk *w, struct walk_at at, const struct pool_conf *p);
/* A listener that no client speaks TLS on, or a route while there is no other listener, leads to the pool. */
void affinity_check_clear(struct walk *w, struct walk_at at, const struct pool_conf *p);
#endif
