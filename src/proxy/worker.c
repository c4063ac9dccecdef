/* worker.c - a worker's thread, and what the main thread tells it by mail. */
#include "proxy/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metric.h"
#include "base/must.h"
#include "fiber/netpoll.h"
#include "net/scratch.h"
#include "net/splice.h"
#include "net/stream_tls.h"
#include "proxy/accept.h"
#include "proxy/conn.h"
#include "proxy/h2_conn.h"
#include "proxy/tunnel.h"
#include "upstream/lease.h"

#define PRESSED_IDLE (5 * CLOCK_S)  /* what idle connections get when most of all are in use */
#define STOP_PATIENCE (500 * CLOCK_MS)
enum { BURST_LEAST = 256 }; /* connections whose memory is worth giving back */

_Thread_local struct worker *worker_self;
const struct netpoll_engine *worker_netpoll = &netpoll_libevent;

struct served *served_new(struct serving *s)
{
    struct served *sd = malloc(sizeof *sd);

    if (sd != NULL)
        *sd = (struct served){ .serving = s, .users = 1 };
    return sd;
}

void served_done(struct served **sp)
{
    struct served *s = *sp;

    *sp = NULL;
    if (s == NULL || --s->users > 0)
        return;
    serving_unref(&s->serving);
    free(s);
}

/* ---- idle connections ---- */

static bool is_pressed(void)
{
    uint64_t open = atomic_load_explicit(&connections.open, memory_order_relaxed);

    return open * 5 > (uint64_t)atomic_load_explicit(&connections.most, memory_order_relaxed) * 4;
}

static int64_t idle_limit(const struct worker *w, const struct list *l)
{
    const struct timeouts_conf *t = &w->served->serving->conf->timeouts;

    if (l == &w->idle_new)
        return t->request_header;
    return is_pressed() && t->client_idle > PRESSED_IDLE ? PRESSED_IDLE : t->client_idle;
}

/* When the oldest of the list has idled enough; CLOCK_NEVER if there is none. */
static int64_t oldest_until(struct worker *w, struct list *l)
{
    struct list *it = list_first(l);

    return it == NULL ? CLOCK_NEVER : clock_after(LIST_ITEM(it, struct conn, link)->idle_since, idle_limit(w, l));
}

static void arm_sweep(struct worker *w)
{
    int64_t first = oldest_until(w, &w->idle_new), second = oldest_until(w, &w->idle_kept);
    int64_t look = clock_after(fiber_now(), CLOCK_S); /* pressure may come any time */

    if (second < first)
        first = second;
    if (first == CLOCK_NEVER)
        return;
    timer_arm(&w->sweep, first > look ? look : first);
}

static void sweep(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, sweep);
    struct list *lists[] = { &w->idle_new, &w->idle_kept };

    for (int i = 0; i < 2; i++)
        while (oldest_until(w, lists[i]) <= fiber_now())
            conn_drop_idle(LIST_ITEM(list_first(lists[i]), struct conn, link));
    arm_sweep(w);
}

void worker_watch_idle(struct worker *w)
{
    if (!timer_is_armed(&w->sweep))
        arm_sweep(w);
}

static bool most_have_gone(const struct worker *w) { return w->conns_peak >= BURST_LEAST && w->n_conns < w->conns_peak / 2; }

static void give_back(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, give_back);

    if (!most_have_gone(w))
        return; /* they are back */
    memory_give_back();
    log_debug("worker.memory_given_back", "connections=%u peak=%u", w->n_conns, w->conns_peak);
    w->conns_peak = w->n_conns;
}

void worker_conn_begins(struct worker *w)
{
    if (++w->n_conns > w->conns_peak)
        w->conns_peak = w->n_conns;
}

void worker_conn_ends(struct worker *w)
{
    w->n_conns--;
    if (UNLIKELY(most_have_gone(w)) && !timer_is_armed(&w->give_back))
        timer_arm(&w->give_back, clock_after(fiber_now(), CLOCK_S));
}

static void drop_idle(struct worker *w)
{
    struct list *lists[] = { &w->idle_new, &w->idle_kept };

    for (int i = 0; i < 2; i++)
        LIST_EACH_SAFE(lists[i], it)
            conn_drop_idle(LIST_ITEM(it, struct conn, link));
}

/* ---- mail from the main thread ---- */

struct order {
    struct mail mail;
    struct worker *worker;
    void (*carry_out)(struct worker *w, struct order *o);
    struct serving *serving;
    struct listener_set *listeners;
    void (*done)(void *);
    void *arg;
};

static void on_order(struct mail *m)
{
    struct order *o = CONTAINER_OF(m, struct order, mail);
    struct worker *w = o->worker;
    void (*done)(void *) = o->done;
    void *arg = o->arg;

    MUST_BE(w, WORKER_MAGIC);
    o->carry_out(w, o);
    serving_unref(&o->serving);
    listener_set_unref(&o->listeners);
    free(o);
    if (done != NULL)
        done(arg);
}

static struct order *order_new(struct worker *w, void (*carry_out)(struct worker *, struct order *), void (*done)(void *), void *arg)
{
    struct order *o = calloc(1, sizeof *o);

    if (o == NULL)
        return NULL;
    o->mail.fn = on_order;
    o->worker = w;
    o->carry_out = carry_out;
    o->done = done;
    o->arg = arg;
    return o;
}

static void publish(struct worker *w, struct order *o)
{
    struct served *new = served_new(o->serving);

    if (new == NULL) {
        log_error("worker.no_memory", "worker=%u what=\"the new configuration\"", w->index);
        return; /* goes on with the old one */
    }
    o->serving = NULL;
    doors_tidy(w);
    if (doors_update(w, new, o->listeners) < 0)
        log_error("worker.no_memory", "worker=%u what=\"a listener\"", w->index);
    served_done(&w->served);
    w->served = new;
    h2_conns_leave(w);
    keepalive_close(true);
    if (!list_is_empty(&w->idle_new) || !list_is_empty(&w->idle_kept))
        arm_sweep(w);
}

int worker_publish(struct worker *w, struct serving *s, struct listener_set *listeners, void (*done)(void *), void *arg)
{
    struct order *o = order_new(w, publish, done, arg);

    if (o == NULL)
        return -ERR_NOMEM;
    o->serving = serving_ref(s);
    o->listeners = listener_set_ref(listeners);
    mailbox_send(sched_mailbox(w->sched), &o->mail);
    return 0;
}

static void drain(struct worker *w, struct order *o)
{
    (void)o;
    w->draining = true;
    doors_close(w);
    drop_idle(w);
    h2_conns_leave(w);
}

int worker_drain(struct worker *w, void (*done)(void *), void *arg)
{
    struct order *o = order_new(w, drain, done, arg);

    if (o == NULL)
        return -ERR_NOMEM;
    mailbox_send(sched_mailbox(w->sched), &o->mail);
    return 0;
}

static void settle(struct worker *w, struct order *o)
{
    (void)w;
    (void)o;
}

int worker_settle(struct worker *w, void (*done)(void *), void *arg)
{
    struct order *o = order_new(w, settle, done, arg);

    if (o == NULL)
        return -ERR_NOMEM;
    mailbox_send(sched_mailbox(w->sched), &o->mail);
    return 0;
}

static bool is_accepting(const struct worker *w)
{
    LIST_EACH(&w->doors, it)
        if (LIST_ITEM(it, struct door, link)->accepting)
            return true;
    return false;
}

/* Each turn while stopping: ends with the last connection, or when patience does. */
static void stop_when_empty(void *arg)
{
    struct worker *w = arg;

    if ((w->n_conns == 0 && !is_accepting(w)) || fiber_now() >= w->stop_at)
        sched_stop(w->sched);
}

static void wake_up(struct timer *t) { timer_arm(t, fiber_now() + 10 * CLOCK_MS); }

static void stop(struct worker *w, struct order *o)
{
    drain(w, o);
    w->stop_at = fiber_now() + STOP_PATIENCE;
    tunnels_close(w);
    LIST_EACH_SAFE(&w->busy, it)
        conn_cancel(LIST_ITEM(it, struct conn, link), ERR_DRAINING);
    keepalive_close(false);
    w->sweep.fire = wake_up; /* turns must come round */
    timer_arm(&w->sweep, fiber_now());
    sched_each_turn(w->sched, stop_when_empty, w);
}

int worker_stop(struct worker *w)
{
    struct order *o = order_new(w, stop, NULL, NULL);

    if (o == NULL) {
        sched_stop(w->sched);
        return -ERR_NOMEM;
    }
    mailbox_send(sched_mailbox(w->sched), &o->mail);
    return 0;
}

/* ---- the thread ---- */

static struct worker *worker_new(unsigned index)
{
    struct worker *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->magic = WORKER_MAGIC;
    w->index = index;
    (void)snprintf(w->name, sizeof w->name, "worker %u", index);
    list_init(&w->doors);
    list_init(&w->idle_new);
    list_init(&w->idle_kept);
    list_init(&w->tunnels);
    list_init(&w->busy);
    list_init(&w->h2);
    timer_init(&w->sweep, sweep);
    timer_init(&w->give_back, give_back);
    w->sched = sched_open_on(w->name, true, worker_netpoll, NULL);
    if (w->sched == NULL) {
        free(w);
        return NULL;
    }
    return w;
}

static void worker_free(struct worker *w)
{
    lease_thread_ends();
    doors_end(w);
    served_done(&w->served);
    sched_close(&w->sched);
    accept_thread_ends();
    splice_free();
    stream_tls_thread_ends();
    scratch_free();
    w->magic = 0;
    free(w);
}

int worker_run(unsigned index, void (*ready)(struct worker *w, void *arg), void *arg)
{
    struct worker *w = worker_new(index);

    if (w == NULL)
        return -ERR_NOMEM;
    worker_self = w;
    worker_index_set(index);
    lease_thread_begins();
    (void)metric_thread_open(w->name);
    ready(w, arg);
    sched_run(w->sched);
    worker_free(w);
    worker_self = NULL;
    metric_thread_close();
    return 0;
}
