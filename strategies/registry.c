/* registry.c - every strategy.  To add one: write its file, add its line. */
#include <string.h>

#include "base/must.h"
#include "upstream/strategy.h"

extern const struct strategy_ops strategy_round_robin, strategy_random, strategy_least_conn, strategy_p2c, strategy_ewma,
    strategy_ring_hash, strategy_maglev, strategy_rendezvous;

static const struct strategy_ops *const all[] = {
    &strategy_round_robin, &strategy_random,    &strategy_least_conn, &strategy_p2c,
    &strategy_ewma,        &strategy_ring_hash, &strategy_maglev,     &strategy_rendezvous,
};

const struct strategy_ops *strategy_at(size_t i) { return i < ARRAY_LEN(all) ? all[i] : NULL; }

const struct strategy_ops *strategy_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
