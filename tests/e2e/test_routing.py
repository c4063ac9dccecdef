"""First match wins, by host, path, method and header; `weir explain` says what the live proxy does."""
import pytest

from lib.backend import Backend, answering
from lib.client import Client
from lib.conf import conf_text
from lib.weir import Weir, run

POOLS = ["app", "api", "api-admin", "sub", "exact", "beta", "writer"]
ROUTES = [
    {"name": "exact", "path": "/exact", "pool": "exact"},
    {"name": "admin", "host": ["api.example.com"], "path": "/admin/*", "pool": "api-admin"},
    {"name": "api-write", "host": ["api.example.com"], "path": "/v1/*", "methods": ["POST", "PUT"], "pool": "writer"},
    {"name": "api", "host": ["api.example.com", "API2.example.com"], "path": "/v1/*", "pool": "api"},
    {"name": "beta", "headers": ["X-Beta: yes"], "pool": "beta"},
    {"name": "flagged", "headers": ["X-Flag: *"], "pool": "beta"},
    {"name": "both-headers", "path": "/two", "headers": ["X-A: 1", "X-B"], "pool": "beta"},
    {"name": "hello", "path": "/hello", "respond": {"status": 200, "body": "hello\n"}},
    {"name": "gone", "path": "/gone/*", "respond": {"status": 410, "body": "<p>gone</p>", "content_type": "text/html"}},
    {"name": "move", "path": "/old/*", "redirect": {"status": 301, "to": "https://{host}{uri}"}},
    {"name": "move-path", "path": "/path/*", "redirect": {"to": "https://new.example{path}"}},
    {"name": "wild", "host": ["*.example.org"], "pool": "sub"},
    {"name": "trace", "path": "/never", "methods": ["TRACE"], "respond": {"status": 405, "body": "no"}},
]

# (method, target, host, headers) -> (route, where it goes)
TABLE = [
    (("GET", "/exact", "x", ()), ("exact", "exact")),
    (("GET", "/exact?a=b", "x", ()), ("exact", "exact")),
    (("GET", "/exact/", "x", ()), (None, "app")),
    (("GET", "/exactly", "x", ()), (None, "app")),
    (("GET", "/EXACT", "x", ()), (None, "app")),
    (("GET", "/admin/x", "api.example.com", ()), ("admin", "api-admin")),
    (("GET", "/admin/", "api.example.com", ()), ("admin", "api-admin")),
    (("GET", "/admin/x", "other.example.com", ()), (None, "app")),
    (("GET", "/v1/x", "api.example.com", ()), ("api", "api")),
    (("GET", "/v1/x", "API.Example.COM", ()), ("api", "api")),
    (("GET", "/v1/x", "api.example.com:8080", ()), ("api", "api")),
    (("GET", "/v1/x", "api2.example.com", ()), ("api", "api")),
    (("POST", "/v1/x", "api.example.com", ()), ("api-write", "writer")),
    (("PUT", "/v1/x", "api.example.com", ()), ("api-write", "writer")),
    (("post", "/v1/x", "api.example.com", ()), ("api", "api")),
    (("POST", "/v1/x", "api2.example.com", ()), ("api", "api")),
    (("GET", "/v2/x", "api.example.com", ()), (None, "app")),
    (("GET", "/v1", "api.example.com", ()), (None, "app")),
    (("GET", "/", "x", (("X-Beta", "yes"),)), ("beta", "beta")),
    (("GET", "/", "x", (("x-beta", "yes"),)), ("beta", "beta")),
    (("GET", "/", "x", (("X-Beta", "no"),)), (None, "app")),
    (("GET", "/", "x", (("X-Beta", "YES"),)), (None, "app")),
    (("GET", "/exact", "x", (("X-Beta", "yes"),)), ("exact", "exact")),
    (("GET", "/", "x", (("X-Flag", ""),)), ("flagged", "beta")),
    (("GET", "/", "x", (("X-Flag", "anything"),)), ("flagged", "beta")),
    (("GET", "/two", "x", (("X-A", "1"), ("X-B", "2"))), ("both-headers", "beta")),
    (("GET", "/two", "x", (("X-A", "1"),)), (None, "app")),
    (("GET", "/hello", "x", ()), ("hello", 200)),
    (("POST", "/hello", "x", ()), ("hello", 200)),
    (("GET", "/gone/x", "x", ()), ("gone", 410)),
    (("GET", "/old/x?y=z", "site.example:81", ()), ("move", 301)),
    (("GET", "/path/x?y=z", "x", ()), ("move-path", 308)),
    (("GET", "/", "a.example.org", ()), ("wild", "sub")),
    (("GET", "/", "a.b.example.org", ()), ("wild", "sub")),
    (("GET", "/", "example.org", ()), (None, "app")),
    (("GET", "/", "evilexample.org", ()), (None, "app")),
    (("GET", "/", "a.example.org.evil", ()), (None, "app")),
    (("GET", "/never", "x", ()), (None, "app")),
    (("TRACE", "/never", "x", ()), ("trace", 405)),
    # no spelling of a path slips past a route (RFC 3986 6.2.2)
    (("GET", "/a/../exact", "x", ()), ("exact", "exact")),
    (("GET", "/./exact", "x", ()), ("exact", "exact")),
    (("GET", "/%65xact", "x", ()), ("exact", "exact")),
    (("GET", "/%65%78%61%63%74", "x", ()), ("exact", "exact")),
    (("GET", "//exact", "x", ()), ("exact", "exact")),
    (("GET", "/v1/../admin/x", "api.example.com", ()), ("admin", "api-admin")),
    (("GET", "/v1/%2e%2e/admin/x", "api.example.com", ()), ("admin", "api-admin")),
    (("GET", "/v1/%2E./admin/x", "api.example.com", ()), ("admin", "api-admin")),
    (("GET", "/admin/../v1/x", "api.example.com", ()), ("api", "api")),
    (("GET", "/exact%2f", "x", ()), (None, "app")),
    (("GET", "/exact%3f", "x", ()), (None, "app")),
    (("GET", "/exact;v=1", "x", ()), (None, "app")),
    (("GET", "/exact?/../hello", "x", ()), ("exact", "exact")),
    (("GET", "http://api.example.com/v1/x", "ignored", ()), ("api", "api")),
]


@pytest.fixture(scope="module")
def live():
    backends = {name: Backend(answering(name.encode())) for name in POOLS}
    w = Weir({"listeners": [{"name": "web", "pool": "app"}], "routes": ROUTES,
              "pools": [{"name": n, "backends": [b]} for n, b in backends.items()]}).start()
    yield w
    for b in backends.values():
        b.stop()
    w.judge()


def ident(value):
    (method, target, host, headers), _ = value
    return f"{method} {target} {host} {dict(headers) or ''}".strip().replace("/", "|")


def explain(w, method, target, host, headers):
    url = target if target.startswith("http:") else f"http://{host}{target}"
    args = ["explain", "-c", w.path, method, url]
    for k, v in headers:
        args += ["-H", f"{k}: {v}"]
    return run(*args)


@pytest.mark.parametrize("case", TABLE, ids=ident)
def test_a_request_goes_where_the_first_matching_route_says_and_explain_agrees(live, case):
    (method, target, host, headers), want = case
    with live.client() as c:
        res = c.request(method, target, headers=[("Host", host), *headers])
    went = res.body.decode() if res.status == 200 and res.body.decode() in POOLS else res.status
    if want is not None:
        assert went == want[1]
    done = explain(live, method, target, host, headers)
    assert done.returncode == 0, done.stderr
    if isinstance(went, str):
        assert went in done.stdout, done.stdout
    else:
        assert str(went) in done.stdout, done.stdout
    if want is not None and want[0] is not None:
        assert want[0] in done.stdout, done.stdout


@pytest.mark.parametrize("target", ["/../exact", "/a/../../exact", "/%2e%2e/exact", "/exact%00", "/exact%zz", "/exact%4"])
def test_a_path_that_has_no_plain_spelling_is_refused(live, target):
    res = live.get(target)
    assert res.status == 400
    assert live.logged(target=target)["reason"] == "bad_target"


@pytest.mark.parametrize("target", ["/a/../exact", "//exact", "/%65xact", "/./exact"])
def test_what_is_sent_on_is_the_path_as_it_came(weir, backend, target):
    b = backend()
    w = weir({"listeners": [{"name": "web"}], "routes": [{"name": "e", "path": "/exact", "pool": "app"}], "pools": [{"name": "app", "backends": [b]}]})
    assert w.get(target).status == 200
    assert b.requests[0].target == target


def test_explain_says_why_an_earlier_route_did_not_match(live):
    done = explain(live, "GET", "/v1/x", "api.example.com", ())
    assert done.returncode == 0
    assert "api-write" in done.stdout and "method" in done.stdout.lower(), done.stdout


def test_the_log_names_the_route_and_the_pool(live):
    live.get("/v1/logged", headers={"Host": "api.example.com"})
    entry = live.logged(target="/v1/logged")
    assert (entry["route"], entry["pool"], entry["listener"]) == ("api", "api", "web")


def test_a_respond_action_answers_with_its_body_and_type(live):
    res = live.get("/hello")
    assert (res.body, res.get("content-type")) == (b"hello\n", "text/plain; charset=utf-8")
    res = live.get("/gone/1")
    assert (res.status, res.body, res.get("content-type")) == (410, b"<p>gone</p>", "text/html")


def test_a_respond_action_to_a_head_has_the_length_and_no_body(live):
    with live.client() as c:
        res = c.request("HEAD", "/hello")
        assert (res.get("content-length"), res.body) == ("6", b"")
        assert c.request("GET", "/hello").body == b"hello\n"


def test_a_respond_action_reads_the_body_it_does_not_want(live):
    with live.client() as c:
        assert c.request("POST", "/hello", body=b"x" * 1000).status == 200
        try:
            assert c.request("GET", "/hello").body == b"hello\n"
        except ConnectionError:
            pass


@pytest.mark.parametrize("target,host,status,location", [
    ("/old/x?y=z", "site.example:81", 301, "https://site.example/old/x?y=z"),
    ("/old/", "site.example", 301, "https://site.example/old/"),
    ("/path/x?y=z", "x", 308, "https://new.example/path/x"),
])
def test_a_redirect_says_where_to(live, target, host, status, location):
    res = live.get(target, headers={"Host": host})
    assert (res.status, res.get("location")) == (status, location)


@pytest.mark.parametrize("target", ["/old/%0d%0aSet-Cookie:x", "/old/\xff\xfe", "/old/<script>"])
def test_a_redirect_carries_nothing_that_ends_its_field(live, target):
    with live.client() as c:
        c.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        res = c.answer()
    assert res.status in (301, 400) and "set-cookie" not in res


def test_no_route_and_no_pool_is_a_404(weir, backend):
    b = backend()
    w = weir({"listeners": [{"name": "web"}], "routes": [{"name": "one", "path": "/one", "pool": "app"}], "pools": [{"name": "app", "backends": [b]}]})
    assert w.get("/one").status == 200
    assert w.get("/two").status == 404
    assert w.logged(status=404)["reason"] == "no_route"


def test_an_http10_request_without_host_matches_routes_without_host(weir, backend):
    a, b = backend(answering(b"hosted")), backend(answering(b"default"))
    w = weir({"listeners": [{"name": "web", "pool": "b"}], "routes": [{"name": "h", "host": ["x.example"], "pool": "a"}],
              "pools": [{"name": "a", "backends": [a]}, {"name": "b", "backends": [b]}]})
    assert w.get("/", version="1.0", host=None).body == b"default"


def test_each_request_of_a_connection_is_routed_by_itself(live):
    with live.client() as c:
        assert c.request("GET", "/exact").body == b"exact"
        assert c.request("GET", "/v1/x", headers={"Host": "api.example.com"}).body == b"api"
        assert c.request("GET", "/hello").body == b"hello\n"
        assert c.request("GET", "/").body == b"app"


def test_ten_thousand_routes_load_quickly_and_the_last_one_works(weir, backend):
    b = backend()
    routes = [{"name": f"r{i}", "host": [f"h{i}.example.com"], "path": f"/p{i}/*", "pool": "app"} for i in range(10000)]
    w = weir({"listeners": [{"name": "web"}], "routes": routes, "pools": [{"name": "app", "backends": [b]}]})
    assert w.get("/p9999/x", headers={"Host": "h9999.example.com"}).status == 200
    assert w.get("/p9998/x", headers={"Host": "h9999.example.com"}).status == 404


def test_explain_of_a_file_that_is_wrong_says_so(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text(conf_text({"listeners": [{"bind": "127.0.0.1:1"}], "routs": [{}]}))
    done = run("explain", "-c", str(path), "GET", "http://a/")
    assert done.returncode != 0 and "routs" in done.stderr + done.stdout


def test_routes_are_by_listener_pool_when_nothing_matches(weir, backend):
    a, b = backend(answering(b"a")), backend(answering(b"b"))
    conf = {"listeners": [{"name": "one", "pool": "a"}, {"name": "two", "pool": "b"}], "routes": [{"name": "x", "path": "/x", "pool": "a"}],
            "pools": [{"name": "a", "backends": [a]}, {"name": "b", "backends": [b]}]}
    w = weir(conf)
    with Client(w.address("two")) as c:
        assert c.request("GET", "/x").body == b"a"
        assert c.request("GET", "/y").body == b"b"
