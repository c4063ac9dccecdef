/* plugin.c - loading shared objects, and judging whether what is in them is a strategy that fits. */
#include "upstream/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_MOST (1u << 20)

enum { TRIAL_SECONDS = 10, TRIAL_SURVIVED = 99 };

struct plugin {
    struct plugin *next;
    dev_t dev;
    ino_t inode;
    struct timespec changed;
    int fd;                                 /* stays open: the loader knows the file by this number */
    const struct strategy_plugin *exported; /* NULL: it has no such symbol */
    void *handle;                           /* never closed: code of it may be running */
};

struct complaint {
    char *text;
    size_t size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plugin *all;

/* Always NULL, so that it can be returned. */
__attribute__((format(printf, 2, 3))) static void *complain(const struct complaint *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(c->text, c->size, fmt, args);
    va_end(args);
    return NULL;
}

/* The loader's words begin with the name that it was given; ours is said already. */
static const char *loaders_words(const char *name)
{
    const char *text = dlerror();
    size_t n = strlen(name);

    if (text == NULL)
        return "the loader does not say why";
    return strncmp(text, name, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

/* Each time anew, so that what does not fit is told at each reload, although it is loaded but once. */
static const struct strategy_ops *ops_of(const struct strategy_plugin *p, const struct complaint *c)
{
    if (p == NULL)
        return complain(c, "has no symbol %s: it is no strategy", STRATEGY_PLUGIN_SYMBOL);
    if (p->abi != STRATEGY_ABI)
        return complain(c,
                        "was built for version %u of the strategy interface, and this is version %u: build it anew with this "
                        "version's strategy.h",
                        p->abi, STRATEGY_ABI);
    if (p->size != sizeof(struct strategy_ops))
        return complain(
            c, "has a struct strategy_ops of %u bytes, and here it has %zu: build it anew with this version's strategy.h",
            p->size, sizeof(struct strategy_ops));
    if (p->ops == NULL)
        return complain(c, "has no ops");
    if (p->ops->name == NULL || p->ops->name[0] == '\0')
        return complain(c, "has no name in its ops");
    if (p->ops->pick == NULL)
        return complain(c, "has no pick() in its ops");
    if (p->ops->state_size > STATE_MOST)
        return complain(c, "wants %zu bytes of state a worker; there are at most %u", p->ops->state_size, STATE_MOST);
    return p->ops;
}

/* In a process of its own, whose end is seen and not shared: the object's constructors may do anything. */
_Noreturn static void try_and_exit(const char *name)
{
    static const int ours[] = { SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    sigset_t all_signals;

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        (void)signal(ours[i], SIG_DFL);
    (void)sigfillset(&all_signals);
    (void)sigprocmask(SIG_UNBLOCK, &all_signals, NULL);
    (void)alarm(TRIAL_SECONDS);
    (void)dlopen(name, RTLD_NOW | RTLD_LOCAL); /* why it can't be loaded is said when it is loaded in earnest */
    _exit(TRIAL_SURVIVED);
}

static bool survives_loading(const char *name, const struct complaint *c)
{
    pid_t child = fork(), ended;
    int status = 0;

    if (child < 0) {
        (void)complain(c, "can't be tried in a process of its own: %s", strerror(errno));
        return false;
    }
    if (child == 0)
        try_and_exit(name);
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    if (ended < 0)
        (void)complain(c, "can't be tried in a process of its own: %s", strerror(errno));
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        (void)complain(c, "is not loaded after %d seconds: its constructors don't return", TRIAL_SECONDS);
    else if (WIFSIGNALED(status))
        (void)complain(c, "crashes when it is loaded: %s", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != TRIAL_SURVIVED)
        (void)complain(c, "ends the process that loads it, with status %d", WEXITSTATUS(status));
    else
        return true;
    return false;
}

/* By its descriptor: the loader would take another file of the same path for the one that it has, and nobody can exchange the
 * file between our look at it and the loader's. */
static bool load(struct plugin *p, const struct complaint *c)
{
    char name[32];

    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", p->fd);
    if (!survives_loading(name, c))
        return false;
    p->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (p->handle == NULL) {
        (void)complain(c, "can't be loaded: %s", loaders_words(name));
        return false;
    }
    p->exported = dlsym(p->handle, STRATEGY_PLUGIN_SYMBOL);
    return true;
}

static struct plugin *loaded(const struct stat *st)
{
    for (struct plugin *p = all; p != NULL; p = p->next)
        if (p->dev == st->st_dev && p->inode == st->st_ino)
            return p;
    return NULL;
}

static bool is_same_time(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

/* *fd is taken over when it is set to -1. */
static const struct strategy_ops *find_or_load(int *fd, const struct stat *st, const struct complaint *c)
{
    struct plugin *p = loaded(st);

    if (p != NULL && !is_same_time(p->changed, st->st_mtim))
        return complain(c, "was written over since it was loaded; put a new file in its place instead (install, mv)");
    if (p == NULL) {
        p = malloc(sizeof *p);
        if (p == NULL)
            return complain(c, "can't be loaded: out of memory");
        *p = (struct plugin){ .next = all, .dev = st->st_dev, .inode = st->st_ino, .changed = st->st_mtim, .fd = *fd };
        if (!load(p, c)) {
            free(p);
            return NULL;
        }
        all = p;
        *fd = -1;
    }
    return ops_of(p->exported, c);
}

const struct strategy_ops *plugin_strategy(const char *path, char *why, size_t why_size)
{
    const struct complaint c = { why, why_size };
    const struct strategy_ops *ops;
    struct stat st;
    int fd;

    if (path[0] != '/')
        return complain(&c, "is not an absolute path");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return complain(&c, "can't be opened: %s", strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return complain(&c, "is not a file");
    }
    (void)pthread_mutex_lock(&lock);
    ops = find_or_load(&fd, &st, &c);
    (void)pthread_mutex_unlock(&lock);
    if (fd >= 0)
        (void)close(fd);
    return ops;
}
