/* outlier.c - counting failures of live requests. */
#include "resilience/outlier.h"

#include <stdlib.h>
#include <string.h>

const struct conf_key outlier_keys[] = {
    CONF_KEY(outlier_conf, consecutive, UINT, "5", "0", "10000", "Failures in a row that eject a backend. 0: they don't."),
    CONF_KEY(outlier_conf, ratio, UINT, "50", "0", "100",
             "Percent of a window's requests that eject it when they fail. 0: they don't."),
    CONF_KEY(outlier_conf, least_requests, UINT, "20", "1", "1000000",
             "Requests that a window must have for the ratio to count."),
    CONF_KEY(outlier_conf, window, TIME, "10s", "100ms", "1h", "How long a window is."),
    CONF_KEY(outlier_conf, eject, TIME, "10s", "10ms", "1h",
             "How long a backend is ejected the first time; the second time twice as long, and so on."),
    CONF_KEY(outlier_conf, eject_most, TIME, "5m", "10ms", "24h", "The longest it is ejected; not below `eject`."),
    CONF_KEY(outlier_conf, max_ejected, UINT, "30", "0", "100",
             "Percent of a pool's backends that may be ejected at once, but always one, and never the last."),
    CONF_KEY(
        outlier_conf, panic, UINT, "50", "0", "100",
        "Percent of a priority's backends: when fewer are well, those of the next priority share its requests, by weight. When fewer are well in every priority, all backends are used, since the others would be overrun. A backend that discovery or a reload added while others were well doesn't count before it has passed its check once. 0: never; without one that is well the answer is then 503."),
    CONF_KEY(outlier_conf, statuses, STR, "502-504", NULL, NULL,
             "Answers that count as failures, like \"502-504\", \"500, 503\" or \"5xx\"; \"\" for none."),
    CONF_KEY(outlier_conf, dry_run, BOOL, "false", NULL, NULL, "Only log what would be ejected."),
    CONF_END,
};

static void add(struct status_set *s, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        s->bits[(i - 100) / 64] |= UINT64_C(1) << ((i - 100) % 64);
}

/* One status, a range, or a class; false: it is none. */
static bool add_word(struct status_set *s, const char *word, size_t n)
{
    char text[16], *end;
    unsigned long from, to;

    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, word, n);
    text[n] = '\0';
    if (n == 3 && text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
        add(s, (unsigned)(text[0] - '0') * 100, (unsigned)(text[0] - '0') * 100 + 99);
        return true;
    }
    from = to = strtoul(text, &end, 10);
    if (end == text || text[0] == '-' || text[0] == '+')
        return false;
    if (*end == '-') {
        const char *second = end + 1;
        to = strtoul(second, &end, 10);
        if (end == second)
            return false;
    }
    if (*end != '\0' || from < 100 || to > 599 || from > to)
        return false;
    add(s, (unsigned)from, (unsigned)to);
    return true;
}

const char *status_set_parse(const char *text, struct status_set *set)
{
    struct status_set s = { 0 };
    const char *at = text + strspn(text, " ");

    while (*at != '\0') {
        size_t n = strcspn(at, ", ");
        if (!add_word(&s, at, n))
            return "not statuses; write \"502-504\", \"500, 503\", \"5xx\", or \"\" for none";
        at += n;
        at += strspn(at, ", ");
    }
    *set = s;
    return NULL;
}

static bool ratio_is_bad(struct outlier *o, const struct outlier_conf *conf, uint64_t requests, uint64_t failures, int64_t now)
{
    int64_t began = atomic_load_explicit(&o->window, memory_order_relaxed);
    uint64_t n, failed;

    if (began == 0 || now - began > conf->window) {
        if (atomic_compare_exchange_strong(&o->window, &began, now)) { /* this failure is the new window's first */
            atomic_store_explicit(&o->requests, requests - 1, memory_order_relaxed);
            atomic_store_explicit(&o->failures, failures - 1, memory_order_relaxed);
        }
        return false;
    }
    n = requests - atomic_load_explicit(&o->requests, memory_order_relaxed);
    failed = failures - atomic_load_explicit(&o->failures, memory_order_relaxed);
    if (n < failed)
        n = failed; /* what found no connection was no request */
    return conf->ratio != 0 && n >= conf->least_requests && failed * 100 >= (uint64_t)conf->ratio * n;
}

void outlier_reset(struct outlier *o)
{
    atomic_store(&o->in_a_row, 0);
    atomic_store(&o->ejections, 0);
    atomic_store(&o->window, 0);
}

enum outlier_verdict outlier_failure(struct outlier *o, const struct outlier_conf *conf, uint64_t requests, uint64_t failures,
                                     int64_t now)
{
    uint32_t n = atomic_fetch_add_explicit(&o->in_a_row, 1, memory_order_relaxed) + 1;
    bool bad = ratio_is_bad(o, conf, requests, failures, now);

    if (conf->consecutive != 0 && n >= conf->consecutive)
        return OUTLIER_IN_A_ROW;
    return bad ? OUTLIER_RATIO : OUTLIER_WELL;
}

int64_t outlier_eject(struct outlier *o, const struct outlier_conf *conf)
{
    int64_t n = atomic_fetch_add(&o->ejections, 1) + 1;

    atomic_store(&o->in_a_row, 0);
    atomic_store(&o->window, 0);
    return n > conf->eject_most / conf->eject ? conf->eject_most : n * conf->eject;
}

void outlier_forgive(struct outlier *o)
{
    uint32_t n = atomic_load(&o->ejections);

    while (n > 0 && !atomic_compare_exchange_weak(&o->ejections, &n, n - 1))
        ;
}

bool outlier_may_eject(const struct outlier_conf *conf, uint32_t members, uint32_t ejected)
{
    uint64_t most = (uint64_t)members * conf->max_ejected / 100;

    return conf->max_ejected > 0 && ejected + 1 <= (most > 0 ? most : 1);
}
