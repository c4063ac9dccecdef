/*
 * mailbox.h - how threads meet: a message is a function that the receiving scheduler calls on its own thread.
 *
 * Promise: messages of one sender arrive in order; none is lost while the receiver runs; sending never waits and can't fail.
 * The receiver is woken by an eventfd, written only when it says that it sleeps.
 * Threads: any sends; the owner's scheduler receives.  Memory: the message is the sender's until `fn` is called, then the
 * receiver's (fn may free it or send it back).
 */
#ifndef FIBER_MAILBOX_H
#define FIBER_MAILBOX_H

struct mailbox;
struct mail {
    struct mail *next;
    void (*fn)(struct mail *m); /* runs on the receiver's scheduler stack; must not yield, may fiber_go() */
};

void mailbox_send(struct mailbox *to, struct mail *m);
#endif
