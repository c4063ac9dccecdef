/*
 * etcd_process.h - a real etcd of one member on free ports, with its data in a folder of its own.
 *
 * Threads: the test's; the calls block until etcd has answered.  Memory: etcd_stop() ends the process and removes the folder.
 */
#ifndef TESTS_ETCD_PROCESS_H
#define TESTS_ETCD_PROCESS_H
#include <stdbool.h>
#include <sys/types.h>

struct etcd_process {
    pid_t pid; /* 0: it doesn't run */
    char dir[64];
    unsigned port, peer_port;
};

bool etcd_is_installed(void);
void etcd_start(struct etcd_process *p); /* returns when it answers */
void etcd_stop(struct etcd_process *p);
/* It dies at once, and comes back with what it knew. */
void etcd_kill(struct etcd_process *p);
void etcd_restart(struct etcd_process *p);
void etcd_put(const struct etcd_process *p, const char *key, const char *value);
void etcd_delete(const struct etcd_process *p, const char *key);
void etcd_compact(const struct etcd_process *p); /* everything but what is there now is forgotten */
#endif
