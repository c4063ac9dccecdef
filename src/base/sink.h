/*
 * sink.h - a descriptor that lines are written to without ever waiting for its reader.
 *
 * A pipe is reopened through /proc, so that O_NONBLOCK is ours alone (setting it on standard error would change the shell's
 * terminal or a neighbour's pipe, too); a socket is sent to with MSG_DONTWAIT; where neither works, poll(2) is asked first.
 * A regular file is written to plainly: it only waits for the disk.
 * Threads: sink_write() from any at a time; open and close when nobody writes.
 * Memory: the descriptor given stays the caller's.
 */
#ifndef BASE_SINK_H
#define BASE_SINK_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum sink_kind { SINK_PLAIN, SINK_SOCKET, SINK_ASK_FIRST };

struct sink {
    int fd;
    enum sink_kind kind;
    bool own; /* fd is ours to close */
};

/* Can't fail: at worst each write asks first. */
void sink_open(struct sink *s, int fd);
void sink_close(struct sink *s);

/* How many bytes went out (maybe fewer than n), -ERR_AGAIN when the reader has no room now, or another -ERR_x. */
ssize_t sink_write(const struct sink *s, const void *p, size_t n);
/* Waits for room; false: none after `timeout_ms`. */
bool sink_wait(const struct sink *s, int timeout_ms);
#endif
