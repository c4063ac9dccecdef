/* control.c - the server's side of `weir ctl`. */
#include "admin/control.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/commands.h"
#include "base/buf.h"
#include "base/log.h"
#include "net/stream.h"

#define LINE_DEADLINE   (10 * CLOCK_S)
#define ANSWER_DEADLINE (60 * CLOCK_S)
enum { LINE_MOST = 1024 };

static int fill_addr(struct addr *a, const char *path, struct buf *why)
{
    size_t n = strlen(path);

    if (n >= sizeof a->un.sun_path) {
        buf_printf(why, "%s: longer than %zu bytes, which a socket's path may have", path, sizeof a->un.sun_path - 1);
        return -ERR_INVALID;
    }
    *a = (struct addr){ .len = sizeof a->un };
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, n + 1);
    return 0;
}

/* Does a process listen there?  A full queue counts as one. */
static bool is_answered(const struct addr *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return true; /* who doesn't know doesn't remove */
    rc = connect(fd, &a->sa, a->len) == 0 ? 0 : errno;
    (void)close(fd);
    return rc != ECONNREFUSED;
}

/* What a process that died left behind. */
static int remove_stale(const struct addr *a, struct buf *why)
{
    const char *path = a->un.sun_path;
    struct stat st;

    if (lstat(path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        buf_printf(why, "%s is there and is no socket", path);
    else if (is_answered(a))
        buf_printf(why, "%s is in use by another process", path);
    else if (unlink(path) == 0)
        return 0;
    else
        buf_printf(why, "%s: %s", path, strerror(errno));
    return -ERR_INVALID;
}

int control_listen(struct control *c, const char *path, struct buf *why)
{
    mode_t old;
    int rc;

    c->acceptor.fd = -1;
    rc = fill_addr(&c->addr, path, why);
    if (rc == 0)
        rc = remove_stale(&c->addr, why);
    if (rc < 0)
        return rc;
    old = umask(0177);
    rc = acceptor_listen(&c->acceptor, &c->addr, why);
    (void)umask(old);
    return rc;
}

int control_chown(struct control *c, uid_t uid, gid_t gid)
{
    if (c->acceptor.fd < 0 || chown(c->addr.un.sun_path, uid, gid) == 0)
        return 0;
    return err_from_errno(errno);
}

/* The line without its end, as a string; 0 or a code.  A client may also just end its side. */
static int read_line(struct stream *s, char line[LINE_MOST])
{
    int64_t deadline = fiber_now() + LINE_DEADLINE;
    size_t n = 0;

    for (;;) {
        ssize_t got = stream_read(s, line + n, LINE_MOST - 1 - n, deadline);
        char *end;

        if (got < 0)
            return (int)got;
        end = got > 0 ? memchr(line + n, '\n', (size_t)got) : line + n;
        n += (size_t)got;
        if (end != NULL) {
            *end = '\0';
            return 0;
        }
        if (n == LINE_MOST - 1)
            return -ERR_INVALID;
    }
}

static void serve(struct stream *s, void *arg)
{
    struct control *c = arg;
    struct buf out = { 0 };
    char line[LINE_MOST];
    int rc;

    fiber_doing("waiting for a command");
    acceptor_idle(s);
    rc = read_line(s, line);
    acceptor_busy(s);
    if (rc == -ERR_INVALID)
        buf_add(&out, "the command is too long\n");
    else if (rc < 0)
        return;
    else {
        fiber_doing("carrying out a command");
        rc = commands_run(c->host, line, &out);
    }
    if (out.failed) {
        buf_free(&out);
        buf_add(&out, "out of memory\n");
        rc = -ERR_NOMEM;
    }
    buf_add(&out, rc < 0 ? "error\n" : "ok\n");
    (void)stream_write_bytes(s, out.p, out.n, fiber_now() + ANSWER_DEADLINE);
    (void)stream_shutdown(s);
    buf_free(&out);
}

int control_start(struct control *c, struct group *g, const struct admin_host *host)
{
    c->host = host;
    return acceptor_start(&c->acceptor, g, "control", CONTROL_MOST, serve, c);
}

void control_close(struct control *c)
{
    if (c->acceptor.fd < 0)
        return;
    acceptor_close(&c->acceptor);
    if (unlink(c->addr.un.sun_path) < 0 && errno != ENOENT)
        log_warn("control.not_removed", "path=%s error=\"%m\"", c->addr.un.sun_path);
}
