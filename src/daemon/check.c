/* check.c - reports to a person. */
#include "daemon/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/snapshot.h"
#include "daemon/limits.h"
#include "daemon/privileges.h"
#include "daemon/renewal.h"
#include "proxy/listener.h"

struct snapshot *check_load(const char *path)
{
    struct conf_report report;
    struct snapshot *conf = NULL;
    int rc = conf_load(path, &conf, &report);

    if (report.text != NULL)
        (void)fputs(report.text, stderr);
    else if (rc < 0)
        (void)fprintf(stderr, "weir: %s: %s\n", path, err_text(rc));
    if (rc < 0)
        (void)fprintf(stderr, "weir: %s can't be used: %zu error%s\n", path, report.n_errors, report.n_errors == 1 ? "" : "s");
    conf_report_free(&report);
    return conf;
}

/* A file that is to be made needs its folder; whether it may be written there is for the user to find out who will write. */
static void look_for_folder(const char *key, const char *path, struct buf *why)
{
    const char *slash = path != NULL && path[0] == '/' ? strrchr(path, '/') : NULL;
    struct buf folder = { 0 };
    struct stat st;
    int error = 0;

    if (slash == NULL || slash == path)
        return;
    buf_append(&folder, path, (size_t)(slash - path));
    if (!folder.failed && stat(folder.p, &st) < 0)
        error = errno;
    else if (!folder.failed && !S_ISDIR(st.st_mode))
        error = ENOTDIR;
    if (error != 0 && error != EACCES)
        buf_printf(why, "%s: %s: %s\n", key, folder.p, strerror(error));
    buf_free(&folder);
}

/* What is no fault of the file, but would keep it from being served here and now. */
static void warn_of_here(const struct snapshot *conf)
{
    struct limits_room room;
    struct buf why = { 0 };
    uint32_t n;

    limits_read(&room);
    if (limits_connections(conf->limits.connections, &room, &n, &why) < 0 || why.n > 0)
        buf_add_char(&why, '\n');
    listener_set_try(conf, &why);
    if (!privileges_user_exists(conf->daemon.user, &why))
        buf_add_char(&why, '\n');
    look_for_folder("daemon.pid_file", conf->daemon.pid_file, &why);
    look_for_folder("log.access", conf->log.access, &why);
    if (why.n > 0)
        (void)fprintf(stderr, "weir: right now, on this machine:\n%s%s", why.p, why.p[why.n - 1] == '\n' ? "" : "\n");
    buf_free(&why);
}

static void list_certificates(const struct snapshot *conf)
{
    struct buf list = { 0 };

    renewal_list(conf, &list);
    if (list.n > 0)
        (void)fputs(list.p, stdout);
    buf_free(&list);
}

int check_file(const char *path)
{
    struct snapshot *conf = check_load(path);

    if (conf == NULL)
        return 1;
    warn_of_here(conf);
    list_certificates(conf);
    (void)printf("%s is valid\n", path);
    snapshot_unref(&conf);
    return fflush(stdout) == 0 ? 0 : 1;
}

int check_dump(const char *path)
{
    struct snapshot *conf = check_load(path);
    int rc;

    if (conf == NULL)
        return 1;
    rc = conf_dump(conf, stdout);
    snapshot_unref(&conf);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}
