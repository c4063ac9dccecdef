/* index.c - open addressing, at most half full. */
#include "conf/index.h"

#include "base/hash.h"

struct index_slot {
    struct slice name; /* .p NULL: free */
    size_t value;
};

bool index_init(struct index *x, struct arena *a, size_t n)
{
    size_t size = 8;

    while (size < n * 2)
        size *= 2;
    x->slots = arena_take_zero(a, size * sizeof *x->slots);
    x->mask = size - 1;
    return x->slots != NULL;
}

static struct index_slot *slot_of(const struct index *x, struct slice name)
{
    size_t i = hash_slice(name, 0) & x->mask;

    while (x->slots[i].name.p != NULL && !slice_eq(x->slots[i].name, name))
        i = (i + 1) & x->mask;
    return &x->slots[i];
}

size_t index_add(struct index *x, struct slice name, size_t value)
{
    struct index_slot *s;

    if (x->slots == NULL)
        return INDEX_NONE;
    s = slot_of(x, name);
    if (s->name.p != NULL)
        return s->value;
    *s = (struct index_slot){ name, value };
    return INDEX_NONE;
}

size_t index_find(const struct index *x, struct slice name)
{
    const struct index_slot *s;

    if (x->slots == NULL)
        return INDEX_NONE;
    s = slot_of(x, name);
    return s->name.p == NULL ? INDEX_NONE : s->value;
}
