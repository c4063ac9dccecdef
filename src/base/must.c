/* must.c - the one way out when a promise of ours is broken. */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void (*must_context)(void);

void must_fail(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "weir: broken promise at %s:%d: %s\n", file, line, cond);
    if (must_context != NULL) {
        void (*context)(void) = must_context;
        must_context = NULL; /* a second failure inside it must not come back here */
        context();
    }
    abort();
}
