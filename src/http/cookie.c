/* cookie.c - pairs between semicolons. */
#include "http/cookie.h"

#include "base/err.h"
#include "http/field_list.h"

/* Takes what stands before the next ';', blanks and all.  False: there is nothing more. */
static bool take_pair(struct slice *rest, struct slice *pair)
{
    const char *end;
    size_t used;

    if (rest->p == NULL)
        return false;
    end = rest->n == 0 ? NULL : memchr(rest->p, ';', rest->n);
    *pair = slice_of(rest->p, end == NULL ? rest->n : (size_t)(end - rest->p));
    used = pair->n + 1;
    *rest = end == NULL ? slice_of(NULL, 0) : slice_of(rest->p + used, rest->n - used);
    return true;
}

/* Is the pair a cookie of that name?  Then *value is what stands behind the '='. */
static bool is_named(struct slice pair, struct slice name, struct slice *value)
{
    const char *equals = pair.n == 0 ? NULL : memchr(pair.p, '=', pair.n);
    size_t n = equals == NULL ? 0 : (size_t)(equals - pair.p);

    if (equals == NULL || !slice_eq(field_trim(slice_of(pair.p, n)), name))
        return false;
    *value = field_trim(slice_of(equals + 1, pair.n - n - 1));
    if (value->n >= 2 && value->p[0] == '"' && value->p[value->n - 1] == '"')
        *value = slice_of(value->p + 1, value->n - 2);
    return true;
}

bool cookie_next(struct cookie_walk *w, struct slice name, struct slice *value)
{
    struct slice pair;

    for (;;) {
        while (take_pair(&w->rest, &pair))
            if (is_named(pair, name, value))
                return true;
        while (w->field < w->m->n_headers && (w->m->headers[w->field].id != HEADER_COOKIE || w->m->headers[w->field].dropped))
            w->field++;
        if (w->field == w->m->n_headers)
            return false;
        w->rest = header_value_of(&w->m->headers[w->field++]);
    }
}

static bool holds(struct slice value, struct slice name)
{
    struct slice pair, ignored;

    while (take_pair(&value, &pair))
        if (is_named(pair, name, &ignored))
            return true;
    return false;
}

/* The pairs of other names, each with the blanks that it had; `out` has room for all. */
static size_t copy_others(struct slice value, struct slice name, char *out)
{
    struct slice pair, ignored;
    size_t n = 0;
    bool first = true;

    while (take_pair(&value, &pair)) {
        if (is_named(pair, name, &ignored))
            continue;
        if (!first)
            out[n++] = ';';
        while (first && pair.n > 0 && field_is_space(pair.p[0]))
            pair = slice_of(pair.p + 1, pair.n - 1);
        if (pair.n > 0)
            memcpy(out + n, pair.p, pair.n);
        n += pair.n;
        first = false;
    }
    return n;
}

int cookie_remove(struct message *m, struct slice name, struct arena *a)
{
    for (size_t i = 0; i < m->n_headers; i++) {
        struct header *h = &m->headers[i];
        char *others;
        size_t n;

        if (h->id != HEADER_COOKIE || h->dropped || !holds(header_value_of(h), name))
            continue;
        others = arena_take(a, h->value_len);
        if (others == NULL)
            return -ERR_NOMEM;
        n = copy_others(header_value_of(h), name, others);
        h->value = others;
        h->value_len = (uint16_t)n;
        h->dropped = n == 0;
    }
    return 0;
}
