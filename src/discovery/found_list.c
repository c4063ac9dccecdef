/* found_list.c - an array, and a table beside it that finds an address. */
#include "discovery/found_list.h"

#include <stdlib.h>

#include "base/err.h"

/* The slot that holds the address, or the free one where it belongs. */
static uint32_t *slot_of(const struct found_list *l, const struct addr *a)
{
    size_t i = addr_hash(a) & (l->n_slots - 1);

    while (l->slots[i] != 0 && !addr_equal(&l->v[l->slots[i] - 1].addr, a))
        i = (i + 1) & (l->n_slots - 1);
    return &l->slots[i];
}

static int grow(struct found_list *l)
{
    size_t cap = l->cap == 0 ? 16 : l->cap * 2, n_slots = cap * 2;
    struct found *v = realloc(l->v, cap * sizeof *v);
    uint32_t *slots = v == NULL ? NULL : calloc(n_slots, sizeof *slots);

    if (v != NULL)
        l->v = v;
    if (slots == NULL)
        return -ERR_NOMEM;
    free(l->slots);
    l->slots = slots;
    l->n_slots = n_slots;
    l->cap = cap;
    for (size_t i = 0; i < l->n; i++)
        *slot_of(l, &l->v[i].addr) = (uint32_t)i + 1;
    return 0;
}

int found_list_add(struct found_list *l, const struct found *f)
{
    char text[ADDR_TEXT_MAX];
    const char *name;
    uint32_t *slot;

    if (l->n == l->cap && grow(l) < 0)
        return -ERR_NOMEM;
    slot = slot_of(l, &f->addr);
    if (*slot != 0)
        return 0;
    if (l->n == FOUND_MOST)
        return -ERR_INVALID;
    name = arena_strdup(&l->names, addr_format(&f->addr, text));
    if (name == NULL)
        return -ERR_NOMEM;
    l->v[l->n] = *f;
    l->v[l->n].name = name;
    *slot = (uint32_t)++l->n;
    return 1;
}

void found_list_free(struct found_list *l)
{
    arena_free(&l->names);
    free(l->v);
    free(l->slots);
    *l = (struct found_list){ 0 };
}
