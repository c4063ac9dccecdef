"""Who counts: backends that leave and return, are drained, or are new, while live requests and checks judge all of them."""
import collections
import json
import os
import re
import threading

import pytest

from conftest import simple
from lib.backend import answering
from lib.timing import eventually, secs

ONE = {"workers": 1}


class Held:
    """A handler that keeps /held until .go, and then answers with .status, or just closes (None); and /long until .end."""

    def __init__(self, status=503):
        self.status, self.held = status, 0
        self.go, self.end = threading.Event(), threading.Event()
        self.lock = threading.Lock()

    def __call__(self, conn):
        while (req := conn.read_request()) is not None:
            if req.target.startswith("/held"):
                with self.lock:
                    self.held += 1
                assert self.go.wait(secs(30))
                if self.status is None:
                    return
                conn.answer(self.status, b"late")
            elif req.target.startswith("/long"):
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlo")
                assert self.end.wait(secs(30))
                conn.send(b"ng")
            else:
                conn.answer(200, b"held")


def fails(status=503, body=b"bad"):
    return answering(body, status)


@pytest.fixture
def listed(weir, tmp_path):
    """listed(documents..., pool=...) -> (Weir, put): a pool whose backends stand in a file, and what replaces that."""
    path = str(tmp_path / "backends.json")

    def put(*documents):
        with open(path + ".new", "w") as f:
            json.dump([d if isinstance(d, dict) else str(d) for d in documents], f)
        os.rename(path + ".new", path)

    def start(*documents, pool=None, **sections):
        put(*documents)
        conf = {"daemon": ONE, "listeners": [{"name": "web", "pool": "app"}],
                "pools": [{"name": "app", "discovery": {"type": "file", "path": path}, **(pool or {})}], **sections}
        return weir(conf), put

    return start


def state(w, b):
    for (name, labels), value in w.metrics().items():
        if name == "weir_backend_state" and dict(labels).get("backend") == str(b) and value == 1:
            return dict(labels)["state"]
    return None


def changes(w, b):
    found = re.findall(r"backend\.state pool=\S+ backend=(\S+) from=(\S+) to=(\S+) reason=(\S+)", w.stderr())
    return [(x, y, why) for (name, x, y, why) in found if name == str(b)]


def spread(w, n, **kw):
    return collections.Counter(w.get("/", **kw).body for _ in range(n))


class Flight:
    """n requests at once, each in a thread; .land() -> their statuses."""

    def __init__(self, w, n, target, method="GET"):
        self.got = []
        self.threads = [threading.Thread(target=self.one, args=(w, target, method)) for _ in range(n)]
        for t in self.threads:
            t.start()

    def one(self, w, target, method):
        self.got.append(w.request(method, target, timeout=secs(30)).status)

    def land(self):
        for t in self.threads:
            t.join()
        return self.got


# -- failures of what has left --------------------------------------------------------------------------------------------
def test_a_backend_that_fails_after_it_has_left_returns_well(listed, backend):
    held = Held()
    others, d = [backend(answering(b"%d" % i)) for i in range(3)], backend(held)
    w, put = listed(d, pool={"outlier": {"eject": "5m"}})
    long = Flight(w, 1, "/long")  # the proxy knows of it for as long as that takes
    flight = Flight(w, 6, "/held")
    eventually(lambda: held.held == 6)
    put(*others)
    eventually(lambda: "backend.left" in w.stderr())
    held.go.set()
    assert flight.land() == [503] * 6
    put(*others, d)
    eventually(lambda: state(w, d) == "up", what="the backend being back")
    assert b"held" in spread(w, 10)
    held.end.set()
    assert long.land() == [200]


def test_what_leaves_does_not_use_up_the_ejections_of_others(listed, backend):
    held = Held(None)
    a, b, c, d = backend(answering(b"a")), backend(fails()), backend(answering(b"c")), backend(held)
    w, put = listed(a, c, d, pool={"outlier": {"eject": "5m", "consecutive": 3}})
    flight = Flight(w, 18, "/held", "POST")  # not repeatable: each one fails
    eventually(lambda: held.held >= 6)
    put(a, c)
    eventually(lambda: "backend.left" in w.stderr())
    held.go.set()
    assert flight.land().count(502) == 6
    put(a, c, b)
    eventually(lambda: state(w, b) == "up")
    spread(w, 30)
    eventually(lambda: state(w, b) == "ejected")
    assert b"bad" not in spread(w, 30)


def test_a_drained_backend_that_is_down_keeps_no_other_in(weir, backend):
    a, b, c = backend(answering(b"a")), backend(fails()), backend(answering(b"c"))
    health = {"interval": "50ms", "fast_interval": "20ms", "fall": 2}
    w = weir(simple(a, b, c, pool={"health": health, "outlier": {"eject": "5m", "consecutive": 3}}, daemon=ONE))
    assert w.ctl("drain", f"app/{c}").returncode == 0
    c.stop()
    eventually(lambda: state(w, c) == "down")
    spread(w, 20)
    eventually(lambda: state(w, b) == "ejected")
    assert spread(w, 10) == {b"a": 10}


# -- the operator ---------------------------------------------------------------------------------------------------------
def test_a_drained_backend_that_comes_and_goes_stays_drained(listed, backend):
    a, b = backend(answering(b"a")), backend(answering(b"b"))
    w, put = listed(a, b)
    r = w.ctl("drain", f"app/{b}")
    assert r.returncode == 0 and "also over reloads and while it is away" in r.stdout
    for n in range(2):
        put(a)
        eventually(lambda: w.stderr().count("backend.left") == n + 1)
        w.reload()
        put(a, b)
        eventually(lambda: state(w, b) == "drained")
        assert spread(w, 10) == {b"a": 10}
    put(a)
    eventually(lambda: w.stderr().count("backend.left") == 3)
    r = w.ctl("ready", f"app/{b}")
    assert r.returncode == 0 and "is not there now, weight 1" in r.stdout
    assert w.ctl("ready", f"app/{b}").returncode != 0
    put(a, b)
    eventually(lambda: state(w, b) == "up")
    assert set(spread(w, 10)) == {b"a", b"b"}


# -- new ones -------------------------------------------------------------------------------------------------------------
QUICK = {"interval": "50ms", "fast_interval": "20ms", "fall": 2}


def checked(name, health):
    """Answers with its name; /healthz with the status health[0], or never (None)."""
    silent = threading.Event()

    def handler(conn):
        while (req := conn.read_request()) is not None:
            if req.target == "/healthz" and health[0] is None:
                silent.wait(secs(30))
                return
            conn.answer(health[0] if req.target == "/healthz" else 200, name)
    return handler


def http_check(**kw):
    return {"health": {"type": "http", "path": "/healthz", **QUICK, **kw}}


@pytest.mark.parametrize("verdict", [None, 500])
def test_new_backends_that_are_not_well_bring_no_panic(listed, backend, verdict):
    health = [verdict]
    old, new = [backend(checked(b"old", [200])) for _ in range(2)], [backend(checked(b"new", health)) for _ in range(3)]
    w, put = listed(*old, pool=http_check(timeout="1m" if verdict is None else "1s"))
    put(*old, *new)
    eventually(lambda: all(state(w, b) == ("checking" if verdict is None else "down") for b in new))
    assert spread(w, 40) == {b"old": 40}
    assert w.metric("weir_pool_panic", pool="app") == 0 and "pool.panic" not in w.stderr()
    if verdict is not None:
        health[0] = 200
        eventually(lambda: all(state(w, b) == "up" for b in new))
        assert set(spread(w, 40)) == {b"old", b"new"}


def test_what_discovery_finds_at_the_start_begins_like_the_others(listed, backend):
    some = [backend(checked(b"%d" % i, [200])) for i in range(4)]
    w, put = listed(*some[1:], pool={"backends": [str(some[0])], **http_check(slow_start="1h")})
    assert [state(w, b) for b in some] == ["up"] * 4
    late = backend(checked(b"late", [200]))
    put(*some[1:], late)
    eventually(lambda: state(w, late) == "warming_up")
    assert "pool.panic" not in w.stderr()


def test_what_is_down_waits_for_the_verdict_of_another_check(weir, backend):
    health = [500]

    def handler(conn):
        while (req := conn.read_request()) is not None:
            if req.target == "/other" and health[0] is None:
                return conn.read_all()
            conn.answer(health[0] if req.target != "/" else 200, b"b")
    a, b = backend(answering(b"a")), backend(handler)
    w = weir(simple(a, b, pool=http_check(timeout="1m"), daemon=ONE))
    eventually(lambda: state(w, b) == "down")
    health[0] = None
    w.reload(simple(a, b, pool=http_check(timeout="1m", path="/other"), daemon=ONE))
    assert state(w, b) == "checking"
    assert spread(w, 10) == {b"a": 10}
    health[0] = 200
    w.reload(simple(a, b, pool=http_check(path="/third"), daemon=ONE))
    eventually(lambda: state(w, b) == "up")
    assert changes(w, b)[-2:] == [("down", "checking", "configuration"), ("checking", "up", "check_passed")]
    assert set(spread(w, 10)) == {b"a", b"b"}


# -- priorities -----------------------------------------------------------------------------------------------------------
def test_backups_help_before_those_that_are_down_are_used(weir, backend):
    health = [[200], [200], [200]]
    first = [backend(checked(b"first", h)) for h in health]
    backups = [backend(checked(b"backup", [200])) for _ in range(3)]
    w = weir(simple(*first, *({"address": b, "backup": True} for b in backups), pool=http_check(), daemon=ONE))
    assert spread(w, 12) == {b"first": 12}
    health[0][0] = health[1][0] = 500
    eventually(lambda: state(w, first[0]) == state(w, first[1]) == "down")
    eventually(lambda: spread(w, 4)[b"backup"] == 3)
    before = [sum(r.target != "/healthz" for r in b.requests) for b in first[:2]]
    got = spread(w, 40)
    assert got[b"backup"] == 30 and got[b"first"] == 10, got  # one of three is well: it shares with the backups
    assert [sum(r.target != "/healthz" for r in b.requests) for b in first[:2]] == before
    assert w.metric("weir_pool_panic", pool="app") == 0 and "pool.panic" not in w.stderr()


def test_panic_tells_how_many_are_well(weir, backend):
    health = [[200], [200], [200]]
    some = [backend(checked(b"x", h)) for h in health]
    w = weir(simple(*some, pool=http_check(), daemon=ONE))
    health[0][0] = health[1][0] = 500
    eventually(lambda: "pool.panic pool=app well=1 of=3 threshold=50: all backends are used" in w.stderr())
    health[0][0] = 200
    eventually(lambda: "pool.panic_over pool=app well=2 of=3" in w.stderr())


# -- a limit of connections -----------------------------------------------------------------------------------------------
def test_idle_connections_of_one_worker_leave_room_for_requests_of_another(weir, backend):
    together = threading.Barrier(4)

    def handler(conn):
        while conn.read_request() is not None:
            together.wait(secs(20))
            conn.answer(200, b"ok")
    b = backend(handler)
    w = weir(simple({"address": b, "max_connections": 4}, daemon={"workers": 2}))
    for _ in range(30):  # each time the workers get other numbers of them
        assert Flight(w, 4, "/").land() == [200] * 4
        # who has its answer has not made room yet
        eventually(lambda: 0 < w.metric("weir_backend_connections", backend=str(b)) == w.metric("weir_backend_idle_connections", backend=str(b)))
        assert w.metric("weir_backend_connections", backend=str(b)) <= 4
