"""Clients and servers of Node's packages through the proxy: gRPC with @grpc/grpc-js, WebSockets with ws."""
import json
import os
import subprocess

import pytest

from conftest import simple
from lib.timing import secs

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = os.environ.get("WEIR_JS", os.path.join(HERE, "..", "..", "build", "js", "node_modules"))
H2C = {"protocols": ["h2", "http/1.1"]}

pytestmark = [
    pytest.mark.skipif(not os.path.isdir(MODULES), reason="the packages of tests/e2e/js are not installed: npm is missing"),
    pytest.mark.in_clear("over TLS there are cases of their own"),
    pytest.mark.http1("the listeners here speak both"),
]


def node(script, *args, **kw):
    return subprocess.Popen(["node", os.path.join(HERE, "js", script), *args], env={**os.environ, "NODE_PATH": MODULES},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)


def result(script, *args):
    p = node(script, "client", *args, stdin=subprocess.DEVNULL)
    out, err = p.communicate(timeout=secs(30))
    assert p.returncode == 0, err
    return json.loads(out)


@pytest.fixture
def server():
    """server(script) -> "ADDRESS:PORT" of one that runs."""
    started = []

    def start(script):
        p = node(script, "server", stdin=subprocess.PIPE)
        started.append(p)
        port = p.stdout.readline().strip()
        assert port.isdigit(), p.communicate()
        return f"127.0.0.1:{port}"

    yield start
    for p in started:
        p.communicate(timeout=secs(10))


def tls_of(authority):
    return {"tls": {"certificates": [authority.issue("localhost").conf]}}


@pytest.mark.parametrize("over", ["clear", "tls"])
def test_every_kind_of_grpc_call(weir, server, authority, over):
    secure = tls_of(authority) if over == "tls" else {}
    w = weir(simple(server("grpc_echo.js"), listener={**H2C, **secure}, pool={"protocol": "h2"}))
    target = "localhost:%d" % w.address()[1]
    said = result("grpc_echo.js", target, *([authority.cert] if secure else []))
    assert said == {"unary": "re:one", "initial": "1", "trailing": "2", "fail": [9, "not now"], "slow": 4, "serverStream": [500, 139000],
                    "clientStream": "1000000", "bidi": ["re:0", "re:1", "re:2", "re:3", "re:4"]}


def test_no_backend_is_a_status_for_grpc(weir, refusing):
    w = weir(simple(refusing, listener=H2C, pool={"protocol": "h2"}))
    said = result("grpc_echo.js", "%s:%d" % w.address())
    assert said["unary"].startswith("14 UNAVAILABLE") and said["fail"][0] == said["slow"] == 14
    assert said["serverStream"] == said["clientStream"] == said["bidi"] == 14


@pytest.mark.parametrize("over", ["clear", "tls"])
@pytest.mark.parametrize("hops", [1, 2], ids=["h1", "h2"])
def test_a_websocket(weir, server, authority, over, hops):
    secure = tls_of(authority) if over == "tls" else {}
    to, pool = server("ws_echo.js"), {}
    if hops == 2:  # over a second proxy, by HTTP/2
        to, pool = "%s:%d" % weir(simple(to, listener=H2C)).address(), {"protocol": "h2"}
    w = weir(simple(to, listener=secure, pool=pool))
    url = ("wss" if secure else "ws") + "://localhost:%d/chat" % w.address()[1]
    said = result("ws_echo.js", url, *([authority.cert] if secure else []))
    assert said == {"sizes": [0, 1, 125, 126, 65535, 65536, 1 << 20], "text": "text with ümlauts", "pong": "are you there", "code": 4321,
                    "extensions": "permessage-deflate"}
