/*
 * field_list.h - the members of a comma-separated field value, without quoted strings (Connection, TE).
 *
 * Private to src/http.  Empty members are skipped (RFC 9110 5.6.1.2).  Threads: any.  Memory: into the value.
 */
#ifndef HTTP_FIELD_LIST_H
#define HTTP_FIELD_LIST_H
#include "base/slice.h"

static inline bool field_is_space(char c) { return c == ' ' || c == '\t'; }

static inline struct slice field_trim(struct slice s)
{
    while (s.n > 0 && field_is_space(s.p[0]))
        s = slice_of(s.p + 1, s.n - 1);
    while (s.n > 0 && field_is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Takes the next member from *rest; false when there is none. */
static inline bool field_list_next(struct slice *rest, struct slice *member)
{
    while (rest->n > 0) {
        const char *comma = memchr(rest->p, ',', rest->n);
        size_t n = comma == NULL ? rest->n : (size_t)(comma - rest->p);
        size_t used = comma == NULL ? n : n + 1;

        *member = field_trim(slice_of(rest->p, n));
        *rest = slice_of(rest->p + used, rest->n - used);
        if (member->n > 0)
            return true;
    }
    return false;
}
#endif
