/*
 * node.h - a parsed configuration as a plain tree that knows where each value stands; no library behind it.
 *
 * Threads: constant once built.  Memory: the arena that it was built in.
 */
#ifndef CONF_NODE_H
#define CONF_NODE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/messages.h"

enum node_type { NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_GROUP, NODE_ARRAY, NODE_LIST };

struct conf_node {
    const char *name; /* NULL: an item of a list or an array */
    enum node_type type;
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
    };
    struct conf_node *v; /* of a group, an array or a list: n of them */
    size_t n;
    struct place at;
};

/* The member of a group, NULL if there is none (or no group). */
const struct conf_node *node_find(const struct conf_node *group, const char *name);
/* "a string", "a list" ... */
const char *node_type_text(enum node_type type);
bool node_is_sequence(const struct conf_node *n);
#endif
