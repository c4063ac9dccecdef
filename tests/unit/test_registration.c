/* test_registration.c - what is asked of the register by HTTP and by command, and what is refused. */
#include "tests/lib/fiber_test.h"

#include <string.h>

#include "admin/commands.h"
#include "admin/registration.h"
#include "conf/load.h"
#include "conf/snapshot.h"
#include "http/h1_parse.h"

Suite *registration_suite(void);

static const char text[] = "listeners = ( { bind = \"127.0.0.1:1\"; pool = \"app\"; } );\n"
                           "pools = ( { name = \"app\"; discovery = { type = \"heartbeat\"; ttl = \"20s\"; }; },\n"
                           "          { name = \"a pool\"; discovery = { type = \"heartbeat\"; }; },\n"
                           "          { name = \"fixed\"; backends = [ \"127.0.0.1:2\" ]; } );\n";

static struct snapshot *conf;
static struct small_reply reply;

static void view(void *arg, struct admin_view *out)
{
    (void)arg;
    *out = (struct admin_view){ .conf = conf };
}

static const struct admin_host host = { .view = view };

static void setup(void)
{
    struct conf_report r;

    ck_assert_int_eq(conf_load_text(text, "proxy.conf", &conf, &r), 0);
    conf_report_free(&r);
    reply = (struct small_reply){ .status = 200 };
}

static void teardown(void)
{
    buf_free(&reply.body);
    snapshot_unref(&conf);
}

/* The status of the answer to "METHOD TARGET" with that body. */
static unsigned ask(const char *request, const char *body)
{
    static const struct head_limits limits = { .head = 8192, .line = 4096, .headers = 8 };
    struct header headers[8];
    struct message m = { .headers = headers, .cap_headers = 8 };
    char head[1024];
    size_t seen = 0;
    int n = snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: x\r\n\r\n", request);

    buf_free(&reply.body);
    reply = (struct small_reply){ .status = 200 };
    ck_assert_int_eq(h1_parse_request(&m, head, (size_t)n, &seen, &limits), n);
    ck_assert(registration_is(m.path));
    registration_answer(&host, &m, slice_str(body), &reply);
    return reply.status;
}

static bool says(const char *part) { return reply.body.p != NULL && strstr(reply.body.p, part) != NULL; }

FIBER_TEST(a_backend_registers_beats_and_goes)
{
    ck_assert_uint_eq(ask("PUT /v1/pools/app/backends/10.0.0.1:80", ""), 201);
    ck_assert(says("10.0.0.1:80 is registered in pool app for 20 s"));
    ck_assert_uint_eq(ask("PUT /v1/pools/app/backends/10.0.0.1:80?ttl=1m", ""), 200);
    ck_assert(says("for 60 s"));
    ck_assert_uint_eq(ask("DELETE /v1/pools/app/backends/10.0.0.1:80", ""), 200);
    ck_assert_uint_eq(ask("DELETE /v1/pools/app/backends/10.0.0.1:80", ""), 404);
}

FIBER_TEST(the_list_says_what_the_documents_said)
{
    ck_assert_uint_eq(
        ask("PUT /v1/pools/app/backends/10.0.0.1:80", "{ \"weight\": 3, \"backup\": true, \"max_connections\": 9 }"), 201);
    ck_assert_uint_eq(ask("GET /v1/pools/app/backends", ""), 200);
    ck_assert_str_eq(reply.content_type, "application/json");
    ck_assert(says("{ \"address\": \"10.0.0.1:80\", \"weight\": 3, \"priority\": 1, \"max_connections\": 9, \"left_ms\": "));
    ck_assert_uint_eq(ask("DELETE /v1/pools/app/backends/10.0.0.1:80", ""), 200);
    ck_assert_uint_eq(ask("GET /v1/pools/app/backends", ""), 200);
    ck_assert_str_eq(reply.body.p, "[]\n");
}

FIBER_TEST(names_and_addresses_may_be_percent_encoded)
{
    ck_assert_uint_eq(ask("PUT /v1/pools/a%20pool/backends/unix:%2Frun%2Fapp.sock", ""), 201);
    ck_assert_uint_eq(ask("PUT /v1/pools/a%20pool/backends/unix:/run/app.sock", ""), 200);
    ck_assert_uint_eq(ask("PUT /v1/pools/a%20pool/backends/%5B2001:db8::1%5D:80", ""), 201);
    ck_assert_uint_eq(ask("DELETE /v1/pools/a%20pool/backends/unix:%2Frun%2Fapp.sock", ""), 200);
    ck_assert_uint_eq(ask("DELETE /v1/pools/a%20pool/backends/%5B2001:DB8::1%5D:80", ""), 200);
}

static const struct {
    const char *request, *body;
    unsigned status;
    const char *says;
} refused[] = {
    { "PUT /v1/pools/nope/backends/10.0.0.1:80", "", 404, "there is no pool nope" },
    { "PUT /v1/pools/fixed/backends/10.0.0.1:80", "", 409, "takes no registrations" },
    { "PUT /v1/pools/app/backends/10.0.0.1", "", 400, "no port" },
    { "PUT /v1/pools/app/backends/app.test:80", "", 400, "app.test:80: " },
    { "PUT /v1/pools/app/backends/10.0.0.1:80?ttl=999ms", "", 400, "lasts from 1s to 1h" },
    { "PUT /v1/pools/app/backends/10.0.0.1:80?ttl=2h", "", 400, "lasts from 1s to 1h" },
    { "PUT /v1/pools/app/backends/10.0.0.1:80?ttl=10", "", 400, "ttl 10: " },
    { "PUT /v1/pools/app/backends/10.0.0.1:80?weight=3", "", 400, "ttl=10s" },
    { "PUT /v1/pools/app/backends/10.0.0.1:80", "{ \"weight\": 3", 400, "line 1 column 13" },
    { "PUT /v1/pools/app/backends/10.0.0.1:80", "{ \"address\": \"10.0.0.2:80\" }", 400, "another" },
    { "PUT /v1/pools/app/backends", "", 405, "GET" },
    { "POST /v1/pools/app/backends/10.0.0.1:80", "", 405, "PUT, DELETE" },
    { "GET /v1/pools/app", "", 404, "backends/ADDR" },
    { "GET /v1/pools//backends", "", 404, "backends/ADDR" },
    { "GET /v1/pools/app/backend", "", 404, "backends/ADDR" },
    { "GET /v1/pools/%00/backends", "", 404, "backends/ADDR" },
    { "GET /v1/pools/%4/backends", "", 404, "backends/ADDR" },
    { "GET /v1/pools/%zz/backends", "", 404, "backends/ADDR" },
};

static void refused_body(void *arg)
{
    const size_t i = *(int *)arg;

    ck_assert_uint_eq(ask(refused[i].request, refused[i].body), refused[i].status);
    ck_assert_msg(says(refused[i].says), "it says: %s", reply.body.p);
    if (ask("GET /v1/pools/app/backends", "") == 200)
        ck_assert_str_eq(reply.body.p, "[]\n");
}

START_TEST(what_makes_no_sense_is_refused_with_a_reason_and_changes_nothing) { fiber_test_run(refused_body, &_i); }
END_TEST

FIBER_TEST(commands_do_the_same)
{
    ck_assert_int_eq(commands_run(&host, "register app 10.0.0.9:80 30s", &reply.body), 0);
    ck_assert(says("10.0.0.9:80 is registered in pool app for 30 s"));
    ck_assert_int_eq(commands_run(&host, "registered app", &reply.body), 0);
    ck_assert(says("\"address\": \"10.0.0.9:80\""));
    ck_assert_int_eq(commands_run(&host, "register app 10.0.0.9:80", &reply.body), 0);
    ck_assert(says("stays in pool app for 20 s"));
    ck_assert_int_eq(commands_run(&host, "deregister app 10.0.0.9:80", &reply.body), 0);
    ck_assert_int_eq(commands_run(&host, "deregister app 10.0.0.9:80", &reply.body), -ERR_INVALID);
    ck_assert(says("was not registered"));
}

FIBER_TEST(a_command_with_too_few_or_too_many_words_is_told_how_it_is_written)
{
    ck_assert_int_eq(commands_run(&host, "register app", &reply.body), -ERR_INVALID);
    ck_assert(says("write: register POOL ADDR [TTL]"));
    ck_assert_int_eq(commands_run(&host, "register app 10.0.0.9:80 30s x", &reply.body), -ERR_INVALID);
    ck_assert_int_eq(commands_run(&host, "registered", &reply.body), -ERR_INVALID);
    ck_assert_int_eq(commands_run(&host, "register fixed 10.0.0.9:80", &reply.body), -ERR_INVALID);
    ck_assert(says("takes no registrations"));
}

Suite *registration_suite(void)
{
    Suite *s = suite_create("registration");
    TCase *t = tcase_create("registration");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_backend_registers_beats_and_goes);
    tcase_add_test(t, the_list_says_what_the_documents_said);
    tcase_add_test(t, names_and_addresses_may_be_percent_encoded);
    tcase_add_loop_test(t, what_makes_no_sense_is_refused_with_a_reason_and_changes_nothing, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(t, commands_do_the_same);
    tcase_add_test(t, a_command_with_too_few_or_too_many_words_is_told_how_it_is_written);
    suite_add_tcase(s, t);
    return s;
}
