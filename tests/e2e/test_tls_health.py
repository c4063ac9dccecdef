"""Health checks over TLS: by the pool's own settings, with words for what is wrong, and through renewals of certificates."""
import re
import shutil

import pytest

from lib.backend import answering
from lib.h2 import H2Backend
from lib.timing import eventually, ms
from lib.tls import Authority
from lib.weir import run

QUICK = {"interval": ms(50), "fast_interval": ms(20), "down_interval": ms(100), "timeout": ms(2000), "rise": 2, "fall": 2}


@pytest.fixture(scope="module")
def app(authority):
    return authority.issue("app.internal", sans=["IP:127.0.0.1"])


@pytest.fixture
def trusted(authority):
    return {"ca": authority.cert, "server_name": "app.internal"}


def conf(b, tls=None, **health):
    pool = {"name": "app", "backends": [b], "outlier": {"panic": 0}, "health": {**QUICK, **health}}
    if tls is not None:
        pool["tls"] = tls
    return {"daemon": {"workers": 1}, "listeners": [{"name": "web", "pool": "app"}], "pools": [pool]}


def line_of(w, b):
    return next((line for line in w.ctl("backends").stdout.splitlines() if str(b) in line), "")


def is_up(w, b):
    eventually(lambda: re.search(r" up .* ok", line_of(w, b)), 15, f"up: {line_of(w, b)}")


def is_down(w, b, reason, words):
    eventually(lambda: re.search(rf" down .*{reason} .*{words}", line_of(w, b)), 15, f"down: {line_of(w, b)}")
    assert re.search(rf"backend\.state pool=app backend={b} from=\S+ to=down reason={reason} .*{words}", w.stderr())


def asked(b):
    return sum(r.target == "/healthz" for r in b.requests)


def test_a_backend_that_speaks_tls_is_up_by_its_http_check(weir, backend, authority, app, trusted):
    b = backend(tls=authority.server_context(app))
    w = weir(conf(b, tls=trusted, type="http", path="/healthz"))
    is_up(w, b)
    eventually(lambda: asked(b) > 3)
    assert w.get().status == 200
    assert not b.refused


def test_an_http_check_speaks_http_1_where_the_pool_might(weir, backend, authority, app, trusted):
    agreed = set()

    def handler(conn):
        agreed.add(conn.sock.tls.selected_alpn_protocol())
        answering()(conn)

    context = authority.server_context(app)
    context.set_alpn_protocols(["h2", "http/1.1"])
    b = backend(handler, tls=context)
    c = conf(b, tls=trusted, type="http")
    c["pools"][0]["protocol"] = "auto"
    is_up(weir(c), b)
    assert agreed == {"http/1.1"}


def test_an_http_check_speaks_http_2_where_the_pool_does(weir, authority, app, trusted):
    paths = []

    def answer(c, s, fields):
        paths.append((fields[":scheme"], fields[":path"]))
        c.respond(s, 200, [], b"well")

    context = authority.server_context(app)
    context.set_alpn_protocols(["h2"])
    b = H2Backend(lambda c: c.serve(answer), tls=context)
    c = conf(b, tls=trusted, type="http", path="/healthz")
    c["pools"][0]["protocol"] = "h2"
    w = weir(c)
    is_up(w, b)
    eventually(lambda: len(paths) > 3)
    assert set(paths) == {("https", "/healthz")}
    b.stop()
    assert not b.errors


def test_an_http_check_tells_that_a_backend_over_tls_does_not_speak_the_pools_http_2(weir, backend, authority, app, trusted):
    b = backend(tls=authority.server_context(app))
    c = conf(b, tls=trusted, type="http")
    c["pools"][0]["protocol"] = "h2"
    is_down(weir(c), b, "tls", "ALPN does not agree on HTTP/2")


@pytest.mark.parametrize("kind", ["http", "tls"])
def test_a_backend_whose_certificate_is_wrong_is_down_and_it_is_said_why(weir, backend, authority, trusted, kind):
    b = backend(tls=authority.server_context(authority.issue("other.internal")))
    w = weir(conf(b, tls=trusted, type=kind))
    is_down(w, b, "tls", "hostname mismatch")
    assert w.get().status == 503
    assert not b.requests


def test_a_backend_that_speaks_in_clear_is_down_in_a_pool_with_tls(weir, backend, trusted):
    b = backend(lambda conn: conn.send(b"220 hello\r\n"))
    w = weir(conf(b, tls=trusted, type="tls"))
    is_down(w, b, "tls", "wrong version number")


def test_a_tls_check_shakes_hands_and_leaves_no_failure_behind(weir, backend, authority, app, trusted):
    ended = []
    b = backend(lambda conn: ended.append(conn.read_request()), tls=authority.server_context(app))
    w = weir(conf(b, tls=trusted, type="tls"))
    is_up(w, b)
    eventually(lambda: len(ended) > 3)
    assert set(ended) == {None} and not b.refused


def test_our_certificate_is_shown_to_those_that_ask_for_it(weir, backend, authority, app, trusted):
    mine = authority.issue("weir.internal")
    b = backend(tls=authority.server_context(app, verify=True))
    w = weir(conf(b, tls={**trusted, "cert": mine.cert, "key": mine.key}, type="http"))
    is_up(w, b)


def test_a_check_may_be_in_clear_at_another_port(weir, backend, authority, app, trusted):
    b, aside = backend(tls=authority.server_context(app)), backend(answering())
    c = conf(b, tls=trusted, type="http", path="/healthz", port=int(str(aside).rsplit(":", 1)[1]))
    c["pools"][0]["health"]["tls"] = False
    w = weir(c)
    is_up(w, b)
    assert asked(aside) > 0 and asked(b) == 0
    assert w.get().status == 200 and len(b.requests) == 1


def test_without_tls_in_the_pool_a_tls_check_takes_any_certificate_and_asks_for_the_name(weir, backend, app):
    names = []
    context = Authority(name="Elsewhere").server_context(app)
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    b = backend(lambda conn: conn.read_request(), tls=context)
    w = weir(conf(b, type="tls", server_name="site.example"))
    is_up(w, b)
    assert set(names) == {"site.example"}
    clear = backend(lambda conn: conn.send(b"220 hello\r\n"))
    w = weir(conf(clear, type="tls"))
    is_down(w, clear, "tls", "wrong version number")


# -- what changes ---------------------------------------------------------------------------------------------------------
def test_a_reload_with_other_settings_of_tls_begins_anew(weir, backend, authority, app, trusted):
    b = backend(tls=authority.server_context(app))
    rarely = {"interval": "30m", "fast_interval": "1h", "down_interval": "1h"}
    w = weir(conf(b, tls={**trusted, "server_name": "other.internal"}, type="tls", **rarely))
    is_down(w, b, "tls", "hostname mismatch")
    w.reload(conf(b, tls={**trusted, "server_name": "other.internal"}, type="tls", **rarely))
    assert " down " in line_of(w, b)
    w.reload(conf(b, tls=trusted, type="tls", **rarely))
    is_up(w, b)


def test_checks_go_by_new_authorities_and_through_renewals_in_a_row(weir, backend, authority, app, trusted, tmp_path):
    def put(which):
        shutil.copy(which.cert, tmp_path / "ca.new")
        (tmp_path / "ca.new").rename(tmp_path / "ca.pem")

    other = Authority(name="Elsewhere")
    b = backend(tls=authority.server_context(app))
    put(other)
    w = weir(conf(b, tls={**trusted, "ca": str(tmp_path / "ca.pem")}, type="http", path="/healthz", interval="10ms", fast_interval="10ms",
                  down_interval="10ms", jitter=0))
    is_down(w, b, "tls", "local issuer certificate")
    for i in range(2):
        put(authority)
        eventually(lambda: w.metric("weir_tls_renewals_total", result="ok") == 2 * i + 1, 15)
        is_up(w, b)
        put(other)
        eventually(lambda: w.metric("weir_tls_renewals_total", result="ok") == 2 * i + 2, 15)
        is_down(w, b, "tls", "local issuer certificate")


# -- configuration --------------------------------------------------------------------------------------------------------
def check(tmp_path, pool):
    path = tmp_path / "proxy.conf"
    path.write_text(f'listeners = ( {{ name = "web"; bind = "127.0.0.1:1"; pool = "app"; }} );\npools = ( {{ name = "app"; backends = [ "127.0.0.1:2" ];\n {pool} }} );\n')
    done = run("-t", "-c", str(path))
    return done.returncode, done.stderr


@pytest.mark.parametrize("pool,code,words", [
    ('health = { type = "tls"; tls = false; };', 1, 'proxy.conf:3: pools.app.health.tls: false: a check of type "tls" speaks TLS'),
    ('health = { type = "tls"; server_name = "10.0.0.1"; };', 1, 'pools.app.health.server_name: "10.0.0.1" is not a host name'),
    ('health = { type = "tls"; server_name = "a.example"; }; tls = { };', 0, "pools.app.health.server_name: has no effect: the name is"),
    ('health = { type = "http"; server_name = "a.example"; };', 0, 'pools.app.health.server_name: has no effect with type "http"'),
    ('health = { type = "tls"; address = "unix:/run/x"; }; tls = { };', 1, "pools.app.health.address: is a Unix socket, which has no address"),
    ('health = { type = "tls"; address = "unix:/run/x"; }; tls = { verify = false; };', 0, ""),
    ('health = { type = "http"; tls = true; };', 0, ""),
])
def test_what_does_not_go_together_is_said(tmp_path, pool, code, words):
    got, said = check(tmp_path, pool)
    assert got == code and words in said, said
