"""
Backends that do exactly what a test says: a thread a connection, the handler owns the bytes.

    b = Backend(answering(b"hello"))              # 200 with that body to everything, keep-alive
    b = Backend(lambda conn: conn.send(b"HT"))    # anything

What a backend received is kept: .requests (whole ones), .connections, .raw (all bytes).  A request that is not
well-formed, or a failed assertion in a handler, is kept in .errors and fails the test at its end.
"""
import errno
import os
import socket
import threading

from .timing import secs
from .tls import TlsSocket
from .wire import CutShort, Malformed, Wire, read_request_head


def answer_bytes(status=200, body=b"", headers=(), reason="OK", version="1.1", length=True):
    out = [f"HTTP/{version} {status} {reason}\r\n".encode()]
    headers = headers.items() if isinstance(headers, dict) else headers
    out += [f"{k}: {v}\r\n".encode("latin-1") for k, v in headers]
    if length:
        out.append(b"Content-Length: %d\r\n" % len(body))
    return b"".join(out) + b"\r\n" + body


class Conn(Wire):
    """The backend's end of a connection."""

    def __init__(self, sock, backend, number):
        super().__init__(sock, timeout=30.0)
        self.backend, self.number = backend, number
        self.served = 0

    def fill(self, most=262144):
        before = self.total_in
        ok = super().fill(most)
        if ok and self.backend.keep_raw:
            self.backend.raw.setdefault(self.number, bytearray()).extend(self.buf[len(self.buf) - (self.total_in - before):])
        return ok

    def read_head(self):
        req = read_request_head(self)
        if req is not None:
            req.conn = self.number
            self.backend.heads.append(req)
        return req

    def read_request(self):
        """The next whole request, None at the end."""
        req = self.read_head()
        if req is None:
            return None
        req.body = req.stream.all()
        req.trailers, req.chunks, req.extensions = req.stream.trailers, req.stream.chunks, req.stream.extensions
        self.served += 1
        self.backend.requests.append(req)
        return req

    def answer(self, status=200, body=b"", headers=(), **kw):
        self.send(answer_bytes(status, body, headers, **kw))


def answering(body=b"ok", status=200, headers=(), then_close=False):
    """A handler that gives every request the same answer."""
    def handler(conn):
        while (req := conn.read_request()) is not None:
            head = answer_bytes(status, body, headers)
            conn.send(head[:len(head) - len(body)] if req.method == "HEAD" else head)
            if then_close:
                return
    return handler


def raw_answer(data, close=True, reset=False):
    """A handler that reads one request whole and sends exactly these bytes."""
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(data)
            if reset:
                conn.reset()
                return
            if close:
                return
    return handler


def echo_request(conn):
    """Answers with what it got: body = request body, X-Seen-* = request line."""
    while (req := conn.read_request()) is not None:
        head = [("X-Method", req.method), ("X-Target", req.target), ("X-Conn", str(conn.number))]
        conn.answer(200, b"" if req.method == "HEAD" else req.body, head)


def two_of_a_port(family, host):
    """Two sockets with one port of the kernel's choice.  When one that listens is closed, the other refuses, and keeps the port from others."""
    held, sock = socket.socket(family, socket.SOCK_STREAM), socket.socket(family, socket.SOCK_STREAM)
    for s, port in ((held, 0), (sock, None)):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, held.getsockname()[1] if port is None else port))
    return sock, held


class Backend:
    def __init__(self, handler=None, kind="tcp", path=None, backlog=1024, keep_raw=True, tls=None):
        self.tls = tls  # an ssl.SSLContext; handshakes that fail are kept in .refused
        self.refused = []
        self.handler = handler or answering()
        self.keep_raw = keep_raw
        self.requests, self.heads, self.errors = [], [], []
        self.raw = {}
        self.connections = 0
        self.open = set()
        self.lock = threading.Lock()
        self.kind, self.held = kind, None
        if kind == "unix":
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind(path)
            self.address, self.text = path, f"unix:{path}"
        elif kind == "tcp6":
            self.sock, self.held = two_of_a_port(socket.AF_INET6, "::1")
            self.address = self.sock.getsockname()[:2]
            self.text = f"[::1]:{self.address[1]}"
        else:
            self.sock, self.held = two_of_a_port(socket.AF_INET, "127.0.0.1")
            self.address = self.sock.getsockname()
            self.text = f"127.0.0.1:{self.address[1]}"
        self.sock.listen(backlog)
        self.stopping = False
        self.thread = threading.Thread(target=self.accept_all, daemon=True)
        self.thread.start()

    def accept_all(self):
        while not self.stopping:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            if self.stopping:
                sock.close()
                return
            if self.kind != "unix":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                sock.settimeout(secs(30))
                sock = TlsSocket(sock, self.tls, server_side=True, shake=False)
            with self.lock:
                self.connections += 1
                conn = Conn(sock, self, self.connections)
                self.open.add(conn)
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        if self.tls is not None:
            try:
                conn.sock.shake()
            except OSError as e:
                self.refused.append(e)
                self.leave(conn)
                return
        try:
            self.handler(conn)
        except (CutShort, ConnectionError, socket.timeout):
            pass
        except OSError as e:
            if not self.stopping and e.errno not in (errno.EBADF, errno.ENOTCONN):
                self.errors.append(e)
        except Malformed as e:
            self.errors.append(e)
        except AssertionError as e:
            if not self.stopping:
                self.errors.append(e)
        except Exception as e:  # a mistake in a handler is a failed test, too
            if not self.stopping:
                self.errors.append(e)
        finally:
            conn.close()
            with self.lock:  # not before: who sees it gone may count on the end having been sent
                self.open.discard(conn)

    def leave(self, conn):
        """After a handshake that failed: a close() with a request unread would be a reset, which may overtake our alert."""
        raw = conn.sock.raw
        try:
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
        except OSError:
            pass
        raw.close()
        with self.lock:
            self.open.discard(conn)

    def __str__(self):
        return self.text

    def all_raw(self):
        return b"".join(bytes(v) for v in self.raw.values())

    def close_open(self, reset=False):
        """Ends all connections there are, under the handlers' feet."""
        with self.lock:
            conns = list(self.open)
        for c in conns:
            try:
                if reset:
                    c.reset()
                else:
                    c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        """Connections are refused from now on; the port stays ours until release()."""
        self.stopping = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.close_open()
        if self.kind == "unix":
            try:
                os.unlink(self.address)
            except OSError:
                pass

    def release(self):
        if self.held is not None:
            self.held.close()


class Refusing:
    """An address that refuses connections for sure: bound, never listening."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = self.sock.getsockname()
        self.text = f"127.0.0.1:{self.address[1]}"
        self.errors = []

    def __str__(self):
        return self.text

    def stop(self):
        self.sock.close()


class Blackhole:
    """An address where connecting never ends: its accept queue is full, so the kernel drops SYNs."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(0)
        self.address = self.sock.getsockname()
        self.text = f"127.0.0.1:{self.address[1]}"
        self.errors = []
        self.fill = []
        for _ in range(8):
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            s.settimeout(secs(0.4))  # a busy machine may let wait for what it will take
            try:
                s.connect(self.address)
            except socket.timeout:
                s.close()
                break
            self.fill.append(s)

    def __str__(self):
        return self.text

    def stop(self):
        for s in self.fill:
            s.close()
        self.sock.close()
