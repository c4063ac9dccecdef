"""Upgrades become tunnels: bytes both ways, half-close, idle time; an idle tunnel holds no fiber."""
import asyncio
import hashlib
import threading

import pytest

from conftest import simple
from lib import over
from lib.backend import answering
from lib.client import request_bytes
from lib.load import BODY
from lib.timing import STRETCH, eventually, ms
from lib.wire import read_response_head

ASK = {"Connection": "Upgrade", "Upgrade": "echo"}
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


def echo_tunnel(conn):
    """Accepts the upgrade, echoes until the end, then ends its own side."""
    while (req := conn.read_request()) is not None:
        if "upgrade" not in req:
            conn.answer(200, b"plain")
            continue
        conn.send(SWITCH)
        while conn.buf or conn.fill():
            conn.send(conn.take(len(conn.buf)))
        conn.half_close()
        return


def open_tunnel(w, **kw):
    c = w.client(**kw)
    c.ask("GET", "/chat", headers=ASK)
    res = c.answer_head()
    assert res.status == 101, res
    return c


def test_an_upgrade_passes_both_ways_with_its_fields(pair):
    w, b = pair(echo_tunnel)
    with w.client() as c:
        c.ask("GET", "/chat", headers={**ASK, "Sec-X": "1"})
        res = c.answer_head()
        assert (res.status, res.get("upgrade")) == (101, "echo")
        assert "upgrade" in res.get("connection").lower()
    req = b.requests[0]
    assert req.get("upgrade") == "echo" and req.get("connection").lower() == "upgrade" and req.get("sec-x") == "1"


def test_the_log_counts_the_backends_tried(weir, backend, refusing):
    b = backend(echo_tunnel)
    w = weir(simple(refusing, b, daemon={"workers": 1}))
    for _ in range(4):
        open_tunnel(w).close()
    entries = eventually(lambda: len(w.access()) == 4 and w.access())
    assert max(e["attempts"] for e in entries) == 2 and all(e["backend"] == b.text for e in entries), entries


def test_bytes_pass_through_the_tunnel_both_ways(pair):
    w, b = pair(echo_tunnel)
    with open_tunnel(w) as c:
        for i in range(100):
            c.send(b"message %d" % i)
            assert c.read_exactly(len(b"message %d" % i)) == b"message %d" % i


def test_bytes_sent_right_behind_the_request_are_not_lost(pair):
    w, b = pair(echo_tunnel)
    with w.client() as c:
        c.send(request_bytes("GET", "/chat", headers=ASK) + b"early bird")
        assert c.answer_head().status == 101
        assert c.read_exactly(10) == b"early bird"


def test_bytes_sent_right_behind_the_101_are_not_lost(pair):
    def handler(conn):
        conn.read_request()
        conn.send(SWITCH + b"greeting")
        conn.read_all()
    w, b = pair(handler)
    with open_tunnel(w) as c:
        assert c.read_exactly(8) == b"greeting"


def test_a_backend_may_refuse_the_upgrade(pair):
    w, b = pair(answering(b"plain"))
    with w.client() as c:
        res = c.request("GET", "/", headers=ASK)
        assert (res.status, res.body) == (200, b"plain")
        assert c.request("GET", "/again").body == b"plain"


def test_the_clients_half_close_passes_and_the_rest_still_comes(pair):
    def handler(conn):
        conn.read_request()
        conn.send(SWITCH)
        data = conn.read_all()
        conn.send(b"got %d bytes" % len(data))
    w, b = pair(handler)
    with open_tunnel(w) as c:
        c.send(b"x" * 1000)
        c.half_close()
        assert c.read_all() == b"got 1000 bytes"


def test_the_backends_half_close_passes_and_the_rest_still_goes(pair):
    def handler(conn):
        conn.read_request()
        conn.send(SWITCH + b"bye")
        conn.half_close()
        conn.backend.rest = conn.read_all()
    w, b = pair(handler)
    with open_tunnel(w) as c:
        assert c.read_exactly(3) == b"bye"
        assert c.at_end()
        c.send(b"last words")
        c.half_close()
        eventually(lambda: hasattr(b, "rest"))
    assert b.rest == b"last words"


def test_a_reset_of_the_backend_ends_the_tunnel(pair):
    def handler(conn):
        conn.read_request()
        conn.send(SWITCH)
        conn.read_exactly(4)
        conn.reset()
    w, b = pair(handler)
    with open_tunnel(w) as c:
        c.send(b"stop")
        assert c.at_end()


def test_a_reset_of_the_client_ends_the_tunnel(pair):
    ended = []

    def handler(conn):
        conn.read_request()
        conn.send(SWITCH)
        ended.append(conn.read_all())
    w, b = pair(handler)
    c = open_tunnel(w)
    c.reset()
    eventually(lambda: ended, what="the backend being told")


def test_large_traffic_passes_both_ways_at_once(pair):
    total = 32 << 20
    w, b = pair(echo_tunnel)
    b.keep_raw = False
    with open_tunnel(w, timeout=30) as c:
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


def test_idle_tunnels_hold_no_fiber(pair):
    w, b = pair(echo_tunnel)
    with open_tunnel(w) as c:
        c.send(b"warm")
        c.read_exactly(4)
    eventually(lambda: w.metric("weir_tunnels") == 0)
    before = w.metric("weir_fibers")
    tunnels = [open_tunnel(w) for _ in range(50)]
    for c in tunnels:
        c.send(b"ping")
        assert c.read_exactly(4) == b"ping"
    assert w.metric("weir_tunnels") == 50
    eventually(lambda: w.metric("weir_fibers") <= before + 5, what="the tunnels' fibers ending")
    for c in tunnels:
        c.send(b"pong")
        assert c.read_exactly(4) == b"pong"
        c.close()


def test_an_idle_tunnel_ends_after_its_time(pair):
    w, b = pair(echo_tunnel, timeouts={"tunnel_idle": ms(150)})
    with open_tunnel(w) as c:
        assert c.at_end()
    assert eventually(lambda: w.access())[0]["reason"] == "tunnel_idle"


def test_traffic_in_one_direction_keeps_a_tunnel_open(pair):
    import time

    def handler(conn):
        conn.read_request()
        conn.send(SWITCH)
        for _ in range(10):
            time.sleep(0.15 * STRETCH)
            conn.send(b".")
    w, b = pair(handler, timeouts={"tunnel_idle": ms(1000)})
    with open_tunnel(w) as c:
        assert c.read_all() == b"." * 10


def test_an_upgrade_that_is_not_in_connection_is_no_upgrade(pair):
    w, b = pair(answering(b"plain"))
    assert w.get("/", headers={"Upgrade": "echo"}).status == 200
    assert "upgrade" not in b.requests[0]


def test_an_upgrade_of_an_http10_client_is_no_upgrade(pair):
    w, b = pair(answering(b"plain"))
    with w.client() as c:
        assert c.request("GET", "/", headers=ASK, version="1.0").status == 200
    assert "upgrade" not in b.requests[0]


def test_a_101_to_a_request_without_upgrade_is_a_502(pair):
    def handler(conn):
        conn.read_request()
        conn.send(SWITCH)
    w, b = pair(handler)
    assert w.get("/").status == 502
    assert w.logged(status=502)["reason"] == "upgrade_failed"


def test_h2c_is_not_offered_to_backends(pair):
    """An upgrade to HTTP/2 would let a client speak past every rule of ours."""
    w, b = pair(answering(b"plain"))
    res = w.get("/", headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA"})
    assert res.status == 200
    assert "http2-settings" not in b.requests[0] and b.requests[0].get("upgrade") != "h2c"


def test_connect_is_refused(pair):
    w, b = pair(answering())
    with w.client() as c:
        c.send(b"CONNECT example:443 HTTP/1.1\r\nHost: example:443\r\n\r\n")
        res = read_response_head(c)
        assert res.status in (400, 405, 501)
    assert b.heads == []


# -- WebSocket, with a library on both ends ---------------------------------------------------------------------------
websockets = pytest.importorskip("websockets", reason="python3-websockets")


class WebSocketServer:
    """An echo server in a thread with its own loop."""

    def __init__(self):
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main()), daemon=True)
        self.thread.start()
        self.ready.wait(10)

    async def main(self):
        async def serve(ws):
            async for message in ws:
                await ws.send(message)
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        async with websockets.serve(serve, "127.0.0.1", 0, max_size=None) as server:
            self.text = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.stopping.wait()

    def __str__(self):
        return self.text

    def stop(self):
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(10)


@pytest.fixture
def websocket_server():
    s = WebSocketServer()
    yield s
    s.stop()


@pytest.fixture(params=["h1", "h2"])
def websocket_proxy(request, weir, websocket_server):
    """A proxy before a WebSocket server, directly or over a second proxy by HTTP/2."""
    from conftest import simple
    w = weir(simple(websocket_server, listener={"protocols": ["h2", "http/1.1"]}))
    return w if request.param == "h1" else weir(simple("%s:%d" % w.address(), pool={"protocol": "h2", **over.pool(w.address())}))


def test_a_websocket_carries_messages_of_all_sizes_and_closes_cleanly(websocket_proxy):
    w = websocket_proxy

    async def talk():
        async with websockets.connect(w.url("/chat").replace("http", "ws", 1), ssl=over.context_for(w.address()), max_size=None) as ws:
            for n in [0, 1, 125, 126, 65535, 65536, 1 << 20]:
                await ws.send(b"b" * n)
                assert await ws.recv() == b"b" * n
            await ws.send("text with ümlauts")
            assert await ws.recv() == "text with ümlauts"
            await (await ws.ping())
        return ws.close_code
    assert asyncio.run(asyncio.wait_for(talk(), 20)) == 1000


def test_fifty_websockets_at_once_get_their_own_messages(websocket_proxy):
    w = websocket_proxy

    async def one(i):
        async with websockets.connect(w.url("/chat").replace("http", "ws", 1), ssl=over.context_for(w.address())) as ws:
            for k in range(10):
                await ws.send(f"{i}/{k}")
                assert await ws.recv() == f"{i}/{k}"

    async def talk():
        await asyncio.gather(*(one(i) for i in range(50)))
    asyncio.run(asyncio.wait_for(talk(), 30))
