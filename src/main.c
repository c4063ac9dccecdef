/* main.c - arguments; everything else is elsewhere. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/ctl.h"
#include "base/metric.h"
#include "base/version.h"
#include "conf/load.h"
#include "conf/snapshot.h"
#include "daemon/check.h"
#include "daemon/demo.h"
#include "daemon/supervisor.h"
#include "fiber/netpoll.h"
#include "fiber/stack.h"
#include "http/h2_session.h"
#include "net/tls_ctx.h"
#include "proxy/explain.h"

enum { EXIT_USAGE = 2, HEADERS_MOST = 100 };

static const char help_text[] =
    "weir - a load-balancing reverse proxy for HTTP and TCP\n"
    "\n"
    "  weir -c FILE                  serve as FILE says, in the foreground\n"
    "  weir -t -c FILE               only check FILE: everything that is wrong with it\n"
    "  weir --dump-config -c FILE    FILE with every default written out\n"
    "  weir demo                     a proxy with three backends in one process, no file needed\n"
    "  weir ctl [-s SOCKET] COMMAND  talk to a running one; `weir ctl help` lists the commands\n"
    "  weir explain -c FILE [-l LISTENER] METHOD URL [-H 'name: value']...\n"
    "                                which route and pool a request would meet, and why\n"
    "  weir --manual config|metrics  the reference of the configuration, or of the metrics\n"
    "  weir -V                       version and what it was built with\n"
    "  weir -h                       this text\n"
    "\n"
    "Signals: HUP loads the file anew, TERM and INT drain and exit (a second one exits at once), USR1 opens the\n"
    "access log anew, QUIT lists all fibers on standard error.\n";

__attribute__((format(printf, 1, 2))) static int usage(const char *fmt, ...)
{
    va_list ap;

    (void)fputs("weir: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputs("; `weir -h` shows what there is\n", stderr);
    return EXIT_USAGE;
}

static int finish(int rc) { return fflush(stdout) == 0 ? rc : EXIT_FAILURE; }

static int help(void)
{
    (void)fputs(help_text, stdout);
    return finish(0);
}

static int version(void)
{
    (void)printf("weir %s\nbuilt with %s\n%s, %s, %s, %s\nguards of fiber stacks: %s\n", version_text, version_compiler,
                 netpoll_library(), conf_library(), h2_library(), tls_library(), stack_guard_kind());
    return finish(0);
}

static int manual(const char *what)
{
    if (what != NULL && strcmp(what, "config") == 0)
        return finish(conf_manual(stdout) < 0);
    if (what == NULL || strcmp(what, "metrics") != 0)
        return usage("--manual needs config or metrics");
    metric_manual(stdout);
    return finish(0);
}

static int ctl(int argc, char **argv)
{
    const char *path = CONTROL_PATH;

    if (argc > 0 && strcmp(argv[0], "-s") == 0) {
        if (argc < 2)
            return usage("ctl -s needs the path of a control socket");
        path = argv[1];
        argc -= 2;
        argv += 2;
    }
    if (argc == 0)
        return usage("ctl needs a command, like status");
    if (strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "--help") == 0 || (argc == 1 && strcmp(argv[0], "help") == 0))
        return ctl_help();
    if (argv[0][0] == '-')
        return usage("ctl has no option %s", argv[0]);
    return ctl_run(path, argc, argv);
}

/* The value of the option at argv[*i]; NULL: there is none. */
static const char *value(int argc, char **argv, int *i) { return *i + 1 < argc ? argv[++*i] : NULL; }

static int explain_with(const char *file, const char *listener, const char *method, const char *url, const char *const *headers,
                        int n)
{
    struct snapshot *conf;
    int rc;

    if (file == NULL || method == NULL || url == NULL)
        return usage("explain needs -c FILE, a method and a URL");
    conf = check_load(file);
    if (conf == NULL)
        return EXIT_USAGE;
    rc = explain_run(conf, listener, method, url, headers, n, stdout);
    snapshot_unref(&conf);
    return finish(rc);
}

static int explain(int argc, char **argv)
{
    const char *file = NULL, *listener = NULL, *words[2] = { NULL, NULL }, *headers[HEADERS_MOST];
    int n_words = 0, n_headers = 0;

    for (int i = 0; i < argc; i++) {
        const char *at = argv[i], *v = at;

        if (strcmp(at, "-c") == 0 || strcmp(at, "-l") == 0 || strcmp(at, "-H") == 0) {
            v = value(argc, argv, &i);
            if (v == NULL)
                return usage("explain %s needs a value", at);
        }
        if (strcmp(at, "-c") == 0)
            file = v;
        else if (strcmp(at, "-l") == 0)
            listener = v;
        else if (strcmp(at, "-H") == 0 && n_headers < HEADERS_MOST)
            headers[n_headers++] = v;
        else if (at[0] == '-')
            return usage("explain: %s is no option, or too many of it", at);
        else if (n_words < 2)
            words[n_words++] = at;
        else
            return usage("explain: %s is one word too many", at);
    }
    return explain_with(file, listener, words[0], words[1], headers, n_headers);
}

static int serve(int argc, char **argv)
{
    enum { SERVE, CHECK, DUMP } what = SERVE;
    const char *file = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0) {
            file = value(argc, argv, &i);
            if (file == NULL)
                return usage("-c needs a file");
        } else if (strcmp(argv[i], "-t") == 0) {
            what = CHECK;
        } else if (strcmp(argv[i], "--dump-config") == 0) {
            what = DUMP;
        } else {
            return usage("%s is no %s", argv[i], argv[i][0] == '-' ? "option" : "command");
        }
    }
    if (file == NULL)
        return usage("no configuration; write -c FILE, or try `weir demo`");
    return what == CHECK ? check_file(file) : what == DUMP ? check_dump(file) : supervisor_run(file, NULL);
}

int main(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : "";

    if (strcmp(first, "-h") == 0 || strcmp(first, "--help") == 0)
        return help();
    if (strcmp(first, "-V") == 0 || strcmp(first, "--version") == 0)
        return version();
    if (strcmp(first, "--manual") == 0)
        return manual(argc > 2 ? argv[2] : NULL);
    if (strcmp(first, "ctl") == 0)
        return ctl(argc - 2, argv + 2);
    if (strcmp(first, "explain") == 0)
        return explain(argc - 2, argv + 2);
    if (strcmp(first, "demo") == 0)
        return argc == 2 ? demo_run(argv[0]) : usage("demo takes no arguments");
    return serve(argc, argv);
}
