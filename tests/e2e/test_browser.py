"""A page with many parts in a real browser, over HTTP/2 and TLS.  Left out where there is no Chromium: it is too large to install for this."""
import os
import shutil
import subprocess

import pytest

from conftest import simple
from lib.backend import answer_bytes
from lib.timing import eventually, secs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PARTS = 40

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.in_clear("the listener is one with TLS"),
    pytest.mark.http1("the listener is one with TLS"),
]

PAGE = """<!doctype html><title>page</title><body><p id="n">0</p><script>
let n = 0;
Promise.all([...Array(%d).keys()].map(i => fetch("/part/" + i, { method: i %% 2 ? "POST" : "GET", body: i %% 2 ? "x".repeat(50000) : null })
    .then(r => r.text()).then(t => { n += t === "part " + i; })))
    .then(() => { document.getElementById("n").textContent = n + " parts"; });
</script></body>""" % PARTS


def site(conn):
    while (req := conn.read_request()) is not None:
        if req.target == "/":
            conn.send(answer_bytes(200, PAGE.encode(), [("Content-Type", "text/html")]))
        else:
            whole = req.method == "GET" or len(req.body) == 50000
            conn.send(answer_bytes(200, b"part " + req.target.split("/")[-1].encode() if whole else b"cut", [("Content-Type", "text/plain")]))


def test_a_page_with_many_parts_is_loaded_over_few_connections(weir, backend, authority, tmp_path):
    w = weir(simple(backend(site), listener={"tls": {"certificates": [authority.issue("localhost").conf]}}))
    p = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--disable-background-networking",
                        "--no-first-run", f"--user-data-dir={tmp_path}", f"--virtual-time-budget={int(secs(20000))}", "--dump-dom",
                        "https://localhost:%d/" % w.address()[1]], capture_output=True, text=True, timeout=secs(50), env={**os.environ, "HOME": str(tmp_path)})
    assert f"{PARTS} parts" in p.stdout, (p.stdout, p.stderr[-2000:])
    entries = eventually(lambda: len(parts := [e for e in w.access() if e["target"].startswith("/part/")]) == PARTS and parts)
    assert {e["protocol"] for e in entries} == {"HTTP/2.0"} and {e["status"] for e in entries} == {200}
    assert w.metric("weir_tls_handshakes_total", side="client") < 5, "a browser may open one more at a guess, but not six as for HTTP/1"
