"""Connections to backends: reused safely, balanced, failed over; nothing is sent twice that must not be."""
import collections
import random
import socket
import threading
import time

import pytest

from conftest import simple
from lib.backend import answering, echo_request
from lib.timing import STRETCH, comes, eventually, ms, secs


def named(backend, n, **kw):
    """n backends that answer with their number."""
    return [backend(answering(b"%d" % i), **kw) for i in range(n)]


def spread(w, n, **kw):
    with w.client() as c:
        return [int(c.request("GET", "/", **kw).body) for _ in range(n)]


ONE_WORKER = {"daemon": {"workers": 1}}


# -- keep-alive -----------------------------------------------------------------------------------------------------------
def test_one_connection_serves_many_clients_in_turn(pair):
    w, b = pair(daemon={"workers": 1})
    for _ in range(20):
        assert w.get("/").status == 200
    assert b.connections == 1
    assert w.metric("weir_upstream_reuses_total") == 19 and w.metric("weir_upstream_connects_total") == 1


def test_no_connection_is_kept_when_none_may_be(pair):
    w, b = pair(pool={"keepalive": {"idle": 0}})
    with w.client() as c:
        for _ in range(5):
            assert c.request("GET", "/").status == 200
    assert b.connections == 5
    eventually(lambda: not b.open)


def test_no_more_connections_are_kept_than_may_be(pair):
    w, b = pair(pool={"keepalive": {"idle": 3}}, daemon={"workers": 1})
    clients = [w.client() for _ in range(20)]
    gate = threading.Barrier(21)

    def one(c):
        gate.wait()
        assert c.request("GET", "/").status == 200
    threads = [threading.Thread(target=one, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    gate.wait()
    for t in threads:
        t.join()
    eventually(lambda: len(b.open) <= 3, what="surplus connections being closed")


def test_a_backend_that_says_close_is_not_reused(pair):
    def handler(conn):
        conn.read_request()
        conn.answer(200, b"x", headers=[("Connection", "close")])
        conn.at_end()
    w, b = pair(handler)
    with w.client() as c:
        for _ in range(5):
            assert c.request("GET", "/").body == b"x"
    assert b.connections == 5


def test_an_http10_backend_is_not_reused_unless_it_says_so(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx")
        conn.at_end()
    w, b = pair(handler)
    with w.client() as c:
        for _ in range(3):
            assert c.request("GET", "/").body == b"x"
    assert b.connections == 3


def test_a_connection_on_which_bytes_came_unasked_is_not_reused(pair):
    def handler(conn):
        while conn.read_request() is not None:
            conn.answer(200, b"true")
            time.sleep(0.02)
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake")
            conn.backend.sent = True
    w, b = pair(handler)
    for _ in range(8):
        b.sent = False
        assert w.get("/").body == b"true"
        eventually(lambda: b.sent)


def test_a_connection_whose_upload_was_not_read_is_not_reused(pair):
    """The answer came before the body had gone: what is left of the body must not become the next request."""
    def handler(conn):
        while (req := conn.read_head()) is not None:
            conn.answer(200, req.target.encode())
            if req.method == "POST":
                time.sleep(0.05)
                req.stream.all()
    w, b = pair(handler)
    for i in range(5):
        with w.client() as c:
            c.send(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" % i)
            assert c.answer().body == b"/%d" % i
        assert w.get("/next").body == b"/next"


def test_an_idle_connection_that_the_backend_closes_is_not_used_again(pair):
    def handler(conn):
        while conn.read_request() is not None:
            conn.answer(200, b"x")
            if conn.sock.gettimeout():
                conn.sock.settimeout(0.02)
    w, b = pair(handler)
    b.errors = []
    for _ in range(10):
        assert w.request("POST", "/", body=b"x").status == 200
        eventually(lambda: not b.open, what="the backend closing")
    b.errors = [e for e in b.errors if "nothing came" not in str(e)]
    assert len(b.requests) == 10


def idle_close_race(w, b, seconds, clients=8):
    """Clients send as fast as they can while the backend closes idle connections at random moments."""
    end = time.monotonic() + seconds
    at_the_latest = end + secs(30)
    failures, sent = [], collections.Counter()
    lock = threading.Lock()

    def one(number):
        rng = random.Random(number)
        n = 0
        while time.monotonic() < (end if len(sent) > 200 else at_the_latest):
            with w.client() as c:
                for _ in range(5):
                    n += 1
                    post = rng.random() < 0.5
                    key = f"/{'post' if post else 'get'}/{number}-{n}"
                    try:
                        res = c.request("POST" if post else "GET", key, body=b"x" if post else None)
                    except Exception as e:
                        with lock:
                            failures.append((key, repr(e)))
                        break
                    with lock:
                        sent[key] += 1
                        if res.status != 200:
                            failures.append((key, res.status))
                    if rng.random() < 0.3:
                        time.sleep(rng.random() * 0.01)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return failures, sent


@pytest.mark.http1("the share of failed POSTs is of those that come in one piece")
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_backend_that_closes_idle_connections_at_random_fails_no_get_and_doubles_no_post(pair, how):
    def handler(conn):
        rng = random.Random(conn.number)
        while True:
            idle = rng.choice([0.0005, 0.001, 0.002, 0.005, 0.01]) * STRETCH
            conn.sock.settimeout(idle if conn.served else 10)  # a fresh connection is given its time
            try:
                if not conn.buf and not conn.fill():
                    return
            except AssertionError:  # idle for that long: close, at the very moment when a request may be under way
                if how == "rst":
                    conn.reset()
                return
            conn.sock.settimeout(10)
            if conn.read_request() is None:
                return
            conn.answer(200, b"x")
    w, b = pair(handler, daemon={"workers": 2})
    failures, sent = idle_close_race(w, b, 3)
    seen = collections.Counter(r.target for r in b.requests)
    assert [k for k, n in seen.items() if k.startswith("/post") and n > 1] == [], "a POST came twice"
    assert [f for f in failures if f[0].startswith("/get")] == [], "a GET failed"
    lost = [f for f in failures if f[0].startswith("/post")]
    assert len(lost) <= len(sent) * 0.02 * STRETCH, f"{len(lost)} of {len(sent)}: {lost[:5]}"
    assert len(sent) > 200


def test_a_get_on_a_dead_reused_connection_is_sent_again(pair):
    """The backend reads the request on a reused connection and closes without a byte: GET is replayed, POST is not."""
    def handler(conn):
        first = True
        while conn.read_request() is not None:
            if not first:
                return
            first = False
            conn.answer(200, b"x")
    w, b = pair(handler, daemon={"workers": 1})
    with w.client() as c:
        for _ in range(6):
            assert c.request("GET", "/").body == b"x"


def test_a_post_on_a_dead_reused_connection_is_not_sent_again(pair):
    def handler(conn):
        first = True
        while (req := conn.read_request()) is not None:
            if req.target.startswith("/post") and not first:
                return
            first = False
            conn.answer(200, b"x")
    w, b = pair(handler, daemon={"workers": 1})
    posts = 0

    def post_on_a_kept_one():  # a connection that has been idle for a while is not trusted with a POST
        nonlocal posts
        posts += 1
        assert w.get("/").status == 200
        w.settle()
        return w.request("POST", f"/post/{posts}", body=b"pay").status == 502

    eventually(post_on_a_kept_one)
    assert sorted(r.target for r in b.requests if r.target != "/") == sorted(f"/post/{n + 1}" for n in range(posts))


def test_a_get_on_a_fresh_connection_is_not_sent_again(pair):
    w, b = pair(lambda conn: conn.read_request())
    assert w.get("/").status == 502
    assert len(b.requests) == 1


# -- failures -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_goes_to_another_backend(weir, backend, refusing, method):
    b = backend(echo_request)
    w = weir(simple(refusing, b))
    for _ in range(8):
        assert w.request(method, "/", body=b"body").body == b"body"
    assert len(b.requests) == 8


def test_when_all_backends_refuse_the_answer_is_a_503_at_once(weir, refusing):
    w = weir(simple(refusing, refusing.text.replace("127.0.0.1", "127.0.0.2")))
    began = time.monotonic()
    assert w.get("/").status == 503
    assert time.monotonic() - began < 2 * STRETCH


def test_the_log_counts_the_backends_tried(weir, backend, refusing):
    b = backend()
    w = weir(simple(refusing, b, daemon={"workers": 1}))
    for _ in range(4):
        w.get("/")
    entries = eventually(lambda: len(w.access()) == 4 and w.access())
    assert max(e["attempts"] for e in entries) == 2 and all(e["backend"] == b.text for e in entries)


def test_a_backend_killed_under_load_fails_no_get(weir, fast_backend, load):
    a, b = fast_backend("a"), fast_backend("b")
    w = weir(simple(a, b))
    x = load(w.address(), keep=8, fresh=4)
    for _ in range(3):
        eventually(lambda: w.metric("weir_requests_total", code=200) > 100, 20)
        a.kill()
        before = w.metric("weir_requests_total", code=200)
        eventually(lambda: w.metric("weir_requests_total", code=200) > before + 200, 20)
        a = fast_backend("a", port=a.port)
        before = w.metric("weir_requests_total", code=200)
        eventually(lambda: w.metric("weir_requests_total", code=200) > before + 200, 20)
    report = x.stop()
    assert report["failed"] == [], report["failed"][:10]
    assert set(report["names"]) == {"a", "b"}


def test_a_backend_that_comes_back_is_used_again(weir, backend):
    a = backend(answering(b"a"))
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    address = s.getsockname()
    w = weir(simple(a, f"127.0.0.1:{address[1]}"))
    for _ in range(4):
        assert w.get("/").body == b"a"
    s.listen(100)

    def serve():
        while True:
            try:
                c, _ = s.accept()
            except OSError:
                return
            c.recv(4096)
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb")
            c.close()
    threading.Thread(target=serve, daemon=True).start()
    eventually(lambda: w.get("/").body == b"b", 15, "the second backend being used")
    s.close()


# -- balance --------------------------------------------------------------------------------------------------------------
def test_round_robin_is_even(weir, backend):
    w = weir(simple(*named(backend, 3), **ONE_WORKER))
    got = spread(w, 30)
    assert collections.Counter(got) == {0: 10, 1: 10, 2: 10}
    assert all(sorted(got[i:i + 3]) == [0, 1, 2] for i in range(0, 30, 3)), got


def test_round_robin_is_even_with_two_workers_too(weir, backend):
    w = weir(simple(*named(backend, 3)))
    got = collections.Counter()
    for _ in range(90):
        got[int(w.get("/").body)] += 1
    assert max(got.values()) - min(got.values()) <= 4, got


def test_weights_are_honoured_smoothly(weir, backend):
    b = named(backend, 3)
    w = weir(simple({"address": b[0], "weight": 5}, {"address": b[1], "weight": 1}, {"address": b[2], "weight": 1}, **ONE_WORKER))
    got = spread(w, 70)
    assert collections.Counter(got) == {0: 50, 1: 10, 2: 10}
    runs = max(len(r) for r in "".join(map(str, got)).replace("1", " ").replace("2", " ").split())
    assert runs <= 4, f"{runs} in a row: {got}"


def test_a_backend_of_weight_zero_gets_nothing(weir, backend):
    b = named(backend, 2)
    w = weir(simple({"address": b[0], "weight": 0}, {"address": b[1]}))
    assert set(spread(w, 10)) == {1}


def test_a_backup_is_used_only_when_nothing_else_is_left(weir, backend):
    b = named(backend, 2)
    w = weir(simple({"address": b[0]}, {"address": b[1], "backup": True}))
    assert set(spread(w, 10)) == {0}
    b[0].stop()
    assert set(spread(w, 10)) == {1}


def has_ended(conn):
    """Whether the proxy has closed it, although nobody here has read that yet."""
    try:  # Python waits for something to read, whatever the flags say
        return comes(conn.sock) and conn.sock.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True


def test_a_backend_never_has_more_connections_than_it_may(weir, backend):
    most, here, lock = [0], [], threading.Lock()

    def handler(conn):
        with lock:
            here.append(conn)
            most[0] = max(most[0], sum(not has_ended(c) for c in here))
        try:
            while conn.read_request() is not None:
                time.sleep(0.02)
                conn.answer(200, b"0")
        finally:
            with lock:
                here.remove(conn)
    a, b = backend(handler), backend(answering(b"1"))
    w = weir(simple({"address": a, "max_connections": 2}, {"address": b}))
    clients = [w.client() for _ in range(20)]
    for _ in range(3):
        for c in clients:
            c.ask("GET", "/")
        for c in clients:
            assert c.answer().status == 200
    assert 0 < most[0] <= 2


def test_the_log_names_the_backend_that_answered(weir, backend):
    b = named(backend, 2)
    w = weir(simple(*b, **ONE_WORKER))
    got = spread(w, 4)
    entries = eventually(lambda: len(w.access()) == 4 and w.access())
    assert [e["backend"] for e in entries] == [b[i].text for i in got]
    assert [e["reused"] for e in entries] == [False, False, True, True]


def test_the_metrics_know_each_backends_requests(weir, backend):
    b = named(backend, 2)
    w = weir(simple(*b, **ONE_WORKER))
    spread(w, 10)
    for x in b:
        assert w.metric("weir_backend_requests_total", pool="app", backend=x.text) == 5
        assert w.metric("weir_backend_inflight", pool="app", backend=x.text) == 0


def test_two_pools_with_the_same_backend_do_not_disturb_each_other(weir, backend):
    b = backend(answering(b"x"))
    w = weir({"listeners": [{"name": "one", "pool": "p"}, {"name": "two", "pool": "q"}],
              "pools": [{"name": "p", "backends": [b]}, {"name": "q", "backends": [b]}]})
    for _ in range(3):
        assert w.get("/", listener="one").body == b"x" and w.get("/", listener="two").body == b"x"


def test_a_slow_backend_does_not_keep_others_requests_waiting(weir, backend):
    go = threading.Event()

    def slow(conn):
        while conn.read_request() is not None:
            go.wait(10)
            conn.answer(200, b"slow")
    a, b = backend(slow), backend(answering(b"fast"))
    w = weir(simple(a, b, timeouts={"first_byte": ms(20000)}, **ONE_WORKER))
    waiting = []
    fast = 0
    while fast < 5:
        c = w.client()
        c.ask("GET", "/")
        # not by time: a fast one may be late
        if eventually(lambda: "fast" if c.readable() else len(a.requests) > len(waiting) and "slow") == "fast":
            assert c.answer().body == b"fast"
            fast += 1
            c.close()
        else:
            waiting.append(c)
    go.set()
    for c in waiting:
        assert c.answer().body == b"slow"
        c.close()
