/* load.c - libconfig's tree to ours, files to one tree, a tree to a snapshot.  The only file that knows libconfig. */
#include "conf/load.h"

#include <dirent.h>
#include <errno.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/lexer.h"
#include "conf/schema.h"
#include "conf/source.h"
#include "conf/validate.h"

struct loading {
    struct snapshot *s;
    struct messages m; /* its arena also holds the tree */
};

static void *tree_items(struct messages *m, size_t n)
{
    void *v = arena_take_zero(&m->arena, n * sizeof(struct conf_node));

    if (v == NULL)
        m->no_memory = true;
    return v;
}

/* The settings come in the order of the text, and so do the lexer's marks. */
struct reading {
    struct messages *m;
    const struct source *src;
    size_t next; /* mark */
};

static struct place next_place(struct reading *r)
{
    size_t line = r->next < r->src->n_starts ? r->src->starts[r->next++] : 0;

    return r->src->lines[line < r->src->n_lines ? line : r->src->n_lines - 1];
}

static enum node_type type_of(const config_setting_t *s)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_GROUP: return NODE_GROUP;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: return NODE_INT;
    case CONFIG_TYPE_FLOAT: return NODE_FLOAT;
    case CONFIG_TYPE_BOOL: return NODE_BOOL;
    case CONFIG_TYPE_ARRAY: return NODE_ARRAY;
    case CONFIG_TYPE_LIST: return NODE_LIST;
    default: return NODE_STRING;
    }
}

static const char *copied(struct messages *m, const char *text)
{
    const char *copy = arena_strdup(&m->arena, text);

    if (copy == NULL)
        m->no_memory = true;
    return copy == NULL ? "" : copy;
}

static void convert(struct reading *r, config_setting_t *s, struct conf_node *out);

static void convert_items(struct reading *r, config_setting_t *s, struct conf_node *out)
{
    int n = config_setting_is_aggregate(s) ? config_setting_length(s) : 0;

    if (n <= 0)
        return;
    out->v = tree_items(r->m, (size_t)n);
    for (; out->v != NULL && out->n < (size_t)n; out->n++) {
        config_setting_t *item = config_setting_get_elem(s, (unsigned)out->n);
        out->v[out->n].at = next_place(r);
        convert(r, item, &out->v[out->n]);
    }
}

/* Recurses as deep as the text nests, which the lexer has bounded. */
static void convert(struct reading *r, config_setting_t *s, struct conf_node *out)
{
    out->type = type_of(s);
    if (config_setting_name(s) != NULL)
        out->name = copied(r->m, config_setting_name(s));
    if (out->type == NODE_BOOL)
        out->b = config_setting_get_bool(s) != 0;
    else if (out->type == NODE_INT)
        out->i = config_setting_type(s) == CONFIG_TYPE_INT ? config_setting_get_int(s) : config_setting_get_int64(s);
    else if (out->type == NODE_FLOAT)
        out->f = config_setting_get_float(s);
    else if (out->type == NODE_STRING)
        out->s = copied(r->m, config_setting_get_string(s) == NULL ? "" : config_setting_get_string(s));
    convert_items(r, s, out);
}

/* libconfig's own words: only for what the lexer has let pass (an array of mixed types, say). */
static void report_libconfig(struct messages *m, const struct source *src, const config_t *c)
{
    size_t line = config_error_line(c) > 0 ? (size_t)config_error_line(c) : 1;
    const char *text = config_error_text(c);

    if (line > src->n_lines)
        line = src->n_lines;
    messages_error(m, src->lines[line - 1], "%s", text == NULL ? "syntax error" : text);
}

static void parse(struct messages *m, const struct source *src, struct conf_node *root)
{
    struct reading r = { m, src, 0 };
    config_t c;

    config_init(&c);
    if (src->n == 0 || config_read_string(&c, src->text) == CONFIG_TRUE)
        convert(&r, config_root_setting(&c), root);
    else
        report_libconfig(m, src, &c);
    config_destroy(&c);
}

/* One file with its includes to a tree; `text` NULL: read it. */
static void read_tree(struct loading *l, const char *text, const char *path, struct conf_node *root)
{
    size_t errors = l->m.n_errors;
    struct source src;

    /* no line: what is missing at the top level is missing in the file */
    *root = (struct conf_node){ .type = NODE_GROUP, .at = { l->s->path, 0 } };
    source_open(&src, text, path, &l->s->arena, &l->m);
    if (l->m.n_errors == errors && !l->m.no_memory)
        lexer_check(&src, &l->m);
    if (l->m.n_errors == errors && !l->m.no_memory)
        parse(&l->m, &src, root);
    source_free(&src);
}

/* --- include_dir --- */

static int is_conf(const struct dirent *e)
{
    size_t n = strlen(e->d_name);

    return n > 5 && e->d_name[0] != '.' && strcmp(e->d_name + n - 5, ".conf") == 0;
}

/* The list of that name in the tree, made if need be.  NULL: no memory. */
static struct conf_node *list_for(struct messages *m, struct conf_node *root, const struct conf_node *like)
{
    struct conf_node *v;

    for (size_t i = 0; i < root->n; i++)
        if (strcmp(root->v[i].name, like->name) == 0)
            return &root->v[i];
    v = tree_items(m, root->n + 1);
    if (v == NULL)
        return NULL;
    if (root->n > 0)
        memcpy(v, root->v, root->n * sizeof *v);
    root->v = v;
    v[root->n] = *like;
    v[root->n].v = NULL;
    v[root->n].n = 0;
    return &v[root->n++];
}

static void append(struct messages *m, struct conf_node *root, const struct conf_node *from)
{
    struct conf_node *list = list_for(m, root, from), *v;

    if (list == NULL || !node_is_sequence(list) || from->n == 0)
        return; /* a list of another type is reported by the walk */
    v = tree_items(m, list->n + from->n);
    if (v == NULL)
        return;
    if (list->n > 0)
        memcpy(v, list->v, list->n * sizeof *v);
    memcpy(v + list->n, from->v, from->n * sizeof *v);
    list->v = v;
    list->n += from->n;
    list->type = NODE_LIST;
}

static void merge(struct messages *m, struct conf_node *root, const struct conf_node *part)
{
    for (size_t i = 0; i < part->n; i++) {
        const struct conf_node *it = &part->v[i];
        if (strcmp(it->name, "listeners") != 0 && strcmp(it->name, "routes") != 0 && strcmp(it->name, "pools") != 0)
            messages_error(m, it->at, "%s: a file of include_dir holds only listeners, routes and pools", it->name);
        else if (!node_is_sequence(it))
            messages_error(m, it->at, "%s: %s is found, but a list of groups is needed: ( { ... }, { ... } )", it->name,
                           node_type_text(it->type));
        else
            append(m, root, it);
    }
}

static void read_dir(struct loading *l, struct conf_node *root, const char *dir, struct place at)
{
    const char *folder = source_beside(&l->s->arena, at.file, dir);
    struct dirent **found = NULL;
    int n = folder == NULL ? -1 : scandir(folder, &found, is_conf, alphasort);

    if (folder == NULL || (n < 0 && errno == ENOMEM)) {
        l->m.no_memory = true;
        return;
    }
    if (n < 0)
        messages_error(&l->m, at, "include_dir: can't read %s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *path = arena_printf(&l->s->arena, "%s/%s", folder, found[i]->d_name);
        struct conf_node part;
        if (path == NULL) {
            l->m.no_memory = true;
        } else {
            read_tree(l, NULL, path, &part);
            merge(&l->m, root, &part);
        }
        free(found[i]);
    }
    free(found);
}

static void read_all(struct loading *l, const char *text, const char *path, struct conf_node *root)
{
    const char *dir;

    read_tree(l, text, path, root);
    dir = schema_include_dir(root);
    if (dir != NULL)
        read_dir(l, root, dir, node_find(root, "include_dir")->at);
}

/* --- the whole --- */

static struct snapshot *snapshot_new(const char *path)
{
    struct snapshot *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->magic = SNAPSHOT_MAGIC;
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, NULL, 0);
    s->path = arena_strdup(&s->arena, path);
    if (s->path == NULL)
        snapshot_unref(&s);
    return s;
}

static void load(struct loading *l, const char *text, const char *path)
{
    struct walk w = { &l->s->arena, &l->m };
    struct conf_node root;

    read_all(l, text, path, &root);
    if (l->m.n_errors > 0 || l->m.no_memory)
        return; /* what a broken text means is a guess */
    schema_fill(&w, &root, l->s);
    if (!l->m.no_memory)
        validate(&w, &root, l->s);
}

static int load_from(const char *text, const char *path, struct snapshot **out, struct conf_report *report)
{
    struct loading l = { .s = snapshot_new(path) };
    int rc;

    *report = (struct conf_report){ 0 };
    if (l.s == NULL)
        return -ERR_NOMEM;
    messages_init(&l.m);
    load(&l, text, path);
    rc = messages_report(&l.m, report);
    messages_free(&l.m);
    if (rc == 0) {
        *out = l.s;
        l.s = NULL; /* handed over */
    }
    snapshot_unref(&l.s);
    return rc;
}

int conf_load(const char *path, struct snapshot **out, struct conf_report *report) { return load_from(NULL, path, out, report); }

int conf_load_text(const char *text, const char *path, struct snapshot **out, struct conf_report *report)
{
    return load_from(text, path, out, report);
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, revision) "libconfig " TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(revision)

const char *conf_library(void) { return VERSION_TEXT(LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION); }
