/* scratch.c - two buffers a thread and the one user of the first; and some that grow. */
#include "net/scratch.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "base/sanitize.h"

enum { SPARES = 8, SPARE_MOST = 64 * 1024 };

struct scratch {
    struct scratch_user *user;
    struct buf spare[SPARES];
    size_t spares;
    char in[SCRATCH_IN];
    char out[SCRATCH_OUT];
};
static _Thread_local struct scratch *scratch;

static struct scratch *get(void)
{
    if (UNLIKELY(scratch == NULL)) {
        scratch = malloc(sizeof *scratch);
        if (scratch != NULL) {
            scratch->user = NULL;
            scratch->spares = 0;
        }
    }
    return scratch;
}

static void user_keeps(struct scratch *s)
{
    struct scratch_user *u = s->user;

    s->user = NULL;
    if (u != NULL)
        u->keep(u);
}

char *scratch_in(struct scratch_user *u)
{
    struct scratch *s = get();

    if (s == NULL)
        return NULL;
    if (s->user != u)
        user_keeps(s);
    s->user = u;
    return s->in;
}

char *scratch_out(void)
{
    struct scratch *s = get();

    return s == NULL ? NULL : s->out;
}

void scratch_release(struct scratch_user *u)
{
    if (scratch != NULL && scratch->user == u)
        scratch->user = NULL;
}

void scratch_take(struct buf *b)
{
    if (scratch != NULL && scratch->spares > 0 && b->cap == 0)
        *b = scratch->spare[--scratch->spares];
}

void scratch_give(struct buf *b)
{
    struct scratch *s = get();

    if (s == NULL || b->failed || b->cap == 0 || b->cap > SPARE_MOST || s->spares == SPARES) {
        buf_free(b);
        return;
    }
    b->n = 0;
    s->spare[s->spares++] = *b;
    *b = (struct buf){ 0 };
}

void scratch_lost(void)
{
    if (scratch == NULL)
        return;
    user_keeps(scratch);
#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
    memset(scratch->in, 0xdd, 4096);
    memset(scratch->out, 0xdd, 4096);
#endif
}

void scratch_free(void)
{
    if (scratch == NULL)
        return;
    MUST(scratch->user == NULL);
    while (scratch->spares > 0)
        buf_free(&scratch->spare[--scratch->spares]);
    free(scratch);
    scratch = NULL;
}
