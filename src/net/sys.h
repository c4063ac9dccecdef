/*
 * sys.h - the one door to the kernel's sockets.
 *
 * Everything the proxy does with a socket goes through this table, so that a test can put in-memory sockets behind it and
 * inject faults.  The functions behave as their system calls do: -1 and errno.
 * Threads: `sys` is set before threads start.  Memory: none.
 */
#ifndef NET_SYS_H
#define NET_SYS_H
#include <sys/socket.h>
#include <sys/types.h>

struct sys_ops {
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *sa, socklen_t len);
    int (*listen)(int fd, int backlog);
    int (*connect)(int fd, const struct sockaddr *sa, socklen_t len);
    int (*accept)(int fd, struct sockaddr *sa, socklen_t *len); /* the new one doesn't block and closes on exec */
    ssize_t (*recv)(int fd, void *buf, size_t n, int flags);
    ssize_t (*send)(int fd, const void *buf, size_t n, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *m, int flags);
    ssize_t (*splice)(int from, int to, size_t n, unsigned flags);
    int (*pipe)(int fds[2]); /* doesn't block, closes on exec */
    int (*spare)(void);      /* a descriptor of nothing, closed when one is needed for something */
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
    int (*getsockname)(int fd, struct sockaddr *sa, socklen_t *len);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
};
extern const struct sys_ops *sys;
#endif
