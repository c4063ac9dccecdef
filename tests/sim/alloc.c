/* alloc.c - the allocator between the code under test and the C library: fails when the seed says so, knows what is left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber/core.h"
#include "tests/sim/sim.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
char *__real_strdup(const char *s);
void __real_free(void *p);
int __real_fiber_go(struct group *g, const char *name, fiber_fn *fn, void *arg);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);
int __wrap_fiber_go(struct group *g, const char *name, fiber_fn *fn, void *arg);

/* What is allocated: an open hash table, never shrunk. */
struct live {
    void *p;
    void *by;
    size_t n;
};
enum { SLOTS = 1 << 16 };
static struct live live[SLOTS];
static size_t n_live;
static bool counting;
static unsigned failing;
static struct rng chance;

static size_t slot_of(const void *p) { return (size_t)(((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 48) % SLOTS; }

static void remember(void *p, size_t n, void *by)
{
    size_t i = slot_of(p);

    if (!counting || p == NULL)
        return;
    if (n_live > SLOTS / 2)
        sim_fail("more than %d allocations at once", SLOTS / 2);
    while (live[i].p != NULL)
        i = (i + 1) % SLOTS;
    live[i] = (struct live){ p, by, n };
    n_live++;
}

static void forget(const void *p)
{
    size_t i = slot_of(p), j;

    if (p == NULL)
        return;
    while (live[i].p != NULL && live[i].p != p)
        i = (i + 1) % SLOTS;
    if (live[i].p == NULL)
        return;
    n_live--;
    live[i].p = NULL;
    for (j = (i + 1) % SLOTS; live[j].p != NULL; j = (j + 1) % SLOTS) { /* what was pushed past the hole moves up */
        struct live it = live[j];
        live[j].p = NULL;
        for (i = slot_of(it.p); live[i].p != NULL; i = (i + 1) % SLOTS)
            ;
        live[i] = it;
    }
}

bool sim_is_proxy(void)
{
    return sched_of_thread != NULL && (sched_of_thread->running == NULL || strncmp(sched_of_thread->running->name, "sim", 3) != 0);
}

static bool fails(void)
{
    if (failing == 0 || !sim_is_proxy() || !rng_chance(&chance, failing))
        return false;
    sim_trace("allocation fails");
    return true;
}

void *__wrap_malloc(size_t n)
{
    void *p = fails() ? NULL : __real_malloc(n);

    remember(p, n, __builtin_return_address(0));
    return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *p = fails() ? NULL : __real_calloc(n, size);

    remember(p, n * size, __builtin_return_address(0));
    return p;
}

void *__wrap_realloc(void *old, size_t n)
{
    uintptr_t was = (uintptr_t)old;
    void *p = fails() ? NULL : __real_realloc(old, n);

    if (p != NULL) {
        forget((void *)was);
        remember(p, n, __builtin_return_address(0));
    }
    return p;
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    void *p = fails() ? NULL : __real_aligned_alloc(align, n);

    remember(p, n, __builtin_return_address(0));
    return p;
}

char *__wrap_strdup(const char *s)
{
    char *p = fails() ? NULL : __real_strdup(s);

    remember(p, strlen(s) + 1, __builtin_return_address(0));
    return p;
}

void __wrap_free(void *p)
{
    forget(p);
    __real_free(p);
}

int __wrap_fiber_go(struct group *g, const char *name, fiber_fn *fn, void *arg)
{
    if (strncmp(name, "sim", 3) != 0 && fails())
        return -ERR_NOMEM;
    return __real_fiber_go(g, name, fn, arg);
}

/* All that the simulation has, in a ring. */
struct block {
    struct block *next, *prev;
};
static struct block blocks = { &blocks, &blocks };

static void *linked(struct block *b)
{
    if (b == NULL)
        sim_fail("the simulation itself is out of memory");
    b->next = blocks.next;
    b->prev = &blocks;
    b->next->prev = b->prev->next = b;
    return b + 1;
}

static struct block *unlinked(void *p)
{
    struct block *b = (struct block *)p - 1;

    b->next->prev = b->prev;
    b->prev->next = b->next;
    return b;
}

void *sim_alloc(size_t n) { return linked(__real_calloc(1, sizeof(struct block) + n)); }

void *sim_grow(void *old, size_t n) { return linked(__real_realloc(old == NULL ? NULL : unlinked(old), sizeof(struct block) + n)); }

void sim_free(void *p)
{
    if (p != NULL)
        __real_free(unlinked(p));
}

void sim_free_all(void)
{
    while (blocks.next != &blocks)
        sim_free(blocks.next + 1);
}

void alloc_faults(unsigned of_1000) { failing = of_1000; }

void alloc_start(void)
{
    failing = 0;
    chance = rng_of(RNG_ALLOC, 0);
    counting = true;
    memset(live, 0, sizeof live);
    n_live = 0;
}

void alloc_check(void)
{
    counting = false;
    for (size_t i = 0; i < SLOTS; i++)
        if (live[i].p != NULL)
            sim_trace("left allocated: %zu bytes, by %p", live[i].n, live[i].by);
    if (n_live > 0)
        sim_fail("%zu allocations are left", n_live);
}
