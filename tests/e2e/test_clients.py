"""Real clients in front, real servers behind."""
import functools
import hashlib
import http.client
import http.server
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import pytest

from conftest import simple
from lib.backend import answering
from lib.client import Client
from lib.timing import eventually, secs
from lib.weir import free_port


pytestmark = pytest.mark.in_clear("what these programs must be told to trust the certificate is not what is tested")


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def sh(*args, timeout=30, **kw):
    return subprocess.run(args, capture_output=True, timeout=secs(timeout), **kw)


@pytest.fixture
def site(weir, fast_backend):
    """A proxy in front of a backend that answers sizes, echoes hashes."""
    return weir(simple(fast_backend("one"), fast_backend("two")))


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="we-", dir="/tmp") as d:
        yield d


# -- curl -----------------------------------------------------------------------------------------------------------------
@needs("curl")
def test_curl_gets_a_page_and_its_head(site):
    done = sh("curl", "-sS", "-i", site.url("/"))
    assert done.returncode == 0 and done.stdout.startswith(b"HTTP/1.1 200 OK\r\n") and done.stdout.endswith((b"one", b"two"))
    done = sh("curl", "-sS", "-I", site.url("/"))
    assert done.returncode == 0, done.stderr


@needs("curl")
def test_curl_uploads_a_file_waiting_for_100(site, folder):
    data = os.urandom(3 << 20)
    with open(f"{folder}/up", "wb") as f:
        f.write(data)
    done = sh("curl", "-sS", "-H", "Expect: 100-continue", "--expect100-timeout", "0.2", "--data-binary", f"@{folder}/up", site.url("/up"))
    assert done.stdout.decode() == f"{len(data)} {hashlib.sha256(data).hexdigest()}", done.stderr


@needs("curl")
def test_curl_uploads_chunked_from_a_pipe(site):
    data = os.urandom(1 << 20)
    done = sh("curl", "-sS", "-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", "-", site.url("/up"), input=data)
    assert done.stdout.decode() == f"{len(data)} {hashlib.sha256(data).hexdigest()}", done.stderr


@needs("curl")
def test_curl_downloads_with_length_and_chunked(site):
    for kind in ("size", "chunked"):
        done = sh("curl", "-sS", site.url(f"/{kind}/3000000"))
        assert len(done.stdout) == 3000000


@needs("curl")
def test_curl_reuses_its_connection(site):
    done = sh("curl", "-sS", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", site.url("/1"), site.url("/2"), site.url("/3"))
    assert done.stdout.split() == [b"1", b"0", b"0"]


@needs("curl")
def test_curl_speaks_http10(site):
    done = sh("curl", "-sS", "-0", site.url("/chunked/100000"))
    assert done.returncode == 0 and len(done.stdout) == 100000


@needs("curl")
def test_curl_uses_it_as_a_forward_proxy_for_plain_http(site):
    done = sh("curl", "-sS", "-x", site.url("/").rstrip("/"), "http://some.example/path")
    assert done.returncode == 0 and done.stdout in (b"one", b"two")


@needs("curl")
def test_curl_over_a_unix_socket(weir, fast_backend, folder):
    weir(simple(fast_backend("one"), listener={"bind": f"unix:{folder}/s"}))
    done = sh("curl", "-sS", "--unix-socket", f"{folder}/s", "http://a/")
    assert done.stdout == b"one"


@needs("curl")
def test_curl_is_told_when_an_answer_is_cut_short(pair):
    w, b = pair(lambda conn: (conn.read_request(), conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")))
    assert sh("curl", "-sS", w.url("/")).returncode in (18, 56)


@needs("curl")
def test_curl_with_many_transfers_at_once(site):
    args = ["curl", "-sS", "--parallel", "--parallel-max", "20"]
    for i in range(60):
        args += ["-o", "/dev/null", site.url(f"/size/{i * 1000}")]
    assert sh(*args).returncode == 0


# -- others ---------------------------------------------------------------------------------------------------------------
@needs("wget")
def test_wget_downloads_a_file_and_a_range(site, folder):
    done = sh("wget", "-q", "-O", f"{folder}/out", site.url("/size/2000000"))
    assert done.returncode == 0 and os.path.getsize(f"{folder}/out") == 2000000


def test_pythons_http_client_keeps_its_connection(site):
    host, port = site.address()
    c = http.client.HTTPConnection(host, port, timeout=secs(10))
    for i in range(20):
        c.request("POST", "/", body=b"x" * i, headers={"X-I": str(i)})
        r = c.getresponse()
        assert r.status == 200 and r.read().startswith(b"%d " % i)
    c.request("POST", "/", body=iter([b"a", b"bc"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert c.getresponse().read().startswith(b"3 ")
    c.close()


def test_pythons_urllib_reads_a_page(site):
    with urllib.request.urlopen(site.url("/size/100000"), timeout=secs(10)) as r:
        assert len(r.read()) == 100000


NODE = """
const http = require('http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
let left = 40, failed = 0;
for (let i = 0; i < 40; i++) {
  const req = http.request(process.argv[2], { agent, method: i % 2 ? 'POST' : 'GET', headers: i % 4 == 3 ? { 'Transfer-Encoding': 'chunked' } : {} }, res => {
    let n = 0;
    res.on('data', d => n += d.length);
    res.on('end', () => { if (res.statusCode != 200 || !res.complete || n == 0) failed++; if (--left == 0) { agent.destroy(); console.log('failed ' + failed); } });
  });
  req.on('error', e => { failed++; console.log(String(e)); if (--left == 0) { agent.destroy(); console.log('failed ' + failed); } });
  if (i % 2) req.write('some body');
  req.end();
}
"""


@needs("node")
def test_node_with_its_agent_is_served(site):
    done = sh("node", "-e", NODE, "x", site.url("/"))
    assert done.stdout.endswith(b"failed 0\n"), done.stdout + done.stderr


@needs("wrk")
def test_wrk_sees_no_error(site):
    done = sh("wrk", "-t", "1", "-c", "32", "-d", "2s", "--timeout", "20s", site.url("/"))
    out = done.stdout.decode()
    assert done.returncode == 0 and "Socket errors" not in out and "Non-2xx" not in out, out
    assert int(re.search(r"(\d+) requests in", out)[1]) > 100


@needs("ab")
@pytest.mark.parametrize("keep", [[], ["-k"]], ids=["close", "keep_alive"])
def test_ab_sees_no_error(site, keep):
    """ab speaks HTTP/1.0.  All answers have the same length, or it counts them as failed."""
    done = sh("ab", "-q", "-n", "2000", "-c", "20", *keep, site.url("/size/100"))
    out = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert re.search(r"Complete requests:\s+2000\b", out) and re.search(r"Failed requests:\s+0\b", out) and "Non-2xx" not in out, out


# -- servers --------------------------------------------------------------------------------------------------------------
class Nginx:
    """An nginx of ours, in a folder of ours."""

    def __init__(self, folder, server):
        self.port = free_port()
        self.text = f"127.0.0.1:{self.port}"
        self.conf = f"{folder}/nginx.conf"
        with open(self.conf, "w") as f:
            f.write(f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n"
                    "events { worker_connections 512; }\n"
                    f"http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;"
                    f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
                    f"server {{ listen 127.0.0.1:{self.port}; root {folder}; {server} }} }}\n")
        self.proc = subprocess.Popen(["nginx", "-p", folder, "-c", self.conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def up():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        eventually(up, 10, "nginx")

    def __str__(self):
        return self.text

    def stop(self):
        self.proc.terminate()
        try:
            self.proc.wait(5)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


@pytest.fixture
def nginx(folder):
    made = []

    def start(server=""):
        made.append(Nginx(folder, server))
        return made[-1]
    yield start
    for n in made:
        n.stop()


@needs("nginx")
def test_nginx_behind_serves_files_ranges_and_conditions(weir, nginx, folder):
    data = os.urandom(500000)
    with open(f"{folder}/file.bin", "wb") as f:
        f.write(data)
    w = weir(simple(nginx()))
    with w.client() as c:
        full = c.request("GET", "/file.bin")
        assert full.body == data
        part = c.request("GET", "/file.bin", headers={"Range": "bytes=100-199"})
        assert (part.status, part.body, part.get("content-range")) == (206, data[100:200], "bytes 100-199/500000")
        many = c.request("GET", "/file.bin", headers={"Range": "bytes=0-9,100-109"})
        assert many.status == 206 and many.get("content-type").startswith("multipart/byteranges")
        same = c.request("GET", "/file.bin", headers={"If-None-Match": full.get("etag")})
        assert same.status == 304 and same.body == b""
        head = c.request("HEAD", "/file.bin")
        assert head.get("content-length") == "500000"
        assert c.request("GET", "/missing").status == 404
        assert c.request("GET", "/file.bin", headers={"Range": "bytes=900000-"}).status == 416


@needs("nginx")
def test_nginx_behind_that_closes_its_connections_often_fails_nobody(weir, nginx, load):
    w = weir(simple(nginx("keepalive_requests 7; keepalive_timeout 1; location / { return 200 'hi'; }")))
    x = load(w.address(), keep=8, fresh=4, posts=0, pace=0.001)
    eventually(lambda: w.metric("weir_requests_total", code=200) > 1500, 40)
    report = x.stop()
    assert report["failed"] == [], report["failed"][:5]


@needs("nginx")
def test_nginx_in_front_reuses_connections_to_it(weir, nginx, fast_backend, folder):
    w = weir(simple(fast_backend("one")))
    host, port = w.address()
    n = nginx(f"location / {{ proxy_pass http://{host}:{port}; proxy_http_version 1.1; proxy_set_header Connection ''; }}")
    with Client(("127.0.0.1", n.port)) as c:
        for _ in range(20):
            assert c.request("GET", "/").body == b"one"
        body = os.urandom(1 << 20)
        assert c.request("POST", "/", body=body).body.decode() == f"{1 << 20} {hashlib.sha256(body).hexdigest()}"
        assert len(c.request("GET", "/chunked/1000000").body) == 1000000


@needs("nginx")
def test_nginx_behind_accepts_a_chunked_upload(weir, nginx, folder):
    w = weir(simple(nginx("client_max_body_size 0; location / { proxy_pass http://127.0.0.1:1; } location /ok { return 200 'ok'; }")))
    with w.client() as c:
        assert c.request("POST", "/ok", body=b"x" * 300000, chunked=True).status == 200


def test_pythons_http_server_behind_serves_files(weir, folder):
    with open(f"{folder}/page.txt", "w") as f:
        f.write("page" * 1000)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        w = weir(simple(f"127.0.0.1:{server.server_address[1]}"))
        with w.client() as c:
            for _ in range(5):
                assert c.request("GET", "/page.txt").body == b"page" * 1000
            assert c.request("GET", "/none").status == 404
    finally:
        server.shutdown()
        server.server_close()


NODE_SERVER = """
const server = require('http').createServer((req, res) => {
  let n = 0;
  req.on('data', d => n += d.length);
  req.on('end', () => { res.setHeader('X-Node', '1'); res.end('got ' + n); });
});
server.keepAliveTimeout = 40;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@needs("node")
def test_node_behind_with_a_short_keep_alive_fails_nobody(weir):
    """Node closes idle connections early: the race that makes others answer 502."""
    p = subprocess.Popen(["node", "-e", NODE_SERVER], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        port = int(p.stdout.readline())
        w = weir(simple(f"127.0.0.1:{port}"))
        rng = random.Random(2)
        with w.client() as c:
            for i in range(60):
                post = i % 3 == 0
                res = c.request("POST" if post else "GET", "/", body=b"x" * 100 if post else None)
                assert (res.status, res.body) == (200, b"got 100" if post else b"got 0"), i
                time.sleep(rng.choice([0.0, 0.036, 0.039, 0.04, 0.041, 0.044, 0.06]))
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


@pytest.mark.http1("the version in Via")
def test_it_proxies_to_itself_and_says_so_in_via(weir, backend):
    b = backend(answering(b"end"))
    inner = weir(simple(b))
    outer = weir(simple("%s:%d" % inner.address()))
    res = outer.get("/")
    assert res.body == b"end"
    assert len(re.findall(r"1\.1 ", ", ".join(b.requests[0].all("via")))) == 2
