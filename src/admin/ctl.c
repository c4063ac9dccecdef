/* ctl.c - connect, write a line, read to the end. */
#include "admin/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/commands.h"
#include "base/buf.h"

static int connect_to(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t size = strlen(path) + 1;
    int fd, saved;

    if (size > sizeof un.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(un.sun_path, path, size);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) < 0) {
        saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static bool send_all(int fd, struct slice s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            s = slice_of(s.p + n, s.n - (size_t)n);
    }
    return true;
}

static void read_all(int fd, struct buf *in)
{
    for (;;) {
        char *at = buf_reserve(in, 65536);
        ssize_t n = at == NULL ? 0 : read(fd, at, 65536);
        if (n == 0 || (n < 0 && errno != EINTR))
            return;
        if (n > 0)
            in->n += (size_t)n;
    }
}

/* Takes the last line, which is the status, off the answer. */
static bool is_ok(struct buf *in)
{
    struct slice all = buf_slice(in);

    if (all.n >= 3 && memcmp(all.p + all.n - 3, "ok\n", 3) == 0 && (all.n == 3 || all.p[all.n - 4] == '\n')) {
        in->n -= 3;
        return true;
    }
    if (all.n >= 6 && memcmp(all.p + all.n - 6, "error\n", 6) == 0)
        in->n -= 6;
    else
        buf_add(in, "weir: the answer broke off\n");
    return false;
}

int ctl_help(void)
{
    struct buf text = { 0 };
    bool ok;

    commands_help(&text);
    ok = !text.failed && fwrite(text.p, 1, text.n, stdout) == text.n;
    buf_free(&text);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}

int ctl_run(const char *path, int n_words, char **words)
{
    struct buf text = { 0 };
    int fd = connect_to(path);
    bool ok;

    if (fd < 0) {
        (void)fprintf(stderr, "weir: %s: %s; does it run, and is this its daemon.control? (-s SOCKET)\n", path, strerror(errno));
        return 2;
    }
    for (int i = 0; i < n_words; i++) {
        buf_add(&text, words[i]);
        buf_add_char(&text, i + 1 < n_words ? ' ' : '\n');
    }
    ok = !text.failed && send_all(fd, buf_slice(&text));
    text.n = 0;
    if (ok)
        read_all(fd, &text);
    ok = is_ok(&text);
    (void)fwrite(text.p != NULL ? text.p : "", 1, text.n, ok ? stdout : stderr);
    (void)close(fd);
    buf_free(&text);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
