"""The client side: exact bytes out, strict reading in."""
import socket

from . import over
from .timing import secs
from .tls import TlsSocket
from .wire import CutShort, Wire, read_response_head


def connect(address, timeout=10.0, rcvbuf=None, source=None):
    """`address`: (host, port) or a path."""
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        s = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if rcvbuf is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if source is not None:
        s.bind((source, 0))
    s.settimeout(secs(timeout))
    s.connect(address)
    return s


def request_bytes(method="GET", target="/", headers=(), body=None, version="1.1", host="test.example", chunked=False):
    out = [f"{method} {target} HTTP/{version}\r\n".encode("latin-1")]
    headers = list(headers.items()) if isinstance(headers, dict) else list(headers)
    names = {k.lower() for k, _ in headers}
    if host is not None and "host" not in names:
        out.append(f"Host: {host}\r\n".encode("latin-1"))
    for k, v in headers:
        out.append(f"{k}: {v}\r\n".encode("latin-1"))
    if body is not None and not chunked and "content-length" not in names and "transfer-encoding" not in names:
        out.append(f"Content-Length: {len(body)}\r\n".encode())
    if chunked:
        out.append(b"Transfer-Encoding: chunked\r\n")
    out.append(b"\r\n")
    if body is not None:
        out.append(chunks(body) if chunked else body)
    return b"".join(out)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunks(data, size=4096, trailers=b""):
    out = b"".join(chunk(data[i:i + size]) for i in range(0, len(data), size))
    return out + b"0\r\n" + trailers + b"\r\n"


class Client(Wire):
    """A connection to the proxy."""

    def __new__(cls, address, *args, **kw):
        from . import over_h2c  # which needs connect() of this file
        if over_h2c.speaks(address) and kw.get("tls") is None:
            return over_h2c.H2Client(address, *args, **kw)
        return super().__new__(cls)

    def __init__(self, address, timeout=10.0, rcvbuf=None, source=None, tls=None, name=None, session=None):
        """`tls`: an ssl.SSLContext to speak it by; `name`: the host that is asked for."""
        sock = connect(address, timeout, rcvbuf, source)
        tls = tls or over.context_for(address)
        if tls is not None:
            try:
                sock = TlsSocket(sock, tls, name, session=session)
            except BaseException:
                sock.close()
                raise
        super().__init__(sock, timeout)
        self.method = "GET"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def request(self, method="GET", target="/", headers=(), body=None, **kw):
        """One request and its whole answer."""
        self.ask(method, target, headers, body, **kw)
        return self.answer()

    def ask(self, method="GET", target="/", headers=(), body=None, **kw):
        self.method = method
        self.send(request_bytes(method, target, headers, body, **kw))

    def ask_piece(self, data, chunked=False, last=False):
        """More of a body whose head ask() has sent."""
        self.send((chunk(data) if chunked else data) + (b"0\r\n\r\n" if chunked and last else b""))

    def answer_head(self, method=None, interim=None):
        """The final head; interim ones are put in .interim."""
        seen = []
        while True:
            res = read_response_head(self, method or self.method)
            if res.status >= 200 or res.status == 101:
                res.interim = seen
                return res
            seen.append(res)
            if interim is not None:
                interim(res)

    def answer(self, method=None):
        """The final answer with its body.  CutShort carries what there was in .response."""
        res = self.answer_head(method)
        try:
            res.body = res.stream.all()
        except CutShort as e:
            res.body = e.message or b""
            e.response = res
            raise
        res.trailers, res.chunks = res.stream.trailers, res.stream.chunks
        return res
