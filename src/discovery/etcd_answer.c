/* etcd_answer.c - trees of JSON to pairs of key and value. */
#include "discovery/etcd_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "discovery/json_doc.h"

/* Zero, false and empty are left out by the gateway; 64 bits come as strings. */
static int64_t number(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    const char *text = json_string_value(v);
    char *end;
    long long n;

    if (text == NULL)
        return json_integer_value(v);
    errno = 0;
    n = strtoll(text, &end, 10);
    return errno != 0 || end == text || *end != '\0' ? 0 : n;
}

static int bytes(const json_t *object, const char *name, struct slice *out, struct arena *a)
{
    const json_t *v = json_object_get(object, name);
    struct slice text = slice_of(json_string_value(v), json_string_length(v));
    size_t size = BASE64_DECODED_MOST(text.n);
    char *to = arena_take(a, size + 1);
    long n;

    if (to == NULL)
        return -ERR_NOMEM;
    n = base64_decode(text, to, size);
    if (n < 0)
        return (int)n;
    *out = slice_of(to, (size_t)n);
    return 0;
}

static int pair(const json_t *kv, struct etcd_pair *out, struct arena *a)
{
    int rc = bytes(kv, "key", &out->key, a);

    if (rc == 0)
        rc = bytes(kv, "value", &out->value, a);
    return rc == 0 && out->key.n == 0 ? -ERR_INVALID : rc;
}

static int room_for(struct etcd_answer *out, const json_t *list, struct arena *a)
{
    out->v = arena_take_zero(a, json_array_size(list) * sizeof *out->v + 1);
    return out->v == NULL ? -ERR_NOMEM : 0;
}

static int range(const json_t *root, struct etcd_answer *out, struct arena *a)
{
    const json_t *kvs = json_object_get(root, "kvs");
    int rc = room_for(out, kvs, a);

    out->revision = number(json_object_get(root, "header"), "revision");
    out->more = json_is_true(json_object_get(root, "more"));
    for (size_t i = 0; rc == 0 && i < json_array_size(kvs); i++)
        rc = pair(json_array_get(kvs, i), &out->v[out->n++], a);
    return rc == 0 && out->revision <= 0 ? -ERR_INVALID : rc;
}

static int watch(const json_t *root, struct etcd_answer *out, struct arena *a)
{
    const json_t *result = json_object_get(root, "result"), *events = json_object_get(result, "events");
    int rc = json_is_object(result) ? room_for(out, events, a) : -ERR_INVALID;

    out->revision = number(json_object_get(result, "header"), "revision");
    out->canceled = json_is_true(json_object_get(result, "canceled"));
    out->compacted = number(result, "compact_revision");
    for (size_t i = 0; rc == 0 && i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i);
        const char *type = json_string_value(json_object_get(e, "type"));
        out->v[out->n].deleted = type != NULL && strcmp(type, "DELETE") == 0;
        rc = pair(json_object_get(e, "kv"), &out->v[out->n++], a);
    }
    return rc;
}

/* { "error": "...", "message": "..." } of a request, or { "error": { "message": "..." } } of a stream. */
static const char *complaint(const json_t *root)
{
    const json_t *error = json_object_get(root, "error");
    const char *text = json_string_value(json_object_get(error, "message"));

    return error == NULL ? NULL : text != NULL ? text : json_string_value(error) != NULL ? json_string_value(error) : "an error";
}

static int read_answer(struct slice text, struct etcd_answer *out, struct arena *a, char *why, size_t size,
                       int (*read)(const json_t *root, struct etcd_answer *out, struct arena *a))
{
    json_t *root = json_doc_load(text, why, size);
    const char *complains = complaint(root);
    int rc = -ERR_INVALID;

    *out = (struct etcd_answer){ 0 };
    if (root == NULL)
        return rc;
    if (complains != NULL)
        (void)snprintf(why, size, ETCD_SAYS "%s", complains);
    else
        rc = read(root, out, a);
    if (rc == -ERR_NOMEM)
        (void)snprintf(why, size, "%s", err_text(rc));
    else if (rc < 0 && complains == NULL)
        (void)snprintf(why, size, "not what etcd's gateway answers");
    json_decref(root);
    return rc;
}

int etcd_read_range(struct slice text, struct etcd_answer *out, struct arena *a, char *why, size_t size)
{
    return read_answer(text, out, a, why, size, range);
}

int etcd_read_watch(struct slice line, struct etcd_answer *out, struct arena *a, char *why, size_t size)
{
    return read_answer(line, out, a, why, size, watch);
}
