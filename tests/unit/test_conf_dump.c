/* Tests of conf/dump and conf/manual: a dump loads back to an equal dump. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/load.h"
#include "conf/snapshot.h"
#include "upstream/strategy.h"

Suite *conf_dump_suite(void);

static char *dump_of(const char *text)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    char *out = NULL;
    size_t n;
    FILE *f = open_memstream(&out, &n);
    int rc = conf_load_text(text, "proxy.conf", &s, &r);

    ck_assert_ptr_nonnull(f);
    ck_assert_msg(rc == 0, "%s", r.text);
    conf_report_free(&r);
    ck_assert_int_eq(conf_dump(s, f), 0);
    snapshot_unref(&s);
    fclose(f);
    return out;
}

static void check_round_trip(const char *text)
{
    char *first = dump_of(text), *second = dump_of(first);

    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}

static const char everything[] =
    "daemon = { workers = 3; user = \"weir\"; control = \"off\"; admin = \"[::1]:9901\"; pid_file = \"/run/x.pid\";\n"
    "           trusted_proxies = [ \"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.1\", \"unix\" ]; };\n"
    "log = { level = \"debug\"; access = \"/var/log/a.log\"; format = \"json\"; };\n"
    "limits = { connections = 5; per_client = 2; request_header = \"1500\"; request_body = \"10M\"; };\n"
    "timeouts = { drain = \"24h\"; connect = \"10500us\"; first_byte = \"90s\"; };\n"
    "error_pages = ( { status = 404; file = \"/dev/null\"; } );\n"
    "listeners = ( { name = \"a \\\\ b\"; bind = \"[::]:80\"; pool = \"p.1\"; forwarded = \"both\"; via = false; proxy_status = true;\n"
    "                request_headers = [ \"set A: b \\\"c\\\"\", \"add D:\", \"remove E\" ]; response_headers = [ \"set F: \\xc3\\xa9\\t.\" ]; },\n"
    "              { bind = \"unix:/run/l.sock\"; mode = \"tcp\"; pool = \"p.1\"; } );\n"
    "routes = ( { name = \"r\"; host = [ \"*.X.org\", \"[::1]\" ]; path = \"/a/*\"; methods = [ \"GET\" ]; headers = [ \"a: b\", \"c\" ]; pool = \"p.1\"; forwarded = \"off\"; },\n"
    "           { respond = { status = 418; body = \"tea\\n\\x07\\t\\\"\"; content_type = \"text/html\"; }; response_headers = [ \"set A: b\" ]; },\n"
    "           { path = \"/\"; redirect = { status = 302; to = \"/x{path}?{query}\"; }; } );\n"
    "pools = ( { name = \"p.1\"; keepalive = { idle = 0; timeout = \"1h\"; };\n"
    "            health = { type = \"http\"; interval = \"250ms\"; address = \"[2001:db8::9]\"; port = 81; path = \"/x?y\"; headers = [ \"A: b\" ];\n"
    "                       expect = [ \"2xx\", \"404\" ]; body_regex = \"\\\\{ *\\\"ok\\\"\"; slow_start = \"90s\"; };\n"
    "            backends = ( \"10.0.0.1:1\", { address = \"[2001:db8:0:0::1]:2\"; weight = 0; backup = true; max_connections = 7; } ); } );\n";

START_TEST(a_dump_of_everything_loads_back_to_an_equal_dump) { check_round_trip(everything); }
END_TEST

START_TEST(a_dump_of_two_lines_loads_back_to_an_equal_dump)
{
    check_round_trip("listeners = ( { bind = \"0.0.0.0:8080\"; pool = \"app\"; } );\n"
                     "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\", \"10.0.1.12:8080\" ]; } );\n");
}
END_TEST

START_TEST(a_dump_spells_defaults_out_and_keeps_what_was_written)
{
    char *dump = dump_of(everything);

    ck_assert_ptr_nonnull(strstr(dump, "    drain = \"24h\";\n"));
    ck_assert_ptr_nonnull(strstr(dump, "    connect = \"10500us\";\n"));
    ck_assert_ptr_nonnull(strstr(dump, "    first_byte = \"90s\";\n"));
    ck_assert_ptr_nonnull(strstr(dump, "    client_idle = \"75s\";\n"));
    ck_assert_ptr_nonnull(strstr(dump, "    request_header = \"1500\";\n"));
    ck_assert_ptr_nonnull(strstr(dump, "    request_body = \"10M\";\n"));
    ck_assert_ptr_nonnull(strstr(dump, "request_headers = [ \"set A: b \\\"c\\\"\", \"add D: \", \"remove E\" ];\n"));
    ck_assert_ptr_nonnull(strstr(dump, "trusted_proxies = [ \"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.1/32\", \"unix\" ];\n"));
    ck_assert_ptr_nonnull(strstr(dump, "body = \"tea\\n\\x07\\x09\\\"\";\n"));
    free(dump);
}
END_TEST

#define STICKY(text)                                              \
    "listeners = ( { bind = \"0.0.0.0:80\"; pool = \"p\"; } );\n" \
    "pools = ( { name = \"p\"; backends = [ \"10.0.0.1:1\" ]; " text " } );\n"

START_TEST(a_dump_does_not_show_a_secret_and_says_so)
{
    char *dump = dump_of(STICKY("sticky = { secret = [ \"abcdefghijklmnop\", \"qrstuvwxyz012345\" ]; ttl = \"90m\"; };"));

    ck_assert_ptr_null(strstr(dump, "abcdefgh"));
    ck_assert_ptr_null(strstr(dump, "qrstuvwx"));
    ck_assert_ptr_nonnull(strstr(dump, "// secret is not shown; where this is to be loaded, write it here\n"));
    ck_assert_ptr_nonnull(strstr(dump, "ttl = \"90m\";\n"));
    free(dump);
}
END_TEST

START_TEST(a_dump_with_a_file_of_secrets_loads_back_to_an_equal_dump)
{
    char path[] = "/tmp/conf-dump-XXXXXX", text[512];
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "0123456789abcdef\n", 17), 17);
    close(fd);
    (void)snprintf(text, sizeof text, STICKY("sticky = { secret_file = \"%s\"; cookie = \"s\"; };"), path);
    check_round_trip(text);
    unlink(path);
}
END_TEST

/* The registry is not asked: what is dumped goes by what the strategy says of itself. */
static char *dump_with_bound(const char *bound)
{
    static const struct strategy_ops hashing = { .name = "round_robin", .hashes = true };
    struct snapshot *s = NULL;
    struct conf_report r;
    char text[512], *out = NULL;
    FILE *f;
    size_t n;

    (void)snprintf(text, sizeof text, STICKY("hash = { key = \"header:X-User\"; };"));
    ck_assert_int_eq(conf_load_text(text, "proxy.conf", &s, &r), 0);
    conf_report_free(&r);
    s->pools[0].strategy = &hashing;
    s->pools[0].hash.bound = strtod(bound, NULL);
    f = open_memstream(&out, &n);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(conf_dump(s, f), 0);
    fclose(f);
    snapshot_unref(&s);
    return out;
}

START_TEST(a_float_is_dumped_as_one_that_reads_back_the_same)
{
    static const char *const bounds[] = { "1.25", "2.0", "0.0", "100.0", "1.1", "1.0000000000000002" };

    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        char *dump = dump_with_bound(bounds[i]), line[64];
        (void)snprintf(line, sizeof line, "bound = %s;\n", bounds[i]);
        ck_assert_msg(strstr(dump, line) != NULL, "%s", dump);
        ck_assert_ptr_nonnull(strstr(dump, "key = \"header:X-User\";\n"));
        free(dump);
    }
}
END_TEST

START_TEST(the_manual_has_a_row_for_every_key)
{
    static const char *const rows[] = {
        "| `workers` | whole number | `0` | `0` to `1024` |",
        "| `level` | `\"error\"`, `\"warn\"`, `\"info\"`, `\"debug\"` | `\"info\"` |  |",
        "| `drain` | duration | `\"30s\"` | `\"10ms\"` to `\"24h\"` |",
        "| `bind` | string | must be written |",
        "| `backends` | array of addresses, or list of groups | must be written |",
        "## pools.keepalive",
        "## pools.hash",
        "| `bound` | number | `0` | `0` to `100` |",
        "| `secret` | string, or array of strings | none |",
        "## pools.backends",
        "## routes.redirect",
        "| `trusted_proxies` |",
        "## include_dir",
    };
    char *out = NULL;
    size_t n;
    FILE *f = open_memstream(&out, &n);

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(conf_manual(f), 0);
    fclose(f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(strstr(out, rows[i]) != NULL, "not in the manual: %s", rows[i]);
    free(out);
}
END_TEST

Suite *conf_dump_suite(void)
{
    Suite *s = suite_create("conf_dump");
    TCase *t = tcase_create("dump");

    tcase_add_test(t, a_dump_of_everything_loads_back_to_an_equal_dump);
    tcase_add_test(t, a_dump_of_two_lines_loads_back_to_an_equal_dump);
    tcase_add_test(t, a_dump_spells_defaults_out_and_keeps_what_was_written);
    tcase_add_test(t, a_dump_does_not_show_a_secret_and_says_so);
    tcase_add_test(t, a_dump_with_a_file_of_secrets_loads_back_to_an_equal_dump);
    tcase_add_test(t, a_float_is_dumped_as_one_that_reads_back_the_same);
    tcase_add_test(t, the_manual_has_a_row_for_every_key);
    suite_add_tcase(s, t);
    return s;
}
