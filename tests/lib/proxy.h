/*
 * proxy.h - a proxy with one worker, inside the test's process; the test plays its clients and backends by plain sockets.
 *
 * Threads: the worker has one of its own; all calls are made by the test's.  Memory: proxy_stop() frees everything.
 */
#ifndef TESTS_PROXY_H
#define TESTS_PROXY_H
#include <check.h>
#include <pthread.h>
#include <semaphore.h>

#include "net/addr.h"
#include "proxy/listener.h"
#include "proxy/serving.h"

struct proxy {
    struct addr addr;    /* where its listener is */
    struct addr backend; /* where its backend is to be */
    int backend_fd;      /* that listens there */
    struct worker *worker;
    struct serving *serving;
    struct listener_set *listeners;
    pthread_t thread;
    sem_t told;
};

/* A snapshot of that text; fails the test if it is not valid. */
struct snapshot *proxy_conf(const char *text);

/* Serves HTTP by routes and settings; `text` may be "".  The pool is "app", the listener's settings are `listener`. */
void proxy_start(struct proxy *p, const char *listener, const char *text);
void proxy_stop(struct proxy *p);
int proxy_connect(const struct proxy *p);   /* a client's socket */
int proxy_backend(const struct proxy *p);   /* the next connection to the backend */

void say(int fd, const char *text);
/* Reads until `end` has been seen, or the end of the stream when that is NULL; the text stands until the next call. */
const char *hear(int fd, const char *end);
/* One request on a connection of its own; all that comes back until it is closed. */
const char *proxy_ask(const struct proxy *p, const char *request);
#endif
