/* node.c - looking around in a parsed configuration. */
#include "conf/node.h"

#include <string.h>

const struct conf_node *node_find(const struct conf_node *group, const char *name)
{
    if (group == NULL || group->type != NODE_GROUP)
        return NULL;
    for (size_t i = 0; i < group->n; i++)
        if (strcmp(group->v[i].name, name) == 0)
            return &group->v[i];
    return NULL;
}

const char *node_type_text(enum node_type type)
{
    static const char *const text[] = {
        [NODE_BOOL] = "a bool",   [NODE_INT] = "an integer", [NODE_FLOAT] = "a float", [NODE_STRING] = "a string",
        [NODE_GROUP] = "a group", [NODE_ARRAY] = "an array", [NODE_LIST] = "a list",
    };

    return text[type];
}

bool node_is_sequence(const struct conf_node *n) { return n->type == NODE_ARRAY || n->type == NODE_LIST; }
