"""
Peers that only make work.  Each attack must end with GOAWAY(ENHANCE_YOUR_CALM) soon, in bounded memory, and must not be felt by
another connection.  What an attack took of the proxy is printed (pytest -s).
"""
import os
import threading
import time

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from conftest import simple
from lib import over
from lib.backend import answering
from lib.h2 import CANCEL, ENHANCE_YOUR_CALM, H2, PROTOCOL_ERROR, Gone, StreamReset
from lib.timing import STRETCH, eventually, secs

H2C = {"protocols": ["h2", "http/1.1"]}
MIB = 1 << 20


class Watch:
    """Another client, that asks all the while: how slow was its slowest request?"""

    def __init__(self, w):
        self.w, self.slowest, self.failed, self.n, self.done = w, 0.0, [], 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with H2(self.w.address()) as c:
            while not self.done or self.n < 5:
                began = time.monotonic()
                try:
                    assert c.request("GET", "/hi").status == 200
                except Exception as e:
                    self.failed.append(repr(e))
                    return
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.n += 1
                time.sleep(0.005)

    def stop(self):
        self.done = True
        self.thread.join(secs(15))
        assert not self.failed, self.failed
        assert self.n > 0


@pytest.fixture
def attack(weir, backend):
    """attack(fn): runs fn(conn), which sends until the connection is gone; returns the conn."""
    def start(fn, handler=None, most_mib=24, calm=True, or_code=ENHANCE_YOUR_CALM, **sections):
        b = backend(handler or answering(b"hello"))
        w = weir(simple(b, listener=H2C, routes=[{"path": "/hi", "respond": {"status": 200, "body": "hi"}}], **sections))
        with H2(w.address()) as c:  # warm
            c.request()
            c.request("GET", "/hi")
        watch, rss, cpu, began = Watch(w), w.rss(), w.cpu(), time.monotonic()
        with H2(w.address()) as c:
            sent = fn(c)
            goaway = None
            try:
                goaway = c.wait_end()
            except (OSError, AssertionError):
                pass
        watch.stop()
        took = time.monotonic() - began
        print(f"\n{os.environ.get('PYTEST_CURRENT_TEST', '').split('::')[-1]}: {sent} sent in {took:.2f} s; {w.cpu() - cpu:.2f} s of CPU, "
              f"{(w.rss() - rss) / MIB:+.1f} MiB; the other client's slowest of {watch.n}: {watch.slowest * 1000:.1f} ms")
        if calm:
            assert goaway is not None and goaway.error_code in (ENHANCE_YOUR_CALM, or_code), goaway
            assert w.metric("weir_connections_calmed_total") == (goaway.error_code == ENHANCE_YOUR_CALM)
        assert w.rss() - rss < most_mib * MIB * STRETCH
        assert watch.slowest < secs(2.0)
        return c, w, b

    return start


def until_gone(c, send, most=200000):
    """Calls send(i) until the connection breaks; how often."""
    for i in range(most):
        try:
            send(i)
            while c.readable():
                if c.step() is None:
                    return i
        except OSError:
            return i
    return most


def repeat(frame, batch=50):
    data = frame.serialize() * batch
    return lambda c: until_gone(c, lambda i: c.raw(data)) * batch


def test_rapid_reset(attack):
    def send(c, i):
        s = c.ask("GET", "/")
        c.reset_stream(s)
    c, w, b = attack(lambda c: until_gone(c, lambda i: send(c, i)))
    assert c.next_stream / 2 < 20000


def test_rapid_reset_in_one_piece(attack):
    """HEADERS and RST_STREAM of 3,000 streams in one write: nearly none may reach the backend."""
    def run(c):
        out = []
        for _ in range(3000):
            s = c.new_stream()
            f = HeadersFrame(s, c.block_of(c.request_fields()), flags=["END_HEADERS", "END_STREAM"])
            out += [f.serialize(), RstStreamFrame(s, CANCEL).serialize()]
        c.try_send(type("Raw", (), {"serialize": lambda self: b"".join(out)})())
        return 3000
    c, w, b = attack(run)
    assert len(b.heads) < 210


def test_most_of_the_streams_reset_slowly(attack):
    """Below 200 in 10 s, but more than half of all."""
    def send(c, i):
        if i % 3 == 0:
            c.request("GET", "/hi")
        else:
            c.reset_stream(c.ask("GET", "/"))
        if i % 90 == 0:
            time.sleep(0.05)
    def run(c):
        try:
            return until_gone(c, lambda i: send(c, i), 3000)
        except Gone:
            return c.next_stream // 2
    c, w, b = attack(run)


def test_half_of_a_few_streams_reset_is_nothing(attack):
    def run(c):
        for i in range(60):
            assert c.request("GET", "/hi").status == 200
            c.reset_stream(c.ask("GET", "/"))
        assert c.request("GET", "/hi").status == 200
        c.close()
        return 60
    attack(run, calm=False)


def test_resets_that_we_are_made_to_send(attack):
    """MadeYouReset: a window that overflows makes the server reset the stream, whose request runs on in a careless one."""
    def send(c, i):
        s = c.ask("GET", "/")
        c.send_frame(WindowUpdateFrame(s, 0x7fffffff))
    # a client that is faster than the resets ends itself by too many streams
    attack(lambda c: until_gone(c, lambda i: send(c, i)), or_code=PROTOCOL_ERROR)


def test_requests_that_are_malformed_one_after_the_other(attack):
    def send(c, i):
        c.headers(c.new_stream(), [(":method", "GET"), (":path", "/")], end=True)
    attack(lambda c: until_gone(c, lambda i: send(c, i)), or_code=PROTOCOL_ERROR)


def test_settings_flood(attack):
    attack(repeat(SettingsFrame(0, settings={3: 100})))


def test_ping_flood(attack):
    attack(repeat(PingFrame(0, b"pingping")))


def test_answers_to_pings_that_nobody_sent(attack):
    attack(repeat(PingFrame(0, b"pingping", flags=["ACK"])))


def test_priority_flood(attack):
    attack(repeat(PriorityFrame(1, depends_on=0, stream_weight=3)))


def test_window_update_flood(attack):
    attack(repeat(WindowUpdateFrame(0, 1)))


def test_flood_of_unknown_frames(attack):
    unknown = type("Unknown", (), {"serialize": lambda self: b"\0\0\x01\xf0\0\0\0\0\x01x"})()
    attack(repeat(unknown))


@pytest.mark.parametrize("padding", [None, 0, 255])
def test_flood_of_empty_data(attack, padding):
    def run(c):
        s = c.ask("POST", "/", end=False)
        return repeat(DataFrame(s) if padding is None else DataFrame(s, pad_length=padding, flags=["PADDED"]))(c)
    attack(run)


def block_start(c, s):
    c.silent = True
    return HeadersFrame(s, c.block_of(c.request_fields()))


def test_continuation_flood(attack):
    """One header block that never ends (CVE-2024-27316 and its kin)."""
    def run(c):
        s = c.new_stream()
        c.send_frame(block_start(c, s))
        return repeat(ContinuationFrame(s, b"\x00\x01a\x01b" * 100), 1)(c)
    c, w, b = attack(run)
    assert not b.heads[1:]


def test_flood_of_empty_continuations(attack):
    def run(c):
        s = c.new_stream()
        c.send_frame(block_start(c, s))
        return repeat(ContinuationFrame(s, b""), 1)(c)
    attack(run)


def test_header_block_of_more_than_32_kib(attack):
    def run(c):
        s = c.new_stream()
        c.send_frame(block_start(c, s))
        return repeat(ContinuationFrame(s, b"\x00\x01a\x7f\xe1\x7c" + b"b" * 16096), 1)(c)
    attack(run)


def test_hpack_bomb(attack):
    """A field of 4 KB in the table, then thousands of references to it."""
    def run(c):
        def send(i):
            s = c.new_stream()
            block = c.block_of(c.request_fields(headers=[("x-bomb", "b" * 3900)])) if i == 0 else b"\xbe" * 16000
            c.send_frame(HeadersFrame(s, block, flags=["END_HEADERS", "END_STREAM"]))
        return until_gone(c, send, 500)
    attack(run)


def test_slow_headers(attack):
    """A header block, a few bytes at a time."""
    def run(c):
        s = c.new_stream()
        c.silent = True
        block = c.block_of(c.request_fields())
        c.raw(len(block).to_bytes(3, "big") + b"\x01\x00" + s.to_bytes(4, "big") + block)
        c.raw(b"\0\x40\0\x09\x04" + s.to_bytes(4, "big"))  # the CONTINUATION that now trickles in
        def send(i):
            c.raw(b"\x00")
            time.sleep(0.05)
        return until_gone(c, send, 1000)
    c, w, b = attack(run, timeouts={"request_header": "500ms"})


def test_answers_that_nobody_reads(attack):
    """Pings whose answers are not read: our queue must not grow."""
    def run(c):
        c.sock.settimeout(secs(0.5))
        ping, n = PingFrame(0, b"pingping").serialize() * 100, 0
        try:
            while n < 100000:
                c.raw(ping)
                n += 100
        except OSError:
            pass
        return n
    attack(run)


def test_windows_of_nothing(attack):
    """100 streams that each ask for 1 MB and open no window hold little, and another connection gets its share."""
    def run(c):
        c.send_frame(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}))
        streams = [c.ask("GET", "/big") for _ in range(100)]
        c.until(lambda: sum(c.response_of(s) is not None for s in streams) == 100, "100 heads")
        time.sleep(secs(0.3))
        c.close()
        return len(streams)
    attack(run, handler=answering(b"B" * MIB, then_close=True), calm=False)


def test_a_client_that_stalls_is_given_up(pair):
    w, b = pair(answering(b"B" * MIB), listener=H2C, timeouts={"stream_idle": "500ms"}, log={"access": "stdout", "format": "json"})
    with H2(w.address(), windows=False) as c:
        s = c.ask()
        with pytest.raises(StreamReset):
            c.answer(s)
    eventually(lambda: '"reason":"client_write_timeout"' in w.stdout(), 5)


def test_memory_of_idle_connections(weir, backend):
    n = 500
    w = weir({**simple(backend(), listener=H2C, routes=[{"path": "/hi", "respond": {"status": 200, "body": "hi"}}]), "daemon": {"workers": 1}})
    with H2(w.address()) as c:
        c.request("GET", "/hi")
    held = []
    try:
        before = w.rss()
        for _ in range(n):
            c = H2(w.address())
            assert c.request("GET", "/hi").status == 200
            held.append(c)
        eventually(lambda: "stream" not in w.fibers(), 5)
        each = (w.rss() - before) / n
        print(f"\nan idle HTTP/2 connection takes {each / 1024:.1f} KiB")
        if STRETCH == 1:
            assert each < (64 if over.TLS else 24) * 1024  # OpenSSL's share is bounded in test_tls.py
    finally:
        for c in held:
            c.close()
