/* sys.c - the kernel's own calls. */
#include "net/sys.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitize.h"

static int kernel_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
    return accept4(fd, sa, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
static int kernel_spare(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
static int kernel_pipe(int fds[2]) { return pipe2(fds, O_NONBLOCK | O_CLOEXEC); }
static ssize_t kernel_splice(int from, int to, size_t n, unsigned flags) { return splice(from, NULL, to, NULL, n, flags); }
#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
static ssize_t kernel_recv(int fd, void *buf, size_t n, int flags) { return recv(fd, buf, n, flags); }
static ssize_t kernel_send(int fd, const void *buf, size_t n, int flags) { return send(fd, buf, n, flags); }
#else
/* glibc's recv() and send() let a thread be cancelled within them, which is a third of their cost; no thread of ours ever is. */
static ssize_t kernel_recv(int fd, void *buf, size_t n, int flags)
{
    return syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL);
}
static ssize_t kernel_send(int fd, const void *buf, size_t n, int flags)
{
    return syscall(SYS_sendto, fd, buf, n, flags, NULL, 0);
}
#endif
/* glibc declares some of these with a transparent union; the table has the plain type. */
static int kernel_bind(int fd, const struct sockaddr *sa, socklen_t len) { return bind(fd, sa, len); }
static int kernel_connect(int fd, const struct sockaddr *sa, socklen_t len) { return connect(fd, sa, len); }
static int kernel_getsockname(int fd, struct sockaddr *sa, socklen_t *len) { return getsockname(fd, sa, len); }

static const struct sys_ops kernel = {
    .socket = socket,
    .bind = kernel_bind,
    .listen = listen,
    .connect = kernel_connect,
    .accept = kernel_accept,
    .recv = kernel_recv,
    .send = kernel_send,
    .sendmsg = sendmsg,
    .splice = kernel_splice,
    .pipe = kernel_pipe,
    .spare = kernel_spare,
    .setsockopt = setsockopt,
    .getsockopt = getsockopt,
    .getsockname = kernel_getsockname,
    .shutdown = shutdown,
    .close = close,
};
const struct sys_ops *sys = &kernel;
