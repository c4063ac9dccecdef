/*
 * plugin.h - strategies from shared objects: strategy = "plugin:/path/x.so".
 *
 * A file is loaded once and stays for the process's life: pools of any configuration, old or new, may be using it.  A new file
 * at the same path (another inode) is loaded beside the old one, so a reload takes up a new version.  A file that is new is
 * loaded in a child process first: one whose constructors crash, or never return, is refused instead of taking the proxy along.
 *
 * Threads: any; takes a lock, reads the disk, and runs the object's constructors.  Not for workers.  Memory: kept for good.
 */
#ifndef UPSTREAM_PLUGIN_H
#define UPSTREAM_PLUGIN_H
#include <stddef.h>

#include "upstream/strategy.h"

#define PLUGIN_PREFIX "plugin:"

/* The strategy in the file at `path`.  NULL: `why` says what is wrong, as a sentence that goes on behind the path. */
const struct strategy_ops *plugin_strategy(const char *path, char *why, size_t why_size);
#endif
