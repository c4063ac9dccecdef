/*
 * limits.h - how many connections fit into this process's descriptors and memory.
 *
 * Threads: any; only limits_read() asks the kernel.  Memory: values.
 */
#ifndef DAEMON_LIMITS_H
#define DAEMON_LIMITS_H
#include <stdint.h>

struct buf;

struct limits_room {
    uint64_t files;  /* RLIMIT_NOFILE; UINT64_MAX: no limit */
    uint64_t memory; /* bytes that the process may use: the machine's, or its control group's */
};

/* A connection takes two descriptors (the client's and the backend's) and is reckoned at this many bytes. */
#define LIMITS_CONNECTION_BYTES (32u * 1024u)
#define LIMITS_FILES_OF_OUR_OWN 200u

/* Of those of our own, what the control socket, metrics, checks and a reload find free whatever connections do. */
#define LIMITS_FILES_KEPT_BACK 100u

/* Raises RLIMIT_NOFILE to its hard limit and reads what there is. */
void limits_read(struct limits_room *room);
/* limits.connections in effect: as configured, or for 0 as many as fit.  -ERR_INVALID: what is configured can't fit; *why says so.
 * A warning may stand in `why` with success, too. */
int limits_connections(uint32_t configured, const struct limits_room *room, uint32_t *out, struct buf *why);
/* Pipes for splicing, of two descriptors each, that fit beside n connections. */
uint32_t limits_pipes(uint32_t n, const struct limits_room *room);
/* So many connections, and the pipes that fit beside them, are allowed from now on. */
void limits_apply(uint32_t n, const struct limits_room *room);
#endif
