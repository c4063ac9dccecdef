/* memory.c - asks mimalloc, where the program is linked with it. */
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>

/* Its header need not be there; false: only what costs little to find. */
extern void mi_collect(bool force) __attribute__((weak));

void memory_give_back(void)
{
    if (mi_collect != NULL)
        mi_collect(false);
}
