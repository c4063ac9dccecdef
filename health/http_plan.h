/*
 * http_plan.h - what an http check asks and expects, worked out once when the file is checked.
 *
 * Threads: constant once made.  Memory: malloc'ed, freed by http_plan_free();
 * texts are the snapshot's.
 */
#ifndef HEALTH_HTTP_PLAN_H
#define HEALTH_HTTP_PLAN_H
#include "base/pattern.h"
#include "health/check_type.h"
#include "http/message.h"

#define HTTP_PLAN_BODY_MOST (64u * 1024u) /* of a body that is looked at */

struct http_plan {
    uint64_t good[8]; /* statuses from 100 on, a bit each */
    enum method method;
    struct pattern *pattern; /* body_regex; NULL: none */
    uint16_t n_headers;
    struct header headers[]; /* as configured, and a User-Agent if none is */
};

/* The check() and forget() of the type. */
void http_plan_make(struct check_conf *conf, struct check_complaints *to);
void http_plan_free(struct check_conf *conf);

/* NULL: it can stand in a Host field or :authority; else a sentence. */
const char *http_plan_wrong_host(const char *host);

static inline bool http_plan_expects(const struct http_plan *p, unsigned status)
{
    return status >= 100 && status < 612 && (p->good[(status - 100) / 64] >> (status - 100) % 64 & 1) != 0;
}
#endif
