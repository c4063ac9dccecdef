/* Tests of http/h1_codec: heads and bodies over real sockets, however their bytes are cut. */
#include "tests/lib/fiber_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "http/h1_codec.h"
#include "tests/lib/sockets.h"

Suite *h1_codec_suite(void);

static const struct head_limits limits = { .head = 32768, .line = 8192, .headers = 100 };

static struct end e;
static struct h1_codec codec;
static struct arena arena;
static struct message m;

static void open_on(bool tcp)
{
    memset(&m, 0, sizeof m);
    (tcp ? end_open_tcp : end_open)(&e);
    arena_init(&arena, NULL, 0);
    h1_codec_open(&codec, &e.s);
    h1_codec_next(&codec, &arena);
}

static void open_codec(void) { open_on(false); }

static void close_codec(void)
{
    h1_codec_close(&codec);
    end_close(&e);
    arena_free(&arena);
    scratch_free();
}

static int read_request(void) { return codec.codec.ops->read_request(&codec.codec, &m, &limits, in_ms(5000)); }
static int read_response(void) { return codec.codec.ops->read_response(&codec.codec, &m, METHOD_GET, &limits, in_ms(5000)); }
static int read_piece(struct body *b) { return codec.codec.ops->read_body(&codec.codec, b, in_ms(5000)); }

/* All of the body into *out; the piece that was last into *last.  0 or the code. */
static int read_all(struct buf *out, struct body *last)
{
    do {
        int rc = read_piece(last);

        if (rc < 0)
            return rc;
        buf_append(out, last->data.p, last->data.n);
    } while (!last->last);
    return 0;
}

static void assert_slice(struct slice s, const char *text)
{
    ck_assert_msg(slice_eq(s, slice_str(text)), "\"" SLICE_FMT "\" is not \"%s\"", SLICE_ARG(s), text);
}

static void assert_body(const char *text)
{
    struct buf all = { 0 };
    struct body last;

    ck_assert_int_eq(read_all(&all, &last), 0);
    assert_slice(buf_slice(&all), text);
    buf_free(&all);
}

struct sender {
    const char *v[3];
    size_t n[3];
};

/* Each piece after the one before it has been read. */
static void send_pieces(void *arg)
{
    const struct sender *s = arg;

    for (int i = 0; i < 3 && s->v[i] != NULL; i++) {
        if (s->n[i] > 0)
            peer_send(&e, s->v[i], s->n[i]);
        (void)fiber_sleep(in_ms(2));
    }
}

static struct group sending;

static void send_cut(struct sender *s, const char *text, size_t at)
{
    *s = (struct sender){ { text, text + at, NULL }, { at, strlen(text) - at, 0 } };
    group_init(&sending);
    ck_assert_int_eq(fiber_go(&sending, "sender", send_pieces, s), 0);
}

FIBER_TEST(a_request_is_read_the_same_wherever_it_is_cut)
{
    static const char text[] = "POST /a?b HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 5\r\n\r\nhello";

    for (size_t at = 1; at < sizeof text - 1; at++) {
        struct sender s;

        open_codec();
        send_cut(&s, text, at);
        ck_assert_int_eq(read_request(), 0);
        assert_slice(m.path, "/a");
        assert_slice(header_value_of(message_find_name(&m, SLICE("x"))), "y");
        assert_body("hello");
        ck_assert_int_eq(group_join(&sending, in_ms(5000)), 0);
        close_codec();
    }
}

FIBER_TEST(a_request_with_chunks_and_trailers_is_read_the_same_wherever_it_is_cut)
{
    static const char text[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n";

    for (size_t at = 1; at < sizeof text - 1; at++) {
        struct sender s;
        struct buf all = { 0 };
        struct body last;

        open_codec();
        send_cut(&s, text, at);
        ck_assert_int_eq(read_request(), 0);
        ck_assert_int_eq(read_all(&all, &last), 0);
        assert_slice(buf_slice(&all), "abcde");
        ck_assert_ptr_nonnull(last.trailers);
        assert_slice(header_value_of(message_find_name(last.trailers, SLICE("t"))), "u");
        ck_assert_uint_eq(codec.codec.bytes_in, 5);
        buf_free(&all);
        ck_assert_int_eq(group_join(&sending, in_ms(5000)), 0);
        close_codec();
    }
}

/* As an answer is passed on: the head is used after the body that came with it has been looked at. */
FIBER_TEST(a_responses_head_is_good_while_the_body_at_hand_is_taken)
{
    static const char text[] = "HTTP/1.1 200 Fine\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

    for (size_t at = 1; at < sizeof text - 1; at++) {
        struct sender s;
        struct body b;

        open_codec();
        send_cut(&s, text, at);
        ck_assert_int_eq(read_response(), 0);
        ck_assert_int_eq(codec.codec.ops->read_body(&codec.codec, &b, 0), 0);
        assert_slice(m.reason, "Fine");
        assert_slice(header_value_of(message_find_name(&m, SLICE("x"))), "y");
        if (b.last)
            assert_slice(b.data, "abc");
        ck_assert_int_eq(group_join(&sending, in_ms(5000)), 0);
        close_codec();
    }
}

FIBER_TEST(requests_sent_together_are_read_one_after_the_other)
{
    open_codec();
    peer_say(&e, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_int_eq(read_request(), 0);
    assert_body("abc");
    for (int i = 2; i <= 3; i++) {
        char path[3] = { '/', (char)('0' + i), '\0' };

        h1_codec_next(&codec, &arena);
        ck_assert_int_eq(h1_codec_fill(&codec), 0);
        ck_assert_int_eq(read_request(), 0);
        assert_slice(m.path, path);
    }
    ck_assert(!h1_codec_has_unread(&codec));
    ck_assert_int_eq(h1_codec_fill(&codec), -ERR_AGAIN);
    close_codec();
}

static void use_the_scratch(void)
{
    static struct scratch_user other;
    char *in;

    scratch_lost();
    other.keep = codec.scratch.keep; /* never called: it is released before anybody else comes */
    in = scratch_in(&other);
    memset(in, '!', SCRATCH_IN);
    scratch_release(&other);
}

FIBER_TEST(unread_bytes_outlive_a_wait)
{
    open_codec();
    peer_say(&e, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_int_eq(read_request(), 0);
    use_the_scratch();
    assert_slice(m.path, "/1");
    assert_body("abc");
    use_the_scratch();
    h1_codec_next(&codec, &arena);
    ck_assert_int_eq(read_request(), 0);
    assert_slice(m.path, "/2");
    close_codec();
}

FIBER_TEST(bytes_lost_for_want_of_memory_end_the_connection)
{
    open_codec();
    codec.failed = true; /* as keep() leaves it */
    peer_say(&e, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_int_eq(h1_codec_fill(&codec), -ERR_NOMEM);
    close_codec();
}

FIBER_TEST(a_head_up_to_its_limit_is_read_and_one_beyond_is_not)
{
    static char text[40000];
    struct sender s;

    for (int over = 0; over <= 1; over++) {
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\nX: %0*d\r\n\r\n", 32768 - 32 + over, 0);

        ck_assert_int_eq(n, 32768 + over);
        open_codec();
        send_cut(&s, text, 20000);
        ck_assert_int_eq(read_request(), over ? -ERR_HEADER_TOO_LARGE : 0);
        ck_assert_int_eq(group_join(&sending, in_ms(5000)), 0);
        close_codec();
    }
}

FIBER_TEST(a_silent_client_is_told_from_one_that_began)
{
    open_codec();
    ck_assert_int_eq(codec.codec.ops->read_request(&codec.codec, &m, &limits, in_ms(2)), -ERR_TIMEOUT);
    ck_assert(!codec.codec.began);
    peer_say(&e, "GET");
    ck_assert_int_eq(codec.codec.ops->read_request(&codec.codec, &m, &limits, in_ms(2)), -ERR_TIMEOUT);
    ck_assert(codec.codec.began);
    close_codec();
}

FIBER_TEST(a_client_that_leaves_without_a_byte_has_closed)
{
    open_codec();
    peer_close(&e);
    ck_assert_int_eq(read_request(), -ERR_CLOSED);
    close_codec();
}

FIBER_TEST(a_client_that_leaves_in_its_head_had_begun)
{
    open_codec();
    peer_say(&e, "GET / HTTP/1.1\r\n");
    peer_close(&e);
    ck_assert_int_eq(read_request(), -ERR_CLOSED);
    ck_assert(codec.codec.began);
    close_codec();
}

static void assert_cut(const char *text, int rc)
{
    struct buf all = { 0 };
    struct body last;

    open_codec();
    peer_say(&e, text);
    peer_close(&e);
    ck_assert_int_eq(read_response(), 0);
    ck_assert_int_eq(read_all(&all, &last), rc);
    buf_free(&all);
    close_codec();
}

FIBER_TEST(a_counted_body_that_ends_early_is_cut) { assert_cut("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd", -ERR_CLOSED); }
FIBER_TEST(a_chunked_body_without_its_last_chunk_is_cut)
{
    assert_cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n", -ERR_CLOSED);
}
FIBER_TEST(a_chunked_body_without_the_end_of_its_trailers_is_cut)
{
    assert_cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nX: y\r\n", -ERR_CLOSED);
}
FIBER_TEST(a_body_without_a_length_ends_with_the_connection) { assert_cut("HTTP/1.1 200 OK\r\n\r\nabcd", 0); }
FIBER_TEST(a_bad_chunk_is_an_error) { assert_cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", -ERR_BAD_CHUNK); }

FIBER_TEST(a_body_is_not_waited_for_with_a_deadline_of_0)
{
    struct body b;

    open_codec();
    peer_say(&e, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
    ck_assert_int_eq(read_request(), 0);
    ck_assert_int_eq(codec.codec.ops->read_body(&codec.codec, &b, 0), 0);
    ck_assert(b.data.n == 0 && !b.last);
    close_codec();
}

FIBER_TEST(trailers_beyond_the_limits_are_an_error)
{
    static char text[40000];
    struct buf all = { 0 };
    struct body last;

    (void)snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: %033000d\r\n\r\n", 0);
    open_codec();
    peer_say(&e, text);
    ck_assert_int_eq(read_request(), 0);
    ck_assert_int_lt(read_all(&all, &last), 0);
    buf_free(&all);
    close_codec();
}

/* ---- out ---- */

static struct header fields[4];

static struct message response(unsigned status)
{
    return (struct message){ .status = (uint16_t)status, .minor = 1, .reason = SLICE("OK"), .headers = fields, .cap_headers = 4 };
}

FIBER_TEST(a_head_leaves_together_with_its_first_piece)
{
    struct message out = response(200);
    struct head_frame f = { .framing = FRAMING_LENGTH, .content_length = 5 };
    struct body b = { .data = SLICE("hello"), .last = true };
    char got[256] = { 0 };

    open_codec();
    ck_assert_int_eq(codec.codec.ops->write_head(&codec.codec, &out, &f, &b, in_ms(5000)), 0);
    ck_assert_int_gt(recv(e.peer, got, sizeof got - 1, MSG_DONTWAIT), 0);
    ck_assert_str_eq(got, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    ck_assert_uint_eq(codec.codec.bytes_out, 5);
    close_codec();
}

FIBER_TEST(pieces_are_written_as_chunks_and_the_last_with_its_trailers)
{
    struct message out = response(200), trailers = response(0);
    struct head_frame f = { .framing = FRAMING_CHUNKED };
    struct body b = { .data = SLICE("hello") }, last = { .data = SLICE("you"), .last = true, .trailers = &trailers };

    open_codec();
    ck_assert_int_eq(codec.codec.ops->write_head(&codec.codec, &out, &f, NULL, in_ms(5000)), 0);
    ck_assert_int_eq(message_add(&trailers, SLICE("T"), SLICE("u")), 0);
    ck_assert_int_eq(codec.codec.ops->write_body(&codec.codec, &b, in_ms(5000)), 0);
    ck_assert_int_eq(codec.codec.ops->write_body(&codec.codec, &last, in_ms(5000)), 0);
    peer_expect(&e, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\nT: u\r\n\r\n");
    ck_assert_uint_eq(codec.codec.bytes_out, 8);
    close_codec();
}

FIBER_TEST(an_empty_piece_is_no_last_chunk)
{
    struct message out = response(200);
    struct head_frame f = { .framing = FRAMING_CHUNKED };
    struct body nothing = { .last = false }, last = { .last = true };

    open_codec();
    ck_assert_int_eq(codec.codec.ops->write_head(&codec.codec, &out, &f, &nothing, in_ms(5000)), 0);
    ck_assert_int_eq(codec.codec.ops->write_body(&codec.codec, &nothing, in_ms(5000)), 0);
    ck_assert_int_eq(codec.codec.ops->write_body(&codec.codec, &last, in_ms(5000)), 0);
    peer_expect(&e, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    close_codec();
}

FIBER_TEST(a_head_that_leaves_no_room_for_its_body_is_refused)
{
    static char value[54576];
    struct message out = response(200);
    struct head_frame f = { .framing = FRAMING_LENGTH, .content_length = 100 };
    struct body b = { .data = slice_of(value, 100), .last = true };

    memset(value, 'v', sizeof value);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(message_add(&out, SLICE("x"), slice_of(value, sizeof value)), 0);
    open_codec();
    ck_assert_int_eq(codec.codec.ops->write_head(&codec.codec, &out, &f, &b, in_ms(5000)), -ERR_HEADER_TOO_LARGE);
    close_codec();
}

/* ---- past the codec ---- */

FIBER_TEST(a_counted_body_may_pass_by_once_nothing_of_it_is_held)
{
    struct body b;
    uint64_t left;
    char got[8];

    open_on(true);
    peer_say(&e, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    ck_assert_int_eq(read_request(), 0);
    ck_assert_ptr_null(codec.codec.ops->raw_in(&codec.codec, &left));
    ck_assert_int_eq(read_piece(&b), 0);
    ck_assert_ptr_eq(codec.codec.ops->raw_in(&codec.codec, &left), &e.s);
    ck_assert_uint_eq(left, 7);
    peer_say(&e, "defghij");
    ck_assert_int_eq(stream_read(&e.s, got, 7, in_ms(5000)), 7);
    codec.codec.ops->raw_moved(&codec.codec, 7, true);
    ck_assert(codec.codec.body_done);
    ck_assert_uint_eq(codec.codec.bytes_in, 10);
    close_codec();
}

FIBER_TEST(a_chunked_body_never_passes_by)
{
    struct message out = response(200);
    struct head_frame f = { .framing = FRAMING_CHUNKED };
    uint64_t left;

    open_on(true);
    peer_say(&e, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    ck_assert_int_eq(read_request(), 0);
    ck_assert_ptr_null(codec.codec.ops->raw_in(&codec.codec, &left));
    ck_assert_int_eq(codec.codec.ops->write_head(&codec.codec, &out, &f, NULL, in_ms(5000)), 0);
    ck_assert_ptr_null(codec.codec.ops->raw_out(&codec.codec));
    close_codec();
}

FIBER_TEST(unread_bytes_are_handed_over_once)
{
    size_t n;
    char *bytes;

    open_codec();
    peer_say(&e, "GET / HTTP/1.1\r\nHost: h\r\n\r\nrest");
    ck_assert_int_eq(read_request(), 0);
    bytes = h1_codec_take_unread(&codec, &n);
    ck_assert_uint_eq(n, 4);
    ck_assert_mem_eq(bytes, "rest", 4);
    free(bytes);
    ck_assert_ptr_null(h1_codec_take_unread(&codec, &n));
    ck_assert_uint_eq(n, 0);
    close_codec();
}

Suite *h1_codec_suite(void)
{
    Suite *s = suite_create("h1_codec");
    TCase *in = tcase_create("in"), *out = tcase_create("out"), *past = tcase_create("past");

    tcase_add_test(in, a_request_is_read_the_same_wherever_it_is_cut);
    tcase_add_test(in, a_request_with_chunks_and_trailers_is_read_the_same_wherever_it_is_cut);
    tcase_add_test(in, a_responses_head_is_good_while_the_body_at_hand_is_taken);
    tcase_add_test(in, requests_sent_together_are_read_one_after_the_other);
    tcase_add_test(in, unread_bytes_outlive_a_wait);
    tcase_add_test(in, bytes_lost_for_want_of_memory_end_the_connection);
    tcase_add_test(in, a_head_up_to_its_limit_is_read_and_one_beyond_is_not);
    tcase_add_test(in, a_silent_client_is_told_from_one_that_began);
    tcase_add_test(in, a_client_that_leaves_without_a_byte_has_closed);
    tcase_add_test(in, a_client_that_leaves_in_its_head_had_begun);
    tcase_add_test(in, a_counted_body_that_ends_early_is_cut);
    tcase_add_test(in, a_chunked_body_without_its_last_chunk_is_cut);
    tcase_add_test(in, a_chunked_body_without_the_end_of_its_trailers_is_cut);
    tcase_add_test(in, a_body_without_a_length_ends_with_the_connection);
    tcase_add_test(in, a_bad_chunk_is_an_error);
    tcase_add_test(in, a_body_is_not_waited_for_with_a_deadline_of_0);
    tcase_add_test(in, trailers_beyond_the_limits_are_an_error);
    tcase_add_test(out, a_head_leaves_together_with_its_first_piece);
    tcase_add_test(out, pieces_are_written_as_chunks_and_the_last_with_its_trailers);
    tcase_add_test(out, an_empty_piece_is_no_last_chunk);
    tcase_add_test(out, a_head_that_leaves_no_room_for_its_body_is_refused);
    tcase_add_test(past, a_counted_body_may_pass_by_once_nothing_of_it_is_held);
    tcase_add_test(past, a_chunked_body_never_passes_by);
    tcase_add_test(past, unread_bytes_are_handed_over_once);
    suite_add_tcase(s, in);
    suite_add_tcase(s, out);
    suite_add_tcase(s, past);
    return s;
}
