/*
 * source_file.c - a JSON list of backends in a file.
 *
 * The folder is watched, not the file, since a new file is renamed into the old one's place.  What inotify can't see (a symbolic
 * link's far end, a network's file system, no watches left) shows at the next look, which comes every few seconds anyway and
 * costs one stat(2).  What can't be read, or makes no sense, leaves the last good list in use.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "discovery/document.h"
#include "discovery/json_doc.h"
#include "discovery/source.h"
#include "fiber/fiber.h"
#include "fiber/netpoll.h"

#define LOOK_EVERY (5 * CLOCK_S)
#define TICK       (100 * CLOCK_MS) /* two changes within it may have the same time */
#define SETTLE     (20 * CLOCK_MS)  /* a busy folder brings no more looks than this */
#define CHANGES    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

enum { READ_AT_ONCE = 64 * 1024 };

struct watch {
    struct source *source;
    char *folder;        /* NULL: out of memory when it began, so there is no watch */
    struct pd pd;        /* of inotify; fd -1: none to be had */
    int wd;              /* the watch; -1: not now */
    struct stat as_read; /* of the file whose content is published, or was refused */
    bool was_read;       /* and a later change of it would show there */
};

/* ---- when ---- */

static void watch_folder(struct watch *w)
{
    if (w->pd.fd >= 0 && w->wd < 0 && w->folder != NULL)
        w->wd = inotify_add_watch(w->pd.fd, w->folder, CHANGES | IN_ONLYDIR);
}

static void watch_open(struct watch *w, struct source *s)
{
    const char *path = s->conf->path;

    *w = (struct watch){ .source = s, .wd = -1 };
    w->folder = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
    pd_init(&w->pd, inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    watch_folder(w);
}

static void watch_close(struct watch *w)
{
    free(w->folder);
    if (w->pd.fd < 0)
        return;
    pd_forget(&w->pd);
    (void)close(w->pd.fd);
}

/* Takes all the events there are; what they say shows by looking. */
static void take_events(struct watch *w)
{
    _Alignas(struct inotify_event) char bytes[1024];
    ssize_t n;

    while ((n = read(w->pd.fd, bytes, sizeof bytes)) > 0)
        for (const char *p = bytes; p < bytes + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)p;
            if ((e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) != 0 && e->wd == w->wd) {
                (void)inotify_rm_watch(w->pd.fd, w->wd);
                w->wd = -1; /* another folder of that name may be there already */
            }
            p += sizeof *e + e->len;
        }
    pd_read_again(&w->pd);
}

/* Until something happened in the folder, or `until`.  False: called off. */
static bool wait_for_change(struct watch *w, int64_t until)
{
    int rc;

    if (w->pd.fd < 0)
        return fiber_sleep(until) == 0;
    rc = pd_wait_read(&w->pd, until);
    if (rc == 0) {
        rc = fiber_sleep(clock_now() + SETTLE);
        take_events(w);
    } else if (rc != -ERR_TIMEOUT) {
        rc = fiber_sleep(until); /* it could not be registered; or we are called off */
    }
    watch_folder(w);
    return rc != -ERR_CANCELED;
}

/* ---- what ---- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A regular file's content; 0, or an errno value. */
static int read_whole(int fd, struct buf *out)
{
    for (;;) {
        char *at = buf_reserve(out, READ_AT_ONCE);
        ssize_t n = at == NULL ? 0 : read(fd, at, READ_AT_ONCE);

        if (at == NULL)
            return ENOMEM;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        out->n += (size_t)n;
        if (out->n > JSON_DOC_MOST)
            return EFBIG;
    }
}

static int read_file(const char *path, struct buf *out, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), error; /* a FIFO without a writer must not hold us */

    if (fd < 0)
        return errno;
    if (fstat(fd, st) < 0)
        error = errno;
    else
        error = S_ISREG(st->st_mode) ? read_whole(fd, out) : EINVAL;
    (void)close(fd);
    return error;
}

static void say_unreadable(struct source *s, int error)
{
    const char *path = s->conf->path;

    if (error == EFBIG)
        source_failed(s, "%s: larger than %d bytes", path, JSON_DOC_MOST);
    else if (error == EINVAL)
        source_failed(s, "%s: not a regular file", path);
    else
        source_failed(s, "%s: %s", path, strerror(error));
}

static void read_list(struct watch *w)
{
    struct source *s = w->source;
    struct found_list l = { 0 };
    struct buf text = { 0 };
    char why[SOURCE_WHY];
    int error = read_file(s->conf->path, &text, &w->as_read);

    w->was_read = error == 0 && clock_wall() - (w->as_read.st_ctim.tv_sec * CLOCK_S + w->as_read.st_ctim.tv_nsec / 1000) > TICK;
    if (error != 0)
        say_unreadable(s, error);
    else if (document_list(buf_slice(&text), &l, why) < 0)
        source_failed(s, "%s: %s", s->conf->path, why);
    else
        source_found(s, &l);
    found_list_free(&l);
    buf_free(&text);
}

/* A failure is looked at again, so that its age is noticed. */
static bool must_read(const struct watch *w)
{
    struct stat st;

    return w->source->failing_since != 0 || !w->was_read || stat(w->source->conf->path, &st) < 0 ||
           !is_same_file(&st, &w->as_read);
}

static void file_run(struct source *s)
{
    struct watch w;
    int64_t until;

    watch_open(&w, s);
    fiber_doing("watching a file");
    do {
        if (must_read(&w))
            read_list(&w);
        until = s->failing_since != 0 ? source_next_try(s) : clock_now() + LOOK_EVERY;
    } while (wait_for_change(&w, until));
    watch_close(&w);
}

static const char *check_file(const struct discovery_conf *c)
{
    if (c->path == NULL || c->path[0] == '\0')
        return "path is missing; write path = \"/etc/weir/backends.json\"";
    return c->path[0] != '/' ? "path is not absolute" : NULL;
}

const struct source_ops source_file = { .name = "file", .keys = DISCOVERY_PATH, .check = check_file, .run = file_run };
