/* asm_floor.c - the floor: two stacks, one park function, a run queue, and the context switch; nothing else. */
#include "fiber/context.h"
#include "tests/bench/bench.h"

enum { STACK = 64 * 1024 };

struct co {
    struct co *next;
    void *sp;
};

static struct co *first, *last, *running;
static long left;

static void push(struct co *c)
{
    c->next = NULL;
    *(first != NULL ? &last->next : &first) = c;
    last = c;
}

__attribute__((noinline)) static void park(void)
{
    struct co *me = running, *to = first;

    first = to->next;
    running = to;
    if (to != me)
        context_switch(&me->sp, to->sp);
}

__attribute__((noinline)) static void yield(void)
{
    push(running);
    park();
}

static void *home;

/* Both run this very code: the return predictor is right, as with fibers that wait in the same place. */
static void loop(void *arg)
{
    (void)arg;
    while (left-- > 0)
        yield();
    context_switch(&running->sp, home);
}

int main(int argc, char **argv)
{
    long n = bench_count(argc, argv, 20000000);
    struct co co[2];
    double start;

    if (argc < 2 || strcmp(argv[1], "switch") != 0)
        return 2;
    for (int i = 0; i < 2; i++) {
        char *stack = aligned_alloc(4096, STACK);

        if (stack == NULL)
            return 1;
        co[i].sp = context_make(stack + STACK, loop, NULL);
    }
    push(&co[1]);
    running = &co[0];
    left = n;
    start = bench_ns();
    context_switch(&home, co[0].sp);
    bench_say("switch", (bench_ns() - start) / (double)n);
    return 0;
}
