"""gRPC through the proxy, with real clients and servers: the four kinds of calls, trailers, deadlines, errors of ours as grpc-status."""
import threading
import time
from concurrent import futures

import pytest

grpc = pytest.importorskip("grpc")

from conftest import simple  # noqa: E402
from lib import over  # noqa: E402
from lib.h2 import H2, H2Backend  # noqa: E402
from lib.timing import eventually, ms, secs  # noqa: E402

H2C = {"protocols": ["h2"]}


class Echo(grpc.GenericRpcHandler):
    """Methods of /test.Echo/ on bytes."""

    def __init__(self):
        self.calls, self.remaining, self.cancelled, self.started = [], [], threading.Event(), threading.Event()
        self.go = threading.Event()

    def service(self, call):
        self.calls.append((call.method, dict(call.invocation_metadata)))
        kind = call.method.rsplit("/", 1)[1]
        return {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Slow": grpc.unary_unary_rpc_method_handler(self.slow),
            "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
            "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
            "Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
        }.get(kind)

    def unary(self, request, context):
        self.remaining.append(context.time_remaining())
        context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"), ("x-bin-bin", b"\x00\xff")))
        return b"re:" + request

    def fail(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: ä%")

    def slow(self, request, context):
        self.started.set()
        if not context.add_callback(self.cancelled.set):
            self.cancelled.set()  # it was before we could ask
        self.go.wait(secs(20))
        return b"late"

    def server_stream(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i * 100

    def client_stream(self, requests, context):
        return b"%d" % sum(len(r) for r in requests)

    def bidi(self, requests, context):
        for r in requests:
            yield b"re:" + r


@pytest.fixture
def server():
    handler = Echo()
    s = grpc.server(futures.ThreadPoolExecutor(max_workers=20))
    s.add_generic_rpc_handlers((handler,))
    port = s.add_insecure_port("127.0.0.1:0")
    s.start()
    handler.text = f"127.0.0.1:{port}"
    handler.server = s
    yield handler
    handler.go.set()
    s.stop(None)


def open_channel(w):
    options = [("grpc.enable_http_proxy", 0), ("grpc.ssl_target_name_override", "test.example")]
    trusted = over.authority_of(w.address())
    if trusted is None:
        return grpc.insecure_channel("%s:%d" % w.address(), options=options)
    with open(trusted, "rb") as f:
        return grpc.secure_channel("%s:%d" % w.address(), grpc.ssl_channel_credentials(f.read()), options=options)


@pytest.fixture
def rpc(weir, server):
    """rpc(...) -> (Weir, channel): a channel through the proxy to the server."""
    channels = []

    def start(backends=None, **sections):
        w = weir(simple(*(backends or [server.text]), listener=H2C, pool={"protocol": "h2"}, **sections))
        channel = open_channel(w)
        channels.append(channel)
        return w, channel

    yield start
    for c in channels:
        c.close()


def test_a_unary_call(rpc):
    w, channel = rpc(log={"access": "stdout", "format": "json"})
    answer, call = channel.unary_unary("/test.Echo/Unary").with_call(b"hello", timeout=secs(10), metadata=(("x-mine", "3"),))
    assert answer == b"re:hello"
    assert dict(call.initial_metadata())["x-initial"] == "1"
    trailing = dict(call.trailing_metadata())
    assert (trailing["x-trailing"], trailing["x-bin-bin"]) == ("2", b"\x00\xff")
    assert call.code() == grpc.StatusCode.OK
    eventually(lambda: '"target":"/test.Echo/Unary"' in w.stdout(), 5)


def test_big_messages(rpc):
    _, channel = rpc()
    big = b"m" * 3000000
    assert channel.unary_unary("/test.Echo/Unary")(big, timeout=secs(20)) == b"re:" + big


def test_a_failure_of_the_server_keeps_its_status(rpc):
    _, channel = rpc()
    with pytest.raises(grpc.RpcError) as e:
        channel.unary_unary("/test.Echo/Fail")(b"", timeout=secs(10))
    assert (e.value.code(), e.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not now: ä%")


def test_an_unknown_method_is_unimplemented(rpc):
    _, channel = rpc()
    with pytest.raises(grpc.RpcError) as e:
        channel.unary_unary("/test.Echo/What")(b"", timeout=secs(10))
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_server_streams(rpc):
    _, channel = rpc()
    assert list(channel.unary_stream("/test.Echo/ServerStream")(b"500", timeout=secs(20))) == [b"%d" % i * 100 for i in range(500)]


def test_a_client_streams(rpc):
    _, channel = rpc()
    assert channel.stream_unary("/test.Echo/ClientStream")((b"x" * 1000 for _ in range(500)), timeout=secs(20)) == b"500000"


def test_both_stream_in_turns(rpc):
    _, channel = rpc()
    said = threading.Semaphore(0)
    heard = []

    def talk():
        for i in range(100):
            yield b"%d" % i
            assert said.acquire(timeout=secs(10))

    for answer in channel.stream_stream("/test.Echo/Bidi")(talk(), timeout=secs(30)):
        heard.append(answer)
        said.release()
    assert heard == [b"re:%d" % i for i in range(100)]


def test_a_silent_client_of_a_stream_is_let_be(rpc):
    """client_body is for uploads; a stream may pause as long as stream_idle."""
    _, channel = rpc(timeouts={"client_body": ms(600), "first_byte": ms(600), "stream_idle": "10s"})

    def talk():
        yield b"a"
        time.sleep(secs(1.2))
        yield b"b"

    assert list(channel.stream_stream("/test.Echo/Bidi")(talk(), timeout=secs(10))) == [b"re:a", b"re:b"]


def test_a_stream_that_stands_still_both_ways_ends(rpc):
    _, channel = rpc(timeouts={"stream_idle": "300ms"})
    done = threading.Event()

    def talk():
        yield b"a"
        done.wait(secs(20))

    try:
        with pytest.raises(grpc.RpcError) as e:
            list(channel.stream_stream("/test.Echo/Bidi")(talk(), timeout=secs(15)))
        assert e.value.code() != grpc.StatusCode.DEADLINE_EXCEEDED
    finally:
        done.set()


def test_a_deadline_reaches_the_server(rpc, server):
    _, channel = rpc()
    channel.unary_unary("/test.Echo/Unary")(b"", timeout=secs(5))
    assert 0 < server.remaining[0] <= secs(5.1)  # the client rounds what it sends up


def test_a_deadline_that_passes_cancels_the_call_at_the_server(rpc, server):
    w, channel = rpc(log={"access": "stdout", "format": "json"})
    channel.unary_unary("/test.Echo/Unary")(b"", timeout=secs(10))  # the connections are there: the next call reaches the server in time
    with pytest.raises(grpc.RpcError) as e:
        channel.unary_unary("/test.Echo/Slow")(b"", timeout=1)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.cancelled.wait(secs(5))


def fields_of(timeout=None, path="/test.Echo/Unary"):
    fields = [("te", "trailers"), ("content-type", "application/grpc+proto")]
    return fields + ([("grpc-timeout", timeout)] if timeout else [])


def silent(c):
    while c.next_request() is not None:
        pass


def test_the_proxy_itself_keeps_the_deadline(weir):
    """A client that only waits, a server that does not look at grpc-timeout."""
    b = H2Backend(silent)
    w = weir(simple(b, listener=H2C, pool={"protocol": "h2"}, log={"access": "stdout", "format": "json"}))
    try:
        with H2(w.address()) as c:
            began = time.monotonic()
            res = c.request("POST", "/test.Echo/Unary", fields_of("1000m"), b"\0\0\0\0\0")
            assert 0.9 < time.monotonic() - began < secs(3)
            assert (res.status, res.get("grpc-status"), res.get("content-type")) == (200, "4", "application/grpc")
            assert res.body == b"" and res.get("grpc-message")
            c.sync()
        eventually(lambda: any(i.reset is not None for x in b.conns for i in x.streams.values()), 5)
        eventually(lambda: '"reason":"deadline"' in w.stdout(), 5)
    finally:
        b.stop()


@pytest.mark.parametrize("timeout", ["5", "x", "S", "-5S", "123456789n", "1 n", "0N"])
def test_a_timeout_that_is_none_is_ignored(weir, timeout):
    def handler(c):
        while (got := c.next_request()) is not None:
            time.sleep(0.05)  # any of these taken for a short one has passed by now
            c.respond(got[0], 200, [], b"", trailers=[("grpc-status", "0")])

    b = H2Backend(handler)
    w = weir(simple(b, listener=H2C, pool={"protocol": "h2"}))
    try:
        with H2(w.address()) as c:
            assert c.request("POST", "/test.Echo/Unary", fields_of(timeout), b"\0\0\0\0\0").trailers == [("grpc-status", "0")]
        assert b.requests[0]["grpc-timeout"] == timeout
    finally:
        b.stop()


def test_a_backend_that_is_not_there_is_unavailable(rpc, refusing):
    _, channel = rpc(backends=[refusing])
    with pytest.raises(grpc.RpcError) as e:
        channel.unary_unary("/test.Echo/Unary")(b"", timeout=secs(10))
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "refused" in e.value.details()


def test_no_route_is_unimplemented(weir):
    w = weir({"listeners": [{"name": "web", **H2C}]})
    with open_channel(w) as channel:
        with pytest.raises(grpc.RpcError) as e:
            channel.unary_unary("/test.Echo/Unary")(b"", timeout=secs(10))
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_server_that_stops_in_good_order_loses_no_call(rpc, server):
    _, channel = rpc()
    call = channel.unary_unary("/test.Echo/Slow").future(b"", timeout=secs(15))
    eventually(lambda: server.calls, 5)
    server.server.stop(secs(10))  # GOAWAY; what runs may end
    server.go.set()
    assert call.result() == b"late"


def test_many_calls_at_once(rpc):
    w, channel = rpc()
    unary = channel.unary_unary("/test.Echo/Unary")
    calls = [unary.future(b"%d" % i, timeout=secs(30)) for i in range(300)]
    assert [c.result() for c in calls] == [b"re:%d" % i for i in range(300)]


def test_a_client_that_cancels_cancels_at_the_server(rpc, server):
    _, channel = rpc()
    call = channel.unary_unary("/test.Echo/Slow").future(b"", timeout=secs(15))
    assert server.started.wait(secs(5))
    call.cancel()
    assert server.cancelled.wait(secs(5))
