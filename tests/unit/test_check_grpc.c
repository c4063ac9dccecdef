/* test_check_grpc.c - what a grpc check makes of each answer, from a server that sends frames by the byte. */
#include "tests/lib/fiber_test.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/must.h"
#include "health/dial.h"
#include "http/codec.h"
#include "net/scratch.h"
#include "net/sys.h"
#include "tests/lib/sockets.h"

Suite *check_grpc_suite(void);

/* ---- a server that says what it is told, without looking at what it is asked ---- */

enum then { THEN_STAY, THEN_CLOSE, THEN_REPEAT };
static struct {
    struct buf say;
    size_t again; /* THEN_REPEAT: from here on, for ever */
    enum then then;
    struct buf heard;
    bool served;
} script;

enum { ASKED = 60 }; /* bytes: the preface, SETTINGS, WINDOW_UPDATE, and some of HEADERS */
enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY };
enum { END_STREAM = 1, END_HEADERS = 4 };

static void frame(int type, int flags, uint32_t stream, struct slice payload)
{
    unsigned char head[9] = { 0,
                              (unsigned char)(payload.n >> 8),
                              (unsigned char)payload.n,
                              (unsigned char)type,
                              (unsigned char)flags,
                              0,
                              0,
                              0,
                              (unsigned char)stream };

    buf_append(&script.say, head, sizeof head);
    buf_add_slice(&script.say, payload);
}

/* "name: value\n..." as HPACK writes what it does not keep (RFC 7541 6.2.2). */
static void headers(const char *fields, int flags)
{
    struct buf block = { 0 };

    while (*fields != '\0') {
        const char *colon = strchr(fields + 1, ':'), *end = strchr(fields, '\n');
        buf_add_char(&block, 0);
        buf_add_char(&block, (char)(colon - fields));
        buf_append(&block, fields, (size_t)(colon - fields));
        buf_add_char(&block, (char)(end - colon - 2));
        buf_append(&block, colon + 2, (size_t)(end - colon - 2));
        fields = end + 1;
    }
    frame(HEADERS, END_HEADERS | flags, 1, buf_slice(&block));
    buf_free(&block);
}

#define HEAD "content-type: application/grpc\n"
static void head(void) { headers(":status: 200\n" HEAD, 0); }
static void trailers(const char *fields) { headers(fields, END_STREAM); }
static void data(struct slice s) { frame(DATA, 0, 1, s); }

static void serve_one(int fd)
{
    struct stream s;
    char bytes[4096];
    ssize_t got = 1;

    stream_open(&s, fd, true);
    while (got > 0 && script.heard.n < ASKED) {
        got = stream_read(&s, bytes, sizeof bytes, in_ms(5000));
        if (got > 0)
            buf_append(&script.heard, bytes, (size_t)got);
    }
    if (script.say.n > 0)
        (void)stream_write_bytes(&s, script.say.p, script.say.n, in_ms(5000));
    while (script.then == THEN_REPEAT &&
           stream_write_bytes(&s, script.say.p + script.again, script.say.n - script.again, in_ms(5000)) == 0)
        ;
    while (script.then == THEN_STAY && got > 0) {
        got = stream_read(&s, bytes, sizeof bytes, CLOCK_NEVER);
        if (got > 0)
            buf_append(&script.heard, bytes, (size_t)got);
    }
    stream_close(&s);
    script.served = true;
}

struct served {
    struct addr at;
    struct pd listening;
    struct group group;
};

static void serve(void *arg)
{
    struct served *v = arg;

    while (pd_wait_read(&v->listening, CLOCK_NEVER) == 0) {
        int fd = sys->accept(v->listening.fd, NULL, NULL);
        if (fd < 0)
            pd_read_again(&v->listening);
        else
            serve_one(fd);
    }
}

/* ---- asking ---- */

static char detail[PROBE_DETAIL_MAX];

static void serve_start(struct served *v, enum then then)
{
    int fd = listen_anywhere(&v->at);

    script.then = then;
    script.served = false;
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    pd_init(&v->listening, fd);
    v->listening.flags |= PD_LEVEL;
    group_init(&v->group);
    ck_assert_int_eq(fiber_go(&v->group, "server", serve, v), 0);
}

static void serve_stop(struct served *v)
{
    group_cancel(&v->group, ERR_CANCELED);
    (void)group_join(&v->group, CLOCK_NEVER);
    pd_forget(&v->listening);
    ck_assert_int_eq(close(v->listening.fd), 0);
    scratch_free();
    ck_assert_uint_eq(fiber_test_alive(), 1);
}

static enum probe_result ask(const char *service, enum then then, int64_t ms)
{
    struct check_conf conf = { .service = service, .type = check_type_find("grpc") };
    struct served v;
    struct probe p = { .conf = &conf, .to = &v.at, .host = "backend.test:81" };
    enum probe_result r;

    serve_start(&v, then);
    r = conf.type->probe(&p, in_ms(ms));
    for (int64_t until = in_ms(5000); !script.served && clock_now() < until;)
        ck_assert_int_eq(fiber_sleep(clock_now() + CLOCK_MS), 0);
    serve_stop(&v);
    strcpy(detail, p.detail);
    return r;
}

static void begin(void)
{
    memset(&script, 0, sizeof script);
    frame(SETTINGS, 0, 0, SLICE(""));
}

static void end(void)
{
    buf_free(&script.say);
    buf_free(&script.heard);
}

#define ck_assert_result(got, want, words)                                                            \
    do {                                                                                              \
        enum probe_result got_ = (got);                                                               \
        ck_assert_msg(got_ == (want), "%s (%s), not %s", probe_word(got_), detail, probe_word(want)); \
        ck_assert_str_eq(detail, words);                                                              \
    } while (0)

#define SERVING     SLICE("\0\0\0\0\x02\x08\x01")
#define NOT_SERVING SLICE("\0\0\0\0\x02\x08\x02")

FIBER_TEST(a_backend_that_serves_is_well)
{
    head();
    data(SERVING);
    trailers("grpc-status: 0\n");
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_OK, "");
}

FIBER_TEST(the_request_names_the_service)
{
    head();
    data(SERVING);
    trailers("grpc-status: 0\n");
    ck_assert_result(ask("pkg.Service", THEN_STAY, 5000), PROBE_OK, "");
    ck_assert(memmem(script.heard.p, script.heard.n, "\0\0\0\0\x0d\x0a\x0bpkg.Service", 18) != NULL);
}

FIBER_TEST(without_a_service_the_message_is_empty)
{
    static const char last_data[] = { 0, 0, 5, DATA, END_STREAM, 0, 0, 0, 1, 0, 0, 0, 0, 0 };

    head();
    data(SERVING);
    trailers("grpc-status: 0\n");
    ck_assert_result(ask("", THEN_STAY, 5000), PROBE_OK, "");
    ck_assert(memmem(script.heard.p, script.heard.n, last_data, sizeof last_data) != NULL);
}

FIBER_TEST(a_message_in_pieces_with_fields_that_nobody_knows_is_read)
{
    head();
    data(SLICE("\0\0\0"));
    data(SLICE(""));
    data(SLICE("\0\x0b\x12\x03xyz\x08\x02"));
    frame(PING, 0, 0, SLICE("12345678"));
    data(SLICE("\x18\x05\x08\x01"));
    trailers("grpc-status: 0\n");
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_OK, "");
}

static const struct {
    struct slice message;
    const char *words;
} not_well[] = {
    { SLICE("\0\0\0\0\0"), "its status is UNKNOWN" },
    { SLICE("\0\0\0\0\x02\x08\0"), "its status is UNKNOWN" },
    { NOT_SERVING, "its status is NOT_SERVING" },
    { SLICE("\0\0\0\0\x02\x08\x03"), "its status is SERVICE_UNKNOWN" },
    { SLICE("\0\0\0\0\x02\x08\x09"), "its status is one that nobody knows" },
    { SLICE("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "its status is one that nobody knows" },
    { SLICE("\0\0\0\0\x04\x08\x01\x08\x02"), "its status is NOT_SERVING" }, /* the last one counts */
};

FIBER_TEST(a_backend_that_says_that_it_does_not_serve_is_not_well)
{
    for (size_t i = 0; i < ARRAY_LEN(not_well); i++) {
        end();
        begin();
        head();
        data(not_well[i].message);
        trailers("grpc-status: 0\n");
        ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_STATUS, not_well[i].words);
    }
}

static const struct {
    const char *trailers, *words;
    enum probe_result result;
} codes[] = {
    { "grpc-status: 5\n", "grpc-status 5 (NOT_FOUND): the service is not known there", PROBE_STATUS },
    { "grpc-status: 12\ngrpc-message: whatever\n", "grpc-status 12 (UNIMPLEMENTED): it has no grpc.health.v1.Health",
      PROBE_STATUS },
    { "grpc-status: 14\ngrpc-message: not now\n", "grpc-status 14 (UNAVAILABLE): not now", PROBE_STATUS },
    { "grpc-status: 99\n", "grpc-status 99 ()", PROBE_STATUS },
    { "grpc-status: 0\n", "an answer without a message", PROBE_BAD_ANSWER },
    { "grpc-status: \n", "its grpc-status is no number", PROBE_BAD_ANSWER },
    { "grpc-status: -1\n", "its grpc-status is no number", PROBE_BAD_ANSWER },
    { "grpc-status: 0000\n", "its grpc-status is no number", PROBE_BAD_ANSWER },
    { "other: 0\n", "it ended without a grpc-status", PROBE_BAD_ANSWER },
};

FIBER_TEST(a_status_of_grpc_is_told_in_words)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        char all[128] = ":status: 200\n" HEAD;
        end();
        begin();
        head();
        trailers(codes[i].trailers);
        ck_assert_result(ask(NULL, THEN_STAY, 5000), codes[i].result, codes[i].words);
        end(); /* the same in a head that is all of the answer */
        begin();
        trailers(strcat(all, codes[i].trailers));
        ck_assert_result(ask(NULL, THEN_STAY, 5000), codes[i].result, codes[i].words);
    }
}

FIBER_TEST(a_message_counts_only_with_a_good_end_behind_it)
{
    head();
    data(SERVING);
    trailers("grpc-status: 13\n");
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_STATUS, "grpc-status 13 (INTERNAL)");
    end();
    begin();
    head();
    data(SERVING);
    ck_assert_result(ask(NULL, THEN_CLOSE, 5000), PROBE_CLOSED, "waiting for the answer: the peer closed the connection");
    end();
    begin();
    head();
    data(SERVING);
    ck_assert_result(ask(NULL, THEN_STAY, 100), PROBE_TIMEOUT, "waiting for the answer: the deadline passed");
    end();
    begin();
    head();
    data(SERVING);
    frame(RST_STREAM, 0, 1, SLICE("\0\0\0\x02"));
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_CLOSED, "waiting for the answer: the peer reset the connection");
}

static const struct {
    struct slice body;
    const char *words;
} bad[] = {
    { SLICE("\x01\0\0\0\x02\x08\x01"), "a message is compressed" },
    { SLICE("\x07\0\0\0\x02\x08\x01"), "a message has an unknown flag" },
    { SLICE("\0\0\0\x10\x01"), "a message of 4097 bytes is too large" },
    { SLICE("\0\xff\xff\xff\xff"), "a message of 4294967295 bytes is too large" },
    { SLICE("\0\0\0\0\x03\x08\x01"), "it ended in the middle of a message" },
    { SLICE("\0\0"), "it ended in the middle of a message" },
    { SLICE("\0\0\0\0\x02\x08\x80"), "the message is no HealthCheckResponse" },
    { SLICE("\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x01"), "more than one message" },
};

FIBER_TEST(what_is_no_message_is_a_bad_answer)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        end();
        begin();
        head();
        data(bad[i].body);
        trailers("grpc-status: 0\n");
        ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_BAD_ANSWER, bad[i].words);
    }
}

FIBER_TEST(an_answer_of_another_protocol_is_a_bad_answer)
{
    headers(":status: 404\ncontent-type: text/html\n", END_STREAM);
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_BAD_ANSWER, "its HTTP status is 404");
    end();
    begin();
    headers(":status: 200\ncontent-type: application/grpcweb\n", 0);
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_BAD_ANSWER, "its content type is not application/grpc");
    end();
    buf_add(&script.say, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_BAD_ANSWER, "waiting for the answer: the backend's answer is malformed");
    end();
    begin();
    for (int i = 0; i <= INTERIM_MOST; i++)
        headers(":status: 103\n", 0);
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_BAD_ANSWER, "too many interim answers");
}

FIBER_TEST(who_does_not_answer_is_a_timeout)
{
    ck_assert_result(ask(NULL, THEN_STAY, 100), PROBE_TIMEOUT, "waiting for the answer: the deadline passed");
}

FIBER_TEST(a_flood_of_empty_frames_ends_with_the_deadline)
{
    head();
    script.again = script.say.n;
    for (int i = 0; i < 1000; i++)
        data(SLICE(""));
    ck_assert_result(ask(NULL, THEN_REPEAT, 200), PROBE_TIMEOUT, "waiting for the answer: the deadline passed");
}

FIBER_TEST(a_flood_of_pings_ends_soon)
{
    script.again = script.say.n;
    for (int i = 0; i < 1000; i++)
        frame(PING, 0, 0, SLICE("12345678"));
    ck_assert_int_ne(ask(NULL, THEN_REPEAT, 200), PROBE_OK);
}

FIBER_TEST(a_backend_that_goes_away_is_not_waited_for)
{
    frame(GOAWAY, 0, 0, SLICE("\0\0\0\0\0\0\0\0"));
    ck_assert_result(ask(NULL, THEN_STAY, 5000), PROBE_CLOSED,
                     "waiting for the answer: the backend refused the request unprocessed");
}

struct called_off {
    struct probe probe;
    enum probe_result result;
};

static void ask_alone(void *arg)
{
    struct called_off *c = arg;

    c->result = c->probe.conf->type->probe(&c->probe, CLOCK_NEVER);
}

FIBER_TEST(calling_off_in_the_middle_of_each_step_leaves_nothing_behind)
{
    struct check_conf conf = { .type = check_type_find("grpc") };

    for (int turns = 0; turns < 40; turns++) {
        struct served v;
        struct called_off c = { .probe = { .conf = &conf, .to = &v.at } };
        struct group g;

        serve_start(&v, THEN_STAY);
        group_init(&g);
        ck_assert_int_eq(fiber_go(&g, "probe", ask_alone, &c), 0);
        for (int i = 0; i < turns; i++)
            fiber_yield();
        group_cancel(&g, ERR_CANCELED);
        (void)group_join(&g, CLOCK_NEVER);
        ck_assert_int_ne(c.result, PROBE_OK);
        serve_stop(&v);
    }
}

Suite *check_grpc_suite(void)
{
    Suite *s = suite_create("check_grpc");
    TCase *tc = tcase_create("check_grpc");

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, a_backend_that_serves_is_well);
    tcase_add_test(tc, the_request_names_the_service);
    tcase_add_test(tc, without_a_service_the_message_is_empty);
    tcase_add_test(tc, a_message_in_pieces_with_fields_that_nobody_knows_is_read);
    tcase_add_test(tc, a_backend_that_says_that_it_does_not_serve_is_not_well);
    tcase_add_test(tc, a_status_of_grpc_is_told_in_words);
    tcase_add_test(tc, a_message_counts_only_with_a_good_end_behind_it);
    tcase_add_test(tc, what_is_no_message_is_a_bad_answer);
    tcase_add_test(tc, an_answer_of_another_protocol_is_a_bad_answer);
    tcase_add_test(tc, who_does_not_answer_is_a_timeout);
    tcase_add_test(tc, a_flood_of_empty_frames_ends_with_the_deadline);
    tcase_add_test(tc, a_flood_of_pings_ends_soon);
    tcase_add_test(tc, a_backend_that_goes_away_is_not_waited_for);
    tcase_add_test(tc, calling_off_in_the_middle_of_each_step_leaves_nothing_behind);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}
