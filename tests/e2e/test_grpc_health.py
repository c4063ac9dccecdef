"""Health checks by grpc.health.v1.Health/Check: real gRPC servers whose status changes, over clear and TLS, and peers that misbehave."""
import re
import threading
from concurrent import futures

import pytest

grpc = pytest.importorskip("grpc")

from lib.h2 import H2Backend  # noqa: E402
from lib.timing import eventually, ms, secs  # noqa: E402
from lib.weir import run  # noqa: E402

QUICK = {"type": "grpc", "interval": ms(50), "fast_interval": ms(20), "down_interval": ms(100), "timeout": ms(2000), "rise": 2, "fall": 2}
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)


class Health(grpc.GenericRpcHandler):
    """grpc.health.v1.Health with a status for each service; None: NOT_FOUND."""

    def __init__(self, **services):
        self.services, self.asked, self.hang, self.go = {"": SERVING, **services}, [], False, threading.Event()
        self.server = None

    def service(self, call):
        if call.method != "/grpc.health.v1.Health/Check":
            return None
        return grpc.unary_unary_rpc_method_handler(self.check)

    def check(self, request, context):
        name = request[2:].decode() if request else ""
        assert request == (b"\n" + bytes([len(name)]) + name.encode() if name else b"")
        self.asked.append(name)
        if self.hang:
            self.go.wait(secs(20))
        status = self.services.get(name)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08" + bytes([status]) if status else b""


@pytest.fixture
def health():
    """health(credentials=None, handler=None) -> a server; .text is its address."""
    made = []

    def start(credentials=None, handler=True, **services):
        h = Health(**services)
        h.server = grpc.server(futures.ThreadPoolExecutor(max_workers=20))
        if handler:
            h.server.add_generic_rpc_handlers((h,))
        port = h.server.add_secure_port("127.0.0.1:0", credentials) if credentials else h.server.add_insecure_port("127.0.0.1:0")
        h.server.start()
        h.text = f"127.0.0.1:{port}"
        made.append(h)
        return h

    yield start
    for h in made:
        h.go.set()
        h.server.stop(None)


def conf(b, tls=None, protocol="h2", **health):
    pool = {"name": "app", "backends": [b], "protocol": protocol, "outlier": {"panic": 0}, "health": {**QUICK, **health}}
    if tls is not None:
        pool["tls"] = tls
    return {"daemon": {"workers": 1}, "listeners": [{"name": "web", "pool": "app"}], "pools": [pool]}


def line_of(w, b):
    return next((line for line in w.ctl("backends").stdout.splitlines() if str(b) in line), "")


def is_up(w, b):
    eventually(lambda: re.search(r" up .* ok", line_of(w, b)), 15, f"up: {line_of(w, b)}")


def is_down(w, b, reason, words):
    eventually(lambda: re.search(rf" down .*{reason}.*{words}", line_of(w, b)), 15, f"down: {line_of(w, b)}")


def test_a_status_that_changes_takes_the_backend_out_and_back(weir, health):
    h = health()
    w = weir(conf(h.text))
    is_up(w, h.text)
    for status, words in ((NOT_SERVING, "NOT_SERVING"), (UNKNOWN, "UNKNOWN"), (SERVICE_UNKNOWN, "SERVICE_UNKNOWN"), (None, "NOT_FOUND")):
        h.services[""] = status
        is_down(w, h.text, "status", words)
        assert re.search(rf"backend\.state pool=app backend={h.text} from=\S+ to=down reason=status .*{words}", w.stderr())
        h.services[""] = SERVING
        is_up(w, h.text)
    assert set(h.asked) == {""}


def test_the_service_is_the_one_that_is_asked_for(weir, health):
    h = health(**{"shop.Cart": SERVING, "shop.Till": NOT_SERVING})
    w = weir(conf(h.text, service="shop.Cart"))
    is_up(w, h.text)
    assert set(h.asked) == {"shop.Cart"}
    is_down(weir(conf(h.text, service="shop.Till")), h.text, "status", "NOT_SERVING")
    is_down(weir(conf(h.text, service="shop.Other")), h.text, "status", "NOT_FOUND")


def test_a_server_without_the_service_is_down(weir, health):
    h = health(handler=False)
    is_down(weir(conf(h.text)), h.text, "status", "UNIMPLEMENTED")


def test_a_pool_that_speaks_http_1_may_be_asked_by_grpc_at_another_port(weir, health, backend):
    h, b = health(), backend()
    w = weir(conf(b, protocol="http/1.1", port=int(h.text.rsplit(":", 1)[1])))
    is_up(w, b)
    assert w.get().status == 200 and h.asked


def test_a_server_that_hangs_is_down_until_it_answers_again(weir, health):
    h = health()
    w = weir(conf(h.text, timeout=ms(300)))
    is_up(w, h.text)
    h.hang = True
    is_down(w, h.text, "timeout", "deadline")
    h.hang = False
    h.go.set()
    is_up(w, h.text)


def test_a_server_that_goes_and_comes_back(weir, health):
    h = health()
    w = weir(conf(h.text))
    is_up(w, h.text)
    h.server.stop(None).wait(secs(10))
    is_down(w, h.text, "refused|closed", "")


# -- TLS ------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def certs(authority):
    app, mine = authority.issue("app.internal", sans=["IP:127.0.0.1"]), authority.issue("weir.internal")

    def read(path):
        with open(path, "rb") as f:
            return f.read()

    def credentials(ask=False):
        return grpc.ssl_server_credentials([(read(app.key), read(app.cert))], read(authority.cert) if ask else None, ask)

    return credentials, {"ca": authority.cert, "server_name": "app.internal"}, mine


@pytest.mark.parametrize("protocol", ["http/1.1", "h2", "auto"])
def test_over_tls_it_agrees_on_http_2_whatever_the_pool_speaks(weir, health, certs, protocol):
    credentials, tls, _ = certs
    h = health(credentials())
    w = weir(conf(h.text, tls=tls, protocol=protocol))
    is_up(w, h.text)
    h.services[""] = NOT_SERVING
    is_down(w, h.text, "status", "NOT_SERVING")


def test_our_certificate_is_shown(weir, health, certs):
    credentials, tls, mine = certs
    h = health(credentials(ask=True))
    is_up(weir(conf(h.text, tls={**tls, "cert": mine.cert, "key": mine.key})), h.text)
    is_down(weir(conf(h.text, tls=tls)), h.text, "tls|closed", "")


def test_a_wrong_certificate_and_one_who_does_not_know_http_2_are_down(weir, health, certs, authority, backend):
    credentials, tls, _ = certs
    h = health(credentials())
    is_down(weir(conf(h.text, tls={**tls, "server_name": "other.internal"})), h.text, "tls", "hostname mismatch")
    context = authority.server_context(authority.issue("app.internal"))
    b = backend(tls=context)
    is_down(weir(conf(b, tls=tls)), b, "tls", "ALPN does not agree on HTTP/2")
    assert not b.requests


# -- who is no server of gRPC ---------------------------------------------------------------------------------------------
def test_a_server_of_http_1_is_down(weir, backend):
    b = backend(lambda c: c.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    is_down(weir(conf(b)), b, "closed", "")


def test_one_who_sends_garbage_or_says_nothing_is_down(weir, backend):
    b = backend(lambda c: c.send(b"\x00\x01\xfe garbage \xff" * 4000))
    is_down(weir(conf(b)), b, "closed", "")
    silent = threading.Event()
    q = backend(lambda c: silent.wait(secs(20)))
    is_down(weir(conf(q, timeout=ms(100))), q, "timeout", "deadline")
    silent.set()


def test_a_flood_costs_no_more_than_the_time_of_a_probe(weir):
    flooded = threading.Event()

    def flood(c):
        c.headers(1, [(":status", "200"), ("content-type", "application/grpc")])
        try:
            while True:
                c.raw(b"\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678")
                flooded.set()
        except OSError:
            pass

    b = H2Backend(flood)
    try:
        w = weir(conf(b, timeout=ms(300)))
        is_down(w, b, "timeout|closed|bad_answer", "")
        assert flooded.is_set() and w.ctl("status").returncode == 0
    finally:
        b.stop()


# -- the file -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("health, code, words", [
    ('health = { type = "grpc"; };', 0, ""),
    ('health = { type = "grpc"; service = "pkg.Service"; host = "a.example"; };', 0, ""),
    ('health = { type = "grpc"; service = "two words"; };', 1, "pools.app.health.service: "),
    ('health = { type = "grpc"; service = "%s"; };' % ("x" * 256), 1, "at most 255 bytes"),
    ('health = { type = "grpc"; host = "a/b"; };', 1, "pools.app.health.host: "),
    ('health = { type = "grpc"; path = "/x"; };', 0, 'pools.app.health.path: has no effect with type "grpc"'),
    ('health = { type = "http"; service = "x"; };', 0, 'pools.app.health.service: has no effect with type "http"'),
])
def test_what_is_said_of_a_definition(tmp_path, health, code, words):
    path = tmp_path / "proxy.conf"
    path.write_text('listeners = ( { bind = "127.0.0.1:8080"; pool = "app"; } );\n'
                    'pools = ( { name = "app"; backends = [ "127.0.0.1:1" ]; %s } );\n' % health)
    done = run("-t", "-c", str(path))
    assert done.returncode == code and words in done.stdout + done.stderr
