"""The PROXY protocol toward backends: whose a connection is, that nobody else's requests go there, and what others make of it."""
import os
import threading

import pytest

from conftest import simple
from lib import over
from lib import proxy_protocol as pp
from lib.backend import echo_request
from lib.client import Client
from lib.h2 import H2
from lib.timing import eventually, ms
from lib.weir import free_port
from lib.wire import CutShort, Silence

WAYS = ["v1", "v2", "v2-bare"]


def telling(conn):
    """Answers with whom the header named."""
    while conn.read_request() is not None:
        conn.answer(200, f"{conn.header.source[0]} {conn.header.source[1]}".encode())


def name_of(c):
    """As `telling` has it."""
    return ("%s %d" % c.sock.getsockname()[:2]).encode()


@pytest.fixture
def to(weir, backend):
    """to(handler, how, tls=context, pool={...}, ...) -> (Weir, Backend): the backend takes a header first."""
    def start(handler=telling, how="v2", tls=None, pool=None, listener=None, **sections):
        b = backend(pp.expecting(handler, tls))
        w = weir(simple(b, listener=listener, pool={"send_proxy_protocol": how, **(pool or {})}, **sections))
        return w, b

    return start


@pytest.mark.parametrize("how", WAYS)
def test_a_connection_begins_with_whose_it_is(to, how):
    w, b = to(how=how)
    with w.client() as c:
        assert c.request().body == name_of(c)
        [header] = b.headers
        assert header.version == (1 if how == "v1" else 2)
        assert header.source == c.sock.getsockname()[:2] and header.to == w.address()
        assert (pp.CRC32C in header.tlvs) == (how == "v2")


@pytest.mark.parametrize("how", WAYS)
def test_ipv6_is_announced(weir, backend, how):
    b = backend(pp.expecting(telling))
    w = weir(simple(b, listener={"bind": f"[::1]:{free_port()}"}, pool={"send_proxy_protocol": how}))
    with w.client() as c:
        assert c.request().body == name_of(c)
    assert b.headers[0].to == w.address()


@pytest.mark.parametrize("how", WAYS)
def test_of_a_unix_socket_there_is_no_address_to_tell(weir, backend, how):
    b = backend(pp.expecting(echo_request))
    path = f"/tmp/pp-{os.getpid()}-{free_port()}.sock"
    w = weir(simple(b, listener={"bind": "unix:" + path}, pool={"send_proxy_protocol": how}))
    with Client(path) as c:
        assert c.request().status == 200
    assert b.headers[0].local


@pytest.mark.parametrize("how", WAYS)
def test_whom_a_proxy_in_front_announced_is_announced_further(to, how):
    w, b = to(how=how, listener={"accept_proxy_protocol": True, "proxy_protocol_from": ["127.0.0.0/8"]})
    with pp.dial(w.address(), pp.v2("192.0.2.7", 4711, "203.0.113.5", 8443)) as c:
        assert c.request().body == b"192.0.2.7 4711"
    assert b.headers[0].to == ("203.0.113.5", 8443)
    with pp.dial(w.address(), pp.LOCAL, source="127.0.0.5") as c:
        assert c.request().body.startswith(b"127.0.0.5 ")


# ---- whose a kept connection is ----

def test_a_kept_connection_serves_only_the_clients_connection_that_it_was_opened_for(to):
    w, b = to(daemon={"workers": 1})
    with w.client() as first, w.client() as second:
        for _ in range(3):
            assert first.request().body == name_of(first)
            assert second.request().body == name_of(second)
    assert b.connections == 2 and len(b.headers) == 2, "and it does serve that"


def test_another_connection_of_the_same_address_has_another_header(to):
    w, b = to(daemon={"workers": 1})
    for _ in range(4):
        with w.client() as c:
            assert c.request().body == name_of(c)
    assert len(b.headers) == 4 == len({h.source for h in b.headers})


def test_a_kept_connection_ends_with_the_clients(to):
    w, b = to()
    with w.client() as c:
        assert c.request().status == 200
        assert len(b.open) == 1
    eventually(lambda: not b.open)
    eventually(lambda: w.metric("weir_upstream_connections") == 0)


def test_at_the_limit_of_connections_another_clients_kept_one_gives_way(weir, backend):
    b = backend(pp.expecting(telling))
    w = weir(simple({"address": b, "max_connections": 2}, daemon={"workers": 1}, pool={"send_proxy_protocol": "v1"}))
    some = [w.client() for _ in range(5)]
    for _ in range(2):
        for c in some:
            assert c.request().body == name_of(c)
        eventually(lambda: len(b.open) <= 2)
        assert w.metric("weir_upstream_connections") <= 2
    for c in some:
        c.close()


@pytest.mark.in_clear("HTTP/2 with prior knowledge")
def test_requests_of_one_http2_connection_share_what_is_theirs(weir, backend):
    b = backend(pp.expecting(telling))
    w = weir(simple(b, listener={"protocols": ["h2", "http/1.1"]}, pool={"send_proxy_protocol": "v2"}, daemon={"workers": 1}))
    with H2(w.address()) as one, H2(w.address()) as two:
        for _ in range(3):
            for c in (one, two):
                asked = [c.ask("GET", "/") for _ in range(5)]
                assert {bytes(c.answer(s).body) for s in asked} == {name_of(c)}
    assert len({h.source for h in b.headers}) == 2
    assert len(b.headers) <= 10, "five at once each, of two"


def test_many_clients_are_never_mixed_up(to):
    w, b = to(pool={"keepalive": {"idle": 8, "timeout": ms(100)}})
    errors = []

    def client(k):
        try:
            for _ in range(6):
                with w.client() as c:
                    for _ in range(8):
                        assert c.request().body == name_of(c)
        except (AssertionError, OSError, CutShort, Silence) as e:
            errors.append(e)
    threads = [threading.Thread(target=client, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors
    eventually(lambda: w.metric("weir_upstream_connections") == 0)


def test_a_backend_that_closes_is_told_again(to):
    def once(conn):
        assert conn.read_request() is not None
        conn.answer(200, f"{conn.header.source[0]} {conn.header.source[1]}".encode())
    w, b = to(once)
    with w.client() as c:
        for _ in range(4):
            assert c.request().body == name_of(c)
    assert len(b.headers) == b.connections >= 4


def test_a_reload_begins_anew(weir, backend):
    b = backend(pp.expecting(telling))
    plain = backend(echo_request)

    def conf(how):
        return simple(b, pool={"send_proxy_protocol": how}, daemon={"workers": 1}) if how else simple(plain, daemon={"workers": 1})
    w = weir(conf("v1"))
    with w.client() as c:
        for how, version in (("v1", 1), ("v2", 2), (None, None), ("v1", 1)):
            w.reload(conf(how))
            res = c.request()
            assert res.status == 200
            if how is not None:
                assert res.body == name_of(c) and b.headers[-1].version == version


def test_what_was_kept_without_a_header_is_not_used_with_one(weir, backend):
    """The same backend, which tells by the first byte."""
    seen = []

    def either(conn):
        conn.fill()
        if conn.buf[:5] == b"PROXY":
            pp.read_header(conn)
            seen.append("header")
        else:
            seen.append("none")
        echo_request(conn)
    b = backend(either)
    w = weir(simple(b, daemon={"workers": 1}))
    with w.client() as c:
        for how in ("off", "v1", "off", "v1"):
            w.reload(simple(b, pool={"send_proxy_protocol": how}, daemon={"workers": 1}))
            for _ in range(2):
                assert c.request().status == 200
    assert seen[:2] == ["none", "header"], seen


# ---- TLS ----

def secure(authority, **kw):
    return {"tls": {"certificates": [authority.issue("test.example").conf], **kw}}


@pytest.fixture
def identity(authority):
    return authority.issue(subject="/CN=web client/O=Example", sans=["URI:spiffe://prod.example/ns/a/web"])


def test_version_2_tells_of_the_clients_tls(to, authority, identity):
    w, b = to(listener=secure(authority, client_auth="required", client_ca=authority.cert))
    context = authority.client_context(identity, alpn=["http/1.1"])
    with w.client(tls=context, name="test.example") as c:
        assert c.request().status == 200
        cipher = c.sock.tls.cipher()[0]
    t = b.headers[0].tlvs
    assert t[pp.ALPN] == b"http/1.1" and t[pp.AUTHORITY] == b"test.example" and t[pp.SPIFFE] == b"spiffe://prod.example/ns/a/web"
    flags, verify, ssl = b.headers[0].ssl
    assert flags == 7 and verify == 0
    assert ssl == {pp.SSL_VERSION: b"TLSv1.3", pp.SSL_CIPHER: cipher.encode(), pp.SSL_CN: b"web client",
                   pp.SSL_SIG_ALG: b"ecdsa-with-SHA256", pp.SSL_KEY_ALG: b"EC256"}


def test_of_our_own_certificate_the_kind_is_told(to, authority):
    w, b = to(listener={"tls": {"certificates": [authority.issue("test.example", kind="rsa").conf]}})
    with w.client(tls=authority.client_context(), name="test.example") as c:
        assert c.request().status == 200
    ssl = b.headers[0].ssl[2]
    assert ssl[pp.SSL_KEY_ALG] == b"RSA2048" and ssl[pp.SSL_SIG_ALG] == b"ecdsa-with-SHA256", "it is signed by a key of another kind"


def test_without_a_certificate_the_client_is_not_verified(to, authority):
    w, b = to(listener=secure(authority, client_auth="optional", client_ca=authority.cert))
    with w.client(tls=authority.client_context(), name="test.example") as c:
        assert c.request().status == 200
    flags, verify, ssl = b.headers[0].ssl
    assert flags == 1 and verify != 0 and pp.SSL_CN not in ssl
    assert pp.SPIFFE not in b.headers[0].tlvs


def test_a_session_that_is_taken_up_shows_no_certificate_anew(to, authority, identity):
    w, b = to(listener=secure(authority, client_auth="required", client_ca=authority.cert))
    context = authority.client_context(identity, version="1.2")
    with w.client(tls=context, name="test.example") as c:
        assert c.request().status == 200
        session = c.sock.tls.session
    with w.client(tls=context, name="test.example", session=session) as c:
        assert c.request().status == 200
        resumed = c.sock.tls.session_reused
    assert [h.ssl[0] for h in b.headers] == [7, 5 if resumed else 7]
    assert all(h.tlvs[pp.SPIFFE] for h in b.headers)


def test_bare_is_bare_over_tls(to, authority):
    w, b = to(how="v2-bare", listener=secure(authority))
    with w.client(tls=authority.client_context(), name="test.example") as c:
        assert c.request().status == 200
    assert not b.headers[0].tlvs


def test_two_identities_never_share_a_connection(to, authority):
    """Clients behind one proxy, with one address and port, as it announces them."""
    w, b = to(lambda conn: [conn.answer(200, conn.header.tlvs[pp.SPIFFE]) for _ in iter(conn.read_request, None)], daemon={"workers": 1},
              listener={**secure(authority, client_auth="required", client_ca=authority.cert), "accept_proxy_protocol": True,
                        "proxy_protocol_from": ["127.0.0.0/8"]})
    for _ in range(2):
        for who in ("a", "b"):
            context = authority.client_context(authority.issue(who, sans=[f"URI:spiffe://prod.example/{who}"]))
            with pp.dial(w.address(), pp.v2("192.0.2.7", 4711), tls=context, name="test.example") as c:
                assert c.request().body == f"spiffe://prod.example/{who}".encode()
                assert c.request().body == f"spiffe://prod.example/{who}".encode()


def test_the_header_comes_before_tls_with_the_backend(to, authority):
    app = authority.server_context(authority.issue("app.internal"))
    w, b = to(tls=app, pool={"tls": {"ca": authority.cert, "server_name": "app.internal"}})
    with w.client() as first, w.client() as second:
        for _ in range(2):
            for c in (first, second):
                assert c.request().body == name_of(c)
    assert b.connections == 2


# ---- TCP mode ----

@pytest.mark.parametrize("how", WAYS)
def test_in_tcp_mode_the_header_comes_first(to, how):
    def echo(conn):
        conn.send(b"220 ")
        while conn.fill():
            conn.send(conn.take(len(conn.buf)))
    w, b = to(echo, how=how, listener={"mode": "tcp"})
    for _ in range(2):
        with w.client() as c:
            assert c.read_exactly(4) == b"220 "
            c.send(b"PROXY is mine\r\n")
            assert c.read_line() == b"PROXY is mine"
            assert b.headers[-1].source == c.sock.getsockname()[:2]
            c.half_close()
            assert c.at_end()


def test_in_tcp_mode_tls_is_told_of(to, authority, identity):
    w, b = to(lambda conn: conn.send(b"hello"), listener={"mode": "tcp", **secure(authority, client_auth="required", client_ca=authority.cert)})
    with w.client(tls=authority.client_context(identity), name="test.example") as c:
        assert c.read_exactly(5) == b"hello"
    assert b.headers[0].tlvs[pp.SPIFFE] == b"spiffe://prod.example/ns/a/web" and b.headers[0].ssl[0] == 7


def test_a_websocket_has_its_header(to):
    def upgrade(conn):
        conn.read_head()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while conn.fill():
            conn.send(conn.take(len(conn.buf)))
    w, b = to(upgrade)
    with w.client() as c:
        if over.TLS or not isinstance(c, Client):
            pytest.skip("needs HTTP/1 in clear")
        c.ask(headers={"Connection": "upgrade", "Upgrade": "echo"})
        assert c.answer_head().status == 101
        c.send(b"ping")
        assert c.read_exactly(4) == b"ping"
        assert b.headers[0].source == c.sock.getsockname()


# ---- health checks ----

def is_up(w, up=1):
    return w.metric("weir_backend_up", pool="app") == up


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_check_begins_with_a_header_of_the_proxys_own(to, authority, how, tls):
    pool = {"health": {"type": "http", "path": "/up", "interval": ms(50), "fast_interval": ms(50)}}
    context = None
    if tls:
        context = authority.server_context(authority.issue("app.internal"))
        pool["tls"] = {"ca": authority.cert, "server_name": "app.internal"}
    w, b = to(echo_request, how=how, tls=context, pool=pool)
    eventually(lambda: len([r for r in b.requests if r.target == "/up"]) >= 2)
    eventually(lambda: is_up(w))
    for h in list(b.headers):
        if how == "v1":
            assert not h.local and h.source[0] == "127.0.0.1" and h.to == b.address
        else:
            assert h.local and len(h.raw) == 16


def test_a_tls_check_begins_with_a_header(to, authority):
    context = authority.server_context(authority.issue("app.internal"))
    w, b = to(None, tls=context, pool={"health": {"type": "tls", "interval": ms(50), "fast_interval": ms(50)},
                                       "tls": {"ca": authority.cert, "server_name": "app.internal"}})
    eventually(lambda: len(b.__dict__.get("headers", [])) >= 2)
    assert all(h.local for h in b.headers)
    eventually(lambda: is_up(w))


def test_a_check_at_another_port_has_no_header(to, backend):
    aside = backend(echo_request)
    w, b = to(echo_request, pool={"health": {"type": "http", "port": aside.address[1], "interval": ms(50), "fast_interval": ms(50)}})
    eventually(lambda: len(aside.requests) >= 2)
    eventually(lambda: is_up(w))
    assert not aside.errors and "headers" not in b.__dict__


def test_a_check_that_changes_by_a_reload_begins_with_the_new_header(weir, backend):
    b = backend(pp.expecting(echo_request))
    health = {"type": "http", "interval": ms(50), "fast_interval": ms(50)}
    w = weir(simple(b, pool={"send_proxy_protocol": "v1", "health": health}))
    eventually(lambda: len(b.__dict__.get("headers", [])) >= 2)
    w.reload(simple(b, pool={"send_proxy_protocol": "v2", "health": health}))
    eventually(lambda: b.headers[-1].version == 2)
    eventually(lambda: is_up(w))


# ---- failures ----

def test_a_backend_that_is_down_is_a_503(weir, refusing):
    w = weir(simple(refusing, pool={"send_proxy_protocol": "v2"}))
    assert w.get().status == 503


def test_a_try_at_another_backend_has_its_header(weir, backend, refusing):
    b = backend(pp.expecting(telling))
    w = weir(simple(refusing, b, pool={"send_proxy_protocol": "v2"}))
    for _ in range(4):
        with w.client() as c:
            assert c.request().body == name_of(c)


# ---- others behind ----

NGINX = """daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log; events {{ }}
http {{ access_log off; client_body_temp_path {dir}/t; proxy_temp_path {dir}/t; fastcgi_temp_path {dir}/t; uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;
 server {{ listen 127.0.0.1:{port} proxy_protocol; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
  location / {{ return 200 "$remote_addr $remote_port $proxy_protocol_server_port"; }} }} }}
"""


@pytest.mark.in_clear("a client in clear")
@pytest.mark.parametrize("how", WAYS)
def test_nginx_behind(weir, program, tmp_path, how):
    port = free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(dir=tmp_path, port=port))
    program(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], port)
    w = weir(simple(f"127.0.0.1:{port}", pool={"send_proxy_protocol": how,
                                               "health": {"type": "http", "interval": ms(50), "fast_interval": ms(50)}}))
    for source in ("127.0.0.1", "127.0.0.8"):
        with w.client(source=source) as c:
            for _ in range(2):
                host, client_port = c.sock.getsockname()
                assert c.request().body.decode() == f"{host} {client_port} {w.address()[1]}"
    assert is_up(w)


def test_nginx_takes_a_bare_header_before_tls(weir, authority, program, tmp_path):
    """Before TLS an older nginx takes headers of at most 107 bytes."""
    port = free_port()
    app = authority.issue("app.internal")
    text = NGINX.format(dir=tmp_path, port=port).replace("proxy_protocol;", f"proxy_protocol ssl; ssl_certificate {app.cert}; ssl_certificate_key {app.key};", 1)
    (tmp_path / "nginx.conf").write_text(text)
    program(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], port)
    w = weir(simple(f"127.0.0.1:{port}", listener=secure(authority),
                    pool={"send_proxy_protocol": "v2-bare", "tls": {"ca": authority.cert, "server_name": "app.internal"}}))
    with w.client(tls=authority.client_context(), name="test.example", source="127.0.0.8") as c:
        assert c.request().body.startswith(b"127.0.0.8 ")


@pytest.mark.parametrize("how", WAYS)
def test_haproxy_behind(weir, authority, program, tmp_path, how):
    """It checks the checksum, and tells what it read."""
    port = free_port()
    conf = tmp_path / "haproxy.cfg"
    conf.write_text("defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
                    f"frontend it\n bind 127.0.0.1:{port} accept-proxy\n"
                    ' http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst_port] %[fc_pp_authority]"\n')
    program(["haproxy", "-db", "-f", str(conf)], port)
    w = weir(simple(f"127.0.0.1:{port}", listener=secure(authority),
                    pool={"send_proxy_protocol": how, "health": {"type": "http", "interval": ms(50), "fast_interval": ms(50)}}))
    with w.client(tls=authority.client_context(), name="test.example", source="127.0.0.8") as c:
        host, client_port = c.sock.raw.getsockname()
        authority_read = "test.example" if how == "v2" else ""
        for _ in range(2):
            assert c.request().body.decode().strip() == f"{host} {client_port} {w.address()[1]} {authority_read}".strip()
    assert is_up(w)


def test_weir_behind_weir(weir, backend):
    b = backend(lambda conn: [conn.answer(200, r.get("x-forwarded-for").encode()) for r in iter(conn.read_request, None)])
    inner = weir(simple(b, listener={"name": "inner", "accept_proxy_protocol": True, "proxy_protocol_from": ["127.0.0.1"]}))
    if over.TLS:
        pytest.skip("the inner one would speak TLS")
    host, port = inner.address("inner")
    for how in WAYS:
        outer = weir(simple(f"{host}:{port}", listener={"mode": "tcp"}, pool={"send_proxy_protocol": how}))
        with pp.dial(outer.address(), b"", source="127.0.0.77") as c:
            assert c.request().body == b"127.0.0.77"
