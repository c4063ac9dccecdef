/*
 * index.h - finds a name among thousands: for duplicates and references.
 *
 * Threads: one at a time.  Memory: the arena given; names are borrowed.
 */
#ifndef CONF_INDEX_H
#define CONF_INDEX_H
#include <stddef.h>

#include "base/arena.h"

#define INDEX_NONE ((size_t)-1)

struct index_slot;
struct index {
    struct index_slot *slots;
    size_t mask;
};

/* Room for n names.  False: out of memory; then the index is empty and takes nothing. */
bool index_init(struct index *x, struct arena *a, size_t n);
/* INDEX_NONE: new, and now in.  Else the value that the same name was added with before. */
size_t index_add(struct index *x, struct slice name, size_t value);
size_t index_find(const struct index *x, struct slice name);
#endif
