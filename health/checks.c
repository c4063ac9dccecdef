/* checks.c - every check type.  To add one: write its file, add its line. */
#include <string.h>

#include "base/metric.h"
#include "base/must.h"
#include "health/check_type.h"

extern const struct check_type check_tcp, check_tls, check_http, check_grpc;

static const struct check_type *const all[] = {
    &check_tcp,
    &check_tls,
    &check_http,
    &check_grpc,
};

const struct check_type *check_type_at(size_t i) { return i < ARRAY_LEN(all) ? all[i] : NULL; }

const struct check_type *check_type_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

static bool knows(const struct check_type *t, const char *key)
{
    for (const char *const *k = t->keys; k != NULL && *k != NULL; k++)
        if (strcmp(*k, key) == 0)
            return true;
    return false;
}

bool check_type_ignores(const struct check_type *t, const char *key)
{
    if (knows(t, key))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (knows(all[i], key))
            return true;
    return false;
}

const char *probe_word(enum probe_result r)
{
    static const char *const words[] = {
        [PROBE_OK] = "ok",           [PROBE_REFUSED] = "refused",
        [PROBE_TIMEOUT] = "timeout", [PROBE_UNREACHABLE] = "unreachable",
        [PROBE_CLOSED] = "closed",   [PROBE_BAD_ANSWER] = "bad_answer",
        [PROBE_STATUS] = "status",   [PROBE_BODY] = "body",
        [PROBE_TLS] = "tls",         [PROBE_LOCAL] = "local",
    };

    _Static_assert(ARRAY_LEN(words) == METRIC_N_PROBE, "the metric counts each result");
    MUST((size_t)r < ARRAY_LEN(words));
    return words[r];
}
