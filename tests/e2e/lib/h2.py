"""
HTTP/2 frame by frame, over hpack and hyperframe: exact frames out, strict reading in.

    with H2(address) as c:
        s = c.ask("GET", "/")            # a stream's number
        res = c.answer(s)                # .status .headers .body .trailers .interim
        c.send_frame(PingFrame(0, b"12345678"))
        c.expect(GoAwayFrame)

Window updates are sent for what comes in, unless `windows=False`.
"""
import socket
import struct
import threading
import time

from hpack import Decoder, Encoder
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame,
                              WindowUpdateFrame)

from . import over
from .client import connect
from .timing import secs
from .tls import TlsSocket
from .wire import CutShort, Malformed, Response, Silence, can_read

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 5, 6, 7, 8, 9, 11


class StreamReset(CutShort):
    def __init__(self, stream, code, response=None):
        super().__init__(f"stream {stream} was reset with {code}", reset=True)
        self.code = code
        self.response = response


class Gone(CutShort):
    """The connection ended; .goaway is the GOAWAY frame, if one came."""

    def __init__(self, text, goaway=None, reset=False):
        super().__init__(text, reset=reset)
        self.goaway = goaway


class Incoming:
    """What has come on one stream so far."""

    def __init__(self):
        self.blocks = []  # lists of fields, in order
        self.body = bytearray()
        self.ended = False
        self.reset = None
        self.data_frames = 0


class H2:
    """An HTTP/2 connection as a client (or, with server=True on a given socket, as a server)."""

    def __init__(self, address=None, timeout=10.0, settings=None, windows=True, sock=None, server=False, start=True, rcvbuf=None):
        self.sock = sock if sock is not None else connect(address, timeout, rcvbuf)
        tls = over.context_for(address, "h2") if sock is None else None
        if tls is not None:
            self.sock = TlsSocket(self.sock, tls)
        self.scheme = "http" if tls is None else "https"
        self.timeout = timeout
        self.encoder, self.decoder = Encoder(), Decoder()
        self.buf = bytearray()
        self.eof = self.was_reset = False
        self.streams = {}
        self.next_stream = 1
        self.goaway = None
        self.settings, self.acks, self.pongs = {}, 0, []
        self.windows = windows
        self.silent = False  # True: nothing is sent that the test does not send
        self.server = server
        self.block = None  # the header block that is being received: [stream, bytes, ends stream]
        self.window = {0: 65535}
        self.frames = []  # all frames that came, for tests that look at them
        if start:
            if not server:
                self.raw(PREFACE)
            self.send_frame(SettingsFrame(0, settings=settings or {}))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        getattr(self.sock, "raw", self.sock).close()

    # -- out ----------------------------------------------------------------------------------------------------------
    def raw(self, data):
        self.sock.sendall(data)

    def send_frame(self, *frames):
        self.raw(b"".join(f.serialize() for f in frames))

    def block_of(self, fields):
        return self.encoder.encode([(k.encode("latin-1") if isinstance(k, str) else k, v.encode("latin-1") if isinstance(v, str) else v)
                                    for k, v in fields])

    def headers(self, stream, fields, end=False, cut=16000, frames=None):
        """Sends a header block, in pieces of `cut` bytes, or in so many `frames`."""
        block = self.block_of(fields)
        if frames is not None:
            cut = -(-len(block) // frames)
        first = HeadersFrame(stream, block[:cut])
        if end:
            first.flags.add("END_STREAM")
        frames = [first]
        for i in range(cut, len(block), cut):
            frames.append(ContinuationFrame(stream, block[i:i + cut]))
        frames[-1].flags.add("END_HEADERS")
        self.send_frame(*frames)

    def new_stream(self):
        s = self.next_stream
        self.next_stream += 2
        return s

    def request_fields(self, method="GET", target="/", headers=(), authority="test.example", scheme=None):
        headers = list(headers.items()) if isinstance(headers, dict) else list(headers)
        pseudo = [(":method", method), (":scheme", scheme or self.scheme), (":path", target)]
        if authority is not None:
            pseudo.append((":authority", authority))
        return pseudo + [(k.lower(), v) for k, v in headers]

    def ask(self, method="GET", target="/", headers=(), body=None, end=True, **kw):
        s = self.new_stream()
        fields = self.request_fields(method, target, headers, **kw)
        if body is not None and end and not any(k == "content-length" for k, _ in fields):
            fields.append(("content-length", str(len(body))))
        self.headers(s, fields, end=end and body is None)
        if body is not None:
            self.data(s, body, end)
        return s

    def stream_window(self, stream):
        return self.window.setdefault(stream, self.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, 65535))

    def data(self, stream, data, end=False):
        """Sends as windows allow; reads while they don't."""
        at = 0
        while True:
            room = min(self.window[0], self.stream_window(stream), 16384)
            piece = data[at:at + max(room, 0)]
            if piece or at == len(data):
                at += len(piece)
                f = DataFrame(stream, bytes(piece))
                if end and at == len(data):
                    f.flags.add("END_STREAM")
                self.window[0] -= len(piece)
                self.window[stream] -= len(piece)
                self.send_frame(f)
                if at == len(data):
                    return
            elif self.incoming(stream).reset == NO_ERROR:
                return  # the answer is there, the rest of the body is not wanted (RFC 9113 8.1)
            elif self.incoming(stream).reset is not None:
                raise StreamReset(stream, self.incoming(stream).reset)
            elif not self.step():
                raise Gone("closed while sending", self.goaway, self.was_reset)

    def trailers(self, stream, fields):
        self.headers(stream, fields, end=True)

    def reset_stream(self, stream, code=CANCEL):
        self.send_frame(RstStreamFrame(stream, code))

    # -- in -----------------------------------------------------------------------------------------------------------
    def fill(self, timeout=None):
        if self.eof:
            return False
        self.sock.settimeout(secs(self.timeout if timeout is None else timeout))
        try:
            data = self.sock.recv(262144)
        except socket.timeout:
            raise Silence(f"nothing came for {self.sock.gettimeout():g} s") from None
        except ConnectionError:
            self.was_reset = self.eof = True
            return False
        if not data:
            self.eof = True
            return False
        self.buf += data
        return True

    def incoming(self, stream):
        return self.streams.setdefault(stream, Incoming())

    def read_frame(self, timeout=None):
        """The next frame, None at the end of the connection."""
        while len(self.buf) < 9:
            if not self.fill(timeout):
                if self.buf and not self.was_reset:
                    raise Malformed(f"ended within a frame: {bytes(self.buf)!r}")
                return None
        frame, length = Frame.parse_frame_header(memoryview(bytes(self.buf[:9])))
        if length > 16384:
            raise Malformed(f"a frame of {length} bytes")
        while len(self.buf) < 9 + length:
            if not self.fill(timeout):
                return None
        frame.parse_body(memoryview(bytes(self.buf[9:9 + length])))
        del self.buf[:9 + length]
        return frame

    def step(self, timeout=None):
        """Reads one frame and does what it says.  The frame, None at the end."""
        f = self.read_frame(timeout)
        if f is None:
            return None
        self.frames.append(f)
        if self.block is not None and not isinstance(f, ContinuationFrame):
            raise Malformed(f"{f} within a header block")
        if isinstance(f, SettingsFrame):
            if "ACK" in f.flags:
                self.acks += 1
            else:
                before = self.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, 65535)
                self.settings.update(f.settings)
                for s in self.window:
                    if s != 0:
                        self.window[s] += self.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, 65535) - before
                self.try_send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(f, PingFrame):
            if "ACK" in f.flags:
                self.pongs.append(f.opaque_data)
            else:
                self.try_send(PingFrame(0, f.opaque_data, flags=["ACK"]))
        elif isinstance(f, WindowUpdateFrame):
            self.window[f.stream_id] = self.stream_window(f.stream_id) + f.window_increment
        elif isinstance(f, GoAwayFrame):
            self.goaway = f
        elif isinstance(f, RstStreamFrame):
            self.incoming(f.stream_id).reset = f.error_code
        elif isinstance(f, HeadersFrame):
            self.block = [f.stream_id, bytearray(f.data), "END_STREAM" in f.flags]
            self.end_block(f)
        elif isinstance(f, ContinuationFrame):
            self.block[1] += f.data
            self.end_block(f)
        elif isinstance(f, DataFrame):
            inc = self.incoming(f.stream_id)
            if inc.ended:
                raise Malformed("DATA after the end")
            inc.body += f.data
            inc.data_frames += 1
            inc.ended = "END_STREAM" in f.flags
            if self.windows and f.flow_controlled_length:
                self.try_send(WindowUpdateFrame(0, f.flow_controlled_length))
                if not inc.ended:
                    self.try_send(WindowUpdateFrame(f.stream_id, f.flow_controlled_length))
        return f

    def try_send(self, frame):
        if self.silent:
            return
        try:
            self.send_frame(frame)
        except OSError:
            pass

    def end_block(self, f):
        if "END_HEADERS" not in f.flags:
            return
        stream, block, ended = self.block
        self.block = None
        fields = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in
                  [(k if isinstance(k, bytes) else k.encode("latin-1"), v if isinstance(v, bytes) else v.encode("latin-1"))
                   for k, v in self.decoder.decode(bytes(block), raw=True)]]
        for k, _ in fields:
            if k != k.lower():
                raise Malformed(f"upper case in {k}")
            if k in ("connection", "transfer-encoding", "keep-alive", "proxy-connection", "upgrade", "host" if not self.server else "-"):
                raise Malformed(f"{k} in HTTP/2")
        inc = self.incoming(stream)
        if inc.ended:
            raise Malformed("HEADERS after the end")
        inc.blocks.append(fields)
        inc.ended = ended

    def until(self, condition, what="what the test waits for", timeout=None):
        """Steps until condition() is true."""
        end = time.monotonic() + secs(self.timeout if timeout is None else timeout)
        while not condition():
            if time.monotonic() > end:
                raise Silence(f"{what} did not come")
            if self.step(timeout) is None:
                if condition():
                    return
                raise Gone(f"the connection ended before {what}", self.goaway, self.was_reset)

    def expect(self, kind, timeout=None):
        """Steps until a frame of that kind has come, and returns it."""
        while True:
            f = self.step(timeout)
            if f is None:
                raise Gone(f"the connection ended before a {kind.__name__}", self.goaway, self.was_reset)
            if isinstance(f, kind):
                return f

    def sync(self):
        """All that was sent has been dealt with."""
        n = len(self.pongs)
        self.send_frame(PingFrame(0, b"testsync"))
        self.until(lambda: len(self.pongs) > n, "a ping's answer")

    def wait_end(self, timeout=None):
        """Reads to the end of the connection; the GOAWAY that came, or None."""
        while self.step(timeout) is not None:
            pass
        return self.goaway

    def response_of(self, stream):
        """What has come of an answer, as a Response; None while there is no final head."""
        inc = self.incoming(stream)
        interim = []
        for i, block in enumerate(inc.blocks):
            pseudo = [v for k, v in block if k == ":status"]
            if len(pseudo) != 1 or block[0][0] != ":status":
                raise Malformed(f"no status first: {block}")
            res = Response(1, int(pseudo[0]), "", block[1:])
            if res.status < 200:
                interim.append(res)
                continue
            res.interim = interim
            res.body = bytes(inc.body)
            res.trailers = inc.blocks[i + 1] if len(inc.blocks) > i + 1 else []
            if any(k.startswith(":") for k, _ in res.trailers) or len(inc.blocks) > i + 2:
                raise Malformed(f"blocks after the head: {inc.blocks[i + 1:]}")
            res.framing = "h2"
            return res
        return None

    def answer_head(self, stream):
        def done():
            return self.response_of(stream) is not None or self.incoming(stream).reset is not None
        self.until(done, f"an answer on stream {stream}")
        res = self.response_of(stream)
        if res is None:
            raise StreamReset(stream, self.incoming(stream).reset)
        return res

    def answer(self, stream):
        """The whole answer; StreamReset (with .response) or Gone if it is cut."""
        inc = self.incoming(stream)
        self.until(lambda: inc.ended or inc.reset is not None, f"the end of stream {stream}")
        res = self.response_of(stream)
        if not inc.ended:
            raise StreamReset(stream, inc.reset, res)
        if res is None:
            raise Malformed(f"stream {stream} ended without a final head")
        return res

    def request(self, method="GET", target="/", headers=(), body=None, **kw):
        return self.answer(self.ask(method, target, headers, body, **kw))

    def readable(self, timeout=0.0):
        return bool(self.buf) or can_read(self.sock, timeout)


class H2Backend:
    """A backend that speaks HTTP/2 with prior knowledge, over TLS if there is a context: a thread a connection, handler(conn) owns its frames.

    conn is an H2 whose .serve(fn) calls fn(stream, fields) for each request that has come whole.
    """

    def __init__(self, handler, settings=None, tls=None):
        self.handler, self.settings, self.tls = handler, settings or {}, tls
        self.errors, self.connections, self.requests = [], 0, []
        self.conns = []
        self.stopping = False
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(1024)
        self.address = self.sock.getsockname()
        self.text = f"127.0.0.1:{self.address[1]}"
        threading.Thread(target=self.accept_all, daemon=True).start()

    def __str__(self):
        return self.text

    def accept_all(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            if self.stopping:
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.run, args=(sock, self.connections), daemon=True).start()

    def run(self, sock, number):
        if self.tls is not None:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                return
        c = ServerConn(sock, self, number)
        self.conns.append(c)
        try:
            if c.read_preface():
                c.send_frame(SettingsFrame(0, settings=self.settings))
                self.handler(c)
        except (OSError, CutShort):
            pass
        except Exception as e:
            if not self.stopping:
                self.errors.append(e)
        finally:
            sock.close()

    def stop(self):
        self.stopping = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for c in self.conns:
            try:
                c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class ServerConn(H2):
    def __init__(self, sock, backend, number):
        super().__init__(sock=sock, server=True, start=False, timeout=30)
        self.backend, self.number = backend, number
        self.told = set()

    def read_preface(self):
        while len(self.buf) < len(PREFACE):
            if not self.fill():
                return False
        if bytes(self.buf[:len(PREFACE)]) != PREFACE:
            raise Malformed(f"no preface: {bytes(self.buf)!r}")
        del self.buf[:len(PREFACE)]
        return True

    def next_request(self, whole=True):
        """(stream, fields) of the next request, None at the end."""
        while True:
            for s, inc in sorted(self.streams.items()):
                if s not in self.told and inc.blocks and (inc.ended or not whole):
                    self.told.add(s)
                    fields = dict(inc.blocks[0])
                    self.backend.requests.append(fields)
                    return s, fields
            if self.step() is None:
                return None

    def respond(self, stream, status=200, headers=(), body=b"", trailers=None, end=True):
        self.headers(stream, [(":status", str(status)), *headers], end=end and not body and trailers is None)
        if body:
            self.data(stream, body, end and trailers is None)
        if trailers is not None:
            self.trailers(stream, trailers)

    def serve(self, answer):
        while (got := self.next_request()) is not None:
            answer(self, *got)
