"""Ordinary requests: methods, versions, connections, targets, sockets of every kind."""
import os
import socket
import tempfile
import time

import pytest

from conftest import simple
from lib.backend import answering, echo_request
from lib.client import Client, request_bytes
from lib.timing import eventually
from lib.weir import free_port


def test_a_get_is_answered_with_the_backends_answer(pair):
    w, b = pair(answering(b"hello", headers=[("X-From", "backend")]))
    res = w.get("/path?q=1")
    assert (res.status, res.body, res.get("x-from")) == (200, b"hello", "backend")
    assert (b.requests[0].method, b.requests[0].target) == ("GET", "/path?q=1")


def test_a_head_is_answered_with_the_length_and_no_body(pair):
    def handler(conn):
        while (req := conn.read_request()) is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
    w, b = pair(handler)
    with w.client() as c:
        first = c.request("HEAD", "/")
        second = c.request("HEAD", "/again")
    assert (first.get("content-length"), first.body) == ("1234", b"")
    assert second.status == 200
    assert b.requests[0].method == "HEAD"


@pytest.mark.parametrize("size", [0, 1, 4095, 65536, 1 << 20])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_reaches_the_backend_whole(pair, method, size):
    w, b = pair(echo_request)
    body = os.urandom(size)
    res = w.request(method, "/up", body=body)
    assert res.body == body
    assert b.requests[0].body == body and b.requests[0].get("content-length") == str(size)


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "X"])
def test_other_methods_pass_by_their_name(pair, method):
    w, b = pair(answering(b"done"))
    assert w.request(method, "/r").body == b"done"
    assert b.requests[0].method == method


def test_options_of_the_whole_server_passes_with_its_asterisk(pair):
    w, b = pair(answering())
    assert w.request("OPTIONS", "*").status == 200
    assert b.requests[0].target == "*"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_body_leave_the_connection_usable(pair, status):
    def handler(conn):
        while (req := conn.read_request()) is not None:
            conn.send(f"HTTP/1.1 {status} X\r\nETag: \"a\"\r\n\r\n".encode())
    w, _ = pair(handler)
    with w.client() as c:
        first = c.request("GET", "/1")
        second = c.request("GET", "/2")
    assert (first.status, first.get("etag"), first.body) == (status, '"a"', b"")
    assert second.status == status


def test_a_304_may_say_how_long_the_body_would_be(pair):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")
    w, _ = pair(handler)
    with w.client() as c:
        assert c.request("GET", "/").status == 304
        assert c.request("GET", "/").status == 304


@pytest.mark.parametrize("status", [200, 201, 206, 301, 302, 400, 404, 418, 429, 500, 503, 599])
def test_a_status_of_the_backend_passes_as_it_is(pair, status):
    w, _ = pair(answering(b"body", status=status))
    res = w.get("/")
    assert (res.status, res.body) == (status, b"body")


def test_an_http10_client_gets_an_answer_and_the_end_of_the_connection(pair):
    w, b = pair(answering(b"old"))
    with w.client() as c:
        res = c.request("GET", "/", version="1.0")
        assert res.body == b"old"
        assert c.at_end()
    assert b.requests[0].minor == 1


def test_an_http10_client_that_asks_may_keep_its_connection(pair):
    w, b = pair(answering(b"old"))
    with w.client() as c:
        first = c.request("GET", "/1", headers={"Connection": "keep-alive"}, version="1.0")
        assert (first.get("connection") or "").lower() == "keep-alive"
        assert c.request("GET", "/2", headers={"Connection": "keep-alive"}, version="1.0").body == b"old"


def test_an_http10_client_needs_no_host(pair):
    w, b = pair(answering(b"old"))
    with w.client() as c:
        assert c.request("GET", "/", version="1.0", host=None).status == 200


def test_an_http10_client_gets_a_chunked_answer_without_chunks(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    w, _ = pair(handler)
    with w.client() as c:
        res = c.request("GET", "/", version="1.0")
    assert "transfer-encoding" not in res
    assert res.body == b"onetwo"


def test_an_answer_of_an_http10_backend_ends_with_its_connection(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    w, _ = pair(handler)
    with w.client() as c:
        assert c.request("GET", "/").body == b"all of it"


def test_a_connection_serves_many_requests(pair):
    w, b = pair(echo_request)
    with w.client() as c:
        for i in range(200):
            assert c.request("POST", f"/{i}", body=b"%d" % i).body == b"%d" % i
    assert len(b.requests) == 200


def test_connection_close_is_obeyed_and_told(pair):
    w, _ = pair(answering(b"x"))
    with w.client() as c:
        res = c.request("GET", "/", headers={"Connection": "close"})
        assert res.body == b"x" and res.closes
        assert c.at_end()


def test_a_backend_that_closes_does_not_close_the_client(pair):
    w, b = pair(answering(b"x", headers=[("Connection", "close")], then_close=True))
    with w.client() as c:
        for _ in range(5):
            res = c.request("GET", "/")
            assert res.body == b"x" and not res.closes
    assert b.connections == 5


def test_pipelined_requests_are_answered_in_order(pair):
    w, b = pair(echo_request)
    with w.client() as c:
        c.send(b"".join(request_bytes("POST", f"/{i}", body=b"body %d" % i) for i in range(50)))
        assert [c.answer().body for _ in range(50)] == [b"body %d" % i for i in range(50)]
    assert [r.target for r in b.requests] == [f"/{i}" for i in range(50)]


def test_pipelined_requests_may_come_in_any_pieces(pair):
    w, _ = pair(echo_request)
    data = b"".join(request_bytes("POST", f"/{i}", body=b"body %d" % i, chunked=i % 2 == 1) for i in range(8))
    with w.client() as c:
        for i in range(0, len(data), 7):
            c.send(data[i:i + 7])
        assert [c.answer().body for _ in range(8)] == [b"body %d" % i for i in range(8)]


def test_a_request_that_comes_byte_by_byte_is_served(pair):
    w, b = pair(echo_request)
    with w.client() as c:
        for byte in request_bytes("POST", "/slow", body=b"tiny"):
            c.send(bytes([byte]))
        assert c.answer().body == b"tiny"


def test_nothing_after_a_request_with_close_is_served(pair):
    w, b = pair(answering(b"x"))
    with w.client() as c:
        c.send(request_bytes("GET", "/1", headers={"Connection": "close"}) + request_bytes("GET", "/2"))
        assert c.answer().body == b"x"
        assert c.at_end()
    assert [r.target for r in b.requests] == ["/1"]


def test_a_client_that_half_closes_still_gets_its_answer(pair):
    def handler(conn):
        conn.read_request()
        time.sleep(0.05)  # long enough for the end of the client's stream to arrive first
        conn.answer(200, b"late" * 10000)
    w, _ = pair(handler)
    with w.client() as c:
        c.send(request_bytes("GET", "/"))
        c.half_close()
        assert c.answer().body == b"late" * 10000
        assert c.at_end()


def test_a_client_that_half_closes_gets_all_its_pipelined_answers(pair):
    w, _ = pair(echo_request)
    with w.client() as c:
        c.send(b"".join(request_bytes("POST", f"/{i}", body=b"%d" % i) for i in range(10)))
        c.half_close()
        assert [c.answer().body for _ in range(10)] == [b"%d" % i for i in range(10)]
        assert c.at_end()


def test_an_absolute_target_is_sent_on_in_origin_form_with_its_host(pair):
    w, b = pair(answering())
    assert w.get("http://other.example:81/a?b", headers={"Host": "ignored.example"}).status == 200
    assert b.requests[0].target == "/a?b"
    assert b.requests[0].get("host") == "other.example:81"


def test_an_absolute_target_without_path_means_the_root(pair):
    w, b = pair(answering())
    assert w.get("http://other.example").status == 200
    assert b.requests[0].target == "/"


@pytest.mark.parametrize("target", ["/a%20b%2Fc", "/a//b/../c/./d", "/?", "/?a=b&c=%00", "/;x=1", "/a?b?c", "/" + "p" * 2000,
                                    "/~user/!$&'()*+,;=:@", "/%e2%82%ac", "//double"])
def test_a_target_reaches_the_backend_unchanged(pair, target):
    w, b = pair(answering())
    assert w.get(target).status == 200
    assert b.requests[0].target == target


def test_range_requests_and_answers_pass_untouched(pair):
    w, b = pair(answering(b"part", status=206, headers=[("Content-Range", "bytes 0-3/100"), ("Accept-Ranges", "bytes")]))
    res = w.get("/", headers={"Range": "bytes=0-3", "If-Range": '"v"'})
    assert (res.status, res.get("content-range"), res.body) == (206, "bytes 0-3/100", b"part")
    assert b.requests[0].get("range") == "bytes=0-3" and b.requests[0].get("if-range") == '"v"'


def test_host_is_preserved(pair):
    w, b = pair(answering())
    w.get("/", headers={"Host": "shop.example:8080"})
    assert b.requests[0].get("host") == "shop.example:8080"


def test_a_body_of_a_get_reaches_the_backend(pair):
    w, b = pair(echo_request)
    assert w.request("GET", "/", body=b"query").body == b"query"


def test_one_empty_line_before_a_request_is_forgiven(pair):
    w, b = pair(answering(b"x"))
    with w.client() as c:
        c.send(b"\r\n" + request_bytes("GET", "/"))
        assert c.answer().body == b"x"


def test_ipv6_works_on_both_sides(weir, backend):
    b = backend(answering(b"six"), kind="tcp6")
    w = weir(simple(b, listener={"bind": f"[::1]:{free_port()}"}))
    assert w.get("/", host="[::1]").body == b"six"


def test_a_wildcard_ipv6_listener_takes_ipv4_too_or_says_no(weir, backend):
    b = backend(answering(b"any"))
    w = weir(simple(b, listener={"bind": f"[::]:{free_port()}"}))
    assert w.get("/").body == b"any"
    with Client(("127.0.0.1", w.address()[1])) as c:
        assert c.request("GET", "/").body == b"any"


def test_unix_sockets_work_on_both_sides(weir, backend):
    with tempfile.TemporaryDirectory(prefix="we-", dir="/tmp") as d:
        b = backend(answering(b"unix"), kind="unix", path=f"{d}/backend.sock")
        w = weir(simple(b, listener={"bind": f"unix:{d}/front.sock"}))
        with w.client() as c:
            assert c.request("GET", "/").body == b"unix"
            assert c.request("GET", "/").body == b"unix"


def test_a_stale_unix_socket_file_does_not_hinder_the_start(weir, backend):
    with tempfile.TemporaryDirectory(prefix="we-", dir="/tmp") as d:
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(f"{d}/front.sock")
        stale.close()
        b = backend(answering(b"unix"))
        w = weir(simple(b, listener={"bind": f"unix:{d}/front.sock"}))
        assert w.get("/").body == b"unix"


def test_several_listeners_serve_at_once(weir, backend):
    a, b = backend(answering(b"a")), backend(answering(b"b"))
    w = weir({"listeners": [{"name": "one", "pool": "a"}, {"name": "two", "pool": "b"}],
              "pools": [{"name": "a", "backends": [a]}, {"name": "b", "backends": [b]}]})
    assert w.get("/", listener="one").body == b"a"
    assert w.get("/", listener="two").body == b"b"


def test_the_file_of_two_lines_is_a_working_proxy(weir, backend):
    b = backend(answering(b"small"))
    port = free_port()
    w = weir(f'daemon = {{ control = "off"; }};\nlisteners = ( {{ bind = "127.0.0.1:{port}"; pool = "app"; }} );\n'
             f'pools     = ( {{ name = "app"; backends = [ "{b}" ]; }} );\n')
    with Client(("127.0.0.1", port)) as c:
        assert c.request("GET", "/").body == b"small"


def test_many_clients_at_once_get_their_own_answers(pair):
    w, _ = pair(echo_request)
    clients = [w.client() for _ in range(100)]
    for i, c in enumerate(clients):
        c.ask("POST", f"/{i}", body=b"mine %d" % i)
    for i, c in enumerate(clients):
        assert c.answer().body == b"mine %d" % i
        c.close()


def test_a_client_that_leaves_has_its_request_given_up(pair):
    gone = []

    def handler(conn):
        conn.read_head()
        try:
            gone.append(conn.at_end())
        except Exception as e:
            gone.append(e)
    w, b = pair(handler)
    c = w.client()
    c.ask("GET", "/")
    eventually(lambda: b.heads, what="the request reaching the backend")
    c.reset()
    assert eventually(lambda: gone, what="the backend being let go") == [True]


def test_the_log_has_a_request_that_the_client_gave_up(pair):
    def handler(conn):
        conn.read_head()
        conn.at_end()
    w, b = pair(handler)
    c = w.client()
    c.ask("GET", "/")
    eventually(lambda: b.heads)
    c.reset()
    entry = eventually(lambda: w.access(), what="a log line")[0]
    assert entry["reason"] in ("client_reset", "client_closed"), entry
