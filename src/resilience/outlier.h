/*
 * outlier.h - when live results say that a backend is not well: so many failures in a row, or too large a share of them.
 *
 * A success that follows a success costs a load; only failures write.  No I/O, never yields; time is an argument.
 * Threads: any number at once; two that note a failure at the same moment may both be told to eject.
 * Memory: the caller's; zeroed is valid.
 */
#ifndef RESILIENCE_OUTLIER_H
#define RESILIENCE_OUTLIER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/conf_key.h"

/* Answers that count as failures, a bit a status. */
struct status_set {
    uint64_t bits[8]; /* 100 to 611 */
};

struct outlier_conf {
    uint32_t consecutive;    /* failures in a row; 0: not looked at */
    uint32_t ratio;          /* percent of the requests of a window; 0: not looked at */
    uint32_t least_requests; /* a window needs for the ratio to say something */
    int64_t window;
    int64_t eject; /* for how long, times how often before */
    int64_t eject_most;
    uint32_t max_ejected; /* percent of a pool, but one at the least */
    uint32_t panic;       /* percent of a priority: fewer well ones need the next; fewer everywhere, and all are used; 0: never */
    const char *statuses; /* answers that count as failures */
    bool dry_run;         /* only say what would be done */
    struct status_set failing; /* made of `statuses` when the file is checked */
};
extern const struct conf_key outlier_keys[];

struct outlier {
    _Atomic uint32_t in_a_row;
    _Atomic uint32_t ejections;          /* lately: each makes the next last longer */
    _Atomic int64_t window;              /* when it began */
    _Atomic uint64_t requests, failures; /* in all, when it began */
};

enum outlier_verdict { OUTLIER_WELL, OUTLIER_IN_A_ROW, OUTLIER_RATIO };

static inline bool status_set_has(const struct status_set *s, unsigned status)
{
    return status >= 100 && status < 612 && (s->bits[(status - 100) / 64] >> ((status - 100) % 64) & 1) != 0;
}
/* "502-504", "500, 503", "5xx", "" for none.  NULL: done; else a sentence that says what is right. */
const char *status_set_parse(const char *text, struct status_set *set);

static inline void outlier_success(struct outlier *o)
{
    if (atomic_load_explicit(&o->in_a_row, memory_order_relaxed) != 0)
        atomic_store_explicit(&o->in_a_row, 0, memory_order_relaxed);
}
/* Nothing is known of it. */
void outlier_reset(struct outlier *o);
/* `requests` and `failures` in all, with this one. */
enum outlier_verdict outlier_failure(struct outlier *o, const struct outlier_conf *conf, uint64_t requests, uint64_t failures,
                                     int64_t now);
/* It is ejected: for how long?  Begins anew for when it comes back. */
int64_t outlier_eject(struct outlier *o, const struct outlier_conf *conf);
/* It has been well for as long as an ejection takes: the next one is shorter. */
void outlier_forgive(struct outlier *o);
/* May one more of so many be ejected? */
bool outlier_may_eject(const struct outlier_conf *conf, uint32_t members, uint32_t ejected);
#endif
