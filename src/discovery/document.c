/* document.c - from a tree of JSON to backends, with every limit checked. */
#include "discovery/document.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/must.h"
#include "base/nearest.h"
#include "discovery/json_doc.h"

enum { WEIGHT_MOST = 1000, CONNECTIONS_MOST = 1000000 }; /* as the rows of `backends` say */

enum { WRONG = 128 };

/* What was written, for a message: cut, and on one line. */
static const char *show(const char *text, char out[48])
{
    char *end = json_escape(out, out + 44, slice_str(text), NULL);

    *end = '\0';
    return out;
}

static int wrong_number(const char *name, char wrong[WRONG], int most)
{
    (void)snprintf(wrong, WRONG, "%s is a whole number from 0 to %d", name, most);
    return -ERR_INVALID;
}

static int read_number(const json_t *v, const char *name, int most, uint32_t *out, char wrong[WRONG])
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > most)
        return wrong_number(name, wrong, most);
    *out = (uint32_t)json_integer_value(v);
    return 0;
}

static int read_address(const char *text, struct addr *out, char wrong[WRONG])
{
    const char *why = text == NULL ? "a string like \"10.0.0.1:80\" is needed" : addr_parse(text, out, NULL);
    char shown[48];

    if (why == NULL)
        return 0;
    (void)snprintf(wrong, WRONG, "address \"%s\": %s", text == NULL ? "" : show(text, shown), why);
    return -ERR_INVALID;
}

static int unknown_name(const char *name, char wrong[WRONG])
{
    static const char *const known[] = { "address", "weight", "priority", "backup", "max_connections" };
    struct nearest near;
    char shown[48];

    nearest_init(&near, name);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        nearest_offer(&near, known[i]);
    if (near.best == NULL)
        return 0;
    (void)snprintf(wrong, WRONG, "\"%s\" is not known; did you mean \"%s\"?", show(name, shown), near.best);
    return -ERR_INVALID;
}

static int read_member(const char *name, const json_t *v, struct found *f, bool *backup, char wrong[WRONG])
{
    if (strcmp(name, "address") == 0)
        return read_address(json_string_value(v), &f->addr, wrong);
    if (strcmp(name, "weight") == 0)
        return read_number(v, name, WEIGHT_MOST, &f->weight, wrong);
    if (strcmp(name, "priority") == 0)
        return read_number(v, name, FOUND_PRIORITY_MOST, &f->priority, wrong);
    if (strcmp(name, "max_connections") == 0)
        return read_number(v, name, CONNECTIONS_MOST, &f->max_connections, wrong);
    if (strcmp(name, "backup") != 0)
        return unknown_name(name, wrong);
    if (json_is_boolean(v)) {
        *backup = json_is_true(v);
        return 0;
    }
    (void)snprintf(wrong, WRONG, "backup is true or false");
    return -ERR_INVALID;
}

static int read_backend(json_t *item, struct found *f, char wrong[WRONG])
{
    bool backup = false;
    const char *name;
    json_t *v;

    *f = (struct found){ .weight = 1 };
    if (json_is_string(item))
        return read_address(json_string_value(item), &f->addr, wrong);
    if (!json_is_object(item)) {
        (void)snprintf(wrong, WRONG, "a backend is needed: { \"address\": \"10.0.0.1:80\" }");
        return -ERR_INVALID;
    }
    json_object_foreach(item, name, v)
    {
        int rc = read_member(name, v, f, &backup, wrong);
        if (rc < 0)
            return rc;
    }
    if (backup && f->priority == 0)
        f->priority = 1;
    return 0;
}

static int read_item(json_t *item, struct found_list *out, char wrong[WRONG])
{
    struct found f;
    int rc = read_backend(item, &f, wrong);

    if (rc == 0 && f.addr.len == 0) {
        (void)snprintf(wrong, WRONG, "the address is missing");
        rc = -ERR_INVALID;
    }
    if (rc < 0)
        return rc;
    rc = found_list_add(out, &f);
    if (rc == -ERR_INVALID)
        (void)snprintf(wrong, WRONG, "more than %d backends", FOUND_MOST);
    else if (rc < 0)
        (void)snprintf(wrong, WRONG, "out of memory");
    return rc;
}

static int read_list(struct slice text, json_t *root, struct found_list *out, char why[SOURCE_WHY])
{
    char wrong[WRONG];

    if (!json_is_array(root)) {
        (void)snprintf(why, SOURCE_WHY, "line 1 column 1: a list is needed: [ { \"address\": \"10.0.0.1:80\" } ]");
        return -ERR_INVALID;
    }
    for (size_t i = 0; i < json_array_size(root); i++) {
        int rc = read_item(json_array_get(root, i), out, wrong);
        if (rc < 0) {
            struct json_place at = json_doc_item(text, i);
            (void)snprintf(why, SOURCE_WHY, "line %u column %u, item %zu: %s", at.line, at.column, i + 1, wrong);
            return rc;
        }
    }
    return 0;
}

int document_list(struct slice text, struct found_list *out, char why[SOURCE_WHY])
{
    json_t *root = json_doc_load(text, why, SOURCE_WHY);
    int rc = root == NULL ? -ERR_INVALID : read_list(text, root, out, why);

    json_decref(root);
    return rc;
}

static int settle_address(const struct addr *address, struct found *f, char wrong[WRONG])
{
    if (f->addr.len == 0 && address == NULL)
        (void)snprintf(wrong, WRONG, "the address is missing");
    else if (f->addr.len > 0 && address != NULL && !addr_equal(&f->addr, address))
        (void)snprintf(wrong, WRONG, "the address is another than the one it stands under");
    else {
        if (address != NULL)
            f->addr = *address;
        return 0;
    }
    return -ERR_INVALID;
}

int document_one(struct slice text, const struct addr *address, struct found *out, char why[SOURCE_WHY])
{
    struct found f = { .weight = 1 };
    char wrong[WRONG];
    json_t *root = NULL;
    int rc = 0;

    if (text.n > 0 || address == NULL) {
        root = json_doc_load(text, why, SOURCE_WHY);
        if (root == NULL)
            return -ERR_INVALID;
        rc = read_backend(root, &f, wrong);
    }
    if (rc == 0)
        rc = settle_address(address, &f, wrong);
    if (rc == 0)
        *out = f;
    else
        (void)snprintf(why, SOURCE_WHY, "%s", wrong);
    json_decref(root);
    return rc;
}
