/* mailbox.c - a stack that anyone pushes to and the owner takes whole and turns round. */
#include "fiber/mailbox.h"

#include <stdatomic.h>

#include "fiber/core.h"

void mailbox_send(struct mailbox *to, struct mail *m)
{
    struct mail *newest = atomic_load_explicit(&to->newest, memory_order_relaxed);

    do {
        m->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&to->newest, &newest, m, memory_order_seq_cst, memory_order_relaxed));
    /* Either the owner sees the mail before it sleeps, or we see that it sleeps: both sides store, then load (seq_cst). */
    if (newest == NULL && atomic_load(&to->owner->sleeping))
        sched_wake(to->owner);
}

void mailbox_empty(struct mailbox *m)
{
    struct mail *mail, *in_order = NULL;

    if (atomic_load_explicit(&m->newest, memory_order_relaxed) == NULL)
        return;
    mail = atomic_exchange_explicit(&m->newest, NULL, memory_order_acquire);
    while (mail != NULL) {
        struct mail *older = mail->next;
        mail->next = in_order;
        in_order = mail;
        mail = older;
    }
    while (in_order != NULL) {
        mail = in_order;
        in_order = mail->next;
        m->owner->mails++;
        mail->fn(mail);
    }
}
