/*
 * privileges.h - becoming daemon.user, for good.
 *
 * Threads: before there are any others.  Memory: values.
 */
#ifndef DAEMON_PRIVILEGES_H
#define DAEMON_PRIVILEGES_H
#include <stdbool.h>
#include <sys/types.h>

struct buf;

struct identity {
    uid_t uid;
    gid_t gid;
    bool other; /* than who we are */
};

/* Who `user` (NULL: nobody else) is.  -ERR_INVALID and why: no such user, or we may not become it. */
int privileges_look_up(const char *user, struct identity *who, struct buf *why);
/* Only whether there is such a user (NULL: nobody else, so yes); false: why not. */
bool privileges_user_exists(const char *user, struct buf *why);
/* Becomes it and keeps no way back: groups, all three ids, capabilities.  -ERR_IO and why. */
int privileges_drop(const char *user, const struct identity *who, struct buf *why);
#endif
