/* health_thread.c - a scheduler of its own, and calls to it. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "daemon/health_thread.h"

#include <errno.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "fiber/call.h"
#include "net/scratch.h"
#include "net/stream_tls.h"

#define MEMORY_WAIT (10 * CLOCK_MS)

static void begin(void *arg)
{
    struct health_thread *h = arg;

    h->members = members_start(h->readers);
    (void)sem_post(&h->told);
}

static void *thread_main(void *arg)
{
    struct health_thread *h = arg;

    (void)pthread_setname_np(pthread_self(), "weir-health");
    (void)metric_thread_open("health");
    h->sched = sched_open("health", false);
    if (h->sched != NULL && fiber_go(NULL, "members", begin, h) == 0)
        sched_run(h->sched);
    else
        (void)sem_post(&h->told);
    members_free(&h->members);
    if (h->sched != NULL)
        sched_close(&h->sched);
    scratch_free();
    stream_tls_thread_ends();
    metric_thread_close();
    return NULL;
}

static void on_stop(struct mail *m)
{
    (void)m;
    sched_stop(sched_self());
}

int health_thread_start(struct health_thread *h, const struct members_readers *readers)
{
    *h = (struct health_thread){ .readers = readers, .stop = { .fn = on_stop } };
    if (sem_init(&h->told, 0, 0) < 0 || pthread_create(&h->thread, NULL, thread_main, h) != 0)
        return -ERR_NOMEM;
    while (sem_wait(&h->told) < 0 && errno == EINTR)
        ;
    if (h->members != NULL)
        return 0;
    health_thread_stop(h);
    return -ERR_NOMEM;
}

void health_thread_stop(struct health_thread *h)
{
    if (h->readers == NULL)
        return;
    if (h->sched != NULL)
        mailbox_send(sched_mailbox(h->sched), &h->stop); /* behind the last notices */
    (void)pthread_join(h->thread, NULL);
    (void)sem_destroy(&h->told);
    *h = (struct health_thread){ 0 };
}

struct request {
    struct health_thread *h;
    struct pool *const *pools;
    size_t n;
    bool cold;
    const char *which;
    enum members_order order;
    unsigned weight;
    struct buf *out;
    int rc;
};

static void adopt(void *arg)
{
    struct request *q = arg;

    members_adopt(q->h->members, q->pools, q->n, q->cold);
}

/* What has been decided must happen: out of memory, it is tried again. */
static void call_until_done(struct health_thread *h, const char *name, void (*fn)(void *), struct request *q)
{
    int rc;

    while ((rc = fiber_call(h->sched, name, fn, q)) < 0) {
        log_every_second(LOG_LEVEL_ERROR, "health.not_called", "what=%s reason=%s", name, err_word(rc));
        (void)fiber_sleep(fiber_now() + MEMORY_WAIT);
    }
}

void health_thread_adopt(struct health_thread *h, struct pool *const *pools, size_t n, bool cold)
{
    struct request q = { .h = h, .pools = pools, .n = n, .cold = cold };

    call_until_done(h, "adopt", adopt, &q);
}

/* A fiber that begins has found the one before it at a wait. */
static void settle(void *arg) { (void)arg; }

void health_thread_settle(struct health_thread *h)
{
    struct request q = { .h = h };

    call_until_done(h, "settle", settle, &q);
}

static void quiet(void *arg) { members_stop(((struct request *)arg)->h->members); }

void health_thread_quiet(struct health_thread *h)
{
    struct request q = { .h = h };

    if (h->sched != NULL)
        call_until_done(h, "quiet", quiet, &q);
}

static void list(void *arg)
{
    struct request *q = arg;

    q->rc = members_list(q->h->members, q->which, q->out);
}

int health_thread_list(struct health_thread *h, const char *pool, struct buf *out)
{
    struct request q = { .h = h, .which = pool, .out = out };
    int rc = fiber_call(h->sched, "list", list, &q);

    return rc < 0 ? rc : q.rc;
}

static void order(void *arg)
{
    struct request *q = arg;

    q->rc = members_order(q->h->members, q->which, q->order, q->weight, q->out);
}

int health_thread_order(struct health_thread *h, const char *which, enum members_order what, unsigned weight, struct buf *out)
{
    struct request q = { .h = h, .which = which, .order = what, .weight = weight, .out = out };
    int rc = fiber_call(h->sched, "order", order, &q);

    return rc < 0 ? rc : q.rc;
}
