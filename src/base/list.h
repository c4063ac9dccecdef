/*
 * list.h - a doubly linked list whose links stand inside the items; adding and removing can't fail.
 *
 * A `struct list` is both the head and an item's link.  An item that is on no list links to itself.
 * Threads: the caller's business.  Memory: none.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H
#include <stdbool.h>

#include "base/must.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(l) { &(l), &(l) }
#define LIST_ITEM(link, type, field) CONTAINER_OF(link, type, field)
#define LIST_EACH(l, it) for (struct list *it = (l)->next; it != (l); it = it->next)
/* The item at hand may be removed. */
#define LIST_EACH_SAFE(l, it) for (struct list *it = (l)->next, *it##_next = it->next; it != (l); it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_is_empty(const struct list *l) { return l->next == l; }
static inline void list_insert(struct list *after, struct list *it)
{
    it->prev = after;
    it->next = after->next;
    after->next->prev = it;
    after->next = it;
}
static inline void list_push_front(struct list *l, struct list *it) { list_insert(l, it); }
static inline void list_push_back(struct list *l, struct list *it) { list_insert(l->prev, it); }
static inline void list_remove(struct list *it)
{
    it->prev->next = it->next;
    it->next->prev = it->prev;
    list_init(it);
}
static inline struct list *list_first(struct list *l) { return list_is_empty(l) ? NULL : l->next; }
static inline struct list *list_last(struct list *l) { return list_is_empty(l) ? NULL : l->prev; }
static inline struct list *list_pop_front(struct list *l)
{
    struct list *it = list_first(l);

    if (it != NULL)
        list_remove(it);
    return it;
}
#endif
