"""Live requests take a backend out and it comes back: refused connections, failures in a row, by ratio; panic; the operator's word."""
import collections
import re
import socket
import threading

from conftest import simple
from lib.backend import answering
from lib.timing import eventually, stays

ONE = {"daemon": {"workers": 1}}


def named(backend, n):
    return [backend(answering(b"%d" % i)) for i in range(n)]


def moody(status):
    """A handler whose status can be changed: status[0]."""
    def handler(conn):
        while conn.read_request() is not None:
            conn.answer(status[0], b"moody")
    return handler


def changes(w, address):
    """[(from, to, reason), ...] as the log tells them."""
    found = re.findall(r"backend\.state pool=\S+ backend=(\S+) from=(\S+) to=(\S+) reason=(\S+)", w.stderr())
    return [(a, b, why) for (name, a, b, why) in found if name == str(address)]


def ejections(w):
    """[(how many, seconds), ...] as the log tells them."""
    return [(int(n), float(s)) for s, n in re.findall(r"to=ejected \S+ for_s=(\S+) ejections=(\d+)", w.stderr())]


def state(w, address):
    for (name, labels), value in w.metrics().items():
        if name == "weir_backend_state" and dict(labels).get("backend") == str(address) and value == 1:
            return dict(labels)["state"]
    return None


def sends(w, n, **kw):
    """Statuses and bodies of n requests, counted; each is sent when what the one before told is known."""
    got = collections.Counter()
    for _ in range(n):
        res = w.get("/", **kw)
        got[(res.status, res.body)] += 1
        w.settle()
    return got


# -- refused connections --------------------------------------------------------------------------------------------------
def test_a_backend_that_refuses_is_out_after_one_connection_and_no_request_fails(weir, backend):
    a = backend(answering(b"a"))
    gone = socket.socket()
    gone.bind(("127.0.0.1", 0))
    name = "127.0.0.1:%d" % gone.getsockname()[1]
    w = weir(simple(a, name, **ONE))
    assert sends(w, 30) == {(200, b"a"): 30}
    assert w.metric("weir_upstream_connects_failed_total", reason="connect_refused") == 1
    eventually(lambda: changes(w, name) == [("up", "refusing", "connect_refused")])
    assert w.metric("weir_backend_up", backend=name) == 0 and state(w, name) == "refusing"
    gone.close()


def test_a_backend_that_refused_is_back_soon_after_it_listens(weir, backend):
    a = backend(answering(b"a"))
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    name = "127.0.0.1:%d" % s.getsockname()[1]
    w = weir(simple(a, name, **ONE))
    sends(w, 4)
    eventually(lambda: state(w, name) == "refusing")
    s.listen(10)
    eventually(lambda: state(w, name) == "up", what="the backend being up again")
    assert changes(w, name)[-1] == ("refusing", "up", "connected")
    s.close()


def test_the_last_one_is_never_taken_out(weir):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    name = "127.0.0.1:%d" % s.getsockname()[1]
    w = weir(simple(name, **ONE))
    assert [w.get("/").status for _ in range(3)] == [503] * 3
    assert w.metric("weir_upstream_connects_failed_total", reason="connect_refused") == 3
    assert state(w, name) == "up" and changes(w, name) == []
    s.close()


# -- failures -------------------------------------------------------------------------------------------------------------
def test_failures_in_a_row_eject_and_the_ejection_ends(weir, backend):
    status = [503]
    a, b = backend(answering(b"a")), backend(moody(status))
    w = weir(simple(a, b, pool={"outlier": {"consecutive": 3, "eject": "3s"}}, **ONE))
    got = sends(w, 12)
    assert got[(503, b"moody")] == 3 and got[(200, b"a")] == 9
    assert changes(w, b)[0] == ("up", "ejected", "consecutive_failures")
    status[0] = 200
    eventually(lambda: state(w, b) == "up", 10, what="the end of the ejection")
    assert changes(w, b)[-1] == ("ejected", "up", "ejection_over")
    assert sends(w, 10)[(200, b"moody")] == 5


def test_each_ejection_is_longer_than_the_one_before(weir, backend):
    b = backend(moody([503]))
    w = weir(simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 1, "eject": "1s", "eject_most": "20s"}}, **ONE))
    for n in range(1, 4):
        eventually(lambda: w.get("/").status == 503, 10)
        _, ejected_for = eventually(lambda: [e for e in ejections(w) if e[0] == n], what=f"ejection {n}")[-1]
        assert n - 1 < ejected_for <= n  # it is logged a little later than it began


def test_a_success_begins_the_count_anew(weir, backend):
    status = [503]
    a, b = backend(answering(b"a")), backend(moody(status))
    w = weir(simple(a, b, pool={"outlier": {"consecutive": 3, "ratio": 0}}, **ONE))
    for _ in range(4):
        status[0] = 503
        sends(w, 4)
        status[0] = 200
        sends(w, 2)
    assert changes(w, b) == []


def test_a_ratio_of_failures_ejects(weir, backend):
    turn = [0]

    def every_second(conn):
        while conn.read_request() is not None:
            turn[0] += 1
            conn.answer(503 if turn[0] % 2 else 200, b"half")
    b = backend(every_second)
    w = weir(simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 0, "ratio": 40, "least_requests": 10}}, **ONE))
    sends(w, 40)
    eventually(lambda: changes(w, b)[:1] == [("up", "ejected", "failure_ratio")])


def test_only_the_statuses_that_are_named_count(weir, backend):
    b = backend(moody([500]))
    w = weir(simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 1}}, **ONE))
    assert sends(w, 10)[(500, b"moody")] == 5
    assert changes(w, b) == []
    c = backend(moody([500]))
    w = weir(simple(backend(answering(b"a")), c, pool={"outlier": {"consecutive": 1, "statuses": "5xx"}}, **ONE))
    assert sends(w, 10)[(500, b"moody")] == 1


def test_no_more_than_a_share_is_ejected(weir, backend):
    bad = [backend(moody([503])) for _ in range(3)]
    w = weir(simple(backend(answering(b"a")), *bad, pool={"outlier": {"consecutive": 1, "max_ejected": 50, "eject": "1m"}}, **ONE))
    sends(w, 40)
    eventually(lambda: sum(state(w, b) == "ejected" for b in bad) == 2)


def test_dry_run_only_says_what_would_be(weir, backend):
    b = backend(moody([503]))
    w = weir(simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 2, "dry_run": True}}, **ONE))
    assert sends(w, 20)[(503, b"moody")] == 10
    assert state(w, b) == "up" and f"backend.would_eject pool=app backend={b}" in w.stderr()


def test_too_few_that_are_well_and_all_are_used(weir, backend):
    bad = [backend(moody([503])) for _ in range(3)]
    outlier = {"consecutive": 1, "max_ejected": 100, "eject": "1m", "panic": 50}
    w = weir(simple(backend(answering(b"a")), *bad, pool={"outlier": outlier}, **ONE))
    sends(w, 20)
    eventually(lambda: w.metric("weir_pool_panic", pool="app") == 1)
    assert "pool.panic pool=app" in w.stderr()
    assert len(sends(w, 12)) == 2 and sends(w, 12)[(503, b"moody")] == 9


def test_without_panic_those_that_are_well_carry_it_all(weir, backend):
    bad = [backend(moody([503])) for _ in range(3)]
    outlier = {"consecutive": 1, "max_ejected": 100, "eject": "1m", "panic": 0}
    w = weir(simple(backend(answering(b"a")), *bad, pool={"outlier": outlier}, **ONE))
    sends(w, 20)
    assert sends(w, 12) == {(200, b"a"): 12}
    assert w.metric("weir_pool_panic", pool="app") == 0


def test_a_closed_kept_connection_is_no_failure(weir, backend):
    b = backend(answering(b"b", then_close=True))
    w = weir(simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 1}}, **ONE))
    got = sends(w, 40)  # what met a closed connection may have gone to the other one
    assert sum(got.values()) == 40 and got[(200, b"b")] > 5 and all(status == 200 for status, _ in got), got
    assert changes(w, b) == []


def test_ejection_lives_on_over_a_reload(weir, backend):
    b = backend(moody([503]))
    conf = simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 1, "eject": "1m"}}, **ONE)
    w = weir(conf)
    sends(w, 4)
    eventually(lambda: state(w, b) == "ejected")
    w.reload(conf)
    assert state(w, b) == "ejected"
    assert sends(w, 10) == {(200, b"a"): 10}


def test_a_backend_killed_under_load_fails_no_request(weir, fast_backend, load):
    doomed, safe = fast_backend("doomed"), fast_backend("safe")
    w = weir(simple(doomed, safe, daemon={"workers": 2}))
    running = load(w.address(), keep=8, fresh=4)
    eventually(lambda: w.metric("weir_requests_total") > 300, 20)
    doomed.kill()
    # the requests that were under way may have failed first, and so many in a row eject
    eventually(lambda: state(w, doomed) in ("refusing", "ejected"), 15, what="the backend being out")
    before = w.metric("weir_requests_total")
    eventually(lambda: w.metric("weir_requests_total") > before + 300, 20)
    report = running.stop()
    assert report["failed"] == []
    # once for each worker, and once more when it is tried again
    assert w.metric("weir_upstream_connects_failed_total", reason="connect_refused") <= 4


# -- priorities -----------------------------------------------------------------------------------------------------------
def test_priorities_are_used_in_their_order(weir, backend):
    a, b, c = named(backend, 3)
    w = weir(simple({"address": a, "priority": 0}, {"address": b, "priority": 1}, {"address": c, "priority": 5}, **ONE))
    assert sends(w, 6) == {(200, b"0"): 6}
    a.stop()
    assert sends(w, 6) == {(200, b"1"): 6}
    b.stop()
    assert sends(w, 6) == {(200, b"2"): 6}


# -- the operator ---------------------------------------------------------------------------------------------------------
def test_backends_are_listed_with_their_state(weir, backend):
    a, b = named(backend, 2)
    w = weir(simple(a, {"address": b, "weight": 0}, **ONE))
    sends(w, 3)
    out = w.ctl("backends").stdout
    assert re.search(rf"{a} +up ", out) and re.search(rf"{b} +drained ", out), out
    assert w.ctl("backends", "app").stdout == w.ctl("backends").stdout or "pool app" in w.ctl("backends", "app").stdout
    r = w.ctl("backends", "nothing")
    assert r.returncode != 0 and "there is no pool nothing" in r.stdout + r.stderr


def test_drain_takes_new_requests_away_and_ready_gives_them_back(weir, backend):
    a, b = named(backend, 2)
    conf = simple(a, b, **ONE)
    w = weir(conf)
    assert w.ctl("drain", f"app/{b}").returncode == 0
    eventually(lambda: sends(w, 6) == {(200, b"0"): 6}, what="only the other being used")
    w.reload(conf)
    assert sends(w, 6) == {(200, b"0"): 6} and state(w, b) == "drained"
    assert w.ctl("ready", f"app/{b}").returncode == 0
    eventually(lambda: len(sends(w, 6)) == 2, what="both being used")
    assert [c[1:] for c in changes(w, b)] == [("drained", "operator"), ("up", "operator")]


def test_a_weight_holds_until_ready(weir, backend):
    a, b = named(backend, 2)
    w = weir(simple(a, b, **ONE))
    assert w.ctl("weight", f"app/{b}", "3").returncode == 0
    eventually(lambda: w.metric("weir_backend_weight", backend=str(b)) == 3)
    eventually(lambda: sends(w, 8) == {(200, b"0"): 2, (200, b"1"): 6})
    assert w.ctl("ready", f"app/{b}").returncode == 0
    eventually(lambda: sends(w, 8) == {(200, b"0"): 4, (200, b"1"): 4})


def test_ready_ends_an_ejection(weir, backend):
    status = [503]
    b = backend(moody(status))
    w = weir(simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 1, "eject": "1m"}}, **ONE))
    sends(w, 4)
    eventually(lambda: state(w, b) == "ejected")
    status[0] = 200
    r = w.ctl("ready", f"app/{b}")
    assert r.returncode == 0 and f"app/{b} is up" in r.stdout
    assert changes(w, b)[-1] == ("ejected", "up", "operator") and sends(w, 10)[(200, b"moody")] == 5


def test_ready_said_often_ends_no_later_ejection(weir, backend):
    b = backend(moody([503]))
    w = weir(simple(backend(answering(b"a")), b, pool={"outlier": {"consecutive": 1, "eject": "1m"}}, **ONE))

    def one_is_ejected():
        sends(w, 4)
        return state(w, b) == "ejected"
    eventually(one_is_ejected)
    for _ in range(3):
        many = [threading.Thread(target=w.ctl, args=("ready", f"app/{b}")) for _ in range(6)]
        for t in many:
            t.start()
        for t in many:
            t.join()
        before = len(changes(w, b))
        eventually(one_is_ejected)
        stays(lambda: len(changes(w, b)) == before + 1, 0.3)
    assert {c[2] for c in changes(w, b)} == {"consecutive_failures", "operator"}


def test_a_backend_that_is_not_there_is_told(weir, backend):
    w = weir(simple(backend(answering(b"a")), **ONE))
    for which in ("app/1.2.3.4:5", "nothing", "app", "app/", "other/127.0.0.1:1"):
        r = w.ctl("ready", which)
        assert r.returncode != 0 and "there is no backend" in r.stdout + r.stderr, which


def test_a_backend_that_leaves_and_returns_by_reload_starts_clean(weir, backend):
    a, b = backend(answering(b"a")), backend(moody([503]))
    outlier = {"outlier": {"consecutive": 1, "eject": "1m"}}
    w = weir(simple(a, b, pool=outlier, **ONE))
    sends(w, 4)
    eventually(lambda: state(w, b) == "ejected")
    w.reload(simple(a, pool=outlier, **ONE))
    assert state(w, b) is None
    w.reload(simple(a, b, pool=outlier, **ONE))
    assert state(w, b) == "up"
