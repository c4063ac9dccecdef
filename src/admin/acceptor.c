/* acceptor.c - accept, and a fiber for each. */
#include "admin/acceptor.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "net/stream.h"
#include "net/sys.h"

#define PAUSE (100 * CLOCK_MS) /* when the kernel is out of something */
#define LOOK  (20 * CLOCK_MS)  /* while all are busy: whether one has gone idle */

int acceptor_listen(struct acceptor *a, const struct addr *at, struct buf *why)
{
    static const int on = 1;
    char text[ADDR_TEXT_MAX];
    int saved;

    a->fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd >= 0) {
        if (at->sa.sa_family != AF_UNIX)
            (void)setsockopt(a->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(a->fd, &at->sa, at->len) == 0 && listen(a->fd, SOMAXCONN) == 0)
            return 0;
    }
    saved = errno;
    (void)addr_format(at, text);
    if (saved == EADDRINUSE)
        buf_printf(why, "%s is in use", text);
    else
        buf_printf(why, "%s: %s", text, strerror(saved));
    if (a->fd >= 0)
        (void)close(a->fd);
    a->fd = -1;
    return err_from_errno(saved);
}

struct visit {
    struct acceptor *a;
    struct fiber *fiber;
    struct list link; /* of the idle ones */
    struct stream stream;
};

void acceptor_idle(struct stream *s)
{
    struct visit *v = CONTAINER_OF(s, struct visit, stream);

    list_remove(&v->link);
    list_push_back(&v->a->idle, &v->link);
}

void acceptor_busy(struct stream *s) { list_remove(&CONTAINER_OF(s, struct visit, stream)->link); }

/* Whoever has sent something meanwhile isn't idle, although its fiber has not run yet. */
static void drop_oldest(struct acceptor *a)
{
    LIST_EACH_SAFE(&a->idle, it)
    {
        struct visit *v = LIST_ITEM(it, struct visit, link);
        if (stream_has_bytes(&v->stream))
            continue;
        list_remove(&v->link);
        fiber_cancel(v->fiber, ERR_CANCELED);
        return;
    }
}

static int take_room(struct acceptor *a)
{
    int rc = fiber_sem_take(&a->room, fiber_now());

    while (rc == -ERR_TIMEOUT) {
        drop_oldest(a);
        rc = fiber_sem_take(&a->room, fiber_now() + LOOK);
    }
    return rc;
}

static void serve_one(void *arg)
{
    struct visit *v = arg;
    struct acceptor *a = v->a;

    v->fiber = fiber_self();
    a->serve(&v->stream, a->arg);
    list_remove(&v->link);
    stream_close(&v->stream);
    free(v);
    fiber_sem_give(&a->room);
}

/* False: out of memory; the connection is closed. */
static bool start_visit(struct acceptor *a, int fd, bool is_tcp)
{
    static const int on = 1;
    struct visit *v = calloc(1, sizeof *v);

    if (v == NULL) {
        (void)sys->close(fd);
        return false;
    }
    v->a = a;
    list_init(&v->link);
    if (is_tcp)
        (void)sys->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    stream_open(&v->stream, fd, is_tcp);
    if (fiber_go(a->group, a->name, serve_one, v) == 0)
        return true;
    stream_close(&v->stream);
    free(v);
    return false;
}

/* A descriptor, or a code. */
static int accept_one(struct acceptor *a, bool *is_tcp)
{
    struct sockaddr_storage peer;
    socklen_t len;
    int fd, rc;

    for (;;) {
        rc = pd_wait_read(&a->pd, CLOCK_NEVER);
        if (rc < 0)
            return rc;
        len = sizeof peer;
        fd = sys->accept(a->fd, (struct sockaddr *)&peer, &len);
        if (fd >= 0) {
            *is_tcp = peer.ss_family != AF_UNIX;
            return fd;
        }
        if (errno == EAGAIN)
            pd_read_again(&a->pd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return err_from_errno(errno);
    }
}

static void accept_all(void *arg)
{
    struct acceptor *a = arg;
    bool is_tcp = false;

    fiber_doing("waiting for a connection");
    for (;;) {
        int fd = accept_one(a, &is_tcp);

        if (fd == -ERR_CANCELED)
            break;
        if (fd >= 0 && take_room(a) < 0) {
            (void)sys->close(fd);
            break;
        }
        if (fd >= 0) {
            if (start_visit(a, fd, is_tcp))
                continue;
            fiber_sem_give(&a->room);
        }
        log_every_second(LOG_LEVEL_WARN, "admin.accept_failed", "name=%s reason=%s", a->name, err_word(fd < 0 ? fd : -ERR_NOMEM));
        if (fiber_sleep(fiber_now() + PAUSE) < 0)
            break;
    }
}

int acceptor_start(struct acceptor *a, struct group *g, const char *name, uint32_t most, void (*serve)(struct stream *, void *),
                   void *arg)
{
    a->group = g;
    a->name = name;
    a->serve = serve;
    a->arg = arg;
    pd_init(&a->pd, a->fd);
    fiber_sem_init(&a->room, most);
    list_init(&a->idle);
    return fiber_go(g, name, accept_all, a);
}

void acceptor_close(struct acceptor *a)
{
    if (a->fd < 0)
        return;
    if (a->group != NULL)
        pd_forget(&a->pd);
    (void)close(a->fd);
    a->fd = -1;
}
