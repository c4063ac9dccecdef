"""HTTP/2 to backends: streams that share connections, limits, GOAWAY, refusals, dead connections; for clients of either version."""
import os
import re
import socket
import threading
import time

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame, PushPromiseFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from conftest import simple
from lib.backend import answering
from lib.h2 import CANCEL, ENHANCE_YOUR_CALM, H2, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, H2Backend, StreamReset
from lib.timing import STRETCH, eventually, ms, secs
from lib.tls import Authority
from lib.wire import CutShort

H2C = {"protocols": ["h2", "http/1.1"]}


def echo(c, s, fields):
    inc = c.incoming(s)
    c.respond(s, 200, [("x-conn", str(c.number)), ("x-path", fields[":path"]), ("x-scheme", fields[":scheme"]), ("x-authority", fields[":authority"])],
              bytes(inc.body) or b"empty", trailers=inc.blocks[1] if len(inc.blocks) > 1 else None)


@pytest.fixture
def up(weir):
    """up(handler) -> (Weir, H2Backend): a pool that speaks h2, a listener that speaks both."""
    made = []

    def start(handler=lambda c: c.serve(echo), settings=None, pool=None, **sections):
        b = H2Backend(handler, settings)
        made.append(b)
        sections.setdefault("daemon", {"workers": 1})
        return weir(simple(b, listener=H2C, pool={"protocol": "h2", **(pool or {})}, **sections)), b

    yield start
    for b in made:
        b.stop()
    errors = [e for b in made for e in b.errors]
    assert not errors, errors


@pytest.fixture(params=["http/1.1", "h2"])
def ask(request):
    """ask(weir, ...) -> Response, over either version."""
    def one(w, method="GET", target="/", headers=(), body=None):
        if request.param == "h2":
            with H2(w.address()) as c:
                return c.request(method, target, headers, body)
        return w.request(method, target, headers, body)
    return one


def test_a_request_and_its_answer(up, ask):
    w, b = up()
    res = ask(w, "GET", "/a?b=c", [("X-Ask", "1")])
    assert (res.status, res.body, res.get("x-path"), res.get("x-scheme"), res.get("x-authority")) == (200, b"empty", "/a?b=c", "http", "test.example")
    assert b.requests[0]["x-ask"] == "1" and "connection" not in b.requests[0]


def test_big_bodies_both_ways(up, ask):
    w, _ = up()
    big = bytes(range(256)) * 8000
    assert ask(w, "POST", "/", [], big).body == big


def test_a_chunked_body_and_its_trailers(up):
    w, _ = up()
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")
        res = c.answer("POST")
    assert (res.body, res.trailers) == (b"abc", [("x-sum", "7")])


def test_head_and_204_and_304_have_no_body(up, ask):
    def answer(c, s, fields):
        status = int(fields[":path"][1:])
        c.respond(s, status, [("content-length", "10")] if status == 200 else [])

    w, _ = up(lambda c: c.serve(answer))
    res = ask(w, "HEAD", "/200")
    assert (res.status, res.get("content-length"), res.body) == (200, "10", b"")
    assert ask(w, "GET", "/204").status == 204
    assert ask(w, "GET", "/304").status == 304


def test_interim_answers_pass(up, ask):
    def answer(c, s, fields):
        c.headers(s, [(":status", "103"), ("link", "</x>")])
        c.respond(s, 200, [], b"done")

    w, _ = up(lambda c: c.serve(answer))
    res = ask(w)
    assert [i.status for i in res.interim] == [103] and res.body == b"done"


def test_an_empty_answer_has_length_0(up):
    w, _ = up(lambda c: c.serve(lambda c, s, f: c.respond(s)))
    res = w.get()
    assert (res.status, res.get("content-length"), res.body) == (200, "0", b"")


def test_many_clients_share_one_connection(up):
    w, b = up()
    clients = [w.client() for _ in range(30)]
    for c in clients:
        c.ask("GET", "/")
    for c in clients:
        assert c.answer().status == 200
        c.close()
    assert b.connections == 1
    assert w.metric("weir_upstream_connections") == 1


def test_those_who_come_first_together_wait_for_one_connection(up):
    w, b = up()
    with H2(w.address()) as c:
        streams = [c.ask() for _ in range(50)]
        assert all(c.answer(s).status == 200 for s in streams)
    assert b.connections == 1


def test_at_the_limit_of_streams_another_connection_is_opened(up):
    go = threading.Event()

    def handler(c):
        while (got := c.next_request()) is not None:
            if got[1][":path"] != "/first":
                while not go.is_set():
                    if c.readable(0.01):
                        c.step()
                    if len([s for s, i in c.streams.items() if i.ended]) > len(c.told):
                        break
                if not go.is_set():
                    c.waiting = getattr(c, "waiting", []) + [got[0]]
                    continue
            for s in getattr(c, "waiting", []):
                c.respond(s, 200, [("x-conn", str(c.number))])
            c.waiting = []
            c.respond(got[0], 200, [("x-conn", str(c.number))])

    w, b = up(handler, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 4})
    assert w.get("/first").status == 200
    with H2(w.address()) as c:
        streams = [c.ask("GET", f"/{i}") for i in range(10)]
        eventually(lambda: sum(len(x.told) for x in b.conns) >= 9 and b.connections >= 2, 5)
        go.set()
        assert all(c.answer(s).status == 200 for s in streams)
    assert b.connections in (2, 3)  # the second takes all that is beyond, or four if its SETTINGS came before those


def test_what_a_goaway_did_not_process_is_sent_again_elsewhere(up, ask):
    """Also a POST: the backend says that it has done nothing."""
    def handler(c):
        s, _ = c.next_request()
        if c.number == 1:
            c.send_frame(GoAwayFrame(0, last_stream_id=0, error_code=NO_ERROR))
            c.wait_end()
            return
        echo(c, s, {":path": "/", ":scheme": "", ":authority": ""})
        c.serve(echo)

    w, b = up(handler)
    res = ask(w, "POST", "/", [], b"once")
    assert (res.status, res.body) == (200, b"once")
    assert b.connections == 2 and w.metric("weir_retries_total") == 1


def test_what_a_goaway_did_process_is_finished(up):
    def handler(c):
        s, fields = c.next_request()
        if c.number == 1:
            c.send_frame(GoAwayFrame(0, last_stream_id=s, error_code=NO_ERROR))
            time.sleep(0.1)
        c.respond(s, 200, [], b"%d" % c.number)
        c.wait_end()

    w, b = up(handler)
    assert w.get().body == b"1"
    assert w.get().body == b"2"


def test_a_refused_stream_is_sent_again(up, ask):
    def answer(c, s, fields):
        if len(c.backend.requests) == 1:
            c.reset_stream(s, REFUSED_STREAM)
        else:
            echo(c, s, fields)

    w, b = up(lambda c: c.serve(answer))
    res = ask(w, "POST", "/", [], b"again")
    assert (res.status, res.body, len(b.requests)) == (200, b"again", 2)


def test_streams_that_are_always_refused_are_a_503(up, ask):
    w, b = up(lambda c: c.serve(lambda c, s, f: c.reset_stream(s, REFUSED_STREAM)), log={"access": "stdout", "format": "json"})
    assert ask(w, "POST", "/", [], b"x").status == 503
    assert 2 <= len(b.requests) <= 3
    eventually(lambda: '"reason":"stream_refused"' in w.stdout(), 5)


@pytest.mark.parametrize("method,times", [("GET", 3), ("POST", 1)])
def test_a_stream_that_is_reset_on_a_kept_connection_is_sent_again_if_it_may_be(up, method, times):
    def answer(c, s, fields):
        if len(c.backend.requests) == 1:
            echo(c, s, fields)
        else:
            c.reset_stream(s, INTERNAL_ERROR)

    w, b = up(lambda c: c.serve(answer))
    assert w.get().status == 200
    assert w.request(method, "/", body=b"x" if method == "POST" else None).status == 502
    assert len(b.requests) == 1 + times


def test_an_answer_that_is_reset_is_cut(up):
    def answer(c, s, fields):
        c.respond(s, 200, [], b"half", end=False)
        c.reset_stream(s, INTERNAL_ERROR)

    w, _ = up(lambda c: c.serve(answer))
    with pytest.raises(CutShort):
        w.get()
    with H2(w.address()) as c, pytest.raises(StreamReset):
        c.request()


@pytest.mark.parametrize("fields", [[], [(":status", "200"), (":status", "200")], [(":status", "abc")], [(":status", "200"), ("connection", "close")],
                                    [(":status", "200"), ("x-a", "1\r\nx-b: 2")], [(":status", "200"), ("Upper", "1")], [("x", "1"), (":status", "200")],
                                    [(":status", "101")], [(":status", "200"), ("content-length", "x")]])
def test_a_malformed_answer_is_a_502(up, fields):
    w, b = up(lambda c: c.serve(lambda c, s, f: c.headers(s, fields, end=True)))
    assert w.get().status == 502
    w.logged(status=502, reason="bad_response")
    assert len(b.requests) == 1


def push(c, s, fields):
    c.send_frame(PushPromiseFrame(s, 2, c.block_of(c.request_fields()), flags=["END_HEADERS"]))


@pytest.mark.parametrize("says", [push, lambda c, s, f: c.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20), lambda c, s, f: c.data(1001, b"x"),
                                  lambda c, s, f: c.send_frame(WindowUpdateFrame(s, 2**31 - 1), WindowUpdateFrame(s, 2**31 - 1))],
                         ids=["push", "HTTP/1", "a stream of its own", "window"])
def test_a_backend_that_breaks_the_rules_is_a_502_that_says_so(up, says):
    w, b = up(lambda c: c.serve(says))
    assert w.request("POST", "/", body=b"x").status == 502
    w.logged(status=502, reason="bad_response")


@pytest.mark.parametrize("n,status", [(64, 200), (65, 502)])
def test_as_many_interim_answers_may_come_at_once_as_from_a_backend_of_http_1(up, backend, weir, n, status):
    def answer(c, s, fields):
        for _ in range(n):
            c.headers(s, [(":status", "103"), ("link", "</x>")])
        c.respond(s, 200, [], b"x")

    def http1(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * n)
            conn.answer(200, b"x")

    for w in (up(lambda c: c.serve(answer))[0], weir(simple(backend(http1)))):
        with w.client() as c:
            c.ask("GET", "/")
            assert c.answer().status == status
        w.logged(status=status, reason="ok" if status == 200 else "bad_response")


@pytest.mark.parametrize("length,body", [("5", b"1234"), ("3", b"1234")])
def test_a_body_of_another_length_is_cut(up, length, body):
    w, _ = up(lambda c: c.serve(lambda c, s, f: c.respond(s, 200, [("content-length", length)], body)))
    try:
        assert w.request("POST", "/", body=b"").status == 502
    except CutShort:
        pass


def test_a_kept_connection_that_ends_means_another_try(up):
    def handler(c):
        echo(c, *c.next_request())
        got = c.next_request()
        if c.number > 1 and got is not None:
            echo(c, *got)
            c.wait_end()

    w, b = up(handler)
    assert w.get().status == 200
    assert w.get().status == 200
    assert b.connections == 2


def test_a_dead_connection_is_found_by_ping(up):
    """The backend's machine is gone: nothing comes back, not even a reset."""
    def handler(c):
        if c.number == 1:
            s, fields = c.next_request()
            echo(c, s, fields)
            time.sleep(60)  # reads nothing, answers no ping
        c.serve(echo)

    w, b = up(handler)
    assert w.get().get("x-conn") == "1"
    began = time.monotonic()
    res = w.request("GET", "/", timeout=25)
    assert (res.status, res.get("x-conn")) == (200, "2")
    assert time.monotonic() - began < secs(15)


def test_an_idle_connection_is_closed_with_goaway(up):
    seen = []

    def handler(c):
        s, fields = c.next_request()
        echo(c, s, fields)
        seen.append(c.wait_end())

    w, b = up(handler, pool={"keepalive": {"idle": 4, "timeout": "200ms"}})
    w.get()
    eventually(lambda: seen, 5)
    assert seen[0].error_code == NO_ERROR
    assert w.metric("weir_upstream_connections") == 0


def test_an_idle_connection_holds_no_fiber_and_answers_pings(up):
    w, b = up()
    w.get()
    eventually(lambda: "h2 backend" not in w.fibers(), 5)
    conn = b.conns[0]
    conn.send_frame(PingFrame(0, b"areuther"))
    eventually(lambda: b"areuther" in conn.pongs, 5)
    eventually(lambda: "h2 backend" not in w.fibers(), 5)
    assert w.get().get("x-conn") == "1"


def test_an_idle_connection_that_the_backend_closes_is_not_used(up):
    def handler(c):
        s, fields = c.next_request()
        echo(c, s, fields)

    w, b = up(handler)
    for i in range(3):
        res = w.request("POST", "/", body=b"x")
        assert res.get("x-conn") == str(i + 1)
        eventually(lambda: w.metric("weir_upstream_connections") == 0, 5)


def test_a_client_that_leaves_resets_its_stream_only(up):
    seen = threading.Event()

    def handler(c):
        while (got := c.next_request()) is not None:
            s, fields = got
            if fields[":path"] == "/slow":
                c.until(lambda: c.incoming(s).reset is not None, "a reset")
                seen.set()
            else:
                echo(c, s, fields)

    w, b = up(handler)
    with H2(w.address()) as c:
        s = c.ask("GET", "/slow")
        eventually(lambda: b.requests, 5)
        c.reset_stream(s)
        assert seen.wait(secs(5))
        assert c.request("GET", "/").status == 200
    assert b.connections == 1


def test_an_upload_waits_for_the_window_of_the_backend(up):
    go = threading.Event()

    def handler(c):
        c.windows = False
        s, fields = c.next_request(whole=False)
        inc = c.incoming(s)
        c.until(lambda: len(inc.body) == 65535 and c.acks > 0, "a window full")
        assert not c.readable(secs(0.3))
        c.send_frame(WindowUpdateFrame(0, 1 << 20), WindowUpdateFrame(s, 1 << 20))
        c.until(lambda: inc.ended, "the end")
        c.respond(s, 200, [], b"%d" % len(inc.body))
        c.wait_end()

    w, _ = up(handler)
    assert w.request("POST", "/", body=b"u" * 200000).body == b"200000"


def test_an_answer_nobody_takes_does_not_hold_up_others(up):
    def answer(c, s, fields):
        c.respond(s, 200, [], b"B" * 60000 if fields[":path"] == "/big" else b"small")

    w, b = up(lambda c: c.serve(answer))
    with H2(w.address(), settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as c:
        stalled = [c.ask("GET", "/big") for _ in range(5)]
        c.until(lambda: all(c.response_of(s) for s in stalled), "heads")
        assert w.get("/small").body == b"small"
        assert b.connections == 1


def test_at_the_limit_of_connections_streams_wait_their_turn(weir):
    b = H2Backend(lambda c: c.serve(echo), settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    w = weir({**simple({"address": str(b), "max_connections": 1}, listener=H2C, pool={"protocol": "h2"}), "daemon": {"workers": 1}})
    try:
        with H2(w.address()) as c:
            assert c.request().status == 200
            streams = [c.ask() for _ in range(20)]
            assert all(c.answer(s).status == 200 for s in streams)
        assert b.connections == 1 and not b.errors
    finally:
        b.stop()


def test_an_idle_connection_gives_way_to_another_worker(weir):
    b = H2Backend(lambda c: c.serve(echo))
    w = weir({**simple({"address": str(b), "max_connections": 1}, listener=H2C, pool={"protocol": "h2"}), "daemon": {"workers": 2}})
    try:
        for _ in range(30):  # by chance here and there
            assert w.get("/").status == 200
            eventually(lambda: w.metric("weir_backend_idle_connections") == 1 == w.metric("weir_backend_connections"))
        assert not b.errors
    finally:
        b.stop()


def test_an_upgrade_is_a_plain_request_to_a_backend_that_knows_no_extended_connect(up):
    w, b = up()
    res = w.get("/", [("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                      ("Sec-WebSocket-Version", "13")])
    assert res.status == 200 and "sec-websocket-accept" not in res
    assert "upgrade" not in b.requests[0] and "connection" not in b.requests[0]


def test_a_stop_ends_shared_connections(up):
    w, b = up()
    w.get()
    w.signal(15)
    assert w.wait_exit() == 0
    eventually(lambda: b.conns[0].eof, 5)


def test_a_retired_backend_gets_goaway(weir, up):
    w, b = up()
    other = H2Backend(lambda c: c.serve(echo))
    try:
        w.get()
        w.reload(simple(other, listener=H2C, pool={"protocol": "h2"}))
        eventually(lambda: b.conns[0].goaway is not None, 5)
        assert w.get().status == 200
    finally:
        other.stop()


def test_an_http_check_speaks_http_2_as_the_pool_does(up):
    healthy, asked = [True], []

    def answer(c, s, fields):
        if fields[":path"] != "/healthz?x":
            return echo(c, s, fields)
        asked.append(fields)
        c.respond(s, 200 if healthy[0] else 503, [], b"all is " + b"x" * 20000 + b" well")

    quick = {"type": "http", "path": "/healthz?x", "headers": ["X-Why: health"], "body_regex": "^all is x{100}x*( well)$", "interval": ms(50),
             "fast_interval": ms(20), "down_interval": ms(50), "timeout": ms(2000), "fall": 2}
    w, b = up(lambda c: c.serve(answer), pool={"health": quick, "outlier": {"panic": 0}})
    eventually(lambda: len(asked) > 3)
    assert asked[-1]["x-why"] == "health" and asked[-1][":authority"] == str(b) and asked[-1][":scheme"] == "http"
    assert w.get("/").status == 200 and "backend.state" not in w.stderr()
    healthy[0] = False
    eventually(lambda: w.get("/").status == 503)
    assert "to=down reason=status" in w.stderr()
    healthy[0] = True
    eventually(lambda: w.get("/").status == 200)


def test_an_http_check_of_a_port_of_its_own_speaks_http_1(up, backend):
    health = backend(answering(b"well"))
    w, b = up(pool={"health": {"type": "http", "port": int(str(health).rpartition(":")[2]), "interval": ms(50)}})
    eventually(lambda: len(health.requests) > 3)
    assert w.get("/").status == 200 and "backend.state" not in w.stderr()


def test_an_http_check_of_a_backend_that_does_not_speak_http_2_fails(weir, backend):
    b = backend(lambda conn: conn.send(b"220 who are you?\r\n"))
    w = weir(simple(b, pool={"protocol": "h2", "health": {"type": "http", "interval": ms(50)}, "outlier": {"panic": 0}}))
    eventually(lambda: re.search(r"to=down reason=(bad_answer|closed|timeout)", w.stderr()))


# -- whose fault it is when a shared connection ends ----------------------------------------------------------------------
@pytest.fixture
def pair(weir):
    """pair(handler, **outlier) -> (Weir, H2Backend): a backend with that handler, another one that is well."""
    made = []

    def start(handler, **outlier):
        b, well = H2Backend(handler), H2Backend(lambda c: c.serve(lambda c, s, f: c.respond(s, 200, [], b"well")))
        made.extend((b, well))
        return weir(simple(b, well, listener=H2C, pool={"protocol": "h2", "outlier": outlier}, daemon={"workers": 1},
                           timeouts={"first_byte": "120s"})), b

    yield start
    for b in made:
        b.stop()
    errors = [e for b in made for e in b.errors]
    assert not errors, errors


def posts(w, n=16):
    """The statuses of so many requests that can't be sent twice, all at once."""
    with H2(w.address(), timeout=40) as c:
        return sorted(c.answer(s).status for s in [c.ask("POST", "/", [], b"x") for _ in range(n)])


def test_a_backend_that_hangs_is_ejected(pair):
    hung = threading.Event()

    def handler(c):
        echo(c, *c.next_request())
        hung.wait(secs(60))  # reads nothing, answers no ping

    w, b = pair(handler)
    assert [w.get().status for _ in range(2)] == [200] * 2
    assert posts(w) == [200] * 8 + [504] * 8
    eventually(lambda: f"backend={b} from=up to=ejected" in w.stderr())
    w.logged(status=504, reason="backend_silent")
    assert posts(w) == [200] * 16
    hung.set()


@pytest.mark.parametrize("answers", [1, 0])
def test_a_connection_that_ends_counts_against_the_backend_unless_it_may_have_been_dead_before(pair, answers):
    """It had idled, and ended without a word: maybe before the requests were sent."""
    def handler(c):
        echo(c, *c.next_request())
        c.windows = False  # a window that opens would be a word
        got = [c.next_request()[0] for _ in range(8)]
        for s in got[:answers]:
            c.respond(s)
        c.sock.shutdown(socket.SHUT_WR)
        c.wait_end()

    w, b = pair(handler)
    assert [w.get().status for _ in range(2)] == [200] * 2
    assert posts(w) == [200] * (8 + answers) + [502] * (8 - answers)
    if answers:
        eventually(lambda: f"backend={b} from=up to=ejected" in w.stderr())
    else:
        assert "backend.state" not in w.stderr()


# -- what a shared connection was opened under ----------------------------------------------------------------------------
@pytest.fixture(params=["h2", "auto"])
def trusted(request, weir):
    """trusted(authority, handler, **tls) -> (Weir, H2Backend): a backend with TLS, and a pool that trusts that authority."""
    made = []

    def start(authority, handler=lambda c: c.serve(echo), cert=None, verify=False, **tls):
        context = authority.server_context(cert or authority.issue("app.internal", sans=["URI:spiffe://prod.example/app"]), verify)
        context.set_alpn_protocols(["h2"])
        b = H2Backend(handler, tls=context)
        made.append(b)
        return weir(simple(b, listener=H2C, pool={"protocol": request.param, "tls": {"ca": authority.cert, "server_name": "app.internal", **tls}},
                           daemon={"workers": 1})), b

    yield start
    for b in made:
        b.stop()
    errors = [e for b in made for e in b.errors]
    assert not errors, errors


def with_tls(w, **tls):
    """Its configuration with other settings of the pool's TLS."""
    pool = w.conf["pools"][0]
    return {**w.conf, "pools": [{**pool, "tls": {**pool["tls"], **tls}}]}


@pytest.mark.parametrize("change,reason", [("ca", "backend_certificate_refused"), ("server_name", "backend_certificate_refused"),
                                           ("identity", "backend_identity_not_allowed")])
def test_a_reload_that_trusts_others_leaves_a_shared_connection(trusted, authority, change, reason):
    w, b = trusted(authority)
    assert w.get().get("x-conn") == "1"
    w.reload(with_tls(w, **{change: {"ca": Authority(name="Other").cert, "server_name": "no.internal", "identity": "spiffe://prod.example/other"}[change]}))
    assert w.get().status == 502
    assert reason in w.stderr()
    eventually(lambda: b.conns[0].goaway is not None)
    assert len(b.requests) == 1


def test_a_reload_under_which_it_is_trusted_opens_another_connection(trusted, authority):
    w, b = trusted(authority)
    assert w.get().get("x-conn") == "1"
    w.reload(with_tls(w, identity="spiffe://prod.example/app"))
    assert [w.get().get("x-conn") for _ in range(3)] == ["2"] * 3


def test_a_revocation_is_heeded_on_shared_connections_too(trusted):
    ca = Authority(name="Revoking")
    cert = ca.issue("app.internal")
    crl = ca.crl()
    w, b = trusted(ca, cert=cert, crl=crl)
    assert w.get().status == 200
    os.rename(ca.crl(cert), crl)
    eventually(lambda: w.metric("weir_tls_renewals_total", result="ok") == 1, 10)
    assert w.get().status == 502
    assert "backend_certificate_refused" in w.stderr() and len(b.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_backend_that_wants_a_certificate_of_ours_gets_no_request(trusted, authority, method):
    w, b = trusted(authority, verify=True)
    assert w.request(method, "/").status == 502
    assert w.logged(status=502)["reason"] in ("backend_tls_alert", "backend_reset")  # a reset may overtake what was said before it
    assert not b.requests


def test_what_is_under_way_on_a_connection_that_is_left_is_finished(trusted, authority):
    go = threading.Event()

    def answer(c, s, fields):
        if fields[":path"] == "/slow":
            c.headers(s, [(":status", "200")])
            assert go.wait(secs(30))
            c.data(s, b"whole", end=True)
        else:
            echo(c, s, fields)

    w, b = trusted(authority, lambda c: c.serve(answer))
    with H2(w.address()) as c:
        slow = c.ask("GET", "/slow")
        c.answer_head(slow)
        w.reload(with_tls(w, identity="spiffe://prod.example/app"))
        assert w.get().get("x-conn") == "2"
        assert b.conns[0].goaway is None
        go.set()
        assert c.answer(slow).body == b"whole"
    eventually(lambda: b.conns[0].goaway is not None)
    assert w.get().get("x-conn") == "2"
