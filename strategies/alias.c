/* alias.c - the table of the alias method, in whole numbers, so that shares are exact to 2^-32. */
#include "strategies/alias.h"

#include <stdlib.h>

#include "base/err.h"
#include "upstream/chance.h"

static bool all_equal(const struct ready *r)
{
    for (size_t i = 1; i < r->n; i++)
        if (backend_weight(r->v[i]) != backend_weight(r->v[0]))
            return false;
    return true;
}

/* Columns as large as the average.  Who has less than one shares it with somebody who has more. */
static void fill(struct alias *columns, uint64_t *mass, uint32_t *stack, size_t n, uint64_t average)
{
    size_t small = 0, large = n; /* two stacks that grow towards each other */

    for (size_t i = 0; i < n; i++)
        if (mass[i] < average)
            stack[small++] = (uint32_t)i;
        else
            stack[--large] = (uint32_t)i;
    while (small > 0 && large < n) {
        uint32_t poor = stack[--small], rich = stack[large];
        columns[poor] = (struct alias){ (uint32_t)(((unsigned __int128)mass[poor] << 32) / average), rich };
        mass[rich] -= average - mass[poor];
        if (mass[rich] < average) {
            large++;
            stack[small++] = rich;
        }
    }
    /* whole numbers: whoever is left has just an average */
    for (; large < n; large++)
        columns[stack[large]] = (struct alias){ UINT32_MAX, stack[large] };
}

int alias_build(struct ready *r)
{
    struct alias *columns;
    uint64_t *mass, sum = 0;
    uint32_t *stack;
    int rc = -ERR_NOMEM;

    if (all_equal(r))
        return 0;
    columns = r->take(r, r->n * sizeof *columns);
    mass = malloc(r->n * sizeof *mass);
    stack = malloc(r->n * sizeof *stack);
    if (columns != NULL && mass != NULL && stack != NULL) {
        for (size_t i = 0; i < r->n; i++) {
            uint32_t weight = backend_weight(r->v[i]);
            mass[i] = weight * (uint64_t)r->n;
            sum += weight;
        }
        fill(columns, mass, stack, r->n, sum);
        r->table = columns;
        rc = 0;
    }
    free(mass);
    free(stack);
    return rc;
}

struct backend *alias_draw_that_may(const struct ready *r, const struct pick_key *key)
{
    struct backend *b = NULL, *left;

    for (int i = 0; i < CHANCE_DRAWS; i++) {
        b = alias_draw(r);
        if (pick_may(key, b))
            return b;
    }
    left = chance_pick(r, key);
    return left != NULL ? left : b;
}

struct backend *alias_draw_warm(const struct ready *r, const struct pick_key *key)
{
    struct warming warming = { 0 };

    for (int i = 0; i < WARM_DRAWS; i++) {
        struct backend *b = alias_draw_that_may(r, key);
        if (!warming_turns_down(&warming, b))
            return b;
    }
    return warming.kept;
}
