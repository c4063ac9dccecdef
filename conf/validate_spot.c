/* validate_spot.c - checks nothing itself: where a key stands, for what the other parts report. */
#include "conf/validate_parts.h"

#include <string.h>

struct walk_at validate_spot(struct spot *sp, const char *list_name, const struct conf_node *list, size_t i, const char *key)
{
    const struct conf_node *item = &list->v[i], *node = key == NULL ? NULL : node_find(item, key);

    sp->list = (struct key_path){ .name = list_name };
    sp->item = walk_item_path(&sp->list, item, i);
    sp->key = (struct key_path){ .up = &sp->item, .name = key };
    sp->at = (struct walk_at){ key == NULL ? &sp->item : &sp->key, node != NULL ? node->at : item->at };
    return sp->at;
}

struct walk_at validate_spot_inside(struct spot *sp, const struct conf_node *item, const char *key)
{
    const struct conf_node *node = node_find(node_find(item, sp->key.name), key);

    sp->inner = (struct key_path){ .up = &sp->key, .name = key };
    sp->at = (struct walk_at){ &sp->inner, node != NULL ? node->at : sp->at.place };
    return sp->at;
}

struct walk_at validate_spot_group(const struct check *c, struct spot *sp, const char *group, const char *key)
{
    const struct conf_node *g = node_find(c->root, group), *node = node_find(g, key);

    sp->item = (struct key_path){ .name = group };
    sp->key = (struct key_path){ .up = &sp->item, .name = key };
    sp->at = (struct walk_at){ &sp->key, node != NULL ? node->at : g != NULL ? g->at : c->root->at };
    return sp->at;
}

const char *validate_spot_there(const struct check *c, struct place there, struct place here)
{
    const char *text = strcmp(there.file, here.file) == 0 ? arena_printf(&c->w->m->arena, "line %u", there.line)
                                                          : arena_printf(&c->w->m->arena, "%s:%u", there.file, there.line);

    if (text == NULL)
        c->w->m->no_memory = true;
    return text == NULL ? "?" : text;
}
