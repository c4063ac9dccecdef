/* h2_single.c - a session with one stream, and the fiber that works for it. */
#include "http/h2_single.h"

#include "net/scratch.h"

static void run(void *arg)
{
    struct h2_single *c = arg;
    int rc = h2_session_run(c->session);

    if (rc < 0) {
        h2_session_break(c->session, rc);
        (void)h2_session_run(c->session); /* if it was called off, what waits for the socket has yet to end */
    }
    c->running = false;
}

static int on_work(struct h2_session *s)
{
    struct h2_single *c = s->arg;

    if (c->running)
        return 0;
    if (fiber_go(&c->group, "h2", run, c) < 0)
        return -ERR_NOMEM;
    c->running = true;
    return 0;
}

static int on_request(struct h2_session *s, struct h2_stream *st)
{
    (void)s, (void)st;
    return -ERR_INVALID; /* we are the client */
}

static const struct h2_owner owner = { .on_request = on_request, .on_work = on_work };

int h2_single_open(struct h2_single *c, struct stream *s, const struct h2_conf *conf)
{
    *c = (struct h2_single){ 0 };
    group_init(&c->group);
    c->session = h2_session_new(s, false, conf, &owner, c);
    if (c->session == NULL)
        return -ERR_NOMEM;
    c->st = h2_stream_new(c->session);
    if (c->st != NULL)
        return 0;
    h2_single_close(c);
    return -ERR_NOMEM;
}

void h2_single_close(struct h2_single *c)
{
    bool was = fiber_shield(true);

    if (c->st != NULL)
        h2_stream_free(&c->st, H2_CANCEL);
    if (!c->session->writing)
        h2_session_goodbye(c->session);
    h2_session_break(c->session, -ERR_CLOSED);
    scratch_lost();
    group_cancel(&c->group, ERR_CANCELED);
    (void)group_join(&c->group, CLOCK_NEVER);
    (void)fiber_shield(was);
    h2_session_free(&c->session);
}
