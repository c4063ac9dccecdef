"""TCP mode with TLS: ended here, begun here, or passed on unopened by the name in its ClientHello."""
import os
import ssl
import time

import pytest

from lib.backend import answering
from lib.client import Client, connect
from lib.timing import eventually, ms
from lib.tls import Authority, TlsSocket, client_context
from lib.weir import run


def echo(conn):
    while data := conn.sock.recv(65536):
        conn.send(data)


def says(word):
    def handler(conn):
        conn.send(word)
        echo(conn)
    return handler


@pytest.fixture
def site(authority):
    return authority.issue("site.example")


# ---- ended here ----

@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_ends_here_and_bytes_go_on_in_clear(weir, backend, authority, site, version):
    b = backend(echo)
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db", "tls": {"certificates": [site.conf]}}], "pools": [{"name": "db", "backends": [b]}]})
    with w.client("pg", tls=client_context(authority.cert, version=version), name="site.example") as c:
        for size in (1, 1000, 60_000, 500_000):
            data = os.urandom(size)
            c.send(data)
            assert c.read_exactly(size) == data
        c.half_close()
        assert c.at_end() and not c.reset_seen
    assert w.logged(listener="pg", pool="db", tls="TLSv" + version, tls_name="site.example", reason="ok")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_server_that_speaks_first_is_heard(weir, backend, authority, site, version):
    b = backend(says(b"220 hello\r\n"))
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db", "tls": {"certificates": [site.conf]}}], "pools": [{"name": "db", "backends": [b]}]})
    with w.client("pg", tls=client_context(authority.cert, version=version), name="site.example") as c:
        assert c.read_exactly(11) == b"220 hello\r\n"


def test_bytes_that_come_with_the_end_of_the_handshake_are_not_lost(weir, backend, authority, site):
    b = backend(echo)
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db", "tls": {"certificates": [site.conf]}}], "pools": [{"name": "db", "backends": [b]}]})
    raw = connect(w.address("pg"))
    held = []

    class Holding:
        """Sends nothing of the second flight before the first bytes stand behind it."""
        hold = False

        def __getattr__(self, name):
            return getattr(raw, name)

        def sendall(self, data):
            held.append(data)
            if len(held) != 2:
                raw.sendall(b"".join(held[1:] if len(held) == 3 else [data]))

    s = TlsSocket(Holding(), client_context(authority.cert, version="1.3"), "site.example")
    s.sendall(b"early bird")
    assert s.recv(100) == b"early bird"
    s.close()


def test_a_cut_on_one_side_is_a_cut_on_the_other(weir, backend, authority, site):
    b = backend(echo)
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db", "tls": {"certificates": [site.conf]}}], "pools": [{"name": "db", "backends": [b]}]})
    c = w.client("pg", tls=client_context(authority.cert), name="site.example")
    c.send(b"x")
    assert c.read_exactly(1) == b"x"
    c.sock.truncate()
    assert w.logged(listener="pg", reason="reset")


def test_garbage_reaches_no_backend(weir, backend, site):
    b = backend(echo)
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db", "tls": {"certificates": [site.conf]}}], "pools": [{"name": "db", "backends": [b]}]})
    with Client(w.address("pg")) as c:
        c.try_send(b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in c.read_all(), "there is no HTTP to answer by"
    assert b.connections == 0


def test_an_idle_tunnel_of_tls_has_no_fiber(weir, backend, authority, site):
    b = backend(echo)
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db", "tls": {"certificates": [site.conf]}}], "pools": [{"name": "db", "backends": [b]}]})
    with w.client("pg", tls=client_context(authority.cert), name="site.example") as c:
        c.send(b"x")
        assert c.read_exactly(1) == b"x"
        eventually(lambda: " tunnel " not in w.fibers() and " conn " not in w.fibers())
        c.send(b"y")
        assert c.read_exactly(1) == b"y"


# ---- begun here ----

def test_tls_begins_here(weir, backend, authority):
    b = backend(echo, tls=authority.server_context(authority.issue("db.internal")))
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db"}], "pools": [{"name": "db", "backends": [b], "tls": {"ca": authority.cert, "server_name": "db.internal"}}]})
    with w.client("pg") as c:
        for size in (1, 100_000, 400_000):
            data = os.urandom(size)
            c.send(data)
            assert c.read_exactly(size) == data
        c.half_close()
        assert c.at_end() and not c.reset_seen


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_backend_with_tls_that_speaks_first_is_heard(weir, backend, authority, version):
    context = authority.server_context(authority.issue("db.internal"))
    context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    b = backend(says(b"220 hello"), tls=context)
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db"}], "pools": [{"name": "db", "backends": [b], "tls": {"ca": authority.cert, "server_name": "db.internal"}}]})
    with w.client("pg") as c:
        assert c.read_exactly(9) == b"220 hello"


def test_no_protocol_is_named_for_bytes_of_who_knows_what(weir, backend, authority):
    context = authority.server_context(authority.issue("db.internal"))
    context.set_alpn_protocols(["http/1.1"])
    agreed = []

    def handler(conn):
        agreed.append(conn.sock.tls.selected_alpn_protocol())
        echo(conn)

    b = backend(handler, tls=context)
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db"}], "pools": [{"name": "db", "backends": [b], "tls": {"ca": authority.cert, "server_name": "db.internal"}}]})
    with w.client("pg") as c:
        c.send(b"x")
        assert c.read_exactly(1) == b"x"
    assert agreed == [None]


def test_a_backend_that_can_not_be_trusted_ends_the_connection(weir, backend, authority):
    b = backend(echo, tls=authority.server_context(authority.issue("other.internal")))
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "pool": "db"}], "pools": [{"name": "db", "backends": [b], "tls": {"ca": authority.cert, "server_name": "db.internal"}}]})
    with w.client("pg") as c:
        c.try_send(b"x")
        assert c.at_end()
    assert w.logged(listener="pg", reason="backend_certificate_refused")


# ---- passed on unopened ----

@pytest.fixture
def by_name(weir, backend, authority):
    """Three backends that end TLS themselves, and the proxy that only looks at the name."""
    names = ("a.example", "any.wild.example", "default.example")
    backends = {n: backend(says(n.encode()), tls=authority.server_context(authority.issue(n.replace("any", "*")))) for n in names}

    def start(default=True, **sections):
        return weir({"listeners": [{"name": "in", "mode": "tcp", "sni": True, **({"pool": "default"} if default else {})}],
                     "routes": [{"host": ["a.example"], "path": "/only/for/http", "pool": "wild"}, {"name": "to-a", "host": ["a.example"], "pool": "a"},
                                {"host": ["*.wild.example"], "pool": "wild"}, {"host": ["page.example"], "respond": {"body": "x"}}],
                     "pools": [{"name": "a", "backends": [backends["a.example"]]}, {"name": "wild", "backends": [backends["any.wild.example"]]}]
                     + ([{"name": "default", "backends": [backends["default.example"]]}] if default else []), **sections})

    return start


@pytest.mark.parametrize("asked,word", [("a.example", b"a.example"), ("A.EXAMPLE", b"a.example"), ("x.wild.example", b"any.wild.example"), ("default.example", b"default.example")])
def test_the_name_in_the_hello_chooses_the_backend(by_name, authority, asked, word):
    w = by_name()
    with w.client("in", tls=client_context(authority.cert), name=asked) as c:
        assert c.read_exactly(len(word)) == word
        data = os.urandom(200_000)
        c.send(data)
        assert c.read_exactly(len(data)) == data
        c.half_close()
        assert c.at_end() and not c.reset_seen


@pytest.mark.parametrize("asked,pool", [("a.example", "a"), ("A.EXAMPLE", "a"), ("x.wild.example", "wild"), ("default.example", "default")])
def test_explain_says_where_a_name_goes(by_name, authority, asked, pool):
    w = by_name()
    with w.client("in", tls=client_context(authority.cert), name=asked) as c:
        c.read_exactly(1)
    assert w.logged(listener="in", pool=pool)
    done = run("explain", "-c", w.path, "-l", "in", "GET", f"https://{asked}/only/for/http")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("    pool ")] == [pool + ","], done.stdout


@pytest.mark.parametrize("asked,route,pool", [("A.example", "to-a", "a"), ("x.wild.example", "route 3", "wild"), ("default.example", "", "default")])
def test_the_log_has_the_name_and_the_route_it_chose(by_name, authority, asked, route, pool):
    w = by_name()
    with w.client("in", tls=client_context(authority.cert), name=asked) as c:
        c.read_exactly(1)
    e = eventually(w.access)[0]
    assert (e["tls_name"], e["route"], e["pool"], e["tls"], e["attempts"]) == (asked.lower(), route, pool, "", 1), e


def test_the_log_has_the_name_of_who_was_refused_for_it(by_name):
    w = by_name(default=False)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        w.client("in", tls=client_context(), name="nobody.example")
    e = w.logged(listener="in", reason="no_route")
    assert (e["tls_name"], e["route"], e["pool"], e["backend"], e["attempts"]) == ("nobody.example", "", "", "", 0), e


def test_the_log_has_the_way_of_a_connection_that_no_backend_took(weir, refusing):
    w = weir({"listeners": [{"name": "in", "mode": "tcp", "sni": True}], "routes": [{"name": "to-a", "host": ["a.example"], "pool": "a"}],
              "pools": [{"name": "a", "backends": [refusing]}]})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        w.client("in", tls=client_context(), name="a.example")
    e = w.logged(listener="in", reason="connect_refused")
    assert (e["tls_name"], e["route"], e["pool"], e["backend"], e["attempts"]) == ("a.example", "to-a", "a", refusing.text, 1), e


def test_a_client_that_names_nobody_gets_the_default(by_name):
    w = by_name()
    with w.client("in", tls=client_context(), name=None) as c:
        assert c.read_exactly(15) == b"default.example"


@pytest.mark.parametrize("asked", ["nobody.example", "page.example"])
def test_without_a_default_a_name_that_no_route_takes_is_refused(by_name, asked):
    w = by_name(default=False)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        w.client("in", tls=client_context(), name=asked)
    assert w.logged(listener="in", reason="no_route")


class Cutting:
    """Sends the first bytes in pieces, or in records of another size."""

    def __init__(self, raw, pieces=None, record=None):
        self.raw, self.pieces, self.record = raw, pieces, record

    def __getattr__(self, name):
        return getattr(self.raw, name)

    def sendall(self, data):
        if self.record:
            body = data[5:]
            data = b"".join(data[:3] + len(body[i:i + self.record]).to_bytes(2, "big") + body[i:i + self.record] for i in range(0, len(body), self.record))
        if self.pieces:
            for i in range(0, len(data), self.pieces):
                self.raw.sendall(data[i:i + self.pieces])
                time.sleep(0.0005)
        else:
            self.raw.sendall(data)
        self.pieces = self.record = None


@pytest.mark.parametrize("cut", [{"pieces": 1}, {"pieces": 37}, {"record": 50}, {"record": 90, "pieces": 7}], ids=str)
def test_a_hello_in_pieces_is_put_together_and_passed_on_as_it_was(by_name, authority, cut):
    w = by_name()
    s = TlsSocket(Cutting(connect(w.address("in")), **cut), client_context(authority.cert), "a.example")
    assert s.recv(100) == b"a.example"
    s.close()


@pytest.mark.parametrize("bytes_", [b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x16\x03\x01\xff\xff"], ids=range(3))
def test_what_is_no_hello_is_refused(by_name, bytes_):
    w = by_name()
    with Client(w.address("in")) as c:
        c.try_send(bytes_)
        assert c.at_end()
    assert w.logged(listener="in", reason="bad_client_hello")


def test_a_hello_that_never_ends_is_given_up(by_name):
    w = by_name(timeouts={"tls_handshake": ms(300)})
    with Client(w.address("in")) as c:
        c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert c.at_end()
    assert w.logged(listener="in", reason="client_tls_timeout")


def test_a_hello_that_is_cut_is_refused_at_once(by_name):
    w = by_name()
    with Client(w.address("in")) as c:
        c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        c.half_close()
        assert c.at_end()
    assert w.logged(listener="in", reason="bad_client_hello")


def test_the_name_chooses_also_where_tls_ends_here(weir, backend, authority):
    a, b = backend(says(b"a")), backend(says(b"b"))
    both = authority.issue("a.example", "b.example")
    w = weir({"listeners": [{"name": "in", "mode": "tcp", "sni": True, "tls": {"certificates": [both.conf]}}],
              "routes": [{"host": ["a.example"], "pool": "a"}, {"host": ["b.example"], "pool": "b"}], "pools": [{"name": "a", "backends": [a]}, {"name": "b", "backends": [b]}]})
    for i, name in enumerate(("a.example", "b.example")):
        with w.client("in", tls=client_context(authority.cert), name=name) as c:
            assert c.read_exactly(1) == name[:1].encode()
        assert w.logged(tls_name=name)["route"] == f"route {i + 1}"


# ---- a backend by the name ----

NAMES = [f"n{i}.wild.example" for i in range(24)]


def where_names_go(w, authority):
    """{name: which backend}; each is asked for three times, once in capitals."""
    went = {}
    for spell in (str, str.upper, str):
        for name in NAMES:
            with w.client("in", tls=client_context(authority.cert), name=spell(name)) as c:
                word = c.read_exactly(1)
            assert went.setdefault(name, word) == word
    return went


@pytest.mark.parametrize("strategy", ["ring_hash", "maglev", "rendezvous"])
@pytest.mark.parametrize("ends", ["here", "there"])
def test_a_name_always_goes_to_the_same_backend(weir, backend, authority, ends, strategy):
    any_of_them = authority.issue("*.wild.example")
    backends = [backend(says(b"%d" % i), tls=authority.server_context(any_of_them) if ends == "there" else None) for i in range(4)]
    listener = {"name": "in", "mode": "tcp", "pool": "app", **({"sni": True} if ends == "there" else {"tls": {"certificates": [any_of_them.conf]}})}
    w = weir({"listeners": [listener], "pools": [{"name": "app", "backends": backends, "strategy": strategy, "hash": {"key": "sni"}}]})
    assert len(set(where_names_go(w, authority).values())) > 1


def test_over_https_too_the_name_of_the_handshake_is_the_key(weir, backend, authority):
    backends = [backend(answering(b"%d" % i)) for i in range(4)]
    w = weir({"listeners": [{"name": "in", "pool": "app", "tls": {"certificates": [authority.issue("*.wild.example").conf]}}],
              "pools": [{"name": "app", "backends": backends, "strategy": "maglev", "hash": {"key": "sni"}}]})
    went = {}
    for _ in range(3):
        for name in NAMES:
            with w.client("in", tls=client_context(authority.cert), name=name) as c:
                body = c.request("GET", "/", headers={"Host": name}).body
            assert went.setdefault(name, body) == body
    assert len(set(went.values())) > 1


# ---- by identity ----

def test_a_route_with_an_identity_lets_in_only_who_has_it(weir, backend, authority, site):
    people = Authority(name="People")
    b, other = backend(says(b"in")), backend(says(b"other"))
    w = weir({"listeners": [{"name": "pg", "mode": "tcp", "sni": True, "pool": "other",
                             "tls": {"certificates": [site.conf], "client_auth": "optional", "client_ca": people.cert}}],
              "routes": [{"name": "inner", "host": ["site.example"], "pool": "db", "identity": {"allow": ["spiffe://prod.example/web"]}}],
              "pools": [{"name": "db", "backends": [b]}, {"name": "other", "backends": [other]}]})

    def comes_to(cert):
        with w.client("pg", tls=client_context(authority.cert, cert=cert), name="site.example") as c:
            try:
                return c.sock.recv(100)
            except ConnectionError:
                return b""

    assert comes_to(people.issue("web", sans=["URI:spiffe://prod.example/web"])) == b"in"
    assert comes_to(people.issue("api", sans=["URI:spiffe://prod.example/api"])) == b""
    assert comes_to(None) == b""
    assert w.logged(route="inner", reason="identity_not_allowed")
    assert b.connections == 1
