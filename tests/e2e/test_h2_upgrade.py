"""WebSocket over HTTP/2 (RFC 8441): extended CONNECT of the client, an Upgrade for an HTTP/1 backend, a CONNECT for an HTTP/2 one."""
import base64
import hashlib
import threading
import time

import pytest
from hyperframe.frame import GoAwayFrame

from conftest import simple
from lib import over
from lib.h2 import CANCEL, H2, StreamReset
from lib.timing import eventually, secs

H2C = {"protocols": ["h2", "http/1.1"]}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def accept_of(req):
    key = req.get("sec-websocket-key")
    assert len(base64.b64decode(key, validate=True)) == 16
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def accept(conn, more=""):
    """Reads a request and accepts its upgrade."""
    req = conn.read_head()
    conn.send(f"{SWITCH}Sec-WebSocket-Accept: {accept_of(req)}\r\n{more}\r\n".encode())
    return req


def websocket(conn):
    """Accepts an upgrade and gives back what comes, in capitals; says bye at the end."""
    req = accept(conn, "Sec-WebSocket-Protocol: chat\r\n")
    assert req.get("upgrade").lower() == "websocket" and "upgrade" in req.get("connection").lower()
    conn.send(b"welcome ")
    while True:
        if not conn.buf and not conn.fill():
            break
        conn.send(conn.take(len(conn.buf)).upper())
    conn.send(b" bye")


def connect(c, path="/chat", end=False, **kw):
    s = c.new_stream()
    c.headers(s, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path), (":authority", "test.example"),
                  ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")], end=end)
    return s


@pytest.fixture(params=["h1", "h2"])
def ws(request, weir, backend):
    """A proxy with HTTP/2 clients and a WebSocket backend behind it, directly or over a second proxy by HTTP/2."""
    opened = []

    def start(handler=websocket, **sections):
        b = backend(handler)
        w = weir(simple(b, listener=H2C, **sections))
        if request.param == "h2":
            w = weir(simple("%s:%d" % w.address(), listener=H2C, pool={"protocol": "h2", **over.pool(w.address())}, **sections))
        c = H2(w.address())
        opened.append(c)
        return w, b, c

    yield start
    for c in opened:
        c.close()


def test_bytes_go_both_ways(ws):
    w, b, c = ws()
    s = connect(c)
    res = c.answer_head(s)
    assert (res.status, res.get("sec-websocket-protocol")) == (200, "chat")
    assert "upgrade" not in res and "sec-websocket-accept" not in res
    inc = c.incoming(s)
    for i in range(20):
        c.data(s, b"message %d." % i)
        c.until(lambda: inc.body.endswith(b"MESSAGE %d." % i), "an echo")
    assert inc.body.startswith(b"welcome MESSAGE 0.")
    c.data(s, b"end", end=True)
    c.until(lambda: inc.ended, "the end")
    assert inc.body.endswith(b"END bye")
    assert w.metric("weir_tunnels_opened_total") == 1
    eventually(lambda: w.metric("weir_tunnels") == 0, 5)


def test_much_goes_both_ways(ws):
    _, _, c = ws()
    s = connect(c)
    c.answer_head(s)
    inc = c.incoming(s)
    for _ in range(30):
        c.data(s, b"x" * 30000)
        while c.readable():
            c.step()
    c.until(lambda: len(inc.body) == 8 + 900000, "all of it")
    assert bytes(inc.body[8:]) == b"X" * 900000


def test_other_streams_go_on_beside_it(ws):
    def handler(conn):
        if conn.number == 1:
            websocket(conn)
        while conn.read_request() is not None:
            conn.answer(200, b"plain")

    _, _, c = ws(handler)
    s = connect(c)
    c.answer_head(s)
    assert c.request("GET", "/").body == b"plain"
    c.data(s, b"still there")
    c.until(lambda: c.incoming(s).body.endswith(b"STILL THERE"), "an echo")


def test_a_refusal_is_passed_on(ws):
    def handler(conn):
        conn.read_request()
        conn.answer(403, b"no")

    _, _, c = ws(handler)
    res = c.answer(connect(c))
    assert (res.status, res.body) == (403, b"no")


def says(status, body=b""):
    def handler(conn):
        conn.read_request()
        conn.answer(status, body)
    return handler


@pytest.mark.parametrize("status,body", [(200, b"a page"), (204, b"")])
def test_a_success_that_is_no_switch_is_a_502(ws, status, body):
    """To this client a 200 would be the open WebSocket (RFC 8441 5), and the page its first frames."""
    w, b, c = ws(says(status, body))
    res = c.answer(connect(c))
    assert res.status == 502 and b"does not switch" in res.body
    assert c.request("GET", "/").status == status


@pytest.mark.parametrize("answers", ["", "Sec-WebSocket-Accept: AAAA\r\n", "Sec-WebSocket-Accept: {0}x\r\n", "Sec-WebSocket-Accept: {0}\r\n" * 2])
def test_a_switch_without_the_answer_to_our_key_is_a_502(ws, answers):
    """The client has no key: whether the backend knows what it accepts, only we can tell (RFC 6455 4.1)."""
    def handler(conn):
        req = conn.read_head()
        conn.send((SWITCH + answers.format(accept_of(req)) + "\r\n").encode())

    _, _, c = ws(handler)
    res = c.answer(connect(c))
    assert res.status == 502 and b"does not switch" in res.body


@pytest.mark.parametrize("status", [302, 401])
def test_an_answer_that_is_neither_is_passed_on(ws, status):
    _, _, c = ws(says(status, b"elsewhere"))
    res = c.answer(connect(c))
    assert (res.status, res.body) == (status, b"elsewhere")


def test_an_answer_of_our_own_opens_none_either(weir, backend):
    w = weir({**simple(backend(), listener=H2C), "routes": [{"path": "/", "respond": {"status": 200, "body": "a page"}}]})
    with H2(w.address()) as c:
        assert c.answer(connect(c)).status == 502
        w.logged(status=502, reason="upgrade_failed")
        assert c.request("GET", "/").body == b"a page"


def test_a_backend_that_goes_ends_the_stream(ws):
    def handler(conn):
        accept(conn)
        conn.send(b"hi")
        conn.fill()
        conn.reset()

    _, _, c = ws(handler)
    s = connect(c)
    c.answer_head(s)
    c.data(s, b"go")
    with pytest.raises(StreamReset):
        c.answer(s)


def test_a_client_that_resets_frees_the_backend(ws):
    gone = threading.Event()

    def handler(conn):
        accept(conn)
        conn.send(b"hi")
        conn.at_end() or conn.read_all()
        gone.set()

    _, _, c = ws(handler)
    s = connect(c)
    c.answer_head(s)
    c.reset_stream(s)
    assert gone.wait(secs(5))


def test_an_idle_one_is_closed(ws):
    _, _, c = ws(timeouts={"tunnel_idle": "300ms"})
    s = connect(c)
    c.answer_head(s)
    with pytest.raises(StreamReset):
        c.answer(s)


def test_a_connect_that_ends_at_once_is_refused(ws):
    _, b, c = ws()
    assert c.answer(connect(c, end=True)).status == 501
    assert not b.heads


def test_a_reload_keeps_it(weir, backend):
    b = backend(websocket)
    conf = simple(b, listener=H2C)
    w = weir(conf)
    with H2(w.address()) as c:
        s = connect(c)
        c.answer_head(s)
        w.reload(conf)
        c.data(s, b"after")
        c.until(lambda: c.incoming(s).body.endswith(b"AFTER"), "an echo")
