"""Identities from the SPIFFE Workload API: the first, those that follow, an API that is away or talks nonsense, and who trusts whom."""
import os
import re
import shutil
import socket
import ssl
import tempfile
import threading
import time

import pytest

grpc = pytest.importorskip("grpc")

from lib.timing import eventually, secs  # noqa: E402
from lib.tls import Authority, client_context, openssl  # noqa: E402
from lib.weir import free_port, run  # noqa: E402
from lib.workload_api import WorkloadApi, ders, entry, field, response, svid  # noqa: E402

WEB = "spiffe://prod.example/web"
API = "spiffe://prod.example/api"


@pytest.fixture(scope="module")
def prod():
    return Authority(name="prod.example")


@pytest.fixture(scope="module")
def other():
    return Authority(name="other.example")


@pytest.fixture
def api():
    """api(start=True) -> a WorkloadApi on a socket of its own."""
    made, folder = [], tempfile.mkdtemp(prefix="wapi-", dir="/tmp")

    def make(start=True):
        a = WorkloadApi(os.path.join(folder, f"{len(made)}.sock"), start)
        made.append(a)
        return a

    yield make
    for a in made:
        a.stop()
        assert not a.wrong, a.wrong
    shutil.rmtree(folder)


def listening(a, b, svid="default", daemon=None, routes=None, **tls):
    conf = {"daemon": {"workload_api": a.address, **(daemon or {})}, "listeners": [{"name": "web", "pool": "app", "tls": {"svid": svid, **tls}}],
            "pools": [{"name": "app", "backends": [b]}]}
    if routes is not None:
        conf["routes"] = routes
    return conf


def sans_of(der):
    out = openssl("x509", "-inform", "DER", "-noout", "-serial", "-ext", "subjectAltName", input=der).decode()
    return re.search(r"serial=(\w+)", out)[1], re.search(r"URI:(\S+)", out)[1]


def served(w, context=None):
    """(serial, SPIFFE ID) of what a client is shown."""
    with w.client(tls=context or client_context()) as c:
        return sans_of(c.sock.tls.getpeercert(True))


def fails(w):
    """The handshake ends with an alert, or by the peer's end, and not by silence."""
    with socket.create_connection(w.address(), timeout=secs(10)) as raw:
        try:
            client_context().wrap_socket(raw).close()
        except ssl.SSLError as e:
            return "alert" in str(e).lower()
    return False


def lines(w, event):
    return [line for line in w.stderr().splitlines() if event in line]


# -- coming and going -----------------------------------------------------------------------------------------------------
def test_the_first_identity_is_there_when_the_proxy_is_ready(weir, backend, api, prod):
    a = api()
    a.give(svid(prod, WEB))
    w = weir(listening(a, backend()))
    assert served(w)[1] == WEB
    with w.client(tls=client_context()) as c:
        assert c.request().status == 200
    assert w.metric("weir_svid_missing", side="client", of="web") == 0
    assert w.metric("weir_tls_certificate_expiry_timestamp_seconds", side="client", of="web", file=WEB) > time.time()
    assert w.metric("weir_svid_updates_total", result="ok") == 1
    assert a.streams == 1


def test_new_identities_are_taken_up_under_load_without_a_failed_request(weir, backend, api, prod):
    a = api()
    a.give(svid(prod, WEB))
    w = weir(listening(a, backend()))
    stop, failures, done = threading.Event(), [], [0]

    def requests(keep):
        c = None
        while not stop.is_set():
            try:
                if c is None or not keep:
                    if c is not None:
                        c.close()
                    c = w.client(tls=client_context())
                assert c.request().status == 200
                done[0] += 1
            except Exception as e:
                failures.append(e)
                return
        c.close()

    threads = [threading.Thread(target=requests, args=(keep,)) for keep in (True, True, False, False)]
    for t in threads:
        t.start()
    for _ in range(5):
        before = served(w)
        a.give(svid(prod, WEB))
        eventually(lambda: served(w)[0] != before[0], 10, "the new identity")
    eventually(lambda: done[0] > 50 or failures, 30)
    stop.set()
    for t in threads:
        t.join()
    assert not failures, failures
    assert w.metric("weir_failures_total") == 0
    assert a.opened == 1


def test_a_proxy_starts_without_the_api_and_serves_when_it_comes(weir, backend, api, prod):
    a = api(start=False)
    w = weir(listening(a, backend()))
    for _ in range(3):
        assert fails(w)
    assert w.metric("weir_svid_missing", side="client", of="web") == 1
    eventually(lambda: lines(w, "tls.no_identity"))
    assert "reason=no_identity" in w.stderr()
    eventually(lambda: w.metric("weir_workload_api_failures_total") > 1, 20)
    assert len(lines(w, "workload_api.failed")) == 1 and len(lines(w, "tls.no_identity")) == 1
    a.give(svid(prod, WEB))
    a.start()
    eventually(lambda: w.metric("weir_svid_missing", side="client", of="web") == 0, 40)
    assert served(w)[1] == WEB


def test_an_api_that_goes_leaves_the_identity_and_is_found_again(weir, backend, api, prod):
    a = api()
    a.give(svid(prod, WEB))
    w = weir(listening(a, backend()))
    before = served(w)
    a.stop()
    eventually(lambda: lines(w, "workload_api.failed"), 10)
    assert served(w) == before
    a.give(svid(prod, WEB))
    a.start()
    eventually(lambda: served(w) != before, 40)
    assert w.metric("weir_failures_total") == 0


def test_a_refusal_is_told_once_and_asked_again(weir, backend, api, prod):
    a = api()
    a.end_streams(grpc.StatusCode.PERMISSION_DENIED)
    w = weir(listening(a, backend()))
    eventually(lambda: a.opened >= 3, 20)
    assert fails(w)
    assert len(lines(w, "grpc-status 7 (PERMISSION_DENIED): not for you")) == 1
    a.give(svid(prod, WEB))
    eventually(lambda: w.metric("weir_svid_missing", side="client", of="web") == 0, 40)
    before = served(w)
    assert before[1] == WEB
    a.end_streams(grpc.StatusCode.UNAVAILABLE)
    eventually(lambda: lines(w, "grpc-status 14 (UNAVAILABLE)"), 20)
    assert served(w) == before


def bad_messages(prod, other):
    good = prod.issue(sans=["URI:" + WEB])
    cert, key, bundle = ders(good.cert), ders(good.key), ders(prod.cert)
    two = prod.issue(sans=["URI:" + WEB, "URI:spiffe://prod.example/b"])
    nameless = prod.issue("a.example")
    ca = prod.make("ca", ["basicConstraints=critical,CA:TRUE", "subjectAltName=URI:" + WEB], "ec", 30, prod)
    old = prod.issue(sans=["URI:" + WEB], days=-1)
    return {
        "junk": b"\xff\xfe\xfd" * 100,
        "empty": b"",
        "no certificate": response(entry(WEB, b"", key, bundle)),
        "no bundle": response(entry(WEB, cert, key, b"")),
        "no ID": response(entry("", cert, key, bundle)),
        "an ID without a path": response(entry("spiffe://prod.example", cert, key, bundle)),
        "an ID that is none": response(entry("https://prod.example/web", cert, key, bundle)),
        "half a certificate": response(entry(WEB, cert[:-3], key, bundle)),
        "a certificate and more": response(entry(WEB, cert + b"x", key, bundle)),
        "junk for a key": response(entry(WEB, cert, b"\x30\x03\x02\x01\x00", bundle)),
        "a key and more": response(entry(WEB, cert, key + b"\0", bundle)),
        "the key of another": response(entry(WEB, cert, ders(other.key), bundle)),
        "junk for a bundle": response(entry(WEB, cert, key, b"bundle")),
        "another ID": response(entry(API, cert, key, bundle)),
        "two IDs": response(entry(WEB, ders(two.cert), ders(two.key), bundle)),
        "a certificate without an ID": response(entry(WEB, ders(nameless.cert), ders(nameless.key), bundle)),
        "an authority": response(entry(WEB, ders(ca.cert), ders(ca.key), bundle)),
        "one that has expired": response(entry(WEB, ders(old.cert), ders(old.key), bundle)),
        "a wrong type": response(entry(WEB, cert, key, bundle)) + b"\x10\x01",
        "a federated bundle for no trust domain": response(entry(WEB, cert, key, bundle), federated={"spiffe://b/c": bundle}),
        "a junk federated bundle": response(entry(WEB, cert, key, bundle), federated={"spiffe://b.example": b"junk"}),
        "a junk list": response(entry(WEB, cert, key, bundle), crls=[b"junk"]),
        "too many": response(*[entry(WEB, cert, key, bundle)] * 65),
    }


def test_what_can_not_be_used_changes_nothing(weir, backend, api, prod, other):
    a = api()
    a.give(svid(prod, WEB))
    w = weir(listening(a, backend()))
    before = served(w)
    for n, (what, message) in enumerate(bad_messages(prod, other).items(), 1):
        a.give_raw(message)
        eventually(lambda: w.metric("weir_svid_updates_total", result="failed") == n, 20, what)
        assert served(w) == before, what
    assert a.opened == 1 and len(lines(w, "workload_api.refused")) > 5
    a.give(svid(prod, WEB))
    eventually(lambda: served(w) != before, 10)


def test_a_message_beyond_the_limit_ends_the_stream_and_nothing_else(weir, backend, api, prod):
    a = api()
    a.give(svid(prod, WEB))
    w = weir(listening(a, backend()))
    before = served(w)
    a.give_raw(field(9, b"x" * (4 << 20)))
    eventually(lambda: lines(w, "is too large"), 20)
    assert served(w) == before
    a.give(svid(prod, WEB, bundle=ders(prod.cert) * 500))
    eventually(lambda: served(w) != before, 40)


def test_one_who_speaks_no_grpc_is_told_of_and_the_proxy_serves_when_the_right_one_comes(weir, backend, api, prod):
    a = api(start=False)
    s = socket.socket(socket.AF_UNIX)
    s.bind(a.path)
    s.listen(8)

    def talk():
        while True:
            try:
                c, _ = s.accept()
                c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 4000)
                c.close()
            except OSError:
                return

    threading.Thread(target=talk, daemon=True).start()
    w = weir(listening(a, backend()))
    eventually(lambda: lines(w, "workload_api.failed"), 20)
    assert fails(w)
    s.shutdown(socket.SHUT_RDWR)
    s.close()
    os.unlink(a.path)
    a.give(svid(prod, WEB))
    a.start()
    eventually(lambda: w.metric("weir_svid_missing", side="client", of="web") == 0, 40)


# -- which one ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wanted, shown", [("default", WEB), (API, API), ("inner", API)])
def test_of_several_identities_the_one_that_is_wanted_is_shown(weir, backend, api, prod, wanted, shown):
    a = api()
    a.give(svid(prod, WEB), svid(prod, API, hint="inner"))
    assert served(weir(listening(a, backend(), svid=wanted)))[1] == shown


def test_an_identity_of_another_trust_domain_is_not_taken_for_the_one_that_is_wanted(weir, backend, api, prod, other):
    a = api()
    a.give(svid(other, "spiffe://other.example/web"))
    w = weir(listening(a, backend(), svid=WEB))
    eventually(lambda: re.search(r"tls\.refused listener=web key=svid .*spiffe://other\.example/web", w.stderr()))
    assert fails(w)
    a.give(svid(prod, WEB))
    eventually(lambda: not fails(w) and served(w)[1] == WEB, 10)
    a.give(svid(other, "spiffe://other.example/web"))
    eventually(lambda: len(lines(w, "tls.not_renewed")) == 2, 10)
    assert served(w)[1] == WEB


# -- who trusts whom ------------------------------------------------------------------------------------------------------
def client(authority, spiffe_id, **kw):
    return client_context(cert=authority.issue(sans=["URI:" + spiffe_id], **kw))


def knocks(w, context):
    """The status that the client gets, or None if it is turned away."""
    try:
        with w.client(tls=context) as c:
            return c.request().status
    except (ssl.SSLError, OSError, AssertionError, EOFError):
        return None
    except Exception as e:
        if type(e).__name__ in ("CutShort", "Truncated", "Malformed"):
            return None
        raise


def test_clients_are_verified_by_the_bundle_of_their_own_trust_domain(weir, backend, api, prod, other):
    a, b = api(), backend()
    mine, bundle = svid(prod, WEB), ders(other.cert)
    a.give(mine)
    w = weir(listening(a, b, client_auth="required", routes=[{"path": "/*", "pool": "app", "identity": {"allow": ["spiffe://prod.example/*", "spiffe://other.example/*"]}}]))
    friend, stranger = client(prod, "spiffe://prod.example/db"), client(other, "spiffe://other.example/db")
    liar = client(other, "spiffe://prod.example/db")
    assert knocks(w, friend) == 200
    assert knocks(w, stranger) is None and knocks(w, liar) is None and knocks(w, client_context()) is None
    a.give(mine, federated={"spiffe://other.example": bundle})
    eventually(lambda: knocks(w, stranger) == 200, 10)
    assert knocks(w, friend) == 200
    assert knocks(w, liar) is None, "an authority speaks for its own trust domain alone"
    assert knocks(w, client(prod, "spiffe://other.example/db")) is None
    a.give(mine)
    eventually(lambda: knocks(w, stranger) is None, 10)
    eventually(lambda: lines(w, "client_certificate_refused"))


def test_who_is_no_workload_is_turned_away(weir, backend, api, prod):
    a = api()
    a.give(svid(prod, WEB))
    w = weir(listening(a, backend(), client_auth="optional"))
    assert knocks(w, client_context()) == 200
    assert knocks(w, client(prod, "spiffe://prod.example")) is None
    assert knocks(w, client_context(cert=prod.issue("a.example"))) is None
    assert knocks(w, client_context(cert=prod.issue(sans=["URI:spiffe://prod.example/a", "URI:spiffe://prod.example/b"]))) is None
    signer = prod.make("ca", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign", "subjectAltName=URI:" + WEB], "ec", 30, prod)
    assert knocks(w, client_context(cert=signer)) is None
    assert knocks(w, client(prod, WEB, days=-1)) is None
    eventually(lambda: lines(w, "not an SVID of a workload"))


def test_who_is_on_a_list_is_turned_away(weir, backend, api):
    a, authority = api(), Authority(name="lists")
    bad = authority.issue(sans=["URI:spiffe://prod.example/bad"])
    good = client(authority, "spiffe://prod.example/good")
    mine = svid(authority, WEB)
    a.give(mine)
    w = weir(listening(a, backend(), client_auth="required"))
    assert knocks(w, client_context(cert=bad)) == 200
    a.give(mine, crls=[ders(authority.crl(bad))])
    eventually(lambda: knocks(w, client_context(cert=bad)) is None, 10)
    assert knocks(w, good) == 200


def test_an_authority_without_a_list_has_revoked_nothing(weir, backend, api, prod):
    a, authority = api(), Authority(name="lists")
    a.give(svid(prod, WEB), crls=[ders(authority.crl())])
    w = weir(listening(a, backend(), client_auth="required"))
    assert knocks(w, client(prod, API)) == 200


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("auth, taken_up", [("required", False), ("optional", False), ("none", True)])
def test_who_may_show_an_identity_is_verified_in_each_handshake(weir, backend, api, prod, version, auth, taken_up):
    a = api()
    a.give(svid(prod, WEB))
    w = weir(listening(a, backend(), client_auth=auth))
    context, session = client_context(cert=prod.issue(sans=["URI:" + API]), version=version), None
    for _ in range(3):
        with w.client(tls=context, session=session) as c:
            assert c.request().status == 200
            session = c.sock.tls.session
    assert c.sock.tls.session_reused == taken_up
    assert w.metric("weir_tls_handshakes_resumed_total", side="client") == (2 if taken_up else 0)


# -- two proxies ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def pair(weir, backend, api):
    """pair(...) -> (front, back, API of the front, API of the back): front speaks TLS with back, each by its SVID."""
    def start(front_svid, back_svid, identity, allow=("spiffe://prod.example/web",), front_more=None, **more):
        af, ab, b = api(), api(), backend()
        if front_svid is not None:
            af.give(front_svid, **(front_more or {}))
        ab.give(back_svid)
        back = weir(listening(ab, b, client_auth="required", routes=[{"path": "/*", "pool": "app", "identity": {"allow": list(allow)}}]))
        front = weir({"daemon": {"workload_api": af.address}, "listeners": [{"name": "web", "pool": "app"}],
                      "pools": [{"name": "app", "backends": ["%s:%d" % back.address()], "tls": {"svid": "default", "identity": identity}, "outlier": {"panic": 100}, **more}]})
        return front, back, af, ab

    return start


def test_two_proxies_know_each_other_by_their_identities_through_rotations(pair, prod):
    front, back, af, ab = pair(svid(prod, WEB), svid(prod, API), API)
    assert front.get().status == 200
    stop, statuses = threading.Event(), []

    def requests():
        with front.client() as c:
            while not stop.is_set():
                statuses.append(c.request().status)

    t = threading.Thread(target=requests)
    t.start()
    for n in range(2, 5):
        af.give(svid(prod, WEB))
        ab.give(svid(prod, API))
        for w in (front, back):
            eventually(lambda: w.metric("weir_svid_updates_total", result="ok") == n, 10)
    stop.set()
    t.join()
    assert set(statuses) == {200}


def test_a_new_authority_comes_before_its_identities_and_no_request_fails(pair, prod):
    new = Authority(name="prod.example, the next")
    both = ders(prod.cert) + ders(new.cert)
    front, back, af, ab = pair(svid(prod, WEB), svid(prod, API), API)
    assert front.get().status == 200
    steps = [(prod, both), (new, both), (new, ders(new.cert))]
    for n, (signer, bundle) in enumerate(steps, 2):
        af.give(svid(signer, WEB, bundle=bundle))
        ab.give(svid(signer, API, bundle=bundle))
        for w in (front, back):
            eventually(lambda: w.metric("weir_svid_updates_total", result="ok") == n, 10)
        assert front.get().status == 200


def test_a_backend_with_another_identity_is_refused(pair, prod):
    front, back, af, ab = pair(svid(prod, WEB), svid(prod, "spiffe://prod.example/evil"), API)
    assert front.get().status == 502
    eventually(lambda: lines(front, "backend_identity_not_allowed"))


def test_a_backend_of_another_trust_domain_is_refused_until_it_is_federated(pair, prod, other):
    theirs = "spiffe://other.example/api"
    front, back, af, ab = pair(svid(prod, WEB), svid(other, theirs), [theirs, API])
    assert front.get().status == 502
    eventually(lambda: lines(front, "backend_certificate_refused"))
    af.give(svid(prod, WEB), federated={"spiffe://other.example": ders(other.cert)})
    ab.give(svid(other, theirs), federated={"other.example": b"", "prod.example": ders(prod.cert)})
    eventually(lambda: front.get().status == 200, 20)


def test_an_authority_does_not_speak_for_another_trust_domain_toward_backends_either(pair, prod, other):
    front, back, af, ab = pair(svid(prod, WEB), svid(other, API), API, front_more={"federated": {"spiffe://other.example": ders(other.cert)}})
    assert front.get().status == 502
    eventually(lambda: lines(front, "backend_certificate_refused"))


def test_without_an_identity_of_our_own_no_backend_is_blamed(pair, prod):
    front, back, af, ab = pair(None, svid(prod, API), API, health={"type": "tls", "interval": "50ms", "fast_interval": "20ms"})
    assert front.get().status == 503
    assert front.metric("weir_failures_total", reason="no_identity") == 1
    assert front.metric("weir_svid_missing", side="backend", of="app") == 1
    assert not re.search(r"backend\.state .*to=(down|ejected)", front.stderr())
    af.give(svid(prod, WEB))
    eventually(lambda: front.get().status == 200, 20)


# -- reload ---------------------------------------------------------------------------------------------------------------
def test_a_reload_may_ask_elsewhere_or_nobody(weir, backend, api, prod, authority):
    a, c = api(), api()
    a.give(svid(prod, WEB))
    c.give(svid(prod, API))
    b = backend()
    w = weir(listening(a, b))
    assert served(w)[1] == WEB
    w.reload(listening(c, b))
    eventually(lambda: served(w)[1] == API, 10)
    a.has_streams(0)
    c.has_streams(1)
    cert = authority.issue("site.example")
    w.reload({"listeners": [{"name": "web", "pool": "app", "tls": {"certificates": [cert.conf]}}], "pools": [{"name": "app", "backends": [b]}]})
    c.has_streams(0)
    w.reload(listening(a, b))
    a.has_streams(1)
    eventually(lambda: served(w)[1] == WEB, 10)


def test_an_identity_that_is_about_to_expire_is_told_of(weir, backend, api, tmp_path):
    authority = Authority(name="short")
    made = authority.issue(sans=["URI:" + WEB])
    conf = tmp_path / "ca.conf"
    conf.write_text(f"[ca]\ndefault_ca = it\n[it]\ndatabase = {authority.db}\ndefault_md = sha256\nnew_certs_dir = {tmp_path}\nrand_serial = yes\n"
                    "policy = p\ncopy_extensions = copy\n[p]\ncommonName = optional\n")
    base = made.cert[:-4]
    stamp = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + t)) for t in (-7200, 900)]
    openssl("ca", "-batch", "-config", conf, "-notext", "-cert", authority.cert, "-keyfile", authority.key, "-in", base + ".csr", "-out", base + ".short",
            "-startdate", stamp[0], "-enddate", stamp[1], "-extfile", base + ".ext")
    a = api()
    a.give(entry(WEB, ders(base + ".short"), ders(made.key), ders(authority.cert)))
    w = weir(listening(a, backend()))
    assert served(w)[1] == WEB
    eventually(lambda: lines(w, "tls.identity_expires"), 10)
    eventually(lambda: a.streams == 1)
    assert len(lines(w, "tls.identity_expires")) == 1


# -- the file -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("daemon, listener, pool, words", [
    ('workload_api = "unix:/run/x.sock";', 'svid = "default";', "", ""),
    ('workload_api = "unix:///run/x.sock";', 'svid = "spiffe://prod.example/web"; client_auth = "required";', "", ""),
    ('workload_api = "tcp://127.0.0.1:8081";', 'svid = "inner";', "", ""),
    ("", 'svid = "default";', "", "listeners.web.tls.svid: needs daemon.workload_api"),
    ('workload_api = "/run/x.sock";', 'svid = "default";', "", "daemon.workload_api: "),
    ('workload_api = "unix:/run/x.sock";', 'svid = "spiffe://prod.example";', "", "it is a trust domain's"),
    ('workload_api = "unix:/run/x.sock";', 'svid = "default"; client_ca = "x.pem";', "", "listeners.web.tls.client_ca: stands beside svid"),
    ('workload_api = "unix:/run/x.sock";', 'svid = "default"; certificates = ( { cert = "x.pem"; } );', "", "listeners.web.tls.certificates: stands beside svid"),
    ('workload_api = "unix:/run/x.sock";', 'svid = "default";', 'svid = "default";', "pools.app.tls.identity: is missing"),
    ('workload_api = "unix:/run/x.sock";', 'svid = "default";', 'svid = "default"; identity = "spiffe://a/b"; ca = "x.pem";', "pools.app.tls.ca: stands beside svid"),
    ('workload_api = "unix:/run/x.sock";', 'svid = "default";', 'svid = "default"; identity = "spiffe://a/b"; verify = false;', "pools.app.tls.verify: false"),
    ('workload_api = "unix:/run/x.sock";', 'svid = "default";', 'svid = "default"; identity = "spiffe://a/b";', ""),
])
def test_what_is_said_of_a_file(tmp_path, daemon, listener, pool, words):
    path = tmp_path / "proxy.conf"
    pool = f"tls = {{ {pool} }};" if pool else ""
    path.write_text(f'daemon = {{ {daemon} }};\nlisteners = ( {{ name = "web"; bind = "127.0.0.1:{free_port()}"; pool = "app"; tls = {{ {listener} }}; }} );\n'
                    f'pools = ( {{ name = "app"; backends = [ "127.0.0.1:1" ]; {pool} }} );\n')
    done = run("-t", "-c", str(path))
    assert (done.returncode == 0) == (words == "") and words in done.stderr, done.stderr
    if not words:
        assert "its identity comes from the Workload API at" in done.stdout + done.stderr


def test_the_environment_names_the_endpoint_where_the_file_does_not(weir, backend, api, prod):
    a = api()
    a.give(svid(prod, WEB))
    conf = listening(a, backend())
    del conf["daemon"]
    w = weir(conf, env={"SPIFFE_ENDPOINT_SOCKET": "unix://" + a.path})
    assert served(w)[1] == WEB
