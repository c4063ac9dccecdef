/* listener.c - sockets that listen, and the doors through which connections come in. */
#include "proxy/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "net/sys.h"
#include "proxy/accept.h"
#include "proxy/worker.h"

enum { BACKLOG = 65535 }; /* the kernel cuts it to net.core.somaxconn */

struct listener *listener_ref(struct listener *l)
{
    MUST_BE(l, LISTENER_MAGIC);
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void listener_unref(struct listener **lp)
{
    struct listener *l = *lp;

    *lp = NULL;
    if (l == NULL)
        return;
    MUST_BE(l, LISTENER_MAGIC);
    if (atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < l->n_sockets; i++)
        if (l->socket[i] >= 0)
            (void)sys->close(l->socket[i]);
    if (l->unlink_path != NULL)
        (void)unlink(l->unlink_path);
    free(l->unlink_path);
    free(l->socket);
    free(l->name);
    l->magic = 0;
    free(l);
}

/* ---- opening ---- */

static int set(int fd, int level, int name, int value) { return sys->setsockopt(fd, level, name, &value, sizeof value); }

/* A socket file that nobody listens on any more is in the way; one that somebody answers on is not ours to take. */
static void remove_stale(const struct addr *a)
{
    struct stat st;
    int fd;

    if (a->un.sun_path[0] == '\0' || stat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = sys->socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sys->connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED)
        (void)unlink(a->un.sun_path);
    (void)sys->close(fd);
}

static int bound_socket(const struct addr *a, bool share)
{
    int fd = sys->socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (a->sa.sa_family != AF_UNIX) {
        (void)set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        (void)set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it */
        if (share)
            (void)set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (sys->bind(fd, &a->sa, a->len) < 0) {
        int error = errno;
        (void)sys->close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* In HTTP and TLS the client speaks first: its bytes are there when the connection is accepted.  In TCP mode nobody knows. */
static bool client_begins(const struct listener_conf *conf) { return conf->mode == LISTENER_HTTP || conf->tls != NULL || conf->sni; }

static void defer_accept(int fd, const struct listener_conf *conf)
{
    if (conf->bind.sa.sa_family != AF_UNIX)
        (void)set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, client_begins(conf));
}

static int open_socket(const struct listener_conf *conf, bool share)
{
    int fd = bound_socket(&conf->bind, share);

    if (fd < 0)
        return -1;
    defer_accept(fd, conf);
    if (sys->listen(fd, BACKLOG) < 0) {
        int error = errno;
        (void)sys->close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* SO_REUSEPORT would let us share a port with a stranger of the same user: first it is bound alone. */
static bool is_free(const struct listener_conf *conf)
{
    int fd;

    if (conf->bind.sa.sa_family == AF_UNIX)
        return true;
    fd = bound_socket(&conf->bind, false);
    if (fd < 0)
        return false;
    (void)sys->close(fd);
    return true;
}

static void say_why(struct buf *why, const struct listener_conf *conf, int error)
{
    buf_printf(why, "%s:%u: listeners.%s: %s: %s\n", conf->file, conf->line, conf->name, conf->bind_text,
               error == EADDRINUSE      ? "the address is in use by another program" :
               error == EACCES          ? "not permitted (ports below 1024 need root or CAP_NET_BIND_SERVICE)" :
               error == EADDRNOTAVAIL   ? "this machine does not have that address" :
                                          strerror(error));
}

static bool open_sockets(struct listener *l, const struct listener_conf *conf)
{
    bool is_unix = conf->bind.sa.sa_family == AF_UNIX;

    for (unsigned i = 0; i < l->n_sockets; i++)
        l->socket[i] = -1;
    if (is_unix)
        remove_stale(&conf->bind);
    if (!is_free(conf))
        return false;
    for (unsigned i = 0; i < (is_unix ? 1 : l->n_sockets); i++) {
        l->socket[i] = open_socket(conf, true);
        if (l->socket[i] < 0)
            return false;
    }
    if (is_unix)
        l->unlink_path = strdup(conf->bind.un.sun_path);
    return true;
}

static struct listener *listener_new(const struct listener_conf *conf, unsigned n_workers, struct buf *why)
{
    struct listener *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->magic = LISTENER_MAGIC;
    atomic_store(&l->refs, 1);
    l->bind = conf->bind;
    l->name = strdup(conf->name);
    l->socket = calloc(n_workers, sizeof *l->socket);
    if (l->name == NULL || l->socket == NULL) {
        listener_unref(&l);
        return NULL;
    }
    l->n_sockets = n_workers;
    if (!open_sockets(l, conf)) {
        say_why(why, conf, errno);
        listener_unref(&l);
    }
    return l;
}

static struct listener *listener_of(const struct listener_set *set_, const struct listener_conf *conf)
{
    for (size_t i = 0; set_ != NULL && i < set_->n; i++)
        if (addr_equal(&set_->v[i]->bind, &conf->bind))
            return set_->v[i];
    return NULL;
}

int listener_set_open(const struct snapshot *s, struct listener_set *old, unsigned n_workers, struct listener_set **out, struct buf *why)
{
    struct listener_set *new = calloc(1, sizeof *new + s->n_listeners * sizeof new->v[0]);
    bool all = true;

    if (new == NULL)
        return -ERR_NOMEM;
    atomic_store(&new->refs, 1);
    for (size_t i = 0; i < s->n_listeners; i++) { /* all are tried, so that all that is wrong is said */
        struct listener *l = listener_of(old, &s->listeners[i]);
        l = l != NULL ? listener_ref(l) : listener_new(&s->listeners[i], n_workers, why);
        if (l != NULL)
            new->v[new->n++] = l;
        else
            all = false;
    }
    if (!all) {
        listener_set_unref(&new);
        return -ERR_INVALID;
    }
    *out = new;
    return 0;
}

struct listener_set *listener_set_ref(struct listener_set *set_)
{
    atomic_fetch_add_explicit(&set_->refs, 1, memory_order_relaxed);
    return set_;
}

void listener_set_unref(struct listener_set **setp)
{
    struct listener_set *set_ = *setp;

    *setp = NULL;
    if (set_ == NULL || atomic_fetch_sub(&set_->refs, 1) != 1)
        return;
    for (size_t i = 0; i < set_->n; i++)
        listener_unref(&set_->v[i]);
    free(set_);
}

void listener_set_try(const struct snapshot *s, struct buf *why)
{
    for (size_t i = 0; i < s->n_listeners; i++)
        if (!is_free(&s->listeners[i]))
            say_why(why, &s->listeners[i], errno);
}

/* ---- doors ---- */

struct door *door_find(struct worker *w, const struct listener *l)
{
    LIST_EACH(&w->doors, it) {
        struct door *d = LIST_ITEM(it, struct door, link);
        if (d->listener == l)
            return d;
    }
    return NULL;
}

static void door_free(struct door *d)
{
    list_remove(&d->link);
    listener_unref(&d->listener);
    served_done(&d->served);
    d->magic = 0;
    free(d);
}

/* A closed door stays until the next configuration, or the end: a connection that another worker let in may have been taken
 * over before it started, and its new worker must still find the door.  By the next one all workers have closed theirs. */
static void doors_free(struct worker *w, bool all)
{
    LIST_EACH_SAFE(&w->doors, it) {
        struct door *d = LIST_ITEM(it, struct door, link);
        if (all || (d->closed && d->conns == 0 && !d->accepting))
            door_free(d);
    }
}

void doors_tidy(struct worker *w) { doors_free(w, false); }
void doors_end(struct worker *w) { doors_free(w, true); }

void door_leave(struct door **dp)
{
    struct door *d = *dp;

    *dp = NULL;
    MUST_BE(d, DOOR_MAGIC);
    MUST(d->conns > 0);
    d->conns--;
}

void door_accept_ended(struct door *d)
{
    d->fiber = NULL;
    d->accepting = false;
    pd_forget(&d->pd);
    (void)sys->close(d->pd.fd);
    if (d->listener->unlink_path != NULL) { /* a Unix socket has one door that accepts */
        (void)unlink(d->listener->unlink_path);
        free(d->listener->unlink_path);
        d->listener->unlink_path = NULL;
    }
}

static void door_close(struct door *d)
{
    if (d->closed)
        return;
    d->closed = true;
    if (d->fiber != NULL)
        fiber_cancel(d->fiber, ERR_DRAINING);
}

void doors_close(struct worker *w)
{
    LIST_EACH_SAFE(&w->doors, it)
        door_close(LIST_ITEM(it, struct door, link));
}

static struct door *door_new(struct worker *w, struct listener *l)
{
    struct door *d = calloc(1, sizeof *d);
    int fd = l->socket[w->index];

    if (d == NULL)
        return NULL;
    d->magic = DOOR_MAGIC;
    d->worker = w;
    d->listener = listener_ref(l);
    list_push_back(&w->doors, &d->link);
    if (fd < 0)
        return d;
    l->socket[w->index] = -1; /* the door's from now on; each worker touches only its own */
    pd_init(&d->pd, fd);
    d->pd.flags = PD_LEVEL; /* epoll tells who is waiting */
    if (accept_start(d) < 0) {
        (void)sys->close(fd);
        door_free(d);
        return NULL;
    }
    return d;
}

static const struct listener_conf *conf_of(const struct serving *s, const struct listener *l)
{
    for (size_t i = 0; i < s->conf->n_listeners; i++)
        if (addr_equal(&s->conf->listeners[i].bind, &l->bind))
            return &s->conf->listeners[i];
    return NULL;
}

static bool in_set(const struct listener_set *set_, const struct listener *l)
{
    for (size_t i = 0; i < set_->n; i++)
        if (set_->v[i] == l)
            return true;
    return false;
}

int doors_update(struct worker *w, struct served *served, struct listener_set *set_)
{
    int rc = 0;

    for (size_t i = 0; i < set_->n; i++) {
        struct door *d = door_find(w, set_->v[i]);
        int began;

        if (d == NULL)
            d = door_new(w, set_->v[i]);
        if (d == NULL) {
            rc = -ERR_NOMEM;
            continue;
        }
        began = d->conf != NULL ? client_begins(d->conf) : -1;
        served_done(&d->served);
        d->served = served_use(served);
        d->conf = conf_of(served->serving, d->listener);
        MUST(d->conf != NULL);
        if (d->accepting && began >= 0 && began != client_begins(d->conf))
            defer_accept(d->pd.fd, d->conf);
    }
    /* The analyzer can't follow list_remove() through the neighbours.  NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    LIST_EACH_SAFE(&w->doors, it) {
        struct door *d = LIST_ITEM(it, struct door, link);
        if (!in_set(set_, d->listener))
            door_close(d);
    }
    return rc;
}
