/* relay.c - two directions, each reads a piece and writes it. */
#include "proxy/relay.h"

#include "base/err.h"
#include "base/metric.h"
#include "proxy/exchange.h"

struct relay {
    struct exchange *x;
    struct group group;
    int64_t moved, most_idle; /* moved: when the last byte did, either way */
    int rc;                   /* of the way up */
};

/* One that has been told the end of an HTTP/1 side can't be told more. */
static int pass_end(struct codec *to)
{
    struct h1_codec *h1 = h1_codec_of(to);

    return h1 != NULL ? stream_shutdown(h1->stream) : 0;
}

static int pass(struct relay *r, struct codec *from, struct codec *to, uint64_t *n)
{
    struct body b = { 0 };

    while (!b.last) {
        int rc = from->ops->read_body(from, &b, clock_after(fiber_now(), r->most_idle));

        if (rc == -ERR_TIMEOUT)
            rc = clock_after(r->moved, r->most_idle) > fiber_now() ? 1 : -ERR_TUNNEL_IDLE; /* the other way there was some */
        if (rc < 0)
            return rc;
        if (rc == 1)
            continue;
        r->moved = fiber_now();
        if (n != NULL)
            *n += b.data.n;
        rc = to->ops->write_body(to, &b, clock_after(fiber_now(), r->most_idle));
        if (rc < 0)
            return rc == -ERR_TIMEOUT ? -ERR_TUNNEL_IDLE : rc;
    }
    return pass_end(to);
}

static void up_run(void *arg)
{
    struct relay *r = arg;
    struct exchange *x = r->x;

    fiber_about(&x->peer);
    fiber_doing("moving bytes to the backend");
    r->rc = pass(r, x->client, x->backend, NULL);
    if (r->rc < 0 && r->rc != -ERR_CANCELED)
        fiber_cancel(x->fiber, ERR_CLIENT_RESET);
}

int relay(struct exchange *x, int64_t most_idle)
{
    struct relay r = { .x = x, .moved = fiber_now(), .most_idle = most_idle };
    bool was;
    int rc;

    group_init(&r.group);
    metric_add(METRIC_TUNNELS_OPENED, 1);
    metric_add(METRIC_TUNNELS, 1);
    rc = fiber_go(&r.group, "relay", up_run, &r);
    fiber_doing("moving bytes to the client");
    if (rc == 0)
        rc = pass(&r, x->backend, x->client, &x->body_sent);
    if (rc == 0)
        rc = group_join(&r.group, CLOCK_NEVER);
    was = fiber_shield(true);
    group_cancel(&r.group, ERR_CANCELED);
    (void)group_join(&r.group, CLOCK_NEVER);
    (void)fiber_shield(was);
    metric_add(METRIC_TUNNELS, -1);
    if (rc == -ERR_CANCELED && fiber_cause() != 0)
        rc = r.rc == -ERR_TUNNEL_IDLE ? r.rc : -fiber_cause();
    return rc;
}
