/*
 * fuzz_request.c - any bytes as a request head: the same answer however they come, what is passed on reads as we read it, and a
 * redirect leads to where the request pointed.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/must.h"
#include "http/h1_write.h"
#include "http/hop.h"
#include "proxy/redirect.h"
#include "tests/lib/h1_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_feeds(const struct feed *f, const struct parsed *whole, const char *bytes, size_t n)
{
    const size_t first[] = { 0, n / 2, n > 0 ? n - 1 : 0, n * 7 / 8 };
    const size_t step[] = { n < 2000 ? 1 : 61, n, 1, 3 };

    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        struct parsed part;

        feed(&part, f, bytes, n, first[i], step[i]);
        MUST(same_parsed(f, whole, &part) || (whole->rc < 0 && part.rc == 0));
        parsed_free(&part);
    }
}

/* Bytes that follow a head do not change it, and no prefix of a head is one. */
static void check_length(const struct feed *f, const struct parsed *whole, const char *bytes)
{
    struct parsed exact;

    feed_whole(&exact, f, bytes, (size_t)whole->rc);
    MUST(same_parsed(f, whole, &exact));
    parsed_free(&exact);
    feed_whole(&exact, f, bytes, (size_t)whole->rc - 1);
    MUST(exact.rc == 0);
    parsed_free(&exact);
}

static void check_passed_on(const struct feed *f, struct message *m, bool hop)
{
    struct hop_info info = { .client_ip = SLICE("192.0.2.1"), .forwarded = FORWARDED_BOTH, .via = true, .via_name = SLICE("weir") };
    struct head_frame frame = { m->framing, m->content_length, m->keep_alive ? PERSIST_DEFAULT : PERSIST_CLOSE, false, { 0 } };
    static char out[80000];
    struct parsed again;
    struct arena a;
    size_t n;

    arena_init(&a, NULL, 0);
    if (hop && hop_request(m, &info, &a) < 0) {
        arena_free(&a);
        return;
    }
    n = h1_write_request(out, sizeof(out), m, &frame);
    MUST(n > 0);
    feed_whole(&again, f, out, n);
    MUST(again.rc == (int)n);
    MUST(slice_eq(m->method_name, again.m.method_name) && slice_eq(m->authority, again.m.authority));
    MUST(slice_eq(m->path, again.m.path) && same_slice(m->query, again.m.query));
    MUST(m->framing == again.m.framing && m->content_length == again.m.content_length);
    MUST(m->keep_alive == again.m.keep_alive);
    parsed_free(&again);
    arena_free(&a);
}

/* A client that follows it asks for the same path and query; of the host there is only the port to lose. */
static void check_redirect(const struct feed *f, const struct message *m)
{
    struct buf to = { 0 };
    struct parsed again;
    int rc = redirect_location("GET http://{host}{uri} HTTP/1.1\r\nHost: h\r\n\r\n", m, &to);

    if (rc == 0) {
        feed_whole(&again, f, to.p, to.n);
        MUST(again.rc == (int)to.n);
        MUST(slice_starts(m->authority, again.m.authority));
        MUST(slice_eq(again.m.path, m->path.p[0] == '*' ? SLICE("/") : m->path) && same_slice(m->query, again.m.query));
        parsed_free(&again);
    }
    MUST(rc == 0 || (rc == -ERR_BAD_HOST && (m->authority.n == 0 || m->authority.p[0] == ':')));
    buf_free(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = { 32768, 8192, 100 } };
    struct feed wide = { .kind = FEED_REQUEST, .limits = { 65535, 65535, 128 } };
    struct feed small = { .kind = FEED_REQUEST, .limits = { 64, 32, 2 } };
    const char *bytes = (const char *)data;
    struct parsed whole;

    feed_whole(&whole, &small, bytes, size);
    check_feeds(&small, &whole, bytes, size);
    parsed_free(&whole);
    feed_whole(&whole, &f, bytes, size);
    check_feeds(&f, &whole, bytes, size);
    if (whole.rc > 0) {
        check_length(&f, &whole, bytes);
        check_redirect(&wide, &whole.m);
        if (whole.m.authority.n > 0) { /* HTTP/1.0 without Host can't be written as it was */
            check_passed_on(&wide, &whole.m, false);
            check_passed_on(&wide, &whole.m, true);
        }
    }
    parsed_free(&whole);
    return 0;
}
