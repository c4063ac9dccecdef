/* Tests of conf/load: what a good file becomes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/load.h"
#include "conf/snapshot.h"
#include "http/hop.h"
#include "observe/access_format.h"

Suite *conf_load_suite(void);

#define LISTENER "listeners = ( { bind = \"127.0.0.1:8080\"; pool = \"app\"; } );\n"
#define POOL     "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ]; } );\n"

static char warnings[4096];

static struct snapshot *kept(int rc, struct snapshot *s, struct conf_report *r)
{
    ck_assert_msg(rc == 0, "%s", r->text);
    (void)snprintf(warnings, sizeof warnings, "%s", r->text);
    conf_report_free(r);
    return s;
}

static struct snapshot *loaded(const char *text)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    int rc = conf_load_text(text, "proxy.conf", &s, &r);

    return kept(rc, s, &r);
}

START_TEST(two_lines_are_a_working_proxy)
{
    struct snapshot *s = loaded(LISTENER POOL);

    ck_assert_uint_eq(s->n_listeners, 1);
    ck_assert_str_eq(s->listeners[0].name, "127.0.0.1:8080");
    ck_assert_int_eq(s->listeners[0].mode, LISTENER_HTTP);
    ck_assert_ptr_eq(s->listeners[0].pool, &s->pools[0]);
    ck_assert_str_eq(s->pools[0].name, "app");
    ck_assert_ptr_nonnull(s->pools[0].strategy);
    ck_assert_uint_eq(s->pools[0].backends.n, 1);
    ck_assert_uint_eq(s->n_routes, 0);
    ck_assert_str_eq(warnings, "");
    snapshot_unref(&s);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(what_is_not_written_has_the_default_of_the_manual)
{
    struct snapshot *s = loaded(LISTENER POOL);

    ck_assert_uint_eq(s->daemon.workers, 0);
    ck_assert_ptr_null(s->daemon.user);
    ck_assert_str_eq(s->daemon.control, "/run/weir/control.sock");
    ck_assert_ptr_null(s->daemon.admin);
    ck_assert_uint_eq(s->daemon.admin_addr.len, 0);
    ck_assert_int_eq(s->log.level, LOG_LEVEL_INFO);
    ck_assert_str_eq(s->log.access, "stdout");
    ck_assert_int_eq(s->log.format, ACCESS_COMBINED);
    ck_assert_uint_eq(s->limits.connections, 0);
    ck_assert_uint_eq(s->limits.request_header, 32 * 1024);
    ck_assert_uint_eq(s->limits.request_line, 8 * 1024);
    ck_assert_uint_eq(s->limits.headers, 100);
    ck_assert_uint_eq(s->limits.request_body, 0);
    ck_assert_uint_eq(s->limits.response_header, 32 * 1024);
    ck_assert_int_eq(s->timeouts.request_header, 10000000);
    ck_assert_int_eq(s->timeouts.client_idle, 75000000);
    ck_assert_int_eq(s->timeouts.connect, 3000000);
    ck_assert_int_eq(s->timeouts.client_body, 30000000);
    ck_assert_int_eq(s->timeouts.first_byte, 30000000);
    ck_assert_int_eq(s->timeouts.stream_idle, 300000000);
    ck_assert_int_eq(s->timeouts.tunnel_idle, INT64_C(3600000000));
    ck_assert_int_eq(s->timeouts.drain, 30000000);
    ck_assert_int_eq(s->listeners[0].forwarded, FORWARDED_X);
    ck_assert(s->listeners[0].via);
    ck_assert(!s->listeners[0].proxy_status);
    ck_assert_uint_eq(s->pools[0].keepalive.idle, 64);
    ck_assert_int_eq(s->pools[0].keepalive.timeout, 30000000);
    snapshot_unref(&s);
}
END_TEST

START_TEST(what_is_written_stands_in_the_snapshot)
{
    struct snapshot *s = loaded(
        "daemon = { workers = 3; user = \"weir\"; control = \"off\"; admin = \"127.0.0.1:9901\"; pid_file = \"/run/x.pid\";\n"
        "           trusted_proxies = [ \"10.0.0.0/8\", \"unix\" ]; };\n"
        "log = { level = \"debug\"; access = \"/var/log/a.log\"; format = \"json\"; };\n"
        "limits = { connections = 5; per_client = 2; request_header = \"1K\"; request_body = \"10M\"; };\n"
        "timeouts = { drain = \"24h\"; connect = \"10ms\"; };\n" LISTENER POOL);

    ck_assert_uint_eq(s->daemon.workers, 3);
    ck_assert_str_eq(s->daemon.user, "weir");
    ck_assert_uint_eq(s->daemon.admin_addr.len, sizeof(struct sockaddr_in));
    ck_assert_uint_eq(s->daemon.trusted_proxies.n, 2);
    ck_assert_uint_eq(s->daemon.trusted_proxies.v[0].bits, 8);
    ck_assert_int_eq(s->log.level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(s->log.format, ACCESS_JSON);
    ck_assert_uint_eq(s->limits.per_client, 2);
    ck_assert_uint_eq(s->limits.request_body, 10 * 1024 * 1024);
    ck_assert_uint_eq(s->limits.request_line, 1024); /* its default gives way to the smaller head */
    ck_assert_int_eq(s->timeouts.connect, 10000);
    snapshot_unref(&s);
}
END_TEST

START_TEST(backends_may_be_addresses_or_groups_or_both)
{
    struct snapshot *s = loaded(
        LISTENER "pools = ( { name = \"app\"; backends = ( \"10.0.0.1:1\", { address = \"10.0.0.2:2\"; weight = 7; },\n"
                 "  { address = \"unix:/run/x.sock\"; backup = true; max_connections = 9; } ); } );\n");
    const struct backend_conf *b = s->pools[0].backends.v;

    ck_assert_uint_eq(s->pools[0].backends.n, 3);
    ck_assert_str_eq(b[0].address_text, "10.0.0.1:1");
    ck_assert_uint_eq(b[0].weight, 1);
    ck_assert_uint_eq(b[1].weight, 7);
    ck_assert(!b[1].backup);
    ck_assert_int_eq(b[2].address.sa.sa_family, AF_UNIX);
    ck_assert(b[2].backup);
    ck_assert_uint_eq(b[2].max_connections, 9);
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_route_keeps_its_conditions_and_its_action)
{
    struct snapshot *s = loaded(
        LISTENER POOL
        "routes = (\n"
        "  { host = [ \"API.Example.com\", \"*.x.org\" ]; path = \"/v1/*\"; methods = [ \"GET\", \"PURGE\" ]; pool = \"app\"; forwarded = \"off\";\n"
        "    headers = [ \"x-a: b\", \"x-c: *\", \"x-d\" ]; request_headers = [ \"set X-E:  f g \", \"remove X-H\", \"add i: \" ]; },\n"
        "  { name = \"hi\"; path = \"/hi\"; respond = { body = \"hello\\n\"; }; },\n"
        "  { path = \"/go\"; redirect = { to = \"https://{host}{uri}\"; }; }\n);\n");
    const struct route_conf *r = s->routes;

    ck_assert_uint_eq(s->n_routes, 3);
    ck_assert_str_eq(r[0].name, "route 1");
    ck_assert_str_eq(r[0].host.v[0], "api.example.com");
    ck_assert_uint_eq(r[0].methods.n, 2);
    ck_assert_ptr_eq(r[0].pool, &s->pools[0]);
    ck_assert_int_eq(r[0].forwarded, FORWARDED_OFF);
    ck_assert_uint_eq(r[0].n_headers, 3);
    ck_assert(slice_eq(r[0].headers[0].value, SLICE("b")));
    ck_assert(r[0].headers[1].any && r[0].headers[2].any && !r[0].headers[0].any);
    ck_assert_uint_eq(r[0].request_headers.n, 3);
    ck_assert(slice_eq(r[0].request_headers.v[0].value, SLICE("f g")));
    ck_assert_int_eq(r[0].request_headers.v[1].op, HEADER_REMOVE);
    ck_assert(slice_eq(r[0].request_headers.v[1].name, SLICE("X-H")));
    ck_assert_uint_eq(r[0].request_headers.v[2].value.n, 0);
    ck_assert_str_eq(r[1].name, "hi");
    ck_assert_int_eq(r[1].forwarded, -1);
    ck_assert_uint_eq(r[1].respond->status, 200);
    ck_assert_str_eq(r[1].respond->body, "hello\n");
    ck_assert_str_eq(r[1].respond->content_type, "text/plain; charset=utf-8");
    ck_assert_uint_eq(r[2].redirect->status, 308);
    ck_assert_ptr_null(r[2].pool);
    ck_assert_uint_eq(r[2].line, 7);
    snapshot_unref(&s);
}
END_TEST

START_TEST(names_are_found_and_unknown_ones_are_not)
{
    struct snapshot *s = loaded(LISTENER POOL), *again = snapshot_ref(s);

    ck_assert_ptr_eq(snapshot_pool(s, "app"), &s->pools[0]);
    ck_assert_ptr_null(snapshot_pool(s, "ap"));
    ck_assert_ptr_eq(snapshot_listener(s, "127.0.0.1:8080"), &s->listeners[0]);
    snapshot_unref(&s);
    ck_assert_str_eq(again->pools[0].name, "app"); /* the second reference still holds it */
    snapshot_unref(&again);
}
END_TEST

START_TEST(strings_side_by_side_are_one_and_comments_are_nothing)
{
    struct snapshot *s = loaded("/* a { */ # b ( \n// \" c\n" LISTENER
                                "pools = ( { name = \"a\" /* x */ \"pp\"; backends = [ \"10.0.1.11\"\n \":8080\" ] } ) # end");

    ck_assert_str_eq(s->pools[0].name, "app");
    snapshot_unref(&s);
}
END_TEST

/* --- files --- */

static char folder[] = "/tmp/weir-conf-XXXXXX";

static void make_folder(void)
{
    memcpy(folder, "/tmp/weir-conf-XXXXXX", sizeof folder);
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[64];

    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static struct snapshot *loaded_file(const char *name)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    int rc = conf_load(path_of(name), &s, &r);

    return kept(rc, s, &r);
}

START_TEST(an_include_is_relative_to_the_file_that_includes_it)
{
    struct snapshot *s;

    ck_assert_int_eq(mkdir(path_of("a"), 0755), 0);
    ck_assert_int_eq(mkdir(path_of("a/b"), 0755), 0);
    write_file("proxy.conf", LISTENER "@include \"a/pools.conf\"\n");
    write_file("a/pools.conf", "pools = (\n  @include \"b/app.conf\"\n);");
    write_file("a/b/app.conf", "{ name = \"app\"; backends = [ \"10.0.1.11:8080\" ]; }");
    s = loaded_file("proxy.conf");
    ck_assert_uint_eq(s->n_pools, 1);
    ck_assert_str_eq(s->pools[0].file, path_of("a/b/app.conf"));
    ck_assert_uint_eq(s->pools[0].line, 1);
    snapshot_unref(&s);
}
END_TEST

START_TEST(an_include_in_a_comment_is_not_one)
{
    struct snapshot *s;

    write_file("proxy.conf", LISTENER POOL "/*\n@include \"nope\"\n*/\n#\n # @include \"nope\"\n");
    s = loaded_file("proxy.conf");
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_folder_is_appended_in_the_order_of_its_names)
{
    struct snapshot *s;

    ck_assert_int_eq(mkdir(path_of("conf.d"), 0755), 0);
    write_file("proxy.conf",
               LISTENER POOL "include_dir = \"conf.d\";\nroutes = ( { name = \"first\"; path = \"/1\"; pool = \"app\"; } );\n");
    write_file("conf.d/20.conf", "routes = ( { name = \"third\"; path = \"/3\"; pool = \"b\"; } );\n");
    write_file(
        "conf.d/10.conf",
        "routes = ( { name = \"second\"; path = \"/2\"; pool = \"b\"; } );\npools = ( { name = \"b\"; backends = [ \"10.0.0.1:1\" ]; } );\n");
    write_file("conf.d/30.conf.bak", "no configuration");
    write_file("conf.d/.40.conf", "no configuration");
    s = loaded_file("proxy.conf");
    ck_assert_uint_eq(s->n_routes, 3);
    ck_assert_str_eq(s->routes[0].name, "first");
    ck_assert_str_eq(s->routes[1].name, "second");
    ck_assert_str_eq(s->routes[2].name, "third");
    ck_assert_uint_eq(s->n_pools, 2);
    ck_assert_str_eq(s->pools[1].file, path_of("conf.d/10.conf"));
    snapshot_unref(&s);
}
END_TEST

START_TEST(an_error_page_is_read_and_knows_what_it_is)
{
    struct snapshot *s;

    write_file("sorry.html", "<p>sorry</p>");
    write_file("proxy.conf",
               LISTENER POOL "error_pages = ( { status = 503; file = \"sorry.html\"; }, { file = \"proxy.conf\"; } );\n");
    s = loaded_file("proxy.conf");
    ck_assert_uint_eq(s->n_error_pages, 2);
    ck_assert(slice_eq(s->error_pages[0].body, SLICE("<p>sorry</p>")));
    ck_assert_str_eq(s->error_pages[0].content_type, "text/html; charset=utf-8");
    ck_assert_uint_eq(s->error_pages[1].status, 0);
    ck_assert_str_eq(s->error_pages[1].content_type, "text/plain; charset=utf-8");
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_file_that_begins_with_a_byte_order_mark_or_has_windows_line_ends_loads)
{
    struct snapshot *s;

    write_file("proxy.conf", "\xef\xbb\xbf# x\r\nlisteners = ( { bind = \"127.0.0.1:8080\"; pool = \"app\"; } );\r\n" POOL);
    s = loaded_file("proxy.conf");
    snapshot_unref(&s);
}
END_TEST

START_TEST(ten_thousand_routes_load)
{
    struct snapshot *s;
    FILE *f = fopen(path_of("proxy.conf"), "w");

    ck_assert_ptr_nonnull(f);
    fputs(LISTENER POOL "routes = (\n", f);
    for (int i = 0; i < 10000; i++)
        fprintf(f, "%s{ path = \"/r%05d/*\"; pool = \"app\"; }\n", i > 0 ? ", " : "", i);
    fputs(");\n", f);
    fclose(f);
    s = loaded_file("proxy.conf");
    ck_assert_uint_eq(s->n_routes, 10000);
    ck_assert_str_eq(s->routes[9999].path, "/r09999/*");
    ck_assert_uint_eq(s->routes[9999].line, 10003);
    ck_assert_str_eq(warnings, "");
    snapshot_unref(&s);
}
END_TEST

START_TEST(the_example_in_the_tree_loads_without_a_warning)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    int rc = conf_load("proxy.conf.example", &s, &r); /* tests run in the tree's root */

    s = kept(rc, s, &r);
    ck_assert_str_eq(warnings, "");
    ck_assert_uint_ge(s->n_routes, 3);
    snapshot_unref(&s);
}
END_TEST

Suite *conf_load_suite(void)
{
    Suite *s = suite_create("conf_load");
    TCase *t = tcase_create("text"), *files = tcase_create("files");

    tcase_add_test(t, two_lines_are_a_working_proxy);
    tcase_add_test(t, what_is_not_written_has_the_default_of_the_manual);
    tcase_add_test(t, what_is_written_stands_in_the_snapshot);
    tcase_add_test(t, backends_may_be_addresses_or_groups_or_both);
    tcase_add_test(t, a_route_keeps_its_conditions_and_its_action);
    tcase_add_test(t, names_are_found_and_unknown_ones_are_not);
    tcase_add_test(t, strings_side_by_side_are_one_and_comments_are_nothing);
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, an_include_is_relative_to_the_file_that_includes_it);
    tcase_add_test(files, an_include_in_a_comment_is_not_one);
    tcase_add_test(files, a_folder_is_appended_in_the_order_of_its_names);
    tcase_add_test(files, an_error_page_is_read_and_knows_what_it_is);
    tcase_add_test(files, a_file_that_begins_with_a_byte_order_mark_or_has_windows_line_ends_loads);
    tcase_add_test(files, ten_thousand_routes_load);
    tcase_add_test(files, the_example_in_the_tree_loads_without_a_warning);
    suite_add_tcase(s, files);
    return s;
}
