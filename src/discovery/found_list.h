/*
 * found_list.h - the list of backends that a source is putting together.
 *
 * Promise: no address twice (the first counts), never more than FOUND_MOST; each has its address as text for a name.
 * A zeroed struct is an empty list.
 * Threads: one at a time.  Memory: the list's, until found_list_free().
 */
#ifndef DISCOVERY_FOUND_LIST_H
#define DISCOVERY_FOUND_LIST_H
#include "discovery/source.h"

struct found_list {
    struct found *v;
    size_t n, cap;
    struct arena names;
    uint32_t *slots; /* a table of indexes + 1, by address; n_slots is a power of two */
    size_t n_slots;
};

/* Copies `f`; its name is made from its address.  1: added; 0: that address is there already; -ERR_NOMEM; -ERR_INVALID: full. */
int found_list_add(struct found_list *l, const struct found *f);
void found_list_free(struct found_list *l);
#endif
