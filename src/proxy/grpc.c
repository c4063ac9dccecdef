/* grpc.c - its content type, its timeout, its codes. */
#include "proxy/grpc.h"

#include "base/clock.h"
#include "base/err.h"

bool grpc_is(const struct message *m)
{
    static const struct slice type = SLICE("application/grpc");
    const struct header *h = m->h2 && !m->upgrade ? message_find(m, HEADER_CONTENT_TYPE) : NULL;

    if (h == NULL || h->value_len < type.n || !slice_eq_nocase(slice_of(h->value, type.n), type))
        return false;
    return h->value_len == type.n || h->value[type.n] == '+' || h->value[type.n] == ';';
}

/* 1 to 8 digits and a unit. */
int64_t grpc_timeout(const struct message *m)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = { { 'H', 3600 * CLOCK_S }, { 'M', 60 * CLOCK_S }, { 'S', CLOCK_S }, { 'm', CLOCK_MS }, { 'u', 1 }, { 'n', 0 } };
    const struct header *h = message_find_name(m, SLICE("grpc-timeout"));
    int64_t v = 0;
    size_t n;

    if (h == NULL || h->value_len < 2 || h->value_len > 9)
        return CLOCK_NEVER;
    n = h->value_len - 1u;
    for (size_t i = 0; i < n; i++) {
        if (h->value[i] < '0' || h->value[i] > '9')
            return CLOCK_NEVER;
        v = v * 10 + (h->value[i] - '0');
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (h->value[n] == units[i].unit)
            return units[i].us > 0 ? v * units[i].us : v / 1000;
    return CLOCK_NEVER;
}

enum {
    UNKNOWN = 2,
    DEADLINE_EXCEEDED = 4,
    PERMISSION_DENIED = 7,
    RESOURCE_EXHAUSTED = 8,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    UNAUTHENTICATED = 16
};

unsigned grpc_status(int code)
{
    if (code == -ERR_DEADLINE)
        return DEADLINE_EXCEEDED;
    switch (err_http_status(code)) {
    case 400: return INTERNAL;
    case 401: return UNAUTHENTICATED;
    case 403: return PERMISSION_DENIED;
    case 404: return UNIMPLEMENTED;
    case 413:
    case 431: return RESOURCE_EXHAUSTED;
    case 429:
    case 502:
    case 503:
    case 504: return UNAVAILABLE;
    case 500: return INTERNAL;
    default: return UNKNOWN;
    }
}
