/*
 * example-strategy.c - a strategy as a plugin: fill one backend before the next is used.
 *
 * Backends are used in the order of their ids; one gets requests until it has FULL in flight for each unit of weight.  So a pool
 * that is larger than its load leaves whole machines idle, which an autoscaler can then take away.
 *
 *     gcc -std=c17 -O2 -Wall -Wextra -fPIC -shared -o fill.so example-strategy.c
 *
 * (with -I and the folder of weir/strategy.h if that is not /usr/include or /usr/local/include), and in proxy.conf:
 *     pools = ( { name = "app"; strategy = "plugin:/usr/local/lib/weir/fill.so"; backends = [ ... ]; } );
 */
#include <stdlib.h>
#include <weir/strategy.h>

#define FULL 64u

struct order {
    size_t n;
    struct backend *v[]; /* by id: on every proxy the same */
};

static int by_id(const void *a, const void *b)
{
    uint64_t left = backend_id(*(struct backend *const *)a), right = backend_id(*(struct backend *const *)b);

    return left < right ? -1 : left > right;
}

/* Off the workers, whenever members, weights or health change; the table goes with its set. */
static int fill_rebuild(struct ready *r)
{
    struct order *order = r->take(r, sizeof *order + r->n * sizeof order->v[0]);

    if (order == NULL)
        return -1;
    for (order->n = 0; order->n < r->n; order->n++)
        order->v[order->n] = r->v[order->n];
    qsort(order->v, order->n, sizeof order->v[0], by_id);
    r->table = order;
    return 0;
}

/* On a worker, for each request: must not wait. */
static struct backend *fill_pick(void *state, struct ready *r, const struct pick_key *key)
{
    const struct order *order = r->table;
    struct backend *least = NULL;

    (void)state;
    for (size_t i = 0; i < order->n; i++) {
        struct backend *b = order->v[i];
        if (!pick_may(key, b))
            continue;
        if (backend_inflight(b) < FULL * backend_weight(b))
            return b;
        if (least == NULL || backend_inflight(b) < backend_inflight(least))
            least = b;
    }
    return least != NULL ? least : order->v[0];
}

static const struct strategy_ops fill = { .name = "fill", .rebuild = fill_rebuild, .pick = fill_pick };

extern const struct strategy_plugin weir_strategy_plugin;
const struct strategy_plugin weir_strategy_plugin = { STRATEGY_ABI, sizeof(struct strategy_ops), &fill };
