/* net.c - sockets, pipes and listeners; bytes under way are events. */
#include "tests/sim/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#include "fiber/core.h"

enum { FD_FIRST = 1 << 20, PIPE_MOST = 65536, BACKLOG_MOST = 64, TURNS_MOST = 3000000 };

enum kind { SOCKET, LISTENER, CONNECTING, CONNECTED, PIPE_READ, PIPE_WRITE, SPARE };
struct sock {
    int fd;
    enum kind kind;
    bool proxy;   /* whose descriptor it is */
    bool counted; /* a descriptor of the proxy's that is open */
    bool closed, linger_reset;
    uint16_t port, peer_port;
    uint32_t peer_ip;
    struct sock *peer;
    int64_t latency, last_arrival; /* of what comes here */
    /* what came */
    char *in;
    size_t at, n, cap;
    bool fin_in, reset;
    int error;
    /* what goes */
    size_t buffer, unacked;
    bool fin_out, full;
    /* a listener */
    struct sock *backlog[BACKLOG_MOST];
    int n_backlog;
    /* who wants to know */
    struct pd *pd;
    bool pending, false_alarm;
    struct fiber *reader, *writer;
};

enum event_kind { BYTES, FIN, RST, ACK, SYN, SYN_ACK, ROOM, ALARM, CUT, NO_ANSWER };
struct event {
    int64_t when;
    uint64_t seq;
    enum event_kind kind;
    struct sock *to, *from;
    size_t n;
    bool dropped;
    char bytes[];
};

struct report {
    struct sock *s;
    unsigned flags;
};

static struct {
    struct net_plan plan;
    struct rng rng;
    int64_t now;
    uint64_t seq, turns;
    struct event **heap;
    size_t n_heap, cap_heap;
    struct sock **socks;
    size_t n_socks, cap_socks;
    struct sock **pending;
    size_t n_pending, cap_pending;
    bool held;
    struct report *reports;
    size_t cap_reports;
    struct sock *listeners[8]; /* the proxy's */
    unsigned n_listeners;
    unsigned descriptors;
    uint16_t next_port;
    bool woken;
} net;

int64_t sim_now(void) { return net.now; }
static int64_t monotonic(void) { return net.now; }
static int64_t wall(void) { return net.now + INT64_C(1700000000000000); }
const struct clock_source sim_clock = { monotonic, wall };

static bool chance(unsigned of_1000) { return of_1000 != 0 && sim_is_proxy() && rng_chance(&net.rng, of_1000); }

/* ---- events ---- */

static bool earlier(const struct event *a, const struct event *b)
{
    return a->when != b->when ? a->when < b->when : a->seq < b->seq;
}

static void heap_push(struct event *e)
{
    size_t i = net.n_heap++;

    if (i == net.cap_heap) {
        net.cap_heap = net.cap_heap == 0 ? 256 : net.cap_heap * 2;
        net.heap = sim_grow(net.heap, net.cap_heap * sizeof *net.heap);
    }
    while (i > 0 && earlier(e, net.heap[(i - 1) / 2])) {
        net.heap[i] = net.heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    net.heap[i] = e;
}

static struct event *heap_pop(void)
{
    struct event *first = net.heap[0], *last = net.heap[--net.n_heap];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= net.n_heap)
            break;
        if (child + 1 < net.n_heap && earlier(net.heap[child + 1], net.heap[child]))
            child++;
        if (!earlier(net.heap[child], last))
            break;
        net.heap[i] = net.heap[child];
        i = child;
    }
    if (net.n_heap > 0)
        net.heap[i] = last;
    return first;
}

static struct event *event_at(enum event_kind kind, struct sock *to, int64_t when, const void *bytes, size_t n)
{
    struct event *e = sim_alloc(sizeof *e + (bytes != NULL ? n : 0));

    *e = (struct event){ .when = when, .seq = net.seq++, .kind = kind, .to = to, .n = n };
    if (bytes != NULL)
        memcpy(e->bytes, bytes, n);
    heap_push(e);
    return e;
}

/* Nothing overtakes what was sent before it. */
static struct event *send_event(enum event_kind kind, struct sock *to, const void *bytes, size_t n)
{
    int64_t when = net.now + to->latency + (int64_t)rng_below(&net.rng, (uint64_t)to->latency / 4 + 2);

    if (when < to->last_arrival)
        when = to->last_arrival;
    to->last_arrival = when;
    return event_at(kind, to, when, bytes, n);
}

/* ---- descriptors ---- */

static struct sock *sock_new(enum kind kind, bool proxy)
{
    struct sock *s = sim_alloc(sizeof *s);

    if (net.n_socks == net.cap_socks) {
        net.cap_socks = net.cap_socks == 0 ? 256 : net.cap_socks * 2;
        net.socks = sim_grow(net.socks, net.cap_socks * sizeof *net.socks);
    }
    s->fd = FD_FIRST + (int)net.n_socks;
    net.socks[net.n_socks++] = s;
    s->kind = kind;
    s->proxy = proxy;
    s->latency = (int64_t)rng_between(&net.rng, (uint64_t)net.plan.latency_least, (uint64_t)net.plan.latency_most);
    s->buffer = rng_between(&net.rng, net.plan.buffer_least, net.plan.buffer_most);
    return s;
}

static void count(struct sock *s)
{
    s->counted = true;
    net.descriptors++;
}

unsigned net_descriptors(void) { return net.descriptors; }

static struct sock *sock_of(int fd, const char *who)
{
    struct sock *s = fd >= FD_FIRST && (size_t)(fd - FD_FIRST) < net.n_socks ? net.socks[fd - FD_FIRST] : NULL;

    if (s == NULL)
        sim_fail("%s() of descriptor %d, which never was one", who, fd);
    if (s->closed)
        sim_fail("%s() of descriptor %d, which is closed", who, fd);
    return s;
}

static size_t room(const struct sock *s) { return s->unacked >= s->buffer ? 0 : s->buffer - s->unacked; }

/* tcp_poll() */
static unsigned mask_of(const struct sock *s)
{
    unsigned m = 0;

    if (s->kind == LISTENER)
        return s->n_backlog > 0 ? EPOLLIN : 0;
    if (s->kind != CONNECTED && !s->reset)
        return 0;
    if (s->n > 0 || s->fin_in || s->reset)
        m |= EPOLLIN;
    if (s->fin_in || s->reset)
        m |= EPOLLRDHUP;
    if (s->reset || (s->fin_in && s->fin_out))
        m |= EPOLLHUP;
    if (s->reset || s->fin_out || (!s->full && room(s) > 0))
        m |= EPOLLOUT;
    if (s->error != 0)
        m |= EPOLLERR;
    return m;
}

static void wake(struct fiber **f)
{
    struct fiber *who = *f;

    *f = NULL;
    if (who != NULL && who->state == FIBER_PARKED)
        fiber_wake(who, 0);
}

static void pending_push(struct sock *s)
{
    if (s->pending)
        return;
    s->pending = true;
    if (net.n_pending == net.cap_pending) {
        net.cap_pending = net.cap_pending == 0 ? 64 : net.cap_pending * 2;
        net.pending = sim_grow(net.pending, net.cap_pending * sizeof(struct sock *));
    }
    net.pending[net.n_pending++] = s;
}

/* Something about it has changed. */
static void edge(struct sock *s)
{
    if (s->closed)
        return;
    wake(&s->reader);
    wake(&s->writer);
    if (s->pd != NULL)
        pending_push(s);
}

/* ---- what the network does ---- */

static void reset_arrives(struct sock *s)
{
    if (s->closed || s->reset)
        return;
    sim_trace("fd %d is reset", s->fd);
    s->error = s->kind == CONNECTING ? ECONNREFUSED : s->fin_in ? EPIPE : ECONNRESET;
    s->reset = true;
    edge(s);
}

static void bytes_arrive(struct sock *s, const struct event *e)
{
    if (s->reset)
        return;
    if (s->closed) {
        if (s->peer != NULL)
            (void)send_event(RST, s->peer, NULL, 0);
        return;
    }
    if (s->at > 0 && s->at + s->n + e->n > s->cap) {
        memmove(s->in, s->in + s->at, s->n);
        s->at = 0;
    }
    if (s->n + e->n > s->cap) {
        s->cap = (s->n + e->n) * 2;
        s->in = sim_grow(s->in, s->cap);
    }
    memcpy(s->in + s->at + s->n, e->bytes, e->n);
    s->n += e->n;
    edge(s);
}

static void ack_arrives(struct sock *s, size_t n)
{
    s->unacked -= n;
    if (s->full && room(s) * 3 >= s->buffer) {
        s->full = false;
        edge(s);
    }
}

static struct sock *listener_at(uint16_t port)
{
    for (size_t i = net.n_socks; i-- > 0;)
        if (net.socks[i]->kind == LISTENER && !net.socks[i]->closed && net.socks[i]->port == port)
            return net.socks[i];
    return NULL;
}

bool net_has_listener(uint16_t port) { return listener_at(port) != NULL; }

static void syn_arrives(struct sock *from)
{
    struct sock *l = listener_at(from->peer_port), *s;

    if (from->closed)
        return;
    if (l == NULL) {
        (void)send_event(RST, from, NULL, 0);
        return;
    }
    if (l->n_backlog == BACKLOG_MOST) { /* dropped; sent again after a second */
        event_at(SYN, NULL, net.now + CLOCK_S, NULL, 0)->from = from;
        return;
    }
    s = sock_new(CONNECTED, l->proxy);
    s->peer = from;
    s->port = l->port;
    s->peer_port = from->port;
    s->peer_ip = from->peer_ip; /* the caller has written its own there */
    s->latency = from->latency;
    from->peer = s;
    l->backlog[l->n_backlog++] = s;
    (void)send_event(SYN_ACK, from, NULL, 0);
    edge(l);
    if (net.plan.faults.cut != 0 && rng_chance(&net.rng, net.plan.faults.cut))
        (void)event_at(CUT, s, net.now + (int64_t)rng_below(&net.rng, 2 * CLOCK_S), NULL, 0);
}

static void syn_ack_arrives(struct sock *s)
{
    if (s->reset)
        return;
    if (s->closed) {
        (void)send_event(RST, s->peer, NULL, 0);
        return;
    }
    s->kind = CONNECTED;
    edge(s);
}

static void event_happens(struct event *e)
{
    struct sock *s = e->to;

    switch (e->kind) {
    case BYTES: bytes_arrive(s, e); break;
    case FIN:
        if (!s->reset && !s->closed) {
            s->fin_in = true;
            edge(s);
        }
        break;
    case RST: reset_arrives(s); break;
    case ACK: ack_arrives(s, e->n); break;
    case SYN: syn_arrives(e->from); break;
    case SYN_ACK: syn_ack_arrives(s); break;
    case ROOM:
        if (s->full) {
            s->full = room(s) == 0;
            edge(s);
        }
        break;
    case ALARM:
        s->false_alarm = true;
        edge(s);
        break;
    case CUT:
        if (s->fin_in && s->fin_out)
            break;
        sim_trace("the network cuts fd %d and fd %d", s->fd, s->peer->fd);
        reset_arrives(s);
        reset_arrives(s->peer);
        break;
    case NO_ANSWER:
        if (s->kind == CONNECTING && !s->closed && !s->reset) {
            s->error = ETIMEDOUT;
            s->reset = true;
            edge(s);
        }
        break;
    }
}

static void events_happen(void)
{
    while (net.n_heap > 0 && net.heap[0]->when <= net.now) {
        struct event *e = heap_pop();
        if (!e->dropped)
            event_happens(e);
        sim_free(e);
    }
}

/* ---- sockets, whoever has them ---- */

static int told_error(struct sock *s, int otherwise)
{
    int error = s->error != 0 ? s->error : otherwise;

    s->error = 0;
    return error;
}

/* A receiver's buffer and what is under way to it are the sender's `unacked`. */
static void took(struct sock *s, size_t n)
{
    s->at += n;
    s->n -= n;
    if (s->n == 0)
        s->at = 0;
    if (s->peer != NULL && !s->peer->closed)
        (void)event_at(ACK, s->peer, net.now + s->latency, NULL, n);
}

static ssize_t fails_with(int error)
{
    errno = error;
    return -1;
}

/* tcp_recvmsg(): what came before a reset is still given out; the error is told once, then it is an end. */
static ssize_t may_recv(struct sock *s)
{
    if (s->n > 0)
        return 1;
    if (s->fin_in)
        return 0;
    if (s->error != 0)
        return fails_with(told_error(s, 0));
    if (s->reset)
        return 0;
    return fails_with(s->kind == CONNECTED ? EAGAIN : ENOTCONN);
}

static ssize_t raw_recv(struct sock *s, void *buf, size_t n, bool peek)
{
    ssize_t may = may_recv(s);

    if (may <= 0)
        return may;
    if (n > s->n)
        n = s->n;
    memcpy(buf, s->in + s->at, n);
    if (!peek)
        took(s, n);
    return (ssize_t)n;
}

/* How many bytes may go now, or -1. */
static ssize_t may_send(struct sock *s, size_t n)
{
    size_t most = room(s);

    if (s->error != 0 || s->reset || s->fin_out)
        return fails_with(told_error(s, EPIPE));
    if (s->kind != CONNECTED)
        return fails_with(ENOTCONN);
    if (s->full)
        return fails_with(EAGAIN);
    if (most > 0 && n > 1 && chance(net.plan.faults.little_room)) {
        most = rng_below(&net.rng, n < most ? n : most);
        (void)event_at(ROOM, s, net.now + (int64_t)rng_below(&net.rng, 5 * CLOCK_MS), NULL, 0);
    }
    if (n > most) {
        n = most;
        s->full = true;
    }
    return n == 0 ? fails_with(EAGAIN) : (ssize_t)n;
}

static void put(struct sock *s, const char *bytes, size_t n)
{
    s->unacked += n;
    while (n > 0) {
        size_t piece = rng_chance(&net.rng, 700) ? n : rng_between(&net.rng, 1, n);
        (void)send_event(BYTES, s->peer, bytes, piece);
        bytes += piece;
        n -= piece;
    }
}

static ssize_t raw_send(struct sock *s, const void *buf, size_t n)
{
    ssize_t k = may_send(s, n);

    if (k > 0)
        put(s, buf, (size_t)k);
    return k;
}

static void raw_shutdown(struct sock *s)
{
    if (s->fin_out || s->reset)
        return;
    s->fin_out = true;
    (void)send_event(FIN, s->peer, NULL, 0);
    edge(s);
}

/* A reset throws away what has not left yet: the rest of what is under way, from a random place. */
static void send_reset(struct sock *s)
{
    int64_t until = net.now + (int64_t)rng_below(&net.rng, (uint64_t)s->latency + 2);

    if (s->peer == NULL)
        return;
    for (size_t i = 0; i < net.n_heap; i++) {
        struct event *e = net.heap[i];
        if (e->to == s->peer && (e->kind == BYTES || e->kind == FIN) && e->when > until)
            e->dropped = true;
    }
    (void)send_event(RST, s->peer, NULL, 0);
}

static void raw_close(struct sock *s)
{
    s->closed = true;
    if (s->pd != NULL)
        sim_fail("descriptor %d is closed while it is polled", s->fd);
    if (s->counted) {
        s->counted = false;
        net.descriptors--;
    }
    if (s->kind == LISTENER)
        for (int i = 0; i < s->n_backlog; i++) {
            s->backlog[i]->closed = true;
            send_reset(s->backlog[i]);
        }
    if ((s->kind == PIPE_READ || s->kind == PIPE_WRITE) || s->kind == SPARE || s->peer == NULL || s->reset)
        return;
    if (s->n > 0 || s->linger_reset || s->kind == CONNECTING)
        send_reset(s);
    else if (!s->fin_out)
        (void)send_event(FIN, s->peer, NULL, 0);
}

static int raw_connect(struct sock *s, uint16_t port, uint32_t from_ip)
{
    s->kind = CONNECTING;
    s->port = ++net.next_port;
    s->peer_port = port;
    s->peer_ip = from_ip;
    event_at(SYN, NULL, net.now + s->latency, NULL, 0)->from = s;
    return 0;
}

/* ---- sys ---- */

static struct sock *sys_new(enum kind kind)
{
    const struct net_faults *f = &net.plan.faults;
    struct sock *s;

    if (chance(f->no_descriptor) || (f->descriptors != 0 && net.descriptors >= f->descriptors)) {
        errno = rng_chance(&net.rng, 800) ? EMFILE : ENFILE;
        return NULL;
    }
    if (chance(f->no_memory)) {
        errno = rng_chance(&net.rng, 500) ? ENOBUFS : ENOMEM;
        return NULL;
    }
    s = sock_new(kind, true);
    count(s);
    return s;
}

static int sys_socket(int domain, int type, int protocol)
{
    struct sock *s = sys_new(SOCKET);

    (void)protocol;
    if (domain != AF_INET || (type & SOCK_NONBLOCK) == 0)
        sim_fail("socket() of a kind that is not simulated");
    return s == NULL ? -1 : s->fd;
}

static uint16_t port_of(const struct sockaddr *sa) { return ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port); }

static int sys_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    (void)len;
    sock_of(fd, "bind")->port = port_of(sa);
    return 0;
}

static int sys_listen(int fd, int backlog)
{
    struct sock *s = sock_of(fd, "listen");

    (void)backlog;
    s->kind = LISTENER;
    if (net.n_listeners == sizeof net.listeners / sizeof net.listeners[0])
        sim_fail("too many listeners");
    net.listeners[net.n_listeners++] = s;
    return 0;
}

static int sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    struct sock *s = sock_of(fd, "connect");

    (void)len;
    if (chance(net.plan.faults.unreachable)) {
        if (rng_chance(&net.rng, 500)) {
            errno = rng_chance(&net.rng, 500) ? EHOSTUNREACH : EADDRNOTAVAIL;
            return -1;
        }
        s->kind = CONNECTING;
        (void)event_at(NO_ANSWER, s, net.now + 130 * CLOCK_S, NULL, 0);
    } else {
        (void)raw_connect(s, port_of(sa), 0x0a000001);
    }
    errno = EINPROGRESS;
    return -1;
}

static int sys_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    struct sock *l = sock_of(fd, "accept"), *s;
    const struct net_faults *f = &net.plan.faults;

    if (chance(f->interrupt))
        return (int)fails_with(EINTR);
    if (l->n_backlog == 0)
        return (int)fails_with(EAGAIN);
    if (chance(f->aborted))
        return (int)fails_with(ECONNABORTED);
    if (chance(f->no_descriptor) || (f->descriptors != 0 && net.descriptors >= f->descriptors))
        return (int)fails_with(EMFILE);
    if (chance(f->no_memory))
        return (int)fails_with(ENOBUFS);
    s = l->backlog[0];
    memmove(l->backlog, l->backlog + 1, (size_t)--l->n_backlog * sizeof l->backlog[0]);
    count(s);
    sim_trace("fd %d accepted, peer fd %d", s->fd, s->peer->fd);
    if (sa != NULL) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(s->peer_port), .sin_addr.s_addr = htonl(s->peer_ip) };
        memcpy(sa, &in, sizeof in);
        *len = sizeof in;
    }
    return s->fd;
}

static ssize_t sys_recv(int fd, void *buf, size_t n, int flags)
{
    struct sock *s = sock_of(fd, "recv");

    if (chance(net.plan.faults.interrupt))
        return fails_with(EINTR);
    return raw_recv(s, buf, n, (flags & MSG_PEEK) != 0);
}

static ssize_t sys_send(int fd, const void *buf, size_t n, int flags)
{
    struct sock *s = sock_of(fd, "send");

    if ((flags & MSG_NOSIGNAL) == 0)
        sim_fail("send() without MSG_NOSIGNAL");
    if (chance(net.plan.faults.interrupt))
        return fails_with(EINTR);
    return raw_send(s, buf, n);
}

static ssize_t sys_sendmsg(int fd, const struct msghdr *m, int flags)
{
    ssize_t all = 0;

    for (size_t i = 0; i < m->msg_iovlen; i++) {
        const struct iovec *v = &m->msg_iov[i];
        /* no EINTR in the middle: a short write means that the buffer is full (epoll(7)) */
        ssize_t n = i == 0 ? sys_send(fd, v->iov_base, v->iov_len, flags)
                           : raw_send(sock_of(fd, "sendmsg"), v->iov_base, v->iov_len);
        if (n < 0)
            return all > 0 ? all : n;
        all += n;
        if ((size_t)n < v->iov_len)
            break;
    }
    return all;
}

static ssize_t splice_in(struct sock *from, struct sock *p, size_t n)
{
    struct sock *pipe = p->peer;
    ssize_t may = may_recv(from);

    if (may <= 0)
        return may;
    if (pipe->n == PIPE_MOST)
        return fails_with(EAGAIN);
    if (n > from->n)
        n = from->n;
    if (n > PIPE_MOST - pipe->n)
        n = PIPE_MOST - pipe->n;
    if (n > 1 && chance(net.plan.faults.short_splice))
        n = rng_between(&net.rng, 1, n);
    if (pipe->cap == 0) {
        pipe->cap = 2 * PIPE_MOST;
        pipe->in = sim_alloc(pipe->cap);
    }
    memmove(pipe->in, pipe->in + pipe->at, pipe->n);
    pipe->at = 0;
    memcpy(pipe->in + pipe->n, from->in + from->at, n);
    pipe->n += n;
    took(from, n);
    return (ssize_t)n;
}

static ssize_t splice_out(struct sock *pipe, struct sock *to, size_t n)
{
    ssize_t k;

    if (pipe->n == 0)
        return fails_with(EAGAIN);
    if (n > pipe->n)
        n = pipe->n;
    if (n > 1 && chance(net.plan.faults.short_splice))
        n = rng_between(&net.rng, 1, n);
    k = raw_send(to, pipe->in + pipe->at, n);
    if (k > 0) {
        pipe->at += (size_t)k;
        pipe->n -= (size_t)k;
    }
    return k;
}

static ssize_t sys_splice(int from, int to, size_t n, unsigned flags)
{
    struct sock *a = sock_of(from, "splice"), *b = sock_of(to, "splice");

    (void)flags;
    if (chance(net.plan.faults.interrupt))
        return fails_with(EINTR);
    return b->kind == PIPE_WRITE ? splice_in(a, b, n) : splice_out(a, b, n);
}

static int sys_pipe(int fds[2])
{
    struct sock *r = sys_new(PIPE_READ), *w;

    if (r == NULL)
        return -1;
    w = sys_new(PIPE_WRITE);
    if (w == NULL) {
        int error = errno;
        raw_close(r);
        errno = error;
        return -1;
    }
    r->peer = w;
    w->peer = r;
    fds[0] = r->fd;
    fds[1] = w->fd;
    return 0;
}

static int sys_spare(void)
{
    struct sock *s = sys_new(SPARE);

    return s == NULL ? -1 : s->fd;
}

static int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct sock *s = sock_of(fd, "setsockopt");

    (void)len;
    if (level == SOL_SOCKET && name == SO_LINGER)
        s->linger_reset = ((const struct linger *)value)->l_onoff != 0 && ((const struct linger *)value)->l_linger == 0;
    return 0;
}

static int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct sock *s = sock_of(fd, "getsockopt");

    if (level != SOL_SOCKET || name != SO_ERROR)
        return (int)fails_with(ENOPROTOOPT);
    *(int *)value = told_error(s, 0);
    *len = sizeof(int);
    return 0;
}

static int sys_shutdown(int fd, int how)
{
    struct sock *s = sock_of(fd, "shutdown");

    if (how != SHUT_WR)
        sim_fail("shutdown(%d) is not simulated", how);
    if (s->reset || s->kind != CONNECTED)
        return (int)fails_with(ENOTCONN);
    raw_shutdown(s);
    return 0;
}

static int sys_close(int fd)
{
    struct sock *s = sock_of(fd, "close");

    if (!s->counted)
        sim_fail("close() of descriptor %d, which is not the proxy's", fd);
    sim_trace("fd %d closed by the proxy%s", fd, s->linger_reset || s->n > 0 ? " with a reset" : "");
    raw_close(s);
    return 0;
}

const struct sys_ops sim_sys = {
    .socket = sys_socket,
    .bind = sys_bind,
    .listen = sys_listen,
    .connect = sys_connect,
    .accept = sys_accept,
    .recv = sys_recv,
    .send = sys_send,
    .sendmsg = sys_sendmsg,
    .splice = sys_splice,
    .pipe = sys_pipe,
    .spare = sys_spare,
    .setsockopt = sys_setsockopt,
    .getsockopt = sys_getsockopt,
    .shutdown = sys_shutdown,
    .close = sys_close,
};

/* ---- the engine ---- */

static void *engine_open(void *arg)
{
    (void)arg;
    return &net;
}

static void engine_close(void *state) { (void)state; }

static int engine_add(void *state, struct pd *p)
{
    struct sock *s = sock_of(p->fd, "epoll_ctl");

    (void)state;
    if (s->pd != NULL)
        sim_fail("descriptor %d is polled twice", p->fd);
    if (chance(net.plan.faults.no_memory))
        return -ERR_NOMEM;
    s->pd = p;
    if (mask_of(s) != 0)
        pending_push(s);
    if (chance(net.plan.faults.false_alarm))
        (void)event_at(ALARM, s, net.now + (int64_t)rng_below(&net.rng, CLOCK_S), NULL, 0);
    return 0;
}

static void engine_remove(void *state, struct pd *p)
{
    struct sock *s = sock_of(p->fd, "epoll_ctl");

    (void)state;
    s->pd = NULL;
    s->pending = false;
}

/* epoll.c and on_event() of netpoll.c */
static unsigned seen_by_libevent(const struct sock *s, unsigned m)
{
    unsigned flags = 0;

    if ((s->pd->flags & PD_LEVEL) != 0)
        return (m & EPOLLIN) != 0 ? PD_READ : 0;
    if ((m & EPOLLERR) != 0 || ((m & EPOLLHUP) != 0 && (m & EPOLLRDHUP) == 0))
        return PD_READ | PD_WRITE | PD_DOUBT;
    if ((m & EPOLLIN) != 0)
        flags |= PD_READ;
    if ((m & EPOLLOUT) != 0)
        flags |= PD_WRITE;
    if ((m & EPOLLRDHUP) != 0)
        return flags | PD_READ | PD_EOF;
    return flags == (PD_READ | PD_WRITE) ? flags | PD_DOUBT : flags;
}

/* All that is known now is taken at once, and told one after the other. */
static bool tell_all(void)
{
    struct report *reports;
    size_t n = 0;

    if (net.held)
        return false;
    for (unsigned i = 0; i < net.n_listeners; i++) /* level-triggered */
        if (net.listeners[i]->pd != NULL && net.listeners[i]->n_backlog > 0)
            pending_push(net.listeners[i]);
    if (net.n_pending > net.cap_reports) {
        net.cap_reports = net.n_pending * 2;
        net.reports = sim_grow(net.reports, net.cap_reports * sizeof *net.reports);
    }
    reports = net.reports;
    for (size_t i = 0; i < net.n_pending; i++) {
        struct sock *s = net.pending[i];
        if (!s->pending || s->pd == NULL)
            continue;
        s->pending = false;
        reports[n] = (struct report){ s, seen_by_libevent(s, mask_of(s)) | (s->false_alarm ? PD_READ | PD_WRITE : 0u) };
        s->false_alarm = false;
        if (reports[n].flags != 0)
            n++;
    }
    net.n_pending = 0;
    for (size_t i = n; i > 1; i--) { /* in any order */
        size_t j = rng_below(&net.rng, i);
        struct report swap = reports[j];
        reports[j] = reports[i - 1];
        reports[i - 1] = swap;
    }
    for (size_t i = 0; i < n; i++) {
        struct sock *s = reports[i].s;
        if (s->pd == NULL || s->closed)
            continue;
        sim_trace("fd %d: event %u", s->fd, reports[i].flags);
        pd_report(s->pd, reports[i].flags);
    }
    return n > 0;
}

static void engine_poll(void *state, int64_t until)
{
    struct sched *sched = sched_of_thread;

    (void)state;
    if (++net.turns > TURNS_MOST)
        sim_fail("%d turns: it runs in circles", TURNS_MOST);
    net.now++; /* a turn takes some time */
    for (;;) {
        int64_t next = until;

        events_happen();
        if (tell_all() || until == 0 || sched->ready_first != NULL || net.woken)
            break;
        if (net.n_heap > 0 && net.heap[0]->when < next)
            next = net.heap[0]->when;
        if (next == CLOCK_NEVER)
            sim_fail("nothing will ever happen again");
        if (next <= net.now && until <= net.now)
            break;
        if (next > net.now)
            net.now = next;
        if (net.now >= until) {
            events_happen();
            (void)tell_all();
            break;
        }
    }
    net.woken = false;
}

static void engine_wake(void *state)
{
    (void)state;
    net.woken = true;
}

const struct netpoll_engine sim_engine = {
    .open = engine_open,
    .close = engine_close,
    .add = engine_add,
    .remove = engine_remove,
    .poll = engine_poll,
    .wake = engine_wake,
};

void net_open(const struct net_plan *plan)
{
    memset(&net, 0, sizeof net);
    net.plan = *plan;
    net.rng = rng_of(RNG_NET, 0);
    net.now = 1000 * CLOCK_S;
    net.next_port = 20000;
}

void net_faults_end(void) { net.plan.faults = (struct net_faults){ 0 }; }

void net_close(void)
{
    for (size_t i = 0; i < net.n_socks; i++) {
        sim_free(net.socks[i]->in);
        sim_free(net.socks[i]);
    }
    while (net.n_heap > 0)
        sim_free(heap_pop());
    sim_free(net.socks);
    sim_free(net.heap);
    sim_free(net.pending);
    sim_free(net.reports);
    memset(&net, 0, sizeof net);
}

/* ---- actors ---- */

struct sock *sim_listen(uint16_t port)
{
    struct sock *s = sock_new(LISTENER, false);

    s->port = port;
    return s;
}

static bool wait_for(struct sock *s, struct fiber **slot, int64_t deadline)
{
    int rc;

    *slot = fiber_self();
    rc = fiber_park(NULL, deadline);
    if (*slot == fiber_self())
        *slot = NULL;
    return rc == 0 && !s->closed;
}

struct sock *sim_accept(struct sock *s, int64_t deadline)
{
    struct sock *new;

    while (!s->closed && s->n_backlog == 0)
        if (!wait_for(s, &s->reader, deadline))
            return NULL;
    if (s->closed)
        return NULL;
    new = s->backlog[0];
    memmove(s->backlog, s->backlog + 1, (size_t)--s->n_backlog * sizeof s->backlog[0]);
    return new;
}

struct sock *sim_connect(uint16_t port, uint32_t from_ip, int64_t deadline)
{
    struct sock *s = sock_new(SOCKET, false);

    (void)raw_connect(s, port, from_ip);
    while (s->kind == CONNECTING && !s->reset)
        if (!wait_for(s, &s->writer, deadline))
            break;
    if (s->kind == CONNECTED && !s->reset)
        return s;
    sim_close(s, true);
    return NULL;
}

ssize_t sim_recv(struct sock *s, void *buf, size_t n, int64_t deadline)
{
    for (;;) {
        ssize_t got = s->closed ? fails_with(ECONNRESET) : raw_recv(s, buf, n, false);

        if (got >= 0)
            return s->reset && got == 0 && !s->fin_in ? SIM_RESET : got; /* actors see a reset as often as they look */
        if (errno != EAGAIN)
            return SIM_RESET;
        if (!wait_for(s, &s->reader, deadline))
            return s->closed ? SIM_RESET : SIM_LATE;
    }
}

int sim_send(struct sock *s, const void *buf, size_t n, int64_t deadline)
{
    while (n > 0) {
        ssize_t k = s->closed ? fails_with(ECONNRESET) : raw_send(s, buf, n);

        if (k > 0) {
            buf = (const char *)buf + k;
            n -= (size_t)k;
        } else if (errno != EAGAIN) {
            return SIM_RESET;
        } else if (!wait_for(s, &s->writer, deadline)) {
            return s->closed ? SIM_RESET : SIM_LATE;
        }
    }
    return 0;
}

void sim_send_in_one(struct sock *s, const char *bytes, size_t n)
{
    if (s->closed || s->reset || s->fin_out)
        return;
    s->unacked += n;
    (void)send_event(BYTES, s->peer, bytes, n);
}

void sim_shutdown(struct sock *s)
{
    if (!s->closed)
        raw_shutdown(s);
}

void sim_close(struct sock *s, bool reset)
{
    if (s->closed)
        return;
    if (reset)
        s->linger_reset = true;
    raw_close(s);
    wake(&s->reader);
    wake(&s->writer);
}

int sim_fd(const struct sock *s) { return s->fd; }

bool sim_has_arrived(const struct sock *s)
{
    if (s->closed || s->peer == NULL || !s->peer->counted)
        return false;
    for (size_t i = 0; i < net.n_heap; i++)
        if (net.heap[i]->kind == BYTES && net.heap[i]->to == s->peer && !net.heap[i]->dropped)
            return false;
    return true;
}

void net_hold(bool hold) { net.held = hold; }
