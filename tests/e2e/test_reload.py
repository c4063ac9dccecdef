"""A reload touches only what changed; nobody who is being served notices."""
import copy
import os
import signal
import socket
import threading

import pytest

from conftest import simple
from lib.backend import answering
from lib.client import Client
from lib.timing import STRETCH, eventually, ms
from lib.weir import free_port


def conf_of(w):
    return copy.deepcopy(w.conf)


# -- a bad file -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["ctl", "sighup"])
def test_a_bad_file_changes_nothing(pair, how):
    w, b = pair()
    with w.client() as c:
        assert c.request("GET", "/").status == 200
        bad = w.text.replace("pools", "pulls")
        with open(w.path, "w") as f:
            f.write(bad)
        if how == "ctl":
            done = w.ctl("reload")
            assert done.returncode != 0 and "pulls" in done.stdout + done.stderr
        else:
            w.signal(signal.SIGHUP)
            eventually(lambda: "pulls" in w.stderr(), what="the error in the log")
        assert c.request("GET", "/").status == 200
    assert w.get("/").status == 200
    assert w.metric("weir_reloads_total", result="failed") >= 1


@pytest.mark.parametrize("text", ["", "listeners = (", "\x00\x01", "listeners = ( { bind = \"127.0.0.1:99999\"; } );"])
def test_files_of_all_kinds_of_badness_change_nothing(pair, text):
    w, b = pair()
    with open(w.path, "w") as f:
        f.write(text)
    done = w.ctl("reload")
    assert done.returncode != 0 and (done.stdout + done.stderr).strip()
    assert w.get("/").status == 200


def test_a_port_that_is_taken_changes_nothing_and_is_told(pair):
    w, b = pair()
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    conf = conf_of(w)
    conf["listeners"].append({"name": "second", "bind": f"127.0.0.1:{port}", "pool": "app"})
    conf["routes"] = [{"name": "r", "respond": {"status": 200, "body": "new"}}]
    w.write_conf(conf)
    done = w.ctl("reload")
    assert done.returncode != 0 and str(port) in done.stdout + done.stderr
    assert w.get("/").body == b"ok", "half of the new configuration is in effect"
    taken.close()


def test_a_file_that_is_gone_changes_nothing(pair):
    w, b = pair()
    os.unlink(w.path)
    done = w.ctl("reload")
    assert done.returncode != 0
    assert w.get("/").status == 200


# -- what a reload changes ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["ctl", "sighup"])
def test_a_new_route_is_in_effect_when_the_reload_returns(pair, how):
    w, b = pair()
    conf = conf_of(w)
    conf["routes"] = [{"name": "new", "path": "/new", "respond": {"status": 200, "body": "new"}}]
    with w.client() as c:
        assert c.request("GET", "/new").body == b"ok"
        w.reload(conf, how)
        assert c.request("GET", "/new").body == b"new", "a kept connection goes on with the old file"
    assert w.get("/new").body == b"new"


def test_a_new_listener_serves_and_an_old_one_stops_taking_connections(pair):
    w, b = pair()
    old = w.address()
    conf = conf_of(w)
    conf["listeners"] = [{"name": "other", "bind": f"127.0.0.1:{free_port()}", "pool": "app"}]
    w.reload(conf)
    assert w.get("/", listener="other").status == 200
    with pytest.raises(OSError):
        Client(old)


def test_a_removed_listener_finishes_what_it_has(pair):
    go = threading.Event()
    w, b = pair(lambda conn: (conn.read_request(), conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"), go.wait(20), conn.send(b"done")))
    c = w.client()
    c.ask("GET", "/")
    head = c.answer_head()
    assert head.stream.piece() == b"half"
    conf = conf_of(w)
    conf["listeners"] = [{"name": "other", "bind": f"127.0.0.1:{free_port()}", "pool": "app"}]
    w.reload(conf)
    go.set()
    assert head.stream.piece() == b"done"
    c.close()


def test_an_unchanged_listener_keeps_its_socket_and_its_connections(pair):
    w, b = pair()
    with w.client() as c:
        c.request("GET", "/")
        for _ in range(5):
            w.reload()
            assert c.request("GET", "/").status == 200
        waiting = w.client()
        assert waiting.request("GET", "/").status == 200
        waiting.close()


def test_a_listener_may_change_its_pool_and_settings_and_keep_its_socket(weir, backend):
    a, b = backend(answering(b"a")), backend(answering(b"b"))
    conf = {"listeners": [{"name": "web", "pool": "a"}], "pools": [{"name": "a", "backends": [a]}, {"name": "b", "backends": [b]}]}
    w = weir(conf)
    with w.client() as c:
        assert c.request("GET", "/").body == b"a"
        new = copy.deepcopy({"listeners": [{"name": "web", "pool": "b", "response_headers": ["set X-New: 1"]}]})
        new["pools"] = [{"name": "a", "backends": [a]}, {"name": "b", "backends": [b]}]
        w.reload(new)
        res = c.request("GET", "/")
        assert (res.body, res.get("x-new")) == (b"b", "1")


def test_a_listener_may_change_its_mode(weir, backend):
    b = backend(answering(b"http"))
    e = backend(lambda conn: conn.send(conn.read_exactly(4)))
    pools = [{"name": "app", "backends": [b]}, {"name": "echo", "backends": [e]}]
    w = weir({"listeners": [{"name": "web", "pool": "app"}], "pools": pools})
    assert w.get("/").body == b"http"
    w.reload({"listeners": [{"name": "web", "mode": "tcp", "pool": "echo"}], "pools": pools})
    with w.client() as c:
        c.send(b"ping")
        assert c.read_exactly(4) == b"ping"


def test_an_added_backend_gets_requests_and_a_removed_one_no_more(weir, backend):
    a, b, c = backend(answering(b"a")), backend(answering(b"b")), backend(answering(b"c"))
    w = weir(simple(a, b))
    assert {w.get("/").body for _ in range(6)} == {b"a", b"b"}
    w.reload(simple(b, c))
    n = len(a.requests)
    assert {w.get("/").body for _ in range(12)} == {b"b", b"c"}
    assert len(a.requests) == n


def test_a_removed_backend_finishes_what_it_has_and_is_let_go(weir, backend):
    go = threading.Event()
    a = backend(lambda conn: (conn.read_request(), go.wait(20), conn.answer(200, b"slow"), conn.at_end()))
    b = backend(answering(b"b"))
    w = weir(simple(a))
    c = w.client()
    c.ask("GET", "/")
    eventually(lambda: a.requests)
    w.reload(simple(b))
    assert w.get("/").body == b"b"
    go.set()
    assert c.answer().body == b"slow"
    c.close()
    eventually(lambda: not a.open, what="the connections to the removed backend being closed")


def test_idle_connections_to_an_unchanged_backend_are_kept(pair):
    w, b = pair(daemon={"workers": 1})
    w.get("/")
    for _ in range(5):
        w.reload()
        assert w.get("/").status == 200
    assert b.connections == 1


def test_the_balance_goes_on_where_it_was(weir, backend):
    backends = [backend(answering(b"%d" % i)) for i in range(3)]
    w = weir(simple(*backends, daemon={"workers": 1}))
    got = []
    for i in range(9):
        got.append(w.get("/").body)
        w.reload()
    assert sorted(got) == sorted([b"0", b"1", b"2"] * 3), f"each reload starts at the first backend again: {got}"


def test_counters_live_on(pair):
    w, b = pair()
    for _ in range(5):
        w.get("/")
    before = w.metric("weir_backend_requests_total", backend=b.text)
    w.reload()
    assert w.metric("weir_requests_total", code=200) >= 5
    assert w.metric("weir_backend_requests_total", backend=b.text) == before == 5


def test_weights_change_with_a_reload(weir, backend):
    a, b = backend(answering(b"a")), backend(answering(b"b"))
    w = weir(simple({"address": a, "weight": 1}, {"address": b, "weight": 1}))
    w.reload(simple({"address": a, "weight": 0}, {"address": b, "weight": 1}))
    assert {w.get("/").body for _ in range(6)} == {b"b"}


def test_timeouts_and_limits_change_with_a_reload(pair):
    w, b = pair()
    conf = conf_of(w)
    conf["timeouts"] = {"request_header": ms(1000)}
    conf["limits"] = {"request_body": "10"}
    w.reload(conf)
    with w.client() as c:
        c.send(b"GET / HTTP/1.1\r\n")
        assert c.answer().status == 408
    assert w.request("POST", "/", body=b"x" * 100).status == 413


def test_the_access_log_may_move_with_a_reload(pair):
    w, b = pair()
    w.get("/old")
    eventually(lambda: len(w.access()) == 1)
    conf = conf_of(w)
    conf["log"] = {"access": w.access_path + ".new", "format": "json"}
    w.reload(conf)
    w.get("/new")
    eventually(lambda: [e["target"] for e in w.access(w.access_path + ".new")] == ["/new"])
    assert [e["target"] for e in w.access()] == ["/old"]


def test_a_pool_may_be_renamed_under_a_running_request(weir, backend):
    go = threading.Event()
    b = backend(lambda conn: [(go.wait(20), conn.answer(200, b"x")) for _ in iter(conn.read_request, None)])
    w = weir(simple(b))
    c = w.client()
    c.ask("GET", "/")
    eventually(lambda: b.requests)
    w.reload({"listeners": [{"name": "web", "pool": "renamed"}], "pools": [{"name": "renamed", "backends": [b]}]})
    go.set()
    assert c.answer().body == b"x"
    assert c.request("GET", "/").body == b"x"
    c.close()


def test_an_open_tunnel_lives_through_reloads_that_remove_its_route_listener_and_pool(weir, fast_backend):
    a, b = fast_backend("a"), fast_backend("b")
    w = weir(simple(a))
    c = w.client()
    c.ask("GET", "/", headers={"Connection": "upgrade", "Upgrade": "echo"})
    assert c.answer_head().status == 101
    w.reload({"listeners": [{"name": "other", "pool": "q"}], "pools": [{"name": "q", "backends": [b]}]})
    for i in range(10):
        c.send(b"still %d" % i)
        assert c.read_exactly(len(b"still %d" % i)) == b"still %d" % i
        w.reload()
    c.close()


def test_a_request_that_is_being_sent_is_served_whole_whatever_reloads_come(pair):
    w, b = pair()
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\n")
        w.reload()
        c.send(b"Content-Length: 10\r\n\r\nhello")
        w.reload()
        c.send(b"world")
        assert c.answer().status == 200
    assert b.requests[0].body == b"helloworld"


# -- systemd --------------------------------------------------------------------------------------------------------------
def test_sighup_tells_systemd_reloading_then_ready(pair):
    w, b = pair()
    n = len(w.notify.messages)
    w.reload(how="sighup")
    lines = w.notify.lines()[n:]
    assert "RELOADING=1" in lines and any(x.startswith("MONOTONIC_USEC=") for x in lines)
    assert lines.index("RELOADING=1") < len(lines) - 1 - lines[::-1].index("READY=1")


def test_a_failed_reload_ends_in_ready_as_well(pair):
    w, b = pair()
    before = w.notify.count("READY=1")
    with open(w.path, "w") as f:
        f.write("nonsense")
    w.signal(signal.SIGHUP)
    eventually(lambda: w.notify.count("READY=1") > before, what="READY=1 although the reload failed")
    assert w.get("/").status == 200


# -- under load -----------------------------------------------------------------------------------------------------------
def variants(a, b, c, web, extra):
    """Configurations that add, remove and change listeners, routes and backends around the same `web` listener."""
    listener = {"name": "web", "bind": web, "pool": "app"}
    yield {"listeners": [listener], "pools": [{"name": "app", "backends": [a, b]}]}
    yield {"listeners": [listener, {"name": "extra", "bind": extra, "pool": "app"}], "pools": [{"name": "app", "backends": [a, b, c]}]}
    yield {"listeners": [{**listener, "response_headers": ["set X-V: 3"]}], "pools": [{"name": "app", "backends": [b, c]}],
           "routes": [{"name": "r", "path": "/never", "respond": {"status": 200, "body": "r"}}]}
    yield {"listeners": [listener, {"name": "raw", "bind": extra, "mode": "tcp", "pool": "other"}],
           "pools": [{"name": "app", "backends": [{"address": a, "weight": 3}, {"address": c}]}, {"name": "other", "backends": [b]}]}
    yield {"listeners": [{**listener, "pool": "renamed"}], "pools": [{"name": "renamed", "backends": [a, b, c], "keepalive": {"idle": 4}}],
           "timeouts": {"client_idle": "60s"}, "limits": {"headers": 200}}


def reload_under_load(weir, fast_backend, load, times, how):
    a, b, c = (fast_backend(x) for x in "abc")
    web, extra = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    confs = list(variants(a, b, c, web, extra))
    w = weir(confs[0])
    x = load(w.address(), keep=4, fresh=3, posts=2, uploads=1, downloads=1, tunnels=2, pace=0.005)
    eventually(lambda: w.metric("weir_requests_total", code=200) > 50, 10)
    for i in range(times):
        w.reload(confs[i % len(confs)], how)
    report = x.stop(40)
    assert report["failed"] == [], report["failed"][:10]
    assert all(report["ok"].get(k) for k in ("keep", "fresh", "post", "upload", "download", "tunnel")), report["ok"]
    assert set(report["names"]) == {"a", "b", "c"}
    return w, report


@pytest.mark.parametrize("how", ["ctl", "sighup"])
def test_a_hundred_reloads_under_load_disturb_nobody(weir, fast_backend, load, how):
    reload_under_load(weir, fast_backend, load, 100 if how == "ctl" else 30, how)


@pytest.mark.no_sanitizer  # which keeps freed memory; LeakSanitizer looks at every test's end
def test_memory_is_the_same_after_many_reloads(pair):
    memory_after(pair, 600, 100)


@pytest.mark.slow
@pytest.mark.no_sanitizer
def test_memory_is_the_same_after_ten_thousand_reloads(pair):
    memory_after(pair, 10000, 500)


def memory_after(pair, times, warm):
    """Reloads over the control socket itself: 10,000 processes would measure the shell."""
    w, b = pair()
    conf = conf_of(w)
    conf["routes"] = [{"name": f"r{i}", "path": f"/r{i}", "pool": "app"} for i in range(50)]
    w.reload(conf)

    def some(n):
        done = w.metric("weir_reloads_total", result="ok")
        for _ in range(n):
            before = w.notify.count("READY=1")
            w.signal(signal.SIGHUP)
            eventually(lambda: w.notify.count("READY=1") > before, 5, every=0.0005)
        assert w.metric("weir_reloads_total", result="ok") == done + n
        assert w.get("/").status == 200
    some(warm)
    before, fds = w.rss(), w.fds()
    some(times)
    eventually(lambda: w.fds() <= fds + 4)
    eventually(lambda: w.rss() - before < (1024 << 10) * STRETCH * STRETCH, what=f"as much memory as before {times} reloads")


def test_signals_in_quick_succession_end_in_the_last_file(pair):
    w, b = pair()
    conf = conf_of(w)
    for i in range(30):
        conf["routes"] = [{"name": "r", "path": "/r", "respond": {"status": 200, "body": str(i)}}]
        w.write_conf(conf)
        w.signal(signal.SIGHUP)
    eventually(lambda: w.get("/r").body == b"29", what="the last file being in effect")


def test_reloads_and_requests_by_many_at_once_are_all_answered(pair):
    w, b = pair()
    results = []

    def reloader():
        for _ in range(10):
            results.append(w.ctl("reload").returncode)
    threads = [threading.Thread(target=reloader) for _ in range(3)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        assert w.get("/").status == 200
    assert results == [0] * 30
