/*
 * fuzz_cookie.c - the cookies of a request, and the one of them that we sign.
 *
 * Input: Cookie fields, a line each.  Claims: the pairs of other names are the same, in the same order, when ours are taken out,
 * and no byte of theirs is lost or new; of all values only the one that was written verifies.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "http/cookie.h"
#include "upstream/sticky.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MOST = 8 };
#define NAME SLICE("weir")
#define NOW  (INT64_C(1800000000) * CLOCK_S)

static const struct sticky *signer(void)
{
    static const char *secrets[] = { "0123456789abcdef", "fedcba9876543210" };
    static const struct sticky_conf conf = { .cookie = "weir", .secrets = { secrets, 2 }, .ttl = 3600 * CLOCK_S };
    static struct sticky *s;

    if (s == NULL)
        s = sticky_new(&conf, "app");
    MUST(s != NULL);
    return s;
}

static struct slice good_cookie(void)
{
    static char text[STICKY_TEXT];
    struct addr a;

    if (text[0] == '\0') {
        MUST(addr_parse("10.0.0.1:80", &a, NULL) == NULL);
        MUST(sticky_write(signer(), &a, NOW, text) == 0);
    }
    return slice_of(text, sizeof text);
}

/* In an allocation of its own, so that a read beyond it is seen. */
static struct slice copy(struct slice s, struct arena *a)
{
    char *p = arena_take(a, s.n + (s.n == 0));

    MUST(p != NULL);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return slice_of(p, s.n);
}

static void add_fields(struct message *m, const char *p, const char *end, struct arena *a)
{
    while (p < end && m->n_headers < m->cap_headers) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((line == NULL ? end : line) - p);
        MUST(message_add(m, SLICE("Cookie"), copy(slice_of(p, n), a)) == 0);
        p += n + 1;
    }
}

static void check_values(const struct message *m)
{
    struct cookie_walk w = cookie_walk_of(m);
    struct slice value;

    while (cookie_next(&w, NAME, &value)) {
        struct sticky_seen seen;
        int rc = sticky_read(signer(), value, NOW, &seen);
        MUST((rc == 0) == slice_eq(value, good_cookie()));
    }
}

static bool is_ours(struct slice pair)
{
    struct header h = { .value = pair.p, .value_len = (uint16_t)pair.n, .id = HEADER_COOKIE };
    struct message m = { .headers = &h, .n_headers = 1 };
    struct cookie_walk w = cookie_walk_of(&m);
    struct slice value;

    return cookie_next(&w, NAME, &value);
}

/* The pairs of others, without blanks around them, each ended by ';'. */
static struct slice others(const struct header *h, struct arena *a)
{
    char *out = arena_take(a, h->value_len + 2u);
    size_t n = 0;

    MUST(out != NULL);
    for (const char *p = h->value, *end = p + h->value_len; !h->dropped && p <= end;) {
        const char *stop = p == end ? NULL : memchr(p, ';', (size_t)(end - p));
        struct slice pair = slice_of(p, (size_t)((stop == NULL ? end : stop) - p));
        p += pair.n + 1;
        if (is_ours(pair))
            continue;
        while (n == 0 && pair.n > 0 && (pair.p[0] == ' ' || pair.p[0] == '\t'))
            pair = slice_of(pair.p + 1, pair.n - 1);
        if (pair.n > 0)
            memcpy(out + n, pair.p, pair.n);
        n += pair.n;
        out[n++] = ';';
    }
    return slice_of(out, n);
}

static void check_removal(struct message *m, struct arena *a)
{
    struct slice before[FIELDS_MOST], value;
    struct cookie_walk w;

    for (size_t i = 0; i < m->n_headers; i++)
        before[i] = others(&m->headers[i], a);
    MUST(cookie_remove(m, NAME, a) == 0);
    w = cookie_walk_of(m);
    MUST(!cookie_next(&w, NAME, &value));
    for (size_t i = 0; i < m->n_headers; i++) {
        struct slice after = others(&m->headers[i], a);
        MUST(m->headers[i].dropped ? before[i].n <= 1 : slice_eq(before[i], after));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header headers[FIELDS_MOST];
    struct message m = { .headers = headers, .cap_headers = FIELDS_MOST };
    struct arena a;

    if (size > UINT16_MAX)
        return 0;
    arena_init(&a, NULL, 0);
    add_fields(&m, (const char *)data, (const char *)data + size, &a);
    check_values(&m);
    check_removal(&m, &a);
    arena_free(&a);
    return 0;
}
