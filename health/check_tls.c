/*
 * check_tls.c - a backend is well when the handshake with it succeeds, and it is who the pool says.
 *
 * In a pool without TLS, that passes on what others seal, nothing is verified: those others do it.
 * In TLS 1.3 a backend may refuse our certificate when the handshake is over for us; that is not waited for.
 */
#include "health/dial.h"

static enum probe_result probe(struct probe *p, int64_t deadline)
{
    struct stream *s;
    enum probe_result r;

    fiber_doing("connecting");
    r = dial_tls(p, NULL, &s, deadline);
    dial_close(&s);
    return r;
}

static const char *const keys[] = { "server_name", NULL };

const struct check_type check_tls = { .name = "tls", .keys = keys, .tls = CHECK_OVER_TLS, .probe = probe };
