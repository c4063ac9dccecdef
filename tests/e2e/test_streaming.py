"""Bodies of any size pass in bounded memory, in both directions at once, at the pace of the slower side."""
import hashlib
import os
import threading
import time

import pytest

from lib import over_h2c
from lib.backend import answer_bytes
from lib.client import chunk, request_bytes
from lib.load import BODY
from lib.timing import STRETCH, eventually, secs
from lib.wire import CutShort

GIB = 1 << 30
MIB = 1 << 20
MEMORY = 24 * MIB if STRETCH == 1 else 400 * MIB  # what a transfer may add to the memory in use


def digest_of(total):
    whole = hashlib.sha256()
    for _ in range(total // len(BODY)):
        whole.update(BODY)
    return whole.hexdigest()


class Watch:
    """The most memory seen while the block ran."""

    def __init__(self, w):
        self.w, self.before, self.most, self.stopping = w, w.rss(), 0, False

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while not self.stopping:
            self.most = max(self.most, self.w.rss())
            time.sleep(0.02)

    def __exit__(self, *exc):
        self.stopping = True
        self.thread.join()

    @property
    def grown(self):
        return max(self.most, self.w.rss()) - self.before


def download_handler(total, chunked):
    def handler(conn):
        while conn.read_request() is not None:
            piece = b"%x\r\n%s\r\n" % (len(BODY), BODY) if chunked else BODY
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" if chunked else
                      b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            for _ in range(total // len(BODY)):
                conn.send(piece)
            if chunked:
                conn.send(b"0\r\n\r\n")
    return handler


def upload_handler(got):
    def handler(conn):
        conn.backend.keep_raw = False
        while (req := conn.read_head()) is not None:
            whole, n = hashlib.sha256(), 0
            while piece := req.stream.piece():
                whole.update(piece)
                n += len(piece)
            got.append((n, whole.hexdigest(), req.framing))
            conn.answer(200, b"thanks")
    return handler


def download(w, total, **kw):
    whole, n = hashlib.sha256(), 0
    with w.client(**kw) as c:
        c.ask("GET", "/big")
        res = c.answer_head()
        while piece := res.stream.piece():
            whole.update(piece)
            n += len(piece)
    return n, whole.hexdigest(), res.framing


def upload(w, total, chunked):
    with w.client(timeout=60) as c:
        c.ask("POST", "/up", {} if chunked else {"Content-Length": str(total)}, chunked=chunked)
        for left in range(total, 0, -len(BODY)):
            c.ask_piece(BODY, chunked, last=left == len(BODY))
        return c.answer()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("total", [64 * MIB, pytest.param(GIB, marks=pytest.mark.slow)])
def test_a_large_download_arrives_whole_in_bounded_memory(pair, total, chunked):
    w, b = pair(download_handler(total, chunked))
    with Watch(w) as watch:
        n, digest, framing = download(w, total)
    assert (n, digest) == (total, digest_of(total))
    assert framing in ("chunked" if chunked else "length", "h2")
    assert watch.grown < MEMORY, f"memory grew by {watch.grown >> 20} MiB"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("total", [64 * MIB, pytest.param(GIB, marks=pytest.mark.slow)])
def test_a_large_upload_arrives_whole_in_bounded_memory(pair, total, chunked):
    got = []
    w, b = pair(upload_handler(got))
    with Watch(w) as watch:
        assert upload(w, total, chunked).body == b"thanks"
    assert got == [(total, digest_of(total), "chunked" if chunked else "length")]
    assert watch.grown < MEMORY, f"memory grew by {watch.grown >> 20} MiB"


@pytest.mark.timeout(300 * STRETCH)  # how long it takes is the machine's affair
def test_one_gibibyte_each_way_at_once_with_its_hash(pair):
    """The two directions of different clients at the same time; the full size of the promise."""
    total = GIB if STRETCH == 1 and not over_h2c.ON else 64 * MIB  # of frames Python makes little a second
    got = []

    def handler(conn):
        conn.backend.keep_raw = False
        req = conn.read_head()
        if req is None:
            return
        if req.method == "GET":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            for _ in range(total // len(BODY)):
                conn.send(BODY)
            return
        whole, n = hashlib.sha256(), 0
        while piece := req.stream.piece():
            whole.update(piece)
            n += len(piece)
        got.append((n, whole.hexdigest()))
        conn.answer(200, b"thanks")

    w, b = pair(handler)
    result = {}
    t = threading.Thread(target=lambda: result.update(down=download(w, total)))
    with Watch(w) as watch:
        t.start()
        assert upload(w, total, False).body == b"thanks"
        t.join()
    want = digest_of(total)
    assert got == [(total, want)] and result["down"][:2] == (total, want)
    assert watch.grown < MEMORY, f"memory grew by {watch.grown >> 20} MiB"


def test_a_client_that_does_not_read_stops_the_backend_and_costs_no_memory(pair):
    sent = []

    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        conn.sock.settimeout(None)
        for i in range(GIB // len(BODY)):
            conn.send(BODY)
            sent.append(i)
    w, b = pair(handler)
    before = w.rss()
    clients = []
    for _ in range(8):
        c = w.client(rcvbuf=8192)
        c.ask("GET", "/")
        c.answer_head()
        clients.append(c)

    def still():
        n = len(sent)
        time.sleep(0.15)
        return len(sent) == n
    eventually(still, 20, "the backends being held back")
    assert len(sent) * len(BODY) < 8 * 24 * MIB, "the proxy took more than sockets hold"
    assert w.rss() - before < 8 * 2 * MIB * STRETCH, f"{(w.rss() - before) >> 10} KiB for 8 slow readers"
    for c in clients:
        c.reset()


@pytest.mark.in_clear("a send that times out leaves a record cut")
def test_a_backend_that_does_not_read_stops_the_client_and_costs_no_memory(pair):
    release = threading.Event()

    def handler(conn):
        conn.read_head()
        release.wait(20)
    w, b = pair(handler)
    before = w.rss()
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % GIB)
        c.sock.settimeout(secs(0.5))
        sent = 0
        try:
            while sent < 256 * MIB:
                sent += c.sock.send(BODY)
        except TimeoutError:
            pass
        assert sent < 64 * MIB, "nobody held the client back"
        assert w.rss() - before < 4 * MIB * STRETCH
    release.set()


def test_a_slow_reader_and_a_slow_backend_at_once_keep_both_directions_bounded(pair):
    """Back-pressure both ways on one exchange: the reply streams while the request does."""
    total = 8 * MIB

    def handler(conn):
        conn.backend.keep_raw = False
        req = conn.read_head()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while piece := req.stream.piece(16384):
            conn.send(chunk(piece))
        conn.send(b"0\r\n\r\n")
    w, b = pair(handler)
    with w.client(rcvbuf=16384, timeout=30) as c:
        c.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
        sender = threading.Thread(target=lambda: [c.send(BODY) for _ in range(total // len(BODY))], daemon=True)
        with Watch(w) as watch:
            sender.start()
            res = c.answer_head()
            whole, n = hashlib.sha256(), 0
            while piece := res.stream.piece(8192):
                whole.update(piece)
                n += len(piece)
                if n < MIB:
                    time.sleep(0.001)
            sender.join()
    assert (n, whole.hexdigest()) == (total, digest_of(total))
    assert watch.grown < 4 * MIB * STRETCH


def test_the_answer_streams_while_the_upload_goes_on(pair):
    def handler(conn):
        req = conn.read_head()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while piece := req.stream.piece():
            conn.send(chunk(piece.upper()))
        conn.send(b"0\r\n\r\n")
    w, b = pair(handler)
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        c.send(chunk(b"first"))
        res = c.answer_head()
        assert res.stream.piece() == b"FIRST"
        for i in range(20):
            c.send(chunk(b"piece %d" % i))
            assert res.stream.piece() == b"PIECE %d" % i
        c.send(b"0\r\n\r\n")
        assert res.stream.piece() == b""


def test_an_answer_before_the_upload_has_ended_reaches_the_client(pair):
    """A backend that refuses an upload without reading it: the client must see the refusal."""
    def handler(conn):
        conn.read_head()
        conn.answer(413, b"too much", headers=[("Connection", "close")])
        conn.half_close()
        while conn.fill():
            conn.buf.clear()
    w, b = pair(handler)
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000)
        res = c.answer()
        assert (res.status, res.body) == (413, b"too much")


def test_an_answer_before_the_upload_has_ended_reaches_a_client_that_keeps_sending(pair):
    def handler(conn):
        conn.backend.keep_raw = False
        conn.read_head()
        conn.answer(413, b"too much", headers=[("Connection", "close")])
        conn.half_close()
        while conn.fill():
            conn.buf.clear()
    w, b = pair(handler)
    for _ in range(5):
        with w.client() as c:
            c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
            for _ in range(4000000 // len(BODY)):
                if not c.try_send(BODY):
                    break
            res = c.answer()
            assert (res.status, res.body) == (413, b"too much")


def test_the_first_bytes_of_an_answer_are_not_held_back(pair):
    release = threading.Event()

    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        release.wait(10)
        conn.send(b"later")
    w, b = pair(handler)
    with w.client() as c:
        c.ask("GET", "/")
        res = c.answer_head()
        assert res.stream.piece() == b"first"
        release.set()
        assert res.stream.piece() == b"later"


def test_server_sent_events_arrive_one_by_one(pair):
    go = threading.Semaphore(0)

    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i in range(10):
            go.acquire()
            conn.send(b"data: %d\n\n" % i)
    w, b = pair(handler)
    with w.client() as c:
        c.ask("GET", "/events")
        res = c.answer_head()
        for i in range(10):
            go.release()
            assert res.stream.piece() == b"data: %d\n\n" % i
        assert res.stream.piece() == b""


def test_the_first_chunk_of_an_upload_is_not_held_back(pair):
    def handler(conn):
        req = conn.read_head()
        first = req.stream.piece()
        conn.answer(200, first)
    w, b = pair(handler)
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello")
        assert c.answer().body == b"hello"


def test_a_client_that_leaves_in_a_download_frees_the_backend(pair):
    ended = []

    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        try:
            while True:
                conn.send(BODY)
        except OSError as e:
            ended.append(e)
            raise ConnectionError
    w, b = pair(handler)
    with w.client() as c:
        c.ask("GET", "/")
        res = c.answer_head()
        res.stream.piece()
    eventually(lambda: ended, what="the backend being told")
    entry = eventually(lambda: w.access())[0]
    assert entry["reason"] in ("client_reset", "client_closed")


def test_a_client_that_leaves_in_an_upload_frees_the_backend(pair):
    def handler(conn):
        req = conn.read_head()
        try:
            req.stream.all()
        except CutShort:
            conn.backend.cut = True
    w, b = pair(handler)
    b.cut = False
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        eventually(lambda: b.heads)
    eventually(lambda: b.cut, what="the backend being told")


def test_a_body_whose_length_is_a_power_of_two_ends_exactly(pair):
    def handler(conn):
        while (req := conn.read_request()) is not None:
            conn.send(answer_bytes(200, b"z" * int(req.target[1:])))
    w, b = pair(handler)
    with w.client() as c:
        for n in [1, 2, 1023, 1024, 4096, 8191, 8192, 16383, 16384, 16385, 32768, 65535, 65536, 65537, 131072, 262144, 1 << 20]:
            assert len(c.request("GET", f"/{n}").body) == n


def test_thousands_of_tiny_chunks_pass_in_order(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunk(b"%d," % i) for i in range(20000)) + b"0\r\n\r\n")
    w, b = pair(handler)
    assert w.get("/").body == b"".join(b"%d," % i for i in range(20000))


def test_uploads_and_downloads_on_one_connection_alternate(pair):
    def handler(conn):
        while (req := conn.read_request()) is not None:
            conn.answer(200, hashlib.sha256(req.body).hexdigest().encode() + req.body)
    w, b = pair(handler)
    with w.client() as c:
        for i in range(20):
            body = os.urandom(100 * i * i)
            assert c.request("POST", "/", body=body, chunked=i % 2 == 0).body == hashlib.sha256(body).hexdigest().encode() + body


@pytest.mark.no_sanitizer  # which keeps freed memory
def test_a_large_answer_to_a_head_only_reader_that_closes_costs_nothing_later(pair):
    """After a hundred abandoned downloads the memory is what it was."""
    def handler(conn):
        try:
            while conn.read_request() is not None:
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * MIB))
                for _ in range(64):
                    conn.send(BODY)
        except OSError:
            raise ConnectionError from None
    w, b = pair(handler)

    def abandon(n):
        for _ in range(n):
            with w.client() as c:
                c.send(request_bytes())
                c.answer_head()
    abandon(20)
    eventually(lambda: w.metric("weir_connections") == 0)
    before = w.rss()
    abandon(100)
    eventually(lambda: w.metric("weir_connections") == 0)
    eventually(lambda: w.rss() - before < 2 * MIB, what="as much memory as before")
