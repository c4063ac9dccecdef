/*
 * net.h - sockets in memory, on a clock of their own.
 *
 * They do what Linux' TCP sockets do, as far as a proxy can tell: bytes travel in pieces that take time, each way has a bounded
 * buffer, a close with unread bytes is a reset, bytes that came before a reset can still be read, an error is told once.
 * Readiness is epoll's, edge-triggered, through libevent's eyes (epoll.c of 2.1: an error is EV_READ and EV_WRITE alone).
 * A descriptor is never given out twice, so any use after close() is seen, and fails the run.
 *
 * The proxy comes in by `sim_sys` and `sim_engine`; only there faults are injected.  Actors (fibers whose names begin with
 * "sim") use the functions below.
 * Threads: one.  Memory: all until net_close().
 */
#ifndef SIM_NET_H
#define SIM_NET_H
#include <sys/types.h>

#include "fiber/netpoll.h"
#include "net/sys.h"
#include "tests/sim/sim.h"

struct net_faults { /* of 1000 calls */
    unsigned interrupt;      /* EINTR */
    unsigned short_splice;
    unsigned little_room;    /* a send takes only some, although nobody is slow */
    unsigned false_alarm;    /* an event without a cause */
    unsigned no_descriptor;  /* EMFILE, ENFILE */
    unsigned no_memory;      /* ENOBUFS, ENOMEM; no more watches */
    unsigned aborted;        /* ECONNABORTED at accept */
    unsigned cut;            /* a connection is reset by the network, some time */
    unsigned unreachable;    /* connect fails at once, or never ends */
    unsigned descriptors;    /* the most at once; 0: no limit */
};
struct net_plan {
    struct net_faults faults;
    int64_t latency_least, latency_most;
    size_t buffer_least, buffer_most;
};

void net_open(const struct net_plan *plan);
void net_faults_end(void);
void net_close(void);
unsigned net_descriptors(void); /* the proxy has open */
bool net_has_listener(uint16_t port);
extern const struct sys_ops sim_sys;
extern const struct netpoll_engine sim_engine;
extern const struct clock_source sim_clock;
int64_t sim_now(void);

/* ---- for actors ---- */
struct sock;
enum { SIM_END = 0, SIM_RESET = -1, SIM_LATE = -2 };
struct sock *sim_listen(uint16_t port);
/* NULL: the deadline passed, or it was closed. */
struct sock *sim_accept(struct sock *s, int64_t deadline);
struct sock *sim_connect(uint16_t port, uint32_t from_ip, int64_t deadline); /* NULL: refused */
ssize_t sim_recv(struct sock *s, void *buf, size_t n, int64_t deadline);
/* All of it: 0, SIM_RESET, SIM_LATE. */
int sim_send(struct sock *s, const void *buf, size_t n, int64_t deadline);
void sim_send_in_one(struct sock *s, const char *bytes, size_t n); /* so that they arrive at once, whatever the room */
void sim_shutdown(struct sock *s);
void sim_close(struct sock *s, bool reset);
int sim_fd(const struct sock *s);
/* All that was sent has come to a socket that the proxy has accepted. */
bool sim_has_arrived(const struct sock *s);
/* Until false: bytes come, and the proxy is not told of them. */
void net_hold(bool hold);
#endif
