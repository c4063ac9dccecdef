/* fibers.c - asks each scheduler for its fibers. */
#include "admin/fibers.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "admin/text.h"
#include "base/buf.h"
#include "fiber/sched.h"
#include "fiber/sync.h"

typedef void about_fn(const void *subject, char *out, size_t size);

/* One thread's part.  The thread may answer after the asker has gone: the last of them frees. */
struct part {
    struct mail mail;
    struct parts *all;
    struct sched *sched;
    _Atomic bool done;
    uint32_t shown, left_out;
    struct buf text;
};

struct parts {
    _Atomic unsigned refs;
    about_fn *about;
    struct wait_group awaited;
    unsigned n;
    struct part v[];
};

static void parts_unref(struct parts *all)
{
    if (atomic_fetch_sub(&all->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < all->n; i++)
        buf_free(&all->v[i].text);
    free(all);
}

static void add_fiber(const struct fiber_info *f, void *arg)
{
    struct part *p = arg;
    int64_t now = clock_now();
    char about[128] = "";

    if (p->shown == FIBERS_MOST) {
        p->left_out++;
        return;
    }
    p->shown++;
    buf_printf(&p->text, "%s  #%llu  %s  %s for ", sched_name(p->sched), (unsigned long long)f->id, f->name,
               f->doing != NULL ? f->doing
               : f->waiting     ? "waiting"
                                : "running");
    text_duration(&p->text, now - f->since);
    if (f->waiting && f->deadline != CLOCK_NEVER) {
        buf_add(&p->text, ", at most another ");
        text_duration(&p->text, f->deadline - now);
    }
    if (f->subject != NULL && p->all->about != NULL)
        p->all->about(f->subject, about, sizeof about);
    if (about[0] != '\0')
        buf_printf(&p->text, ", about %s", about);
    buf_printf(&p->text, "  (%zu bytes of stack)\n", f->stack_used);
}

static void write_part(struct part *p)
{
    fiber_each(add_fiber, p);
    if (p->left_out > 0)
        buf_printf(&p->text, "%s  and %u more\n", sched_name(p->sched), p->left_out);
    atomic_store(&p->done, true);
}

static void on_mail(struct mail *m)
{
    struct part *p = CONTAINER_OF(m, struct part, mail);
    struct parts *all = p->all;

    write_part(p);
    wait_group_done(&all->awaited);
    parts_unref(all);
}

static struct parts *parts_new(struct sched *const *scheds, unsigned n, about_fn *about)
{
    struct parts *all = calloc(1, sizeof *all + n * sizeof all->v[0]);

    if (all == NULL)
        return NULL;
    atomic_init(&all->refs, 1);
    all->about = about;
    all->n = n;
    for (unsigned i = 0; i < n; i++)
        all->v[i] = (struct part){ .mail.fn = on_mail, .all = all, .sched = scheds[i] };
    return all;
}

static void ask(struct parts *all, int64_t deadline)
{
    for (unsigned i = 0; i < all->n; i++) {
        if (all->v[i].sched == sched_self())
            continue;
        atomic_fetch_add(&all->refs, 1);
        wait_group_add(&all->awaited, 1);
        mailbox_send(sched_mailbox(all->v[i].sched), &all->v[i].mail);
    }
    (void)wait_group_wait(&all->awaited, deadline); /* who has not answered is seen by `done` */
    for (unsigned i = 0; i < all->n; i++)
        if (all->v[i].sched == sched_self())
            write_part(&all->v[i]);
}

void fibers_list(struct sched *const *scheds, unsigned n, about_fn *about, struct buf *out, int64_t deadline)
{
    struct parts *all = parts_new(scheds, n, about);

    if (all == NULL) {
        out->failed = true;
        return;
    }
    ask(all, deadline);
    for (unsigned i = 0; i < n; i++) {
        struct part *p = &all->v[i];
        if (!atomic_load(&p->done)) {
            buf_printf(out, "%s: does not answer\n", sched_name(scheds[i]));
            continue;
        }
        buf_printf(out, "%s: %u fiber%s\n", sched_name(scheds[i]), p->shown + p->left_out,
                   p->shown + p->left_out == 1 ? "" : "s");
        buf_add_slice(out, buf_slice(&p->text));
    }
    parts_unref(all);
}
