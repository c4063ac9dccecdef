"""
HTTP/1.1 as bytes, read strictly: whatever a sloppy reader would forgive is Malformed here, and a message that ends
before its framing says so is CutShort.  Both sides of the proxy are judged by it: answers that clients get, and
requests that backends get.
"""
import re
import socket
import struct
import time

from .timing import comes, secs
from .tls import TlsSocket

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])\Z")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*\Z")
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})((?:;.*)?)\Z")


class Malformed(AssertionError):
    """Bytes that are no well-formed message."""


class CutShort(Exception):
    """The connection ended, by FIN or RST, before the message did."""

    def __init__(self, text, message=None, reset=False):
        super().__init__(text)
        self.message = message
        self.reset = reset


class Silence(AssertionError):
    """Nothing came in time."""


def can_read(sock, timeout):
    """Whether recv() would not wait."""
    return sock.readable(timeout) if isinstance(sock, TlsSocket) else comes(sock, timeout)


class Wire:
    """A connected socket with a buffer.  All reads are bounded by a time-out, so a hung proxy is a failed test."""

    def __init__(self, sock, timeout=10.0):
        self.sock = sock
        self.buf = bytearray()
        self.timeout = timeout
        self.eof = False
        self.reset_seen = False
        self.total_in = 0
        sock.settimeout(secs(timeout))

    # -- sending ------------------------------------------------------------------------------------------------------
    def send(self, *pieces, gap=0.0):
        """Sends the pieces, each in its own segment as far as TCP lets us."""
        for i, piece in enumerate(pieces):
            if i and gap:
                time.sleep(gap)
            self.sock.sendall(piece)

    def try_send(self, data):
        """Sends to a peer who may close at any moment: False if it did."""
        try:
            self.sock.sendall(data)
            return True
        except (ConnectionError, socket.timeout, OSError):
            return False

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection by RST."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        getattr(self.sock, "raw", self.sock).close()

    # -- receiving ----------------------------------------------------------------------------------------------------
    def fill(self, most=262144):
        """Reads once.  False at the end of the stream (FIN or RST)."""
        if self.eof:
            return False
        try:
            data = self.sock.recv(most)
        except socket.timeout:
            raise Silence(f"nothing came for {self.sock.gettimeout():g} s; so far: {bytes(self.buf[:200])!r}") from None
        except ConnectionError:
            self.eof = self.reset_seen = True
            return False
        if not data:
            self.eof = True
            return False
        self.total_in += len(data)
        self.buf += data
        return True

    def take(self, n):
        out = bytes(self.buf[:n])
        del self.buf[:n]
        return out

    def read_exactly(self, n):
        while len(self.buf) < n:
            if not self.fill():
                raise CutShort(f"ended after {len(self.buf)} of {n} bytes", reset=self.reset_seen)
        return self.take(n)

    def read_line(self, most=70000):
        """A line without its CRLF; a bare LF or CR is Malformed."""
        while True:
            i = self.buf.find(b"\n")
            if i >= 0:
                line = self.take(i + 1)
                if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
                    raise Malformed(f"bare CR or LF in {line!r}")
                return line[:-2]
            if len(self.buf) > most:
                raise Malformed("endless line")
            if not self.fill():
                raise CutShort(f"ended within a line: {bytes(self.buf)!r}", reset=self.reset_seen)

    def read_fields(self):
        fields = []
        while True:
            line = self.read_line()
            if not line:
                return fields
            m = FIELD.match(line)
            if not m:
                raise Malformed(f"field line {line!r}")
            fields.append((m[1].decode("latin-1"), m[2].decode("latin-1")))

    def read_all(self):
        while self.fill():
            pass
        return self.take(len(self.buf))

    def at_end(self):
        """True if the peer has closed and sent nothing more (waits for it)."""
        while not self.buf and self.fill():
            pass
        return not self.buf and self.eof

    def readable(self, timeout=0.0):
        return bool(self.buf) or self.eof or can_read(self.sock, timeout)


class Fields:
    """Field access, any case, for messages."""

    headers = ()

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name, default=None):
        """The one value of a field; asking for a repeated one is a mistake of the peer."""
        got = self.all(name)
        if len(got) > 1:
            raise Malformed(f"{name} is repeated: {got}")
        return got[0] if got else default

    def __contains__(self, name):
        return bool(self.all(name))


class Body:
    """Reads a body by its framing, whole or piece by piece."""

    def __init__(self, wire, kind, length=0):
        self.wire, self.kind, self.left = wire, kind, length
        self.trailers = []
        self.chunks = []
        self.extensions = []
        self.done = kind == "none" or (kind == "length" and length == 0)

    def piece(self, most=262144):
        """The next bytes, b"" at the end.  CutShort when the end isn't what the framing says."""
        w = self.wire
        if self.done:
            return b""
        if self.kind == "close":
            if not w.buf and not w.fill(most):
                self.done = True
                if w.reset_seen:
                    raise CutShort("reset within a body that ends with the connection", reset=True)
                return b""
            return w.take(min(most, len(w.buf)))
        if self.kind == "chunked" and self.left == 0 and not self.next_chunk():
            return b""
        if not w.buf and not w.fill(most):
            raise CutShort(f"ended with {self.left} bytes of body missing", reset=w.reset_seen)
        out = w.take(min(most, self.left, len(w.buf)))
        self.left -= len(out)
        if self.left == 0:
            if self.kind == "chunked":
                self.end_of_chunk()
            else:
                self.done = True
        return out

    def next_chunk(self):
        line = self.wire.read_line()
        m = CHUNK_SIZE.match(line)
        if not m:
            raise Malformed(f"chunk size line {line!r}")
        if m[2]:
            self.extensions.append(m[2])
        self.left = int(m[1], 16)
        if self.left == 0:
            self.trailers = self.wire.read_fields()
            self.done = True
            return False
        self.chunks.append(self.left)
        return True

    def end_of_chunk(self):
        if self.wire.read_exactly(2) != b"\r\n":
            raise Malformed("no CRLF after a chunk")

    def all(self):
        out = bytearray()
        while True:
            try:
                piece = self.piece()
            except CutShort as e:
                e.message = bytes(out)
                raise
            if not piece:
                return bytes(out)
            out += piece


def framing_of(m, kind_without):
    """(kind, length) from the fields, refusing what is ambiguous."""
    te, cl = m.all("transfer-encoding"), m.all("content-length")
    if te and cl:
        raise Malformed(f"both Transfer-Encoding and Content-Length: {m.headers}")
    if te:
        if te != ["chunked"]:
            raise Malformed(f"Transfer-Encoding {te}")
        return "chunked", 0
    if cl:
        if len(cl) != 1 or not re.fullmatch("[0-9]+", cl[0]):
            raise Malformed(f"Content-Length {cl}")
        return "length", int(cl[0])
    return kind_without, 0


class Response(Fields):
    def __init__(self, minor, status, reason, headers):
        self.minor, self.status, self.reason, self.headers = minor, status, reason, headers
        self.interim = []
        self.body = b""
        self.trailers = []
        self.framing = None
        self.chunks = []

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:80]!r}>"

    @property
    def closes(self):
        return "close" in (self.get("connection") or "").lower()


class Request(Fields):
    def __init__(self, method, target, minor, headers):
        self.method, self.target, self.minor, self.headers = method, target, minor, headers
        self.body = b""
        self.trailers = []
        self.framing = None
        self.chunks = []
        self.extensions = []

    def __repr__(self):
        return f"<{self.method} {self.target} {self.headers} {self.body[:80]!r}>"


def read_request_head(wire):
    """A request's head, or None when the connection ended cleanly before one began."""
    while not wire.buf:
        if not wire.fill():
            return None
    line = wire.read_line()
    m = REQUEST_LINE.match(line)
    if not m:
        raise Malformed(f"request line {line!r}")
    req = Request(m[1].decode(), m[2].decode("latin-1"), int(m[3]), wire.read_fields())
    if req.minor == 1 and len(req.all("host")) != 1:
        raise Malformed(f"Host {req.all('host')} in {req}")
    kind, length = framing_of(req, "none")
    req.framing = kind
    req.stream = Body(wire, kind, length)
    return req


def read_response_head(wire, method="GET"):
    """One head, interim ones included (look at .status)."""
    line = wire.read_line()
    m = STATUS_LINE.match(line)
    if not m:
        raise Malformed(f"status line {line!r}")
    res = Response(int(m[1]), int(m[2]), m[3].decode("latin-1"), wire.read_fields())
    if res.status < 200 or res.status == 204:
        if res.all("transfer-encoding") or res.all("content-length"):
            raise Malformed(f"framing fields in a {res.status}: {res.headers}")
        kind, length = "none", 0
    elif method == "HEAD" or res.status == 304:
        framing_of(res, "none")
        kind, length = "none", 0
    else:
        kind, length = framing_of(res, "close")
    res.framing = kind
    res.stream = Body(wire, kind, length)
    return res
