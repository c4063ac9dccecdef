"""Being in the middle: hop-by-hop fields stop here, X-Forwarded-* and Via tell the truth, rules edit the rest."""
import re

import pytest

from conftest import simple
from lib import over
from lib.backend import answering
from lib.client import Client
from lib.weir import free_port

FORGED = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("Forwarded", "for=6.6.6.6")]


# -- hop-by-hop ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("field", [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "gzip"), ("Upgrade", "x")])
def test_a_hop_by_hop_field_of_a_request_stops_here(pair, field):
    w, b = pair()
    assert w.get("/", headers=[field]).status == 200
    assert field[0] not in b.requests[0]


@pytest.mark.parametrize("field", [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("Upgrade", "x")])
def test_a_hop_by_hop_field_of_an_answer_stops_here(pair, field):
    w, b = pair(answering(b"x", headers=[field]))
    assert field[0] not in w.get("/")


def test_fields_that_connection_lists_stop_here(pair):
    w, b = pair(answering(b"x", headers=[("Connection", "X-Back, close"), ("X-Back", "1"), ("X-Stay", "2")]))
    res = w.get("/", headers=[("Connection", "X-Secret ,  x-other"), ("X-Secret", "1"), ("X-Other", "2"), ("X-Stay", "3")])
    assert "x-secret" not in b.requests[0] and "x-other" not in b.requests[0]
    assert b.requests[0].get("x-stay") == "3"
    assert "x-back" not in res and res.get("x-stay") == "2"


def test_fields_of_repeated_connection_fields_all_stop_here(pair):
    w, b = pair()
    w.get("/", headers=[("Connection", "x-a"), ("Connection", "x-b"), ("X-A", "1"), ("X-B", "2")])
    assert "x-a" not in b.requests[0] and "x-b" not in b.requests[0]


@pytest.mark.parametrize("field", [("Cookie", "a=b"), ("Authorization", "Basic eDp5"), ("Host", "a.example")])
def test_connection_cannot_take_away_an_end_to_end_field(pair, field):
    w, b = pair()
    w.get("/", headers=[("Connection", field[0]), field])
    assert b.requests[0].get(field[0]) == field[1]


def test_connection_cannot_take_away_what_the_proxy_adds(pair):
    w, b = pair()
    w.get("/", headers=[("Connection", "X-Forwarded-For, X-Forwarded-Proto, Via, Forwarded")])
    assert b.requests[0].get("x-forwarded-for") == "127.0.0.1"
    assert b.requests[0].get("x-forwarded-proto") == over.SCHEME
    assert b.requests[0].get("via")


def test_te_trailers_passes_alone(pair):
    w, b = pair()
    w.get("/", headers=[("TE", "gzip, trailers, deflate;q=0.5"), ("Connection", "TE")])
    assert (b.requests[0].get("te") or "trailers").lower() == "trailers"


def test_close_toward_the_client_is_not_told_to_the_backend(pair):
    w, b = pair()
    for _ in range(3):
        w.get("/", headers={"Connection": "close"})
    assert all("close" not in (r.get("connection") or "") for r in b.requests)


# -- end-to-end fields ----------------------------------------------------------------------------------------------------
def test_ordinary_fields_pass_unchanged_and_in_order(pair):
    fields = [("X-One", "1"), ("x-two", "  spaced   inside  ".strip()), ("X-Three", ""), ("X-One", "again"), ("X-Weird!#$%&'*+-.^_`|~", "v"),
              ("X-High", "caf\xe9"), ("X-Tab", "a\tb"), ("X-Quote", '"a, b"'), ("Accept-Encoding", "gzip, br")]
    w, b = pair(answering(b"x", headers=fields))
    res = w.get("/", headers=fields)
    for got in (b.requests[0], res):
        mine = [(k.lower(), v) for k, v in got.headers if k.lower().startswith("x-") and not k.lower().startswith("x-forwarded")]
        assert mine == [(k.lower(), v) for k, v in fields if k.startswith(("X-", "x-"))]
    assert b.requests[0].get("accept-encoding") == "gzip, br"


def test_several_set_cookie_fields_stay_several(pair):
    w, b = pair(answering(b"x", headers=[("Set-Cookie", "a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT"), ("Set-Cookie", "b=2")]))
    assert w.get("/").all("set-cookie") == ["a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT", "b=2"]


def test_date_and_server_of_the_backend_pass(pair):
    w, b = pair(answering(b"x", headers=[("Server", "their/1.0"), ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")]))
    res = w.get("/")
    assert res.get("server") == "their/1.0" and res.get("date") == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_hundred_fields_pass(pair):
    w, b = pair()
    w.get("/", headers=[(f"X-{i}", str(i)) for i in range(90)])
    assert all(b.requests[0].get(f"x-{i}") == str(i) for i in range(90))


# -- X-Forwarded-*, Forwarded ---------------------------------------------------------------------------------------------
def test_x_forwarded_fields_say_who_where_and_how(pair):
    w, b = pair()
    w.get("/", headers={"Host": "shop.example:8080"})
    req = b.requests[0]
    assert (req.get("x-forwarded-for"), req.get("x-forwarded-proto"), req.get("x-forwarded-host")) == ("127.0.0.1", over.SCHEME, "shop.example:8080")
    assert "forwarded" not in req


def test_what_a_stranger_says_about_forwarding_is_replaced(pair):
    w, b = pair()
    w.get("/", headers=FORGED)
    req = b.requests[0]
    assert req.all("x-forwarded-for") == ["127.0.0.1"] and req.all("x-forwarded-proto") == [over.SCHEME]
    assert req.all("x-forwarded-host") == ["test.example"] and "forwarded" not in req


def test_a_trusted_proxy_has_its_chain_continued(pair):
    w, b = pair(daemon={"trusted_proxies": ["127.0.0.0/8"]})
    w.get("/", headers=FORGED)
    req = b.requests[0]
    assert re.split(r"\s*,\s*", ",".join(req.all("x-forwarded-for"))) == ["6.6.6.6", "127.0.0.1"]
    assert req.get("x-forwarded-proto") == "https" and req.get("x-forwarded-host") == "evil.example"


def test_trust_is_by_address(weir, backend):
    b = backend()
    w = weir(simple(b, daemon={"trusted_proxies": ["127.0.0.2"]}))
    with w.client(source="127.0.0.2") as c:
        c.request("GET", "/", headers=FORGED)
    with w.client(source="127.0.0.3") as c:
        c.request("GET", "/", headers=FORGED)
    assert "6.6.6.6" in ",".join(b.requests[0].all("x-forwarded-for"))
    assert b.requests[1].all("x-forwarded-for") == ["127.0.0.3"]


def test_rfc7239_says_it_in_forwarded_alone(pair):
    w, b = pair(listener={"forwarded": "rfc7239"})
    w.get("/", headers=FORGED)
    req = b.requests[0]
    assert not [k for k, _ in req.headers if k.lower().startswith("x-forwarded")]
    parts = dict(p.split("=", 1) for p in req.get("forwarded").replace(" ", "").lower().split(";"))
    assert parts["for"].strip('"') == "127.0.0.1" and parts["proto"] == over.SCHEME and parts["host"].strip('"') == "test.example"


def test_rfc7239_quotes_ipv6(weir, backend):
    b = backend()
    w = weir(simple(b, listener={"forwarded": "both", "bind": f"[::1]:{free_port()}"}))
    w.get("/")
    assert 'for="[::1]"' in b.requests[0].get("forwarded").lower()
    assert b.requests[0].get("x-forwarded-for") == "::1"


def test_both_says_it_twice(pair):
    w, b = pair(listener={"forwarded": "both"})
    w.get("/")
    assert b.requests[0].get("x-forwarded-for") == "127.0.0.1" and "127.0.0.1" in b.requests[0].get("forwarded")


def test_off_says_nothing_and_still_drops_forgeries(pair):
    w, b = pair(listener={"forwarded": "off"})
    w.get("/", headers=FORGED)
    assert not [k for k, _ in b.requests[0].headers if "forwarded" in k.lower()]


def test_a_route_may_differ_from_its_listener_in_forwarded(weir, backend):
    b = backend()
    w = weir(simple(b, routes=[{"name": "off", "path": "/off", "pool": "app", "forwarded": "off"}]))
    w.get("/off")
    w.get("/on")
    assert "x-forwarded-for" not in b.requests[0] and b.requests[1].get("x-forwarded-for") == "127.0.0.1"


# -- Via ------------------------------------------------------------------------------------------------------------------
@pytest.mark.http1("the version in Via")
def test_via_is_added_both_ways(pair):
    w, b = pair(answering(b"x"))
    res = w.get("/")
    assert re.fullmatch(r"1\.1 \S+.*", b.requests[0].get("via")) and re.fullmatch(r"1\.1 \S+.*", res.get("via"))


@pytest.mark.http1("the version in Via")
def test_via_is_appended_to_what_there_is(pair):
    w, b = pair(answering(b"x", headers=[("Via", "1.0 origin")]))
    res = w.get("/", headers={"Via": "1.1 first"})
    assert ", ".join(b.requests[0].all("via")).startswith("1.1 first, 1.1 ")
    assert ", ".join(res.all("via")).startswith("1.0 origin, 1.1 ")


def test_via_can_be_turned_off(pair):
    w, b = pair(answering(b"x"), listener={"via": False})
    assert "via" not in w.get("/") and "via" not in b.requests[0]


# -- rules ----------------------------------------------------------------------------------------------------------------
def test_request_rules_set_add_and_remove(pair):
    w, b = pair(listener={"request_headers": ["set X-Set: new", "add X-Add: second", "remove X-Gone"]})
    w.get("/", headers=[("X-Set", "old"), ("X-Set", "older"), ("X-Add", "first"), ("x-gone", "1"), ("X-GONE", "2")])
    req = b.requests[0]
    assert req.all("x-set") == ["new"] and req.all("x-add") == ["first", "second"] and "x-gone" not in req


def test_response_rules_set_add_and_remove(pair):
    w, b = pair(answering(b"x", headers=[("Server", "secret/1.2"), ("X-Add", "1")]),
                listener={"response_headers": ["remove Server", "set Strict-Transport-Security: max-age=31536000", "add X-Add: 2"]})
    res = w.get("/")
    assert "server" not in res and res.get("strict-transport-security") == "max-age=31536000" and res.all("x-add") == ["1", "2"]


def test_route_rules_come_after_the_listeners(weir, backend):
    b = backend()
    w = weir(simple(b, listener={"request_headers": ["set X-Where: listener"]},
                    routes=[{"name": "r", "path": "/r", "pool": "app", "request_headers": ["set X-Where: route"], "response_headers": ["set X-Route: r"]}]))
    assert w.get("/r").get("x-route") == "r"
    assert "x-route" not in w.get("/other")
    assert [r.get("x-where") for r in b.requests] == ["route", "listener"]


def test_rules_apply_to_our_own_answers_too(weir, backend):
    b = backend()
    w = weir(simple(b, listener={"response_headers": ["set X-Always: yes"]}, routes=[{"name": "own", "path": "/own", "respond": {"status": 200, "body": "own"}}]))
    assert w.get("/own").get("x-always") == "yes"


def test_a_rule_may_set_the_host(pair):
    w, b = pair(listener={"request_headers": ["set Host: internal.example"]})
    w.get("/")
    assert b.requests[0].get("host") == "internal.example"


# -- the proxy over a Unix socket -----------------------------------------------------------------------------------------
def test_a_client_on_a_unix_socket_has_no_address_to_tell(weir, backend):
    import tempfile
    with tempfile.TemporaryDirectory(prefix="we-", dir="/tmp") as d:
        b = backend()
        w = weir(simple(b, listener={"bind": f"unix:{d}/s"}))
        with Client(f"{d}/s") as c:
            assert c.request("GET", "/").status == 200
        assert b.requests[0].get("x-forwarded-proto") == over.SCHEME
        assert b.requests[0].get("x-forwarded-for") in (None, "unix", "unknown")


@pytest.mark.parametrize("where", ["listener", "route"])
def test_what_a_rule_removes_or_sets_is_no_trailer_either(weir, backend, where):
    fields = b"X-Gone: 1\r\nx-set: theirs\r\nX-Add: 2\r\nX-Sum: 3\r\n"
    rules = ["remove X-Gone", "set X-Set: ours", "add X-Add: ours"]

    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + fields + b"\r\n")

    b = backend(handler)
    edits = {"request_headers": rules, "response_headers": rules}
    w = weir(simple(b, **({"listener": edits} if where == "listener" else {"routes": [{"name": "r", "path": "/*", "pool": "app", **edits}]})))
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + fields + b"\r\n")
        assert [k.lower() for k, _ in c.answer().trailers] == ["x-add", "x-sum"]
    assert [k.lower() for k, _ in b.requests[0].trailers] == ["x-add", "x-sum"]
