/*
 * walk.h - fills structs from a parsed group by the rows that describe them.
 *
 * Checks types, ranges, words, missing and unknown keys (with the nearest known name) and goes on behind every error, so
 * that one run finds all.  What rows can't describe (two shapes, lists whose items know their line) is a `walk_special`.
 * Promise: after a run every field has a value: what is written, else the default; a wrong or missing one stays zero.
 * Threads: any one.  Memory: strings and structs come from the snapshot's arena.
 */
#ifndef CONF_WALK_H
#define CONF_WALK_H
#include "base/conf_key.h"
#include "conf/messages.h"
#include "conf/node.h"

struct walk {
    struct arena *arena; /* the snapshot's */
    struct messages *m;
};

/* The way to a key, for messages: "pools.api.keepalive.idle".  Lives on the stack of those who descend. */
struct key_path {
    const struct key_path *up; /* NULL: top level */
    const char *name;          /* of an item: its own name; NULL: it has none */
    size_t index;              /* of an item without a name: "pools[2]" */
};

struct walk_at {
    const struct key_path *path;
    struct place place; /* of the value, or of the group that lacks it */
};

struct walk_special {
    const char *name;
    const char *shape; /* for the manual: what is written */
    const char *def;   /* for the manual */
    const char *doc;
    const struct conf_key *sub; /* for the manual: the rows inside, or NULL; and the specials beside them */
    const struct walk_special *sub_specials;
    /* `node` is NULL when the key is absent; `out` is the group's struct. */
    void (*fill)(struct walk *w, const struct conf_node *node, struct walk_at at, void *out);
};

/* `group` NULL: absent, so all defaults; `specials` may be NULL, else ended by one without a name. */
void walk_group(struct walk *w, const struct conf_node *group, struct walk_at at, const struct conf_key *keys,
                const struct walk_special *specials, void *out);
/* A string that stands for a group in which only `name` is written: "10.0.0.1:80" for { address = "10.0.0.1:80"; }. */
void walk_short(struct walk *w, const struct conf_node *text, struct walk_at at, const struct conf_key *keys, const char *name,
                void *out);
/* A list or an array of strings. */
void walk_strings(struct walk *w, const struct conf_node *node, struct walk_at at, struct conf_strs *out);

/* Zeroed structs for the items; NULL: there are none (or no memory, which the messages know). */
void *walk_items(struct walk *w, size_t n, size_t size);
/* The path of an item, by its "name" if it has one. */
struct key_path walk_item_path(const struct key_path *list, const struct conf_node *item, size_t index);
/* False, with an error that says what is needed, when the node is of another type. */
bool walk_expect(struct walk *w, const struct conf_node *node, struct walk_at at, bool fits, const char *needed);

/* "FILE:LINE: KEY.PATH: ..." */
void walk_error(struct walk *w, struct walk_at at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void walk_warning(struct walk *w, struct walk_at at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
char *walk_strdup(struct walk *w, const char *text); /* into the snapshot; NULL: no memory, which the messages know */
#endif
