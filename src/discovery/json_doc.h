/*
 * json_doc.h - the door to jansson: JSON from outside as a tree, with bounds on what it may cost.
 *
 * Promise: a text that is larger or nested deeper than allowed is refused before jansson sees it, so it fits on a fiber's
 * stack; a name that stands twice in an object is an error; no string holds a NUL.
 * Threads: any.  Memory: the tree is the caller's: json_decref().
 */
#ifndef DISCOVERY_JSON_DOC_H
#define DISCOVERY_JSON_DOC_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum {
    JSON_DOC_MOST = 8 << 20, /* bytes of a text */
    JSON_DOC_DEEPEST = 16,   /* arrays and objects inside each other */
};

/* NULL: `why` says what is wrong and where ("line 3 column 7: ..."), or that memory is out. */
json_t *json_doc_load(struct slice text, char *why, size_t size);

struct json_place {
    unsigned line, column; /* from 1; columns are bytes */
};
/* Where the i-th item of the outermost array begins, in a text that was loaded. */
struct json_place json_doc_item(struct slice text, size_t i);
#endif
