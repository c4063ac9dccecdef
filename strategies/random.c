/* random.c - by chance, in proportion to the weights: nothing is shared, nothing is remembered, and no two proxies march in step. */
#include "strategies/alias.h"

static struct backend *random_pick(void *state, struct ready *r, const struct pick_key *key)
{
    (void)state;
    return alias_draw_that_may(r, key);
}

const struct strategy_ops strategy_random = {
    .name = "random",
    .rebuild = alias_build,
    .pick = random_pick,
};
