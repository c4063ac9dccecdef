"""The PROXY protocol from proxies in front: who is believed, what is a header, and who the client is then."""
import os
import subprocess
import threading

import pytest

from conftest import simple
from lib import over
from lib import proxy_protocol as pp
from lib.client import connect, request_bytes
from lib.h2 import H2
from lib.timing import eventually, ms
from lib.tls import TlsSocket, client_context
from lib.weir import free_port, run
from lib.wire import CutShort, Silence, Wire

PROXY = "127.0.0.2"  # whose headers are believed; the client at 127.0.0.1 is a stranger
ACCEPT = {"accept_proxy_protocol": True, "proxy_protocol_from": [PROXY + "/32"]}


def who(conn):
    """A backend that says whom it was told of."""
    while (req := conn.read_request()) is not None:
        conn.answer(200, (req.get("x-forwarded-for") or "nobody").encode())


@pytest.fixture
def front(pair):
    def start(handler=who, listener=None, **kw):
        return pair(handler, listener={**ACCEPT, **(listener or {})}, **kw)
    return start


def dial(w, header, listener="web", **kw):
    return pp.dial(w.address(listener), header, source=kw.pop("source", PROXY), **kw)


def failures(w, reason):
    return w.metric("weir_failures_total", reason=reason)


def is_closed(c):
    """Without an answer."""
    return c.read_all() == b""


HEADERS = [
    (pp.v1("192.0.2.7"), "192.0.2.7"),
    (pp.v1("2001:db8::7"), "2001:db8::7"),
    (pp.v2("192.0.2.7"), "192.0.2.7"),
    (pp.v2("2001:db8::7"), "2001:db8::7"),
    (pp.v2("192.0.2.7", tlvs=pp.tlv(pp.NOOP, b"x" * 300) + pp.tlv(0xEF, b""), checksum=True), "192.0.2.7"),
]
IDS = ["v1-4", "v1-6", "v2-4", "v2-6", "v2-tlvs"]


@pytest.mark.parametrize("header,client", HEADERS, ids=IDS)
def test_the_announced_address_is_the_client(front, header, client):
    w, b = front()
    with dial(w, header) as c:
        assert c.request().body == client.encode()
        assert c.request().body == client.encode(), "it is said once, and holds for the connection"
    assert w.logged(client=client)
    assert b.connections == 1


@pytest.mark.parametrize("header,client", HEADERS, ids=IDS)
def test_a_header_comes_in_any_pieces(front, header, client):
    w, b = front()
    for pieces in (1, 7):
        with dial(w, header, pieces=pieces) as c:
            assert c.request().body == client.encode()


@pytest.mark.in_clear("bytes behind the header would be a ClientHello")
@pytest.mark.parametrize("header,client", HEADERS, ids=IDS)
def test_what_is_behind_the_header_is_the_request(front, header, client):
    """In one piece, and cut at each place around the seam."""
    w, b = front()
    data = header + request_bytes() + request_bytes("GET", "/second")
    for cut in [0, *range(len(header) - 3, len(header) + 4)]:
        with dial(w, b"") as c:
            c.send(data[:cut])
            c.send(data[cut:])
            assert [c.answer().body for _ in range(2)] == [client.encode()] * 2, cut
    assert {r.target for r in b.requests} == {"/", "/second"}


@pytest.mark.parametrize("header", [pp.LOCAL, pp.UNKNOWN, pp.v2("192.0.2.7", command=0), b"PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n",
                                    pp.SIGNATURE + b"\x21\0\0\0"])
def test_where_nobody_is_announced_the_socket_tells(front, header):
    w, b = front()
    with dial(w, header) as c:
        assert c.request().body == PROXY.encode()
    assert w.logged(client=PROXY)


def test_a_unix_socket_may_be_announced(front):
    w, b = front()
    header = pp.SIGNATURE + b"\x21\x31\0\xd8" + b"/run/x".ljust(108, b"\0") * 2
    with dial(w, header) as c:
        assert c.request().status == 200
    assert w.logged(client="unix")


# ---- who is believed ----

def test_a_stranger_is_served_without_a_header(front):
    w, b = front()
    with pp.dial(w.address(), b"") as c:
        assert c.request().body == b"127.0.0.1"


@pytest.mark.in_clear("a header is no ClientHello")
@pytest.mark.parametrize("header,client", HEADERS, ids=IDS)
def test_a_strangers_header_is_a_bad_request(front, header, client):
    w, b = front()
    with pp.dial(w.address(), header + request_bytes()) as c:
        assert c.answer().status == 400
        assert c.read_all() == b"", "and what is behind it is not a request either"
    assert not b.requests
    assert w.logged(client="127.0.0.1", status=400)
    assert failures(w, "bad_proxy_header") == 0


def test_a_strangers_header_is_no_client_hello(weir, backend, authority):
    b = backend(who)
    w = weir(simple(b, listener={**ACCEPT, "tls": {"certificates": [authority.issue("test.example").conf]}}))
    with pytest.raises(OSError):
        pp.dial(w.address(), pp.v1("192.0.2.7"), tls=client_context())
    assert not b.requests and failures(w, "client_tls_failed") == 1


@pytest.mark.in_clear("bytes in clear")
@pytest.mark.parametrize("data", [
    request_bytes(),
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\n" + request_bytes(),
    b"PROXY TCP4 192.0.2.07 192.0.2.8 1 2\r\n" + request_bytes(),
    b"PROXY " + b"x" * 200,
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r" + request_bytes(),
    pp.SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
    pp.SIGNATURE + b"\x21\x11\xff\xff" + bytes(70000),
    pp.v2("192.0.2.7", checksum=True)[:-1] + b"!" + request_bytes(),
    pp.v2("192.0.2.7", tlvs=b"\x04\0\x09x") + request_bytes(),
    b"\x16\x03\x01" + os.urandom(200),
    os.urandom(400).replace(b"P", b"Q").replace(b"\r", b"Q"),
], ids=range(11))
def test_without_a_valid_header_a_believed_proxy_is_sent_away(front, data):
    w, b = front()
    with dial(w, b"") as c:
        c.try_send(data)
        assert is_closed(c)
    assert failures(w, "bad_proxy_header") == 1
    assert not b.requests
    eventually(lambda: "reason=bad_proxy_header" in w.stderr())


@pytest.mark.in_clear("bytes in clear")
def test_a_second_header_is_a_bad_request(front):
    w, b = front()
    with dial(w, pp.v1("192.0.2.7") + pp.v1("192.0.2.8") + request_bytes()) as c:
        assert c.answer().status == 400
    assert w.logged(client="192.0.2.7", status=400) and not b.requests


@pytest.mark.in_clear("the header is never whole, so there is no handshake")
@pytest.mark.parametrize("some", [b"", b"P", pp.v1("192.0.2.7")[:-1], pp.v2("192.0.2.7")[:20]], ids=range(4))
def test_a_header_that_does_not_come_in_time_ends_the_connection(front, some):
    w, b = front(timeouts={"request_header": ms(200)})
    with dial(w, some) as c:
        assert is_closed(c)
    assert failures(w, "proxy_header_timeout") == 1


@pytest.mark.in_clear("the header is never whole, so there is no handshake")
def test_trickling_does_not_stretch_the_time_for_a_header(front):
    w, b = front(timeouts={"request_header": ms(300)})
    with dial(w, b"PROXY UNKNOWN ") as c:
        stop = threading.Event()

        def trickle():
            while not stop.wait(0.05) and c.try_send(b"x"):
                pass
        t = threading.Thread(target=trickle)
        t.start()
        try:
            assert is_closed(c)
        finally:
            stop.set()
            t.join()
    assert failures(w, "proxy_header_timeout") + failures(w, "bad_proxy_header") == 1


@pytest.mark.in_clear("the header is never whole, so there is no handshake")
def test_an_end_within_the_header_is_counted_and_one_before_it_is_not(front):
    w, b = front()
    with dial(w, b"") as c:
        c.half_close()
        assert is_closed(c)
    with dial(w, b"PROXY TCP4 192.0.2.7") as c:
        c.half_close()
        assert is_closed(c)
    eventually(lambda: failures(w, "bad_proxy_header") == 1)
    eventually(lambda: w.metric("weir_connections") == 0)
    assert "reason=closed" not in w.stderr()


# ---- what is spoken behind it ----

def tls_conf(authority, **kw):
    return {**ACCEPT, "tls": {"certificates": [authority.issue("test.example").conf], **kw}}


def test_it_comes_before_tls(weir, backend, authority):
    w = weir(simple(backend(who), listener=tls_conf(authority)))
    context = authority.client_context()
    for header, client in HEADERS:
        for pieces in (None, 5):
            with dial(w, header, tls=context, name="test.example", pieces=pieces) as c:
                assert c.request().body == client.encode()


def test_the_client_hello_may_come_in_one_piece_with_it(weir, backend, authority):
    w = weir(simple(backend(who), listener=tls_conf(authority)))
    sock = TlsSocket(connect(w.address(), source=PROXY), authority.client_context(), "test.example", shake=False)
    try:
        sock.tls.do_handshake()
    except OSError:
        pass
    sock.raw.sendall(pp.v2("192.0.2.7") + sock.outside.read())
    sock.shake()
    c = Wire(sock)
    c.send(request_bytes())
    while b"192.0.2.7" not in c.buf:
        assert c.fill(), c.buf
    c.close()


@pytest.mark.in_clear("HTTP/2 with prior knowledge")
def test_it_comes_before_http2(weir, backend):
    w = weir(simple(backend(who), listener={**ACCEPT, "protocols": ["h2", "http/1.1"]}))
    for header, client in HEADERS:
        sock = connect(w.address(), source=PROXY)
        sock.sendall(header)
        with H2(sock=sock) as c:
            asked = [c.ask("GET", "/") for _ in range(3)]
            assert [bytes(c.answer(s).body) for s in asked] == [client.encode()] * 3


def test_it_comes_before_http2_over_tls(weir, backend, authority):
    w = weir(simple(backend(who), listener=tls_conf(authority)))
    c = dial(w, pp.v2("192.0.2.7"), tls=authority.client_context(alpn=["h2"]), name="test.example")
    with H2(sock=c.sock) as h:
        assert bytes(h.answer(h.ask("GET", "/")).body) == b"192.0.2.7"


def tcp(weir, backend, handler, **listener):
    return weir({"listeners": [{"name": "raw", "mode": "tcp", "pool": "app", **ACCEPT, **listener}],
                 "pools": [{"name": "app", "backends": [backend(handler)]}]})


def test_in_tcp_mode_the_backend_gets_what_is_behind_it(weir, backend):
    def echo(conn):
        while conn.fill():
            conn.send(conn.take(len(conn.buf)))
    w = tcp(weir, backend, echo)
    for header, client in HEADERS:
        with dial(w, header + b"hello", listener="raw") as c:
            assert c.read_exactly(5) == b"hello"
            c.half_close()
            assert c.at_end()
        assert w.logged(client=client)


def test_in_tcp_mode_a_server_may_speak_first(weir, backend):
    w = tcp(weir, backend, lambda conn: (conn.send(b"220 welcome\r\n"), conn.read_all()))
    with dial(w, pp.v1("192.0.2.7"), listener="raw") as c:
        assert c.read_line() == b"220 welcome"
    with pp.dial(w.address("raw"), b"") as c:
        assert c.read_line() == b"220 welcome", "to a stranger, too, without a word of his"


def test_in_tcp_mode_no_backend_is_asked_before_the_header_is_whole(weir, backend):
    b = backend(lambda conn: conn.read_all())
    w = weir({"listeners": [{"name": "raw", "mode": "tcp", "pool": "app", **ACCEPT}], "pools": [{"name": "app", "backends": [b]}]})
    with dial(w, b"hello, no header", listener="raw") as c:
        assert is_closed(c)
    assert failures(w, "bad_proxy_header") == 1 and b.connections == 0


def test_the_name_in_the_client_hello_is_found_behind_it(weir, backend, authority):
    cert = authority.issue("test.example")
    b = backend(who, tls=authority.server_context(cert))
    w = weir({"listeners": [{"name": "raw", "mode": "tcp", "sni": True, **ACCEPT}],
              "routes": [{"name": "a", "host": ["test.example"], "pool": "app"}], "pools": [{"name": "app", "backends": [b]}]})
    for pieces in (None, 3):
        with dial(w, pp.v2("192.0.2.7"), listener="raw", tls=authority.client_context(), name="test.example", pieces=pieces) as c:
            assert c.request().body == b"nobody"
        assert w.logged(client="192.0.2.7")


# ---- where the client's address counts ----

def test_limits_count_announced_clients(front):
    w, b = front(limits={"per_client": 2})
    some = [dial(w, pp.v1(f"192.0.2.{i}")) for i in range(1, 6)]
    assert all(c.request().status == 200 for c in some), "there are more of the proxy's than of any client"
    second = dial(w, pp.v1("192.0.2.1"))
    assert second.request().status == 200
    if over.TLS:
        with pytest.raises(OSError):  # in the handshake
            dial(w, pp.v1("192.0.2.1"))
    else:
        with dial(w, pp.v1("192.0.2.1")) as third:
            assert third.answer().status == 503
    assert w.metric("weir_connections_refused_total", reason="client_connection_limit") == 1
    second.close()

    def let_in():
        try:
            with dial(w, pp.v1("192.0.2.1")) as c:
                return c.request().status == 200
        except (OSError, CutShort):
            return False
    eventually(let_in)
    for c in some:
        c.close()


def test_the_announced_address_is_hashed(weir, backend):
    backends = [backend(lambda conn, i=i: [conn.answer(200, b"%d" % i) for _ in iter(conn.read_request, None)]) for i in range(2)]
    w = weir(simple(*backends, listener=ACCEPT, pool={"strategy": "ring_hash", "hash": {"key": "client_ip"}}))

    def ask(client):
        with dial(w, pp.v1(client)) as c:
            return c.request().body
    found = {f"192.0.2.{i}": ask(f"192.0.2.{i}") for i in range(32)}
    assert set(found.values()) == {b"0", b"1"}
    assert all(ask(client) == where for client, where in found.items())


def test_forwarded_fields_are_believed_by_the_announced_address(front):
    w, b = front(daemon={"trusted_proxies": ["192.0.2.0/24"]})
    for client, told in (("192.0.2.7", b"10.9.9.9, 192.0.2.7"), ("198.51.100.7", b"198.51.100.7")):
        with dial(w, pp.v1(client)) as c:
            assert c.request(headers={"X-Forwarded-For": "10.9.9.9"}).body == told
    w.logged(client="10.9.9.9")


def test_a_unix_listener_believes_unix(weir, backend, tmp_path):
    path = f"/tmp/pp-{os.getpid()}-{free_port()}.sock"
    w = weir(simple(backend(who), listener={"bind": "unix:" + path, "accept_proxy_protocol": True, "proxy_protocol_from": ["unix"]}))
    with pp.dial(path, pp.v2("192.0.2.7")) as c:
        assert c.request().body == b"192.0.2.7"


# ---- while it runs ----

def test_an_idle_connection_holds_no_fiber(front):
    w, b = front()
    some = [dial(w, HEADERS[i % len(HEADERS)][0]) for i in range(20)]
    assert all(c.request().status == 200 for c in some)
    eventually(lambda: " conn " not in w.fibers())
    assert all(c.request().status == 200 for c in some)
    for c in some:
        c.close()


def test_a_reload_decides_for_those_that_come_after_it(weir, backend):
    b = backend(who)
    conf = simple(b, listener=ACCEPT)
    w = weir(conf)
    old = dial(w, pp.v1("192.0.2.7"))
    assert old.request().body == b"192.0.2.7"
    w.reload(simple(b))
    assert old.request().body == b"192.0.2.7"
    with dial(w, b"") as c:
        assert c.request().body == PROXY.encode()
    w.reload(conf)
    with dial(w, pp.v2("192.0.2.8")) as c:
        assert c.request().body == b"192.0.2.8"
    old.close()


@pytest.mark.in_clear("the header is never whole, so there is no handshake")
def test_a_stop_does_not_wait_for_headers_for_ever(front):
    w, b = front(timeouts={"drain": ms(200)})
    c = dial(w, b"PROXY ")
    eventually(lambda: "PROXY protocol header" in w.fibers())
    w.stop()
    assert is_closed(c)


@pytest.mark.in_clear("two listeners, of which one has no header")
def test_listeners_decide_each_for_itself(weir, backend):
    b = backend(who)
    w = weir({"listeners": [{"name": "web", "pool": "app", **ACCEPT}, {"name": "plain", "pool": "app"}], "pools": [{"name": "app", "backends": [b]}]})
    with dial(w, pp.v1("192.0.2.7") + request_bytes(), listener="plain") as c:
        assert c.answer().status == 400
    with dial(w, pp.v1("192.0.2.7")) as c:
        assert c.request().body == b"192.0.2.7"


def test_many_at_once_are_not_mixed_up(front):
    w, b = front()
    errors = []

    def run_one(k):
        try:
            for i in range(20):
                client = f"10.{k}.0.{i}"
                header = (pp.v1 if i % 2 else pp.v2)(client)
                with dial(w, header, pieces=[None, 1, 9][i % 3]) as c:
                    for _ in range(3):
                        got = c.request().body
                        assert got == client.encode(), (got, client)
        except (AssertionError, OSError, CutShort, Silence) as e:
            errors.append(e)
    threads = [threading.Thread(target=run_one, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors


# ---- others in front ----

@pytest.mark.in_clear("they speak in clear")
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_in_front(weir, backend, program, tmp_path, how):
    w = weir(simple(backend(who), listener={"accept_proxy_protocol": True, "proxy_protocol_from": ["127.0.0.1"]}))
    port = free_port()
    conf = tmp_path / "haproxy.cfg"
    conf.write_text("defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
                    f"listen it\n bind 127.0.0.1:{port}\n unique-id-format %rt\n"
                    f" server weir 127.0.0.1:{w.address()[1]} {how} check inter 200ms\n")
    program(["haproxy", "-db", "-f", str(conf)], port)
    with pp.dial(("127.0.0.1", port), b"", source="127.0.0.9") as c:
        assert c.request().body == b"127.0.0.9"
    assert failures(w, "bad_proxy_header") == 0, "checks of its own begin with a header, too"


@pytest.mark.in_clear("they speak in clear")
def test_nginx_in_front(weir, backend, program, tmp_path):
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    if not os.path.exists(module):
        pytest.skip("nginx has no stream module here")
    w = weir(simple(backend(who), listener={"accept_proxy_protocol": True, "proxy_protocol_from": ["127.0.0.1"]}))
    port = free_port()
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"load_module {module}; daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{ }}\n"
                    f"stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{w.address()[1]}; proxy_protocol on; }} }}\n")
    program(["nginx", "-p", str(tmp_path), "-c", str(conf)], port)
    with pp.dial(("127.0.0.1", port), b"", source="127.0.0.9") as c:
        assert c.request().body == b"127.0.0.9"


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_curl_in_front(weir, backend, authority, tls):
    listener = {"accept_proxy_protocol": True, "proxy_protocol_from": ["127.0.0.1"]}
    if tls:
        listener["tls"] = {"certificates": [authority.issue("test.example").conf]}
    w = weir(simple(backend(who), listener=listener))
    url = w.url() if not tls else f"https://127.0.0.1:{w.address()[1]}/"
    done = subprocess.run(["curl", "-sk", "--haproxy-protocol", url], capture_output=True, timeout=30)
    assert done.stdout == b"127.0.0.1", done


# ---- configuration ----

def check(tmp_path, listener="", pool=""):
    path = tmp_path / "proxy.conf"
    path.write_text(f'listeners = ( {{ name = "web"; bind = "127.0.0.1:1"; pool = "app"; {listener} }} );\n'
                    f'pools = ( {{ name = "app"; backends = [ "127.0.0.1:2" ]; {pool} }} );\n')
    return run("-t", "-c", str(path))


@pytest.mark.parametrize("listener,pool,words", [
    ("accept_proxy_protocol = true;", "", "proxy.conf:1: listeners.web.proxy_protocol_from: is missing with accept_proxy_protocol"),
    ("accept_proxy_protocol = true; proxy_protocol_from = [ ];", "", "listeners.web.proxy_protocol_from: is empty"),
    ('accept_proxy_protocol = true; proxy_protocol_from = [ "10.0.0.0/40" ];', "", "listeners.web.proxy_protocol_from[0]: \"10.0.0.0/40\": not a prefix"),
    ('accept_proxy_protocol = "v1";', "", "listeners.web.accept_proxy_protocol"),
    ("", 'send_proxy_protocol = "v3";', 'pools.app.send_proxy_protocol: "v3"'),
    ("", 'send_proxy_protocol = "v2"; protocol = "h2";', "proxy.conf:2: pools.app.send_proxy_protocol: can't be had with protocol = \"h2\""),
    ("", 'send_proxy_protocol = "v1"; protocol = "auto"; tls = { };', "pools.app.send_proxy_protocol: can't be had with protocol = \"auto\""),
])
def test_what_can_not_be_meant_is_refused(tmp_path, listener, pool, words):
    done = check(tmp_path, listener, pool)
    assert done.returncode != 0 and words in done.stderr, done.stderr


def test_sources_without_effect_are_told_of(tmp_path):
    done = check(tmp_path, 'proxy_protocol_from = [ "10.0.0.0/8", "unix" ];')
    assert done.returncode == 0
    assert "proxy_protocol_from: has no effect without accept_proxy_protocol" in done.stderr


def test_a_dump_loads_to_the_same(tmp_path):
    done = check(tmp_path, 'accept_proxy_protocol = true; proxy_protocol_from = [ "10.0.0.0/8", "unix", "2001:db8::/32" ];', 'send_proxy_protocol = "v2-bare";')
    assert done.returncode == 0, done.stderr
    dumped = run("--dump-config", "-c", str(tmp_path / "proxy.conf"))
    assert 'proxy_protocol_from = [ "10.0.0.0/8", "unix", "2001:db8::/32" ];' in dumped.stdout, dumped
    assert 'send_proxy_protocol = "v2-bare";' in dumped.stdout
