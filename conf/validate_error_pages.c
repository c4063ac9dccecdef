/* validate_error_pages.c - error pages: their files, which are read here, and one page a status. */
#include "conf/validate_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/source.h"

#define ERROR_PAGE_MOST (1024u * 1024u)

static const char *type_of_page(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot != NULL && (strcasecmp(dot, ".html") == 0 || strcasecmp(dot, ".htm") == 0))
        return "text/html; charset=utf-8";
    if (dot != NULL && strcasecmp(dot, ".json") == 0)
        return "application/json";
    return "text/plain; charset=utf-8";
}

static void read_page(const struct check *c, struct walk_at at, struct error_page *page)
{
    const char *path = source_beside(c->w->arena, at.place.file, page->path);
    char *text = NULL, *absolute;
    size_t n = 0;
    int rc = path == NULL ? -ENOMEM : source_read_file(path, ERROR_PAGE_MOST, &text, &n);

    if (rc == -ENOMEM) {
        c->w->m->no_memory = true;
        return;
    }
    if (rc < 0) {
        walk_error(c->w, at, "can't read %s: %s", path, strerror(-rc));
        return;
    }
    page->body = arena_copy(c->w->arena, slice_of(text, n));
    page->content_type = type_of_page(path);
    absolute = realpath(path, NULL); /* so that a dump finds it from any folder */
    if (absolute != NULL)
        page->path = walk_strdup(c->w, absolute);
    if (page->body.p == NULL)
        c->w->m->no_memory = true;
    free(absolute);
    free(text);
}

void validate_error_pages(const struct check *c)
{
    const struct conf_node *list = node_find(c->root, "error_pages");
    struct spot sp;

    for (size_t i = 0; i < c->s->n_error_pages; i++) {
        struct error_page *p = &c->s->error_pages[i];
        if (p->path != NULL)
            read_page(c, validate_spot(&sp, "error_pages", list, i, "file"), p);
        if (p->status > 0 && p->status < 400)
            walk_error(c->w, validate_spot(&sp, "error_pages", list, i, "status"),
                       "%u is no error; write 400 to 599, or 0 for all others", p->status);
        for (size_t k = 0; k < i && k < 600; k++) {
            if (c->s->error_pages[k].status != p->status)
                continue;
            walk_error(c->w, validate_spot(&sp, "error_pages", list, i, "status"), "%u has a page already (%s)", p->status,
                       validate_spot_there(c, list->v[k].at, list->v[i].at));
            break;
        }
    }
}
