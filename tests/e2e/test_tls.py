"""TLS with clients: versions, certificates by name, resumption, ends, and what is no TLS."""
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from lib.backend import answering
from lib.client import Client, connect
from lib.timing import eventually, ms, secs
from lib.tls import Truncated, client_context
from lib.weir import run
from lib.wire import CutShort


def tls(*certs, **more):
    return {"tls": {"certificates": [c.conf for c in certs], **more}}


@pytest.fixture(scope="session")
def site(authority):
    return authority.issue("site.example", "*.site.example")


@pytest.fixture
def https(pair, site):
    """https(handler, **tls settings) -> (Weir, Backend) with certificate `site`."""
    def start(handler=None, listener=None, certs=None, pool=None, **more):
        return pair(handler, listener={**tls(*(certs or [site]), **more), **(listener or {})}, pool=pool)

    return start


def served(w, context, name="site.example", **kw):
    """A connection to the listener, its handshake done."""
    return w.client(tls=context, name=name, **kw)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_request_is_answered_in_both_versions(https, authority, version):
    w, b = https()
    with served(w, client_context(authority.cert, version=version)) as c:
        assert c.request(host="site.example").status == 200
        assert c.request("POST", body=b"x" * 100000, host="site.example").status == 200
        assert c.sock.tls.version() == "TLSv" + version
    assert w.logged(status=200, tls="TLSv" + version, tls_name="site.example")
    assert b.requests[0].get("x-forwarded-proto") == "https"


def test_forwarded_says_https(https, authority):
    w, b = https(listener={"forwarded": "both"})
    with served(w, client_context(authority.cert)) as c:
        c.request(host="site.example")
    assert ";proto=https" in b.requests[0].get("forwarded")


@pytest.mark.parametrize("setting,option", [("1.3", "-tls1_2"), ("1.2", "-tls1_1")])
def test_an_older_version_is_refused(https, setting, option):
    w, _ = https(min=setting)
    host, port = w.address()
    done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", option, "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=secs(10))
    assert done.returncode != 0 and b"alert protocol version" in done.stderr, done.stderr
    eventually(lambda: w.metric("weir_tls_handshakes_failed_total", side="client") == 1)
    assert w.metric("weir_failures_total", reason="client_tls_failed") == 1
    assert "tls.handshake_failed" in w.stderr() and "reason=client_tls_failed" in w.stderr()


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
def test_tls_1_2_has_only_ecdhe_with_aead(https, authority, ciphers):
    w, _ = https(certs=[authority.issue("rsa.example", kind="rsa")])
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE|handshake failure"):
        served(w, client_context(version="1.2", ciphers=ciphers), "rsa.example")


def test_x25519_is_the_first_choice(https):
    w, _ = https()
    host, port = w.address()
    out = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-groups", "P-384:P-256:X25519"], stdin=subprocess.DEVNULL, capture_output=True, timeout=secs(10)).stdout
    assert b"Server Temp Key" in out
    out = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=secs(10)).stdout
    assert b"Server Temp Key: X25519" in out, out


def test_sslscan_finds_nothing_weak(https):
    if shutil.which("sslscan") is None:
        pytest.skip("sslscan is not installed")
    w, _ = https()
    host, port = w.address()
    out = subprocess.run(["sslscan", "--no-colour", "--no-heartbleed", f"{host}:{port}"], capture_output=True, text=True, timeout=secs(40)).stdout
    enabled = set(re.findall(r"^(\S+v[\d.]+)\s+enabled", out, re.M))
    assert enabled == {"TLSv1.2", "TLSv1.3"}, out
    accepted = re.findall(r"^(?:Preferred|Accepted)\s+(\S+)\s+\d+ bits\s+(\S+)", out, re.M)
    assert accepted and all(v == "TLSv1.3" or re.match(r"ECDHE-\S+(GCM|CHACHA20)", c) for v, c in accepted), out
    assert "Session renegotiation not supported" in out, out


# ---- which certificate ----

def subject_of(c):
    der = c.sock.tls.getpeercert(True)
    return subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253"], input=der, capture_output=True).stdout.decode().strip()


@pytest.fixture
def many(https, authority):
    certs = [authority.issue("first.example"), authority.issue("a.example"), authority.issue("*.wild.example"), authority.issue("x.wild.example")]
    w, _ = https(certs=certs)
    return w


@pytest.mark.parametrize("asked,subject", [
    ("a.example", "CN=a.example"), ("A.Example", "CN=a.example"), ("y.wild.example", "CN=any.wild.example"), ("x.wild.example", "CN=x.wild.example"),
    ("y.z.wild.example", "CN=first.example"), ("wild.example", "CN=first.example"), ("nobody.example", "CN=first.example"), (None, "CN=first.example")])
def test_the_certificate_is_chosen_by_name(many, asked, subject):
    with served(many, client_context(), asked) as c:
        assert subject_of(c).endswith(subject)


@pytest.mark.parametrize("kind,sigalgs", [("EC", "ECDSA+SHA256"), ("RSA", "RSA-PSS+SHA256")])
def test_rsa_and_ecdsa_stand_side_by_side(https, authority, kind, sigalgs):
    w, _ = https(certs=[authority.issue("both.example", kind="rsa"), authority.issue("both.example", kind="ec")])
    host, port = w.address()
    out = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", "both.example", "-sigalgs", sigalgs], stdin=subprocess.DEVNULL, capture_output=True, timeout=secs(10)).stdout
    assert (b"id-ecPublicKey" if kind == "EC" else b"rsaEncryption") in out, out


def test_an_intermediate_comes_along(https, authority):
    from lib.tls import Authority
    under = Authority(name="Intermediate", by=authority)
    w, _ = https(certs=[under.issue("deep.example")])
    with served(w, client_context(authority.cert), "deep.example") as c:
        assert c.request(host="deep.example").status == 200


def test_an_ocsp_answer_is_stapled(https, authority, tmp_path):
    cert = authority.issue("stapled.example")
    staple = authority.ocsp(cert)
    plain = authority.issue("plain.example")
    w, _ = https(certs=[cert, plain], certificates=[{**cert.conf, "ocsp": staple}, plain.conf])
    host, port = w.address()

    def status(name):
        return subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", name, "-status", "-CAfile", authority.cert], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=secs(10)).stdout
    assert b"Cert Status: good" in status("stapled.example")
    assert b"OCSP response: no response sent" in status("plain.example")


# ---- the host of a request ----

def test_a_host_that_the_certificate_is_not_for_is_misdirected(many):
    with served(many, client_context(), "a.example") as c:
        assert c.request(host="a.example").status == 200
        res = c.request(host="first.example")
        assert res.status == 421, res
        assert c.request(host="a.example:443").status == 200, "the connection goes on"
    assert many.logged(status=421, reason="misdirected")


def test_one_certificate_serves_all_its_names_on_one_connection(https, authority):
    w, _ = https(certs=[authority.issue("a.example", "b.example", "*.c.example"), authority.issue("d.example")])
    with served(w, client_context(), "a.example") as c:
        assert [c.request(host=h).status for h in ("a.example", "b.example", "x.c.example", "d.example")] == [200, 200, 200, 421]


def test_clients_that_name_nobody_may_ask_for_any_host(many):
    with served(many, client_context(), None) as c:
        assert c.request(host="a.example").status == 200
        assert c.request(host="whatever.example").status == 200


def test_a_name_without_certificate_is_served_by_the_default(many):
    with served(many, client_context(), "other.example") as c:
        assert c.request(host="other.example").status == 200
        assert c.request(host="a.example").status == 421


# ---- ALPN ----

@pytest.mark.parametrize("offered,agreed", [(["http/1.1"], "http/1.1"), (["x", "http/1.1"], "http/1.1"), (None, None)])
def test_http_1_1_is_agreed_by_alpn(https, offered, agreed):
    w, _ = https()
    with served(w, client_context(alpn=offered)) as c:
        assert c.sock.tls.selected_alpn_protocol() == agreed
        assert c.request(host="site.example").status == 200


def test_clients_that_speak_nothing_of_ours_are_told(https):
    w, _ = https()
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        served(w, client_context(alpn=["imap"]))


# ---- resumption ----

def resumes(w, context, session, name="site.example"):
    """Whether the session was taken up, and the next one."""
    with served(w, context, name, session=session) as c:
        assert c.request(host=name).status == 200
        return c.sock.tls.session_reused, c.sock.tls.session


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("tickets", [True, False])
def test_a_session_is_taken_up_by_any_worker(https, version, tickets):
    w, _ = https(tickets=tickets)
    context = client_context(version=version)
    reused, session = resumes(w, context, None)
    assert not reused and session is not None
    for _ in range(8):
        reused, session = resumes(w, context, session)
        assert reused
    assert w.metric("weir_tls_handshakes_resumed_total", side="client") == 8
    assert w.metric("weir_tls_handshakes_total", side="client") == 9


@pytest.mark.parametrize("tickets", [True, False])
def test_a_resumed_connection_gets_the_ticket_for_the_next(https, tickets):
    """Clients use a ticket once (RFC 8446, C.4): without a new one every second handshake would be a whole one."""
    w, _ = https(tickets=tickets)
    context = client_context(version="1.3")
    _, first = resumes(w, context, None)
    reused, second = resumes(w, context, first)
    assert reused and second.id != first.id


def test_one_ticket_is_sent(https):
    w, _ = https()
    host, port = w.address()
    p = subprocess.Popen(["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_3", "-msg", "-ign_eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = p.communicate(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout=secs(10))
    assert out.count(b"NewSessionTicket") == 1, out


def test_tickets_outlive_one_rotation_of_keys_and_a_reload_but_not_two(weir, backend, site):
    b = backend()
    w = weir({"daemon": {"ticket_rotation": "2s"}, "listeners": [{"pool": "app", **tls(site)}], "pools": [{"name": "app", "backends": [b]}]})
    context = client_context()
    _, session = resumes(w, context, None)
    w.reload()
    assert resumes(w, context, session)[0], "at once"
    eventually(lambda: not resumes(w, context, session)[0], 10, "the keys are gone after two rotations")


def test_tickets_are_good_for_longer_than_the_key_that_sealed_them(weir, backend, site):
    b = backend()
    w = weir({"daemon": {"ticket_rotation": ms(1500)}, "listeners": [{"pool": "app", **tls(site)}], "pools": [{"name": "app", "backends": [b]}]})
    context = client_context()
    _, session = resumes(w, context, None)
    for _ in range(12):  # each one a renewed session: over several rotations none is lost
        reused, session = resumes(w, context, session)
        assert reused
        time.sleep(secs(0.25))


def test_a_session_is_not_taken_up_by_another_listener(weir, backend, site):
    b = backend()
    w = weir({"listeners": [{"name": "one", "pool": "app", **tls(site)}, {"name": "two", "pool": "app", **tls(site)}], "pools": [{"name": "app", "backends": [b]}]})
    context = client_context()
    with w.client("one", tls=context, name="site.example") as c:
        c.request(host="site.example")
        session = c.sock.tls.session
    with w.client("two", tls=context, name="site.example", session=session) as c:
        assert not c.sock.tls.session_reused
    with w.client("one", tls=context, name="site.example", session=session) as c:
        assert c.sock.tls.session_reused


# ---- what is no handshake ----

def test_a_handshake_that_does_not_end_is_given_up(weir, backend, site):
    b = backend()
    w = weir({"timeouts": {"tls_handshake": ms(300)}, "listeners": [{"pool": "app", **tls(site)}], "pools": [{"name": "app", "backends": [b]}]})
    with Client(w.address()) as c:
        c.send(bytes.fromhex("160301020001"))
        assert c.at_end()
    eventually(lambda: w.metric("weir_failures_total", reason="client_tls_timeout") == 1)
    assert b.connections == 0


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"SSH-2.0-OpenSSH_9.2\r\n", os.urandom(5000), b"\x16\x03\x01\x40\x01" + b"x" * 16385, b"\x15\x03\x01\x00\x02\x02\x28"], ids=range(5))
def test_garbage_ends_the_connection(https, authority, garbage):
    w, b = https()
    with Client(w.address()) as c:
        c.try_send(garbage)
        try:
            c.half_close()
        except OSError:  # the proxy was quicker to end it
            pass
        c.read_all()
    with served(w, client_context(authority.cert)) as c:
        assert c.request(host="site.example").status == 200
    assert b.connections == 1


def test_plain_http_is_told_so_in_clear(https):
    w, b = https()
    res = w.get("/")
    assert res.status == 400 and b"HTTPS" in res.body and res.closes
    assert b.connections == 0
    eventually(lambda: w.metric("weir_failures_total", reason="plain_http") == 1)


def test_a_port_that_is_only_looked_at_is_no_failure(https):
    w, _ = https()
    for _ in range(3):
        connect(w.address()).close()
    w.get("/")  # later than those
    eventually(lambda: w.metric("weir_failures_total", reason="plain_http") == 1)
    assert w.metric("weir_tls_handshakes_failed_total", side="client") == 1


def test_a_hello_in_single_bytes_is_put_together(https, authority):
    w, _ = https()
    raw = connect(w.address())

    class Dripping:
        def __getattr__(self, name):
            return getattr(raw, name)

        def sendall(self, data):
            for i in range(len(data)):
                raw.sendall(data[i:i + 1])

    from lib.tls import TlsSocket
    s = TlsSocket(Dripping(), client_context(authority.cert), "site.example")
    s.sendall(b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
    assert s.recv(100).startswith(b"HTTP/1.1 200")
    s.close()


# ---- ends ----

def test_close_notify_comes_before_the_end(https, authority):
    w, _ = https()
    with served(w, client_context(authority.cert)) as c:
        c.ask(headers={"Connection": "close"}, host="site.example")
        assert c.answer().status == 200
        assert c.sock.recv(1) == b"", "an end that is one, and no Truncated"


def test_a_half_closed_client_gets_its_answer(https, authority):
    w, _ = https()
    with served(w, client_context(authority.cert)) as c:
        c.ask(host="site.example")
        c.half_close()
        assert c.answer().body == b"ok"
        assert c.at_end() and not c.reset_seen


def test_a_client_that_ends_without_close_notify_still_gets_its_answer(https, authority):
    w, _ = https()
    with served(w, client_context(authority.cert)) as c:
        c.ask(host="site.example")
        c.sock.raw.shutdown(socket.SHUT_WR)
        assert c.answer().body == b"ok"


def test_a_body_that_a_client_cuts_is_not_passed_on_as_whole(https, authority):
    got = []

    def handler(conn):
        req = conn.read_head()
        with pytest.raises(CutShort):
            req.stream.all()
        got.append(True)

    w, _ = https(handler)
    c = served(w, client_context(authority.cert))
    c.send(b"POST / HTTP/1.1\r\nHost: site.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    c.sock.truncate()
    eventually(lambda: got)


def test_a_cut_answer_ends_without_close_notify(https, authority):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")

    w, _ = https(handler)
    with served(w, client_context(authority.cert)) as c:
        c.ask(host="site.example")
        res = c.answer_head()
        assert res.stream.piece() == b"hello"
        with pytest.raises(ConnectionError):
            c.sock.recv(1)


# ---- bodies ----

def digest_and_count(pieces):
    h, n = hashlib.sha256(), 0
    for p in pieces:
        h.update(p)
        n += len(p)
    return h.hexdigest(), n


def pattern(total):
    block = hashlib.sha256(b"block").digest() * 2048
    sent = 0
    while sent < total:
        piece = block[:min(len(block), total - sent)]
        sent += len(piece)
        yield piece


@pytest.mark.parametrize("total", [100_000, pytest.param(200_000_000, marks=pytest.mark.no_sanitizer), pytest.param(1 << 30, marks=[pytest.mark.slow, pytest.mark.no_sanitizer])])
@pytest.mark.timeout(300)
def test_large_bodies_pass_whole_both_ways(https, authority, total):
    seen = []

    def handler(conn):
        while (req := conn.read_head()) is not None:
            if req.method == "POST":
                seen.append(digest_and_count(iter(req.stream.piece, b"")))
                conn.answer(200, b"")
            else:
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total, *pattern(total))

    w, b = https(handler)
    b.keep_raw = False
    want = digest_and_count(pattern(total))
    host, port = w.address()
    base = ["curl", "-sS", "--cacert", authority.cert, "--connect-to", f"site.example:443:{host}:{port}", "https://site.example/"]
    down = subprocess.Popen(base, stdout=subprocess.PIPE)
    assert digest_and_count(iter(lambda: down.stdout.read(65536), b"")) == want
    assert down.wait() == 0
    up = subprocess.Popen([*base, "-T", "-", "-X", "POST", "-H", "Expect:"], stdin=subprocess.PIPE)
    for piece in pattern(total):
        up.stdin.write(piece)
    up.stdin.close()
    assert up.wait() == 0
    assert seen == [want]
    assert w.rss() < 60 << 20


def test_a_slow_reader_gets_everything(https, authority):
    body = os.urandom(3_000_000)
    w, _ = https(answering(body))
    with served(w, client_context(authority.cert), rcvbuf=4096) as c:
        c.ask(host="site.example")
        res = c.answer_head()
        out = bytearray()
        while piece := res.stream.piece(5000):
            out += piece
            if len(out) < 300_000:
                time.sleep(0.001)
        assert out == body
        assert c.request(host="site.example").status == 200


def test_pipelined_requests_in_one_record_are_all_answered(https, authority):
    w, _ = https()
    with served(w, client_context(authority.cert)) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n" * 50)
        assert [c.answer().status for _ in range(50)] == [200] * 50


def test_an_idle_connection_has_no_fiber_and_little_memory(https, authority):
    w, _ = https()
    context = client_context(authority.cert)
    before = None
    clients = []
    for i in range(120):
        c = served(w, context)
        assert c.request(host="site.example").status == 200
        clients.append(c)
        if i == 19:
            before = w.rss()
    eventually(lambda: " conn " not in w.fibers(), 5, "no fiber of a connection")
    each = (w.rss() - before) / 100
    for c in clients:
        assert c.request(host="site.example").status == 200
        c.close()
    if os.environ.get("WEIR_SLOW") != "1":
        assert each < 40_000, each


def test_an_upgrade_makes_a_tunnel_of_records(https, authority):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        while data := conn.sock.recv(65536):
            conn.send(data)

    w, _ = https(handler)
    with served(w, client_context(authority.cert)) as c:
        c.ask(headers={"Upgrade": "echo", "Connection": "Upgrade"}, host="site.example")
        assert c.answer_head().status == 101
        for size in (1, 100, 50_000, 200_000):
            data = os.urandom(size)
            c.send(data)
            assert c.read_exactly(size) == data
        c.half_close()
        assert c.at_end() and not c.reset_seen
    assert w.logged(status=101, tls="TLSv1.3", tls_name="site.example")


# ---- redirect ----

@pytest.mark.parametrize("target,host,location", [("/a/b?c=d&e", "site.example:8080", "https://site.example/a/b?c=d&e"), ("http://other.example/x", "site.example", "https://other.example/x")])
def test_a_clear_listener_redirects_to_https(weir, target, host, location):
    w = weir({"listeners": [{"redirect_https": True}]})
    res = w.get(target, host=host)
    assert res.status == 308 and res.get("location") == location


# ---- configuration ----

def check(tmp_path, text, expect=1):
    path = tmp_path / "proxy.conf"
    path.write_text(text)
    done = run("-t", "-c", str(path), cwd=str(tmp_path))
    assert done.returncode == expect, done.stderr
    return done.stderr + done.stdout


def conf_of(tls_text):
    return "listeners = ( { name = \"web\"; bind = \"127.0.0.1:1\"; pool = \"app\";\n tls = { " + tls_text + " }; } );\npools = ( { name = \"app\"; backends = [ \"127.0.0.1:2\" ]; } );\n"


def test_all_that_is_wrong_with_certificates_is_said_at_once(tmp_path, authority):
    a, b = authority.issue("a.example"), authority.issue("b.example", kind="rsa")
    (tmp_path / "junk.pem").write_text("no certificate\n")
    said = check(tmp_path, conf_of(f'certificates = ( {{ cert = "{a.cert}"; key = "{b.key}"; }},\n {{ cert = "missing.pem"; key = "{a.key}"; }},\n'
                                   f' {{ cert = "junk.pem"; key = "junk.pem"; }} ); client_auth = "required";'))
    for line in (r"proxy.conf:2: listeners.web.tls.certificates\[0\].key: the key in \S+ is not that of the certificate in \S+",
                 r"proxy.conf:3: listeners.web.tls.certificates\[1\].cert: can't read \S+/missing.pem: No such file or directory",
                 r"proxy.conf:4: listeners.web.tls.certificates\[2\].cert: \S+/junk.pem holds no certificate in PEM",
                 r"listeners.web.tls.client_ca: is missing"):
        assert re.search(line, said), said


def test_a_file_of_certificate_and_key_that_is_not_there_is_said_once(tmp_path):
    said = check(tmp_path, conf_of('certificates = ( { cert = "missing.pem"; } );'))
    assert said.count("can't read") == 1, said


@pytest.mark.parametrize("days,words", [(-1, "has expired"), (5, "expires in [45] days")])
def test_a_certificate_near_its_end_is_a_warning(tmp_path, authority, days, words):
    c = authority.issue("old.example", days=days)
    said = check(tmp_path, conf_of(f'certificates = ( {{ cert = "{c.cert}"; key = "{c.key}"; }} );'), expect=0)
    assert re.search(r"proxy.conf:2: warning: listeners.web.tls.certificates\[0\].cert: the certificate in \S+ " + words, said), said


def test_a_certificate_that_nobody_would_get_is_a_warning(tmp_path, authority):
    first, same = authority.issue("a.example", "b.example"), authority.issue("b.example")
    rsa, more = authority.issue("b.example", kind="rsa"), authority.issue("b.example", "c.example")
    said = check(tmp_path, conf_of("certificates = ( " + ", ".join(f'{{ cert = "{c.cert}"; key = "{c.key}"; }}' for c in (first, rsa, same, more)) + " );"),
                 expect=0)
    warnings = [line for line in said.splitlines() if "is never served" in line]
    assert len(warnings) == 1 and "certificates[2].cert" in warnings[0] and same.cert in warnings[0], said


def test_a_locked_key_is_said_to_be_one(tmp_path, authority):
    c = authority.issue("a.example")
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "pkey", "-in", c.key, "-aes128", "-passout", "pass:x", "-out", str(locked)], check=True)
    said = check(tmp_path, conf_of(f'certificates = ( {{ cert = "{c.cert}"; key = "locked.key"; }} );'))
    assert "is locked by a pass phrase" in said, said


def test_a_fifo_is_no_certificate(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in check(tmp_path, conf_of('certificates = ( { cert = "fifo"; } );'))


def test_the_version_names_openssl():
    assert re.search(r"OpenSSL 3\.\d+\.\d+", run("-V").stdout)


# -- memory -----------------------------------------------------------------------------------------------------------------
@pytest.mark.no_sanitizer
def test_memory_of_a_burst_of_connections_is_given_back(pair, site, authority):
    w, _ = pair(listener=tls(site), daemon={"workers": 1})
    served(w, client_context(authority.cert)).close()
    before = w.rss()
    crowd = [served(w, client_context(authority.cert)) for _ in range(500)]
    grown = w.rss() - before
    assert grown > 4 << 20
    for c in crowd:
        c.close()
    eventually(lambda: "worker.memory_given_back" in w.stderr(), 20)
    if "mimalloc" in open(f"/proc/{w.pid}/maps").read():
        eventually(lambda: w.rss() - before < grown / 2, 20)
