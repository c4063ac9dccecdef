/*
 * cookie.h - the cookies of a request: finding one by its name, and taking one out while all others stay as they are.
 *
 * Read as RFC 6265 5.4 has them written, and as leniently as servers do: pairs between ';', blanks around name and value left
 * out, a value's quotes taken off.  Names are compared byte by byte.  HTTP/2 may spread the pairs over several fields (RFC 9113
 * 8.2.3): they are read as one list.
 *
 * No allocation but for what cookie_remove() has to write anew.
 * Threads: any.  Memory: slices point into the message.
 */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H
#include "http/message.h"

struct cookie_walk {
    const struct message *m;
    size_t field;      /* the next to be read */
    struct slice rest; /* of the one at hand */
};

static inline struct cookie_walk cookie_walk_of(const struct message *m) { return (struct cookie_walk){ .m = m }; }
/* The value of the next cookie of that name; false: there is none (any more). */
bool cookie_next(struct cookie_walk *w, struct slice name, struct slice *value);

/* Takes all cookies of that name out.  A field in which nothing is left is dropped; in others every byte but theirs, and the
 * ';' that is too much then, stays.  -ERR_NOMEM. */
int cookie_remove(struct message *m, struct slice name, struct arena *a);
#endif
