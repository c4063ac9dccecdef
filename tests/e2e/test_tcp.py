"""mode = "tcp": bytes as they are, full duplex, half-close each side."""
import contextlib
import hashlib
import threading
import time

import pytest

from conftest import simple
from lib.client import Client
from lib.load import BODY
from lib.timing import STRETCH, eventually, ms

TCP = {"mode": "tcp"}


def echo(conn):
    while conn.buf or conn.fill():
        conn.send(conn.take(len(conn.buf)))
    conn.half_close()


@pytest.fixture
def tcp(pair):
    def start(handler=echo, **kw):
        w, b = pair(handler, listener=TCP, **kw)
        b.keep_raw = False
        return w, b
    return start


def test_bytes_come_back_as_they_went(tcp):
    w, b = tcp()
    with w.client() as c:
        for data in (b"hello", b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", BODY):
            c.send(data)
            assert c.read_exactly(len(data)) == data


def test_a_server_that_speaks_first_is_heard(tcp):
    w, b = tcp(lambda conn: (conn.send(b"220 welcome\r\n"), conn.read_all()))
    with w.client() as c:
        assert c.read_line() == b"220 welcome"


def test_the_clients_half_close_passes(tcp):
    w, b = tcp(lambda conn: conn.send(b"%d" % len(conn.read_all())))
    with w.client() as c:
        c.send(b"x" * 12345)
        c.half_close()
        assert c.read_all() == b"12345"


def test_the_servers_half_close_passes(tcp):
    def handler(conn):
        conn.send(b"bye")
        conn.half_close()
        conn.backend.rest = conn.read_all()
    w, b = tcp(handler)
    with w.client() as c:
        assert c.read_exactly(3) == b"bye"
        assert c.at_end()
        c.send(b"after")
        c.half_close()
        assert eventually(lambda: getattr(b, "rest", None)) == b"after"


def test_a_client_that_half_closes_at_once_gets_everything(tcp):
    w, b = tcp(lambda conn: (conn.read_all(), conn.send(b"z" * 1000000)))
    with w.client() as c:
        c.half_close()
        assert c.read_all() == b"z" * 1000000


def test_a_hundred_mebibytes_each_way_arrive_whole(tcp):
    total = 100 << 20
    w, b = tcp()
    before = w.rss()
    with w.client(timeout=30) as c:
        t = threading.Thread(target=lambda: ([c.send(BODY) for _ in range(total // len(BODY))], c.half_close()), daemon=True)
        t.start()
        whole, n = hashlib.sha256(), 0
        while c.buf or c.fill():
            data = c.take(len(c.buf))
            whole.update(data)
            n += len(data)
        t.join()
    want = hashlib.sha256()
    for _ in range(total // len(BODY)):
        want.update(BODY)
    assert (n, whole.hexdigest()) == (total, want.hexdigest())
    assert w.rss() - before < 8 * (1 << 20) * STRETCH


def test_a_reset_of_the_client_reaches_the_server(tcp):
    seen = []

    def handler(conn):
        conn.send(b"hi")
        conn.read_all()
        seen.append(conn.reset_seen)
    w, b = tcp(handler)
    c = w.client()
    c.read_exactly(2)
    c.reset()
    assert eventually(lambda: seen) == [True], "it came as an orderly end"


def test_a_reset_of_the_server_reaches_the_client(tcp):
    w, b = tcp(lambda conn: (conn.read_exactly(2), conn.reset()))
    with w.client() as c:
        c.send(b"hi")
        assert c.at_end()
        assert c.reset_seen, "it came as an orderly end"


def test_a_backend_that_is_down_ends_the_connection(weir, refusing):
    w = weir(simple(refusing, listener=TCP))
    try:
        with w.client() as c:
            assert c.at_end()
    except ConnectionResetError:  # so soon that connect() sees it
        pass
    assert eventually(lambda: w.access())[0]["reason"] == "connect_refused"


def test_the_log_counts_the_backends_tried_and_names_the_last(weir, backend, refusing):
    other = refusing.text.replace("127.0.0.1", "127.0.0.2")
    w = weir(simple(refusing, other, listener=TCP))
    with contextlib.suppress(ConnectionResetError), w.client() as c:
        c.at_end()
    e = eventually(w.access)[0]
    assert (e["attempts"], e["reason"]) == (2, "connect_refused") and e["backend"] in (refusing.text, other), e
    b = backend(echo)
    w = weir(simple(refusing, b, listener=TCP, daemon={"workers": 1}))
    for _ in range(4):
        with w.client() as c:
            c.send(b"x")
            assert c.read_exactly(1) == b"x"
    entries = eventually(lambda: len(w.access()) == 4 and w.access())
    assert max(e["attempts"] for e in entries) == 2 and all(e["backend"] == b.text for e in entries), entries


def test_a_connect_failure_goes_on_to_another_backend(weir, backend, refusing):
    b = backend(echo)
    w = weir(simple(refusing, b, listener=TCP))
    for _ in range(6):
        with w.client() as c:
            c.send(b"hello")
            assert c.read_exactly(5) == b"hello"


def test_connections_are_spread_round_robin(weir, backend):
    backends = [backend(lambda conn, i=i: conn.send(b"%d" % i)) for i in range(3)]
    w = weir(simple(*backends, listener=TCP, daemon={"workers": 1}))
    got = []
    for _ in range(9):
        with w.client() as c:
            got.append(c.read_all())
    assert sorted(got) == [b"0"] * 3 + [b"1"] * 3 + [b"2"] * 3


def test_an_idle_connection_ends_after_its_time(tcp):
    w, b = tcp(timeouts={"tunnel_idle": ms(150)})
    began = time.monotonic()
    with w.client() as c:
        assert c.at_end()
        assert time.monotonic() - began >= 0.1
    assert eventually(lambda: w.access())[0]["reason"] == "tunnel_idle"


def test_a_server_that_does_not_read_holds_the_client_back(tcp):
    hold = threading.Event()
    w, b = tcp(lambda conn: hold.wait(20))
    before = w.rss()
    with w.client() as c:
        c.sock.settimeout(0.5)
        sent = 0
        try:
            while sent < (256 << 20):
                sent += c.sock.send(BODY)
        except TimeoutError:
            pass
        assert sent < (64 << 20)
        assert w.rss() - before < 4 * (1 << 20) * STRETCH
    hold.set()


def test_idle_connections_hold_no_fiber(tcp):
    w, b = tcp()
    with w.client() as c:
        c.send(b"x")
        c.read_exactly(1)
    eventually(lambda: w.metric("weir_tunnels") == 0)
    before = w.metric("weir_fibers")
    conns = [w.client() for _ in range(50)]
    for c in conns:
        c.send(b"ping")
        assert c.read_exactly(4) == b"ping"
    eventually(lambda: w.metric("weir_fibers") <= before + 5, what="the tunnels' fibers ending")
    for c in conns:
        c.send(b"pong")
        assert c.read_exactly(4) == b"pong"
        c.close()


def test_http_and_tcp_listeners_live_side_by_side(weir, backend):
    b, e = backend(), backend(echo)
    w = weir({"listeners": [{"name": "web", "pool": "app"}, {"name": "raw", "mode": "tcp", "pool": "echo"}],
              "pools": [{"name": "app", "backends": [b]}, {"name": "echo", "backends": [e]}]})
    assert w.get("/").body == b"ok"
    with Client(w.address("raw")) as c:
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        assert c.read_exactly(18) == b"GET / HTTP/1.1\r\n\r\n"


def test_the_log_has_the_bytes_of_both_directions(tcp):
    w, b = tcp()
    with w.client() as c:
        c.send(b"x" * 1000)
        c.read_exactly(1000)
    entry = eventually(lambda: w.access())[0]
    assert (entry["bytes_received"], entry["bytes_sent"]) == (1000, 1000), entry
    assert entry["backend"] == b.text


def test_many_short_connections_leave_nothing_behind(tcp):
    w, b = tcp()

    def some(n):
        for _ in range(n):
            with w.client() as c:
                c.send(b"x")
                assert c.read_exactly(1) == b"x"
    some(50)
    eventually(lambda: w.metric("weir_connections") == 0)
    sockets = w.sockets()  # pipes for splicing are kept, a few a worker
    some(200)
    eventually(lambda: w.sockets() <= sockets, what="the descriptors being closed")
