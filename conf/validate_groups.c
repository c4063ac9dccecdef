/* validate_groups.c - daemon, log and limits: paths, the admin's address, limits against each other. */
#include "conf/validate_parts.h"

#include <string.h>

#define UNIX_PATH_MOST 107u

static void check_absolute(const struct check *c, const char *group, const char *key, const char *path, const char *right)
{
    struct spot sp;

    if (path != NULL && path[0] != '/')
        walk_error(c->w, validate_spot_group(c, &sp, group, key), "%s: %s", quote(c, path), right);
}

static void check_daemon(struct check *c)
{
    const struct daemon_conf *d = &c->s->daemon;
    struct spot sp;

    if (d->control != NULL && strcmp(d->control, "off") != 0) {
        check_absolute(c, "daemon", "control", d->control, "not an absolute path and not \"off\"");
        if (strlen(d->control) > UNIX_PATH_MOST)
            walk_error(c->w, validate_spot_group(c, &sp, "daemon", "control"), "the path of a Unix socket has at most %u bytes",
                       UNIX_PATH_MOST);
    }
    check_absolute(c, "daemon", "pid_file", d->pid_file, "not an absolute path");
    validate_listeners_bind(c, validate_spot_group(c, &sp, "daemon", "admin"), &d->admin_addr, "listener", c->s->n_listeners);
    if (d->user != NULL && d->user[0] == '\0')
        walk_error(c->w, validate_spot_group(c, &sp, "daemon", "user"), "is empty; leave the key out to stay who the proxy is");
    if (c->s->log.access != NULL && strcmp(c->s->log.access, "off") != 0 && strcmp(c->s->log.access, "stdout") != 0)
        check_absolute(c, "log", "access", c->s->log.access, "not \"off\", not \"stdout\", and not an absolute path");
}

static void check_limits(const struct check *c)
{
    struct limits_conf *l = &c->s->limits;
    struct spot sp;

    if (l->request_line > l->request_header) {
        if (node_find(node_find(c->root, "limits"), "request_line") != NULL)
            walk_error(c->w, validate_spot_group(c, &sp, "limits", "request_line"),
                       "is above limits.request_header, of which it is a part");
        l->request_line = l->request_header; /* the default gives way to what is written */
    }
    if (l->connections > 0 && l->per_client > l->connections)
        walk_warning(c->w, validate_spot_group(c, &sp, "limits", "per_client"),
                     "%u is above limits.connections, %u, so it has no effect", l->per_client, l->connections);
}

void validate_groups(struct check *c)
{
    check_daemon(c);
    check_limits(c);
}
