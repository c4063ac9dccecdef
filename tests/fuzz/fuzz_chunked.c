/*
 * fuzz_chunked.c - any bytes as a chunked body with trailers (the first byte says how they are cut): the same data however
 * they come, and what we chunk anew is that data again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "http/h1_write.h"
#include "tests/lib/h1_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
    int last;
    size_t used, n;
    char *data; /* as many bytes as the input has */
};

static struct body body_new(size_t size)
{
    struct body b = { .data = malloc(size + 1) };

    MUST(b.data != NULL);
    return b;
}

static void take(struct body *b, struct h1_chunked *c, const char *bytes, size_t n)
{
    size_t at = 0, used;
    struct slice piece;

    do {
        b->last = h1_chunked_step(c, bytes + at, n - at, &used, &piece);
        if (b->last < 0)
            return;
        MUST(used <= n - at);
        MUST(b->last != H1_CHUNK_MORE || used == n - at);
        at += used;
        if (b->last == H1_CHUNK_DATA) {
            MUST(piece.n > 0 && piece.p + piece.n == bytes + at);
            memcpy(b->data + b->n, piece.p, piece.n);
            b->n += piece.n;
        }
    } while (b->last == H1_CHUNK_DATA);
    b->used += at;
}

static struct body in_steps(const char *bytes, size_t n, size_t step)
{
    struct body b = body_new(n);
    struct h1_chunked c;

    h1_chunked_init(&c);
    for (size_t at = 0; at < n && b.last == H1_CHUNK_MORE; at += step) {
        size_t k = n - at < step ? n - at : step;
        char *exact = malloc(k);

        MUST(exact != NULL);
        memcpy(exact, bytes + at, k);
        take(&b, &c, exact, k);
        free(exact);
    }
    return b;
}

static void check_chunked_anew(const struct body *b)
{
    char *out = malloc(b->n + 64);
    size_t at;
    struct body again;

    MUST(out != NULL);
    at = b->n > 0 ? h1_write_chunk_size(out, b->n + 64, b->n) : 0;
    memcpy(out + at, b->data, b->n);
    at += b->n;
    if (b->n > 0) {
        memcpy(out + at, "\r\n", 2);
        at += 2;
    }
    at += h1_write_last_chunk(out + at, b->n + 64 - at, NULL);
    again = in_steps(out, at, at);
    MUST(again.last == H1_CHUNK_TRAILERS && again.used == at - 2);
    MUST(again.n == b->n && memcmp(again.data, b->data, b->n) == 0);
    free(again.data);
    free(out);
}

static void check_trailers(const char *bytes, size_t n)
{
    struct feed f = { .kind = FEED_TRAILERS, .limits = { 4096, 4096, 20 } };
    struct parsed whole, part;

    feed_whole(&whole, &f, bytes, n);
    feed(&part, &f, bytes, n, 0, n < 2000 ? 1 : 61);
    MUST(same_parsed(&f, &whole, &part) || (whole.rc < 0 && part.rc == 0));
    if (whole.rc > 0) {
        static char out[8192];
        size_t written = h1_write_last_chunk(out, sizeof(out), &whole.m);
        struct parsed again;

        MUST(written > 0);
        feed_whole(&again, &f, out + 3, written - 3);
        MUST(again.rc == (int)written - 3);
        parsed_free(&again);
    }
    parsed_free(&part);
    parsed_free(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data + 1;
    struct body whole, part;

    if (size < 2)
        return 0;
    size--;
    whole = in_steps(bytes, size, size);
    part = in_steps(bytes, size, data[0] == 0 ? 1 : data[0]);
    MUST(whole.last == part.last && whole.n == part.n && memcmp(whole.data, part.data, whole.n) == 0);
    if (whole.last == H1_CHUNK_TRAILERS) {
        check_chunked_anew(&whole);
        check_trailers(bytes + whole.used, size - whole.used);
    }
    free(whole.data);
    free(part.data);
    return 0;
}
