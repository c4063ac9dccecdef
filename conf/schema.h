/*
 * schema.h - the rows of the whole file, and the way from the parsed tree to a snapshot's structs.
 *
 * A pool's rows stand in upstream/pool_conf.c; all others that conf itself fills stand here.
 * Threads: rows are constant.  Memory: the snapshot's arena.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H
#include "conf/snapshot.h"
#include "conf/walk.h"

extern const struct conf_key top_keys[];        /* groups of struct snapshot */
extern const struct conf_key daemon_keys[];     /* struct daemon_conf */
extern const struct conf_key listener_keys[];   /* struct listener_conf */
extern const struct conf_key route_keys[];      /* struct route_conf */
extern const struct conf_key error_page_keys[]; /* struct error_page */

extern const struct walk_special top_specials[], daemon_specials[], listener_specials[], route_specials[], pool_specials[];

/* Fills everything but what one part refers to in another: that is validate.h's. */
void schema_fill(struct walk *w, const struct conf_node *root, struct snapshot *s);
/* Reads the key that load.c needs before the rest; NULL: absent (or no string, which schema_fill() reports). */
const char *schema_include_dir(const struct conf_node *root);
#endif
