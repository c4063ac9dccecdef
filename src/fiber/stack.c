/* stack.c - slabs of 256 stacks, each guarded when it is first handed out. */
#include "fiber/stack.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/must.h"
#include "base/sanitize.h"

#ifdef WEIR_ASAN
#include <sanitizer/asan_interface.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#define SLAB_STACKS 256u
#define SLAB_SIZE ((size_t)SLAB_STACKS * STACK_SIZE)

/* Fibers that were abandoned leave the marks of their frames, which would outlive the mapping and be taken for the next one's. */
static void forget_frames(const char *base, size_t n)
{
#ifdef WEIR_ASAN
    ASAN_UNPOISON_MEMORY_REGION(base, n);
#else
    (void)base, (void)n;
#endif
}

struct stack_slab {
    struct stack_slab *next;
    char *base;
    uint32_t used; /* handed out so far; the rest were never touched */
};

/* Shared by all pools: what the kernel can do, and how many mappings the process may still spend on mprotect. */
enum guard_kind { GUARD_UNKNOWN, GUARD_PAGES, GUARD_MPROTECT, GUARD_NONE };
static _Atomic int guard_kind;
static _Atomic long maps_left;

/* Each mprotect splits one mapping into up to three; half the limit stays for everything else. */
static long maps_budget(void)
{
    long most = 65530; /* the kernel's default */
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");

    if (f != NULL) {
        if (fscanf(f, "%ld", &most) != 1)
            most = 65530;
        (void)fclose(f);
    }
    return most / 2;
}

static void fall_back(int from, int to, const char *why)
{
    if (to == GUARD_MPROTECT)
        atomic_store(&maps_left, maps_budget());
    if (!atomic_compare_exchange_strong(&guard_kind, &from, to))
        return; /* another worker has said it */
    log_warn("fiber.guards", "kind=%s reason=\"%s\"", stack_guard_kind(), why);
}

static bool guard_by_mprotect(char *stack)
{
    if (atomic_fetch_sub(&maps_left, 2) < 2) {
        fall_back(GUARD_MPROTECT, GUARD_NONE, "vm.max_map_count leaves no room for more guarded stacks; raise it");
        return false;
    }
    if (mprotect(stack, STACK_GUARD, PROT_NONE) == 0)
        return true;
    fall_back(GUARD_MPROTECT, GUARD_NONE, "mprotect failed");
    return false;
}

static bool guard(char *stack)
{
    int kind = atomic_load_explicit(&guard_kind, memory_order_relaxed);

    if (kind == GUARD_UNKNOWN || kind == GUARD_PAGES) {
        if (madvise(stack, STACK_GUARD, MADV_GUARD_INSTALL) == 0) {
            if (kind == GUARD_UNKNOWN)
                (void)atomic_compare_exchange_strong(&guard_kind, &kind, GUARD_PAGES);
            return true;
        }
        fall_back(kind, GUARD_MPROTECT, "this kernel has no guard pages (Linux 6.13 has); some 16,000 stacks can be guarded");
        kind = atomic_load_explicit(&guard_kind, memory_order_relaxed);
    }
    return kind == GUARD_MPROTECT && guard_by_mprotect(stack);
}

const char *stack_guard_kind(void)
{
    switch (atomic_load_explicit(&guard_kind, memory_order_relaxed)) {
    case GUARD_MPROTECT:
        return "mprotect";
    case GUARD_NONE:
        return "none";
    default:
        return "guard pages";
    }
}

static struct stack_slab *slab_new(void)
{
    struct stack_slab *slab = calloc(1, sizeof *slab);
    char *base;

    if (slab == NULL)
        return NULL;
    base = mmap(NULL, SLAB_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        free(slab);
        return NULL;
    }
    (void)madvise(base, SLAB_SIZE, MADV_NOHUGEPAGE); /* a huge page would make each touched stack cost all of itself */
    slab->base = base;
    return slab;
}

char *stack_take(struct stack_pool *p)
{
    struct stack_slab *slab = p->slabs;
    char *stack;

    if (p->n_cold > 0)
        return p->cold[--p->n_cold];
    if (slab == NULL || slab->used == SLAB_STACKS) {
        slab = slab_new();
        if (slab == NULL)
            return NULL;
        slab->next = p->slabs;
        p->slabs = slab;
    }
    stack = slab->base + (size_t)slab->used * STACK_SIZE;
    slab->used++;
    if (!guard(stack))
        p->unguarded++;
    return stack;
}

static bool cold_has_room(struct stack_pool *p)
{
    uint32_t cap = p->cap_cold == 0 ? 256 : p->cap_cold * 2;
    char **cold;

    if (p->n_cold < p->cap_cold)
        return true;
    cold = realloc(p->cold, cap * sizeof *cold);
    if (cold == NULL)
        return false;
    p->cold = cold;
    p->cap_cold = cap;
    return true;
}

void stack_give_cold(struct stack_pool *p, char *stack)
{
    (void)madvise(stack + STACK_GUARD, STACK_SIZE - STACK_GUARD, MADV_DONTNEED);
    if (cold_has_room(p))
        p->cold[p->n_cold++] = stack;
    /* else only its address space is lost until the pool goes */
}

void stack_pool_free(struct stack_pool *p)
{
    while (p->slabs != NULL) {
        struct stack_slab *slab = p->slabs;
        p->slabs = slab->next;
        forget_frames(slab->base, (size_t)slab->used * STACK_SIZE);
        (void)munmap(slab->base, SLAB_SIZE);
        free(slab);
    }
    free(p->cold);
    *p = (struct stack_pool){ 0 };
}

const char *stack_guard_hit(const struct stack_pool *p, const void *address)
{
    for (const struct stack_slab *slab = p->slabs; slab != NULL; slab = slab->next) {
        uintptr_t offset = (uintptr_t)address - (uintptr_t)slab->base;

        if ((uintptr_t)address >= (uintptr_t)slab->base && offset < SLAB_SIZE)
            return offset % STACK_SIZE < STACK_GUARD ? slab->base + offset / STACK_SIZE * STACK_SIZE : NULL;
    }
    return NULL;
}

void stack_each(const struct stack_pool *p, void (*fn)(char *stack, void *arg), void *arg)
{
    for (const struct stack_slab *slab = p->slabs; slab != NULL; slab = slab->next)
        for (uint32_t i = 0; i < slab->used; i++)
            fn(slab->base + (size_t)i * STACK_SIZE, arg);
}
