/* Tests of what conf says about a wrong file: every trap of libconfig, every kind of error, word for word. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/load.h"
#include "conf/snapshot.h"
#include "upstream/sticky.h"

Suite *conf_errors_suite(void);

#define LISTENER "listeners = ( { bind = \"127.0.0.1:8080\"; pool = \"app\"; } );\n"
#define POOL     "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ]; } );\n"
#define GOOD     LISTENER POOL

/* The file is refused with exactly this report. */
static void check_said(const char *text, const char *said)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    int rc = conf_load_text(text, "proxy.conf", &s, &r);

    ck_assert_pstr_eq(r.text, said);
    ck_assert_int_eq(rc, -ERR_INVALID);
    ck_assert_uint_gt(r.n_errors, 0);
    ck_assert_ptr_null(s);
    conf_report_free(&r);
}

/* Behind two good lines: so the text begins at line 3. */
static void check_behind_good(const char *text, const char *said)
{
    char all[4096];

    (void)snprintf(all, sizeof all, "%s%s", GOOD, text);
    check_said(all, said);
}

/* The file loads, with exactly these warnings. */
static void check_warned(const char *text, const char *said)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    int rc = conf_load_text(text, "proxy.conf", &s, &r);

    ck_assert_pstr_eq(r.text, said);
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(r.n_errors, 0);
    conf_report_free(&r);
    snapshot_unref(&s);
}

/* --- libconfig's traps --- */

START_TEST(an_integer_that_libconfig_would_wrap_is_an_error)
{
    check_said(
        "limits = { connections = 10000000000; };",
        "proxy.conf:1: 10000000000 does not fit into 32 bits; write 10000000000L, or a string with a unit where a size or a duration is meant\n"
        "    limits = { connections = 10000000000; };\n"
        "                             ^\n");
    check_said(
        "limits = {\n\tconnections = 4294967295; };",
        "proxy.conf:2: 4294967295 does not fit into 32 bits; write 4294967295L, or a string with a unit where a size or a duration is meant\n"
        "     connections = 4294967295; };\n"
        "                   ^\n");
    check_said("a = 99999999999999999999L;", "proxy.conf:1: 99999999999999999999L does not fit into 64 bits\n"
                                             "    a = 99999999999999999999L;\n"
                                             "        ^\n");
    check_said(
        "a = 0xffffffff;",
        "proxy.conf:1: 0xffffffff does not fit into 32 bits; write 0xffffffffL, or a string with a unit where a size or a duration is meant\n"
        "    a = 0xffffffff;\n"
        "        ^\n");
}
END_TEST

START_TEST(a_long_integer_is_checked_against_the_range_of_its_key)
{
    check_behind_good("limits = { connections = 10000000000L; };",
                      "proxy.conf:3: limits.connections: 10000000000 is above 10000000\n");
    check_behind_good("limits = { connections = 4294967295L; };",
                      "proxy.conf:3: limits.connections: 4294967295 is above 10000000\n");
}
END_TEST

START_TEST(an_unknown_key_is_an_error_with_the_nearest_name)
{
    check_behind_good("limits = { conections = 1; };",
                      "proxy.conf:3: limits.conections: unknown key; did you mean connections?\n");
    check_behind_good("rotues = ( );", "proxy.conf:3: rotues: unknown key; did you mean routes?\n");
    check_behind_good("log = {\n  typo_unknown_key = true;\n};",
                      "proxy.conf:4: log.typo_unknown_key: unknown key; known here: level, access, format\n");
}
END_TEST

START_TEST(a_key_of_a_feature_that_is_not_there_is_unknown)
{
    check_said(
        LISTENER "pools = ( { name = \"app\"; backends = [ \"10.0.0.1:80\" ]; queue = { }; } );",
        "proxy.conf:2: pools.app.queue: unknown key; known here: name, strategy, discovery, tls, protocol, send_proxy_protocol, keepalive, outlier, health, sticky, backends, hash\n");
}
END_TEST

/* A pool whose health group stands on line 3. */
#define HEALTH(backend, text) \
    LISTENER "pools = ( { name = \"app\"; backends = [ \"" backend "\" ];\nhealth = { " text " }; } );\n"
#define AT(key) "proxy.conf:3: pools.app.health." key ": "

START_TEST(all_that_is_wrong_with_a_health_check_is_told_at_once)
{
    check_said(HEALTH("10.0.0.1:80", "type = \"htp\"; rise = 0; intervall = \"1s\";"),
               AT("rise") "0 is below 1\n" AT("intervall") "unknown key; did you mean interval?\n" AT(
                   "type") "\"htp\" is no check; did you mean \"http\"?\n");
    check_said(HEALTH("10.0.0.1:80", "type = \"telepathy\";"), AT("type") "\"telepathy\" is no check; there are: tcp, tls, http, grpc\n");
    check_said(
        HEALTH("10.0.0.1:80",
               "type = \"http\"; method = \"get\"; path = \"x y\"; host = \"a/b\"; expect = [ \"2xx\", \"99\", \"300-200\" ];"
               "headers = [ \"Host: x\", \"A: b\", \"Te: x\", \"bad\" ]; body = \"\"; body_regex = \"(a\";"),
        AT("method") "\"get\": methods are written in capitals\n" AT("path") "\"x y\": a path starts with /\n" AT("host") "\"a/b\": not a host; write \"api.example.com\", if need be with \":8080\" behind it\n" AT("body") "\"\": a text of 1 to 65536 bytes is right\n" AT("expect[1]") "\"99\": not a status from 200 to 599; write \"200\", \"200-299\" or \"2xx\"\n" AT("expect[2]") "\"300-200\": the range goes backwards; write the lower status first\n" AT("headers[0]") "\"Host: x\": write it as host = \"...\"\n" AT(
            "headers[2]") "\"Te: x\": this field is about the connection, and is written by the proxy itself\n" AT("headers[3]") "\"bad\": not a field; write \"NAME: VALUE\"\n" AT("body_regex") "\"(a\": a ( has no )\n");
    check_said(HEALTH("10.0.0.1:80", "type = \"http\"; body_regex = \"(a)\\\\1\";"),
               AT("body_regex") "\"(a)\\1\": back-references are not available: matching them may take for ever\n");
    check_said(HEALTH("10.0.0.1:80", "type = \"http\"; method = \"HEAD\"; body = \"x\";"),
               AT("body") "\"x\": the answer to HEAD has no body to look at\n");
}
END_TEST

START_TEST(a_health_check_is_told_one_place_to_ask)
{
    check_said(HEALTH("10.0.0.1:80", "address = \"10.0.0.2:81\"; port = 82;"),
               AT("port") "82: address says already where to ask; leave one of them out\n");
    check_said(HEALTH("unix:/run/x", "port = 82;"),
               AT("port") "\"unix:/run/x\" has no port; give the Unix sockets a pool of their own\n");
    check_said(HEALTH("unix:/run/x", "address = \"10.0.0.2\";"),
               AT("address") "\"unix:/run/x\" has no port; give the Unix sockets a pool of their own\n");
    check_warned(HEALTH("unix:/run/x", "address = \"10.0.0.2\"; port = 82;"), "");
}
END_TEST

START_TEST(a_key_that_the_type_of_check_does_not_read_is_warned_of)
{
    check_warned(HEALTH("10.0.0.1:80", "rise = 1; path = \"/x\";"),
                 "proxy.conf:3: warning: pools.app.health.path: has no effect with type \"tcp\"\n");
    check_warned(HEALTH("10.0.0.1:80", "type = \"http\"; path = \"/x\";"), "");
}
END_TEST

/* A pool with that discovery, on line 3; the error, which ends there. */
static void check_discovery(const char *discovery, const char *wrong)
{
    char text[512], said[512];

    (void)snprintf(text, sizeof text, "%s%spools = ( { name = \"app\"; discovery = %s; } );", LISTENER, "\n", discovery);
    (void)snprintf(said, sizeof said, "proxy.conf:3: pools.app.discovery%s\n", wrong);
    check_said(text, said);
}

START_TEST(a_discovery_that_can_find_nothing_is_refused)
{
    check_discovery("{ }", ".type: is missing and has no default");
    check_discovery("{ type = \"dsn\"; }", ".type: \"dsn\" is no type of discovery; did you mean \"dns\"?");
    check_discovery("{ type = \"zookeeper\"; }",
                    ".type: \"zookeeper\" is no type of discovery; there are: dns, dns-srv, file, etcd, heartbeat");
    check_discovery("{ type = \"dns\"; name = \"a.b\"; }", ": port is missing; write the port of the backends");
    check_discovery("{ type = \"dns\"; port = 80; }", ": name is missing; write name = \"api.internal\"");
    check_discovery("{ type = \"dns\"; port = 80; name = \"10.0.0.1\"; }", ": name is an address; addresses stand in backends");
    check_discovery("{ type = \"dns\"; port = 80; name = \"::1\"; }", ": name is an address; addresses stand in backends");
    check_discovery("{ type = \"dns\"; port = 80; name = \"http://a.b/\"; }",
                    ": name is no name of the DNS; write it without scheme, port and path");
    check_discovery("{ type = \"dns\"; port = 80; name = \"a.b\"; servers = [ \"ns.a.b\" ]; }",
                    ": servers has what is no address; write \"10.0.0.2\" or \"127.0.0.1:5353\"");
    check_discovery("{ type = \"dns\"; port = 80; name = \"a.b\"; ttl_least = \"10m\"; ttl_most = \"1m\"; }",
                    ": ttl_least is above ttl_most");
    check_discovery("{ type = \"dns-srv\"; port = 80; name = \"a.b\"; }", ": port is for the type \"dns\"");
    check_discovery("{ type = \"file\"; }", ": path is missing; write path = \"/etc/weir/backends.json\"");
    check_discovery("{ type = \"file\"; path = \"backends.json\"; }", ": path is not absolute");
    check_discovery("{ type = \"etcd\"; prefix = \"/a/\"; }", ": endpoints is missing; write endpoints = [ \"10.0.0.5:2379\" ]");
    check_discovery("{ type = \"etcd\"; prefix = \"/a/\"; endpoints = [ \"etcd.internal:2379\" ]; }",
                    ": endpoints has what is no address with a port; write \"10.0.0.5:2379\"");
    check_discovery("{ type = \"etcd\"; endpoints = [ \"10.0.0.5:2379\" ]; }",
                    ": prefix is missing; write prefix = \"/weir/api/\"");
    check_discovery("{ type = \"heartbeat\"; path = \"/x\"; }", ": path is for the type \"file\"");
    check_discovery("{ type = \"heartbeat\"; ttl = \"2h\"; }", ".ttl: \"2h\" is above \"1h\"");
}
END_TEST

START_TEST(an_extra_comma_is_called_one)
{
    check_said("listeners = (\n  { bind = \"127.0.0.1:80\"; },\n);", "proxy.conf:3: extra comma before )\n"
                                                                     "    );\n"
                                                                     "    ^\n");
    check_said("a = [ 1, 2, ];", "proxy.conf:1: extra comma before ]\n"
                                 "    a = [ 1, 2, ];\n"
                                 "                ^\n");
    check_said("a = [ 1,, 2 ];", "proxy.conf:1: extra comma\n"
                                 "    a = [ 1,, 2 ];\n"
                                 "            ^\n");
    check_said("a = [ , 1 ];", "proxy.conf:1: extra comma\n"
                               "    a = [ , 1 ];\n"
                               "          ^\n");
    check_said("a = 1;;", "proxy.conf:1: extra ;\n"
                          "    a = 1;;\n"
                          "          ^\n");
}
END_TEST

START_TEST(a_missing_comma_is_called_one)
{
    check_said("a = ( { b = 1; }\n { b = 2; } );", "proxy.conf:2: a comma is missing before this item\n"
                                                   "     { b = 2; } );\n"
                                                   "     ^\n");
    check_said("a = [ 1; 2 ];", "proxy.conf:1: ; found between the items of an array; write a comma\n"
                                "    a = [ 1; 2 ];\n"
                                "           ^\n");
}
END_TEST

START_TEST(an_open_bracket_is_reported_where_it_was_opened)
{
    check_said("log = {\n  level = \"info\";\n\n\nlimits = { };\n", "proxy.conf:1: { opened at line 1 is never closed\n");
    check_said("a = (\n  { b = 1;\n);", "proxy.conf:3: ) found, but { opened at line 2 is still open; write } first\n"
                                        "    );\n"
                                        "    ^\n");
    check_said("a = 1;\n};", "proxy.conf:2: } closes nothing\n"
                             "    };\n"
                             "    ^\n");
}
END_TEST

START_TEST(an_open_string_is_reported_where_it_was_opened)
{
    check_said("log = { level = \"info; };\nlimits = { };\n",
               "proxy.conf:1: the string opened here is not closed on its line; write \\n for a line break, \\\" for a quote\n"
               "    log = { level = \"info; };\n"
               "                    ^\n");
}
END_TEST

START_TEST(an_open_comment_is_reported_where_it_was_opened)
{
    check_said("a = 1;\n/* b\n", "proxy.conf:2: /* opened at line 2 is never closed\n");
}
END_TEST

START_TEST(a_bare_unit_or_word_is_told_to_be_quoted)
{
    check_said("timeouts = { drain = 30s; };", "proxy.conf:1: 30s is no number and no bool; quote it: \"30s\"\n"
                                               "    timeouts = { drain = 30s; };\n"
                                               "                         ^\n");
    check_said("log = { level = info };", "proxy.conf:1: info is no number and no bool; quote it: \"info\"\n"
                                          "    log = { level = info };\n"
                                          "                    ^\n");
    check_said("a = [ 10.0.0.1:80 ];", "proxy.conf:1: 10.0.0.1:80 is no number and no bool; quote it: \"10.0.0.1:80\"\n"
                                       "    a = [ 10.0.0.1:80 ];\n"
                                       "          ^\n");
}
END_TEST

START_TEST(both_types_are_named_when_they_differ)
{
    check_behind_good(
        "daemon = { workers = \"2\"; user = 5; };\nlog = [ ];\ntimeouts = { drain = 30; connect = 1.5; };\nlimits = { request_header = true; };",
        "proxy.conf:3: daemon.workers: \"2\" is a string, but a whole number is needed\n"
        "proxy.conf:3: daemon.user: 5 is an integer, but a string is needed\n"
        "proxy.conf:4: log: an array is found, but a group is needed: { NAME = VALUE; ... }\n"
        "proxy.conf:5: timeouts.connect: 1.5 is a float, but a duration is needed: a string with a unit, like \"10s\"\n"
        "proxy.conf:5: timeouts.drain: 30 is an integer, but a duration is needed: a string with a unit, like \"10s\"\n"
        "proxy.conf:6: limits.request_header: true is a bool, but a size is needed: a string, like \"64K\"\n");
    check_said("listeners = ( { bind = \"127.0.0.1:80\"; pool = \"app\"; via = \"yes\"; } );\n" POOL,
               "proxy.conf:1: listeners[0].via: \"yes\" is a string, but a bool is needed: true or false\n");
    check_said("a = [ 1, \"x\" ];", "proxy.conf:1: the items of an array are all of one type; a list, ( ... ), may mix them\n"
                                    "    a = [ 1, \"x\" ];\n"
                                    "             ^\n");
    check_said("a = [ { } ];",
               "proxy.conf:1: { in an array; an array holds only strings, numbers or bools, a list is written ( ... )\n"
               "    a = [ { } ];\n"
               "          ^\n");
}
END_TEST

START_TEST(a_key_that_stands_twice_is_told_where_it_was_first)
{
    check_said("log = {\n  level = \"info\";\n  level = \"warn\";\n};",
               "proxy.conf:3: level stands twice in this group; first at line 2\n"
               "      level = \"warn\";\n"
               "      ^\n");
}
END_TEST

START_TEST(names_are_unique_among_their_kind)
{
    check_said(
        "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; pool = \"p\"; },\n  { name = \"a\"; bind = \"127.0.0.1:2\"; pool = \"p\"; } );\n"
        "routes = ( { name = \"r\"; path = \"/1\"; pool = \"p\"; },\n  { name = \"r\"; path = \"/2\"; pool = \"p\"; } );\n"
        "pools = ( { name = \"p\"; backends = [ \"10.0.0.1:80\" ]; },\n  { name = \"p\"; backends = [ \"10.0.0.1:80\" ]; } );\n",
        "proxy.conf:2: listeners.a.name: \"a\" is the name of another listener already (line 1)\n"
        "proxy.conf:4: routes.r.name: \"r\" is the name of another route already (line 3)\n"
        "proxy.conf:6: pools.p.name: \"p\" is the name of another pool already (line 5)\n"
        "proxy.conf:6: warning: pools.p: no route and no listener uses this pool\n");
}
END_TEST

START_TEST(a_route_may_not_write_the_name_that_another_has_by_its_position)
{
    check_said(GOOD "routes = ( { name = \"route 2\"; path = \"/1\"; pool = \"app\"; },\n  { path = \"/2\"; pool = \"app\"; } );\n",
               "proxy.conf:4: routes[1].name: \"route 2\" is the name of another route already (line 3)\n");
}
END_TEST

START_TEST(nesting_has_a_bound)
{
    char text[20000];

    memset(text, '(', sizeof text);
    memcpy(text, "a =", 3);
    text[sizeof text - 1] = '\0';
    {
        struct snapshot *s = NULL;
        struct conf_report r;
        ck_assert_int_eq(conf_load_text(text, "proxy.conf", &s, &r), -ERR_INVALID);
        ck_assert_int_eq(strncmp(r.text, "proxy.conf:1: brackets nest more than 32 deep\n", 46), 0);
        conf_report_free(&r);
    }
}
END_TEST

START_TEST(a_nul_in_a_string_is_an_error)
{
    check_said("a = \"x\\x00y\";", "proxy.conf:1: \\x00 in a string; a NUL byte would cut it off there\n"
                                   "    a = \"x\\x00y\";\n"
                                   "          ^\n");
}
END_TEST

START_TEST(other_slips_are_called_by_their_name)
{
    check_said("a 1;", "proxy.conf:1: = is missing behind a\n"
                       "    a 1;\n"
                       "      ^\n");
    check_said("a = ;\nb = 1;", "proxy.conf:1: a has no value\n"
                                "    a = ;\n"
                                "        ^\n");
    check_said("a = 1;\nb =\n", "proxy.conf:2: the file ends behind b, which has no value\n");
    check_said("a = ( b = 1 );", "proxy.conf:1: b is no number and no bool; quote it: \"b\"\n"
                                 "    a = ( b = 1 );\n"
                                 "          ^\n"
                                 "proxy.conf:1: = found, but an item of a list is right here; keys stand inside { }\n"
                                 "    a = ( b = 1 );\n"
                                 "            ^\n");
    check_said("5 = a;", "proxy.conf:1: 5 found, but a key is right here: NAME = VALUE;\n"
                         "    5 = a;\n"
                         "    ^\n");
    check_said("a = 1; @include \"x\"", "proxy.conf:1: @include found, but @include \"FILE\" stands alone on its line\n"
                                        "    a = 1; @include \"x\"\n"
                                        "           ^\n");
}
END_TEST

START_TEST(the_source_line_of_a_syntax_error_is_cut_around_the_caret)
{
    char text[600], said[700];

    memset(text, ' ', sizeof text);
    memcpy(text + 300, "a = ?;", 7);
    (void)snprintf(said, sizeof said, "proxy.conf:1: ? is no number and no bool; quote it: \"?\"\n    %50s%s\n    %50s^\n",
                   "a = ", "?;", "");
    check_said(text, said);
}
END_TEST

/* --- what rows and their parsers say --- */

START_TEST(a_value_out_of_range_is_told_the_bound)
{
    check_said(LISTENER
               "pools = ( { name = \"api\"; backends = [ \"10.0.0.1:80\" ]; keepalive = { idle = -1; timeout = \"2h\"; }; },\n"
               "          { name = \"app\"; backends = ( { address = \"10.0.0.1:80\"; weight = 1001; } ); } );\n"
               "limits = { headers = 9; request_header = \"61K\"; };\ntimeouts = { drain = \"9ms\"; tunnel_idle = \"25h\"; };\n",
               "proxy.conf:2: pools.api.keepalive.idle: -1 is below 0\n"
               "proxy.conf:2: pools.api.keepalive.timeout: \"2h\" is above \"1h\"\n"
               "proxy.conf:3: pools.app.backends[0].weight: 1001 is above 1000\n"
               "proxy.conf:4: limits.request_header: \"61K\" is above \"60K\"\n"
               "proxy.conf:4: limits.headers: 9 is below 10\n"
               "proxy.conf:5: timeouts.tunnel_idle: \"25h\" is above \"24h\"\n"
               "proxy.conf:5: timeouts.drain: \"9ms\" is below \"10ms\"\n"
               "proxy.conf:2: warning: pools.api: no route and no listener uses this pool\n");
}
END_TEST

START_TEST(a_text_that_does_not_parse_is_told_what_is_right)
{
    check_behind_good(
        "timeouts = { drain = \"30\"; };",
        "proxy.conf:3: timeouts.drain: \"30\": a unit is missing; write one of us, ms, s, m, h, d behind it, like \"10s\"\n");
    check_behind_good(
        "log = { level = \"inof\"; format = \"xml\"; };",
        "proxy.conf:3: log.level: \"inof\" is not one of \"error\", \"warn\", \"info\", \"debug\"; did you mean \"info\"?\n"
        "proxy.conf:3: log.format: \"xml\" is not one of \"combined\", \"json\"\n");
    check_behind_good(
        "daemon = { trusted_proxies = [\n  \"unix\",\n  \"10.0.0.1/8\"\n]; admin = \"9901\"; };",
        "proxy.conf:5: daemon.trusted_proxies[1]: \"10.0.0.1/8\": the address has bits behind its prefix; write the network's first address, like 10.0.0.0/8\n"
        "proxy.conf:6: daemon.admin: \"9901\": not an address; names are not looked up here, write 10.0.0.1:8080, [::1]:8080 or unix:/run/app.sock\n");
}
END_TEST

START_TEST(what_must_be_written_is_missed)
{
    check_said(
        "",
        "proxy.conf: listeners: is missing and has no default; write listeners = ( { bind = \"0.0.0.0:8080\"; pool = \"NAME\"; } );\n");
    check_said("listeners = ( );", "proxy.conf:1: listeners: is empty; a proxy needs at least one listener\n");
    check_said("listeners = ( { name = \"web\"; pool = \"app\"; } );\npools = ( { name = \"app\"; },\n  { backends = [ ]; } );",
               "proxy.conf:1: listeners.web.bind: is missing and has no default\n"
               "proxy.conf:2: pools.app.backends: is missing and has no default\n"
               "proxy.conf:3: pools[1].name: is missing and has no default\n"
               "proxy.conf:3: pools[1].backends: is empty; a pool needs at least one backend, or discovery\n");
}
END_TEST

START_TEST(an_item_of_the_wrong_type_is_reported_once)
{
    check_said("listeners = ( \"0.0.0.0:80\" );\nroutes = { };\n" POOL,
               "proxy.conf:1: listeners[0]: \"0.0.0.0:80\" is a string, but a group is needed: { NAME = VALUE; ... }\n"
               "proxy.conf:2: routes: a group is found, but a list of groups is needed: ( { ... }, { ... } )\n"
               "proxy.conf:1: warning: listeners[0]: no pool and no routes, so every request gets a 404\n"
               "proxy.conf:3: warning: pools.app: no route and no listener uses this pool\n");
}
END_TEST

START_TEST(a_control_byte_in_a_value_stays_on_the_line_of_its_message)
{
    check_behind_good("log = { level = \"a\\nb\\x07\"; };",
                      "proxy.conf:3: log.level: \"a\\x0ab\\x07\" is not one of \"error\", \"warn\", \"info\", \"debug\"\n");
}
END_TEST

/* --- how the parts fit --- */

START_TEST(a_reference_to_no_pool_is_told_the_nearest)
{
    check_said("listeners = ( { bind = \"127.0.0.1:80\";\n  pool = \"ap\"; } );\n"
               "routes = ( { name = \"x\";\n    path = \"/\"; pool = \"postgres\"; } );\n" POOL,
               "proxy.conf:2: listeners[0].pool: \"ap\" is no pool; did you mean \"app\"?\n"
               "proxy.conf:4: routes.x.pool: \"postgres\" is no pool; none of that name stands in pools\n"
               "proxy.conf:5: warning: pools.app: no route and no listener uses this pool\n");
}
END_TEST

START_TEST(a_strategy_that_is_none_is_told_the_nearest)
{
    check_said(LISTENER "pools = ( { name = \"app\"; strategy = \"round_robbin\"; backends = [ \"10.0.0.1:80\" ]; } );",
               "proxy.conf:2: pools.app.strategy: \"round_robbin\" is no strategy; did you mean \"round_robin\"?\n");
}
END_TEST

START_TEST(an_address_is_bound_once)
{
    check_said(
        "listeners = ( { bind = \"127.0.0.1:80\"; pool = \"app\"; },\n  { name = \"b\"; bind = \"127.0.0.1:80\"; pool = \"app\"; } );\n" POOL
        "daemon = { admin = \"127.0.0.1:80\"; };",
        "proxy.conf:2: listeners.b.bind: 127.0.0.1:80 is taken by another listener\n"
        "proxy.conf:4: daemon.admin: 127.0.0.1:80 is taken by another listener\n");
}
END_TEST

START_TEST(an_address_of_a_port_that_is_taken_on_all_is_not_free)
{
    check_said(
        "listeners = ( { bind = \"127.0.0.1:80\"; pool = \"app\"; },\n  { name = \"b\"; bind = \"0.0.0.0:80\"; pool = \"app\"; },\n"
        "  { name = \"c\"; bind = \"[::]:81\"; pool = \"app\"; },\n  { name = \"d\"; bind = \"10.0.0.1:81\"; pool = \"app\"; },\n"
        "  { name = \"e\"; bind = \"127.0.0.1:82\"; pool = \"app\"; }, { name = \"f\"; bind = \"[::1]:80\"; pool = \"app\"; } );\n" POOL
        "daemon = { admin = \"[::1]:81\"; };",
        "proxy.conf:2: listeners.b.bind: 0.0.0.0:80 overlaps with 127.0.0.1:80 of another listener; only one can have the port\n"
        "proxy.conf:4: listeners.d.bind: 10.0.0.1:81 overlaps with [::]:81 of another listener; only one can have the port\n"
        "proxy.conf:7: daemon.admin: [::1]:81 overlaps with [::]:81 of another listener; only one can have the port\n");
}
END_TEST

START_TEST(a_tcp_listener_needs_a_pool)
{
    check_said("listeners = ( { bind = \"127.0.0.1:80\"; mode = \"tcp\"; } );",
               "proxy.conf:1: listeners[0].pool: is missing; with mode \"tcp\" a pool is a must, unless it has sni = true\n");
}
END_TEST

START_TEST(a_route_does_exactly_one_thing)
{
    check_behind_good("routes = ( { name = \"a\"; path = \"/a\"; },\n"
                      "  { name = \"b\"; path = \"/b\"; pool = \"app\"; respond = { }; },\n"
                      "  { name = \"c\"; path = \"/c\"; respond = { }; redirect = { to = \"/\"; }; } );",
                      "proxy.conf:3: routes.a: says not what to do; write one of pool, respond, redirect\n"
                      "proxy.conf:4: routes.b: has pool and respond; exactly one of pool, respond, redirect is right\n"
                      "proxy.conf:5: routes.c: has respond and redirect; exactly one of pool, respond, redirect is right\n");
}
END_TEST

START_TEST(conditions_that_could_never_hold_are_errors)
{
    check_behind_good(
        "routes = ( { name = \"a\"; pool = \"app\"; path = \"a\"; methods = [ \"get\", \"G T\" ];\n"
        "  host = [ \"a.b:80\", \"*\", \"a.*\", \"a..b\", \"b\\xc3\\xbc.de\", \"[::1\" ]; headers = [ \"x y: z\" ]; },\n"
        " { name = \"b\"; pool = \"app\"; path = \"/a*\"; }, { name = \"c\"; pool = \"app\"; path = \"/a?b\"; }, { name = \"d\"; pool = \"app\"; path = \"/a b\"; } );",
        "proxy.conf:3: routes.a.methods[0]: \"get\": methods are written in capitals\n"
        "proxy.conf:3: routes.a.methods[1]: \"G T\": not a method; write \"GET\", \"POST\" ...\n"
        "proxy.conf:3: routes.a.path: \"a\": a path starts with /\n"
        "proxy.conf:4: routes.a.headers[0]: \"x y: z\": not a header condition; write \"NAME: VALUE\", \"NAME: *\" or \"NAME\"\n"
        "proxy.conf:4: routes.a.host[0]: \"a.b:80\": a host stands without its port\n"
        "proxy.conf:4: routes.a.host[1]: \"*\": any host is meant by leaving the key out\n"
        "proxy.conf:4: routes.a.host[2]: \"a.*\": a * stands only at the start: \"*.example.com\"\n"
        "proxy.conf:4: routes.a.host[3]: \"a..b\": not a host; write \"api.example.com\" or \"*.example.com\", a name in other letters as xn--...\n"
        "proxy.conf:4: routes.a.host[4]: \"b\xc3\xbc.de\": not a host; write \"api.example.com\" or \"*.example.com\", a name in other letters as xn--...\n"
        "proxy.conf:4: routes.a.host[5]: \"[::1\": not a host; an IPv6 address stands in brackets and without a port\n"
        "proxy.conf:5: routes.b.path: \"/a*\": a * stands only at the end, behind a /: \"/prefix/*\"\n"
        "proxy.conf:5: routes.c.path: \"/a?b\": only the path is compared; ? and # are not part of it\n"
        "proxy.conf:5: routes.d.path: \"/a b\": blanks, control bytes and bytes beyond ASCII stand percent-encoded in a path\n");
}
END_TEST

START_TEST(an_answer_of_our_own_is_checked)
{
    check_behind_good(
        "routes = ( { name = \"a\"; path = \"/a\"; respond = { status = 204; body = \"x\"; }; },\n"
        "  { name = \"b\"; path = \"/b\"; respond = { status = 100; content_type = \"a\\nb\"; }; },\n"
        "  { name = \"c\"; path = \"/c\"; redirect = { status = 305; to = \"ftp://x\"; }; },\n"
        "  { name = \"d\"; path = \"/d\"; redirect = { to = \"https://{hots}/\"; }; }, { name = \"e\"; path = \"/e\"; redirect = { to = \"/\\r\\nx\"; }; } );",
        "proxy.conf:3: routes.a.respond.body: an answer with status 204 has no body\n"
        "proxy.conf:4: routes.b.respond.status: 100 is below 200\n"
        "proxy.conf:4: routes.b.respond.content_type: \"a\\x0ab\" holds a control byte\n"
        "proxy.conf:5: routes.c.redirect.to: \"ftp://x\": a redirect goes to http://..., https://... or /...\n"
        "proxy.conf:5: routes.c.redirect.status: 305 is none of 301, 302, 303, 307, 308\n"
        "proxy.conf:6: routes.d.redirect.to: \"https://{hots}/\": unknown place; there are {host}, {uri}, {path} and {query}\n"
        "proxy.conf:6: routes.e.redirect.to: \"/\\x0d\\x0ax\": blanks, control bytes and bytes beyond ASCII stand percent-encoded\n");
}
END_TEST

START_TEST(a_header_rule_can_not_break_a_message)
{
    check_said(
        "listeners = ( { name = \"w\"; bind = \"127.0.0.1:80\"; pool = \"app\"; request_headers = [\n"
        "  \"set Content-Length: 5\",\n  \"add transfer-encoding: chunked\",\n  \"remove Connection\",\n  \"set Upgrade: x\",\n"
        "  \"add Host: x\",\n  \"set A: b\\r\\nC: d\",\n  \"set A B: c\",\n  \"set A : c\",\n  \"set A\",\n  \"remove A: b\",\n  \"drop A\"\n] } );\n" POOL,
        "proxy.conf:2: listeners.w.request_headers[0]: \"set Content-Length: 5\": this field frames the message; the proxy writes it itself\n"
        "proxy.conf:3: listeners.w.request_headers[1]: \"add transfer-encoding: chunked\": this field frames the message; the proxy writes it itself\n"
        "proxy.conf:4: listeners.w.request_headers[2]: \"remove Connection\": this field belongs to one connection; the proxy writes it itself\n"
        "proxy.conf:5: listeners.w.request_headers[3]: \"set Upgrade: x\": this field belongs to one connection; the proxy writes it itself\n"
        "proxy.conf:6: listeners.w.request_headers[4]: \"add Host: x\": there is exactly one Host field; it can only be set\n"
        "proxy.conf:7: listeners.w.request_headers[5]: \"set A: b\\x0d\\x0aC: d\": the value holds a control byte (a line break, say)\n"
        "proxy.conf:8: listeners.w.request_headers[6]: \"set A B: c\": not a field name; letters, digits and - are right, and no blank before the colon\n"
        "proxy.conf:9: listeners.w.request_headers[7]: \"set A : c\": not a field name; letters, digits and - are right, and no blank before the colon\n"
        "proxy.conf:10: listeners.w.request_headers[8]: \"set A\": no value; write \"set NAME: VALUE\"\n"
        "proxy.conf:11: listeners.w.request_headers[9]: \"remove A: b\": a name only is right behind remove: \"remove NAME\"\n"
        "proxy.conf:12: listeners.w.request_headers[10]: \"drop A\": not a header rule; write \"set NAME: VALUE\", \"add NAME: VALUE\" or \"remove NAME\"\n");
}
END_TEST

START_TEST(a_rule_can_only_set_a_host_that_is_one)
{
    check_said(
        "listeners = ( { name = \"w\"; bind = \"127.0.0.1:80\"; pool = \"app\"; request_headers = [\n"
        "  \"set Host: a b/@\",\n  \"set Host:\",\n  \"set host: u@h\",\n  \"set Host: a.example:8080\",\n  \"set Host: [::1]:80\"\n] } );\n" POOL,
        "proxy.conf:2: listeners.w.request_headers[0]: \"set Host: a b/@\": not a host; write \"set Host: api.example.com\", if need be with \":8080\" behind it\n"
        "proxy.conf:3: listeners.w.request_headers[1]: \"set Host:\": not a host; write \"set Host: api.example.com\", if need be with \":8080\" behind it\n"
        "proxy.conf:4: listeners.w.request_headers[2]: \"set host: u@h\": not a host; write \"set Host: api.example.com\", if need be with \":8080\" behind it\n");
}
END_TEST

START_TEST(a_protocol_that_is_not_there_is_an_error)
{
    check_said("listeners = ( { bind = \"127.0.0.1:80\"; pool = \"app\"; protocols = [ \"h3\", \"http/1.1\" ]; } );\n" POOL,
               "proxy.conf:1: listeners[0].protocols[0]: \"h3\" is not a protocol; it is one of \"h2\", \"http/1.1\"\n");
}
END_TEST

START_TEST(a_backend_stands_once_in_its_pool)
{
    check_said(LISTENER "pools = ( { name = \"app\"; backends = [\n  \"[::1]:80\",\n  \"10.0.0.1:80\",\n  \"[0::1]:80\"\n]; } );",
               "proxy.conf:5: pools.app.backends[2]: [::1]:80 stands twice in this pool; give it a higher weight instead\n");
}
END_TEST

START_TEST(paths_that_depend_on_a_working_folder_are_errors)
{
    check_behind_good("daemon = { control = \"weir.sock\"; pid_file = \"weir.pid\"; };\nlog = { access = \"stdot\"; };",
                      "proxy.conf:3: daemon.control: \"weir.sock\": not an absolute path and not \"off\"\n"
                      "proxy.conf:3: daemon.pid_file: \"weir.pid\": not an absolute path\n"
                      "proxy.conf:4: log.access: \"stdot\": not \"off\", not \"stdout\", and not an absolute path\n");
}
END_TEST

START_TEST(limits_that_can_not_fit_are_errors)
{
    check_behind_good("limits = { request_header = \"4K\"; request_line = \"8K\"; };",
                      "proxy.conf:3: limits.request_line: is above limits.request_header, of which it is a part\n");
}
END_TEST

START_TEST(an_error_page_that_can_not_be_read_is_an_error)
{
    check_behind_good(
        "error_pages = ( { status = 503; file = \"/nowhere/503.html\"; }, { status = 200; file = \"/dev/null\"; },\n"
        "  { status = 503; file = \"/dev/null\"; } );",
        "proxy.conf:3: error_pages[0].file: can't read /nowhere/503.html: No such file or directory\n"
        "proxy.conf:3: error_pages[1].status: 200 is no error; write 400 to 599, or 0 for all others\n"
        "proxy.conf:4: error_pages[2].status: 503 has a page already (line 3)\n");
}
END_TEST

/* --- warnings --- */

START_TEST(a_pool_that_nobody_uses_is_warned_of)
{
    check_warned(
        LISTENER
        "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ]; },\n  { name = \"spare\"; backends = [ \"10.0.1.11:8080\" ]; } );\n",
        "proxy.conf:3: warning: pools.spare: no route and no listener uses this pool\n");
}
END_TEST

START_TEST(a_shadowed_route_is_warned_of)
{
    check_warned(GOOD
                 "routes = ( { name = \"a\"; path = \"/a/*\"; pool = \"app\"; },\n"
                 "  { path = \"/a/b\"; methods = [ \"GET\" ]; pool = \"app\"; },\n"
                 "  { host = [ \"*.x.org\" ]; pool = \"app\"; },\n"
                 "  { name = \"d\"; host = [ \"c.x.org\", \"*.e.x.org\" ]; path = \"/q\"; pool = \"app\"; },\n"
                 "  { pool = \"app\"; headers = [ \"a\" ]; }, { name = \"f\"; pool = \"app\"; headers = [ \"A: b\" ]; } );\n",
                 "proxy.conf:4: warning: routes[1]: is never reached: \"a\" (line 3) matches all that it could\n"
                 "proxy.conf:6: warning: routes.d: is never reached: \"route 3\" (line 5) matches all that it could\n"
                 "proxy.conf:7: warning: routes.f: is never reached: \"route 5\" (line 7) matches all that it could\n");
}
END_TEST

START_TEST(a_route_that_can_be_reached_is_not_called_shadowed)
{
    check_warned(
        GOOD
        "routes = ( { path = \"/a/*\"; methods = [ \"GET\" ]; pool = \"app\"; }, { path = \"/a/b\"; pool = \"app\"; },\n"
        "  { path = \"/c\"; pool = \"app\"; }, { path = \"/c/*\"; pool = \"app\"; }, { path = \"/d/*\"; pool = \"app\"; }, { path = \"/dd\"; pool = \"app\"; },\n"
        "  { host = [ \"*.x.org\" ]; pool = \"app\"; }, { host = [ \"x.org\" ]; pool = \"app\"; }, { host = [ \"a.x.org\", \"y.org\" ]; pool = \"app\"; },\n"
        "  { headers = [ \"a: b\" ]; pool = \"app\"; }, { headers = [ \"a\" ]; pool = \"app\"; }, { pool = \"app\"; } );\n",
        "");
}
END_TEST

#define BY_NAME \
    "pools = ( { name = \"app\"; strategy = \"maglev\"; backends = [ \"10.0.1.11:8080\" ]; hash = { key = \"sni\"; }; } );\n"

#define IN_CLEAR ".pool: the pool hashes \"sni\", which a connection in clear doesn't have: chance decides\n"

START_TEST(names_that_nobody_says_are_warned_of)
{
    check_warned(LISTENER BY_NAME, "proxy.conf:1: warning: listeners[0]" IN_CLEAR);
    check_warned("listeners = ( { bind = \"127.0.0.1:8080\"; } );\n" BY_NAME "routes = ( { path = \"/\"; pool = \"app\"; } );\n",
                 "proxy.conf:3: warning: routes[0]" IN_CLEAR);
    check_warned("listeners = ( { bind = \"127.0.0.1:8443\"; mode = \"tcp\"; sni = true; pool = \"app\"; } );\n" BY_NAME, "");
    check_warned("listeners = ( { bind = \"127.0.0.1:8443\"; mode = \"tcp\"; sni = true; pool = \"app\"; },\n"
                 "  { bind = \"127.0.0.1:8080\"; pool = \"app\"; } );\n" BY_NAME
                 "routes = ( { path = \"/\"; pool = \"app\"; } );\n",
                 "proxy.conf:2: warning: listeners[1]" IN_CLEAR);
}
END_TEST

START_TEST(an_ejection_lasts_no_longer_than_the_longest)
{
    check_said(
        LISTENER
        "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ];\n  outlier = { eject = \"10s\"; eject_most = \"1s\"; }; } );\n",
        "proxy.conf:3: pools.app.outlier: eject_most is below eject; the longest is at least as long as the first\n");
}
END_TEST

START_TEST(weights_that_are_all_zero_are_warned_of)
{
    check_warned(LISTENER "pools = ( { name = \"app\";\n  backends = ( { address = \"10.0.1.11:8080\"; weight = 0; } ); } );\n",
                 "proxy.conf:3: warning: pools.app.backends: all weights are 0, so the pool takes no new requests\n");
}
END_TEST

START_TEST(what_has_no_effect_is_warned_of)
{
    check_warned(
        "listeners = ( { bind = \"127.0.0.1:80\"; mode = \"tcp\"; pool = \"app\"; via = false; } );\nroutes = ( { path = \"/\"; pool = \"app\"; } );\n" POOL
        "limits = { connections = 5; per_client = 6; };\n",
        "proxy.conf:1: warning: listeners[0].via: has no effect with mode \"tcp\"\n"
        "proxy.conf:2: warning: routes: have no effect: every listener has mode \"tcp\"\n"
        "proxy.conf:4: warning: limits.per_client: 6 is above limits.connections, 5, so it has no effect\n");
    check_warned("listeners = ( { bind = \"127.0.0.1:80\"; } );\n",
                 "proxy.conf:1: warning: listeners[0]: no pool and no routes, so every request gets a 404\n");
}
END_TEST

/* --- many, and in many files --- */

#define SECRET "secret = \"0123456789abcdef\"; "
/* A pool of which `text` is a part, on line 2. */
static void check_pool(const char *text, const char *said)
{
    char all[2048], whole[2048];

    (void)snprintf(all, sizeof all, LISTENER "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ]; %s } );\n", text);
    (void)snprintf(whole, sizeof whole, "proxy.conf:2: pools.app.%s\n", said);
    check_said(all, whole);
}

START_TEST(a_key_that_can_not_be_hashed_is_an_error)
{
    static const char *const cases[][2] = {
        { "heder:X-User", "\"heder:X-User\" is no key; did you mean header:NAME?" },
        { "client_ipp", "\"client_ipp\" is no key; did you mean client_ip?" },
        { "zzz", "\"zzz\" is no key; there are: client_ip, header:NAME, cookie:NAME, query:NAME, path, host, sni" },
        { "", "\"\" is no key; there are: client_ip, header:NAME, cookie:NAME, query:NAME, path, host, sni" },
        { "header", "\"header\": the name is missing; write it behind the colon, like \"header:X-User\"" },
        { "cookie:", "\"cookie:\": the name is missing; write it behind the colon, like \"header:X-User\"" },
        { "header:X User", "\"header:X User\": not a field name; letters, digits and - are right" },
        { "cookie:a;b", "\"cookie:a;b\": not a cookie's name; letters, digits and - are right" },
        { "query:a&b", "\"query:a&b\": not a parameter's name; it is written as in a URL, percent-encoded and without & = #" },
        { "path:/x", "\"path:/x\": this key has no name behind it" },
        { "host:", "\"host:\": this key has no name behind it" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256], said[512];
        (void)snprintf(text, sizeof text, "hash = { key = \"%s\"; };", cases[i][0]);
        (void)snprintf(
            said, sizeof said,
            "hash.key: %s\nproxy.conf:2: warning: pools.app.hash: has no effect: strategy \"round_robin\" does not hash",
            cases[i][1]);
        check_pool(text, said);
    }
}
END_TEST

START_TEST(a_bound_is_a_number_in_its_range)
{
    static const char *const cases[][2] = {
        { "\"1.25\"", "\"1.25\" is a string, but a number is needed, like 1.25" },
        { "true", "true is a bool, but a number is needed, like 1.25" },
        { "-1", "-1 is below 0" },
        { "-0.5", "-0.5 is below 0" },
        { "100.5", "100.5 is above 100" },
        { "101", "101 is above 100" },
        { "1.0e999", "inf is above 100" },
        { "0.99", "0.99 is below 1; no backend could have its share; write 1.0 or more, or 0 for no bound" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256], said[512];
        (void)snprintf(text, sizeof text, "hash = { bound = %s; };", cases[i][0]);
        (void)snprintf(
            said, sizeof said,
            "hash.bound: %s\nproxy.conf:2: warning: pools.app.hash: has no effect: strategy \"round_robin\" does not hash",
            cases[i][1]);
        check_pool(text, said);
    }
}
END_TEST

START_TEST(a_hash_without_a_strategy_that_hashes_is_warned_of)
{
    check_warned(LISTENER "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ]; hash = { bound = 2; }; } );\n",
                 "proxy.conf:2: warning: pools.app.hash: has no effect: strategy \"round_robin\" does not hash\n");
}
END_TEST

START_TEST(a_sticky_pool_needs_a_good_secret_and_no_message_shows_it)
{
    check_pool("sticky = { };", "sticky.secret: is missing; write secret or secret_file");
    check_pool("sticky = { secret = [ ]; };", "sticky.secret: is empty; write at least one secret");
    check_pool("sticky = { secret = \"0123456789abcde\"; };", "sticky.secret: is too short; a secret has at least 16 bytes");
    check_pool("sticky = { secret = [ \"0123456789abcdef\", \"short\" ]; };",
               "sticky.secret[1]: is too short; a secret has at least 16 bytes");
    check_pool("sticky = { secret = 1234567890123456L; };", "sticky.secret: a string is needed, or an array of strings");
    check_pool("sticky = { secret = [ 12345, 67890 ]; };", "sticky.secret: a string is needed, or an array of strings");
    check_pool("sticky = { " SECRET "secret_file = \"x\"; };", "sticky.secret_file: stands beside secret; write one of the two");
    check_pool("sticky = { secret_file = \"/nowhere/x\"; };",
               "sticky.secret_file: can't read /nowhere/x: No such file or directory");
    check_pool(
        "sticky = { secret = [ \"0123456789abcdef\", \"0123456789abcdef\", \"0123456789abcdef\", \"0123456789abcdef\", "
        "\"0123456789abcdef\", \"0123456789abcdef\", \"0123456789abcdef\", \"0123456789abcdef\", \"0123456789abcdef\" ]; };",
        "sticky.secret: there are too many; at most 8 secrets");
}
END_TEST

START_TEST(a_cookie_needs_a_name_and_a_time_that_it_can_say)
{
    check_pool("sticky = { " SECRET "cookie = \"a b\"; };",
               "sticky.cookie: \"a b\": not a cookie's name; letters, digits and - are right");
    check_pool("sticky = { " SECRET "cookie = \"\"; };",
               "sticky.cookie: \"\": not a cookie's name; letters, digits and - are right");
    check_pool("sticky = { " SECRET "ttl = \"999ms\"; };",
               "sticky.ttl: is below \"1s\", the least that a cookie can say; write \"0\" for no end");
    check_pool("sticky = { " SECRET "ttl = \"401d\"; };", "sticky.ttl: \"401d\" is above \"400d\"");
}
END_TEST

START_TEST(a_sticky_pool_in_tcp_mode_is_warned_of)
{
    check_warned("listeners = ( { bind = \"127.0.0.1:8080\"; pool = \"app\"; mode = \"tcp\"; } );\n"
                 "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ]; sticky = { " SECRET "}; } );\n",
                 "proxy.conf:1: warning: listeners[0].pool: the pool is sticky, which has no effect with mode \"tcp\"\n");
}
END_TEST

START_TEST(all_errors_are_reported_at_once_in_the_order_of_the_lines)
{
    check_said(
        "listeners = ( { bind = \"localhost:80\"; pool = \"ap\"; } );\ntimeouts = { drain = 5; };\nfoo = 1;\n" POOL,
        "proxy.conf:1: listeners[0].bind: \"localhost:80\": not an address; names are not looked up here, write 10.0.0.1:8080, [::1]:8080 or unix:/run/app.sock\n"
        "proxy.conf:1: listeners[0].pool: \"ap\" is no pool; did you mean \"app\"?\n"
        "proxy.conf:2: timeouts.drain: 5 is an integer, but a duration is needed: a string with a unit, like \"10s\"\n"
        "proxy.conf:3: foo: unknown key; known here: log, limits, timeouts, daemon, listeners, routes, pools, error_pages, include_dir\n"
        "proxy.conf:4: warning: pools.app: no route and no listener uses this pool\n");
}
END_TEST

START_TEST(all_syntax_errors_that_can_be_told_apart_are_reported_at_once)
{
    check_said(
        "a = 30s;\nb = [ 1, ];\nc = 5000000000;\n",
        "proxy.conf:1: 30s is no number and no bool; quote it: \"30s\"\n"
        "    a = 30s;\n"
        "        ^\n"
        "proxy.conf:2: extra comma before ]\n"
        "    b = [ 1, ];\n"
        "             ^\n"
        "proxy.conf:3: 5000000000 does not fit into 32 bits; write 5000000000L, or a string with a unit where a size or a duration is meant\n"
        "    c = 5000000000;\n"
        "        ^\n");
}
END_TEST

START_TEST(beyond_two_hundred_messages_are_only_counted)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    char *text = malloc(300 * 20 + 200), *p = text;

    ck_assert_ptr_nonnull(text);
    p += sprintf(p, "%s", GOOD);
    for (int i = 0; i < 300; i++)
        p += sprintf(p, "unknown%d = 1;\n", i);
    ck_assert_int_eq(conf_load_text(text, "proxy.conf", &s, &r), -ERR_INVALID);
    ck_assert_uint_eq(r.n_errors, 300);
    ck_assert_pstr_eq(strstr(r.text, "and "), "and 100 more\n");
    conf_report_free(&r);
    free(text);
}
END_TEST

static char folder[] = "/tmp/weir-conf-XXXXXX";
static char home[512];

/* The tests work inside it, so that the messages are the same everywhere. */
static void make_folder(void)
{
    memcpy(folder, "/tmp/weir-conf-XXXXXX", sizeof folder);
    ck_assert_ptr_nonnull(getcwd(home, sizeof home));
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void remove_folder(void)
{
    char command[64];

    ck_assert_int_eq(chdir(home), 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void check_file_said(const char *name, const char *said)
{
    struct snapshot *s = NULL;
    struct conf_report r;
    int rc = conf_load(name, &s, &r);

    ck_assert_pstr_eq(r.text, said);
    ck_assert_int_eq(rc, -ERR_INVALID);
    conf_report_free(&r);
}

START_TEST(a_file_that_can_not_be_read_is_an_error)
{
    check_file_said("nope.conf", "nope.conf: can't be read: No such file or directory\n");
    ck_assert_int_eq(mkdir("folder", 0755), 0);
    check_file_said("folder", "folder: can't be read: Is a directory\n");
}
END_TEST

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    fclose(f);
}

START_TEST(a_file_of_secrets_has_one_on_each_line)
{
    struct snapshot *s = NULL;
    struct conf_report r;

    put_file("secrets", "\n0123456789abcdef\r\n\n# a secret as well, 16\nlast-line-no-line-feed");
    ck_assert_int_eq(conf_load_text(LISTENER "pools = ( { name = \"app\"; backends = [ \"10.0.1.11:8080\" ];"
                                             " sticky = { secret_file = \"secrets\"; }; } );\n",
                                    "proxy.conf", &s, &r),
                     0);
    conf_report_free(&r);
    ck_assert_uint_eq(s->pools[0].sticky->secrets.n, 3);
    ck_assert_str_eq(s->pools[0].sticky->secrets.v[0], "0123456789abcdef");
    ck_assert_str_eq(s->pools[0].sticky->secrets.v[1], "# a secret as well, 16");
    ck_assert_str_eq(s->pools[0].sticky->secrets.v[2], "last-line-no-line-feed");
    snapshot_unref(&s);
}
END_TEST

START_TEST(a_file_of_secrets_that_is_not_one_is_an_error)
{
    put_file("secrets", "\n\r\n");
    check_pool("sticky = { secret_file = \"secrets\"; };", "sticky.secret_file: secrets is empty; it has a secret on each line");
    put_file("secrets", "0123456789abcdef\n\nshort\n");
    check_pool("sticky = { secret_file = \"secrets\"; };",
               "sticky.secret_file: secrets:3: is too short; a secret has at least 16 bytes");
}
END_TEST

START_TEST(a_file_with_a_nul_byte_is_refused)
{
    FILE *f = fopen("proxy.conf", "w");

    ck_assert_ptr_nonnull(f);
    fwrite("a\0b", 1, 3, f);
    fclose(f);
    check_file_said("proxy.conf", "proxy.conf: holds a NUL byte, so it is no configuration\n");
}
END_TEST

START_TEST(an_error_in_an_included_file_points_there_and_behind_it_back_here)
{
    ck_assert_int_eq(mkdir("inc", 0755), 0);
    write_file("proxy.conf", GOOD "@include \"inc/limits.conf\"\nlog = { level = 5; };\n");
    write_file("inc/limits.conf", "# limits\nlimits = { headers = 5; };");
    check_file_said("proxy.conf", "proxy.conf:4: log.level: 5 is an integer, but a string is needed\n"
                                  "inc/limits.conf:2: limits.headers: 5 is below 10\n");
}
END_TEST

START_TEST(a_syntax_error_in_an_included_file_points_there)
{
    write_file("proxy.conf", GOOD "routes = (\n  @include \"routes.conf\"\n);\n");
    write_file("routes.conf", "{ path = \"/\";\n");
    check_file_said("proxy.conf", "proxy.conf:5: ) found, but { opened at routes.conf:1 is still open; write } first\n"
                                  "    );\n"
                                  "    ^\n");
    write_file("routes.conf", "{ path = 30s; }\n");
    check_file_said("proxy.conf", "routes.conf:1: 30s is no number and no bool; quote it: \"30s\"\n"
                                  "    { path = 30s; }\n"
                                  "             ^\n");
}
END_TEST

START_TEST(an_include_that_can_not_be_is_an_error)
{
    write_file("proxy.conf", GOOD "@include \"nope.conf\"\n@include \"loop.conf\"\n");
    write_file("loop.conf", "@include \"proxy.conf\"\n");
    check_file_said("proxy.conf", "proxy.conf:3: @include: can't read nope.conf: No such file or directory\n"
                                  "loop.conf:1: @include: proxy.conf includes itself\n");
}
END_TEST

START_TEST(includes_have_a_depth)
{
    char name[32], text[64];

    for (int i = 0; i < 15; i++) {
        (void)snprintf(name, sizeof name, "%d.conf", i);
        (void)snprintf(text, sizeof text, "@include \"%d.conf\"\n", i + 1);
        write_file(name, text);
    }
    check_file_said("0.conf", "10.conf:1: @include: files are included more than 10 deep\n");
}
END_TEST

START_TEST(errors_in_a_folder_point_into_the_right_file)
{
    ck_assert_int_eq(mkdir("conf.d", 0755), 0);
    write_file("proxy.conf", GOOD "include_dir = \"conf.d\";\n");
    write_file(
        "conf.d/a.conf",
        "routes = ( { path = \"/\"; pool = \"app\"; },\n  { name = \"x\"; path = \"b\"; pool = \"app\"; } );\nlimits = { };\n");
    write_file("conf.d/b.conf", "pools = ( { name = \"app\"; backends = [ \"10.0.0.1:1\" ]; } );\nroutes = 5;\n");
    check_file_said("proxy.conf",
                    "conf.d/a.conf:3: limits: a file of include_dir holds only listeners, routes and pools\n"
                    "conf.d/b.conf:2: routes: an integer is found, but a list of groups is needed: ( { ... }, { ... } )\n");
    write_file("conf.d/a.conf",
               "routes = ( { path = \"/\"; pool = \"app\"; },\n  { name = \"x\"; path = \"b\"; pool = \"app\"; } );\n");
    write_file("conf.d/b.conf", "pools = ( { name = \"app\"; backends = [ \"10.0.0.1:1\" ]; } );\n");
    check_file_said("proxy.conf", "conf.d/b.conf:1: pools.app.name: \"app\" is the name of another pool already (proxy.conf:2)\n"
                                  "conf.d/a.conf:2: routes.x.path: \"b\": a path starts with /\n"
                                  "conf.d/b.conf:1: warning: pools.app: no route and no listener uses this pool\n");
}
END_TEST

START_TEST(a_folder_that_can_not_be_read_is_an_error)
{
    write_file("proxy.conf", GOOD "include_dir = \"conf.d\";\n");
    check_file_said("proxy.conf", "proxy.conf:3: include_dir: can't read conf.d: No such file or directory\n");
}
END_TEST

static void add_traps(TCase *t)
{
    tcase_add_test(t, an_integer_that_libconfig_would_wrap_is_an_error);
    tcase_add_test(t, a_long_integer_is_checked_against_the_range_of_its_key);
    tcase_add_test(t, an_unknown_key_is_an_error_with_the_nearest_name);
    tcase_add_test(t, a_key_of_a_feature_that_is_not_there_is_unknown);
    tcase_add_test(t, a_discovery_that_can_find_nothing_is_refused);
    tcase_add_test(t, an_extra_comma_is_called_one);
    tcase_add_test(t, a_missing_comma_is_called_one);
    tcase_add_test(t, an_open_bracket_is_reported_where_it_was_opened);
    tcase_add_test(t, an_open_string_is_reported_where_it_was_opened);
    tcase_add_test(t, an_open_comment_is_reported_where_it_was_opened);
    tcase_add_test(t, a_bare_unit_or_word_is_told_to_be_quoted);
    tcase_add_test(t, both_types_are_named_when_they_differ);
    tcase_add_test(t, a_key_that_stands_twice_is_told_where_it_was_first);
    tcase_add_test(t, names_are_unique_among_their_kind);
    tcase_add_test(t, a_route_may_not_write_the_name_that_another_has_by_its_position);
    tcase_add_test(t, nesting_has_a_bound);
    tcase_add_test(t, a_nul_in_a_string_is_an_error);
    tcase_add_test(t, other_slips_are_called_by_their_name);
    tcase_add_test(t, the_source_line_of_a_syntax_error_is_cut_around_the_caret);
}

static void add_meaning(TCase *t)
{
    tcase_add_test(t, a_key_that_can_not_be_hashed_is_an_error);
    tcase_add_test(t, a_bound_is_a_number_in_its_range);
    tcase_add_test(t, a_sticky_pool_needs_a_good_secret_and_no_message_shows_it);
    tcase_add_test(t, a_cookie_needs_a_name_and_a_time_that_it_can_say);
    tcase_add_test(t, a_value_out_of_range_is_told_the_bound);
    tcase_add_test(t, a_text_that_does_not_parse_is_told_what_is_right);
    tcase_add_test(t, what_must_be_written_is_missed);
    tcase_add_test(t, an_item_of_the_wrong_type_is_reported_once);
    tcase_add_test(t, a_control_byte_in_a_value_stays_on_the_line_of_its_message);
    tcase_add_test(t, a_reference_to_no_pool_is_told_the_nearest);
    tcase_add_test(t, a_strategy_that_is_none_is_told_the_nearest);
    tcase_add_test(t, an_address_is_bound_once);
    tcase_add_test(t, an_address_of_a_port_that_is_taken_on_all_is_not_free);
    tcase_add_test(t, a_tcp_listener_needs_a_pool);
    tcase_add_test(t, a_route_does_exactly_one_thing);
    tcase_add_test(t, conditions_that_could_never_hold_are_errors);
    tcase_add_test(t, an_answer_of_our_own_is_checked);
    tcase_add_test(t, a_header_rule_can_not_break_a_message);
    tcase_add_test(t, a_rule_can_only_set_a_host_that_is_one);
    tcase_add_test(t, a_protocol_that_is_not_there_is_an_error);
    tcase_add_test(t, a_backend_stands_once_in_its_pool);
    tcase_add_test(t, all_that_is_wrong_with_a_health_check_is_told_at_once);
    tcase_add_test(t, a_health_check_is_told_one_place_to_ask);
    tcase_add_test(t, paths_that_depend_on_a_working_folder_are_errors);
    tcase_add_test(t, limits_that_can_not_fit_are_errors);
    tcase_add_test(t, an_error_page_that_can_not_be_read_is_an_error);
}

static void add_warnings(TCase *t)
{
    tcase_add_test(t, a_hash_without_a_strategy_that_hashes_is_warned_of);
    tcase_add_test(t, a_sticky_pool_in_tcp_mode_is_warned_of);
    tcase_add_test(t, a_pool_that_nobody_uses_is_warned_of);
    tcase_add_test(t, a_shadowed_route_is_warned_of);
    tcase_add_test(t, a_route_that_can_be_reached_is_not_called_shadowed);
    tcase_add_test(t, weights_that_are_all_zero_are_warned_of);
    tcase_add_test(t, names_that_nobody_says_are_warned_of);
    tcase_add_test(t, an_ejection_lasts_no_longer_than_the_longest);
    tcase_add_test(t, what_has_no_effect_is_warned_of);
    tcase_add_test(t, a_key_that_the_type_of_check_does_not_read_is_warned_of);
    tcase_add_test(t, all_errors_are_reported_at_once_in_the_order_of_the_lines);
    tcase_add_test(t, all_syntax_errors_that_can_be_told_apart_are_reported_at_once);
    tcase_add_test(t, beyond_two_hundred_messages_are_only_counted);
}

static void add_files(TCase *t)
{
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_test(t, a_file_that_can_not_be_read_is_an_error);
    tcase_add_test(t, a_file_of_secrets_has_one_on_each_line);
    tcase_add_test(t, a_file_of_secrets_that_is_not_one_is_an_error);
    tcase_add_test(t, a_file_with_a_nul_byte_is_refused);
    tcase_add_test(t, an_error_in_an_included_file_points_there_and_behind_it_back_here);
    tcase_add_test(t, a_syntax_error_in_an_included_file_points_there);
    tcase_add_test(t, an_include_that_can_not_be_is_an_error);
    tcase_add_test(t, includes_have_a_depth);
    tcase_add_test(t, errors_in_a_folder_point_into_the_right_file);
    tcase_add_test(t, a_folder_that_can_not_be_read_is_an_error);
}

Suite *conf_errors_suite(void)
{
    Suite *s = suite_create("conf_errors");
    TCase *traps = tcase_create("traps"), *meaning = tcase_create("meaning"), *warn = tcase_create("warnings"),
          *files = tcase_create("files");

    add_traps(traps);
    add_meaning(meaning);
    add_warnings(warn);
    add_files(files);
    suite_add_tcase(s, traps);
    suite_add_tcase(s, meaning);
    suite_add_tcase(s, warn);
    suite_add_tcase(s, files);
    return s;
}
