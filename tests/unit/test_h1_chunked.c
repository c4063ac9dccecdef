/* Tests of the chunked body machine and of trailer sections, whole, cut in two and byte by byte. */
#include <check.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/must.h"
#include "tests/lib/h1_feed.h"

Suite *h1_chunked_suite(void);

struct body {
    int last; /* the last step's answer */
    size_t used;
    char data[8192];
    size_t n;
};

/* All of bytes[0..n), until trailers come or it is refused. */
static void take(struct body *b, struct h1_chunked *c, const char *bytes, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    size_t at = 0;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, n);
    do {
        struct slice piece;
        size_t used;

        b->last = h1_chunked_step(c, copy + at, n - at, &used, &piece);
        if (b->last < 0)
            break;
        ck_assert_uint_le(used, n - at);
        at += used;
        if (b->last == H1_CHUNK_DATA) {
            ck_assert_uint_gt(piece.n, 0);
            ck_assert_uint_le(b->n + piece.n, sizeof(b->data));
            memcpy(b->data + b->n, piece.p, piece.n);
            b->n += piece.n;
        }
    } while (b->last == H1_CHUNK_DATA || (b->last == H1_CHUNK_MORE && at < n));
    b->used += at;
    free(copy);
}

static struct body whole(const char *bytes, size_t n)
{
    struct body b = { 0 };
    struct h1_chunked c;

    h1_chunked_init(&c);
    take(&b, &c, bytes, n);
    return b;
}

static struct body in_two(const char *bytes, size_t n, size_t cut)
{
    struct body b = { 0 };
    struct h1_chunked c;

    h1_chunked_init(&c);
    take(&b, &c, bytes, cut);
    if (b.last == H1_CHUNK_MORE)
        take(&b, &c, bytes + cut, n - cut);
    return b;
}

static struct body byte_by_byte(const char *bytes, size_t n)
{
    struct body b = { 0 };
    struct h1_chunked c;

    h1_chunked_init(&c);
    for (size_t i = 0; i < n && b.last == H1_CHUNK_MORE; i++)
        take(&b, &c, bytes + i, 1);
    return b;
}

static bool same(const struct body *a, const struct body *b)
{
    return a->last == b->last && a->n == b->n && memcmp(a->data, b->data, a->n) == 0 && (a->last < 0 || a->used == b->used);
}

static void check_splits(const char *bytes, size_t n)
{
    struct body all = whole(bytes, n), part;

    for (size_t cut = 0; cut <= n; cut++) {
        part = in_two(bytes, n, cut);
        ck_assert_msg(same(&all, &part), "cut at %zu: %s: %d, not %d", cut, bytes, part.last, all.last);
    }
    part = byte_by_byte(bytes, n);
    ck_assert_msg(same(&all, &part), "%s: %d, not %d", bytes, part.last, all.last);
}

#define ROW(bytes, data, rest)               \
    {                                        \
        bytes, sizeof(bytes) - 1, data, rest \
    }

static const struct {
    const char *bytes;
    size_t n;
    const char *data;
    size_t rest; /* bytes after the last chunk's line: trailers and what comes after */
} good[] = {
    ROW("0\r\n\r\n", "", 2),
    ROW("5\r\nhello\r\n0\r\n\r\n", "hello", 2),
    ROW("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", 2),
    ROW("A\r\n0123456789\r\n000\r\nX: y\r\n\r\nGET", "0123456789", 11),
    ROW("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", 2),
    ROW("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n", "abcdefghijklmnopqrstuvwxyz", 2),
    ROW("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 2),
    ROW("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", 2),
    ROW("5 ; a = b ; c=\"d;\\\"\\\\ \t\xff\" ;e\r\nhello\r\n0\r\n\r\n", "hello", 2),
    ROW("5;a=\"\"\r\nhello\r\n0\r\n\r\n", "hello", 2),
};

START_TEST(a_good_body_gives_its_data_and_stops_at_its_trailers)
{
    struct body b = whole(good[_i].bytes, good[_i].n);

    ck_assert_msg(b.last == H1_CHUNK_TRAILERS, "%s: %d", good[_i].bytes, b.last);
    ck_assert_uint_eq(b.n, strlen(good[_i].data));
    ck_assert_int_eq(memcmp(b.data, good[_i].data, b.n), 0);
    ck_assert_uint_eq(b.used, good[_i].n - good[_i].rest);
    check_splits(good[_i].bytes, good[_i].n);
}
END_TEST

START_TEST(a_body_that_is_cut_short_asks_for_more)
{
    size_t end = good[_i].n - good[_i].rest;

    for (size_t n = 0; n < end; n++)
        ck_assert_int_eq(whole(good[_i].bytes, n).last, H1_CHUNK_MORE);
}
END_TEST

#define BAD(bytes)               \
    {                            \
        bytes, sizeof(bytes) - 1 \
    }

static const struct {
    const char *bytes;
    size_t n;
} bad[] = {
    BAD("\r\n"),
    BAD(" 5\r\n"),
    BAD("\n5\r\n"),
    BAD("g\r\n"),
    BAD("-5\r\n"),
    BAD("+5\r\n"),
    BAD("0x5\r\n"),
    BAD("5h\r\n"),
    BAD("5\n"),
    BAD("5\rh"),
    BAD("5\r\r\n"),
    BAD("5 \r\n"),
    BAD("5\t\r\n"),
    BAD("5 5\r\n"),
    BAD("5\0\r\n"),
    BAD("5,\r\n"),
    BAD("00000000000000005\r\n"),
    BAD("8000000000000000\r\n"),
    BAD("ffffffffffffffff\r\n"),
    BAD("10000000000000000\r\n"),
    BAD("10000000000000005\r\n"),
    BAD("5;\r\n"),
    BAD("5;a \r\n"),
    BAD("5;a=\r\n"),
    BAD("5;=b\r\n"),
    BAD("5;a=b c\r\n"),
    BAD("5;a\n"),
    BAD("5;a\rb\r\n"),
    BAD("5;a=b\n"),
    BAD("5;a=\"b\r\n"),
    BAD("5;a=\"b\n\"\r\n"),
    BAD("5;a=\"\\\r\n"),
    BAD("5;a=\"b\"c\r\n"),
    BAD("5;a=\"b\" \r\n"),
    BAD("5;a=\"\x01\"\r\n"),
    BAD("5;a\0b\r\n"),
    BAD("5;\xff\r\n"),
    BAD("5\r\nhelloX"),
    BAD("5\r\nhello\n"),
    BAD("5\r\nhello0\r\n"),
    BAD("5\r\nhello\rX"),
    BAD("5\r\nhello\r\n\r\n"),
    BAD("4\r\nhello\r\n0\r\n\r\n"),
    BAD("6\r\nhello\r\n0\r\n\r\n"),
};

START_TEST(a_bad_body_is_refused)
{
    ck_assert_msg(whole(bad[_i].bytes, bad[_i].n).last == -ERR_BAD_CHUNK, "%s", bad[_i].bytes);
    check_splits(bad[_i].bytes, bad[_i].n);
}
END_TEST

START_TEST(the_largest_chunk_is_counted_exactly)
{
    static const char bytes[] = "7fffffffffffffff\r\nabc";
    struct h1_chunked c;
    struct slice data;
    size_t used;

    h1_chunked_init(&c);
    ck_assert_int_eq(h1_chunked_step(&c, bytes, sizeof(bytes) - 1, &used, &data), H1_CHUNK_DATA);
    ck_assert_uint_eq(data.n, 3);
    ck_assert_uint_eq(c.left, INT64_MAX - 3u);
}
END_TEST

START_TEST(a_size_line_may_be_long_but_not_endless)
{
    size_t n = H1_CHUNK_LINE_MOST + 10;
    char *bytes = malloc(n);
    struct h1_chunked c;
    struct slice data;
    size_t used;

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'a', n);
    memcpy(bytes, "5;", 2);
    h1_chunked_init(&c);
    ck_assert_int_eq(h1_chunked_step(&c, bytes, H1_CHUNK_LINE_MOST, &used, &data), H1_CHUNK_MORE);
    ck_assert_int_eq(h1_chunked_step(&c, bytes + 2, 1, &used, &data), -ERR_BAD_CHUNK);
    free(bytes);
}
END_TEST

START_TEST(the_limit_of_a_line_is_each_line_s_own)
{
    struct h1_chunked c;
    struct slice data;
    size_t used;

    h1_chunked_init(&c);
    for (int i = 0; i < 3000; i++) {
        ck_assert_int_eq(h1_chunked_step(&c, "1\r\nx", 4, &used, &data), H1_CHUNK_DATA);
        ck_assert_int_eq(h1_chunked_step(&c, "\r\n", 2, &used, &data), H1_CHUNK_MORE);
    }
}
END_TEST

START_TEST(after_the_last_chunk_nothing_more_is_taken)
{
    struct h1_chunked c;
    struct slice data;
    size_t used;

    h1_chunked_init(&c);
    ck_assert_int_eq(h1_chunked_step(&c, "0\r\nX: y", 7, &used, &data), H1_CHUNK_TRAILERS);
    ck_assert_uint_eq(used, 3);
    ck_assert_int_eq(h1_chunked_step(&c, "X: y", 4, &used, &data), H1_CHUNK_TRAILERS);
    ck_assert_uint_eq(used, 0);
}
END_TEST

static struct parsed trailers(const char *bytes, size_t n, struct head_limits limits)
{
    struct feed f = { .kind = FEED_TRAILERS, .limits = limits };
    struct parsed p, part;

    feed_whole(&p, &f, bytes, n);
    for (size_t cut = 0; cut <= n; cut++) {
        feed(&part, &f, bytes, n, cut, n);
        ck_assert_msg(same_parsed(&f, &p, &part) || (p.rc < 0 && part.rc == 0), "cut at %zu: %s", cut, bytes);
        parsed_free(&part);
    }
    feed(&part, &f, bytes, n, 0, 1);
    ck_assert_msg(same_parsed(&f, &p, &part) || (p.rc < 0 && part.rc == 0), "%s", bytes);
    parsed_free(&part);
    return p;
}

#define TRAILERS(bytes) trailers(bytes, sizeof(bytes) - 1, FEED_LIMITS)

START_TEST(no_trailers_are_two_bytes)
{
    struct parsed p = TRAILERS("\r\nGET / HTTP/1.1\r\n\r\n");

    ck_assert_int_eq(p.rc, 2);
    ck_assert_uint_eq(p.m.n_headers, 0);
    parsed_free(&p);
}
END_TEST

START_TEST(trailers_that_may_not_stand_there_are_dropped)
{
    static const char bytes[] = "X-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\nConnection: close\r\n"
                                "Trailer: x\r\nTE: x\r\nAuthorization: x\r\nSet-Cookie: x\r\nCookie: x\r\nCache-Control: x\r\n"
                                "Content-Type: x\r\nContent-Encoding: x\r\nX-Forwarded-For: x\r\nForwarded: x\r\nVia: x\r\n"
                                "Upgrade: x\r\nExpect: x\r\nRange: x\r\nIf-Match: x\r\ngrpc-status: 0\r\n\r\n";
    struct parsed p = TRAILERS(bytes);

    ck_assert_int_eq(p.rc, (int)sizeof(bytes) - 1);
    for (size_t i = 0; i < p.m.n_headers; i++) {
        bool kept = i == 0 || i == p.m.n_headers - 1u;

        ck_assert_msg(p.headers[i].dropped == !kept, SLICE_FMT, SLICE_ARG(header_name_of(&p.headers[i])));
    }
    parsed_free(&p);
}
END_TEST

START_TEST(bad_trailers_are_refused)
{
    static const struct {
        const char *bytes;
        int code;
    } row[] = {
        { "X: y\n\r\n", ERR_BAD_HEADER },
        { "X: y\r\n z\r\n\r\n", ERR_BAD_HEADER },
        { "X : y\r\n\r\n", ERR_BAD_HEADER },
        { "\n", ERR_BAD_HEADER },
        { "\rX", ERR_BAD_HEADER },
        { " X: y\r\n\r\n", ERR_BAD_HEADER },
        { "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", ERR_TOO_MANY_HEADERS },
        { "A: 012345678901234567890123456789\r\n\r\n", ERR_HEADER_TOO_LARGE },
    };

    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct parsed p = trailers(row[i].bytes, strlen(row[i].bytes), (struct head_limits){ 30, 0, 2 });

        ck_assert_msg(p.rc == -row[i].code, "%s: %d", row[i].bytes, p.rc);
        parsed_free(&p);
    }
}
END_TEST

Suite *h1_chunked_suite(void)
{
    Suite *s = suite_create("h1_chunked");
    TCase *tc = tcase_create("chunked");

    tcase_add_loop_test(tc, a_good_body_gives_its_data_and_stops_at_its_trailers, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(tc, a_body_that_is_cut_short_asks_for_more, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(tc, a_bad_body_is_refused, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(tc, the_largest_chunk_is_counted_exactly);
    tcase_add_test(tc, a_size_line_may_be_long_but_not_endless);
    tcase_add_test(tc, the_limit_of_a_line_is_each_line_s_own);
    tcase_add_test(tc, after_the_last_chunk_nothing_more_is_taken);
    tcase_add_test(tc, no_trailers_are_two_bytes);
    tcase_add_test(tc, trailers_that_may_not_stand_there_are_dropped);
    tcase_add_test(tc, bad_trailers_are_refused);
    suite_add_tcase(s, tc);
    return s;
}
