/* call.c - a message there, a fiber that does it, a wake-up back. */
#include "fiber/call.h"

#include "base/must.h"
#include "fiber/sync.h"

struct call {
    struct mail mail;
    const char *name;
    void (*fn)(void *);
    void *arg;
    struct wait_group left;
    int rc;
};

static void run(void *arg)
{
    struct call *c = arg;

    c->fn(c->arg);
    wait_group_done(&c->left);
}

static void on_call(struct mail *m)
{
    struct call *c = CONTAINER_OF(m, struct call, mail);

    c->rc = fiber_go(NULL, c->name, run, c);
    if (c->rc < 0)
        wait_group_done(&c->left);
}

int fiber_call(struct sched *on, const char *name, void (*fn)(void *), void *arg)
{
    struct call c = { .mail = { .fn = on_call }, .name = name, .fn = fn, .arg = arg };
    bool was = fiber_shield(true);

    wait_group_add(&c.left, 1);
    mailbox_send(sched_mailbox(on), &c.mail);
    (void)wait_group_wait(&c.left, CLOCK_NEVER);
    (void)fiber_shield(was);
    return c.rc;
}
