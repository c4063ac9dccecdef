/* parked_main.c - a program with fibers that wait, for tests of the debugger's commands; it ends by abort(). */
#include <stdlib.h>

#include "fiber/fiber.h"
#include "fiber/sched.h"

__attribute__((noinline)) static int waits_inside(int64_t until)
{
    int rc = fiber_sleep(until);

    __asm__ volatile("" : "+r"(rc)); /* no tail call: this frame is looked for */
    return rc;
}

__attribute__((noinline)) static void waits(void *arg)
{
    fiber_doing(arg);
    waits_inside(CLOCK_NEVER);
    __asm__ volatile("");
}

static void begins(void *arg)
{
    static char first[] = "waiting for Godot", second[] = "waiting for the rain";

    (void)arg;
    if (fiber_go(NULL, "estragon", waits, first) < 0 || fiber_go(NULL, "farmer", waits, second) < 0)
        exit(2);
    fiber_yield();
    abort();
}

int main(void)
{
    struct sched *s = sched_open("stage", false);

    if (s == NULL || fiber_go(NULL, "director", begins, NULL) < 0)
        return 2;
    sched_run(s);
    return 0;
}
