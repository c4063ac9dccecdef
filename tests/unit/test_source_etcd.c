/*
 * test_source_etcd.c - etcd's gateway played by a thread: pages, compaction, members that fail, and answers that are none.
 */
#include "tests/lib/fiber_test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "tests/lib/etcd_process.h"
#include "tests/lib/sockets.h"
#include "tests/lib/source_owner.h"

Suite *source_etcd_suite(void);

/* ---- the gateway ---- */

struct gateway {
    int listening, fd; /* fd: the connection at hand, or -1 */
    struct addr addr;
    pthread_t thread;
    void (*script)(struct gateway *g);
    sem_t go; /* for scripts that wait for the test */
    struct buf request;
    _Atomic bool over; /* the test has seen what it wanted */
};

static struct gateway g;
static char address[ADDR_TEXT_MAX], nobody[ADDR_TEXT_MAX];
static const char *endpoints[2];
static struct discovery_conf conf;
static struct owner owner;

static void gateway_close(struct gateway *gw)
{
    if (gw->fd >= 0)
        close(gw->fd);
    gw->fd = -1;
}

/* The next request's body; NULL: the peer is gone. */
static const char *read_request(struct gateway *gw)
{
    const char *end = NULL, *length;

    gw->request.n = 0;
    while (end == NULL || gw->request.n < (size_t)(end + 4 - gw->request.p) + strtoul(length + 16, NULL, 10)) {
        char *at = buf_reserve(&gw->request, 4096);
        ssize_t n = recv(gw->fd, at, 4095, 0);
        if (n <= 0)
            return NULL;
        gw->request.n += (size_t)n;
        gw->request.p[gw->request.n] = '\0';
        end = strstr(gw->request.p, "\r\n\r\n");
        length = strcasestr(gw->request.p, "Content-Length: ");
        ck_assert(end == NULL || length != NULL);
    }
    return end + 4;
}

static void expect(struct gateway *gw, const char *path)
{
    char line[64];

    (void)snprintf(line, sizeof line, "POST %s HTTP/1.1\r\n", path);
    while (gw->fd < 0 || read_request(gw) == NULL) { /* a new connection may come in the last one's place */
        gateway_close(gw);
        gw->fd = accept4(gw->listening, NULL, NULL, SOCK_CLOEXEC);
        if (gw->fd < 0 && atomic_load(&gw->over))
            pthread_exit(NULL);
        ck_assert_int_ge(gw->fd, 0);
    }
    ck_assert_msg(strncmp(gw->request.p, line, strlen(line)) == 0, "expected %s, got %.40s", path, gw->request.p);
}

static bool was_asked(const struct gateway *gw, const char *part) { return strstr(gw->request.p, part) != NULL; }

/* The source may be gone already. */
static void say(struct gateway *gw, const char *text) { (void)!send(gw->fd, text, strlen(text), MSG_NOSIGNAL); }

static void reply(struct gateway *gw, unsigned status, const char *json)
{
    struct buf b = { 0 };

    buf_printf(&b, "HTTP/1.1 %u X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(json),
               json);
    say(gw, b.p);
    buf_free(&b);
}

static void begin_stream(struct gateway *gw)
{
    say(gw, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void stream(struct gateway *gw, const char *text)
{
    struct buf b = { 0 };

    buf_printf(&b, "%zx\r\n%s\r\n", strlen(text), text);
    say(gw, b.p);
    buf_free(&b);
}

/* "key=value key=value" as pairs of JSON; "key" alone is a deletion's. */
static void pair(struct buf *b, const char *key, const char *value)
{
    buf_add(b, "{\"key\":\"");
    base64_encode(b, slice_str(key));
    if (value != NULL) {
        buf_add(b, "\",\"value\":\"");
        base64_encode(b, slice_str(value));
    }
    buf_add(b, "\",\"mod_revision\":\"7\"}");
}

static const char *backend(unsigned id, unsigned weight)
{
    static char text[4][80];
    static unsigned next;
    char *to = text[next++ % 4];

    (void)snprintf(to, sizeof text[0], "{\"address\":\"10.0.0.%u:80\",\"weight\":%u}", id, weight);
    return to;
}

static void reply_range(struct gateway *gw, long revision, bool more, unsigned from, unsigned to)
{
    struct buf b = { 0 };
    char key[32];

    buf_printf(&b, "{\"header\":{\"revision\":\"%ld\"},\"kvs\":[", revision);
    for (unsigned i = from; i <= to; i++) {
        (void)snprintf(key, sizeof key, "/p/%u", i);
        buf_add(&b, i > from ? "," : "");
        pair(&b, key, backend(i, 1));
    }
    buf_printf(&b, "],\"count\":\"9\"%s}", more ? ",\"more\":true" : "");
    reply(gw, 200, b.p);
    buf_free(&b);
}

static void stream_event(struct gateway *gw, const char *key, const char *value)
{
    struct buf b = { 0 };

    buf_printf(
        &b, "{\"result\":{\"header\":{\"revision\":\"9\"},\"events\":[{%s\"kv\":", value == NULL ? "\"type\":\"DELETE\"," : "");
    pair(&b, key, value);
    buf_add(&b, "}]}}\n");
    stream(gw, b.p);
    buf_free(&b);
}

static const char created[] = "{\"result\":{\"header\":{\"revision\":\"5\"},\"created\":true}}\n";

static void *run_script(void *arg)
{
    struct gateway *gw = arg;

    gw->script(gw);
    return NULL;
}

static void start(void (*script)(struct gateway *gw))
{
    struct addr none = nobody_there();

    memset(&g, 0, sizeof g);
    g.fd = -1;
    g.script = script;
    g.listening = listen_anywhere(&g.addr);
    ck_assert_int_eq(sem_init(&g.go, 0, 0), 0);
    ck_assert_int_eq(pthread_create(&g.thread, NULL, run_script, &g), 0);
    (void)addr_format(&g.addr, address);
    (void)addr_format(&none, nobody);
    endpoints[0] = address;
    conf = (struct discovery_conf){ .type = "etcd", .prefix = "/p/", .max_age = 60 * CLOCK_S };
    conf.endpoints = (struct conf_strs){ endpoints, 1 };
}

static void finish(void)
{
    owner_stop(&owner);
    atomic_store(&g.over, true);
    (void)shutdown(g.listening, SHUT_RDWR); /* ends an accept */
    ck_assert_int_eq(pthread_join(g.thread, NULL), 0);
    gateway_close(&g);
    close(g.listening);
    sem_destroy(&g.go);
    buf_free(&g.request);
    owner_clock_restore();
}

/* Reads on until the source has hung up. */
static void until_it_goes(struct gateway *gw)
{
    while (read_request(gw) != NULL)
        ;
}

/* ---- the tests ---- */

static void pages(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    ck_assert(was_asked(gw, "\"key\":\"L3Av\",\"range_end\":\"L3Aw\"")); /* "/p/" to "/p0" */
    ck_assert(!was_asked(gw, "\"revision\""));
    reply_range(gw, 5, true, 1, 2);
    expect(gw, "/v3/kv/range");
    ck_assert(was_asked(gw, "\"key\":\"L3AvMgA=\"")); /* "/p/2" and a NUL: the key behind it */
    ck_assert(was_asked(gw, "\"revision\":\"5\""));
    reply_range(gw, 8, false, 3, 4);
    expect(gw, "/v3/watch");
    ck_assert(was_asked(gw, "\"start_revision\":\"6\""));
    begin_stream(gw);
    stream(gw, created);
    until_it_goes(gw);
}

FIBER_TEST(all_pages_are_read_at_one_revision_and_the_watch_begins_behind_it)
{
    start(pages);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 }, { 4, 0, 0 });
    ck_assert_uint_eq(owner.published, 1);
    finish();
}

static void in_pieces(struct gateway *gw)
{
    struct buf b = { 0 };

    expect(gw, "/v3/kv/range");
    reply_range(gw, 5, false, 1, 1);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    buf_add(&b, "{\"result\":{\"events\":[{\"kv\":");
    pair(&b, "/p/2", backend(2, 3));
    buf_add(&b, "}]}}\n{\"result\":{\"events\":[{\"type\":\"DELETE\",\"kv\":");
    pair(&b, "/p/1", NULL);
    buf_add(&b, "}]}}\n");
    stream(gw, created);
    for (size_t i = 0; i < b.n; i++) {
        char byte[2] = { b.p[i], '\0' };
        stream(gw, byte);
    }
    buf_free(&b);
    until_it_goes(gw);
}

FIBER_TEST(events_that_come_byte_by_byte_are_understood)
{
    start(in_pieces);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 2, 3, 0 });
    finish();
}

static void compacted(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    reply_range(gw, 5, false, 1, 2);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    stream(gw, created);
    stream(gw, "{\"result\":{\"header\":{\"revision\":\"40\"},\"canceled\":true,\"compact_revision\":\"30\"}}\n");
    expect(gw, "/v3/kv/range");
    ck_assert(!was_asked(gw, "\"revision\""));
    reply_range(gw, 40, false, 2, 3);
    expect(gw, "/v3/watch");
    ck_assert(was_asked(gw, "\"start_revision\":\"41\""));
    begin_stream(gw);
    stream(gw, created);
    until_it_goes(gw);
}

FIBER_TEST(after_a_compaction_all_is_read_anew_and_nothing_has_failed)
{
    start(compacted);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 2, 0, 0 }, { 3, 0, 0 });
    ck_assert_uint_eq(owner.failed, 0);
    finish();
}

static void lost(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    reply_range(gw, 5, false, 1, 2);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    stream(gw, created);
    gateway_close(gw);
    expect(gw, "/v3/kv/range");
    reply_range(gw, 6, false, 2, 3);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    until_it_goes(gw);
}

FIBER_TEST(a_lost_watch_is_told_and_all_is_read_anew)
{
    start(lost);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 2, 0, 0 }, { 3, 0, 0 });
    ck_assert_uint_eq(owner.failed, 1);
    ck_assert_ptr_nonnull(strstr(owner.why, address));
    finish();
}

static void silent(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    reply_range(gw, 5, false, 1, 1);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    stream(gw, created);
    ck_assert_int_eq(sem_wait(&gw->go), 0);
    expect(gw, "/v3/kv/range");
    reply_range(gw, 9, false, 4, 4);
    until_it_goes(gw);
}

FIBER_TEST(a_watch_that_is_silent_for_a_minute_is_not_trusted)
{
    start(silent);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 0, 0 });
    while (owner.published < 1)
        ck_assert_int_eq(fiber_sleep(in_ms(1)), 0);
    for (int i = 0; i < 4; i++) /* so that it is on its watch by then */
        ck_assert_int_eq(fiber_sleep(in_ms(20)), 0);
    ck_assert_int_eq(sem_post(&g.go), 0);
    owner_clock_jump(61 * CLOCK_S);
    owner_clock_jump(CLOCK_S);
    AWAIT(&owner, { 4, 0, 0 });
    ck_assert_uint_eq(owner.failed, 0);
    finish();
}

static void one_range(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    reply_range(gw, 5, false, 1, 1);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    stream(gw, created);
    until_it_goes(gw);
}

FIBER_TEST(a_member_that_is_down_is_passed_over_in_silence)
{
    start(one_range);
    endpoints[0] = nobody;
    endpoints[1] = address;
    conf.endpoints.n = 2;
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 0, 0 });
    ck_assert_uint_eq(owner.failed, 0);
    finish();
}

static void no_gateway(struct gateway *gw) { (void)gw; }

FIBER_TEST(when_all_members_are_down_that_is_told_once_a_round)
{
    start(no_gateway);
    endpoints[0] = endpoints[1] = nobody;
    conf.endpoints.n = 2;
    owner_start(&owner, &conf);
    owner_await_failure(&owner, "the peer refused the connection");
    ck_assert_uint_eq(owner.failed, 1);
    finish();
}

static void bad_key(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    reply_range(gw, 5, false, 1, 2);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    stream(gw, created);
    stream_event(gw, "/p/1", "{\"address\":");
    stream_event(gw, "/p/3", backend(3, 1));
    ck_assert_int_eq(sem_wait(&gw->go), 0);
    stream_event(gw, "/p/1", backend(1, 9));
    until_it_goes(gw);
}

FIBER_TEST(a_key_that_makes_no_sense_keeps_its_last_value_and_holds_no_other_up)
{
    start(bad_key);
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 1, 0 }, { 2, 1, 0 }, { 3, 1, 0 });
    owner_await_failure(&owner, "key /p/1: line 1 column 11:");
    ck_assert_int_eq(sem_post(&g.go), 0);
    AWAIT(&owner, { 1, 9, 0 }, { 2, 1, 0 }, { 3, 1, 0 });
    finish();
}

/* Answers to the first request, of which each must fail and none may hang or be believed. */
static const struct {
    unsigned status;
    const char *json, *why;
} nonsense[] = {
    { 200, "", "line 1 column 1" },
    { 200, "[]", "not what etcd's gateway answers" },
    { 200, "{}", "not what etcd's gateway answers" },
    { 200, "{\"header\":{\"revision\":\"-3\"}}", "not what etcd's gateway answers" },
    { 200, "{\"header\":{\"revision\":\"5\"},\"kvs\":[{}]}", "not what etcd's gateway answers" },
    { 200, "{\"header\":{\"revision\":\"5\"},\"kvs\":[{\"key\":\"L3Av*\"}]}", "not what etcd's gateway answers" },
    { 200, "{\"header\":{\"revision\":\"5\"},\"kvs\":[7]}", "not what etcd's gateway answers" },
    { 400, "{\"error\":\"etcdserver: mvcc: required revision has been compacted\",\"code\":11}", "mvcc: required revision" },
    { 503, "{\"header\":{\"revision\":\"5\"}}", "the answer has the status 503" },
    { 404, "404 page not found\n", "the answer has the status 404" },
    { 200, "{\"header\":{\"revision\":\"5\\u0007\"}}", "not what etcd's gateway answers" },
};
static int nonsense_at_hand;

static void say_nonsense(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    reply(gw, nonsense[nonsense_at_hand].status, nonsense[nonsense_at_hand].json);
    gateway_close(gw);
    one_range(gw);
}

static void nonsense_body(void *unused)
{
    (void)unused;
    start(say_nonsense);
    owner_start(&owner, &conf);
    owner_await_failure(&owner, nonsense[nonsense_at_hand].why);
    ck_assert_uint_eq(owner.published, 0);
    AWAIT(&owner, { 1, 0, 0 });
    finish();
}

START_TEST(an_answer_that_is_none_is_told_and_another_waited_for)
{
    nonsense_at_hand = _i;
    fiber_test_run(nonsense_body, NULL);
}
END_TEST

static void no_http(struct gateway *gw)
{
    expect(gw, "/v3/kv/range");
    say(gw, "SSH-2.0-OpenSSH_9.2\r\n");
    gateway_close(gw);
    expect(gw, "/v3/kv/range");
    say(gw, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
    gateway_close(gw);
    expect(gw, "/v3/kv/range");
    reply_range(gw, 5, false, 1, 1);
    expect(gw, "/v3/watch");
    begin_stream(gw);
    stream(gw, "this is no JSON\n");
    gateway_close(gw);
    one_range(gw);
}

FIBER_TEST(what_is_no_http_and_no_json_is_a_failure_and_no_more)
{
    start(no_http);
    owner_start(&owner, &conf);
    owner_await_failure(&owner, "line 1 column");
    ck_assert(HAS(&owner, { 1, 0, 0 }));
    while (owner.published < 2)
        ck_assert_int_eq(fiber_sleep(in_ms(5)), 0);
    finish();
}

/* ---- the real one ---- */

FIBER_TEST(a_real_compaction_while_the_source_is_away_is_healed)
{
    static char real[32];
    static const char *one[] = { real };
    struct etcd_process p;

    if (!etcd_is_installed())
        return;
    etcd_start(&p);
    (void)snprintf(real, sizeof real, "127.0.0.1:%u", p.port);
    conf = (struct discovery_conf){ .type = "etcd", .prefix = "/p/", .endpoints = { one, 1 } };
    etcd_put(&p, "/p/1", backend(1, 1));
    owner_start(&owner, &conf);
    AWAIT(&owner, { 1, 0, 0 });
    etcd_kill(&p);
    etcd_restart(&p);
    for (unsigned i = 0; i < 20; i++)
        etcd_put(&p, "/p/1", backend(1, i + 1));
    etcd_delete(&p, "/p/1");
    etcd_put(&p, "/p/2", backend(2, 2));
    etcd_compact(&p);
    AWAIT(&owner, { 2, 2, 0 });
    etcd_put(&p, "/p/3", backend(3, 3));
    AWAIT(&owner, { 2, 2, 0 }, { 3, 3, 0 });
    owner_stop(&owner);
    etcd_stop(&p);
}

Suite *source_etcd_suite(void)
{
    Suite *s = suite_create("source_etcd");
    TCase *t = tcase_create("gateway");

    tcase_add_test(t, all_pages_are_read_at_one_revision_and_the_watch_begins_behind_it);
    tcase_add_test(t, events_that_come_byte_by_byte_are_understood);
    tcase_add_test(t, after_a_compaction_all_is_read_anew_and_nothing_has_failed);
    tcase_add_test(t, a_lost_watch_is_told_and_all_is_read_anew);
    tcase_add_test(t, a_watch_that_is_silent_for_a_minute_is_not_trusted);
    tcase_add_test(t, a_member_that_is_down_is_passed_over_in_silence);
    tcase_add_test(t, when_all_members_are_down_that_is_told_once_a_round);
    tcase_add_test(t, a_key_that_makes_no_sense_keeps_its_last_value_and_holds_no_other_up);
    tcase_add_loop_test(t, an_answer_that_is_none_is_told_and_another_waited_for, 0, (int)(sizeof nonsense / sizeof nonsense[0]));
    tcase_add_test(t, what_is_no_http_and_no_json_is_a_failure_and_no_more);
    tcase_add_test(t, a_real_compaction_while_the_source_is_away_is_healed);
    suite_add_tcase(s, t);
    return s;
}
