"""
The whole suite over HTTP/2 in clear: with WEIR_OVER=h2c each HTTP listener that a test configures speaks HTTP/2 too, and each client
that connects to its address begins with it.  A test that needs HTTP/1 on its wire (bytes of its own, a half-close, what Connection
says) is skipped as soon as it asks for that; what can't be noticed that way is marked `http1("why")`.
"""
import os

import pytest

from .h2 import H2, StreamReset
from .wire import CutShort

ON = os.environ.get("WEIR_OVER", "clear") == "h2c"
PROTOCOLS = ["h2", "http/1.1"]

_addresses = set()  # where HTTP/2 is spoken


def _key(address):
    return address if isinstance(address, str) else address[1]  # who listens on [::] is also found at 127.0.0.1


def listener(conf, address):
    """A listener's configuration as it is to be served at that address."""
    _addresses.discard(_key(address))
    if not ON or "protocols" in conf or "tls" in conf or conf.get("mode", "http") != "http":
        return conf
    _addresses.add(_key(address))
    return {**conf, "protocols": PROTOCOLS}


def speaks(address):
    return _key(address) in _addresses


def needs_http1(what):
    pytest.skip(f"over h2c: {what} is of HTTP/1")


class Body:
    """Reads a body piece by piece, as lib.wire.Body does."""

    chunks = ()

    def __init__(self, h2, stream):
        self.h2, self.stream = h2, stream
        self.trailers = []

    def piece(self, most=None):
        inc = self.h2.incoming(self.stream)
        self.h2.until(lambda: inc.body or inc.ended or inc.reset is not None, "a piece of the body")
        if not inc.body and not inc.ended:
            raise StreamReset(self.stream, inc.reset)
        out = bytes(inc.body[:most])
        del inc.body[:most]
        if not out:
            self.trailers = inc.blocks[-1] if len(inc.blocks) > 1 else []
        return out

    def all(self):
        out = bytearray()
        while piece := self.piece():
            out += piece
        return bytes(out)


class H2Client:
    """What lib.client.Client does, over HTTP/2."""

    def __init__(self, address, timeout=10.0, rcvbuf=None, source=None):
        if source is not None:
            needs_http1("a source address")
        self.h2 = H2(address, timeout, rcvbuf=rcvbuf)
        self.sock = self.h2.sock
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __getattr__(self, name):
        needs_http1(f".{name} of a connection")

    def close(self):
        self.h2.close()

    def reset(self):
        self.h2.reset()

    def request(self, method="GET", target="/", headers=(), body=None, **kw):
        self.ask(method, target, headers, body, **kw)
        return self.answer()

    def ask(self, method="GET", target="/", headers=(), body=None, version="1.1", host="test.example", chunked=False):
        headers = [(k.lower(), v) for k, v in (headers.items() if isinstance(headers, dict) else headers)]
        names = {k for k, _ in headers}
        if version != "1.1" or host is None or names & {"connection", "upgrade", "transfer-encoding", "keep-alive", "proxy-connection"}:
            needs_http1("such a request")
        if "te" in names and dict(headers)["te"] != "trailers":
            needs_http1("TE")
        host = dict(headers).get("host", host)
        headers = [(k, v) for k, v in headers if k != "host"]
        if target.startswith("http"):
            needs_http1("an absolute target")
        s = self.h2.new_stream()
        if body is not None and not chunked and "content-length" not in names:
            headers.append(("content-length", str(len(body))))
        more = chunked or body is not None or dict(headers).get("content-length", "0") != "0"
        self.h2.headers(s, self.h2.request_fields(method, target, headers, authority=host), end=not more)
        if body is not None:
            self.h2.data(s, body, end=True)
        self.asked.append(s)

    def ask_piece(self, data, chunked=False, last=False):
        self.h2.data(self.asked[-1], data, end=last)

    def answer_head(self, method=None, interim=None):
        s = self.asked.pop(0)
        res = self.h2.answer_head(s)
        res.stream = Body(self.h2, s)
        return res

    def answer(self, method=None):
        s = self.asked.pop(0)
        try:
            return self.h2.answer(s)
        except CutShort as e:
            e.message = bytes(self.h2.incoming(s).body)
            raise
