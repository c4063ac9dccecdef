/* privileges.c - groups first, while we still may. */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

static bool find(const char *user, uid_t *uid, gid_t *gid, struct buf *why)
{
    struct passwd entry, *p = NULL;
    char texts[1024];
    int error = getpwnam_r(user, &entry, texts, sizeof texts, &p);

    if (p == NULL) {
        buf_printf(why, "daemon.user: %s: %s", user, error != 0 ? strerror(error) : "there is no such user");
        return false;
    }
    *uid = p->pw_uid;
    *gid = p->pw_gid;
    return true;
}

bool privileges_user_exists(const char *user, struct buf *why)
{
    uid_t uid;
    gid_t gid;

    return user == NULL || find(user, &uid, &gid, why);
}

int privileges_look_up(const char *user, struct identity *who, struct buf *why)
{
    uid_t uid;
    gid_t gid;

    *who = (struct identity){ .uid = geteuid(), .gid = getegid() };
    if (user == NULL)
        return 0;
    if (!find(user, &uid, &gid, why))
        return -ERR_INVALID;
    *who = (struct identity){ .uid = uid, .gid = gid, .other = uid != geteuid() };
    if (who->other && geteuid() != 0) {
        buf_printf(why, "daemon.user: only root can become %s", user);
        return -ERR_INVALID;
    }
    return 0;
}

int privileges_drop(const char *user, const struct identity *who, struct buf *why)
{
    if (!who->other)
        return 0;
    if (initgroups(user, who->gid) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
        setresuid(who->uid, who->uid, who->uid) < 0) {
        buf_printf(why, "daemon.user: can't become %s: %s", user, strerror(errno));
        return -ERR_IO;
    }
    if (who->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)) {
        buf_printf(why, "daemon.user: having become %s, the way back to root is still open", user);
        return -ERR_IO;
    }
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the change of user has turned core dumps and /proc/self off */
    return 0;
}
