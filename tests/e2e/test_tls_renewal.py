"""Certificates, authorities and lists that change on disk while requests go on."""
import os
import re
import ssl
import threading
import time

import pytest

from lib.timing import eventually
from lib.tls import Authority, client_context
from lib.weir import run
from lib.wire import CutShort


@pytest.fixture
def live(weir, backend, authority):
    """live() -> (Weir, Backend, the certificate in its files)"""
    def start(**tls):
        b = backend()
        cert = authority.issue("site.example")
        w = weir({"listeners": [{"name": "web", "pool": "app", "tls": {"certificates": [cert.conf], **tls}}], "pools": [{"name": "app", "backends": [b]}]})
        return w, b, cert

    return start


def serial_served(w):
    with w.client(tls=client_context(), name="site.example") as c:
        der = c.sock.tls.getpeercert(True)
    import subprocess
    return subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-serial"], input=der, capture_output=True).stdout.decode().strip().split("=")[1]


def test_a_new_certificate_is_served_without_a_failed_request(live, authority):
    w, b, cert = live()
    stop, failures, done = threading.Event(), [], [0]

    def requests(keep):
        context = client_context(authority.cert)
        c = None
        while not stop.is_set():
            try:
                if c is None or not keep:
                    if c is not None:
                        c.close()
                    c = w.client(tls=context, name="site.example")
                assert c.request(host="site.example").status == 200
                done[0] += 1
            except Exception as e:
                failures.append(e)
                return
        c.close()

    threads = [threading.Thread(target=requests, args=(keep,)) for keep in (True, True, False, False)]
    for t in threads:
        t.start()
    for _ in range(3):
        new = authority.issue("site.example")
        cert.replace_by(new)
        eventually(lambda: serial_served(w) == new.serial(), 10, "the new certificate")
    eventually(lambda: done[0] > 100 or failures, 30)
    stop.set()
    for t in threads:
        t.join()
    assert not failures, failures
    assert w.metric("weir_tls_renewals_total", result="ok") >= 3
    assert w.metric("weir_failures_total") == 0
    assert "tls.renewed" in w.stderr()


def test_connections_outlive_the_certificate_that_they_began_with(live, authority):
    w, b, cert = live()
    with w.client(tls=client_context(authority.cert), name="site.example") as c:
        assert c.request(host="site.example").status == 200
        new = authority.issue("site.example")
        cert.replace_by(new)
        eventually(lambda: serial_served(w) == new.serial(), 10)
        assert c.request(host="site.example").status == 200


@pytest.mark.parametrize("what", ["key of another", "junk", "missing"])
def test_a_bad_certificate_keeps_the_old_one_until_a_good_one_comes(live, authority, what):
    w, b, cert = live()
    old = cert.serial()
    if what == "missing":
        os.unlink(cert.cert)
    else:
        with open(cert.cert + ".new", "w") as f:
            f.write("junk\n" if what == "junk" else open(authority.issue("site.example").cert).read())
        os.rename(cert.cert + ".new", cert.cert)
    eventually(lambda: w.metric("weir_tls_renewals_total", result="failed") == 1, 10)
    assert serial_served(w) == old
    assert "tls.refused" in w.stderr() and "tls.not_renewed" in w.stderr()
    new = authority.issue("site.example")
    cert.replace_by(new)
    eventually(lambda: serial_served(w) == new.serial(), 10)


def test_a_link_that_leads_elsewhere_is_followed(weir, backend, authority, tmp_path):
    b = backend()
    for name in ("one", "two"):
        made = authority.issue("site.example")
        (tmp_path / name).mkdir()
        for source, target in ((made.cert, "cert.pem"), (made.key, "key.pem")):
            os.rename(source, tmp_path / name / target)
    (tmp_path / "live").symlink_to(tmp_path / "one")
    w = weir({"listeners": [{"pool": "app", "tls": {"certificates": [{"cert": str(tmp_path / "live/cert.pem"), "key": str(tmp_path / "live/key.pem")}]}}],
              "pools": [{"name": "app", "backends": [b]}]})
    before = serial_served(w)
    (tmp_path / "new").symlink_to(tmp_path / "two")
    os.rename(tmp_path / "new", tmp_path / "live")
    eventually(lambda: serial_served(w) != before, 10)


def test_a_new_revocation_list_is_heeded_also_for_sessions(live):
    ca = Authority(name="Revoking")
    who = ca.issue("web.example")
    crl = ca.crl()
    w, b, _ = live(client_auth="required", client_ca=ca.cert, client_crl=crl)
    context = client_context(cert=who)
    with w.client(tls=context, name="site.example") as c:
        assert c.request(host="site.example").status == 200
        session = c.sock.tls.session
    os.rename(ca.crl(who), crl)
    eventually(lambda: w.metric("weir_tls_renewals_total", result="ok") == 1, 10)
    for s in (None, session):
        with pytest.raises((ssl.SSLError, ConnectionError, CutShort)):  # the last: by a reset instead of an answer
            with w.client(tls=context, name="site.example", session=s) as c:
                c.request(host="site.example")


def test_a_pools_authorities_are_renewed_and_kept_connections_with_them(weir, backend, authority):
    other = Authority(name="Next")
    bundle = authority.dir + "/bundle.pem"
    with open(bundle, "w") as f:
        f.write(open(authority.cert).read())
    b = backend(tls=authority.server_context(authority.issue("app.internal")))
    w = weir({"daemon": {"workers": 1}, "listeners": [{"pool": "app"}], "pools": [{"name": "app", "backends": [b], "tls": {"ca": bundle, "server_name": "app.internal"}}]})
    assert w.get().status == 200
    with open(bundle + ".new", "w") as f:
        f.write(open(other.cert).read())
    os.rename(bundle + ".new", bundle)
    eventually(lambda: w.metric("weir_tls_renewals_total", result="ok") == 1, 10)
    assert w.get().status == 502, "neither the kept connection nor its session is trusted any more"
    assert w.logged(reason="backend_certificate_refused")


def test_a_staple_may_come_and_go(weir, backend, authority, tmp_path):
    import subprocess
    b = backend()
    cert = authority.issue("stapled.example")
    staple = str(tmp_path / "ocsp.der")
    w = weir({"listeners": [{"pool": "app", "tls": {"certificates": [{**cert.conf, "ocsp": staple}]}}], "pools": [{"name": "app", "backends": [b]}]})
    assert "nothing is stapled" in w.stderr()
    host, port = w.address()

    def is_stapled():
        out = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", "stapled.example", "-status"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20).stdout
        return b"Cert Status: good" in out

    assert not is_stapled()
    os.rename(authority.ocsp(cert), staple)
    eventually(is_stapled, 10)
    os.unlink(staple)
    eventually(lambda: not is_stapled(), 10)


def test_expiry_is_a_metric_and_shown_by_the_check(live, authority, tmp_path):
    w, b, cert = live()
    expires = w.metric("weir_tls_certificate_expiry_timestamp_seconds", side="client", of="web", file=cert.cert)
    assert abs(expires - (time.time() + 90 * 86400)) < 86400
    said = run("-t", "-c", w.path).stdout
    assert re.search(rf"listener web: {re.escape(cert.cert)} expires \d{{4}}-\d\d-\d\d, in (89|90) days; site.example", said), said


def test_a_reload_reads_certificates_too_and_a_bad_one_stops_it(live, authority):
    w, b, cert = live()
    old = cert.serial()
    with open(cert.key + ".new", "w") as f:
        f.write("junk\n")
    os.rename(cert.key + ".new", cert.key)
    done = w.ctl("reload")
    assert done.returncode != 0 and "holds no private key" in done.stdout + done.stderr
    assert serial_served(w) == old
