/* Tests of proxy/route: the first route whose conditions all hold, whatever the tables look like. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/rand.h"
#include "conf/load.h"
#include "proxy/explain.h"
#include "proxy/route.h"
#include "tests/lib/h1_feed.h"

Suite *route_suite(void);

static struct snapshot *conf;
static struct router *router;
static struct arena arena;
static struct parsed parsed;

static void teardown(void)
{
    router_free(&router);
    snapshot_unref(&conf);
    arena_free(&arena);
    parsed_free(&parsed);
}

static void use_file(const char *text)
{
    struct conf_report r;

    arena_init(&arena, NULL, 0);
    ck_assert_msg(conf_load_text(text, "proxy.conf", &conf, &r) == 0, "%s", r.text);
    conf_report_free(&r);
    router = router_new(conf);
    ck_assert_ptr_nonnull(router);
}

#define POOLS                                                                                                     \
    "pools = ( { name = \"app\"; backends = [ \"10.0.0.1:80\" ]; },\n"                                            \
    "          { name = \"api\"; backends = ( { address = \"10.0.0.2:80\"; weight = 3; max_connections = 9; },\n" \
    "            { address = \"10.0.0.3:80\"; weight = 0; }, { address = \"10.0.0.4:80\"; backup = true; } ); } );\n"
#define ROUTES(routes)          "listeners = ( { name = \"web\"; bind = \"127.0.0.1:8080\"; } );\n" POOLS "routes = (" routes ");\n"
#define ROUTE(name, conditions) "{ name = \"" name "\"; pool = \"app\"; " conditions " }"

static struct message *request(const char *head)
{
    struct feed f = { .kind = FEED_REQUEST, .limits = { 65535, 60000, 100 } };
    size_t n = strlen(head);

    parsed_free(&parsed);
    feed_whole(&parsed, &f, head, n);
    ck_assert_msg(parsed.rc == (int)n, "%s: %d", head, parsed.rc);
    return &parsed.m;
}

/* As the live path does; explaining it checks that the conditions one by one say the same. */
static const char *name_of_route(const struct message *m)
{
    const struct route_conf *route;
    struct buf text = { 0 };
    struct slice path;

    ck_assert_int_eq(route_path(m->path, &arena, &path), 0);
    route = router_find(router, m, path);
    router_explain(router, m, path, &text);
    ck_assert(!text.failed);
    buf_free(&text);
    return route == NULL ? "none" : route->name;
}

static const char *takes(const char *method, const char *target, const char *host, const char *fields)
{
    static char head[70000];
    int n;

    if (host == NULL)
        n = snprintf(head, sizeof(head), "%s %s HTTP/1.0\r\n%s\r\n", method, target, fields);
    else
        n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, target, host, fields);
    ck_assert(n > 0 && (size_t)n < sizeof(head));
    return name_of_route(request(head));
}

#define GET(target)  takes("GET", target, "a.example", "")
#define GET_OF(host) takes("GET", "/", host, "")

/* --- paths --- */

START_TEST(without_routes_nothing_is_found)
{
    use_file(ROUTES(""));
    ck_assert_str_eq(GET("/"), "none");
}
END_TEST

START_TEST(a_route_without_conditions_takes_everything)
{
    use_file(ROUTES(ROUTE("all", "")));
    ck_assert_str_eq(GET("/"), "all");
    ck_assert_str_eq(takes("OPTIONS", "*", "a.example", ""), "all");
    ck_assert_str_eq(takes("FOO", "/x?y", NULL, ""), "all");
}
END_TEST

START_TEST(an_exact_path_is_compared_to_the_last_byte)
{
    use_file(ROUTES(ROUTE("exact", "path = \"/exact\";")));
    ck_assert_str_eq(GET("/exact"), "exact");
    ck_assert_str_eq(GET("/exact?a=b"), "exact");
    ck_assert_str_eq(GET("/exact/"), "none");
    ck_assert_str_eq(GET("/exac"), "none");
    ck_assert_str_eq(GET("/exactly"), "none");
    ck_assert_str_eq(GET("/EXACT"), "none");
    ck_assert_str_eq(GET("/"), "none");
}
END_TEST

START_TEST(a_prefix_takes_what_is_below_it_and_not_itself_without_its_slash)
{
    use_file(ROUTES(ROUTE("below", "path = \"/x/*\";")));
    ck_assert_str_eq(GET("/x/"), "below");
    ck_assert_str_eq(GET("/x/y"), "below");
    ck_assert_str_eq(GET("/x/y/z/"), "below");
    ck_assert_str_eq(GET("/x"), "none");
    ck_assert_str_eq(GET("/xy/"), "none");
    ck_assert_str_eq(GET("/y/x/"), "none");
}
END_TEST

START_TEST(the_prefix_of_the_root_takes_every_path)
{
    use_file(ROUTES(ROUTE("root", "path = \"/*\";")));
    ck_assert_str_eq(GET("/"), "root");
    ck_assert_str_eq(GET("/a/b"), "root");
}
END_TEST

START_TEST(an_asterisk_is_only_taken_by_a_route_without_path)
{
    use_file(ROUTES(ROUTE("root", "path = \"/*\";") "," ROUTE("pathless", "")));
    ck_assert_str_eq(takes("OPTIONS", "*", "a.example", ""), "pathless");
    ck_assert_str_eq(takes("OPTIONS", "/", "a.example", ""), "root");
}
END_TEST

START_TEST(every_spelling_of_a_path_finds_its_route)
{
    use_file(ROUTES(ROUTE("exact", "path = \"/exact\";") "," ROUTE("admin", "path = \"/admin/*\";")));
    ck_assert_str_eq(GET("/%65xact"), "exact");
    ck_assert_str_eq(GET("//exact"), "exact");
    ck_assert_str_eq(GET("/a/../exact"), "exact");
    ck_assert_str_eq(GET("/./%61dmin//x"), "admin");
    ck_assert_str_eq(GET("/public/%2e%2e/admin/"), "admin");
}
END_TEST

START_TEST(a_path_in_the_file_is_made_plain_too)
{
    use_file(ROUTES(ROUTE("tilde", "path = \"/%7euser\";") "," ROUTE("doubled", "path = \"/a//b/*\";") "," ROUTE(
        "caps", "path = \"/c%2fd\";")));
    ck_assert_str_eq(GET("/~user"), "tilde");
    ck_assert_str_eq(GET("/a/b/c"), "doubled");
    ck_assert_str_eq(GET("/c%2Fd"), "caps");
}
END_TEST

START_TEST(a_path_in_the_file_that_climbs_above_the_root_takes_nothing)
{
    use_file(ROUTES(ROUTE("wrong", "path = \"/../x\";") "," ROUTE("all", "")));
    ck_assert_str_eq(GET("/x"), "all");
}
END_TEST

START_TEST(prefixes_longer_than_a_hash_step_are_found)
{
#define LONG "/0123456789012345678901234567890123456789"
    use_file(ROUTES(ROUTE("far", "path = \"" LONG LONG LONG "/*\";") "," ROUTE(
        "step", "path = \"/234567890123456789012345678901/*\";") "," ROUTE("near", "path = \"" LONG "/*\";")));
    ck_assert_str_eq(GET(LONG LONG LONG "/x"), "far");
    ck_assert_str_eq(GET(LONG LONG "/x"), "near");
    ck_assert_str_eq(GET("/234567890123456789012345678901/x"), "step");
    ck_assert_str_eq(GET("/234567890123456789012345678902/x"), "none");
}
END_TEST

/* --- hosts --- */

START_TEST(a_host_is_compared_without_case_port_and_final_dot)
{
    use_file(ROUTES(ROUTE("api", "host = [ \"API.example.com\" ];")));
    ck_assert_str_eq(GET_OF("api.example.com"), "api");
    ck_assert_str_eq(GET_OF("Api.EXAMPLE.com"), "api");
    ck_assert_str_eq(GET_OF("api.example.com:8080"), "api");
    ck_assert_str_eq(GET_OF("api.example.com."), "api");
    ck_assert_str_eq(GET_OF("api.example.com.:80"), "api");
    ck_assert_str_eq(GET_OF("xapi.example.com"), "none");
    ck_assert_str_eq(GET_OF("x.api.example.com"), "none");
    ck_assert_str_eq(GET_OF("api.example.co"), "none");
    ck_assert_str_eq(GET_OF("api.example.com.."), "none");
    ck_assert_str_eq(takes("GET", "/", NULL, ""), "none");
}
END_TEST

START_TEST(digits_at_the_end_of_a_host_are_no_port)
{
    use_file(ROUTES(ROUTE("ten", "host = [ \"10.0.0.10\" ];") "," ROUTE("one", "host = [ \"node1\" ];")));
    ck_assert_str_eq(GET_OF("10.0.0.10"), "ten");
    ck_assert_str_eq(GET_OF("10.0.0.10:10"), "ten");
    ck_assert_str_eq(GET_OF("node1"), "one");
    ck_assert_str_eq(GET_OF("node1:1"), "one");
    ck_assert_str_eq(GET_OF("node"), "none");
}
END_TEST

START_TEST(an_address_in_brackets_is_a_host)
{
    use_file(ROUTES(ROUTE("six", "host = [ \"[2001:db8::1]\" ];")));
    ck_assert_str_eq(GET_OF("[2001:db8::1]"), "six");
    ck_assert_str_eq(GET_OF("[2001:DB8::1]:8080"), "six");
    ck_assert_str_eq(GET_OF("[2001:db8::2]"), "none");
}
END_TEST

START_TEST(a_wide_host_takes_any_depth_below_it_and_not_itself)
{
    use_file(ROUTES(ROUTE("wide", "host = [ \"*.example.com\" ];")));
    ck_assert_str_eq(GET_OF("a.example.com"), "wide");
    ck_assert_str_eq(GET_OF("c.b.A.Example.com:81"), "wide");
    ck_assert_str_eq(GET_OF("a.example.com."), "wide");
    ck_assert_str_eq(GET_OF("example.com"), "none");
    ck_assert_str_eq(GET_OF(".example.com"), "none");
    ck_assert_str_eq(GET_OF("evilexample.com"), "none");
    ck_assert_str_eq(GET_OF("a.example.com.evil"), "none");
}
END_TEST

START_TEST(each_of_several_hosts_is_enough)
{
    use_file(ROUTES(
        ROUTE("several", "host = [ \"a.example\", \"*.b.example\", \"a.example\" ]; path = \"/x\";") "," ROUTE("rest", "")));
    ck_assert_str_eq(takes("GET", "/x", "a.example", ""), "several");
    ck_assert_str_eq(takes("GET", "/x", "1.b.example", ""), "several");
    ck_assert_str_eq(takes("GET", "/x", "b.example", ""), "rest");
    ck_assert_str_eq(takes("GET", "/y", "a.example", ""), "rest");
}
END_TEST

START_TEST(an_absolute_target_brings_its_own_host)
{
    use_file(ROUTES(ROUTE("api", "host = [ \"api.example\" ];") "," ROUTE("other", "")));
    ck_assert_str_eq(takes("GET", "http://api.example/x", "other.example", ""), "api");
    ck_assert_str_eq(takes("GET", "http://other.example/x", "api.example", ""), "other");
}
END_TEST

START_TEST(without_a_host_only_routes_without_host_match)
{
    use_file(ROUTES(ROUTE("hosted", "host = [ \"a.example\", \"*.example\" ];") "," ROUTE("free", "")));
    ck_assert_str_eq(takes("GET", "/", NULL, ""), "free");
}
END_TEST

/* --- order --- */

START_TEST(the_earlier_route_wins_over_the_more_specific_one)
{
    use_file(ROUTES(
        ROUTE("wide-prefix", "host = [ \"*.example\" ]; path = \"/a/*\";") "," ROUTE("long-prefix", "path = \"/a/b/*\";") "," ROUTE(
            "exact", "host = [ \"x.example\" ]; path = \"/a/b/c\";") "," ROUTE("exact-z",
                                                                               "host = [ \"x.z\" ]; path = \"/a/b/c\";")));
    ck_assert_str_eq(takes("GET", "/a/b/c", "x.example", ""), "wide-prefix");
    ck_assert_str_eq(takes("GET", "/a/b/c", "x.z", ""), "long-prefix");
    ck_assert_str_eq(takes("GET", "/a/b/c", "example", ""), "long-prefix");
}
END_TEST

START_TEST(the_more_specific_route_wins_when_it_is_earlier)
{
    use_file(ROUTES(
        ROUTE("exact", "host = [ \"x.example\" ]; path = \"/a/b\";") "," ROUTE("prefix", "host = [ \"x.example\" ]; path = \"/a/*\";") "," ROUTE(
            "host", "host = [ \"x.example\" ];") "," ROUTE("wide", "host = [ \"*.example\" ];") "," ROUTE("all", "")));
    ck_assert_str_eq(takes("GET", "/a/b", "x.example", ""), "exact");
    ck_assert_str_eq(takes("GET", "/a/c", "x.example", ""), "prefix");
    ck_assert_str_eq(takes("GET", "/b", "x.example", ""), "host");
    ck_assert_str_eq(takes("GET", "/a/b", "y.example", ""), "wide");
    ck_assert_str_eq(takes("GET", "/a/b", "y", ""), "all");
}
END_TEST

START_TEST(a_route_whose_method_does_not_match_leaves_it_to_the_next)
{
    use_file(ROUTES(ROUTE("write", "path = \"/v1/*\"; methods = [ \"POST\", \"PUT\" ];") "," ROUTE("read", "path = \"/v1/*\";")));
    ck_assert_str_eq(takes("POST", "/v1/x", "a", ""), "write");
    ck_assert_str_eq(takes("PUT", "/v1/x", "a", ""), "write");
    ck_assert_str_eq(takes("GET", "/v1/x", "a", ""), "read");
    ck_assert_str_eq(takes("post", "/v1/x", "a", ""), "read");
    ck_assert_str_eq(takes("PURGE", "/v1/x", "a", ""), "read");
}
END_TEST

START_TEST(an_extension_method_is_compared_by_its_name)
{
    use_file(ROUTES(ROUTE("purge", "methods = [ \"PURGE\", \"GET\" ];")));
    ck_assert_str_eq(takes("PURGE", "/", "a", ""), "purge");
    ck_assert_str_eq(takes("GET", "/", "a", ""), "purge");
    ck_assert_str_eq(takes("BAN", "/", "a", ""), "none");
    ck_assert_str_eq(takes("POST", "/", "a", ""), "none");
}
END_TEST

START_TEST(all_header_conditions_must_hold)
{
    use_file(ROUTES(ROUTE("both", "headers = [ \"X-A: 1\", \"X-B\" ];") "," ROUTE("known", "headers = [ \"cookie: *\" ];")));
    ck_assert_str_eq(takes("GET", "/", "a", "x-a: 1\r\nX-b:\r\n"), "both");
    ck_assert_str_eq(takes("GET", "/", "a", "X-A: 1\r\n"), "none");
    ck_assert_str_eq(takes("GET", "/", "a", "X-A: 2\r\nX-B: 1\r\n"), "none");
    ck_assert_str_eq(takes("GET", "/", "a", "X-B: 1\r\n"), "none");
    ck_assert_str_eq(takes("GET", "/", "a", "Cookie: a=b\r\n"), "known");
}
END_TEST

START_TEST(a_header_value_is_compared_with_its_case)
{
    use_file(ROUTES(ROUTE("yes", "headers = [ \"X-Beta: yes\" ];")));
    ck_assert_str_eq(takes("GET", "/", "a", "x-beta:   yes  \r\n"), "yes");
    ck_assert_str_eq(takes("GET", "/", "a", "x-beta: YES\r\n"), "none");
    ck_assert_str_eq(takes("GET", "/", "a", "x-beta: yes, no\r\n"), "none");
}
END_TEST

START_TEST(one_line_of_a_repeated_header_is_enough)
{
    use_file(ROUTES(ROUTE("yes", "headers = [ \"X-Beta: yes\" ];")));
    ck_assert_str_eq(takes("GET", "/", "a", "X-Beta: no\r\nX-Beta: yes\r\n"), "yes");
}
END_TEST

/* --- many, and against the plain reading of the contract --- */

static const char *const hosts[] = { "a.x", "b.x", "*.x", "*.a.x", "c.a.x", "*.c.a.x", "x", "y" };
static const char *const paths[] = { "/", "/a", "/a/", "/a/*", "/*", "/a/b", "/a/b/*", "/b/*", "/a/b/c/*", "/c" };
static const char *const methods[] = { "GET", "POST", "PURGE" };

static void random_route(struct route_conf *r, char *name, struct header_match *match)
{
    static const struct respond_conf nothing = { 200, "", "" };

    *r = (struct route_conf){ .name = name, .file = "proxy.conf", .respond = &nothing };
    if (rand_below(3) > 0) {
        r->host.n = 1 + rand_below(2);
        r->host.v = arena_take(&arena, 2 * sizeof(char *));
        for (size_t i = 0; i < r->host.n; i++)
            r->host.v[i] = hosts[rand_below(8)];
    }
    if (rand_below(4) > 0)
        r->path = paths[rand_below(10)];
    if (rand_below(3) == 0) {
        r->methods.n = 1;
        r->methods.v = arena_take(&arena, sizeof(char *));
        r->methods.v[0] = methods[rand_below(3)];
    }
    if (rand_below(4) == 0) {
        *match = (struct header_match){ SLICE("X-H"), SLICE("1"), rand_below(2) == 0 };
        r->headers = match;
        r->n_headers = 1;
    }
}

struct ask {
    const char *method, *host, *path, *value; /* value of X-H, NULL: none */
};

static bool oracle_text(const char *pattern, const char *text, bool at_end)
{
    size_t n = strlen(pattern), m = strlen(text);

    if (at_end)
        return pattern[0] == '*' ? m > n - 1 && strcmp(text + m - (n - 1), pattern + 1) == 0 : strcmp(pattern, text) == 0;
    return pattern[n - 1] == '*' ? strncmp(pattern, text, n - 1) == 0 : strcmp(pattern, text) == 0;
}

static bool oracle(const struct route_conf *r, const struct ask *q)
{
    bool host = r->host.n == 0;

    for (size_t i = 0; i < r->host.n; i++)
        host = host || oracle_text(r->host.v[i], q->host, true);
    if (!host || (r->path != NULL && !oracle_text(r->path, q->path, false)))
        return false;
    if (r->methods.n > 0 && strcmp(r->methods.v[0], q->method) != 0)
        return false;
    return r->n_headers == 0 || (q->value != NULL && (r->headers[0].any || strcmp(q->value, "1") == 0));
}

static void random_ask(struct ask *q)
{
    static const char *const ask_hosts[] = { "a.x", "b.x", "c.a.x", "d.c.a.x", "x", "y", "a.y", "e.d.c.b.a.x" };
    static const char *const ask_paths[] = { "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/d", "/b/", "/b", "/c" };
    static const char *const values[] = { NULL, "1", "2" };
    static const char *const ask_methods[] = { "GET", "POST", "PURGE", "BAN" };

    *q = (struct ask){ ask_methods[rand_below(4)], ask_hosts[rand_below(8)], ask_paths[rand_below(10)], values[rand_below(3)] };
}

static void ask_and_compare(const struct snapshot *s, const struct ask *q)
{
    const char *want = "none";
    char field[32] = "";

    for (size_t i = s->n_routes; i > 0; i--)
        if (oracle(&s->routes[i - 1], q))
            want = s->routes[i - 1].name;
    if (q->value != NULL)
        (void)snprintf(field, sizeof(field), "X-H: %s\r\n", q->value);
    ck_assert_str_eq(takes(q->method, q->path, q->host, field), want);
}

START_TEST(tables_find_what_the_conditions_one_by_one_would)
{
    enum { MOST = 40 };
    static struct route_conf routes[MOST];
    static struct header_match matches[MOST];
    static char names[MOST][24];

    rand_seed(11);
    for (int round = 0; round < 300; round++) {
        struct snapshot s = { .routes = routes, .n_routes = 1 + rand_below(MOST) };
        arena_init(&arena, NULL, 0);
        for (size_t i = 0; i < s.n_routes; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "r%zu", i);
            random_route(&routes[i], names[i], &matches[i]);
        }
        router = router_new(&s);
        ck_assert_ptr_nonnull(router);
        for (int i = 0; i < 60; i++) {
            struct ask q;
            random_ask(&q);
            ask_and_compare(&s, &q);
        }
        router_free(&router);
        arena_free(&arena);
    }
}
END_TEST

/* 10,000 routes: by host and path, by prefix only, by exact path only, by wide host. */
static struct snapshot many(char (*texts)[64], struct route_conf *routes, size_t n)
{
    static const char *const shapes[] = { "h%zu.example.com", "*.w%zu.example.com", "/p%zu/*", "/e%zu" };

    for (size_t i = 0; i < n; i++) {
        size_t shape = i % 4;
        char *name = arena_printf(&arena, "r%zu", i);
        routes[i] = (struct route_conf){ .name = name, .file = "proxy.conf" };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(texts[i], sizeof(texts[i]), shapes[shape], i);
#pragma GCC diagnostic pop
        if (shape >= 2) {
            routes[i].path = texts[i];
            continue;
        }
        routes[i].host.v = arena_take(&arena, sizeof(char *));
        routes[i].host.v[0] = texts[i];
        routes[i].host.n = 1;
    }
    return (struct snapshot){ .routes = routes, .n_routes = n };
}

START_TEST(each_of_ten_thousand_routes_is_found)
{
    enum { N = 10000 };
    char(*texts)[64] = calloc(N, sizeof(*texts));
    struct route_conf *routes = calloc(N, sizeof(*routes));
    struct snapshot s;

    ck_assert(texts != NULL && routes != NULL);
    arena_init(&arena, NULL, 0);
    s = many(texts, routes, N);
    router = router_new(&s);
    ck_assert_ptr_nonnull(router);
    for (size_t i = 0; i < N; i++) {
        char want[16], host[80], path[80], head[256];
        struct message *m;
        (void)snprintf(want, sizeof(want), "r%zu", i);
        (void)snprintf(host, sizeof(host), "%s%s", i % 4 == 1 ? "a.b" : "",
                       i % 4 == 0   ? texts[i]
                       : i % 4 == 1 ? texts[i] + 1
                                    : "other");
        (void)snprintf(path, sizeof(path), "%.*sz", i % 4 == 2 ? (int)strlen(texts[i]) - 1 : 1, i % 4 == 2 ? texts[i] : "/");
        (void)snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", i % 4 == 3 ? texts[i] : path, host);
        m = request(head);
        ck_assert_ptr_nonnull(router_find(router, m, m->path));
        ck_assert_str_eq(router_find(router, m, m->path)->name, want);
    }
    free(texts);
    free(routes);
}
END_TEST

static double ms_of_find(struct message *m)
{
    struct timespec a, b;
    double best = 1e9;

    for (int i = 0; i < 20; i++) {
        double ms;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        (void)router_find(router, m, m->path);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
        best = ms < best ? ms : best;
    }
    return best;
}

START_TEST(a_path_of_thirty_thousand_slashes_and_a_host_of_a_hundred_labels_are_cheap)
{
    static char head[40000];
    char path[30001], host[400];
    struct message *m;

    use_file(ROUTES(ROUTE("deep", "host = [ \"*.a.a.a.a\", \"*.a.a\", \"*.b.a\" ]; path = \"/a/b/c/d/*\";") "," ROUTE(
        "exact", "path = \"/a/b/c\";") "," ROUTE("below", "path = \"/x/*\";")));
    memset(path, '/', 30000);
    path[30000] = '\0';
    for (size_t i = 0; i < 100; i++)
        memcpy(host + 2 * i, "a.", 2);
    host[199] = '\0';
    (void)snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    m = request(head);
    ck_assert_ptr_null(router_find(router, m, m->path));
    ck_assert_double_lt(ms_of_find(m), 1.0); /* it takes a microsecond; what depends on the length would take many */
}
END_TEST

/* --- explaining --- */

static char *told;

static int explained(const char *listener, const char *method, const char *url, const char *header)
{
    size_t size = 0;
    FILE *f;
    int rc;

    free(told);
    told = NULL;
    f = open_memstream(&told, &size);
    ck_assert_ptr_nonnull(f);
    rc = explain_run(conf, listener, method, url, &header, header != NULL, f);
    ck_assert_int_eq(fclose(f), 0);
    return rc;
}

static void says(const char *text) { ck_assert_msg(strstr(told, text) != NULL, "no \"%s\" in:\n%s", text, told); }

#define EXPLAINED                                                                                                                  \
    "listeners = ( { name = \"pg\"; bind = \"127.0.0.1:5432\"; mode = \"tcp\"; pool = \"api\"; },\n"                               \
    "  { name = \"web\"; bind = \"127.0.0.1:8080\"; pool = \"app\"; }, { name = \"bare\"; bind = \"127.0.0.1:8081\"; } );\n" POOLS \
    "routes = ( { name = \"hosted\"; host = [ \"api.example\", \"*.api.example\" ]; pool = \"api\"; },\n"                          \
    "  { name = \"write\"; path = \"/v1/*\"; methods = [ \"POST\", \"PUT\" ]; pool = \"api\"; },\n"                                \
    "  { name = \"beta\"; path = \"/v1/*\"; headers = [ \"X-Beta: yes\" ]; pool = \"api\"; },\n"                                   \
    "  { name = \"hello\"; path = \"/hello\"; respond = { status = 203; body = \"hello\"; }; },\n"                                 \
    "  { name = \"old\"; path = \"/old/*\"; redirect = { status = 301; to = \"https://{host}{uri}\"; }; } );\n"

START_TEST(explain_tells_what_each_earlier_route_wanted)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained(NULL, "GET", "http://www.example/v1/x", "X-Beta: no"), EXPLAIN_FOUND);
    says("listener web");
    says("route hosted (proxy.conf:");
    says("host is \"www.example\", wanted api.example or *.api.example\n");
    says("route write");
    says("method is GET, wanted POST or PUT\n");
    says("header X-Beta is \"no\", wanted \"yes\"\n");
    says("path is \"/v1/x\", wanted /hello\n");
    says("no route matches\n");
    says("pool app, strategy round_robin\n");
}
END_TEST

START_TEST(explain_tells_the_candidates_of_the_pool)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained(NULL, "GET", "http://www.example/v1/x?y=z", "x-beta: yes"), EXPLAIN_FOUND);
    says("route beta");
    says(": matches\n    pool api, strategy round_robin\n");
    says("backend 10.0.0.2:80, weight 3, at most 9 connections\n");
    says("backend 10.0.0.3:80, weight 0 (gets no requests)\n");
    says("backend 10.0.0.4:80, weight 1, backup");
    ck_assert_ptr_null(strstr(told, "route hello"));
}
END_TEST

START_TEST(explain_tells_what_the_proxy_answers_itself)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained(NULL, "GET", "/hello", NULL), EXPLAIN_FOUND);
    says("there is no host, wanted api.example");
    says("status 203, 5 bytes of text/plain");
    ck_assert_int_eq(explained(NULL, "GET", "/old/x", NULL), EXPLAIN_FOUND);
    says("redirect: status 301, location https://{host}{uri}");
}
END_TEST

START_TEST(explain_tells_how_a_path_is_read)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained(NULL, "GET", "http://a/x/..//%68ello", NULL), EXPLAIN_FOUND);
    says("the path \"/x/..//%68ello\" is read as \"/hello\"");
    says("status 203");
}
END_TEST

START_TEST(explain_says_404_where_nothing_takes_the_request)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained("bare", "GET", "http://a/none", NULL), EXPLAIN_NONE);
    says("listener bare has no pool: the answer is 404");
}
END_TEST

START_TEST(explain_of_a_tcp_listener_asks_no_routes)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained("pg", "GET", "http://api.example/", NULL), EXPLAIN_FOUND);
    says("pool api");
    ck_assert_ptr_null(strstr(told, "route hosted"));
}
END_TEST

#define BY_NAME                                                                                                  \
    "listeners = ( { name = \"in\"; bind = \"127.0.0.1:8443\"; mode = \"tcp\"; sni = true; pool = \"app\"; },\n" \
    "  { name = \"named\"; bind = \"127.0.0.1:8444\"; mode = \"tcp\"; sni = true; } );\n" POOLS                  \
    "routes = ( { name = \"below\"; host = [ \"a.example\" ]; path = \"/x/*\"; pool = \"app\"; },\n"             \
    "  { name = \"write\"; host = [ \"a.example\" ]; methods = [ \"POST\" ]; pool = \"app\"; },\n"               \
    "  { name = \"beta\"; host = [ \"a.example\" ]; headers = [ \"X-Beta: yes\" ]; pool = \"app\"; },\n"         \
    "  { name = \"a\"; host = [ \"a.example\", \"*.a.example\" ]; pool = \"api\"; },\n"                          \
    "  { name = \"page\"; host = [ \"page.example\" ]; respond = { body = \"x\"; }; } );\n"

START_TEST(explain_of_a_listener_with_sni_goes_by_the_host_of_the_url_alone)
{
    use_file(BY_NAME);
    ck_assert_int_eq(explained("in", "POST", "https://A.example:443/x/y", "X-Beta: yes"), EXPLAIN_FOUND);
    says("listener in (127.0.0.1:8443), tcp: routes are asked by the name in the ClientHello\n");
    says("there is no path, wanted /x/*\n");
    says("there is no method, wanted POST\n");
    says("header X-Beta is missing, wanted \"yes\"\n");
    says("route a (proxy.conf:");
    says(": matches\n    pool api, strategy round_robin\n");
    ck_assert_ptr_null(strstr(told, "pool app"));
    ck_assert_int_eq(explained("named", "GET", "https://b.a.example./", "Host: page.example"), EXPLAIN_FOUND);
    says("pool api");
}
END_TEST

START_TEST(explain_of_a_listener_with_sni_tells_where_the_other_names_go)
{
    static const char *const without_name[] = { "https://127.0.0.1/x/", "https://[::1]:443/", "/x/" };

    use_file(BY_NAME);
    ck_assert_int_eq(explained("in", "GET", "https://b.example/", NULL), EXPLAIN_FOUND);
    says("no route matches\nlistener in: what no route takes goes to its pool\n    pool app");
    ck_assert_int_eq(explained("named", "GET", "https://b.example/", NULL), EXPLAIN_NONE);
    says("listener named has no pool: the connection is closed\n");
    ck_assert_int_eq(explained("in", "GET", "https://page.example/", NULL), EXPLAIN_NONE);
    says(": matches\n    it has no pool: the connection is closed\n");
    for (size_t i = 0; i < sizeof(without_name) / sizeof(without_name[0]); i++) {
        ck_assert_int_eq(explained("in", "GET", without_name[i], NULL), EXPLAIN_FOUND);
        says("no name is asked for, so routes are not asked\n");
        says("pool app");
    }
    ck_assert_int_eq(explained("in", "GET", "https://a!b/", NULL), EXPLAIN_REFUSED);
    says("(reason=bad_client_hello)");
    ck_assert_int_eq(explained("in", "GET", "https://u@a/", NULL), EXPLAIN_REFUSED);
}
END_TEST

START_TEST(a_host_header_counts_more_than_the_host_of_the_url)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained(NULL, "GET", "http://x/", "Host: api.example"), EXPLAIN_FOUND);
    says("route hosted (proxy.conf:");
    says("matches");
}
END_TEST

START_TEST(explain_refuses_what_is_no_request)
{
    static const char *const bad_urls[] = {
        "",           "x",           "ftp://a/",     "http://",       "http:///x", "http://a/b c",   "http://a/#f",
        "/x\r\ny: z", "http://u@a/", "http://a/%zz", "http://a/../x", "/%00",      "http://a:port/", "*"
    };
    use_file(EXPLAINED);
    for (size_t i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++)
        ck_assert_msg(explained(NULL, "GET", bad_urls[i], NULL) == EXPLAIN_REFUSED, "%s: %s", bad_urls[i], told);
    ck_assert_int_eq(explained(NULL, "CONNECT", "/", NULL), EXPLAIN_REFUSED);
    says("501");
    ck_assert_int_eq(explained(NULL, "G T", "/", NULL), EXPLAIN_REFUSED);
    ck_assert_int_eq(explained(NULL, "", "/", NULL), EXPLAIN_REFUSED);
    ck_assert_int_eq(explained(NULL, "GET", "/", "no colon"), EXPLAIN_REFUSED);
    ck_assert_int_eq(explained(NULL, "GET", "/", "a: b\r\n\r\nGET / HTTP/1.1"), EXPLAIN_REFUSED);
    ck_assert_int_eq(explained("nobody", "GET", "/", NULL), EXPLAIN_REFUSED);
    says("nobody: there is no such listener");
}
END_TEST

START_TEST(explain_knows_the_asterisk_and_a_url_without_path)
{
    use_file(EXPLAINED);
    ck_assert_int_eq(explained(NULL, "OPTIONS", "*", "Host: api.example"), EXPLAIN_FOUND);
    says("route hosted");
    ck_assert_int_eq(explained(NULL, "GET", "http://a?x=/old/", NULL), EXPLAIN_FOUND);
    says("path is \"/\", wanted /hello");
}
END_TEST

static void forget(void)
{
    teardown();
    free(told);
    told = NULL;
}

static TCase *explaining(void)
{
    TCase *t = tcase_create("explain");

    tcase_add_checked_fixture(t, NULL, forget);
    tcase_add_test(t, explain_tells_what_each_earlier_route_wanted);
    tcase_add_test(t, explain_tells_the_candidates_of_the_pool);
    tcase_add_test(t, explain_tells_what_the_proxy_answers_itself);
    tcase_add_test(t, explain_tells_how_a_path_is_read);
    tcase_add_test(t, explain_says_404_where_nothing_takes_the_request);
    tcase_add_test(t, explain_of_a_tcp_listener_asks_no_routes);
    tcase_add_test(t, explain_of_a_listener_with_sni_goes_by_the_host_of_the_url_alone);
    tcase_add_test(t, explain_of_a_listener_with_sni_tells_where_the_other_names_go);
    tcase_add_test(t, a_host_header_counts_more_than_the_host_of_the_url);
    tcase_add_test(t, explain_refuses_what_is_no_request);
    tcase_add_test(t, explain_knows_the_asterisk_and_a_url_without_path);
    return t;
}

static TCase *many_routes(void)
{
    TCase *t = tcase_create("many");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, tables_find_what_the_conditions_one_by_one_would);
    tcase_add_test(t, each_of_ten_thousand_routes_is_found);
    tcase_add_test(t, a_path_of_thirty_thousand_slashes_and_a_host_of_a_hundred_labels_are_cheap);
    return t;
}

Suite *route_suite(void)
{
    Suite *s = suite_create("route");
    TCase *t = tcase_create("find");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, without_routes_nothing_is_found);
    tcase_add_test(t, a_route_without_conditions_takes_everything);
    tcase_add_test(t, an_exact_path_is_compared_to_the_last_byte);
    tcase_add_test(t, a_prefix_takes_what_is_below_it_and_not_itself_without_its_slash);
    tcase_add_test(t, the_prefix_of_the_root_takes_every_path);
    tcase_add_test(t, an_asterisk_is_only_taken_by_a_route_without_path);
    tcase_add_test(t, every_spelling_of_a_path_finds_its_route);
    tcase_add_test(t, a_path_in_the_file_is_made_plain_too);
    tcase_add_test(t, a_path_in_the_file_that_climbs_above_the_root_takes_nothing);
    tcase_add_test(t, prefixes_longer_than_a_hash_step_are_found);
    tcase_add_test(t, a_host_is_compared_without_case_port_and_final_dot);
    tcase_add_test(t, digits_at_the_end_of_a_host_are_no_port);
    tcase_add_test(t, an_address_in_brackets_is_a_host);
    tcase_add_test(t, a_wide_host_takes_any_depth_below_it_and_not_itself);
    tcase_add_test(t, each_of_several_hosts_is_enough);
    tcase_add_test(t, an_absolute_target_brings_its_own_host);
    tcase_add_test(t, without_a_host_only_routes_without_host_match);
    tcase_add_test(t, the_earlier_route_wins_over_the_more_specific_one);
    tcase_add_test(t, the_more_specific_route_wins_when_it_is_earlier);
    tcase_add_test(t, a_route_whose_method_does_not_match_leaves_it_to_the_next);
    tcase_add_test(t, an_extension_method_is_compared_by_its_name);
    tcase_add_test(t, all_header_conditions_must_hold);
    tcase_add_test(t, a_header_value_is_compared_with_its_case);
    tcase_add_test(t, one_line_of_a_repeated_header_is_enough);
    suite_add_tcase(s, t);
    suite_add_tcase(s, many_routes());
    suite_add_tcase(s, explaining());
    return s;
}
