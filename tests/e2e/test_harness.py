"""The harness judged by itself: a strict reader that forgives would let every other test pass."""
import socket
import threading

import pytest

from lib.backend import Backend, answering, raw_answer
from lib.client import Client, request_bytes
from lib.conf import conf_text
from lib.weir import parse_metrics
from lib.wire import CutShort, Malformed, Wire, read_response_head


def wire_of(data):
    """A Wire that will read these bytes and then the end."""
    a, b = socket.socketpair()
    threading.Thread(target=lambda: (a.sendall(data), a.close()), daemon=True).start()
    return Wire(b)


def read_one(data, method="GET"):
    w = wire_of(data)
    res = read_response_head(w, method)
    res.body = res.stream.all()
    return res


GOOD = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: v\r\n\r\n", b"ok"),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
]
BAD = [
    b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
]
CUT = [
    b"HTTP/1.1 200 OK\r\nContent-Len",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
]


@pytest.mark.parametrize("data,body", GOOD)
def test_the_reader_takes_a_well_formed_answer(data, body):
    assert read_one(data).body == body


@pytest.mark.parametrize("data", BAD)
def test_the_reader_refuses_a_malformed_answer(data):
    with pytest.raises(Malformed):
        read_one(data)


@pytest.mark.parametrize("data", CUT)
def test_the_reader_tells_an_answer_that_is_cut_short(data):
    with pytest.raises(CutShort):
        read_one(data)


def test_a_backend_answers_and_keeps_what_it_received():
    b = Backend(answering(b"hello"))
    with Client(b.address) as c:
        assert c.request("POST", "/x", body=b"abc").body == b"hello"
        assert c.request("GET", "/y").body == b"hello"
    b.stop()
    assert [(r.method, r.target, r.body) for r in b.requests] == [("POST", "/x", b"abc"), ("GET", "/y", b"")]
    assert b.connections == 1 and not b.errors


def test_a_backend_that_gets_a_malformed_request_says_so():
    b = Backend(answering())
    with Client(b.address) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        c.read_all()
    b.stop()
    assert b.errors


def test_a_reset_is_not_taken_for_an_end():
    b = Backend(raw_answer(b"HTTP/1.1 200 OK\r\n\r\npart", reset=True))
    with Client(b.address) as c:
        c.send(request_bytes())
        with pytest.raises(CutShort):
            c.answer()
    b.stop()


def test_values_become_a_configuration_file():
    assert conf_text({"a": {"b": True, "c": 'x"y'}, "l": [{"n": 1}], "s": ["p", "q"]}) == (
        'a = { b = true; c = "x\\"y"; };\nl = (\n    { n = 1; }\n);\ns = [ "p", "q" ];\n')


def test_the_metrics_reader_refuses_a_sample_without_type():
    with pytest.raises(AssertionError):
        parse_metrics("x_total 1\n")
    assert parse_metrics('# TYPE x_total counter\nx_total{a="b"} 1\n') == {("x_total", (("a", "b"),)): 1.0}
