"""`weir -t`, and a start that cannot be: everything that is wrong is said at once, with its place."""
import os
import re
import resource
import socket

import pytest

from conftest import simple
from lib.conf import conf_text
from lib.timing import STRETCH
from lib.weir import ROOT, Weir, free_port, run

GOOD = 'listeners = ( { bind = "127.0.0.1:8080"; pool = "app"; } );\npools = ( { name = "app"; backends = [ "127.0.0.1:9000" ]; } );\n'


@pytest.fixture
def check(tmp_path):
    def start(text, name="proxy.conf"):
        path = tmp_path / name
        path.write_text(text)
        return run("-t", "-c", str(path))
    return start


def test_a_good_file_is_good(check):
    done = check(GOOD)
    assert done.returncode == 0, done.stderr
    assert "error" not in (done.stdout + done.stderr).lower()


def test_the_check_touches_no_port(check):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    assert check(GOOD.replace("8080", str(s.getsockname()[1]))).returncode == 0
    s.close()


def test_a_user_and_folders_that_are_not_there_are_told(check, tmp_path):
    gone = tmp_path / "gone"
    done = check(conf_text(simple("127.0.0.1:1", listener={"bind": f"127.0.0.1:{free_port()}"},
                                  daemon={"user": "nobody-of-that-name", "pid_file": f"{gone}/pid/weir.pid", "control": "off"},
                                  log={"access": f"{gone}/access.log"})))
    assert done.returncode == 0, "another machine, or a later moment, may have them"
    for line in ("daemon.user: nobody-of-that-name: there is no such user", f"daemon.pid_file: {gone}/pid: No such file or directory",
                 f"log.access: {gone}: No such file or directory"):
        assert line in done.stderr.splitlines(), done.stderr


def test_an_access_log_that_can_not_be_opened_is_told_as_the_kernel_put_it(tmp_path):
    path = tmp_path / "weir.conf"
    path.write_text(conf_text(simple("127.0.0.1:1", listener={"bind": f"127.0.0.1:{free_port()}"}, daemon={"control": "off"},
                                     log={"access": f"{tmp_path}/gone/access.log"})))
    done = run("-c", str(path))
    assert done.returncode != 0
    assert "access.log can't be opened: No such file or directory" in done.stderr


def test_all_errors_of_a_file_are_reported_at_once_with_their_lines(check):
    text = """daemon = { workers = 5000; control = "off"; };
limits = { headers = "many"; };
timeouts = { conect = "3s"; drain = "30"; };
listeners = (
  { bind = "127.0.0.1:8080"; pool = "ap"; },
  { bind = "127.0.0.1"; pool = "app"; colour = "red"; }
);
routes = ( { path = "no-slash"; pool = "app"; } );
pools = (
  { name = "app"; strategy = "round_robbin"; backends = [ "127.0.0.1:9000" ]; },
  { name = "app"; backends = [ "127.0.0.1:9001" ]; }
);
"""
    done = check(text)
    out = done.stdout + done.stderr
    assert done.returncode == 1
    for line, words in [(1, ["daemon.workers", "5000"]), (2, ["limits.headers"]), (3, ["timeouts.conect", "connect"]), (3, ["timeouts.drain", "30"]),
                        (5, ["pool", "ap", "app"]), (6, ["bind"]), (6, ["colour"]), (8, ["path", "no-slash"]), (10, ["round_robbin", "round_robin"]), (11, ["name", "app"])]:
        found = [x for x in out.split("\n") if f"proxy.conf:{line}:" in x and all(w in x for w in words)]
        assert found, f"nothing about {words} on line {line}:\n{out}"


# CONFIG.md's traps and more: text, what must be said, on which line
TRAP_TABLE = {
    "an_integer_over_32_bits": ('limits = { connections = 10000000000; };\n' + GOOD, ["connections", "10000000000"], 1),
    "an_integer_that_wraps_to_minus_one": ('limits = { connections = 4294967295; };\n' + GOOD, ["connections", "4294967295"], 1),
    "an_unknown_key": ("typo_unknown_key = true;\n" + GOOD, ["typo_unknown_key"], 1),
    "an_unknown_key_with_a_near_name": ("listners = ();\n" + GOOD, ["listners", "listeners"], 1),
    "a_comma_before_the_end_of_a_list": ('listeners = ( { bind = "127.0.0.1:8080"; pool = "app"; }, );\n' + GOOD.split("\n", 1)[1], ["extra comma"], 1),
    "a_comma_before_the_end_of_an_array": (GOOD.replace('"127.0.0.1:9000" ]', '"127.0.0.1:9000", ]'), ["extra comma"], 2),
    "an_unclosed_group": ("daemon = { workers = 1;\n" + GOOD, ["opened at line 1"], None),
    "an_unclosed_list": (GOOD + "routes = ( { path = \"/x\"; pool = \"app\"; }\n", ["opened at line 3"], None),
    "a_bare_unit": ("timeouts = { connect = 30s; };\n" + GOOD, ['"30s"'], 1),
    "a_number_for_a_duration": ("timeouts = { connect = 30; };\n" + GOOD, ["timeouts.connect"], 1),
    "a_string_for_a_bool": (GOOD.replace('pool = "app"; }', 'pool = "app"; via = "yes"; }'), ["via", "true"], 1),
    "a_string_for_a_number": ('limits = { headers = "100"; };\n' + GOOD, ["limits.headers"], 1),
    "a_number_for_a_string": (GOOD.replace('name = "app"', "name = 5"), ["name"], 2),
    "a_duplicate_name": (GOOD.replace("} );\n", '}, { name = "web"; bind = "127.0.0.1:1"; pool = "app"; }, { name = "web"; bind = "127.0.0.1:2"; pool = "app"; } );\n', 1), ["web"], 1),
    "a_duplicate_address": (GOOD.replace("} );\n", '}, { name = "b"; bind = "127.0.0.1:8080"; pool = "app"; } );\n', 1), ["127.0.0.1:8080"], 1),
    "a_missing_semicolon_is_no_problem_but_a_missing_value_is": ("daemon = ;\n" + GOOD, [":1:"], 1),
    "a_pool_that_is_not_there": (GOOD.replace('pool = "app"', 'pool = "nope"'), ["nope"], 1),
    "a_backend_without_port": (GOOD.replace("127.0.0.1:9000", "127.0.0.1"), ["127.0.0.1", "port"], 2),
    "a_backend_by_name": (GOOD.replace("127.0.0.1:9000", "app.example:80"), ["app.example"], 2),
    "a_port_out_of_range": (GOOD.replace("9000", "90000"), ["90000"], 2),
    "an_empty_pool": (GOOD.replace('[ "127.0.0.1:9000" ]', "[ ]"), ["backends", "empty"], 2),
    "no_listener": (GOOD.split("\n", 1)[1], ["listeners"], None),
    "a_route_that_does_nothing": (GOOD + 'routes = ( { path = "/x"; } );\n', ["routes", "pool", "respond", "redirect"], 3),
    "a_route_that_does_two_things": (GOOD + 'routes = ( { path = "/x"; pool = "app"; respond = { body = "x"; }; } );\n', ["respond", "pool"], 3),
    "a_star_in_the_middle_of_a_path": (GOOD + 'routes = ( { path = "/a/*/b"; pool = "app"; } );\n', ["/a/*/b"], 3),
    "a_bad_header_rule": (GOOD.replace('pool = "app"; }', 'pool = "app"; request_headers = [ "put X: y" ]; }'), ["put X: y"], 1),
    "a_header_rule_that_breaks_the_framing": (GOOD.replace('pool = "app"; }', 'pool = "app"; request_headers = [ "set Content-Length: 5" ]; }'), ["Content-Length"], 1),
    "a_header_rule_that_splits_the_answer": (GOOD.replace('pool = "app"; }', 'pool = "app"; response_headers = [ "set X: a\\r\\nY: b" ]; }'), ["response_headers"], 1),
    "a_network_that_is_none": ('daemon = { trusted_proxies = [ "10.0.0.0/64" ]; };\n' + GOOD, ["trusted_proxies"], 1),
    "an_error_page_that_is_missing": ('error_pages = ( { status = 503; file = "/no/such/page.html"; } );\n' + GOOD, ["/no/such/page.html"], 1),
    "a_status_that_is_no_error": ('error_pages = ( { status = 200; file = "/etc/hostname"; } );\n' + GOOD, ["200"], 1),
    "tcp_without_a_pool": ('listeners = ( { bind = "127.0.0.1:8080"; mode = "tcp"; } );\n' + GOOD.split("\n", 1)[1], ["pool"], 1),
    "a_word_that_is_none": (GOOD.replace('pool = "app"; }', 'pool = "app"; mode = "htpp"; }'), ["htpp", "http"], 1),
    "a_nul_byte": (GOOD + "\x00", ["NUL"], None),
}


@pytest.mark.parametrize("name", TRAP_TABLE)
def test_a_mistake_is_told_with_place_and_remedy(check, name):
    text, words, line = TRAP_TABLE[name]
    done = check(text)
    out = done.stdout + done.stderr
    assert done.returncode == 1, out
    for w in words:
        assert w in out, f"{w!r} is not in:\n{out}"
    if line is not None:
        assert f"proxy.conf:{line}:" in out, out
    else:
        assert re.search(r"proxy\.conf(:\d+)?:", out), out


@pytest.mark.parametrize("name", TRAP_TABLE)
def test_a_start_with_a_mistake_says_the_same_and_exits(check, name, tmp_path):
    text, words, _ = TRAP_TABLE[name]
    path = tmp_path / "proxy.conf"
    path.write_text(text)
    done = run("-c", str(path))
    assert done.returncode == 1
    assert all(w in done.stderr for w in words), done.stderr


def test_a_pool_that_nobody_uses_is_a_warning(check):
    done = check(GOOD.replace("pools = (", 'pools = ( { name = "spare"; backends = [ "127.0.0.1:1" ]; }, '))
    assert done.returncode == 0 and "spare" in done.stdout + done.stderr


def test_a_route_that_can_never_match_is_a_warning(check):
    done = check(GOOD + 'routes = ( { name = "all"; path = "/*"; pool = "app"; }, { name = "hidden"; path = "/x"; pool = "app"; } );\n')
    assert done.returncode == 0 and "hidden" in done.stdout + done.stderr and "all" in done.stdout + done.stderr


def test_an_include_is_found_beside_the_file_and_its_errors_have_its_name(check, tmp_path):
    (tmp_path / "pools.inc").write_text('pools = ( { name = "app"; backends = [ "127.0.0.1:9000" ]; nope = 1; } );\n')
    done = check('@include "pools.inc"\n' + GOOD.split("\n", 1)[0] + "\n")
    assert done.returncode == 1 and "pools.inc:1:" in done.stdout + done.stderr


def test_an_include_dir_is_read_in_order(check, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10-pools.conf").write_text('pools = ( { name = "app"; backends = [ "127.0.0.1:9000" ]; } );\n')
    (tmp_path / "conf.d" / "20-bad.conf").write_text("routes = ( { pth = \"/x\"; pool = \"app\"; } );\n")
    (tmp_path / "conf.d" / "ignored.txt").write_text("not a configuration\n")
    done = check('include_dir = "conf.d";\n' + GOOD.split("\n", 1)[0] + "\n")
    assert done.returncode == 1 and "20-bad.conf:1:" in done.stdout + done.stderr and "path" in done.stdout + done.stderr
    (tmp_path / "conf.d" / "20-bad.conf").unlink()
    assert check('include_dir = "conf.d";\n' + GOOD.split("\n", 1)[0] + "\n").returncode == 0


def test_a_file_that_is_not_there_is_told(tmp_path):
    done = run("-t", "-c", str(tmp_path / "none.conf"))
    assert done.returncode == 1 and "none.conf" in done.stderr + done.stdout


def test_a_folder_for_a_file_is_told(tmp_path):
    done = run("-t", "-c", str(tmp_path))
    assert done.returncode == 1 and str(tmp_path) in done.stderr + done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    path = tmp_path / "secret.conf"
    path.write_text(GOOD)
    path.chmod(0)
    done = run("-t", "-c", str(path))
    assert done.returncode == 1 and "secret.conf" in done.stderr + done.stdout


def test_a_file_of_random_bytes_is_refused_without_a_crash(tmp_path):
    path = tmp_path / "random.conf"
    for i in range(10):
        path.write_bytes(os.urandom(1 << i))
        done = run("-t", "-c", str(path))
        assert done.returncode == 1, done.stderr


@pytest.mark.parametrize("text", ["(" * 100000, "{" * 100000, "a = " + "(" * 50000 + ")" * 50000 + ";", "a = \"" + "x" * 1000000 + "\";", "/*" * 10000],
                         ids=["parens", "braces", "nested", "long", "comments"])
def test_a_deep_or_long_file_is_refused_without_a_crash(check, text):
    done = check(text)
    assert done.returncode == 1, done.returncode


def test_a_port_in_use_stops_the_start_and_names_the_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    port = s.getsockname()[1]
    w = Weir(simple("127.0.0.1:1", listener={"bind": f"127.0.0.1:{port}"}), expect_exit=None)
    w.spawn()
    try:
        assert w.wait_exit() == 1
        assert str(port) in w.stderr() and "use" in w.stderr(), w.stderr()
        assert "READY=1" not in w.notify.lines()
    finally:
        if w.alive():
            w.proc.kill()
        w.clean()
        s.close()


def test_an_address_that_is_not_ours_stops_the_start():
    w = Weir(simple("127.0.0.1:1", listener={"bind": f"192.0.2.1:{free_port()}"}), expect_exit=None)
    w.spawn()
    try:
        assert w.wait_exit() == 1 and "192.0.2.1" in w.stderr()
    finally:
        if w.alive():
            w.proc.kill()
        w.clean()


def test_a_control_socket_that_cannot_be_made_stops_the_start():
    w = Weir(simple("127.0.0.1:1", daemon={"control": "/no/such/folder/ctl.sock"}), expect_exit=None)
    w.spawn()
    try:
        assert w.wait_exit() == 1 and "/no/such/folder/ctl.sock" in w.stderr()
    finally:
        if w.alive():
            w.proc.kill()
        w.clean()


def test_the_example_file_is_good():
    path = os.path.join(ROOT, "proxy.conf.example")
    if not os.path.exists(path):
        pytest.skip("no proxy.conf.example yet")
    done = run("-t", "-c", path)
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_file_of_ten_thousand_routes_is_checked_in_a_moment(tmp_path):
    path = tmp_path / "big.conf"
    path.write_text(conf_text({"listeners": [{"bind": "127.0.0.1:8080"}],
                               "routes": [{"name": f"r{i}", "path": f"/p{i}/*", "host": [f"h{i}.example"], "pool": "app"} for i in range(10000)],
                               "pools": [{"name": "app", "backends": ["127.0.0.1:9000"]}]}))
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])  # its own time, not that of a busy machine
    before = used()
    done = run("-t", "-c", str(path), timeout=30)
    assert done.returncode == 0, done.stderr[:2000]
    assert used() - before < 3 * STRETCH
