/*
 * h1_feed.h - gives heads to the parser whole, cut in two and byte by byte, and compares what came out.
 *
 * For unit tests and fuzz targets.  Each call of the parser gets an allocation of exactly its bytes, so that a sanitizer
 * sees a read beyond them.
 */
#ifndef TESTS_H1_FEED_H
#define TESTS_H1_FEED_H
#include <stdlib.h>
#include <string.h>

#include "http/h1_parse.h"

enum feed_kind { FEED_REQUEST, FEED_RESPONSE, FEED_TRAILERS };

struct feed {
    enum feed_kind kind;
    enum method request_method; /* of a response */
    struct head_limits limits;
};

#define FEED_LIMITS ((struct head_limits){ 32768, 8192, 100 })

struct parsed {
    int rc;
    struct message m;
    struct header headers[128];
    char *bytes;
};

static inline void parsed_free(struct parsed *p)
{
    free(p->bytes);
    p->bytes = NULL;
}

/* One call, as on a connection: bytes move, *seen goes on. */
static inline void feed_call(struct parsed *p, const struct feed *f, const char *bytes, size_t n, size_t *seen)
{
    free(p->bytes);
    p->bytes = malloc(n > 0 ? n : 1);
    if (p->bytes == NULL)
        abort();
    memcpy(p->bytes, bytes, n);
    memset(&p->m, 0xa5, sizeof(p->m));
    memset(p->headers, 0xa5, sizeof(p->headers));
    p->m.headers = p->headers;
    p->m.cap_headers = 128;
    if (f->kind == FEED_REQUEST)
        p->rc = h1_parse_request(&p->m, p->bytes, n, seen, &f->limits);
    else if (f->kind == FEED_RESPONSE)
        p->rc = h1_parse_response(&p->m, p->bytes, n, seen, f->request_method, &f->limits);
    else
        p->rc = h1_parse_trailers(&p->m, p->bytes, n, seen, &f->limits);
}

/* From `first` bytes on, `step` more a call, until there is an answer or all is given. */
static inline void feed(struct parsed *p, const struct feed *f, const char *bytes, size_t n, size_t first, size_t step)
{
    size_t seen = 0;

    *p = (struct parsed){ 0 };
    for (size_t k = first < n ? first : n;; k = step < n - k ? k + step : n) {
        feed_call(p, f, bytes, k, &seen);
        if (p->rc != 0 || k == n)
            return;
    }
}

static inline void feed_whole(struct parsed *p, const struct feed *f, const char *bytes, size_t n) { feed(p, f, bytes, n, n, 1); }

static inline bool same_fields(const struct message *a, const struct message *b)
{
    if (a->n_headers != b->n_headers)
        return false;
    for (size_t i = 0; i < a->n_headers; i++) {
        const struct header *x = &a->headers[i], *y = &b->headers[i];

        if (!slice_eq(header_name_of(x), header_name_of(y)) || !slice_eq(header_value_of(x), header_value_of(y)) ||
            x->id != y->id || x->dropped != y->dropped)
            return false;
    }
    return true;
}

static inline bool same_slice(struct slice a, struct slice b) { return slice_eq(a, b) && (a.p == NULL) == (b.p == NULL); }

static inline bool same_head(const struct message *a, const struct message *b)
{
    return same_slice(a->method_name, b->method_name) && same_slice(a->target, b->target) &&
           same_slice(a->authority, b->authority) && same_slice(a->path, b->path) && same_slice(a->query, b->query) &&
           same_slice(a->reason, b->reason) && a->status == b->status && a->method == b->method && a->minor == b->minor &&
           a->framing == b->framing && a->absolute == b->absolute && a->keep_alive == b->keep_alive &&
           a->expect_continue == b->expect_continue && a->upgrade == b->upgrade && a->te_trailers == b->te_trailers &&
           a->content_length == b->content_length && same_fields(a, b);
}

static inline bool same_parsed(const struct feed *f, const struct parsed *a, const struct parsed *b)
{
    if (a->rc != b->rc)
        return false;
    if (a->rc <= 0)
        return true;
    return f->kind == FEED_TRAILERS ? same_fields(&a->m, &b->m) : same_head(&a->m, &b->m);
}
#endif
