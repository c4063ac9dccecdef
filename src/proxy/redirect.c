/* redirect.c - the places in a redirect's `to`, one by one. */
#include "proxy/redirect.h"

#include <string.h>

#include "base/err.h"

/* Host without its port. */
static struct slice host_of(struct slice authority)
{
    const char *end = authority.n > 0 && authority.p[0] == '[' ? memchr(authority.p, ']', authority.n) : NULL;
    const char *colon;

    if (end != NULL)
        return slice_of(authority.p, (size_t)(end - authority.p) + 1);
    colon = authority.n > 0 ? memchr(authority.p, ':', authority.n) : NULL;
    return colon == NULL ? authority : slice_of(authority.p, (size_t)(colon - authority.p));
}

/* "*" is no path: OPTIONS asks about the server, which a URI without a path means as well (RFC 9112 3.2.4). */
static void add_path(struct buf *out, const struct message *m)
{
    if (m->path.n > 0 && m->path.p[0] == '/')
        buf_add_slice(out, m->path);
}

/* Path and query apart: a target without a path has one that stands nowhere near its query. */
static void add_uri(struct buf *out, const struct message *m)
{
    add_path(out, m);
    if (m->query.p == NULL)
        return;
    buf_add_char(out, '?');
    buf_add_slice(out, m->query);
}

int redirect_location(const char *to, const struct message *m, struct buf *out)
{
    while (*to != '\0') {
        if (strncmp(to, "{host}", 6) == 0) {
            struct slice host = host_of(m->authority);
            if (host.n == 0)
                return -ERR_BAD_HOST;
            buf_add_slice(out, host);
            to += 6;
        } else if (strncmp(to, "{uri}", 5) == 0) {
            add_uri(out, m);
            to += 5;
        } else if (strncmp(to, "{path}", 6) == 0) {
            add_path(out, m);
            to += 6;
        } else if (strncmp(to, "{query}", 7) == 0) {
            buf_add_slice(out, m->query);
            to += 7;
        } else {
            buf_add_char(out, *to++);
        }
    }
    return out->failed ? -ERR_NOMEM : 0;
}
