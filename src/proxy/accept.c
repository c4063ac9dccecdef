/* accept.c - new connections: in, or politely not. */
#include "proxy/accept.h"

#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "net/sys.h"
#include "proxy/announced.h"
#include "proxy/clients.h"
#include "proxy/conn.h"
#include "proxy/worker.h"

enum { BATCH_MOST = 16 }; /* then others get their turn */
#define PAUSE (10 * CLOCK_MS)

/* Given up to take in, and turn away, what we have no descriptor for. */
static _Thread_local int reserve = -1;

static void reserve_take(void)
{
    if (reserve < 0)
        reserve = sys->spare();
}

void accept_thread_ends(void)
{
    if (reserve >= 0)
        (void)sys->close(reserve);
    reserve = -1;
}

/* HTTP is told; TCP mode and TLS have no words for it.  Whoever owns the descriptor closes it next. */
static void say_no(const struct door *d, int fd, int code, enum metric_refusal why)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
    static _Thread_local char unread[4096];

    metric_add_at(METRIC_REFUSED, why, 1);
    log_every_second(LOG_LEVEL_WARN, "conn.refused", "listener=%s reason=%s open=%u most=%u", d->conf->name, err_word(code),
                     atomic_load(&connections.open), atomic_load(&connections.most));
    if (d->conf->mode == LISTENER_HTTP && d->conf->tls == NULL) {
        (void)sys->recv(fd, unread, sizeof unread, MSG_DONTWAIT); /* unread bytes would turn the close into a reset */
        (void)sys->send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sys->shutdown(fd, SHUT_WR);
    }
}

static void turn_away(const struct door *d, int fd, int code, enum metric_refusal why)
{
    say_no(d, fd, code, why);
    (void)sys->close(fd);
}

static bool count_in(struct door *d, int fd)
{
    uint32_t most = atomic_load_explicit(&connections.most, memory_order_relaxed);

    if (atomic_fetch_add_explicit(&connections.open, 1, memory_order_relaxed) < most)
        return true;
    atomic_fetch_sub_explicit(&connections.open, 1, memory_order_relaxed);
    turn_away(d, fd, -ERR_CONNECTION_LIMIT, METRIC_REFUSAL_LIMIT);
    return false;
}

bool accept_client(const struct door *d, struct conn *c)
{
    uint32_t most = d->served->serving->conf->limits.per_client;

    if (most == 0 || c->peer.family == 0)
        return true;
    c->counted = clients_enter(&c->peer, most);
    if (!c->counted)
        say_no(d, c->stream.pd.fd, -ERR_CLIENT_LIMIT, METRIC_REFUSAL_CLIENT_LIMIT);
    return c->counted;
}

/* The counts that are undone by conn_free() begin with the record. */
static void take_in(struct door *d, int fd, const struct sockaddr *peer, socklen_t len)
{
    struct conn *c;

    if (!count_in(d, fd))
        return;
    c = conn_new(fd, d->listener, peer, len);
    if (c == NULL) {
        atomic_fetch_sub_explicit(&connections.open, 1, memory_order_relaxed);
        turn_away(d, fd, -ERR_NOMEM, METRIC_REFUSAL_NOMEM);
        return;
    }
    metric_add(METRIC_ACCEPTED, 1);
    metric_add(METRIC_CONNECTIONS, 1);
    c->unannounced = announced_must(d->conf, &c->peer); /* and then it is another client than the peer that counts */
    if (!c->unannounced && !accept_client(d, c)) {
        conn_free(&c, false);
        return;
    }
    if (fiber_go_anywhere("conn", conn_start, c) < 0)
        conn_free(&c, false);
}

/* No descriptor left: the reserve makes room for one newcomer at a time, to be told so. */
static void refuse_one(struct door *d)
{
    int fd;

    if (reserve >= 0) {
        (void)sys->close(reserve);
        reserve = -1;
    }
    fd = sys->accept(d->pd.fd, NULL, NULL);
    if (fd >= 0)
        turn_away(d, fd, -ERR_NOFILE, METRIC_REFUSAL_NOFILE);
    else if (errno != EAGAIN)
        log_every_second(LOG_LEVEL_WARN, "accept.failed", "listener=%s error=%d", d->conf->name, errno);
    reserve_take();
}

enum accepted { ACCEPT_DONE, ACCEPT_NONE, ACCEPT_NO_ROOM };

static enum accepted accept_one(struct door *d)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    } peer;
    socklen_t len = sizeof peer;
    int fd = sys->accept(d->pd.fd, &peer.sa, &len);

    if (LIKELY(fd >= 0)) {
        take_in(d, fd, &peer.sa, len);
        return ACCEPT_DONE;
    }
    switch (errno) {
    case EAGAIN:
        return ACCEPT_NONE;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        refuse_one(d);
        return ACCEPT_NO_ROOM;
    default: /* ECONNABORTED and the network's errors belong to one connection (accept(2)) */
        return ACCEPT_DONE;
    }
}

/* As many as came at once of late, so that few calls end in EAGAIN; those left over are reported again by the next poll. */
static void accept_batch(struct door *d)
{
    enum accepted last = ACCEPT_DONE;
    int n = 0;

    while (n < d->batch && (last = accept_one(d)) == ACCEPT_DONE)
        n++;
    if (last == ACCEPT_NO_ROOM) {
        pd_forget(&d->pd); /* the poll would tell of those who wait again and again */
        (void)fiber_sleep(clock_after(fiber_now(), PAUSE));
        return;
    }
    if (n == d->batch && d->batch < BATCH_MOST)
        d->batch *= 2;
    else if (n < d->batch && d->batch > 1)
        d->batch /= 2;
    pd_read_again(&d->pd);
}

static void accept_run(void *arg)
{
    struct door *d = arg;

    d->fiber = fiber_self();
    d->batch = 1;
    fiber_doing("accepting");
    reserve_take();
    while (!d->closed) {
        if (pd_wait_read(&d->pd, CLOCK_NEVER) < 0)
            break;
        accept_batch(d);
    }
    while (d->served != NULL && accept_one(d) == ACCEPT_DONE) /* whoever got into the backlog before we closed is served */
        ;
    door_accept_ended(d);
}

int accept_start(struct door *d)
{
    int rc = fiber_go(NULL, "accept", accept_run, d);

    d->accepting = rc == 0;
    return rc;
}
