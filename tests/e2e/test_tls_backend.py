"""TLS with backends: verified unless it is written otherwise, sessions taken up, ends told apart from cuts."""
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess

import pytest

from lib import over
from lib.backend import answering, echo_request
from lib.timing import eventually, ms, secs
from lib.tls import Authority
from lib.weir import free_port, run
from lib.wire import CutShort


@pytest.fixture(scope="session")
def app(authority):
    """What a backend of ours shows: for its name, and for the address that tests use."""
    return authority.issue("app.internal", sans=["IP:127.0.0.1", "URI:spiffe://prod.example/ns/a/app"])


@pytest.fixture
def behind(weir, backend, authority, app):
    """behind(handler, cert=..., tls={...}) -> (Weir, Backend): the backend speaks TLS, the client doesn't."""
    def start(handler=None, cert=None, context=None, tls=None, pool=None, listener=None, workers=2, **sections):
        b = backend(handler, tls=context or authority.server_context(cert or app))
        settings = {"ca": authority.cert, "server_name": "app.internal", **(tls or {})}
        w = weir({"daemon": {"workers": workers}, "listeners": [{"name": "web", "pool": "app", "proxy_status": True, **(listener or {})}],
                  "pools": [{"name": "app", "backends": [b], "tls": {k: v for k, v in settings.items() if v is not None}, **(pool or {})}], **sections})
        return w, b

    return start


def refused(w, reason, status=502, error=None):
    res = w.get()
    assert res.status == status and f'details="{reason}"' in res.get("proxy-status"), res
    if error:
        assert f"error={error}" in res.get("proxy-status"), res
    assert w.logged(status=status, reason=reason)
    eventually(lambda: w.metric("weir_failures_total", reason=reason) >= 1)


def test_a_backend_whose_certificate_is_good_gets_the_request(behind):
    w, b = behind(echo_request)
    assert w.request("POST", body=b"hello").body == b"hello"
    assert w.metric("weir_tls_handshakes_total", side="backend") == 1
    assert b.requests[0].get("x-forwarded-proto") == over.SCHEME, "the client's side is what it tells of"


def test_the_address_must_be_in_the_certificate_when_there_is_no_name(behind, authority):
    w, b = behind(tls={"server_name": None})
    assert w.get().status == 200
    w, b = behind(tls={"server_name": None}, cert=authority.issue("app.internal"))
    refused(w, "backend_certificate_refused", error="tls_certificate_error")


def test_the_systems_authorities_are_asked_unless_a_bundle_is_written(behind):
    w, b = behind(tls={"ca": None})
    refused(w, "backend_certificate_refused", error="tls_certificate_error")
    assert "backend.tls_failed" in w.stderr() and "unable to get local issuer certificate" in w.stderr()
    assert not b.requests


@pytest.mark.parametrize("names,days", [(("other.internal",), 90), (("app.internal",), -1)], ids=["another name", "expired"])
def test_a_certificate_that_does_not_fit_is_refused(behind, authority, names, days):
    w, b = behind(cert=authority.issue(*names, days=days))
    refused(w, "backend_certificate_refused", error="tls_certificate_error")
    assert not b.requests


def test_a_common_name_is_no_name_of_a_host(behind, authority):
    w, b = behind(cert=authority.issue(subject="/CN=app.internal"))
    refused(w, "backend_certificate_refused", error="tls_certificate_error")
    assert "hostname mismatch" in w.stderr() and not b.requests


def test_a_certificate_of_another_authority_is_refused(behind):
    w, b = behind(cert=Authority(name="Elsewhere").issue("app.internal"))
    refused(w, "backend_certificate_refused")


def test_a_revoked_certificate_is_refused(behind):
    ca = Authority(name="Revoking")
    good, bad = ca.issue("app.internal"), ca.issue("app.internal")
    crl = ca.crl(bad)
    w, _ = behind(cert=good, tls={"ca": ca.cert, "crl": crl})
    assert w.get().status == 200
    w, _ = behind(cert=bad, tls={"ca": ca.cert, "crl": crl})
    refused(w, "backend_certificate_refused")


def test_verify_false_takes_any(behind, authority):
    w, b = behind(cert=Authority(name="Elsewhere").issue("whoever"), tls={"ca": None, "verify": False})
    assert w.get().status == 200


def test_the_name_is_sent(behind, authority, app):
    asked = []
    context = authority.server_context(app)
    context.sni_callback = lambda sock, name, ctx: asked.append(name)
    w, _ = behind(context=context)
    assert w.get().status == 200
    assert asked == ["app.internal"]


def test_http_1_1_is_offered_by_alpn(behind, authority, app):
    context = authority.server_context(app)
    context.set_alpn_protocols(["h2", "http/1.1"])
    agreed = []

    def handler(conn):
        agreed.append(conn.sock.tls.selected_alpn_protocol())
        answering()(conn)

    w, _ = behind(handler, context=context)
    assert w.get().status == 200
    assert agreed == ["http/1.1"]


def test_a_certificate_of_ours_is_shown(behind, authority, app):
    seen = []

    def handler(conn):
        seen.append(conn.sock.tls.getpeercert()["subject"])
        answering()(conn)

    mine = authority.issue("weir.internal")
    w, b = behind(handler, context=authority.server_context(app, verify=True), tls={"cert": mine.cert, "key": mine.key})
    assert w.get().status == 200
    assert seen == [((("commonName", "weir.internal"),),)]
    w, b = behind(handler, context=authority.server_context(app, verify=True))
    refused(w, "backend_tls_alert")  # TLS 1.3 tells only after the handshake that a certificate is missing
    eventually(lambda: len(seen) == 1 and b.refused)


def test_connections_are_kept_and_tickets_do_not_end_them(behind):
    w, b = behind(workers=1)
    with w.client() as c:
        for _ in range(20):
            assert c.request().status == 200
    eventually(lambda: w.metric("weir_backend_idle_connections", pool="app") == 1)
    assert w.get().status == 200
    assert b.connections == 1


def test_sessions_are_taken_up(behind):
    resumed = []

    def handler(conn):
        resumed.append(conn.sock.tls.session_reused)
        answering()(conn)

    w, b = behind(handler, workers=1, pool={"keepalive": {"idle": 0}})
    for _ in range(5):
        assert w.get().status == 200
    assert resumed == [False, True, True, True, True]
    assert w.metric("weir_tls_handshakes_resumed_total", side="backend") == 4


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_session_ends_with_the_certificate_that_the_backend_showed(behind, version):
    ca = Authority(name="Brief")
    context = ca.server_context(ca.issue("app.internal", lasts=secs(6)))
    context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    w, b = behind(context=context, workers=1, tls={"ca": ca.cert}, pool={"keepalive": {"idle": 0}})
    for _ in range(3):
        assert w.get().status == 200
    assert w.metric("weir_tls_handshakes_resumed_total", side="backend") == 2
    eventually(lambda: w.get().status == 502, 15, "the certificate is no good any more", every=0.2)
    refused(w, "backend_certificate_refused")


def test_a_reload_that_asks_for_more_trusts_nothing_from_before(behind, authority):
    w, b = behind(workers=1, cert=Authority(name="Elsewhere").issue("whoever"), tls={"ca": None, "verify": False})
    assert w.get().status == 200
    conf = dict(w.conf)
    conf["pools"] = [{**conf["pools"][0], "tls": {"ca": authority.cert, "server_name": "app.internal"}}]
    w.reload(conf)
    refused(w, "backend_certificate_refused")
    assert len(b.requests) == 1


def test_another_backend_is_tried_when_one_can_not_be_trusted(weir, backend, authority, app):
    bad = backend(tls=authority.server_context(authority.issue("other.internal")))
    good = backend(tls=authority.server_context(app))
    w = weir({"listeners": [{"pool": "app"}], "pools": [{"name": "app", "backends": [bad, good], "tls": {"ca": authority.cert, "server_name": "app.internal"}}]})
    assert [w.get().status for _ in range(6)] == [200] * 6
    assert not bad.requests and len(good.requests) == 6


def test_a_backend_that_never_shakes_hands_is_given_up(weir, authority):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        w = weir({"timeouts": {"connect": ms(300)}, "listeners": [{"name": "web", "pool": "app", "proxy_status": True}],
                  "pools": [{"name": "app", "backends": [f"127.0.0.1:{s.getsockname()[1]}"], "tls": {"ca": authority.cert}}]})
        refused(w, "backend_tls_timeout", status=504, error="connection_timeout")


def test_a_backend_in_clear_is_no_backend_of_tls(weir, backend, authority):
    def handler(conn):
        conn.sock.recv(65536)  # all of the hello: what is left of it would make the close a reset
        conn.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    b = backend(handler)
    w = weir({"listeners": [{"name": "web", "pool": "app", "proxy_status": True}], "pools": [{"name": "app", "backends": [b], "tls": {"ca": authority.cert}}]})
    refused(w, "backend_tls_failed", error="tls_protocol_error")


# ---- ends ----

def until_the_end(cut):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        if cut:
            conn.sock.truncate()
    return handler


def test_a_body_that_ends_with_close_notify_is_whole(behind):
    w, _ = behind(until_the_end(cut=False))
    assert w.get().body == b"half of it"


def test_a_body_that_ends_without_close_notify_is_cut(behind):
    w, _ = behind(until_the_end(cut=True))
    with pytest.raises(CutShort):
        w.get()
    assert w.logged(reason="response_cut")


@pytest.mark.parametrize("size", [1, 16384, 16385, 1_000_000, 20_000_000])
def test_bodies_pass_both_ways(behind, size):
    w, b = behind(echo_request)
    b.keep_raw = False
    body = os.urandom(size)
    res = w.request("POST", body=body, timeout=30)
    assert hashlib.sha256(res.body).digest() == hashlib.sha256(body).digest()


def test_tls_on_both_sides(behind, authority):
    site = authority.issue("site.example")
    w, b = behind(echo_request, listener={"tls": {"certificates": [site.conf]}})
    body = os.urandom(3_000_000)
    with w.client(tls=authority.client_context(), name="site.example") as c:
        for _ in range(3):
            assert c.request("PUT", body=body, host="site.example").body == body
    assert b.connections == 1


def test_an_upgrade_passes_to_a_backend_with_tls(behind):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst")
        while data := conn.sock.recv(65536):
            conn.send(data)

    w, _ = behind(handler)
    with w.client() as c:
        c.ask(headers={"Upgrade": "echo", "Connection": "Upgrade"})
        assert c.answer_head().status == 101
        assert c.read_exactly(5) == b"first"
        for size in (1, 40_000, 300_000):
            data = os.urandom(size)
            c.send(data)
            assert c.read_exactly(size) == data
        c.half_close()
        assert c.at_end() and not c.reset_seen


# ---- identity ----

@pytest.mark.parametrize("allowed", ["spiffe://prod.example/ns/a/app", "spiffe://prod.example/ns/*", ["spiffe://x/y", "spiffe://prod.example/ns/*/app"]])
def test_a_backend_with_an_allowed_identity_needs_no_name(behind, allowed):
    w, b = behind(tls={"server_name": None, "identity": allowed}, cert=None)
    assert w.get().status == 200


@pytest.mark.parametrize("sans", [["URI:spiffe://prod.example/ns/b/app"], ["URI:spiffe://test.example/ns/a/app"], [], ["URI:spiffe://prod.example/ns/a/app", "URI:spiffe://prod.example/x"]],
                         ids=["other path", "other domain", "none", "two"])
def test_a_backend_with_another_identity_is_refused(behind, authority, sans):
    w, b = behind(tls={"server_name": None, "identity": "spiffe://prod.example/ns/a/app"}, cert=authority.issue("app.internal", sans=sans))
    refused(w, "backend_identity_not_allowed", error="tls_certificate_error")
    assert not b.requests


def test_identity_does_not_replace_the_authority(behind):
    other = Authority(name="Elsewhere").issue(sans=["URI:spiffe://prod.example/ns/a/app"])
    w, b = behind(tls={"server_name": None, "identity": "spiffe://prod.example/ns/a/app"}, cert=other)
    refused(w, "backend_certificate_refused")


# ---- nginx ----

NGINX = """daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ }}
http {{ access_log off; client_body_temp_path {dir}/t; proxy_temp_path {dir}/t; fastcgi_temp_path {dir}/t; uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;
 server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols {protocols}; {more}
  location / {{ return 200 "$ssl_protocol $ssl_server_name $ssl_session_reused $ssl_client_verify"; }} }} }}
"""


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nginx_is_a_backend(weir, authority, app, tmp_path, version):
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    mine = authority.issue("weir.internal")
    (tmp_path / "nginx.conf").write_text(NGINX.format(dir=tmp_path, port=port, cert=app.cert, key=app.key, protocols="TLSv" + version,
                                                      more=f"ssl_client_certificate {authority.cert}; ssl_verify_client on;"))
    p = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        eventually(listens, 10)
        w = weir({"daemon": {"workers": 1}, "listeners": [{"pool": "app"}],
                  "pools": [{"name": "app", "backends": [f"127.0.0.1:{port}"], "keepalive": {"idle": 0},
                             "tls": {"ca": authority.cert, "server_name": "app.internal", "cert": mine.cert, "key": mine.key}}]})
        answers = [w.get().body.decode() for _ in range(3)]
        assert answers == [f"TLSv{version} app.internal {r} SUCCESS" for r in (".", "r", "r")]
    finally:
        p.terminate()
        p.wait(secs(10))


# ---- configuration ----

def check(tmp_path, tls, backends='[ "127.0.0.1:2" ]'):
    path = tmp_path / "proxy.conf"
    path.write_text(f'listeners = ( {{ name = "web"; bind = "127.0.0.1:1"; pool = "app"; }} );\npools = ( {{ name = "app"; backends = {backends};\n tls = {{ {tls} }}; }} );\n')
    done = run("-t", "-c", str(path))
    return done.returncode, done.stderr


@pytest.mark.parametrize("tls,words", [
    ('identity = "http://x/y";', r'proxy.conf:3: pools.app.tls.identity: "http://x/y" is no SPIFFE ID: it does not begin with spiffe://'),
    ('verify = false; identity = "spiffe://x/y";', "pools.app.tls.identity: means nothing with verify = false"),
    ('key = "k.pem";', "pools.app.tls.cert: is missing; there is a key"),
    ('ca = "nothing.pem";', "pools.app.tls.ca: can't read .*nothing.pem"),
    ('server_name = "10.0.0.1";', 'pools.app.tls.server_name: "10.0.0.1" is not a host name'),
    ('serverName = "x";', "pools.app.tls.serverName: unknown key; did you mean server_name"),
])
def test_what_is_wrong_is_said(tmp_path, tls, words):
    code, said = check(tmp_path, tls)
    assert code == 1 and re.search(words, said), said


def test_a_unix_socket_needs_a_name(tmp_path):
    code, said = check(tmp_path, "", backends='[ "unix:/run/x" ]')
    assert code == 1 and "pools.app.tls.server_name: is missing" in said, said
