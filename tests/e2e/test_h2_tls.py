"""HTTP/2 by ALPN: from clients, and to backends that choose it."""
import ssl
import subprocess

import pytest

from conftest import simple
from lib.backend import answering
from lib.timing import eventually, secs
from lib.tls import client_context

AUTO = {"protocol": "auto"}


def curl(w, *args):
    out = subprocess.run(["curl", "-sS", "-k", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", *args, "https://%s:%d/" % w.address()],
                         capture_output=True, text=True, timeout=secs(20))
    assert out.returncode == 0, out.stderr
    return out.stdout


@pytest.fixture
def site(authority):
    return authority.issue("test.example", sans=["IP:127.0.0.1"])


def test_clients_choose_by_alpn(weir, backend, site):
    w = weir(simple(backend(answering(b"x" * 100000)), listener={"tls": {"certificates": [site.conf]}}))
    assert curl(w, "--http2") == "2 200"
    assert curl(w, "--http1.1") == "1.1 200"
    assert curl(w, "--no-alpn") == "1.1 200"


def test_a_listener_may_speak_one_of_them_alone(weir, backend, site):
    w = weir(simple(backend(), listener={"tls": {"certificates": [site.conf]}, "protocols": ["http/1.1"]}))
    assert curl(w, "--http2") == "1.1 200"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_who_offers_no_protocol_is_refused_where_http_1_is_not_spoken(weir, backend, site, version):
    b = backend()
    w = weir(simple(b, listener={"tls": {"certificates": [site.conf]}, "protocols": ["h2"]}))
    assert curl(w, "--http2") == "2 200"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        with w.client(tls=client_context(version=version), name="test.example") as c:
            c.request(host="test.example")
    assert len(b.heads) == 1
    eventually(lambda: 'why="no application protocol"' in w.stderr(), what="why")
    assert w.metric("weir_failures_total", reason="client_tls_failed") == 1


@pytest.mark.parametrize("protocol,behind,spoken", [("auto", ["h2", "http/1.1"], "HTTP/2.0"), ("auto", ["http/1.1"], "HTTP/1.1"), ("h2", ["h2"], "HTTP/2.0"),
                                                    ("http/1.1", ["h2", "http/1.1"], "HTTP/1.1")])
def test_backends_choose_by_alpn(weir, backend, site, authority, protocol, behind, spoken):
    inner = weir(simple(backend(answering(b"inner")), listener={"tls": {"certificates": [site.conf]}, "protocols": behind}))
    outer = weir(simple("%s:%d" % inner.address(), listener={"protocols": ["http/1.1"]},
                        pool={"protocol": protocol, "tls": {"ca": authority.cert, "server_name": "test.example"}}, daemon={"workers": 1}))
    for _ in range(3):
        assert outer.get().body == b"inner"
    assert inner.logged(target="/")["protocol"] == spoken
    assert inner.metric("weir_connections_accepted_total") == 1


def test_a_backend_that_does_not_agree_on_h2_is_a_502(weir, backend, site, authority):
    inner = weir(simple(backend(), listener={"tls": {"certificates": [site.conf]}, "protocols": ["http/1.1"]}))
    outer = weir(simple("%s:%d" % inner.address(), listener={"protocols": ["http/1.1"]},
                        pool={"protocol": "h2", "tls": {"ca": authority.cert, "server_name": "test.example"}}))
    assert outer.get().status == 502
