"""Starting and stopping: readiness, drain, watchdog, signals."""
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import simple
from lib.backend import answering
from lib.client import Client
from lib.timing import STRETCH, eventually, ms
from lib.weir import BINARY, Weir, free_port
from lib.wire import CutShort


def slow_handler(go):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
            go.wait(20)
            conn.send(b"done")
    return handler


def in_flight(w):
    c = w.client()
    c.ask("GET", "/")
    head = c.answer_head()
    assert head.stream.piece() == b"half"
    return c, head


def closed(address):
    try:
        Client(address).close()
        return False
    except OSError:
        return True


def test_sigterm_lets_a_request_in_flight_end_and_exits_0(pair):
    go = threading.Event()
    w, b = pair(slow_handler(go))
    c, head = in_flight(w)
    w.signal(signal.SIGTERM)
    eventually(lambda: closed(w.address()), what="the listener being closed")
    assert w.alive(), "it did not wait for the request"
    go.set()
    assert head.stream.piece() == b"done"
    assert c.at_end()
    assert w.wait_exit() == 0


def test_sigterm_closes_idle_connections_at_once(pair):
    w, b = pair()
    idle = [w.client() for _ in range(5)]
    for c in idle:
        c.request("GET", "/")
    began = time.monotonic()
    w.signal(signal.SIGTERM)
    assert w.wait_exit() == 0
    assert time.monotonic() - began < 3 * STRETCH, "idle connections held it up"
    for c in idle:
        assert c.at_end()
        c.close()


def test_requests_that_came_before_sigterm_are_answered(pair):
    w, b = pair(daemon={"workers": 1})
    clients = [w.client() for _ in range(60)]  # more than one poll tells of
    for c in clients:
        c.request("GET", "/")
    w.signal(signal.SIGSTOP)
    for c in clients:
        c.ask("GET", "/")  # in the kernel's buffers when this returns: both ends are on this machine
    w.signal(signal.SIGTERM)
    w.signal(signal.SIGCONT)
    for c in clients:
        # a worker may answer some before it hears of the stop, and those do not say that the connection closes
        assert c.answer().status == 200 and c.at_end()
        c.close()
    assert w.wait_exit() == 0


@pytest.mark.http1("Connection: close; GOAWAY has its own tests")
def test_an_answer_given_while_draining_says_that_the_connection_closes(pair):
    go = threading.Event()

    def handler(conn):
        conn.read_request()
        go.wait(20)
        conn.answer(200, b"x")
    w, b = pair(handler)
    with w.client() as c:
        c.ask("GET", "/")
        eventually(lambda: b.requests)
        w.signal(signal.SIGTERM)
        eventually(lambda: closed(w.address()))
        go.set()
        res = c.answer()
        assert res.body == b"x" and res.closes and c.at_end()
    assert w.wait_exit() == 0


def test_the_drain_has_an_end(pair):
    go = threading.Event()
    w, b = pair(slow_handler(go), timeouts={"drain": ms(300)})
    c, head = in_flight(w)
    began = time.monotonic()
    w.signal(signal.SIGTERM)
    assert w.wait_exit() == 0
    assert 0.25 * STRETCH <= time.monotonic() - began < 5 * STRETCH
    with pytest.raises(CutShort):
        head.stream.all()
    go.set()


def test_a_second_sigterm_ends_it_at_once(pair):
    go = threading.Event()
    w, b = pair(slow_handler(go), timeouts={"drain": "60s"}, weir_args={"expect_exit": None})
    c, head = in_flight(w)
    w.signal(signal.SIGTERM)
    eventually(lambda: closed(w.address()))
    began = time.monotonic()
    w.signal(signal.SIGTERM)
    w.wait_exit(5)
    assert time.monotonic() - began < 2 * STRETCH
    go.set()


def test_sigint_stops_it_too(pair):
    w, b = pair()
    w.signal(signal.SIGINT)
    assert w.wait_exit() == 0


def test_a_tunnel_is_ended_by_the_drains_end(weir, fast_backend):
    a = fast_backend()
    w = weir(simple(a, timeouts={"drain": ms(300)}))
    c = w.client()
    c.ask("GET", "/", headers={"Connection": "upgrade", "Upgrade": "echo"})
    assert c.answer_head().status == 101
    w.signal(signal.SIGTERM)
    assert w.wait_exit() == 0
    assert c.at_end()


def test_stopping_under_load_loses_no_request_that_was_taken(weir, fast_backend, load):
    """Connections that are refused, or closed while idle, are no loss; an answer that breaks off is."""
    a = fast_backend()
    w = weir(simple(a))
    x = load(w.address(), keep=8, fresh=0, pace=0.001)
    eventually(lambda: w.metric("weir_requests_total", code=200) > 200, 10)
    w.signal(signal.SIGTERM)
    assert w.wait_exit() == 0
    report = x.stop()
    broken = [f for f in report["failed"] if "new connection: IncompleteReadError" in f or " 50" in f]
    assert broken == [], broken[:5]


# -- systemd --------------------------------------------------------------------------------------------------------------
def test_ready_is_told_when_connections_are_taken(pair):
    w, b = pair()
    assert w.notify.lines().count("READY=1") == 1
    assert w.get("/").status == 200


def test_stopping_is_told(pair):
    w, b = pair()
    w.signal(signal.SIGTERM)
    w.wait_exit()
    eventually(lambda: "STOPPING=1" in w.notify.lines())


def test_the_watchdog_is_pinged_while_the_workers_turn(pair):
    w, b = pair(weir_args={"env": {"WATCHDOG_USEC": str(int(2000000 * STRETCH))}})
    eventually(lambda: w.notify.count("WATCHDOG=1") >= 3, 10, what="WATCHDOG=1")
    times = [t for t, m in w.notify.messages if m == "WATCHDOG=1"]
    assert max(b - a for a, b in zip(times, times[1:])) < 2 * STRETCH


def test_no_watchdog_is_pinged_unless_asked_for(pair):
    w, b = pair()
    for _ in range(5):
        w.get("/")
    assert w.notify.count("WATCHDOG=1") == 0


def test_it_runs_without_systemd(backend):
    x = Weir(simple(backend()))
    x.write_conf()
    env = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
    p = subprocess.Popen([BINARY, "-c", x.path], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: not closed(x.address()))
        assert x.get("/").status == 200
    finally:
        p.terminate()
        assert p.wait(10 * STRETCH) == 0
        x.clean()


# -- what is left behind --------------------------------------------------------------------------------------------------
def test_sockets_and_pid_file_are_gone_after_the_end(weir, backend):
    with tempfile.TemporaryDirectory(prefix="we-", dir="/tmp") as d:
        b = backend()
        w = weir(simple(b, listener={"bind": f"unix:{d}/front.sock"}, daemon={"pid_file": f"{d}/pid"}))
        assert open(f"{d}/pid").read().strip() == str(w.pid)
        assert os.path.exists(w.control)
        w.stop()
        assert sorted(os.listdir(d)) == [] and not os.path.exists(w.control)


def test_a_restart_on_the_same_port_works_at_once(weir, backend):
    """Connections in TIME_WAIT must not keep the port."""
    b = backend(answering(b"x"))
    bind = f"127.0.0.1:{free_port()}"
    for _ in range(3):
        w = weir(simple(b, listener={"bind": bind}))
        with w.client() as c:
            assert c.request("GET", "/", headers={"Connection": "close"}).body == b"x"
            assert c.at_end()
        w.stop()


def test_sigpipe_and_sigchld_and_sigwinch_do_nothing(pair):
    w, b = pair()
    for s in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH):
        w.signal(s)
    assert w.get("/").status == 200


def test_an_idle_proxy_sleeps(pair):
    w, b = pair()
    w.get("/")
    before = w.cpu()
    time.sleep(1.0)
    assert w.cpu() - before <= 0.05 * STRETCH, "it burns CPU with nothing to do"


def test_an_idle_proxy_with_connections_sleeps(pair):
    w, b = pair()
    conns = [w.client() for _ in range(50)]
    for c in conns:
        c.request("GET", "/")
    half = socket.create_connection(w.address())
    half.sendall(b"GET / HTTP/1.1\r\n")
    closing = w.client()
    closing.half_close()
    before = w.cpu()
    time.sleep(1.0)
    assert w.cpu() - before <= 0.06 * STRETCH, "it burns CPU with nothing to do"
    for c in conns:
        c.close()
    half.close()
    closing.close()
