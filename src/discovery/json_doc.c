/* json_doc.c - a look at the text's brackets before jansson's parser, which recurses. */
#include "discovery/json_doc.h"

#include <stdio.h>

/* Goes over the text byte by byte; knows strings and brackets, and nothing else. */
struct scan {
    struct json_place at;
    unsigned depth;
    bool in_string, escaped;
};

static void scan_in_string(struct scan *s, char c)
{
    if (s->escaped)
        s->escaped = false;
    else if (c == '\\')
        s->escaped = true;
    else if (c == '"')
        s->in_string = false;
}

static void scan_byte(struct scan *s, char c)
{
    s->at.column++;
    if (c == '\n') {
        s->at.line++;
        s->at.column = 1;
    }
    if (s->in_string)
        scan_in_string(s, c);
    else if (c == '"')
        s->in_string = true;
    else if (c == '[' || c == '{')
        s->depth++;
    else if ((c == ']' || c == '}') && s->depth > 0)
        s->depth--;
}

static bool is_too_deep(struct slice text, struct json_place *at)
{
    struct scan s = { .at = { 1, 1 } };

    for (size_t i = 0; i < text.n; i++) {
        *at = s.at;
        scan_byte(&s, text.p[i]);
        if (s.depth > JSON_DOC_DEEPEST)
            return true;
    }
    return false;
}

json_t *json_doc_load(struct slice text, char *why, size_t size)
{
    struct json_place at;
    json_error_t error;
    json_t *root;

    if (text.n > JSON_DOC_MOST) {
        (void)snprintf(why, size, "larger than %d bytes", JSON_DOC_MOST);
        return NULL;
    }
    if (is_too_deep(text, &at)) {
        (void)snprintf(why, size, "line %u column %u: nested deeper than %d", at.line, at.column, JSON_DOC_DEEPEST);
        return NULL;
    }
    root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL)
        (void)snprintf(why, size, "line %d column %d: %s", error.line > 0 ? error.line : 1, error.column > 0 ? error.column : 1,
                       error.text);
    return root;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct json_place json_doc_item(struct slice text, size_t i)
{
    struct scan s = { .at = { 1, 1 } };
    bool begins = false; /* the next byte that is no space begins an item */
    size_t item = 0;

    for (size_t k = 0; k < text.n; k++) {
        char c = text.p[k];

        if (begins && !is_space(c)) {
            if (item++ == i)
                return s.at;
            begins = false;
        }
        scan_byte(&s, c);
        if (s.depth == 1 && !s.in_string && (c == ',' || (c == '[' && item == 0)))
            begins = true;
    }
    return s.at;
}
