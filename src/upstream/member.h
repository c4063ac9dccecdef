/*
 * member.h - one backend as a member of one pool: its state, and the fibers that change it.  Private to upstream/member*.c.
 *
 * member.c changes states and tells of them; members.c lets members come and go, and publishes; members_admin.c shows them.
 * Threads: the health thread's.  Memory: member_new() to member_free().
 */
#ifndef UPSTREAM_MEMBER_H
#define UPSTREAM_MEMBER_H
#include <stdbool.h>
#include <stdint.h>

#include "discovery/source.h"
#include "fiber/fiber.h"
#include "fiber/sync.h"
#include "health/checker.h"
#include "upstream/members.h"

/* One backend of one pool. */
struct member {
    struct list link;
    struct membership *of;
    struct backend *backend; /* a reference */
    bool configured, found;  /* named by the file, by discovery */
    bool seen;               /* while a new list is compared with what is there */
    struct found as_found;   /* what discovery says of it (its texts are the backend's) */
    struct checker *checker;
    enum backend_state state;
    int64_t since;
    struct group fibers;      /* recovering, ejected, warming up */
    struct fiber_sem reached; /* given when a check has reached it */
    struct fiber_sem enough;  /* given when an ejection has ended before its time */
    bool recovering, ejected, warming;
    int64_t warm_from;
    uint64_t failures; /* when the checker last asked about live traffic */
};

/* One pool. */
struct membership {
    struct list link;
    struct members *owner;
    const char *name; /* the tally's */
    struct tally *tally;
    struct pool *pool; /* of the running configuration */
    struct list members;
    struct list ordered; /* struct backend: those of which the operator has spoken, kept (a reference) also while they are away */
    struct fiber_mutex coming_and_going; /* held by who changes the list, and waits in between */
    struct source source; /* while the pool has discovery; it goes on over reloads that don't change what it asks */
    struct discovery_conf discovery;
    struct arena discovery_texts; /* of the former: a snapshot goes before the source does */
    struct group source_fiber;
    bool has_source;
    bool is_awaited; /* until it has said something, the start or reload that began it waits: what it says then is not late */
    char *trouble;   /* what the source could not, told already */
    int64_t good_at; /* when it last published; 0: never */
    bool adopted;    /* the running configuration has it */
    bool dirty;      /* its set is not what it should be */
    bool panic;
};

struct pass {
    struct mail mail;
    struct members *owner;
};

struct members {
    struct list pools;
    struct members_readers readers;
    struct pass *passes;
    struct wait_group passing;
    struct fiber_sem work;
    struct group fibers;           /* publishing */
    struct wait_group first_words; /* of the sources that are awaited */
    bool stopping;
};

/* `cold`: nothing is known of any backend, so this one is as good as the others.  NULL: out of memory. */
struct member *member_new(struct membership *ms, struct backend *b, bool cold);
/* From a fiber: it waits for the member's own.  Nothing is kept for the backend from then on. */
void member_free(struct member *m);
/* The one place where a change of state is told; nothing if it is the same.  `detail`: key=value pairs, or "". */
void member_settle(struct member *m, const char *reason, const char *detail);
/* The pool's check is another one now (NULL: there is none); asked the same, it goes on.  From a fiber. */
void member_change_check(struct member *m, const struct check_conf *was, const struct check_conf *is);
/* The operator's word holds until it is forgotten, whether the backend is a member or comes and goes. */
void membership_keep_word(struct membership *ms, struct backend *b);
void membership_forget_word(struct backend *b);
/* An ejection ends now, if there is one. */
void member_end_ejection(struct member *m);
/* The pool needs another set. */
void membership_mark_dirty(struct membership *ms);
/* Where notices from workers go from now on. */
void member_listen(struct mailbox *to);
#endif
