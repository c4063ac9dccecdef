"""Health checks end to end: who is out and why, who is back, what a reload keeps, and how a new one begins."""
import collections
import os
import re
import signal
import socket
import time

import pytest

from conftest import simple
from lib.backend import answering, two_of_a_port
from lib.timing import STRETCH, eventually, ms

ONE = {"daemon": {"workers": 1}}
QUICK = {"interval": ms(50), "fast_interval": ms(20), "down_interval": ms(100), "timeout": ms(2000), "rise": 2, "fall": 2}


def http(path="/healthz", **kw):
    return {"type": "http", "path": path, **QUICK, **kw}


def switch(name, health):
    """Answers with its name; /healthz with the status health[0]; None: not at all.  What was asked of it is in .requests."""
    def handler(conn):
        while (req := conn.read_request()) is not None:
            if req.target == "/healthz":
                if health[0] is None:
                    time.sleep(30)
                    return
                conn.answer(health[0], b"as you see")
            else:
                conn.answer(200, name)
    return handler


def state(w, b):
    for (name, labels), value in w.metrics().items():
        if name == "weir_backend_state" and dict(labels).get("backend") == str(b) and value == 1:
            return dict(labels)["state"]
    return None


def changes(w, b):
    found = re.findall(r"backend\.state pool=\S+ backend=(\S+) from=(\S+) to=(\S+) reason=(\S+)", w.stderr())
    return [(x, y, why) for (name, x, y, why) in found if name == str(b)]


def spread(w, n):
    return collections.Counter(w.get("/").body for _ in range(n))


def checks(b):
    return sum(r.target == "/healthz" for r in b.requests)


# -- down and up ----------------------------------------------------------------------------------------------------------
def test_a_backend_whose_check_fails_is_out_and_one_whose_check_passes_is_back(weir, backend):
    health = [200]
    a, b = backend(answering(b"a")), backend(switch(b"b", health))
    w = weir(simple(a, b, pool={"health": http()}, **ONE))
    assert set(spread(w, 4)) == {b"a", b"b"}
    health[0] = 500
    eventually(lambda: state(w, b) == "down")
    assert changes(w, b)[-1][:2] == ("up", "down") and "status 500" in w.stderr()
    assert spread(w, 10) == {b"a": 10}
    health[0] = 200
    eventually(lambda: state(w, b) == "up")
    assert set(spread(w, 4)) == {b"a", b"b"}


def test_one_failure_is_not_enough(weir, backend):
    count = [0]

    def every_second(conn):
        while (req := conn.read_request()) is not None:
            count[0] += 1
            conn.answer(500 if req.target == "/healthz" and count[0] % 2 else 200, b"b")
    b = backend(every_second)
    w = weir(simple(backend(answering(b"a")), b, pool={"health": http(fall=2)}, **ONE))
    eventually(lambda: count[0] > 15)
    assert [c for c in changes(w, b) if c[1] == "down"][1:] == []  # the very first result decides alone


def test_a_backend_that_does_not_answer_its_check_is_down(weir, backend):
    health = [200]
    b = backend(switch(b"b", health))
    w = weir(simple(backend(answering(b"a")), b, pool={"health": http(timeout=ms(100))}, **ONE))
    eventually(lambda: checks(b) > 0)
    health[0] = None
    eventually(lambda: state(w, b) == "down", 15)
    assert changes(w, b)[-1][2] == "timeout"


def test_probes_are_counted_by_what_came_of_them(weir, backend, refusing):
    health = [503]
    w = weir(simple(backend(switch(b"a", health)), backend(answering(b"b")), refusing, pool={"health": http()}, **ONE))
    for result in ("ok", "status", "refused"):
        eventually(lambda: w.metric("weir_health_probes_total", result=result) > 2, what=result)
    assert w.metric("weir_health_probes_total", result="timeout") == 0


def test_a_stopped_process_is_down(weir, fast_backend):
    a, b = fast_backend("a"), fast_backend("b")
    w = weir(simple(a, b, pool={"health": http("/", timeout=ms(700))}, **ONE))
    eventually(lambda: state(w, b) == "up" and "ok" in w.ctl("backends").stdout)
    os.kill(b.proc.pid, signal.SIGSTOP)
    try:
        eventually(lambda: state(w, b) == "down", 15)
        assert spread(w, 10) == {b"a": 10}
    finally:
        os.kill(b.proc.pid, signal.SIGCONT)
    eventually(lambda: state(w, b) == "up", 15)


def test_a_tcp_check_needs_no_more_than_a_connection(weir, backend):
    s, held = two_of_a_port(socket.AF_INET, "127.0.0.1")
    s.listen(100)
    name = "127.0.0.1:%d" % s.getsockname()[1]
    w = weir(simple(backend(answering(b"a")), name, pool={"health": QUICK}, **ONE))
    eventually(lambda: "ok" in [line for line in w.ctl("backends").stdout.splitlines() if name in line][0])
    assert state(w, name) == "up"
    s.close()
    eventually(lambda: state(w, name) == "down")
    assert changes(w, name)[-1][2] == "refused"
    held.close()


def test_a_check_that_passes_ends_what_live_requests_had_found(weir, backend):
    s, held = two_of_a_port(socket.AF_INET, "127.0.0.1")
    s.listen(100)
    name = "127.0.0.1:%d" % s.getsockname()[1]
    w = weir(simple(backend(answering(b"a")), name, pool={"health": {**QUICK, "interval": "1h", "fast_interval": ms(20)}}, **ONE))
    eventually(lambda: "ok" in [line for line in w.ctl("backends").stdout.splitlines() if name in line][0])
    s.close()
    assert spread(w, 4) == {b"a": 4}
    eventually(lambda: state(w, name) == "down")
    failed = lambda: int(re.search(rf"{name} .* (\d+) of \d+ failed", w.ctl("backends").stdout)[1])
    eventually(lambda: failed() >= 15, 20)  # by now the backend is tried rarely for the refusal's sake
    held.listen(100)
    eventually(lambda: state(w, name) == "up")
    assert [x[:2] for x in changes(w, name)] == [("up", "refusing"), ("refusing", "down"), ("down", "up")]
    held.close()


def test_a_check_may_ask_at_another_port(weir, backend):
    health, told = [200], []
    a, b = backend(answering(b"a")), backend(answering(b"b"))
    checked = backend(switch(b"", health))
    w = weir(simple(b, pool={"health": http(port=int(str(checked).rsplit(":", 1)[1])), "outlier": {"panic": 0}}, **ONE))
    eventually(lambda: checks(checked) > 1)
    health[0] = 503
    eventually(lambda: state(w, b) == "down")
    assert w.get("/").status == 503
    assert a.requests == told


def test_the_first_result_decides_alone(weir, backend):
    b = backend(switch(b"b", [500]))
    w = weir(simple(backend(answering(b"a")), b, pool={"health": http(fall=10, fast_interval="1h", down_interval="1h")}, **ONE))
    eventually(lambda: state(w, b) == "down")
    assert checks(b) <= 2


def test_with_all_checks_failing_all_are_used_unless_panic_is_off(weir, backend):
    a = backend(switch(b"a", [500]))
    w = weir(simple(a, pool={"health": http()}, **ONE))
    eventually(lambda: state(w, a) == "down")
    assert w.get("/").body == b"a" and w.metric("weir_pool_panic", pool="app") == 1
    w.reload(simple(a, pool={"health": http(), "outlier": {"panic": 0}}, **ONE))
    eventually(lambda: w.get("/").status == 503)


def test_one_probe_whatever_the_number_of_workers(weir, backend):
    b = backend(switch(b"b", [200]))
    weir(simple(b, pool={"health": http(interval="200ms", jitter=0)}, daemon={"workers": 4}))
    eventually(lambda: checks(b) >= 1)
    began, before = time.monotonic(), checks(b)
    time.sleep(1)  # a rate can only be seen over time
    assert checks(b) - before <= (time.monotonic() - began) / 0.2 + 2


def test_live_traffic_that_succeeds_stretches_the_interval(weir, backend):
    b = backend(switch(b"b", [200]))
    w = weir(simple(b, pool={"health": http(interval="100ms", jitter=0)}, **ONE))
    eventually(lambda: checks(b) >= 2)
    began, before = time.monotonic(), checks(b)
    while time.monotonic() < began + 1.5:
        assert w.get("/").status == 200
    assert checks(b) - before <= (time.monotonic() - began) / 0.2 + 2  # between one each 0.1 s and one each 0.3 s


# -- reload ---------------------------------------------------------------------------------------------------------------
def test_health_lives_on_over_a_reload_when_the_check_asks_the_same(weir, backend):
    health = [500]
    b = backend(switch(b"b", health))
    conf = simple(backend(answering(b"a")), b, pool={"health": http(down_interval="1h", interval="30m", fast_interval="1h")}, **ONE)
    w = weir(conf)
    eventually(lambda: state(w, b) == "down")
    for _ in range(3):
        w.reload(conf)
        assert state(w, b) == "down"
        assert spread(w, 4) == {b"a": 4}


def test_another_check_begins_anew(weir, backend):
    b = backend(switch(b"b", [500]))
    a = backend(answering(b"a"))
    w = weir(simple(a, b, pool={"health": http()}, **ONE))
    eventually(lambda: state(w, b) == "down")
    w.reload(simple(a, b, pool={"health": http("/")}, **ONE))
    eventually(lambda: state(w, b) == "up")
    w.reload(simple(a, b, pool={"health": http()}, **ONE))
    eventually(lambda: state(w, b) == "down")
    w.reload(simple(a, b, **ONE))
    assert state(w, b) == "up"


def test_a_backend_that_a_reload_adds_is_probed_before_it_gets_traffic(weir, backend):
    health = [None]
    a, b = backend(answering(b"a")), backend(switch(b"b", health))
    w = weir(simple(a, pool={"health": http(timeout=ms(1000))}, **ONE))
    eventually(lambda: "ok" in w.ctl("backends").stdout)
    w.reload(simple(a, b, pool={"health": http(timeout=ms(1000))}, **ONE))
    assert state(w, b) in ("checking", "down")
    assert spread(w, 10) == {b"a": 10}
    health[0] = 200
    eventually(lambda: state(w, b) == "up")
    assert set(spread(w, 4)) == {b"a", b"b"}


# -- slow start -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("strategy", ["round_robin", "random", "least_conn"])
def test_a_backend_that_has_come_back_warms_up(weir, backend, strategy):
    health = [200]
    a, b = backend(answering(b"a")), backend(switch(b"b", health))
    slow = 4 if STRETCH == 1 else 8
    w = weir(simple(a, b, pool={"strategy": strategy, "health": http(slow_start=f"{slow}s")}, **ONE))
    assert state(w, b) == "up"  # not at the start of the process
    health[0] = 500
    eventually(lambda: state(w, b) == "down")
    health[0] = 200
    eventually(lambda: state(w, b) == "warming_up")
    with w.client() as c:  # quickly: its share grows with time
        early = collections.Counter(c.request("GET", "/").body for _ in range(60))
    eventually(lambda: state(w, b) == "up", slow + 5)
    late = spread(w, 60)
    assert early[b"b"] < 22 and late[b"b"] >= (25 if strategy == "round_robin" else 8), (early, late)


# -- what is shown --------------------------------------------------------------------------------------------------------
def test_the_listing_tells_what_the_check_said(weir, backend):
    b = backend(switch(b"b", [418]))
    w = weir(simple(backend(answering(b"a")), b, pool={"health": http()}, **ONE))
    eventually(lambda: re.search(rf"{b} +down .*status .*418", w.ctl("backends").stdout))


def test_requests_that_hang_do_not_stretch_the_interval(weir, backend):
    def hangs(conn):
        while (req := conn.read_request()) is not None:
            if req.target != "/healthz":
                return conn.read_all()
            conn.answer(200, b"")
    b = backend(hangs)
    w = weir(simple(b, pool={"health": http(interval=ms(500), jitter=0)}, **ONE))
    hanging = []

    def another_begins():
        hanging.append(w.client())
        hanging[-1].send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")

    def seen(n):
        another_begins()
        return checks(b) >= n
    eventually(lambda: seen(1))
    before = checks(b)
    eventually(lambda: seen(before + 6), 6.5, what="six intervals", every=0.1)  # stretched they would take nine seconds
    for c in hanging:
        c.close()
