/*
 * p2c.c - the power of two choices: of two by chance (heavier ones more often) the one that costs less (strategies/cost.h).
 *
 * Nearly as even as looking at all, in constant time; and since each proxy of a fleet draws its own two, they don't all run to
 * the same backend when it looks best for a moment (Mitzenmacher 2001).
 */
#include "strategies/alias.h"
#include "strategies/cost.h"
#include "upstream/chance.h"

enum { DRAWS_MOST = 4 }; /* to find a second one */

static double cost(const struct backend *b, const struct pick_key *key) { return cost_by(b, key->now, backend_weight(b)); }

/* One that warms up has few requests, and would look good beside any other.  So it is never the better one of two: it can have no
 * more than it is drawn for, which goes by its share, and less where it does badly. */
static struct backend *p2c_pick(void *state, struct ready *r, const struct pick_key *key)
{
    struct backend *one = alias_draw_warm(r, key), *other = one;

    (void)state;
    if (r->n == 1)
        return one;
    for (int i = 0; i < DRAWS_MOST && (other == one || !pick_may(key, other)); i++)
        other = alias_draw(r);
    if (other == one || !pick_may(key, other))
        return one; /* so few are eligible, or so heavy is the first */
    return !is_warming(other) && cost(other, key) < cost(one, key) ? other : one;
}

const struct strategy_ops strategy_p2c = {
    .name = "p2c",
    .reads_latency = true,
    .warms_up = true,
    .rebuild = alias_build,
    .pick = p2c_pick,
};
