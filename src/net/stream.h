/*
 * stream.h - a connected socket whose reads and writes wait as fibers do; in clear, or with TLS on it (stream_tls.h).
 *
 * Promise: no system call that can be known to say EAGAIN is made; a write that has to wait copies what is left, so the bytes
 * may stand in the worker's scratch; reading and writing may go on at once in two fibers, one each.
 *
 * Threads: a stream belongs to one worker from its first wait on.  Memory: the caller's; it must not move once it was used.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fiber/netpoll.h"
#include "net/addr.h"

struct stream;
struct stream_tls;
bool stream_tls_may_read(const struct stream *s); /* stream_tls_read.c */

struct stream {
    struct pd pd;
    bool open;
    bool is_tcp;
    bool raw;               /* its bytes may be moved past it (splice.h): TCP in clear */
    uint8_t side;           /* enum metric_side: where its bytes are counted */
    struct stream_tls *tls; /* NULL: in clear */
};

/* Takes over a connected, non-blocking descriptor. */
void stream_open(struct stream *s, int fd, bool is_tcp);
/* Connects.  -ERR_REFUSED, -ERR_TIMEOUT, -ERR_UNREACHABLE, -ERR_NOFILE, -ERR_NOPORT, ...: then it is not open. */
int stream_connect(struct stream *s, const struct addr *to, int64_t deadline);
/* Connects a Unix socket that is open already.  Where its backlog is full it says EAGAIN and doesn't tell when there is room; TCP would
 * send its SYN again, so it is tried again: an overloaded server is not one that is not there.  0; above 0: errno; below: a code of
 * the waiting. */
int stream_connect_unix(struct stream *s, const struct addr *to, int64_t deadline);
/* Closes; does nothing when it isn't open.  No fiber may be waiting on it. */
void stream_close(struct stream *s);
/* Closes with a reset, so that the peer can't take what it got for the whole. */
void stream_close_reset(struct stream *s);

/* >0 bytes, 0 at the end of the stream, <0 a code (-ERR_TIMEOUT, -ERR_RESET, ...). */
ssize_t stream_read(struct stream *s, void *buf, size_t n, int64_t deadline);
/* The same without waiting: -ERR_AGAIN when there is nothing now. */
ssize_t stream_read_now(struct stream *s, void *buf, size_t n);
/* May a read be worth a try?  With TLS there may be bytes that have left the socket already. */
static inline bool stream_may_read(const struct stream *s)
{
    return pd_may_read(&s->pd) || (s->tls != NULL && stream_tls_may_read(s));
}
/* Waits until a read would not. */
int stream_wait_readable(struct stream *s, int64_t deadline);
/* The same for a write. */
int stream_wait_writable(struct stream *s, int64_t deadline);

/* Writes all of it.  `iov` is used up.  0 or a code. */
int stream_write(struct stream *s, struct iovec *iov, int n, int64_t deadline);
static inline int stream_write_bytes(struct stream *s, const void *p, size_t n, int64_t deadline)
{
    struct iovec iov = { (void *)(uintptr_t)p, n };

    return stream_write(s, &iov, 1, deadline);
}
/* Writes what can be written without waiting: bytes, or -ERR_AGAIN. */
ssize_t stream_write_now(struct stream *s, const struct iovec *iov, int n);
int stream_shutdown(struct stream *s);          /* no more will be written */
struct ip stream_local(const struct stream *s); /* its own address; family 0: a Unix socket, or the kernel doesn't tell */

/* What the peer did while nobody was reading: looks without taking, and with TLS only at sealed bytes. */
enum stream_peek { STREAM_QUIET, STREAM_HAS_BYTES, STREAM_ENDED, STREAM_BROKEN };
enum stream_peek stream_peek(struct stream *s);
/* Nothing to read: not even, with TLS, behind what the peer says to TLS itself. */
bool stream_is_quiet(struct stream *s);
/* Bytes wait, maybe before epoll has told: then the next read takes them.  For whoever is about to close. */
bool stream_has_bytes(struct stream *s);
#endif
