"""HTTP/2 from clients, in clear with prior knowledge: requests, bodies, windows, trailers, interim answers, the end of connections."""
import ssl
import subprocess
import threading
import time

import pytest
from hyperframe.frame import GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from conftest import simple
from lib import over
from lib.backend import answering, echo_request
from lib.client import Client
from lib.h2 import CANCEL, H2, NO_ERROR, PROTOCOL_ERROR, Gone, StreamReset
from lib.timing import eventually, secs
from lib.wire import Malformed

H2C = {"protocols": ["h2", "http/1.1"]}


@pytest.fixture
def h2pair(pair):
    """pair() with HTTP/2 on the listener, and a connection: (Weir, Backend, H2)."""
    opened = []

    def start(handler=None, listener=None, conn=None, **kw):
        w, b = pair(handler, listener={**H2C, **(listener or {})}, **kw)
        c = H2(w.address(), **(conn or {}))
        opened.append(c)
        return w, b, c

    yield start
    for c in opened:
        c.close()


# -- requests and answers -----------------------------------------------------------------------------------------------
def test_a_get_is_answered(h2pair):
    w, b, c = h2pair(answering(b"hello", headers=[("X-Answer", "yes")]))
    res = c.request("GET", "/path?query=1", [("x-ask", "1")])
    assert (res.status, res.body, res.get("x-answer"), res.get("content-length")) == (200, b"hello", "yes", "5")
    req = b.requests[0]
    assert (req.method, req.target, req.get("host"), req.get("x-ask")) == ("GET", "/path?query=1", "test.example", "1")
    assert "2.0 weir" in req.get("via")


def test_http_1_is_spoken_on_the_same_listener(h2pair):
    w, _, _ = h2pair(answering(b"old"))
    assert w.get("/").body == b"old"


def test_a_preface_in_pieces_is_a_preface(pair):
    w, _ = pair(answering(b"x"), listener=H2C)
    with H2(w.address(), start=False) as c:
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            c.raw(bytes([byte]))
            time.sleep(0.002)
        c.send_frame(SettingsFrame(0))
        assert c.request().body == b"x"


def test_a_put_in_pieces_is_no_preface(pair):
    w, b = pair(echo_request, listener=H2C)
    with w.client() as c:
        c.send(b"P", b"UT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz", gap=0.05)
        assert c.answer("PUT").body == b"z"


def test_without_h2_in_protocols_a_preface_is_a_bad_request(pair):
    w, _ = pair()
    assert w.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 ")


def test_with_h2_alone_http_1_is_not_answered(pair):
    w, b = pair(listener={"protocols": ["h2"]})
    if over.TLS:
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            w.client()
    else:
        assert not w.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/")
    assert not b.requests
    with H2(w.address()) as c:
        assert c.request().status == 200


def test_many_streams_at_once_each_get_their_answer(h2pair):
    w, _, c = h2pair(echo_request)
    streams = {c.ask("POST", f"/{i}", body=b"%d" % i * 1000): i for i in range(80)}
    for s, i in streams.items():
        res = c.answer(s)
        assert (res.get("x-target"), res.body) == (f"/{i}", b"%d" % i * 1000)


def test_a_slow_stream_does_not_hold_up_others(h2pair):
    go = threading.Event()

    def handler(conn):
        while (req := conn.read_request()) is not None:
            if req.target == "/slow":
                go.wait(secs(10))
            conn.answer(200, req.target.encode())

    w, _, c = h2pair(handler)
    slow = c.ask("GET", "/slow")
    assert c.request("GET", "/fast").body == b"/fast"
    go.set()
    assert c.answer(slow).body == b"/slow"


def test_head_has_the_length_and_no_body(h2pair):
    _, _, c = h2pair(answering(b"12345"))
    res = c.request("HEAD", "/")
    assert (res.status, res.body, res.get("content-length")) == (200, b"", "5")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_ends_with_its_head(h2pair, status):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 %d X\r\nETag: \"1\"\r\n\r\n" % status)

    _, _, c = h2pair(handler)
    s = c.ask()
    assert c.answer(s).status == status and c.incoming(s).data_frames == 0


def test_a_body_without_length_is_chunked_for_the_backend(h2pair):
    _, b, c = h2pair(echo_request)
    s = c.ask("POST", "/", end=False)
    c.data(s, b"one")
    c.data(s, b"two", end=True)
    assert c.answer(s).body == b"onetwo"
    assert b.requests[0].framing == "chunked"


def test_a_body_with_length_keeps_it_for_the_backend(h2pair):
    _, b, c = h2pair(echo_request)
    assert c.request("POST", "/", body=b"0123456789").body == b"0123456789"
    assert (b.requests[0].framing, b.requests[0].get("content-length")) == ("length", "10")


def test_big_bodies_both_ways_are_whole(h2pair):
    big = bytes(range(256)) * 8192
    _, _, c = h2pair(echo_request)
    assert c.request("POST", "/", body=big).body == big


def test_a_chunked_answer_with_trailers_keeps_them(h2pair):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")

    _, _, c = h2pair(handler)
    res = c.request(headers=[("te", "trailers")])
    assert (res.body, res.trailers) == (b"abc", [("x-sum", "7")])
    assert res.get("content-length") is None


def test_request_trailers_reach_the_backend(h2pair):
    _, b, c = h2pair(echo_request)
    s = c.ask("POST", "/", end=False)
    c.data(s, b"body")
    c.trailers(s, [("x-sum", "9"), ("content-length", "4")])
    assert c.answer(s).body == b"body"
    assert b.requests[0].trailers == [("x-sum", "9")]


def test_what_only_proxies_say_of_clients_does_not_pass_as_a_trailer(h2pair):
    _, b, c = h2pair(echo_request)
    s = c.ask("POST", "/", end=False)
    c.data(s, b"body")
    c.trailers(s, [("x-client-cert-verify", "SUCCESS"), ("x_client_cert_spiffe", "spiffe://prod/x"), ("x-forwarded-user", "root"), ("x-sum", "9")])
    assert c.answer(s).body == b"body"
    assert b.requests[0].trailers == [("x-sum", "9")]


def test_interim_answers_pass(h2pair):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    _, _, c = h2pair(handler)
    res = c.request()
    assert [(i.status, i.get("link")) for i in res.interim] == [(103, "</a.css>")]
    assert res.body == b"ok"


def test_a_body_is_sent_after_100_continue(h2pair):
    def handler(conn):
        req = conn.read_head()
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.answer(200, req.stream.all())

    _, _, c = h2pair(handler)
    s = c.ask("POST", "/", [("expect", "100-continue"), ("content-length", "3")], end=False)
    c.until(lambda: c.incoming(s).blocks, "100")
    assert c.incoming(s).blocks[0][0] == (":status", "100")
    c.data(s, b"abc", end=True)
    assert c.answer(s).body == b"abc"


def test_cookies_in_pieces_arrive_as_one_field(h2pair):
    _, b, c = h2pair()
    c.request(headers=[("cookie", "a=1"), ("x-mid", "m"), ("cookie", "b=2"), ("cookie", "c=3")])
    assert b.requests[0].all("cookie") == ["a=1; b=2; c=3"]


def test_names_of_the_backend_become_small_and_its_connection_fields_stay(h2pair):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nX-CamelCase: 1\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n")

    _, _, c = h2pair(handler)
    res = c.request()
    assert res.get("x-camelcase") == "1" and "x-hop" not in res and "keep-alive" not in res


def test_an_answer_of_our_own_is_whole(h2pair):
    w, _, c = h2pair(listener={"pool": "app"}, routes=[{"path": "/hi", "respond": {"status": 200, "body": "hi\n"}},
                                                       {"path": "/go", "redirect": {"to": "https://{host}{uri}"}}])
    assert c.request("GET", "/hi").body == b"hi\n"
    res = c.request("GET", "/go?a=1")
    assert (res.status, res.get("location")) == (308, "https://test.example/go?a=1")


def test_the_access_log_says_http_2(h2pair):
    w, _, c = h2pair(log={"access": "stdout", "format": "json"})
    c.request("GET", "/logged")
    eventually(lambda: '"target":"/logged","protocol":"HTTP/2.0"' in w.stdout(), 5)


def test_an_unreachable_backend_is_a_503_and_the_connection_goes_on(weir, refusing):
    w = weir(simple(refusing, listener=H2C, routes=[{"path": "/hi", "respond": {"status": 200, "body": "hi"}}]))
    with H2(w.address()) as c:
        assert c.request().status == 503
        assert c.request("GET", "/hi").status == 200


def test_a_cut_answer_resets_its_stream_only(h2pair):
    def handler(conn):
        req = conn.read_request()
        if req.target == "/cut":
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        else:
            conn.answer(200, b"whole")

    _, _, c = h2pair(handler)
    with pytest.raises(StreamReset) as cut:
        c.request("GET", "/cut")
    assert cut.value.response.body == b"abc"
    assert c.request("GET", "/").body == b"whole"


def test_an_early_answer_ends_the_upload_without_an_error(h2pair):
    def handler(conn):
        conn.read_head()
        conn.answer(413, b"too much")
        conn.half_close()  # to close with some of the upload unread would be a reset, which may overtake the answer
        conn.read_all()

    _, _, c = h2pair(handler)
    s = c.ask("POST", "/", end=False)
    c.data(s, b"x" * 1000)
    assert c.answer(s).status == 413
    c.until(lambda: c.incoming(s).reset is not None, "RST_STREAM")
    assert c.incoming(s).reset in (NO_ERROR, CANCEL)


# -- windows ------------------------------------------------------------------------------------------------------------
def test_an_upload_nobody_takes_stops_at_the_window(h2pair):
    go = threading.Event()

    def handler(conn):
        req = conn.read_head()
        go.wait(secs(20))
        conn.answer(200, b"%d" % len(req.stream.all()))

    w, _, c = h2pair(handler)
    s = c.ask("POST", "/", end=False)
    sent = 0
    quiet = 0
    while quiet < 3:  # nothing more may be sent for a while
        room = min(c.window[0], c.stream_window(s), 16384)
        if room > 0:
            c.data(s, b"x" * room)
            sent += room
            quiet = 0
        elif c.readable(secs(0.2)):
            c.step()
        else:
            quiet += 1
    assert 65535 <= sent < 32 << 20
    go.set()
    c.data(s, b"", end=True)
    assert c.answer(s).body == b"%d" % sent


def test_a_download_waits_for_the_windows_of_the_client(h2pair):
    _, _, c = h2pair(answering(b"z" * 300000), conn={"windows": False})
    s = c.ask()
    c.until(lambda: len(c.incoming(s).body) == 65535, "a window full")
    assert not c.readable(secs(0.3))
    c.send_frame(WindowUpdateFrame(0, 1 << 20), WindowUpdateFrame(s, 1 << 20))
    assert len(c.answer(s).body) == 300000


def test_a_smaller_initial_window_is_kept_to(h2pair):
    _, _, c = h2pair(answering(b"z" * 1000), conn={"windows": False, "settings": {SettingsFrame.INITIAL_WINDOW_SIZE: 10}})
    s = c.ask()
    c.until(lambda: len(c.incoming(s).body) >= 10, "ten bytes")
    assert not c.readable(secs(0.2)) and len(c.incoming(s).body) == 10
    c.send_frame(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 2000}))
    assert len(c.answer(s).body) == 1000


def test_a_stalled_download_does_not_hold_up_others(h2pair):
    def handler(conn):
        while (req := conn.read_request()) is not None:
            conn.answer(200, b"b" * 200000 if req.target == "/big" else b"small")

    _, _, c = h2pair(handler, conn={"windows": False})
    c.send_frame(WindowUpdateFrame(0, 1 << 20))
    big = c.ask("GET", "/big")
    c.until(lambda: len(c.incoming(big).body) == 65535, "a window full")
    assert c.request("GET", "/small").body == b"small"


def test_a_client_that_resets_its_stream_frees_the_backend(h2pair):
    seen = []

    def handler(conn):
        conn.read_request()
        seen.append(conn.at_end())  # the proxy closes

    _, b, c = h2pair(handler)
    s = c.ask()
    eventually(lambda: b.requests)
    c.sync()
    assert seen == []
    c.reset_stream(s)
    eventually(lambda: seen == [True], 5)
    c.sync()


def test_the_windows_are_what_the_manual_says(h2pair):
    _, _, c = h2pair()
    c.request()
    assert c.window[0] == 1024 * 1024
    assert c.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, 65535) == 65535
    assert c.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 100
    assert c.settings[SettingsFrame.MAX_HEADER_LIST_SIZE] == 32768
    assert c.settings[8] == 1  # ENABLE_CONNECT_PROTOCOL


# -- the end ------------------------------------------------------------------------------------------------------------
def test_an_idle_connection_holds_no_fiber(h2pair):
    w, _, c = h2pair()
    c.request()
    eventually(lambda: "HTTP/2" not in w.fibers() and "stream" not in w.fibers(), 5)
    c.sync()
    assert c.request().status == 200


def test_an_idle_connection_ends_with_goaway(h2pair):
    w, _, c = h2pair(timeouts={"client_idle": "1s"})
    c.request()
    goaway = c.wait_end()
    assert (goaway.error_code, goaway.last_stream_id) == (NO_ERROR, 1)


def test_a_stop_says_goaway_and_finishes_what_runs(h2pair):
    go = threading.Event()

    def handler(conn):
        while conn.read_request() is not None:
            go.wait(secs(10))
            conn.answer(200, b"late")

    w, b, c = h2pair(handler)
    s = c.ask()
    eventually(lambda: b.requests, 5)
    w.signal(15)
    c.expect(GoAwayFrame)
    go.set()
    assert c.answer(s).body == b"late"
    c.wait_end()
    assert c.goaway.last_stream_id == s and c.goaway.error_code == NO_ERROR
    assert w.wait_exit() == 0


def test_a_stop_tells_an_idle_connection(h2pair):
    w, _, c = h2pair()
    c.request()
    w.signal(15)
    assert c.wait_end().last_stream_id == 1
    assert w.wait_exit() == 0


def test_a_request_under_way_at_the_stop_is_served(h2pair):
    """GOAWAY first names all streams, so what the client has sent meanwhile still counts."""
    w, _, c = h2pair()
    c.request()
    w.signal(15)
    first = c.expect(GoAwayFrame)
    assert first.last_stream_id == 2 ** 31 - 1
    assert c.request().status == 200  # before the ping was answered, as far as the proxy can know


def test_a_second_signal_ends_streams_with_a_503(h2pair):
    def handler(conn):
        conn.read_request()
        conn.at_end()

    w, b, c = h2pair(handler)
    s = c.ask()
    eventually(lambda: b.requests, 5)
    w.signal(15)
    c.expect(GoAwayFrame)
    w.signal(15)
    assert c.answer(s).status == 503
    assert w.wait_exit() in (0, 1)


def test_a_listener_that_goes_says_goaway(weir, backend):
    b = backend()
    conf = {"listeners": [{"name": "web", "pool": "app", **H2C}, {"name": "other", "pool": "app"}],
            "pools": [{"name": "app", "backends": [b]}]}
    w = weir(conf)
    with H2(w.address()) as idle, H2(w.address()) as busy:
        idle.request()
        busy.request()
        w.reload({"listeners": conf["listeners"][1:], "pools": conf["pools"]})
        assert idle.wait_end().error_code == NO_ERROR
        assert busy.wait_end().error_code == NO_ERROR


def test_a_connection_ends_after_its_requests(h2pair):
    _, b, c = h2pair(limits={"connection_requests": 5})
    for _ in range(5):
        assert c.request().status == 200
    assert c.wait_end().last_stream_id == 9
    assert len(b.requests) == 5


@pytest.mark.http1("as it says")
def test_an_http_1_connection_ends_after_its_requests(pair):
    w, _ = pair(limits={"connection_requests": 3})
    with w.client() as c:
        assert [c.request().closes for _ in range(3)] == [False, False, True]
        assert c.at_end()


@pytest.mark.parametrize("protocol", ["h2", "h1"])
def test_an_old_connection_ends_in_good_order(pair, protocol):
    w, _ = pair(listener=H2C, timeouts={"connection_age": "300ms"})
    end = time.monotonic() + secs(10)
    if protocol == "h1":
        with w.client() as c:
            while not c.request().closes:
                assert time.monotonic() < end
            assert c.at_end()
        return
    with H2(w.address()) as c:
        while c.goaway is None:
            assert time.monotonic() < end
            c.request()
        assert c.wait_end().error_code == NO_ERROR


# -- tools --------------------------------------------------------------------------------------------------------------
def test_curl_speaks_it(h2pair, tmp_path):
    w, _, _ = h2pair(echo_request)
    big = tmp_path / "big"
    big.write_bytes(bytes(range(256)) * 4096)
    how = ["--http2", "--insecure"] if over.TLS else ["--http2-prior-knowledge"]
    out = subprocess.run(["curl", "-sS", *how, "--data-binary", f"@{big}", w.url("/up")], capture_output=True, timeout=secs(20))
    assert (out.returncode, out.stdout) == (0, big.read_bytes()), out.stderr


def test_nghttp_speaks_it(h2pair):
    w, _, _ = h2pair(answering(b"n" * 200000))
    out = subprocess.run(["nghttp", "-n", "-s", "-m", "20", w.url("/a"), w.url("/b")], capture_output=True, text=True, timeout=secs(20))
    assert out.returncode == 0, out.stderr
    lines = [l.split() for l in out.stdout.splitlines() if l.endswith(("/a", "/b"))]
    assert len(lines) == 40 and all(l[4] == "200" for l in lines), out.stdout


def test_h2load_loses_nothing(h2pair, fast_backend):
    w, _, _ = h2pair()
    out = subprocess.run(["h2load", "-n", "2000", "-c", "10", "-m", "20", w.url("/")], capture_output=True, text=True, timeout=secs(40))
    assert "2000 succeeded, 0 failed, 0 errored" in out.stdout, out.stdout
