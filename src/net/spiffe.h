/*
 * spiffe.h - SPIFFE IDs ("spiffe://trust.domain/path/of/workload") read strictly, and patterns of them.
 *
 * An ID that two readers could take differently is none: no upper case in scheme or trust domain, no port, user, query or
 * fragment, no percent-encoding, no empty part, "." or "..", no slash at the end, at most 2048 bytes.
 * A pattern is an ID in whose path a part may be "*": one part, whatever it is; as the last part: one or more.  The trust
 * domain is always meant exactly.  "spiffe://prod.example" is that ID and no other.
 *
 * Source: the SPIFFE ID standard, sections 2.1 to 2.4.
 * Threads: any, no state.  Memory: slices into the text that was given.
 */
#ifndef NET_SPIFFE_H
#define NET_SPIFFE_H
#include <stdbool.h>

#include "base/slice.h"

#define SPIFFE_MOST 2048u

struct spiffe_id {
    struct slice domain; /* "prod.example" */
    struct slice path;   /* "/web/1", or empty */
};

/* NULL: done; else a sentence that says what is wrong with it. */
const char *spiffe_parse(struct slice text, struct spiffe_id *out);
/* Is it the name of a trust domain, "prod.example"? */
bool spiffe_is_domain(struct slice name);
/* The same for a pattern. */
const char *spiffe_pattern_wrong(const char *pattern);
/* False also when `id` is no ID. */
bool spiffe_matches(const char *pattern, struct slice id);
#endif
