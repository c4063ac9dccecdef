/* netpoll.c - readiness by libevent; the only file that knows it. */
#include "fiber/netpoll.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/must.h"
#include "fiber/core.h"

_Static_assert(sizeof(struct event) <= PD_EVENT_SIZE, "struct event has grown");

void pd_init(struct pd *p, int fd)
{
    p->fd = fd;
    p->flags = PD_READ | PD_WRITE;
    p->reader = p->writer = NULL;
    p->on_readable = NULL;
    p->owner = NULL;
}

int pd_register(struct pd *p)
{
    struct sched *s = sched_of_thread;
    int rc;

    if ((p->flags & PD_REGISTERED) != 0)
        return 0;
    rc = s->engine->add(s->poll_state, p);
    if (rc == 0)
        p->flags |= PD_REGISTERED;
    return rc;
}

void pd_forget(struct pd *p)
{
    struct sched *s = sched_of_thread;

    MUST(p->reader == NULL && p->writer == NULL);
    if ((p->flags & PD_REGISTERED) == 0)
        return;
    s->engine->remove(s->poll_state, p);
    p->flags &= (uint8_t)~PD_REGISTERED;
}

/* Its deadline or a cancel may have come first in this very turn: then it is ready already, and will find the flag up. */
static inline void wake(struct fiber *f)
{
    if (LIKELY(f->state == FIBER_PARKED))
        fiber_wake(f, 0);
}

void pd_report(struct pd *p, unsigned what)
{
    p->flags |= (uint8_t)what;
    if ((what & PD_WRITE) != 0 && p->writer != NULL) {
        struct fiber *f = p->writer;
        p->writer = NULL;
        wake(f);
    }
    if ((what & PD_READ) == 0)
        return;
    if (p->reader != NULL) {
        struct fiber *f = p->reader;
        p->reader = NULL;
        wake(f);
    } else if (p->on_readable != NULL) {
        p->on_readable(p); /* last: the pd may be gone when it returns */
    }
}

bool pd_nudge_reader(struct pd *p)
{
    struct fiber *f = p->reader;

    if (f == NULL || f->state != FIBER_PARKED)
        return false;
    p->reader = NULL;
    fiber_wake(f, -ERR_AGAIN);
    return true;
}

/* Inline, so that each of its two callers has one frame and constants. */
static inline __attribute__((always_inline)) int wait(struct pd *p, struct fiber **waiter, unsigned flag, int64_t deadline)
{
    struct fiber *self = sched_of_thread->running;
    int rc;

    MUST(*waiter == NULL);
    if (UNLIKELY((p->flags & PD_REGISTERED) == 0)) {
        rc = pd_register(p);
        if (rc < 0)
            return rc;
    }
    while ((p->flags & flag) == 0) {
        *waiter = self;
        rc = fiber_park(NULL, deadline);
        *waiter = NULL;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int pd_wait_read(struct pd *p, int64_t deadline)
{
    if ((p->flags & (PD_READ | PD_DOUBT)) == 0)
        return wait(p, &p->reader, PD_READ, deadline);
    p->flags = (uint8_t)((p->flags & ~PD_DOUBT) | PD_READ);
    return 0;
}
int pd_wait_write(struct pd *p, int64_t deadline) { return pd_may_write(p) ? 0 : wait(p, &p->writer, PD_WRITE, deadline); }

/* ---- libevent ---- */

struct poller {
    struct event_base *base;
    struct event until;    /* the one timer libevent sees */
    int64_t until_armed;   /* 0: not */
    struct pd wake;
};

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    unsigned flags = ((unsigned)what >> 1) & (PD_READ | PD_WRITE);

    _Static_assert(EV_READ >> 1 == PD_READ && EV_WRITE >> 1 == PD_WRITE, "libevent's flags have changed");
    (void)fd;
    if (UNLIKELY((what & EV_CLOSED) != 0))
        flags |= PD_READ | PD_EOF;
    else if (flags == (PD_READ | PD_WRITE))
        flags |= PD_DOUBT; /* libevent makes this of EPOLLERR too */
    pd_report(arg, flags);
}

static int poller_add(void *state, struct pd *p)
{
    struct poller *po = state;
    struct event *ev = (struct event *)(void *)p->event;
    short what = (p->flags & PD_LEVEL) != 0 ? EV_READ | EV_PERSIST : EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST;

    if (event_assign(ev, po->base, p->fd, what, on_event, p) != 0)
        return -ERR_INVALID;
    if (event_add(ev, NULL) != 0)
        return errno == ENOSPC ? -ERR_NOMEM : -ERR_IO; /* ENOSPC: fs.epoll.max_user_watches */
    return 0;
}

static void poller_remove(void *state, struct pd *p)
{
    (void)state;
    (void)event_del((struct event *)(void *)p->event);
}

static void on_wake(struct pd *p)
{
    uint64_t count;

    (void)!read(p->fd, &count, sizeof count); /* only resets the counter; the edge has done its work */
    pd_read_drained(p);
}

static void poller_close(void *state)
{
    struct poller *po = state;

    if (po == NULL)
        return;
    if (po->base != NULL) {
        if ((po->wake.flags & PD_REGISTERED) != 0)
            poller_remove(po, &po->wake);
        if (po->until_armed != 0)
            (void)event_del(&po->until);
        event_base_free(po->base);
    }
    if (po->wake.fd >= 0)
        (void)close(po->wake.fd);
    free(po);
}

static void on_until(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((struct poller *)arg)->until_armed = 0;
}

/* No locks: only the owner's thread touches the base; the eventfd is for the others. */
static struct event_base *base_new(void)
{
    struct event_config *cfg = event_config_new();
    struct event_base *base = NULL;

    if (cfg == NULL)
        return NULL;
    if (event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_require_features(cfg, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0)
        base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    return base;
}

static void *poller_open(void *arg)
{
    struct poller *po = calloc(1, sizeof *po);

    (void)arg;
    if (po == NULL)
        return NULL;
    po->base = base_new();
    pd_init(&po->wake, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    po->wake.flags = 0;
    po->wake.on_readable = on_wake;
    if (po->base == NULL || po->wake.fd < 0 || poller_add(po, &po->wake) < 0 || evtimer_assign(&po->until, po->base, on_until, po) != 0) {
        poller_close(po);
        return NULL;
    }
    po->wake.flags |= PD_REGISTERED;
    return po;
}

/* Leaves the timer alone while it is armed early enough: waking once too often costs less than arming each time. */
static void arm_until(struct poller *po, int64_t until)
{
    struct timeval tv;
    int64_t after;

    if (until == CLOCK_NEVER || (po->until_armed != 0 && po->until_armed <= until))
        return;
    after = until - clock_now();
    if (after < 0)
        after = 0;
    tv.tv_sec = (time_t)(after / CLOCK_S);
    tv.tv_usec = (suseconds_t)(after % CLOCK_S);
    if (event_add(&po->until, &tv) == 0)
        po->until_armed = until;
}

static void poller_poll(void *state, int64_t until)
{
    struct poller *po = state;

    if (until == 0) {
        (void)event_base_loop(po->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* without ONCE: as long as there are events */
        return;
    }
    arm_until(po, until);
    (void)event_base_loop(po->base, EVLOOP_ONCE);
}

static void poller_wake(void *state)
{
    struct poller *po = state;
    uint64_t one = 1;

    (void)!write(po->wake.fd, &one, sizeof one); /* EAGAIN: it is awake twice over */
}

const char *netpoll_library(void)
{
    static char text[48];

    (void)snprintf(text, sizeof text, "libevent %s", event_get_version());
    return text;
}

const struct netpoll_engine netpoll_libevent = {
    .open = poller_open,
    .close = poller_close,
    .add = poller_add,
    .remove = poller_remove,
    .poll = poller_poll,
    .wake = poller_wake,
};
