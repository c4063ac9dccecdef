"""Limits of connections and descriptors: new work is refused cleanly, running work goes on, it recovers by itself."""
import os
import resource
import socket
import threading
import time

import pytest

from conftest import simple
from lib.backend import answering
from lib.client import Client, request_bytes
from lib.timing import STRETCH, eventually, stays
from lib.wire import CutShort, Silence


def refused(c):
    """A connection over the limit: a 503, or the plain end of it."""
    c.try_send(request_bytes())
    data = c.read_all()
    return data == b"" or data.startswith(b"HTTP/1.1 503 ")


@pytest.mark.in_clear("who is refused before a handshake is told nothing")
def test_connections_beyond_the_limit_are_refused_and_the_rest_works(pair):
    w, b = pair(limits={"connections": 20})
    inside = [w.client() for _ in range(20)]
    for c in inside:
        assert c.request("GET", "/").status == 200
    for _ in range(5):
        with w.client() as c:
            assert refused(c)
    for c in inside:
        assert c.request("GET", "/").status == 200
        c.close()
    eventually(lambda: w.metric("weir_connections") == 0)
    assert w.get("/").status == 200
    assert w.metric("weir_connections_refused_total") >= 5


@pytest.mark.in_clear("who is refused before a handshake is told nothing")
def test_a_client_beyond_its_own_limit_is_refused_and_others_are_not(pair):
    w, b = pair(limits={"per_client": 5})
    inside = [w.client(source="127.0.0.2") for _ in range(5)]
    for c in inside:
        assert c.request("GET", "/").status == 200
    with w.client(source="127.0.0.2") as c:
        assert refused(c)
    with w.client(source="127.0.0.3") as c:
        assert c.request("GET", "/").status == 200
    inside[0].close()

    def again():
        with w.client(source="127.0.0.2") as c:
            c.try_send(request_bytes())
            return c.read_line() == b"HTTP/1.1 200 OK" if c.fill() else False
    eventually(again, what="room after one left")
    for c in inside:
        c.close()


def test_many_requests_at_once_need_no_more_connections_than_they_are(pair):
    w, b = pair(limits={"connections": 200})
    clients = [w.client() for _ in range(150)]
    for c in clients:
        c.ask("GET", "/")
    for c in clients:
        assert c.answer().status == 200
        c.close()


def test_without_descriptors_new_work_is_refused_and_running_work_goes_on(weir, backend):
    go = threading.Event()

    def handler(conn):
        while (req := conn.read_request()) is not None:
            if req.target == "/long":
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                go.wait(30)
                conn.send(b"done")
            else:
                conn.answer(200, b"ok")
    b = backend(handler)
    w = weir(simple(b))
    assert w.get("/").status == 200
    running = w.client()
    running.ask("GET", "/long")
    head = running.answer_head()
    assert head.stream.piece() == b"half"
    resource.prlimit(w.pid, resource.RLIMIT_NOFILE, (w.fds() + 6, 20000))
    crowd = []
    for _ in range(60):
        try:
            crowd.append(Client(w.address(), timeout=5))
        except OSError:
            pass
    for c in crowd:
        c.try_send(request_bytes("GET", "/"))
    cpu = w.cpu()
    began_lines = len(w.stderr().split("\n"))
    time.sleep(1.0)
    spent = w.cpu() - cpu
    lines = len(w.stderr().split("\n")) - began_lines
    assert w.alive()
    assert spent < 0.7 * STRETCH, f"{spent:.2f} s of CPU in one second of shortage: it spins"
    assert lines < 100, f"{lines} log lines in a second"
    go.set()
    assert head.stream.piece() == b"done", "running work was disturbed"
    for c in crowd:
        c.close()
    running.close()
    resource.prlimit(w.pid, resource.RLIMIT_NOFILE, (20000, 20000))

    def works():
        try:
            return w.get("/", timeout=2).status == 200
        except (OSError, CutShort, Silence):
            return False
    eventually(works, 10, "recovery")


def test_readers_that_stand_still_leave_descriptors_for_the_operator(weir, backend):
    """Each would hold a pipe of two descriptors while its answer is spliced."""
    def handler(conn):
        try:
            conn.read_request()
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
            while True:
                conn.send(bytes(1 << 20))
        except OSError:
            pass  # the proxy went away with the client
    b = backend(handler)
    w = weir(simple(b, limits={"connections": 300}), nofile=1024)
    crowd = []
    for _ in range(290):
        crowd.append(Client(w.address(), timeout=5))
        crowd[-1].try_send(request_bytes("GET", "/"))
    eventually(lambda: len(b.requests) == len(crowd), 20)
    stays(lambda: w.fds() <= 1024 - 50, 0.5)
    assert w.ctl("status").returncode == 0 and w.admin("/metrics").status == 200
    w.reload()
    for c in crowd:
        c.close()


def test_without_descriptors_it_recovers_as_soon_as_clients_leave(weir, backend):
    b = backend(answering(b"ok"))
    w = weir(simple(b), nofile=128)
    crowd = []
    for _ in range(200):
        try:
            crowd.append(Client(w.address(), timeout=5))
        except OSError:
            break
    for c in crowd:
        c.try_send(request_bytes())
    for c in crowd:
        c.close()

    def works():
        try:
            return w.get("/").status == 200
        except (OSError, CutShort, Silence):
            return False
    eventually(works, 10, "recovery with the same limit")
    assert w.alive()


def test_a_limit_that_cannot_fit_the_descriptors_is_told(weir, backend):
    """CONFIG.md: max connections come from RLIMIT_NOFILE; a configuration that cannot fit is refused."""
    b = backend()
    with pytest.raises(AssertionError) as e:
        weir(simple(b, limits={"connections": 1000000}), nofile=1024, expect_exit=None)
    assert "connections" in str(e.value)


def idle_crowd(w, n):
    """In steps that fit the listen queue: what overflows it waits for the kernel's retransmissions, not for us."""
    host, before = w.address(), w.metric("weir_connections_accepted_total")
    crowd = []
    for i in range(n):
        s = socket.socket()
        s.connect(host)
        crowd.append(s)
        if i % 1000 == 999 or i == n - 1:
            eventually(lambda: w.metric("weir_connections_accepted_total") - before >= len(crowd), 20, "all being taken in")
    return crowd


def request_on_each(crowd):
    """A hundred at a time, so that the backend need not be as large as the crowd."""
    for i in range(0, len(crowd), 100):
        for s in crowd[i:i + 100]:
            s.settimeout(20)
            s.sendall(request_bytes())
        for s in crowd[i:i + 100]:
            assert s.recv(4096).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.in_clear("its clients are plain sockets")
def test_ten_thousand_idle_connections_are_cheap_and_all_still_work(weir, backend):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = 10000 if STRETCH == 1 else 1000
    most = n * 5 // 4 + 100  # above 80 % idle connections are given 5 s only
    n, most = (n, most) if most < soft - 1000 else (soft * 3 // 8, soft // 2 - 200)
    b = backend()
    b.keep_raw = False
    w = weir(simple(b, log={"access": "off"}, limits={"connections": most}, timeouts={"request_header": "60s"}))
    w.get("/")
    before, fibers = w.rss(), w.metric("weir_fibers")
    crowd = idle_crowd(w, n)
    request_on_each(crowd)
    eventually(lambda: w.metric("weir_fibers") <= fibers + 10, what="their fibers ending")
    each = (w.rss() - before) / n
    request_on_each(crowd)
    for s in crowd:
        s.close()
    if STRETCH == 1:
        assert each < 2048, f"{each:.0f} bytes an idle connection"


def test_a_flood_of_connections_that_say_nothing_leaves_nothing_behind(pair):
    w, b = pair()
    w.get("/")
    fds = w.fds()
    for _ in range(3):
        for s in idle_crowd(w, 500):
            s.close()
    eventually(lambda: w.metric("weir_connections") == 0)
    eventually(lambda: w.fds() <= fds + 2, what="the descriptors being closed")
    assert w.get("/").status == 200


def test_the_metrics_know_the_descriptors(pair):
    w, b = pair()
    assert abs(w.metric("weir_open_fds") - w.fds()) <= 4
    assert w.metric("weir_max_fds") > 0
    assert os.path.exists(f"/proc/{w.pid}")
