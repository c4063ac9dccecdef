/* check_tcp.c - a backend is well when it takes a connection. */
#include "health/dial.h"

static enum probe_result probe(struct probe *p, int64_t deadline)
{
    struct stream *s;
    enum probe_result r;

    fiber_doing("connecting");
    r = dial(p, &s, deadline);
    dial_close(&s);
    return r;
}

const struct check_type check_tcp = { .name = "tcp", .tls = CHECK_IN_CLEAR, .probe = probe };
