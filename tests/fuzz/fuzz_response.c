/*
 * fuzz_response.c - any bytes as a response head (the first byte picks the request's method): the same answer however they
 * come, and what is passed on reads as we read it.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/must.h"
#include "http/h1_write.h"
#include "http/hop.h"
#include "tests/lib/h1_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_feeds(const struct feed *f, const struct parsed *whole, const char *bytes, size_t n)
{
    const size_t first[] = { 0, n / 2, n > 0 ? n - 1 : 0 };
    const size_t step[] = { n < 2000 ? 1 : 61, n, 1 };

    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        struct parsed part;

        feed(&part, f, bytes, n, first[i], step[i]);
        MUST(same_parsed(f, whole, &part) || (whole->rc < 0 && part.rc == 0));
        parsed_free(&part);
    }
}

static void check_passed_on(const struct feed *f, struct message *m, bool hop)
{
    struct hop_info info = { .forwarded = FORWARDED_OFF, .via = true, .via_name = SLICE("weir") };
    struct head_frame frame = { m->framing, m->content_length, m->keep_alive ? PERSIST_DEFAULT : PERSIST_CLOSE, false, { 0 } };
    static char out[80000];
    struct parsed again;
    struct arena a;
    size_t n;

    arena_init(&a, NULL, 0);
    if (hop && hop_response(m, &info, m->upgrade, &a) < 0) {
        arena_free(&a);
        return;
    }
    frame.keep_length = f->request_method == METHOD_HEAD || m->status == 304;
    n = h1_write_response(out, sizeof(out), m, &frame);
    MUST(n > 0);
    feed_whole(&again, f, out, n);
    MUST(again.rc == (int)n);
    MUST(m->status == again.m.status && slice_eq(m->reason, again.m.reason));
    MUST(m->framing == again.m.framing && m->content_length == again.m.content_length);
    MUST(m->keep_alive == again.m.keep_alive);
    parsed_free(&again);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { .kind = FEED_RESPONSE, .limits = { 32768, 8192, 100 } };
    struct feed wide = { .kind = FEED_RESPONSE, .limits = { 65535, 65535, 128 } };
    const char *bytes = (const char *)data + 1;
    struct parsed whole;

    if (size == 0)
        return 0;
    f.request_method = wide.request_method = data[0] == 'H' ? METHOD_HEAD : METHOD_GET;
    feed_whole(&whole, &f, bytes, size - 1);
    check_feeds(&f, &whole, bytes, size - 1);
    if (whole.rc > 0) {
        check_passed_on(&wide, &whole.m, false);
        check_passed_on(&wide, &whole.m, true);
    }
    parsed_free(&whole);
    return 0;
}
