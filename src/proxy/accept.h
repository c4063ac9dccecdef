/*
 * accept.h - a door's fiber: takes new connections in, within the limits, and refuses cleanly what can't be served.
 *
 * Out of descriptors or memory: a descriptor held in reserve answers the newcomers with 503, what runs goes on, and the log
 * says it once a second.
 * Threads: the door's worker.  Memory: none of its own.
 */
#ifndef PROXY_ACCEPT_H
#define PROXY_ACCEPT_H
#include <stdbool.h>

struct conn;
struct door;

/* Starts accepting on d->pd.  -ERR_NOMEM. */
int accept_start(struct door *d);
/* Counts the connection by its client, for limits.per_client.  False: there are too many of that client; it has been told so. */
bool accept_client(const struct door *d, struct conn *c);
/* Gives the thread's reserve descriptor back. */
void accept_thread_ends(void);

/* listener.c: the fiber has stopped; closes the socket. */
void door_accept_ended(struct door *d);
#endif
