/*
 * validate.h - what rows can't check: how the parts of a configuration fit together.
 *
 * Resolves names (a route's pool, a pool's strategy), reads the error pages, and reports duplicates, contradictions and,
 * as warnings, what has no effect: a pool nobody uses, a route that an earlier one shadows.
 * Works on whatever the walk could fill, so its errors are reported together with the walk's.
 * Threads: any one; blocks on the disk.  Memory: the snapshot's arena.
 */
#ifndef CONF_VALIDATE_H
#define CONF_VALIDATE_H
#include "conf/snapshot.h"
#include "conf/walk.h"

/* `root` is the tree that the snapshot was filled from: messages point at its keys. */
void validate(struct walk *w, const struct conf_node *root, struct snapshot *s);
#endif
