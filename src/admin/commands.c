/* commands.c - the table of commands, and finding the one that is meant. */
#include "admin/commands.h"

#include <string.h>

#include "admin/fibers.h"
#include "admin/registration.h"
#include "admin/status.h"
#include "base/clock.h"
#include "base/conf_key.h"
#include "base/err.h"
#include "base/log.h"
#include "base/must.h"

#define FIBERS_WAIT (2 * CLOCK_S)
enum { WORDS_MOST = 8, LINE_MOST = 512, WEIGHT_MOST = 1000 };

/* The words of a line, the command's own included. */
struct words {
    char text[LINE_MOST];
    char *v[WORDS_MOST + 1]; /* ended by NULL */
    int n;
};

struct command {
    const char *name; /* one word or two */
    const char *args; /* "" or their names; those that may be left out in brackets, at the end */
    const char *help;
    int (*fn)(const struct admin_host *host, char **args, struct buf *out); /* args: ended by NULL */
};

static int cmd_status(const struct admin_host *host, char **args, struct buf *out)
{
    struct admin_view v;

    (void)args;
    host->view(host->arg, &v);
    status_page(&v, out);
    return 0;
}

static int cmd_reload(const struct admin_host *host, char **args, struct buf *out)
{
    (void)args;
    return host->reload(host->arg, out);
}

static int cmd_fibers(const struct admin_host *host, char **args, struct buf *out)
{
    struct admin_view v;

    (void)args;
    host->view(host->arg, &v);
    fibers_list(v.scheds, v.n_scheds, host->about, out, clock_now() + FIBERS_WAIT);
    return 0;
}

static int cmd_backends(const struct admin_host *host, char **args, struct buf *out)
{
    return host->backends(host->arg, args[0], out);
}

static int cmd_ready(const struct admin_host *host, char **args, struct buf *out)
{
    return host->order(host->arg, args[0], MEMBERS_READY, 0, out);
}

static int cmd_weight(const struct admin_host *host, char **args, struct buf *out)
{
    uint32_t weight;

    if (conf_parse_uint(args[1], &weight) != NULL || weight > WEIGHT_MOST) {
        buf_printf(out, "%s is no weight; write a number from 0 to %d\n", args[1], WEIGHT_MOST);
        return -ERR_INVALID;
    }
    return host->order(host->arg, args[0], MEMBERS_WEIGHT, weight, out);
}

static int cmd_drain(const struct admin_host *host, char **args, struct buf *out)
{
    if (args[0] != NULL)
        return host->order(host->arg, args[0], MEMBERS_DRAIN, 0, out);
    host->drain(host->arg);
    buf_add(out, "draining; the process ends when the last connection has\n");
    return 0;
}

static int cmd_log_level(const struct admin_host *host, char **args, struct buf *out)
{
    static const char *const words[] = { "error", "warn", "info", "debug" };

    (void)host;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(args[0], words[i]) == 0) {
            log_set_level((enum log_level)i);
            buf_printf(out, "the log shows %s and what is worse, until the next reload\n", words[i]);
            return 0;
        }
    buf_printf(out, "%s is no level; write error, warn, info or debug\n", args[0]);
    return -ERR_INVALID;
}

static int cmd_reopen(const struct admin_host *host, char **args, struct buf *out)
{
    int rc = host->reopen(host->arg);

    (void)args;
    if (rc < 0)
        buf_printf(out, "the access log can't be opened anew: %s; the old one goes on\n", err_text(rc));
    return rc;
}

static int cmd_help(const struct admin_host *host, char **args, struct buf *out)
{
    (void)host;
    (void)args;
    commands_help(out);
    return 0;
}

static const struct command commands[] = {
    { "status", "", "what runs: listeners, pools, backends, connections", cmd_status },
    { "reload", "", "load the configuration anew; says what is wrong if anything is", cmd_reload },
    { "fibers", "", "every fiber: what it is doing and since when", cmd_fibers },
    { "backends", "[POOL]", "every backend: its state, since when, its checks", cmd_backends },
    { "drain", "[POOL/BACKEND]",
      "no new requests to a backend; without one: take no more connections, finish what is in progress, exit", cmd_drain },
    { "ready", "POOL/BACKEND", "the backend serves again as configured: ends drain, weight and ejection", cmd_ready },
    { "weight", "POOL/BACKEND N", "another weight for a backend, until `ready`", cmd_weight },
    { "log level", "LEVEL", "show error, warn, info or debug in the log, until the next reload", cmd_log_level },
    { "register", "POOL ADDR [TTL]", "register a backend in a pool that takes registrations, or beat for it",
      registration_register },
    { "deregister", "POOL ADDR", "take it out at once", registration_deregister },
    { "registered", "POOL", "what is registered there, as JSON", registration_list },
    { "reopen", "", "open the access log anew (it was renamed)", cmd_reopen },
    { "help", "", "this list", cmd_help },
};

void commands_help(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];
        int used = (int)(strlen(c->name) + strlen(c->args)) + 1;
        buf_printf(out, "  %s %s%*s%s\n", c->name, c->args, used < 26 ? 26 - used : 1, "", c->help);
    }
}

/* False: too long, or too many words. */
static bool split(const char *line, struct words *w)
{
    char *save = NULL;
    size_t size = strlen(line) + 1;

    w->n = 0;
    if (size > sizeof w->text)
        return false;
    memcpy(w->text, line, size);
    for (char *word = strtok_r(w->text, " \t\r\n", &save); word != NULL; word = strtok_r(NULL, " \t\r\n", &save)) {
        if (w->n == WORDS_MOST)
            return false;
        w->v[w->n++] = word;
    }
    w->v[w->n] = NULL;
    return true;
}

/* How many words of `name` the line begins with; 0: it is not that command. */
static int words_of(const char *name, const struct words *w)
{
    const char *at = name;
    int i = 0;

    for (;; i++) {
        size_t n = strcspn(at, " ");
        if (i == w->n || strlen(w->v[i]) != n || memcmp(w->v[i], at, n) != 0)
            return 0;
        if (at[n] == '\0')
            return i + 1;
        at += n + 1;
    }
}

/* How many arguments there may be: the names in `args`, without those in brackets if only `musts` count. */
static int count_args(const char *args, bool musts)
{
    int n = args[0] != '\0' && (!musts || args[0] != '[');

    for (const char *p = strchr(args, ' '); p != NULL; p = strchr(p + 1, ' '))
        n += !musts || p[1] != '[';
    return n;
}

static int unknown(const char *line, struct buf *out)
{
    char quoted[128];

    if (line[strspn(line, " \t\r\n")] == '\0')
        buf_add(out, "no command; there are:\n");
    else
        buf_printf(out, "%s is no command; there are:\n",
                   log_quote(quoted, sizeof quoted, slice_of(line, strcspn(line, "\r\n"))));
    commands_help(out);
    return -ERR_INVALID;
}

int commands_run(const struct admin_host *host, const char *line, struct buf *out)
{
    struct words w;

    if (!split(line, &w))
        return unknown(line, out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];
        int own = words_of(c->name, &w);
        if (own == 0)
            continue;
        if (w.n - own < count_args(c->args, true) || w.n - own > count_args(c->args, false)) {
            buf_printf(out, "write: %s%s%s\n", c->name, c->args[0] != '\0' ? " " : "", c->args);
            return -ERR_INVALID;
        }
        return c->fn(host, &w.v[own], out);
    }
    return unknown(line, out);
}
