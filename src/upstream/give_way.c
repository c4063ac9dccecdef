/* give_way.c - who can be asked, and what about. */
#include "upstream/give_way.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/must.h"
#include "fiber/fiber.h"
#include "fiber/sched.h"

struct question {
    struct list link;
    struct backend *about;
    struct fiber_sem answered;
};

struct asked {
    struct mailbox *mailbox; /* NULL: no worker runs there */
    void (*close_surplus)(struct backend *b);
    struct list questions;
    struct mail mail;
    bool sent;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static struct asked workers[SCHED_MOST];

static struct question *next_question(struct asked *a)
{
    struct list *it;

    (void)pthread_mutex_lock(&lock);
    it = list_pop_front(&a->questions);
    a->sent = it != NULL;
    (void)pthread_mutex_unlock(&lock);
    return it == NULL ? NULL : LIST_ITEM(it, struct question, link);
}

static void on_mail(struct mail *mail)
{
    struct asked *a = CONTAINER_OF(mail, struct asked, mail);
    struct question *q;

    while ((q = next_question(a)) != NULL) {
        a->close_surplus(q->about);
        fiber_sem_give(&q->answered); /* and it is gone */
    }
}

void give_way_begin(void (*close_surplus)(struct backend *b))
{
    struct asked *a = &workers[worker_index()];

    MUST(worker_index() < SCHED_MOST);
    (void)pthread_mutex_lock(&lock);
    *a = (struct asked){ .mailbox = sched_mailbox(sched_self()), .close_surplus = close_surplus, .mail = { .fn = on_mail } };
    list_init(&a->questions);
    (void)pthread_mutex_unlock(&lock);
}

void give_way_end(void)
{
    struct asked *a = &workers[worker_index()];
    bool began;

    (void)pthread_mutex_lock(&lock);
    began = a->mailbox != NULL;
    a->mailbox = NULL;
    (void)pthread_mutex_unlock(&lock);
    if (began)
        on_mail(&a->mail); /* what came and was not read any more */
}

/* Puts the question; false: there is nobody to answer it. */
static bool put(struct asked *a, struct question *q)
{
    bool can;

    (void)pthread_mutex_lock(&lock);
    can = a->mailbox != NULL;
    if (can) {
        list_push_back(&a->questions, &q->link);
        if (!a->sent)
            mailbox_send(a->mailbox, &a->mail);
        a->sent = true;
    }
    (void)pthread_mutex_unlock(&lock);
    return can;
}

/* False: it is being answered. */
static bool take_back(struct question *q)
{
    bool unread;

    (void)pthread_mutex_lock(&lock);
    unread = !list_is_empty(&q->link);
    list_remove(&q->link);
    (void)pthread_mutex_unlock(&lock);
    return unread;
}

static void ask(struct asked *a, struct backend *b, int64_t deadline)
{
    struct question q = { .about = b };
    bool was;

    list_init(&q.link);
    fiber_sem_init(&q.answered, 0);
    if (!put(a, &q) || fiber_sem_take(&q.answered, deadline) == 0 || take_back(&q))
        return;
    was = fiber_shield(true); /* an answer never waits */
    (void)fiber_sem_take(&q.answered, CLOCK_NEVER);
    (void)fiber_shield(was);
}

void give_way_ask(struct backend *b, int64_t deadline)
{
    for (unsigned n = 1; n < b->n_workers && backend_is_over_limit(b); n++) {
        unsigned i = (worker_index() + n) % b->n_workers;
        if (atomic_load_explicit(&b->worker[i].n_idle, memory_order_relaxed) > 0)
            ask(&workers[i], b, deadline);
    }
}
