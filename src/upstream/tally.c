/* tally.c - the register of tallies, by name. */
#include "upstream/tally.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list all = LIST_INIT(all);

static struct tally *find_locked(const char *name)
{
    LIST_EACH(&all, it)
    {
        struct tally *t = LIST_ITEM(it, struct tally, link);
        if (strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

static struct tally *tally_new(const char *name)
{
    size_t len = strlen(name) + 1, size = (sizeof(struct tally) + len + 63) / 64 * 64;
    struct tally *t = aligned_alloc(64, size);

    if (t == NULL)
        return NULL;
    memset(t, 0, size);
    t->name = memcpy(t + 1, name, len);
    (void)pthread_mutex_init(&t->lock, NULL);
    list_push_back(&all, &t->link);
    return t;
}

struct tally *tally_find(const char *name)
{
    struct tally *t;

    (void)pthread_mutex_lock(&lock);
    t = find_locked(name);
    if (t == NULL)
        t = tally_new(name);
    if (t != NULL)
        atomic_fetch_add(&t->refs, 1);
    (void)pthread_mutex_unlock(&lock);
    return t;
}

struct tally *tally_ref(struct tally *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tally_unref(struct tally **tp)
{
    struct tally *t = *tp;
    bool last;

    *tp = NULL;
    if (t == NULL)
        return;
    (void)pthread_mutex_lock(&lock); /* so that tally_find() doesn't take up what is being freed */
    last = atomic_fetch_sub(&t->refs, 1) == 1;
    if (last)
        list_remove(&t->link);
    (void)pthread_mutex_unlock(&lock);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}
