"""Every error has its status, its reason in log and metric and (asked for) Proxy-Status, and a page."""
import threading

import pytest

from conftest import simple
from lib.backend import answering, raw_answer
from lib.client import Client, request_bytes
from lib.timing import eventually, ms

H = b"Host: a\r\n"
CLIENT_ERRORS = [
    # bytes, status, reason
    (b"GET / HTTP/1.1 x\r\n" + H + b"\r\n", 400, "bad_request_line"),
    (b"GET nopath HTTP/1.1\r\n" + H + b"\r\n", 400, "bad_target"),
    (b"GET / HTTP/1.1\r\n" + H + b"Bad Header: x\r\n\r\n", 400, "bad_header"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "bad_host"),
    (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_framing"),
    (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: x\r\n\r\n", 400, "bad_framing"),
    (b"POST / HTTP/1.1\r\n" + H + b"Expect: magic\r\nContent-Length: 0\r\n\r\n", 417, "bad_expect"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + H + b"\r\n", 414, "uri_too_long"),
    (b"GET / HTTP/1.1\r\n" + H + b"X: " + b"a" * 33000 + b"\r\n\r\n", 431, "header_too_large"),
    (b"GET / HTTP/1.1\r\n" + H + b"".join(b"X%d: y\r\n" % i for i in range(101)) + b"\r\n", 431, "too_many_headers"),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "method_unsupported"),
    (b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "coding_unsupported"),
    (b"GET / HTTP/2.0\r\n" + H + b"\r\n", 505, "version_unsupported"),
    (b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5000\r\n\r\n", 413, "body_too_large"),
    (b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_chunk"),
]


@pytest.mark.parametrize("data,status,reason", CLIENT_ERRORS, ids=[f"{r}-{i}" for i, (_, _, r) in enumerate(CLIENT_ERRORS)])
def test_a_clients_error_has_its_status_and_reason_everywhere(pair, data, status, reason):
    w, b = pair(limits={"request_body": "1K"}, listener={"proxy_status": True})
    with w.client() as c:
        c.send(data)
        res = c.answer()
        assert res.status == status, res
        assert res.closes and c.at_end()
    assert w.logged(status=status)["reason"] == reason
    assert w.metric("weir_failures_total", reason=reason) == 1
    assert w.metric("weir_requests_total", code=status) == 1
    assert "error=http_request_error" in res.get("proxy-status")


def check_backend_error(w, status, reasons, proxy_errors, method="GET", body=None):
    with w.client() as c:
        res = c.request(method, "/", body=body)
    assert res.status == status, res
    entry = w.logged(status=status)
    assert entry["reason"] in reasons, entry
    assert w.metric("weir_failures_total", reason=entry["reason"]) == 1
    assert any(f"error={p}" in res.get("proxy-status") for p in proxy_errors), res.get("proxy-status")
    return res, entry


TOLD = {"proxy_status": True}


def test_a_refused_connection_is_a_503(weir, refusing):
    w = weir(simple(refusing, listener=TOLD))
    res, entry = check_backend_error(w, 503, ["connect_refused"], ["connection_refused"])
    assert entry["backend"] == refusing.text and entry["pool"] == "app"


def test_a_connection_that_never_comes_is_a_504(weir, blackhole):
    w = weir(simple(blackhole, listener=TOLD, timeouts={"connect": ms(150)}))
    check_backend_error(w, 504, ["connect_timeout"], ["connection_timeout"])


def test_a_missing_unix_socket_is_a_503(weir):
    w = weir(simple("unix:/tmp/weir-e2e-no-such-socket", listener=TOLD))
    check_backend_error(w, 503, ["connect_refused", "connect_failed"], ["connection_refused", "destination_ip_unroutable"])


def test_a_backend_that_closes_is_a_502(pair):
    w, b = pair(lambda conn: conn.read_request(), listener=TOLD)
    check_backend_error(w, 502, ["backend_closed"], ["connection_terminated"], "POST", b"x")


def test_a_backend_that_resets_is_a_502(pair):
    w, b = pair(lambda conn: (conn.read_request(), conn.reset()), listener=TOLD)
    check_backend_error(w, 502, ["backend_reset"], ["connection_terminated"], "POST", b"x")


def test_a_malformed_answer_is_a_502(pair):
    w, b = pair(raw_answer(b"BOGUS\r\n\r\n"), listener=TOLD)
    check_backend_error(w, 502, ["bad_response"], ["http_protocol_error"])


def test_an_ambiguous_answer_is_a_502(pair):
    w, b = pair(raw_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), listener=TOLD)
    check_backend_error(w, 502, ["bad_response_framing"], ["http_protocol_error"])


def test_a_head_that_is_too_large_is_a_502(pair):
    w, b = pair(raw_answer(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40000 + b"\r\n\r\n"), listener=TOLD)
    check_backend_error(w, 502, ["response_header_too_large"], ["http_response_header_section_size"])


def test_a_backend_that_says_nothing_is_a_504(pair):
    done = threading.Event()
    w, b = pair(lambda conn: (conn.read_request(), done.wait(20)), listener=TOLD, timeouts={"first_byte": ms(150)})
    check_backend_error(w, 504, ["first_byte_timeout"], ["http_response_timeout"])
    done.set()


def test_a_pool_without_usable_backends_is_a_503(weir, backend):
    b = backend()
    w = weir(simple({"address": b, "weight": 0}, listener=TOLD))
    check_backend_error(w, 503, ["no_backend"], ["destination_unavailable"])


def test_no_route_is_a_404(weir, backend):
    b = backend()
    w = weir({"listeners": [{"name": "web", **TOLD}], "routes": [{"path": "/x", "pool": "app"}], "pools": [{"name": "app", "backends": [b]}]})
    check_backend_error(w, 404, ["no_route"], ["destination_not_found"])


def test_a_slow_request_head_is_a_408(pair):
    w, b = pair(timeouts={"request_header": ms(1000)}, listener=TOLD)
    with w.client() as c:
        c.send(b"GET / HTTP/1.1\r\n")
        res = c.answer()
        assert res.status == 408 and res.closes and c.at_end()
    assert w.logged(status=408)["reason"] == "request_timeout"


def test_proxy_status_is_not_told_unless_asked_for(weir, refusing):
    w = weir(simple(refusing))
    assert "proxy-status" not in w.get("/")


def test_a_backends_own_error_is_not_ours(pair):
    w, b = pair(answering(b"theirs", status=503), listener=TOLD)
    res = w.get("/")
    assert (res.status, res.body) == (503, b"theirs")
    assert w.logged(status=503)["reason"] in ("ok", "")


def test_an_error_page_says_what_happened_and_nothing_about_us(weir, refusing):
    w = weir(simple(refusing))
    res = w.get("/")
    assert res.body and refusing.text.encode() not in res.body
    assert res.get("content-type", "").startswith("text/")


def test_the_error_pages_of_the_file_are_used(weir, refusing, tmp_path):
    (tmp_path / "503.html").write_text("<h1>sorry</h1>")
    (tmp_path / "other.json").write_text('{"error": true}')
    w = weir(simple(refusing, error_pages=[{"status": 503, "file": str(tmp_path / "503.html")}, {"status": 0, "file": str(tmp_path / "other.json")}]))
    res = w.get("/")
    assert (res.status, res.body) == (503, b"<h1>sorry</h1>") and res.get("content-type").startswith("text/html")
    with w.client() as c:
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        res = c.answer()
    assert (res.status, res.body) == (400, b'{"error": true}') and res.get("content-type").startswith("application/json")


def test_an_error_page_to_a_head_has_no_body(weir, refusing):
    w = weir(simple(refusing))
    with w.client() as c:
        res = c.request("HEAD", "/")
        assert res.status == 503 and res.body == b""


def test_after_a_backends_error_the_client_may_go_on(weir, refusing):
    w = weir(simple(refusing))
    with w.client() as c:
        for _ in range(3):
            res = c.request("GET", "/")
            assert res.status == 503 and not res.closes


def test_an_error_in_an_upload_does_not_leave_the_body_to_be_read_as_a_request(weir, refusing):
    w = weir(simple(refusing))
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\n" + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"[:34])
        assert c.answer().status == 503
        try:
            res = c.request("GET", "/next")
            assert res.status == 503
        except Exception:
            pass
    entries = eventually(lambda: w.access())
    assert "/smuggled" not in [e["target"] for e in entries]


def test_a_body_beyond_the_limit_is_a_413_also_when_chunked(pair):
    w, b = pair(limits={"request_body": "1K"})
    with w.client() as c:
        c.try_send(request_bytes("POST", "/", body=b"x" * 5000, chunked=True))
        assert c.answer().status == 413
    assert w.logged(status=413)["reason"] == "body_too_large"
    assert not [r for r in b.requests]


def test_a_body_at_the_limit_passes(pair):
    w, b = pair(limits={"request_body": "1K"})
    assert w.request("POST", "/", body=b"x" * 1024).status == 200
    assert w.request("POST", "/", body=b"x" * 1024, chunked=True).status == 200


@pytest.mark.parametrize("limits,data,status", [
    ({"request_header": "2K", "request_line": "1K"}, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"a" * 2100 + b"\r\n\r\n", 431),
    ({"request_header": "2K", "request_line": "1K"}, b"GET /" + b"a" * 1100 + b" HTTP/1.1\r\n" + H + b"\r\n", 414),
    ({"headers": 10}, b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n" * 10 + b"\r\n", 431),
])
def test_the_limits_of_heads_are_as_configured(pair, limits, data, status):
    w, b = pair(limits=limits)
    with w.client() as c:
        c.send(data)
        assert c.answer().status == status
    assert b.heads == []


def test_a_head_that_is_too_large_is_refused_before_it_ends(pair):
    w, b = pair()
    with w.client() as c:
        c.try_send(b"GET / HTTP/1.1\r\n" + H + b"X: " + b"a" * 100000)
        assert c.answer().status == 431
        assert c.at_end()


def test_a_refusal_reaches_a_client_that_is_still_sending(pair):
    """The answer must not be lost in a reset because bytes were left unread."""
    w, b = pair(limits={"request_body": "1K"})
    for _ in range(10):
        with Client(w.address()) as c:
            c.try_send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 3000000\r\n\r\n")
            for _ in range(46):
                if not c.try_send(b"x" * 65536):
                    break
            assert c.answer().status == 413
