"""Clients with certificates: asked for, verified, told to backends and logs, and let in by routes."""
import re
import ssl

import pytest

from lib.timing import eventually, secs
from lib.tls import Authority, client_context
from lib.wire import CutShort

FIELDS = ("X-Client-Cert-Verify", "X-Client-Cert-Subject", "X-Client-Cert-San", "X-Client-Cert-Spiffe", "X-Client-Cert-Fingerprint", "X-Client-Cert-Serial")


@pytest.fixture(scope="session")
def people():
    """The authority of clients, which is not that of servers."""
    return Authority(name="People")


@pytest.fixture
def mutual(weir, backend, authority, people):
    """mutual(auth, ...) -> (Weir, Backend)"""
    site = authority.issue("site.example")

    def start(auth="required", listener=None, routes=None, **tls):
        b = backend()
        conf = {"listeners": [{"name": "web", "pool": "app", "proxy_status": True,
                               "tls": {"certificates": [site.conf], "client_auth": auth, "client_ca": people.cert, **tls}, **(listener or {})}],
                "pools": [{"name": "app", "backends": [b]}]}
        if routes:
            conf["routes"] = routes
        return weir(conf), b

    return start


def ask(w, cert=None, version="1.3", target="/", headers=(), session=None):
    with w.client(tls=client_context(cert=cert, version=version), name="site.example", session=session) as c:
        res = c.request(target=target, host="site.example", headers=headers)
        res.session = c.sock.tls.session
        return res


def is_refused(w, cert, version, reason):
    with pytest.raises((ssl.SSLError, ConnectionError, CutShort)):  # the last: by a reset instead of an answer
        ask(w, cert, version)
    eventually(lambda: w.metric("weir_failures_total", reason=reason) == 1, what=reason)
    assert f"reason={reason}" in w.stderr()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_required_certificate_lets_in_and_is_told_to_the_backend(mutual, people, version):
    who = people.issue("web.example", sans=["URI:spiffe://prod.example/web", "IP:10.1.2.3"], subject="/O=Example/CN=web")
    w, b = mutual()
    assert ask(w, who, version).status == 200
    got = b.requests[0]
    assert got.get("x-client-cert-verify") == "SUCCESS"
    assert got.get("x-client-cert-subject") == "CN=web,O=Example"
    assert got.get("x-client-cert-san") == "DNS:web.example, URI:spiffe://prod.example/web, IP:10.1.2.3"
    assert got.get("x-client-cert-spiffe") == "spiffe://prod.example/web"
    assert len(got.get("x-client-cert-fingerprint")) == 64
    assert got.get("x-client-cert-serial").lower() == who.serial().lower()
    assert w.logged(status=200, tls_identity="spiffe://prod.example/web")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_required_certificate_that_is_missing_ends_the_handshake(mutual, version):
    w, b = mutual()
    is_refused(w, None, version, "client_certificate_missing")
    assert not b.requests


@pytest.mark.parametrize("auth", ["required", "optional"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_certificate_of_another_authority_ends_the_handshake(mutual, auth, version):
    w, _ = mutual(auth)
    is_refused(w, Authority(name="Elsewhere").issue("web.example"), version, "client_certificate_refused")


def test_an_expired_certificate_ends_the_handshake(mutual, people):
    w, _ = mutual()
    is_refused(w, people.issue("web.example", days=-1), "1.3", "client_certificate_refused")
    assert "certificate has expired" in w.stderr()


def test_a_revoked_certificate_ends_the_handshake(mutual):
    ca = Authority(name="Revoking")
    good, bad = ca.issue("good.example"), ca.issue("bad.example")
    w, b = mutual(client_ca=ca.cert, client_crl=ca.crl(bad))
    assert ask(w, good).status == 200
    is_refused(w, bad, "1.3", "client_certificate_refused")
    assert "certificate revoked" in w.stderr()


def test_an_optional_certificate_may_be_missing(mutual, people):
    w, b = mutual("optional")
    assert ask(w).status == 200
    assert ask(w, people.issue("web.example")).status == 200
    assert b.requests[0].get("x-client-cert-verify") is None
    assert b.requests[1].get("x-client-cert-verify") == "SUCCESS"
    assert w.logged(tls_identity="CN=web.example")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_who_takes_up_a_session_is_still_known(mutual, people, version):
    who = people.issue("web.example", sans=["URI:spiffe://prod.example/web"])
    w, b = mutual()
    context = client_context(cert=who, version=version)
    session = None
    for i in range(3):
        with w.client(tls=context, name="site.example", session=session) as c:
            assert c.request(host="site.example").status == 200
            assert c.sock.tls.session_reused == (i > 0)
            session = c.sock.tls.session
    assert [r.get("x-client-cert-spiffe") for r in b.requests] == ["spiffe://prod.example/web"] * 3


class Caller:
    """A client that takes up its session each time, and keeps the newest."""

    def __init__(self, w, listener, cert, version):
        self.w, self.listener, self.session = w, listener, None
        self.context = client_context(cert=cert, version=version)

    def call(self, session):
        """Whether it was resumed; None: refused."""
        try:
            with self.w.client(self.listener, tls=self.context, name="site.example", session=session) as c:
                assert c.request(host="site.example").status == 200
                self.session = c.sock.tls.session or self.session
                return c.sock.tls.session_reused
        except (ssl.SSLError, ConnectionError, CutShort):
            return None

    def is_refused(self):
        return self.call(self.session) is None and self.call(None) is None


@pytest.mark.parametrize("what", ["certificate", "revocation list", "intermediate"])
def test_a_session_ends_with_what_its_client_was_verified_by(weir, backend, authority, what):
    """In both versions, with tickets and without, and however often it has been taken up."""
    ca, site, b = Authority(name="Brief"), authority.issue("site.example"), backend()
    lasts = secs(7)
    if what == "intermediate":
        below = Authority(name="Below", by=ca, lasts=lasts)
        who = below.issue("web.example")
    else:
        who = ca.issue("web.example", lasts=lasts if what == "certificate" else None)
    lists = {"client_crl": ca.crl(lasts=lasts)} if what == "revocation list" else {}
    tls = {"certificates": [site.conf], "client_auth": "required", "client_ca": ca.cert, **lists}
    w = weir({"listeners": [{"name": n, "pool": "app", "tls": {**tls, "tickets": n == "tickets"}} for n in ("tickets", "kept")],
              "pools": [{"name": "app", "backends": [b]}]})
    callers = [Caller(w, listener, who, version) for listener in ("tickets", "kept") for version in ("1.2", "1.3")]
    for c in callers:
        assert [c.call(c.session), c.call(c.session), c.call(c.session)] == [False, True, True], (c.listener, c.context.maximum_version)
    eventually(lambda: callers[0].call(None) is None, 15, "the certificate is no good any more", every=0.2)
    for c in callers:
        assert c.is_refused(), (c.listener, c.context.maximum_version)


FORGED = [("X-Client-Cert-Spiffe", "spiffe://prod.example/admin"), ("x-client-cert-verify", "SUCCESS"), ("X_Client_Cert_Subject", "CN=admin"),
          ("X-Client-Cert-Anything", "1"), ("X-Client-Cert", "1"), ("Client-Cert", ":MII=:"), ("Client-Cert-Chain", ":MII=:"), ("CLIENT_CERT", "1"),
          ("x.client.cert.verify", "SUCCESS"), ("X-Client_Cert!Spiffe", "spiffe://prod.example/admin")]


def of_certificates(req):
    return [(k, v) for k, v in req.headers if "client-cert" in re.sub("[^a-z0-9]", "-", k.lower())]


@pytest.mark.parametrize("tls", [False, True])
def test_what_a_client_claims_about_its_certificate_is_dropped(pair, authority, tls):
    listener = {"tls": {"certificates": [authority.issue("site.example").conf]}} if tls else {}
    w, b = pair(listener=listener)
    if tls:
        ask(w, headers=FORGED)
    else:
        w.get(headers=FORGED)
    assert of_certificates(b.requests[0]) == []


def test_what_is_known_replaces_what_is_claimed_even_by_those_who_are_trusted(weir, backend, authority, people):
    b = backend()
    w = weir({"daemon": {"trusted_proxies": ["127.0.0.1"]},
              "listeners": [{"pool": "app", "tls": {"certificates": [authority.issue("site.example").conf], "client_auth": "optional", "client_ca": people.cert}}],
              "pools": [{"name": "app", "backends": [b]}]})
    ask(w, headers=FORGED)
    assert ("X-Client-Cert-Spiffe", "spiffe://prod.example/admin") in of_certificates(b.requests[0]), "of a proxy that is believed"
    ask(w, people.issue("web.example"), headers=FORGED)
    assert {k for k, _ in of_certificates(b.requests[1])} <= set(FIELDS)
    assert b.requests[1].get("x-client-cert-subject") == "CN=web.example"
    assert "x-client-cert-spiffe" not in b.requests[1]


def test_connection_can_not_take_the_identity_out(mutual, people):
    w, b = mutual()
    assert ask(w, people.issue("web.example"), headers={"Connection": "X-Client-Cert-Subject, X-Client-Cert-Verify"}).status == 200
    assert b.requests[0].get("x-client-cert-subject") == "CN=web.example"


# ---- routes ----

ROUTES = [{"name": "inner", "path": "/inner/*", "pool": "app", "identity": {"allow": ["spiffe://prod.example/web", "spiffe://prod.example/ns/*/api"]}}]


@pytest.mark.parametrize("sans,status", [
    (["URI:spiffe://prod.example/web"], 200), (["URI:spiffe://prod.example/ns/x/api"], 200), (["URI:spiffe://prod.example/ns/x/y/api"], 403),
    (["URI:spiffe://prod.example/web/2"], 403), (["URI:spiffe://test.example/web"], 403), (["DNS:prod.example"], 403), (["URI:spiffe://prod.example:1/web"], 403),
    (["URI:spiffe://prod.example/web", "URI:spiffe://prod.example/other"], 403), (["URI:https://prod.example/web"], 403)], ids=range(9))
def test_a_route_lets_in_whom_it_names(mutual, people, sans, status):
    w, b = mutual("optional", routes=ROUTES)
    res = ask(w, people.issue(subject="web", sans=sans), target="/inner/x")
    assert res.status == status
    if status == 403:
        assert 'details="identity_not_allowed"' in res.get("proxy-status")
        assert w.logged(status=403, reason="identity_not_allowed", route="inner")
        assert not b.requests
    assert ask(w, target="/outer").status == 200


def test_a_route_that_names_somebody_lets_nobody_in_without_certificate(mutual):
    w, b = mutual("optional", routes=ROUTES)
    assert ask(w, target="/inner/x").status == 403
    assert ask(w, target="/inner/../inner/x").status == 403


def test_a_route_that_names_somebody_lets_nobody_in_over_a_clear_listener(weir, backend, authority, people):
    b = backend()
    w = weir({"listeners": [{"name": "web", "pool": "app"},
                            {"name": "tls", "pool": "app", "tls": {"certificates": [authority.issue("s.example").conf], "client_auth": "optional", "client_ca": people.cert}}],
              "routes": ROUTES, "pools": [{"name": "app", "backends": [b]}]})
    assert w.get("/inner/x", headers={"X-Client-Cert-Spiffe": "spiffe://prod.example/web"}).status == 403
    assert not b.requests
