"""A cookie takes a client back to its backend: over restarts, across instances, until that backend can't be used."""
import base64
import re
import subprocess

import pytest

from conftest import simple
from lib import over
from lib.backend import answer_bytes, answering
from lib.timing import STRETCH, eventually
from lib.weir import BINARY

SECRET = "a secret that nobody knows"
STICKY = {"secret": SECRET}
SECURE = "; Secure" if over.TLS else ""
FORM = re.compile(rf"weir=([A-Za-z0-9_-]{{40}}); Path=/; HttpOnly; SameSite=Lax{SECURE}; Max-Age=3600\Z")


def named(backend, n):
    """n backends that answer with their number."""
    return [backend(answering(b"%d" % i)) for i in range(n)]


def sticky(*backends, pool=None, **sections):
    return simple(*backends, pool={"sticky": STICKY, **(pool or {})}, **sections)


def cookie_of(res, form=FORM):
    """The value of the one cookie that the answer sets."""
    lines = res.all("set-cookie")
    assert len(lines) == 1, lines
    m = form.match(lines[0])
    assert m, lines[0]
    return m[1]


def with_cookie(value, before="", after=""):
    return {"Cookie": f"{before}weir={value}{after}"}


def cookies_of(w, n):
    """The cookie of each of n backends."""
    found = {}
    while len(found) < n:
        res = w.get("/")
        found[int(res.body)] = cookie_of(res)
    return [found[i] for i in range(n)]


def where(w, cookie, **kw):
    """Which backend answers, and whether the client gets a new cookie."""
    res = w.get("/", headers=with_cookie(cookie), **kw)
    assert res.status == 200
    return int(res.body), bool(res.all("set-cookie"))


# -- it sticks --------------------------------------------------------------------------------------------------------------
def test_a_client_with_a_cookie_stays_and_gets_no_other(weir, backend):
    w = weir(sticky(*named(backend, 3)))
    cookies = cookies_of(w, 3)
    assert len(set(cookies)) == 3
    for i in range(3):
        for _ in range(5):
            assert where(w, cookies[i]) == (i, False)


def test_clients_without_one_are_spread(weir, backend):
    w = weir(sticky(*named(backend, 3)))
    assert {int(w.get("/").body) for _ in range(12)} == {0, 1, 2}


def test_it_outlives_a_restart_and_a_reload(weir, backend):
    b = named(backend, 3)
    w = weir(sticky(*b))
    cookies = cookies_of(w, 3)
    w.reload(sticky(b[2], b[0], b[1]))
    assert [where(w, c) for c in cookies] == [(0, False), (1, False), (2, False)]
    w.judge()
    w = weir(sticky(*b))
    assert [where(w, c) for c in cookies] == [(0, False), (1, False), (2, False)]


def test_instances_agree_in_whatever_order_they_list_the_backends(weir, backend):
    b = named(backend, 4)
    one, two = weir(sticky(*b)), weir(sticky(b[3], b[1], b[0], b[2]))
    for i, cookie in enumerate(cookies_of(one, 4)):
        assert where(two, cookie) == (i, False)


def test_a_cookie_tells_nothing_of_an_address(weir, backend):
    b = named(backend, 1)
    w = weir(sticky(*b))
    cookie = cookie_of(w.get("/"))
    raw = base64.urlsafe_b64decode(cookie)
    assert len(raw) == 30 and raw[0] == 1
    for piece in (b"127", b"\x7f\x00\x00\x01", str(b[0].address[1]).encode()):
        assert piece not in raw and piece not in cookie.encode()


def test_all_requests_of_a_connection_are_looked_at_one_by_one(weir, backend):
    w = weir(sticky(*named(backend, 3)))
    cookies = cookies_of(w, 3)
    with w.client() as c:
        for i in (0, 2, 1, 1, 0):
            res = c.request("GET", "/", headers=with_cookie(cookies[i]))
            assert (int(res.body), res.all("set-cookie")) == (i, [])
        fresh = c.request("GET", "/")
        again = c.request("GET", "/", headers=with_cookie(cookie_of(fresh)))
        assert (again.body, again.all("set-cookie")) == (fresh.body, [])


def test_pipelined_requests_each_go_where_their_cookie_says(weir, backend):
    w = weir(sticky(*named(backend, 3)))
    cookies = cookies_of(w, 3)
    order = [2, 0, 1, 0, 2, 2, 1]
    with w.client() as c:
        c.send(b"".join(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: weir=%s\r\n\r\n" % cookies[i].encode() for i in order))
        answers = [c.answer("GET") for _ in order]
    assert [int(a.body) for a in answers] == order
    assert not any(a.all("set-cookie") for a in answers)


# -- the cookie in an answer ------------------------------------------------------------------------------------------------
def test_an_answer_that_sets_it_is_private(weir, backend):
    w = weir(sticky(backend(answering(b"x", headers={"Cache-Control": "public, max-age=60"}))))
    res = w.get("/")
    cookie = cookie_of(res)
    assert res.all("cache-control") == ["public, max-age=60", "private"]
    assert w.get("/", headers=with_cookie(cookie)).all("cache-control") == ["public, max-age=60"]


def test_the_backends_own_cookies_pass(weir, backend):
    w = weir(sticky(backend(answering(b"x", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "weir2=2; Path=/x")]))))
    res = w.get("/")
    assert res.all("set-cookie")[:2] == ["a=1", "weir2=2; Path=/x"] and FORM.match(res.all("set-cookie")[2])


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 304), ("GET", 204), ("GET", 404), ("POST", 303)])
def test_answers_without_a_body_set_it_as_well(weir, backend, method, status):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(answer_bytes(status, b"", length=status not in (204, 304)))
    w = weir(sticky(backend(handler)))
    with w.client() as c:
        for _ in range(2):
            res = c.request(method, "/")
            assert res.status == status
            cookie = cookie_of(res)
        assert c.request(method, "/", headers=with_cookie(cookie)).all("set-cookie") == []


def test_an_upgrade_sets_it(weir, backend):
    def handler(conn):
        conn.read_head()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        conn.send(conn.read_exactly(4))
    w = weir(sticky(backend(handler)))
    with w.client() as c:
        c.ask("GET", "/", headers={"Connection": "Upgrade", "Upgrade": "echo"})
        res = c.answer_head()
        assert res.status == 101 and cookie_of(res)
        c.send(b"ping")
        assert c.read_exactly(4) == b"ping"


def test_an_error_of_the_proxys_own_sets_none(weir, refusing):
    w = weir(sticky(refusing))
    res = w.get("/")
    assert res.status == 503 and "set-cookie" not in res


def test_an_interim_answer_has_none(weir, backend):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        conn.answer(200, b"x")
    w = weir(sticky(backend(handler)))
    with w.client() as c:
        res = c.request("GET", "/")
    assert "set-cookie" not in res.interim[0] and cookie_of(res)


def test_without_ttl_it_ends_with_the_browser(weir, backend):
    w = weir(sticky(*named(backend, 2), pool={"sticky": {**STICKY, "ttl": "0"}}))
    form = re.compile(rf"weir=(.{{40}}); Path=/; HttpOnly; SameSite=Lax{SECURE}\Z")
    cookie = cookie_of(w.get("/"), form)
    first = where(w, cookie)
    assert not first[1] and where(w, cookie) == first


def test_a_name_of_ones_own(weir, backend):
    w = weir(sticky(*named(backend, 1), pool={"sticky": {**STICKY, "cookie": "srv"}}))
    res = w.get("/")
    assert res.get("set-cookie").startswith("srv=")
    value = res.get("set-cookie").split(";")[0]
    assert "set-cookie" not in w.get("/", headers={"Cookie": value})


def test_it_is_renewed_behind_half_of_its_time_and_void_behind_all_of_it(weir, backend):
    ttl = 4 if STRETCH == 1 else 8
    w = weir(sticky(*named(backend, 2), pool={"sticky": {**STICKY, "ttl": f"{ttl}s"}}))
    form = re.compile(rf"weir=(.{{40}}); Path=/; HttpOnly; SameSite=Lax{SECURE}; Max-Age={ttl}\Z")
    res = w.get("/")
    old, at = cookie_of(res, form), int(res.body)
    assert where(w, old) == (at, False)

    def renewed():
        res = w.get("/", headers=with_cookie(old))
        return res if res.all("set-cookie") else None
    res = eventually(renewed, 6)
    new = cookie_of(res, form)
    assert int(res.body) == at, "a renewed client moved"
    assert new != old and where(w, new)[0] == at
    # The old one has an end: then those who still show it are spread as anybody.
    eventually(lambda: len({where(w, old)[0] for _ in range(4)}) == 2, 8)


# -- the cookie in a request ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("before, after, left", [
    ("", "", None),
    ("a=1; ", "", "a=1"),
    ("", "; a=1", "a=1"),
    ("a=1; ", "; b=\"2 \";c=3", "a=1; b=\"2 \";c=3"),
    ("weirx=1; xweir=2; Weir=3; ", "; =4; 5", "weirx=1; xweir=2; Weir=3; =4; 5"),
], ids=["alone", "last", "first", "middle", "neighbours"])
def test_the_backend_sees_all_cookies_but_this_one(weir, backend, before, after, left):
    b = backend()
    w = weir(sticky(b))
    cookie = cookie_of(w.get("/"))
    assert "set-cookie" not in w.get("/", headers=with_cookie(cookie, before, after))
    assert b.requests[-1].get("cookie") == left


def test_a_cookie_that_is_not_ours_is_taken_out_as_well(weir, backend):
    b = backend()
    w = weir(sticky(b))
    assert cookie_of(w.get("/", headers={"Cookie": "a=1; weir=garbage"}))
    assert b.requests[-1].get("cookie") == "a=1"


def test_other_pools_leave_cookies_alone(pair):
    w, b = pair()
    assert "set-cookie" not in w.get("/", headers={"Cookie": "a=1;weir=x ;  b=2"})
    assert b.requests[-1].get("cookie") == "a=1;weir=x ;  b=2"


def test_one_of_that_name_from_a_neighbouring_site_does_not_hide_ours(weir, backend):
    w = weir(sticky(*named(backend, 3)))
    for i, cookie in enumerate(cookies_of(w, 3)):
        res = w.get("/", headers={"Cookie": f"weir={'A' * 40}; weir={cookie}"})
        assert (int(res.body), res.all("set-cookie")) == (i, [])


# -- whom it does not fool --------------------------------------------------------------------------------------------------
def forged(cookie):
    return {
        "changed": cookie[:20] + ("A" if cookie[20] != "A" else "B") + cookie[21:],
        "cut": cookie[:-1],
        "longer": cookie + "A",
        "other_alphabet": "+" + cookie[1:],
        "empty": "",
        "nul": "\\0" * 20,
        "garbage": "x" * 5000,
    }


@pytest.mark.parametrize("how", forged("x" * 40))
def test_a_cookie_that_was_tampered_with_is_none(weir, backend, how):
    w = weir(sticky(*named(backend, 2)))
    cookies = cookies_of(w, 2)
    assert {where(w, forged(cookies[0])[how]) for _ in range(8)} == {(0, True), (1, True)}


def test_a_cookie_of_another_pool_is_none(weir, backend):
    b = named(backend, 2)
    pools = [{"name": n, "backends": list(b), "sticky": STICKY} for n in ("one", "two")]
    w = weir({"listeners": [{"name": n, "pool": n} for n in ("one", "two")], "pools": pools})
    cookie = cookie_of(w.get("/", listener="one"))
    assert not where(w, cookie, listener="one")[1]
    assert all(where(w, cookie, listener="two")[1] for _ in range(4))


def test_secrets_are_rotated_without_a_session_lost(weir, backend):
    b = named(backend, 3)
    w = weir(sticky(*b))
    old = cookies_of(w, 3)
    both = sticky(*b, pool={"sticky": {"secret": ["a new secret, just as good", SECRET]}})
    w.reload(both)
    new = []
    for i, cookie in enumerate(old):
        res = w.get("/", headers=with_cookie(cookie))
        assert int(res.body) == i
        new.append(cookie_of(res))
    w.reload(sticky(*b, pool={"sticky": {"secret": "a new secret, just as good"}}))
    assert [where(w, c) for c in new] == [(0, False), (1, False), (2, False)]
    assert all(where(w, c)[1] for c in old)


def test_secrets_come_from_a_file_and_a_reload_reads_it_again(weir, backend, tmp_path):
    path = tmp_path / "secrets"
    path.write_text(SECRET + "\n")
    b = named(backend, 2)
    w = weir(sticky(*b, pool={"sticky": {"secret_file": str(path)}}))
    cookies = cookies_of(w, 2)
    assert [where(w, c) for c in cookies] == [(0, False), (1, False)]
    other = weir(sticky(*b))
    assert [where(other, c) for c in cookies] == [(0, False), (1, False)]
    path.write_text("another one, of enough bytes\n")
    w.reload()
    assert all(where(w, c)[1] for c in cookies)


def test_no_secret_is_told(weir, backend):
    w = weir(sticky(*named(backend, 1), log={"level": "debug"}))
    w.get("/")
    done = subprocess.run([BINARY, "--dump-config", "-c", w.path], capture_output=True, text=True)
    assert done.returncode == 0 and "secret is not shown" in done.stdout
    told = done.stdout + done.stderr + w.stderr() + w.stdout() + "".join(w.access_lines())
    for command in ("status", "config", "fibers"):
        told += w.ctl(command).stdout
    assert SECRET not in told


# -- when its backend can't be used -------------------------------------------------------------------------------------------
def test_a_client_whose_backend_is_gone_moves_once_and_stays(weir, backend):
    b = named(backend, 3)
    w = weir(sticky(*b))
    cookies = cookies_of(w, 3)
    b[1].stop()
    res = w.get("/", headers=with_cookie(cookies[1]))
    at = int(res.body)
    assert res.status == 200 and at != 1
    new = cookie_of(res)
    for _ in range(6):
        assert where(w, new) == (at, False)
    assert where(w, cookies[0]) == (0, False) and where(w, cookies[2]) == (2, False)


def test_a_backend_that_the_file_names_no_more_is_as_if_there_were_no_cookie(weir, backend):
    b = named(backend, 3)
    w = weir(sticky(*b))
    cookies = cookies_of(w, 3)
    w.reload(sticky(b[0], b[1]))
    at, new = where(w, cookies[2])
    assert at in (0, 1) and new


def test_weight_0_keeps_its_sessions_and_takes_no_new_ones(weir, backend):
    b = named(backend, 2)
    w = weir(sticky(*b))
    cookies = cookies_of(w, 2)
    w.reload(sticky({"address": b[0], "weight": 0}, {"address": b[1]}))
    for _ in range(5):
        assert where(w, cookies[0]) == (0, False)
        assert int(w.get("/").body) == 1


def test_a_full_backend_sends_its_client_elsewhere(weir, backend):
    gate = {"busy": False}

    def slow(conn):
        while (req := conn.read_request()) is not None:
            if req.target == "/hold":
                gate["busy"] = True
                eventually(lambda: not gate["busy"], 10)
            conn.answer(200, b"0")
    b = [backend(slow), backend(answering(b"1"))]
    w = weir(sticky({"address": b[0], "max_connections": 1}, {"address": b[1]}, daemon={"workers": 1}))
    cookie = cookies_of(w, 2)[0]
    with w.client() as c:
        c.ask("GET", "/hold", headers=with_cookie(cookie))
        eventually(lambda: gate["busy"])
        assert where(w, cookie) == (1, True)
        gate["busy"] = False
        assert c.answer().body == b"0"
    w.settle()
    assert where(w, cookie) == (0, False)


def test_a_kept_connection_that_was_dead_does_not_move_the_client(weir, backend):
    """The backend closes what is kept, just when a request is on its way: it is well, so the client stays with it."""
    def fickle(conn):
        served = 0
        while (req := conn.read_head()) is not None:
            req.stream.all()
            if served > 0 and req.target == "/again":
                conn.reset()
                return
            served += 1
            conn.answer(200, b"0")
    b = [backend(fickle), backend(answering(b"1"))]
    w = weir(sticky(*b, daemon={"workers": 1}))
    cookie = cookies_of(w, 2)[0]
    for _ in range(5):
        assert where(w, cookie) == (0, False)
        res = w.get("/again", headers=with_cookie(cookie))
        assert (res.status, res.body, res.all("set-cookie")) == (200, b"0", [])


def test_of_a_failed_try_no_cookie_is_left_over(weir, backend):
    """The first backend takes the request and breaks off: the cookie is of the one that answered."""
    def breaks(conn):
        conn.read_request()
        conn.reset()
    b = [backend(breaks), backend(answering(b"1"))]
    w = weir(sticky(*b, pool={"outlier": {"consecutive": 0, "ratio": 0}}))
    for _ in range(4):
        res = w.get("/")
        assert res.body == b"1"
        assert where(w, cookie_of(res)) == (1, False)


# -- the key of strategies that hash ----------------------------------------------------------------------------------------
HASHING = "ring_hash"


@pytest.fixture
def hashed(weir, backend, tmp_path):
    """hashed(key, n) -> Weir whose pool of n backends hashes that key."""
    path = tmp_path / "probe.conf"
    path.write_text(f'listeners = ( {{ bind = "127.0.0.1:1"; pool = "a"; }} ); pools = ( {{ name = "a"; strategy = "{HASHING}"; backends = [ "127.0.0.1:2" ]; }} );')
    if subprocess.run([BINARY, "-t", "-c", str(path)], capture_output=True).returncode != 0:
        pytest.skip(f"there is no strategy {HASHING} in this program")

    def start(key, n=4, **sections):
        return weir(simple(*named(backend, n), pool={"strategy": HASHING, "hash": {"key": key}}, **sections))
    return start


KEYS = {
    "header:X-User": lambda i: ("/", {"x-user": f"u{i}"}),
    "cookie:sid": lambda i: ("/", {"Cookie": f"a={i % 2}; sid=\"u{i}\"; b=2"}),
    "query:user": lambda i: (f"/x?a=1&user=u{i}&z={i}", {}),
    "path": lambda i: (f"/file/{i}?no=matter{i}", {}),
    "host": lambda i: ("/", {"Host": f"h{i}.example:80"}),
}


@pytest.mark.parametrize("key", KEYS)
def test_the_same_key_goes_to_the_same_backend_and_different_ones_are_spread(hashed, key):
    w = hashed(key)
    went = {}
    for round_ in range(3):
        for i in range(120):
            target, headers = KEYS[key](i)
            res = w.get(target, headers=headers)
            assert went.setdefault(i, res.body) == res.body
    assert len(set(went.values())) == 4


@pytest.mark.parametrize("key", [k for k in KEYS if k not in ("path", "host")] + ["sni"])
def test_without_the_key_chance_decides(hashed, key):
    w = hashed(key)
    assert len({w.get("/").body for _ in range(120)}) == 4


def test_a_client_is_its_address(hashed):
    w = hashed("client_ip")
    went = {}
    for _ in range(3):
        for i in range(2, 62):
            with w.client(source=f"127.0.0.{i}") as c:
                body = c.request("GET", "/").body
            assert went.setdefault(i, body) == body
    assert len(set(went.values())) > 1


def test_a_tcp_connection_goes_by_its_address(weir, backend, hashed):
    w = weir(simple(*named(backend, 4), listener={"mode": "tcp"}, pool={"strategy": HASHING}))
    went = {}
    for _ in range(3):
        for i in range(2, 26):
            with w.client(source=f"127.0.0.{i}") as c:
                body = c.request("GET", "/").body
            assert went.setdefault(i, body) == body
    assert len(set(went.values())) > 1


def test_behind_a_trusted_proxy_a_client_is_whom_that_names(hashed):
    w = hashed("client_ip", daemon={"trusted_proxies": ["127.0.0.1"]})
    went = {}
    for _ in range(3):
        for i in range(120):
            body = w.get("/", headers={"X-Forwarded-For": f"1.1.1.{i}, 203.0.113.{i}"}).body
            assert went.setdefault(i, body) == body
    assert len(set(went.values())) == 4
    w.logged(client="203.0.113.7")


def test_all_spellings_of_a_path_are_one_key(hashed):
    w = hashed("path")
    for i in range(8):
        assert len({w.get(p).body for p in (f"/a/{i}", f"/a//{i}", f"/./a/{i}", f"/%61/{i}", f"/b/../a/{i}?q")}) == 1


def test_explain_tells_key_and_value(hashed):
    w = hashed("header:X-User")
    done = subprocess.run([BINARY, "explain", "-c", w.path, "GET", "http://a/", "-H", "X-User: alice"], capture_output=True, text=True)
    assert 'hashed is header:X-User: "alice"' in done.stdout
    done = subprocess.run([BINARY, "explain", "-c", w.path, "GET", "http://a/"], capture_output=True, text=True)
    assert "hashed is header:X-User, which is absent: chance decides" in done.stdout


def test_a_cookie_comes_before_the_key(hashed, weir, backend):
    b = named(backend, 4)
    w = weir(sticky(*b, pool={"strategy": HASHING, "hash": {"key": "header:X-User"}}))
    first = w.get("/", headers={"X-User": "alice"})
    others = [w.get("/", headers={"X-User": f"u{i}"}) for i in range(40)]
    other = next(r for r in others if r.body != first.body)
    res = w.get("/", headers={"X-User": "alice", **with_cookie(cookie_of(other))})
    assert res.body == other.body and "set-cookie" not in res
