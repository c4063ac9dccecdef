/*
 * validate_parts.h - what the files behind validate.h share; nothing else includes it.
 *
 * validate.c has the order of the parts. Each part is a file that goes over one kind of thing once, in the order of the file, and
 * reports by walk_error() and walk_warning() at the key that is wrong. What the walk has reported before is left alone: such a
 * field is zero or NULL.
 *
 * Threads: one.  Memory: what a snapshot keeps, in its arena; indexes and texts of messages, in that of the messages.  Running
 * out of it is noted in the messages.
 */
#ifndef CONF_VALIDATE_PARTS_H
#define CONF_VALIDATE_PARTS_H
#include "conf/index.h"
#include "conf/node.h"
#include "conf/snapshot.h"
#include "conf/walk.h"

/* One validation, and what a part leaves for later ones. */
struct check {
    struct walk *w;
    struct snapshot *s;
    const struct conf_node *root, *listeners, *routes, *pools; /* the lists, NULL when absent */
    struct index pool_index;                                   /* by name; filled by validate_pools() */
    bool *pool_used;                                           /* some route or listener refers to it */
    bool hears_names;        /* a listener may hear a client name a server in its TLS handshake */
    struct index bind_index; /* addresses as text, of listeners and the admin */
};

static inline const char *quote(const struct check *c, const char *text) { return messages_quote(c->w->m, text); }

/* ---- validate_spot.c ---- */

/* A key of the i-th item of a list (or the item itself, key NULL), with the path that leads there. */
struct spot {
    struct key_path list, item, key, inner;
    struct walk_at at; /* points into the struct: stay where it was filled */
};

struct walk_at validate_spot(struct spot *sp, const char *list_name, const struct conf_node *list, size_t i, const char *key);
/* A key of the group that `sp` was just filled with, which is one of the item. */
struct walk_at validate_spot_inside(struct spot *sp, const struct conf_node *item, const char *key);
/* A key of a group at the top level. */
struct walk_at validate_spot_group(const struct check *c, struct spot *sp, const char *group, const char *key);
/* "line 3", or "other.conf:3" when that is another file than the one complained about. */
const char *validate_spot_there(const struct check *c, struct place there, struct place here);

static inline struct walk_at listener_at(const struct check *c, struct spot *sp, size_t i, const char *key)
{
    return validate_spot(sp, "listeners", c->listeners, i, key);
}

static inline struct walk_at route_at(const struct check *c, struct spot *sp, size_t i, const char *key)
{
    return validate_spot(sp, "routes", c->routes, i, key);
}

static inline struct walk_at pool_at(const struct check *c, struct spot *sp, size_t i, const char *key)
{
    return validate_spot(sp, "pools", c->pools, i, key);
}

/* ---- validate_names.c ---- */

/* index_init() for n names; false: out of memory, which the messages know. */
bool validate_names_index(const struct check *c, struct index *x, size_t n);
void validate_names_form(const struct check *c, struct walk_at at, const char *name);
/* `what` is the kind ("pool"), and `there` the one that has the name already. */
void validate_names_twice(const struct check *c, struct walk_at at, const char *name, const char *what, struct place there);
/* A name that is none of those that the registry names; known_at() is NULL past the last. */
void validate_names_unknown(const struct check *c, struct walk_at at, const char *name, const char *what,
                            const char *(*known_at)(size_t i));

/* ---- validate_pools.c ---- */

/* First of all parts: the others refer to pools. */
void validate_pools(struct check *c);
/* The pool of that name, now in use; NULL, and an error, when there is none. */
const struct pool_conf *validate_pools_find(const struct check *c, struct walk_at at, const char *name);
/* Warns, once all that may refer to a pool has been checked. */
void validate_pools_unused(const struct check *c);

/* ---- validate_health.c ---- */

/* Of the i-th pool. */
void validate_health(const struct check *c, size_t i);

/* ---- validate_listeners.c ---- */

/* Before routes and groups, which go by hears_names and bind_index. */
void validate_listeners(struct check *c);
/* An address to listen on: against all that came before, and against the overlap with the first `n` listeners. */
void validate_listeners_bind(struct check *c, struct walk_at at, const struct addr *bind, const char *who, size_t n);

/* ---- validate_routes.c ---- */

void validate_routes(struct check *c);
/* Warns, of routes as a whole. */
void validate_routes_useless(const struct check *c);

/* ---- validate_groups.c, validate_error_pages.c ---- */

void validate_groups(struct check *c);
void validate_error_pages(const struct check *c);

/* ---- validate_tls.c, validate_proxy_protocol.c ---- */

/* Reads certificates and makes the parties, which are the snapshot's. Paths become absolute: from the folder of the file that
 * names them. */
void validate_tls(const struct check *c);
/* Tells the health checks, too, whether to send the header. */
void validate_proxy_protocol(const struct check *c);
#endif
