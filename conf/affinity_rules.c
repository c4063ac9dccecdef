/* affinity_rules.c - keys that are hashed, cookies that stick, and the secrets that these are signed with. */
#include "conf/affinity_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "conf/rules.h"
#include "conf/source.h"
#include "upstream/sticky.h"
#include "upstream/strategy.h"

#define SECRET_FILE_MOST (64u * 1024u)

/* A key inside a group of the pool. */
struct inner {
    const struct conf_node *node; /* NULL: not written */
    struct key_path group, key;
    struct walk_at at;
};

static struct walk_at inner(struct inner *in, const struct conf_node *pool, struct walk_at at, const char *group, const char *key)
{
    const struct conf_node *g = node_find(pool, group);

    in->node = node_find(g, key);
    in->group = (struct key_path){ .up = at.path, .name = group };
    in->key = (struct key_path){ .up = &in->group, .name = key };
    in->at = (struct walk_at){ &in->key, in->node != NULL ? in->node->at : g != NULL ? g->at : at.place };
    return in->at;
}

/* --- hash --- */

static enum hash_kind kind_of(const char *key, size_t n)
{
    int i = 0;

    while (i < HASH_KINDS && (strlen(hash_kind_word(i)) != n || memcmp(hash_kind_word(i), key, n) != 0))
        i++;
    return (enum hash_kind)i;
}

static const char *name_shown(int kind) { return hash_kind_has_name(kind) ? ":NAME" : ""; }

static void unknown_kind(struct walk *w, struct walk_at at, const char *key, size_t n)
{
    char known[160] = "", word[32];
    struct nearest near;
    size_t used = 0;

    (void)snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word), key);
    nearest_init(&near, word);
    for (int i = 0; i < HASH_KINDS; i++) {
        nearest_offer(&near, hash_kind_word(i));
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s%s", i == 0 ? "" : ", ", hash_kind_word(i),
                                 name_shown(i));
    }
    if (near.best != NULL)
        walk_error(w, at, "%s is no key; did you mean %s%s?", messages_quote(w->m, key), near.best,
                   name_shown(kind_of(near.best, strlen(near.best))));
    else
        walk_error(w, at, "%s is no key; there are: %s", messages_quote(w->m, key), known);
}

/* `name` NULL: there is no colon.  NULL: right; else a sentence. */
static const char *wrong_name(enum hash_kind kind, const char *name)
{
    if (!hash_kind_has_name(kind))
        return name == NULL ? NULL : "this key has no name behind it";
    if (name == NULL || name[0] == '\0')
        return "the name is missing; write it behind the colon, like \"header:X-User\"";
    if (kind == HASH_HEADER && !is_token(slice_str(name)))
        return "not a field name; letters, digits and - are right";
    if (kind == HASH_COOKIE && !is_token(slice_str(name)))
        return "not a cookie's name; letters, digits and - are right";
    for (const char *p = name; kind == HASH_QUERY && *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || strchr("&=#", *p) != NULL)
            return "not a parameter's name; it is written as in a URL, percent-encoded and without & = #";
    return NULL;
}

static void check_hash_key(struct walk *w, struct walk_at at, struct hash_conf *h)
{
    size_t n = strcspn(h->key, ":");
    const char *name = h->key[n] == ':' ? h->key + n + 1 : NULL, *wrong;
    enum hash_kind kind = kind_of(h->key, n);

    if (kind == HASH_KINDS) {
        unknown_kind(w, at, h->key, n);
        return;
    }
    wrong = wrong_name(kind, name);
    if (wrong != NULL)
        walk_error(w, at, "%s: %s", messages_quote(w->m, h->key), wrong);
    h->kind = kind;
    h->name = name;
}

static void check_hash(struct walk *w, const struct conf_node *node, struct walk_at at, struct pool_conf *p)
{
    struct hash_conf *h = &p->hash;
    struct inner in;

    if (h->key != NULL)
        check_hash_key(w, inner(&in, node, at, "hash", "key"), h);
    if (h->bound > 0 && h->bound < 1)
        walk_error(w, inner(&in, node, at, "hash", "bound"),
                   "%g is below 1; no backend could have its share; write 1.0 or more, or 0 for no bound", h->bound);
    if (p->strategy == NULL || p->strategy->hashes)
        return;
    h->bound = 0; /* nobody counts for it */
    if (node_find(node, "hash") != NULL) {
        (void)inner(&in, node, at, "hash", "key");
        walk_warning(w, (struct walk_at){ &in.group, node_find(node, "hash")->at }, "has no effect: strategy %s does not hash",
                     messages_quote(w->m, p->strategy->name));
    }
}

/* --- sticky --- */

static bool is_long_enough(const char *secret) { return strlen(secret) >= STICKY_SECRET_LEAST; }

static void check_secret_key(struct walk *w, const struct inner *in, struct sticky_conf *s)
{
    bool single = !node_is_sequence(in->node);

    for (size_t i = 0; i < s->secret.n; i++) {
        struct key_path item = { .up = in->at.path, .index = i };
        const struct conf_node *node = single ? in->node : &in->node->v[i];
        struct walk_at at = { single ? in->at.path : &item, node->at };
        if (node->type == NODE_STRING && !is_long_enough(s->secret.v[i]))
            walk_error(w, at, "is too short; a secret has at least %d bytes", STICKY_SECRET_LEAST);
    }
    s->secrets = s->secret;
}

/* The next line that holds something, ended by a NUL in place; NULL: none is left. */
static char *next_line(char **rest, size_t *number)
{
    while (**rest != '\0') {
        char *line = *rest;
        size_t n = strcspn(line, "\n");

        *rest = line[n] == '\n' ? line + n + 1 : line + n;
        ++*number;
        if (n > 0 && line[n - 1] == '\r')
            n--;
        line[n] = '\0';
        if (n > 0)
            return line;
    }
    return NULL;
}

static void take_lines(struct walk *w, struct walk_at at, const char *path, char *text, struct sticky_conf *s)
{
    const char **v = walk_items(w, STICKY_SECRETS_MOST + 1, sizeof *v);
    size_t number = 0;
    const char *line;

    if (v == NULL)
        return;
    s->secrets.v = v;
    while (s->secrets.n <= STICKY_SECRETS_MOST && (line = next_line(&text, &number)) != NULL) {
        if (!is_long_enough(line))
            walk_error(w, at, "%s:%zu: is too short; a secret has at least %d bytes", path, number, STICKY_SECRET_LEAST);
        v[s->secrets.n] = walk_strdup(w, line);
        if (v[s->secrets.n] == NULL)
            return;
        s->secrets.n++;
    }
    if (s->secrets.n == 0)
        walk_error(w, at, "%s is empty; it has a secret on each line", path);
}

static void read_secret_file(struct walk *w, struct walk_at at, struct sticky_conf *s)
{
    const char *path = source_beside(w->arena, at.place.file, s->secret_file);
    char *text = NULL, *absolute;
    size_t n = 0;
    int rc = path == NULL ? -ENOMEM : source_read_file(path, SECRET_FILE_MOST, &text, &n);

    if (rc == -ENOMEM) {
        w->m->no_memory = true;
        return;
    }
    if (rc < 0) {
        walk_error(w, at, "can't read %s: %s", path, strerror(-rc));
        return;
    }
    if (memchr(text, '\0', n) != NULL)
        walk_error(w, at, "%s holds a NUL byte; it has a secret on each line", path);
    else
        take_lines(w, at, path, text, s);
    absolute = realpath(path, NULL); /* so that a dump finds it from any folder */
    if (absolute != NULL)
        s->secret_file = walk_strdup(w, absolute);
    free(absolute);
    explicit_bzero(text, n);
    free(text);
}

static void check_secrets(struct walk *w, const struct conf_node *node, struct walk_at at, struct sticky_conf *s)
{
    struct inner key, file;

    (void)inner(&key, node, at, "sticky", "secret");
    (void)inner(&file, node, at, "sticky", "secret_file");
    if (key.node != NULL && file.node != NULL)
        walk_error(w, file.at, "stands beside secret; write one of the two");
    else if (key.node != NULL && s->secret.n > 0)
        check_secret_key(w, &key, s);
    else if (key.node != NULL && node_is_sequence(key.node) && key.node->n == 0)
        walk_error(w, key.at, "is empty; write at least one secret");
    else if (key.node == NULL && s->secret_file != NULL)
        read_secret_file(w, file.at, s);
    else if (key.node == NULL && file.node == NULL)
        walk_error(w, key.at, "is missing; write secret or secret_file");
    if (s->secrets.n > STICKY_SECRETS_MOST)
        walk_error(w, key.node != NULL ? key.at : file.at, "there are too many; at most %d secrets", STICKY_SECRETS_MOST);
}

static void check_sticky(struct walk *w, const struct conf_node *node, struct walk_at at, struct sticky_conf *s)
{
    struct inner in;

    if (s->cookie != NULL && !is_token(slice_str(s->cookie)))
        walk_error(w, inner(&in, node, at, "sticky", "cookie"), "%s: not a cookie's name; letters, digits and - are right",
                   messages_quote(w->m, s->cookie));
    if (s->ttl > 0 && s->ttl < CLOCK_S)
        walk_error(w, inner(&in, node, at, "sticky", "ttl"),
                   "is below \"1s\", the least that a cookie can say; write \"0\" for no end");
    check_secrets(w, node, at, s);
}

void affinity_check(struct walk *w, const struct conf_node *node, struct walk_at at, struct pool_conf *p)
{
    check_hash(w, node, at, p);
    if (p->sticky != NULL)
        check_sticky(w, node, at, p->sticky);
}

void affinity_check_tcp(struct walk *w, struct walk_at at, const struct pool_conf *p)
{
    if (p->strategy != NULL && p->strategy->hashes && p->hash.key != NULL && hash_kind_needs_request(p->hash.kind))
        walk_warning(w, at, "the pool hashes %s, which a connection in mode \"tcp\" doesn't have: chance decides",
                     messages_quote(w->m, p->hash.key));
    if (p->sticky != NULL)
        walk_warning(w, at, "the pool is sticky, which has no effect with mode \"tcp\"");
}

void affinity_check_clear(struct walk *w, struct walk_at at, const struct pool_conf *p)
{
    if (p->strategy != NULL && p->strategy->hashes && p->hash.key != NULL && p->hash.kind == HASH_SNI)
        walk_warning(w, at, "the pool hashes \"sni\", which a connection in clear doesn't have: chance decides");
}
