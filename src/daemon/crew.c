/* crew.c - one message to all, one wait for all. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "daemon/crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "fiber/sync.h"
#include "proxy/worker.h"

#define RETRY_AFTER (10 * CLOCK_MS)

static void on_ready(struct worker *w, void *arg)
{
    struct crew_member *m = arg;

    m->worker = w;
    (void)sem_post(m->told);
}

static void *thread_main(void *arg)
{
    struct crew_member *m = arg;
    char name[16]; /* as top -H shows it */

    (void)snprintf(name, sizeof name, "weir-worker-%u", m->index);
    (void)pthread_setname_np(pthread_self(), name);
    m->rc = worker_run(m->index, on_ready, m);
    if (m->worker == NULL)
        (void)sem_post(m->told);
    return NULL;
}

static void on_pulse(struct mail *mail) { atomic_store(&CONTAINER_OF(mail, struct crew_member, pulse)->pulse_out, false); }

/* Starts one thread and waits until it can be sent mail. */
static int start_one(struct crew *c, unsigned index, sem_t *told)
{
    struct crew_member *m = &c->v[index];

    m->index = index;
    m->told = told;
    m->pulse.fn = on_pulse;
    if (pthread_create(&m->thread, NULL, thread_main, m) != 0)
        return -ERR_NOMEM;
    while (sem_wait(told) < 0 && errno == EINTR)
        ;
    if (m->worker == NULL) {
        (void)pthread_join(m->thread, NULL);
        return m->rc < 0 ? m->rc : -ERR_INTERNAL;
    }
    c->scheds[index + 1] = m->worker->sched;
    c->n = index + 1;
    return 0;
}

int crew_start(struct crew *c, unsigned n)
{
    sem_t told;
    int rc = 0;

    c->n = 0;
    c->v = calloc(n, sizeof *c->v);
    c->scheds = calloc(n + 2, sizeof(struct sched *));
    if (c->v == NULL || c->scheds == NULL || sem_init(&told, 0, 0) < 0)
        rc = -ERR_NOMEM;
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = start_one(c, i, &told);
    if (rc < 0)
        crew_stop(c);
    return rc;
}

static void one_done(void *arg) { wait_group_done(arg); }

/* It has been decided: what can't be sent now is sent as soon as there is memory. */
static void wait_for_memory(int rc)
{
    log_every_second(LOG_LEVEL_ERROR, "daemon.mail_not_sent", "reason=%s", err_word(rc));
    (void)fiber_sleep(fiber_now() + RETRY_AFTER);
}

void crew_publish(struct crew *c, struct serving *s, struct listener_set *listeners)
{
    struct wait_group left = { 0 };
    bool shielded = fiber_shield(true); /* `left` must outlive the mails */
    int rc;

    wait_group_add(&left, (int32_t)c->n);
    for (unsigned i = 0; i < c->n; i++)
        while ((rc = worker_publish(c->v[i].worker, s, listeners, one_done, &left)) < 0)
            wait_for_memory(rc);
    (void)wait_group_wait(&left, CLOCK_NEVER);
    (void)fiber_shield(shielded);
}

void crew_drain(struct crew *c)
{
    struct wait_group left = { 0 };
    bool shielded = fiber_shield(true);
    int rc;

    wait_group_add(&left, (int32_t)c->n);
    for (unsigned i = 0; i < c->n; i++)
        while ((rc = worker_drain(c->v[i].worker, one_done, &left)) < 0)
            wait_for_memory(rc);
    (void)wait_group_wait(&left, CLOCK_NEVER);
    (void)fiber_shield(shielded);
}

void crew_settle(struct crew *c)
{
    struct wait_group left = { 0 };
    bool shielded = fiber_shield(true);
    int rc;

    wait_group_add(&left, (int32_t)c->n);
    for (unsigned i = 0; i < c->n; i++)
        while ((rc = worker_settle(c->v[i].worker, one_done, &left)) < 0)
            wait_for_memory(rc);
    (void)wait_group_wait(&left, CLOCK_NEVER);
    (void)fiber_shield(shielded);
}

bool crew_pulse(struct crew *c)
{
    bool all = true;

    for (unsigned i = 0; i < c->n; i++) {
        struct crew_member *m = &c->v[i];

        if (atomic_load(&m->pulse_out)) {
            log_error("watchdog.worker_stuck", "worker=%u", i);
            all = false;
            continue;
        }
        atomic_store(&m->pulse_out, true);
        mailbox_send(sched_mailbox(m->worker->sched), &m->pulse);
    }
    return all;
}

void crew_stop(struct crew *c)
{
    for (unsigned i = 0; i < c->n; i++)
        (void)worker_stop(c->v[i].worker); /* out of memory, it stops all the same */
    for (unsigned i = 0; i < c->n; i++)
        (void)pthread_join(c->v[i].thread, NULL);
    free(c->v);
    free(c->scheds);
    *c = (struct crew){ 0 };
}
