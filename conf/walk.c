/* walk.c - rows on one side, a parsed group on the other. */
#include "conf/walk.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "base/nearest.h"

#define PATH_MOST 256u
#define SAID_MOST 1024u

/* "pools.api.weight" into out; cut when it is too long. */
static size_t path_text(const struct key_path *p, char out[PATH_MOST])
{
    size_t n = p->up == NULL ? 0 : path_text(p->up, out);
    int k;

    if (p->name == NULL)
        k = snprintf(out + n, PATH_MOST - n, "[%zu]", p->index);
    else
        k = snprintf(out + n, PATH_MOST - n, "%s%s", n == 0 ? "" : ".", p->name);
    n += k < 0 ? 0 : (size_t)k;
    return n < PATH_MOST ? n : PATH_MOST - 1;
}

void walk_error(struct walk *w, struct walk_at at, const char *fmt, ...)
{
    char path[PATH_MOST], said[SAID_MOST];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
    (void)path_text(at.path, path);
    messages_error(w->m, at.place, "%s: %s", path, said);
}

void walk_warning(struct walk *w, struct walk_at at, const char *fmt, ...)
{
    char path[PATH_MOST], said[SAID_MOST];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
    (void)path_text(at.path, path);
    messages_warning(w->m, at.place, "%s: %s", path, said);
}

char *walk_strdup(struct walk *w, const char *text)
{
    char *s = arena_strdup(w->arena, text);

    if (s == NULL)
        w->m->no_memory = true;
    return s;
}

void *walk_items(struct walk *w, size_t n, size_t size)
{
    void *v;

    if (n == 0)
        return NULL;
    v = arena_take_zero(w->arena, n * size);
    if (v == NULL)
        w->m->no_memory = true;
    return v;
}

struct key_path walk_item_path(const struct key_path *list, const struct conf_node *item, size_t index)
{
    const struct conf_node *name = node_find(item, "name");
    bool named = name != NULL && name->type == NODE_STRING && name->s[0] != '\0';

    return (struct key_path){ .up = list, .name = named ? name->s : NULL, .index = index };
}

/* What stands there, as a subject: `"yes" is a string`, `1.5 is a float`, `a list is found`. */
static const char *subject(struct walk *w, const struct conf_node *n, char out[128])
{
    switch (n->type) {
    case NODE_STRING: (void)snprintf(out, 128, "%s is a string", messages_quote(w->m, n->s)); break;
    case NODE_INT: (void)snprintf(out, 128, "%" PRId64 " is an integer", n->i); break;
    case NODE_FLOAT: (void)snprintf(out, 128, "%g is a float", n->f); break;
    case NODE_BOOL: (void)snprintf(out, 128, "%s is a bool", n->b ? "true" : "false"); break;
    default: (void)snprintf(out, 128, "%s is found", node_type_text(n->type));
    }
    return out;
}

bool walk_expect(struct walk *w, const struct conf_node *node, struct walk_at at, bool fits, const char *needed)
{
    char found[128];

    if (!fits)
        walk_error(w, at, "%s, but %s", subject(w, node, found), needed);
    return fits;
}

static void check_range(struct walk *w, struct walk_at at, const struct conf_key *k, const char *shown, bool below, bool above)
{
    const char *quote = k->type == CONF_TYPE_UINT || k->type == CONF_TYPE_FLOAT ? "" : "\"";

    if (below)
        walk_error(w, at, "%s is below %s%s%s", shown, quote, k->min, quote);
    else if (above)
        walk_error(w, at, "%s is above %s%s%s", shown, quote, k->max, quote);
}

/* Limits are our own texts, so they parse. */
#define IN_RANGE(parser, type)                                \
    do {                                                      \
        type v_ = *(type *)field, lo_ = v_, hi_ = v_;         \
        MUST(k->min == NULL || parser(k->min, &lo_) == NULL); \
        MUST(k->max == NULL || parser(k->max, &hi_) == NULL); \
        check_range(w, at, k, shown, v_<lo_, v_> hi_);        \
    } while (0)

static void set_word(struct walk *w, struct walk_at at, const struct conf_key *k, const char *text, int *field)
{
    char known[256] = "";
    struct nearest near;
    size_t n = 0;

    nearest_init(&near, text);
    for (int i = 0; k->words[i] != NULL; i++) {
        if (strcmp(k->words[i], text) == 0) {
            *field = i;
            return;
        }
        nearest_offer(&near, k->words[i]);
        if (n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s\"%s\"", i == 0 ? "" : ", ", k->words[i]);
    }
    if (near.best != NULL)
        walk_error(w, at, "%s is not one of %s; did you mean \"%s\"?", messages_quote(w->m, text), known, near.best);
    else
        walk_error(w, at, "%s is not one of %s", messages_quote(w->m, text), known);
}

/* Sets the field from a text: of the file, or the row's default. */
static void set_text(struct walk *w, struct walk_at at, const struct conf_key *k, const char *text, void *field)
{
    const char *wrong = NULL;
    const char *shown = k->type == CONF_TYPE_UINT || k->type == CONF_TYPE_FLOAT ? text : messages_quote(w->m, text);

    switch (k->type) {
    case CONF_TYPE_BOOL: wrong = conf_parse_bool(text, field); break;
    case CONF_TYPE_UINT:
        wrong = conf_parse_uint(text, field);
        if (wrong == NULL)
            IN_RANGE(conf_parse_uint, uint32_t);
        break;
    case CONF_TYPE_FLOAT:
        wrong = conf_parse_float(text, field);
        if (wrong == NULL)
            IN_RANGE(conf_parse_float, double);
        break;
    case CONF_TYPE_TIME:
        wrong = conf_parse_time(text, field);
        if (wrong == NULL)
            IN_RANGE(conf_parse_time, int64_t);
        break;
    case CONF_TYPE_SIZE:
        wrong = conf_parse_size(text, field);
        if (wrong == NULL)
            IN_RANGE(conf_parse_size, uint64_t);
        break;
    case CONF_TYPE_RATE:
        wrong = conf_parse_rate(text, field);
        if (wrong == NULL)
            IN_RANGE(conf_parse_rate, double);
        break;
    case CONF_TYPE_STR: *(const char **)field = walk_strdup(w, text); break;
    case CONF_TYPE_WORD: set_word(w, at, k, text, field); break;
    case CONF_TYPE_CUSTOM: wrong = k->parse(text, field, w->arena); break;
    default: MUST(!"a group or a list has no text");
    }
    if (wrong != NULL)
        walk_error(w, at, "%s: %s", shown, wrong);
}

static void set_uint(struct walk *w, struct walk_at at, const struct conf_key *k, const struct conf_node *node, uint32_t *field)
{
    char text[24];

    if (!walk_expect(w, node, at, node->type == NODE_INT, "a whole number is needed"))
        return;
    (void)snprintf(text, sizeof text, "%" PRId64, node->i);
    if (node->i < 0)
        walk_error(w, at, "%s is below %s", text, k->min == NULL ? "0" : k->min);
    else if (node->i > UINT32_MAX)
        walk_error(w, at, "%s is above %s", text, k->max == NULL ? "4294967295" : k->max);
    else
        set_text(w, at, k, text, field);
}

/* An integer is taken for a float: 2 for 2.0. */
static void set_float(struct walk *w, struct walk_at at, const struct conf_key *k, const struct conf_node *node, double *field)
{
    bool fits = node->type == NODE_FLOAT || node->type == NODE_INT;
    char shown[32];

    if (!walk_expect(w, node, at, fits, "a number is needed, like 1.25"))
        return;
    *field = node->type == NODE_INT ? (double)node->i : node->f;
    (void)snprintf(shown, sizeof shown, "%.9g", *field);
    IN_RANGE(conf_parse_float, double);
}

static void set_list(struct walk *w, struct walk_at at, const struct conf_key *k, const struct conf_node *node,
                     struct conf_list *out)
{
    bool fits = node->type == NODE_LIST || (node->type == NODE_ARRAY && node->n == 0);
    char *v;

    if (!walk_expect(w, node, at, fits, "a list of groups is needed: ( { ... }, { ... } )"))
        return;
    v = walk_items(w, node->n, k->sub_size);
    if (v == NULL)
        return;
    *out = (struct conf_list){ v, node->n };
    for (size_t i = 0; i < node->n; i++) {
        struct key_path path = walk_item_path(at.path, &node->v[i], i);
        walk_group(w, &node->v[i], (struct walk_at){ &path, node->v[i].at }, k->sub, NULL, v + i * k->sub_size);
    }
}

void walk_strings(struct walk *w, const struct conf_node *node, struct walk_at at, struct conf_strs *out)
{
    const char **v;

    if (!walk_expect(w, node, at, node_is_sequence(node), "an array of strings is needed: [ \"...\", \"...\" ]"))
        return;
    v = walk_items(w, node->n, sizeof *v);
    if (v == NULL)
        return;
    *out = (struct conf_strs){ v, node->n };
    for (size_t i = 0; i < node->n; i++) {
        struct key_path path = { .up = at.path, .index = i };
        bool is_string = node->v[i].type == NODE_STRING;
        v[i] = "";
        if (walk_expect(w, &node->v[i], (struct walk_at){ &path, node->v[i].at }, is_string, "a string is needed"))
            v[i] = walk_strdup(w, node->v[i].s);
        if (v[i] == NULL)
            v[i] = "";
    }
}

static void set_one_string(struct walk *w, const struct conf_node *node, struct conf_strs *out)
{
    const char **v = walk_items(w, 1, sizeof *v);

    if (v == NULL)
        return;
    v[0] = walk_strdup(w, node->s);
    *out = (struct conf_strs){ v, v[0] != NULL };
}

static void set_optional(struct walk *w, struct walk_at at, const struct conf_key *k, const struct conf_node *node, void *field)
{
    void *it;

    if (!walk_expect(w, node, at, node->type == NODE_GROUP, "a group is needed: { NAME = VALUE; ... }"))
        return;
    it = walk_items(w, 1, k->sub_size);
    memcpy(field, &it, sizeof it); /* the field is a pointer to a struct of its own type */
    if (it != NULL)
        walk_group(w, node, at, k->sub, NULL, it);
}

static bool holds_only_strings(const struct conf_node *node)
{
    size_t i = 0;

    if (!node_is_sequence(node))
        return node->type == NODE_STRING;
    while (i < node->n && node->v[i].type == NODE_STRING)
        i++;
    return i == node->n;
}

static const char *needed_text(enum conf_type type)
{
    switch (type) {
    case CONF_TYPE_TIME: return "a duration is needed: a string with a unit, like \"10s\"";
    case CONF_TYPE_SIZE: return "a size is needed: a string, like \"64K\"";
    case CONF_TYPE_RATE: return "a rate is needed: a string, like \"100/s\"";
    default: return "a string is needed";
    }
}

static void set_from_node(struct walk *w, struct walk_at at, const struct conf_key *k, const struct conf_node *node, void *field)
{
    switch (k->type) {
    case CONF_TYPE_BOOL:
        if (walk_expect(w, node, at, node->type == NODE_BOOL, "a bool is needed: true or false"))
            *(bool *)field = node->b;
        return;
    case CONF_TYPE_UINT: set_uint(w, at, k, node, field); return;
    case CONF_TYPE_FLOAT: set_float(w, at, k, node, field); return;
    case CONF_TYPE_STRS:
        if (k->hidden && !holds_only_strings(node))
            walk_error(w, at, "a string is needed, or an array of strings"); /* and what is found is not shown */
        else if (k->one_will_do && node->type == NODE_STRING)
            set_one_string(w, node, field);
        else
            walk_strings(w, node, at, field);
        return;
    case CONF_TYPE_GROUP: walk_group(w, node, at, k->sub, NULL, field); return;
    case CONF_TYPE_OPTIONAL: set_optional(w, at, k, node, field); return;
    case CONF_TYPE_LIST: set_list(w, at, k, node, field); return;
    default:
        if (walk_expect(w, node, at, node->type == NODE_STRING, needed_text(k->type)))
            set_text(w, at, k, node->s, field);
    }
}

static void set_default(struct walk *w, struct walk_at at, const struct conf_key *k, void *field)
{
    if (k->type == CONF_TYPE_GROUP)
        walk_group(w, NULL, at, k->sub, NULL, field);
    else if (k->def != NULL)
        set_text(w, at, k, k->def, field);
    else if (k->type == CONF_TYPE_WORD && k->optional)
        *(int *)field = -1;
    else if (!k->optional)
        walk_error(w, at, "is missing and has no default");
}

static void offer_all(struct nearest *near, const struct conf_key *keys, const struct walk_special *specials)
{
    for (const struct conf_key *k = keys; k->name != NULL; k++)
        nearest_offer(near, k->name);
    for (const struct walk_special *s = specials; s != NULL && s->name != NULL; s++)
        nearest_offer(near, s->name);
}

static bool is_known(const char *name, const struct conf_key *keys, const struct walk_special *specials)
{
    for (const struct conf_key *k = keys; k->name != NULL; k++)
        if (strcmp(k->name, name) == 0)
            return true;
    for (const struct walk_special *s = specials; s != NULL && s->name != NULL; s++)
        if (strcmp(s->name, name) == 0)
            return true;
    return false;
}

static void unknown_key(struct walk *w, struct walk_at at, const char *name, const struct conf_key *keys,
                        const struct walk_special *specials)
{
    char known[400] = "";
    struct nearest near;
    size_t n = 0;

    nearest_init(&near, name);
    offer_all(&near, keys, specials);
    if (near.best != NULL) {
        walk_error(w, at, "unknown key; did you mean %s?", near.best);
        return;
    }
    for (const struct conf_key *k = keys; k->name != NULL && n < sizeof known; k++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n == 0 ? "" : ", ", k->name);
    for (const struct walk_special *s = specials; s != NULL && s->name != NULL && n < sizeof known; s++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n == 0 ? "" : ", ", s->name);
    walk_error(w, at, "unknown key; known here: %s", known);
}

static struct walk_at member_at(const struct key_path *path, const struct conf_node *node, struct walk_at group)
{
    return (struct walk_at){ path, node == NULL ? group.place : node->at };
}

void walk_group(struct walk *w, const struct conf_node *group, struct walk_at at, const struct conf_key *keys,
                const struct walk_special *specials, void *out)
{
    if (group != NULL && !walk_expect(w, group, at, group->type == NODE_GROUP, "a group is needed: { NAME = VALUE; ... }"))
        return;
    for (const struct conf_key *k = keys; k->name != NULL; k++) {
        const struct conf_node *node = node_find(group, k->name);
        struct key_path path = { .up = at.path, .name = k->name };
        if (node != NULL)
            set_from_node(w, member_at(&path, node, at), k, node, (char *)out + k->offset);
        else
            set_default(w, member_at(&path, NULL, at), k, (char *)out + k->offset);
    }
    for (const struct walk_special *s = specials; s != NULL && s->name != NULL; s++) {
        const struct conf_node *node = node_find(group, s->name);
        struct key_path path = { .up = at.path, .name = s->name };
        s->fill(w, node, member_at(&path, node, at), out);
    }
    for (size_t i = 0; group != NULL && i < group->n; i++) {
        struct key_path path = { .up = at.path, .name = group->v[i].name };
        if (!is_known(group->v[i].name, keys, specials))
            unknown_key(w, (struct walk_at){ &path, group->v[i].at }, group->v[i].name, keys, specials);
    }
}

void walk_short(struct walk *w, const struct conf_node *text, struct walk_at at, const struct conf_key *keys, const char *name,
                void *out)
{
    for (const struct conf_key *k = keys; k->name != NULL; k++) {
        if (strcmp(k->name, name) == 0)
            set_from_node(w, at, k, text, (char *)out + k->offset);
        else
            set_default(w, at, k, (char *)out + k->offset);
    }
}
