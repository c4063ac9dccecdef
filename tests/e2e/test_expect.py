"""100-continue from end to end, and other interim answers."""
import threading

import pytest

from lib.backend import answering
from lib.client import chunks
from lib.timing import eventually
from lib.wire import read_response_head

EXPECT = b"POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"


def continuing(conn):
    while (req := conn.read_head()) is not None:
        assert (req.get("expect") or "").lower() == "100-continue", req
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.answer(200, req.stream.all())


def test_a_client_that_expects_100_gets_it_from_the_backend(pair):
    w, b = pair(continuing)
    with w.client() as c:
        c.send(EXPECT)
        assert read_response_head(c).status == 100
        c.send(b"body")
        assert c.answer().body == b"body"


def test_the_connection_lives_on_after_a_100(pair):
    w, b = pair(continuing)
    with w.client() as c:
        for _ in range(3):
            c.send(EXPECT)
            assert read_response_head(c).status == 100
            c.send(b"body")
            assert c.answer().body == b"body"


def test_a_client_that_does_not_wait_for_the_100_is_served(pair):
    w, b = pair(continuing)
    with w.client() as c:
        c.send(EXPECT + b"body")
        assert c.answer().body == b"body"


def test_a_chunked_upload_may_expect_100(pair):
    w, b = pair(continuing)
    with w.client() as c:
        c.send(b"POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert read_response_head(c).status == 100
        c.send(chunks(b"streamed"))
        assert c.answer().body == b"streamed"


def test_no_100_is_made_up_while_the_backend_has_not_decided(pair):
    decide = threading.Event()

    def handler(conn):
        req = conn.read_head()
        decide.wait(10)
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.answer(200, req.stream.all())
    w, b = pair(handler)
    with w.client() as c:
        c.send(EXPECT)
        eventually(lambda: b.heads)
        assert not c.readable(0.1)
        decide.set()
        assert read_response_head(c).status == 100
        c.send(b"body")
        assert c.answer().body == b"body"


def test_a_backend_that_refuses_instead_of_100_is_heard_and_gets_no_body(pair):
    def handler(conn):
        conn.read_head()
        conn.answer(403, b"no", headers=[("Connection", "close")])
        conn.half_close()
        conn.backend.after = conn.read_all()
    w, b = pair(handler)
    with w.client() as c:
        c.send(EXPECT)
        res = c.answer()
        assert (res.status, res.body) == (403, b"no")
        c.close()
    eventually(lambda: hasattr(b, "after"))
    assert b.after == b""


def test_after_a_refusal_without_100_the_unsent_body_is_not_taken_for_a_request(pair):
    """The client may send the body or not; the proxy must not guess.  It closes, or reads the body if it comes."""
    def handler(conn):
        while (req := conn.read_head()) is not None:
            conn.answer(403, b"no")
            if req.method == "POST":
                return
    w, b = pair(handler)
    with w.client() as c:
        c.send(b"POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 32\r\n\r\n")
        assert c.answer().status == 403
        c.try_send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"[:32])
        c.read_all()
    assert "/smuggled" not in [r.target for r in b.heads]


def test_a_backend_that_answers_at_once_without_100_is_passed_on(pair):
    """It read the expectation, didn't care, and waits for no body."""
    def handler(conn):
        while (req := conn.read_head()) is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
            req.stream.all()
    w, b = pair(handler)
    with w.client() as c:
        c.send(EXPECT)
        res = c.answer()
        assert (res.status, res.body) == (200, b"early")


def test_an_http10_client_is_never_sent_an_interim_answer(pair):
    def handler(conn):
        req = conn.read_head()
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        conn.answer(200, req.stream.all())
    w, b = pair(handler)
    with w.client() as c:
        c.send(b"POST /up HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
        assert read_response_head(c).status == 200


def test_early_hints_pass_with_their_fields(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n")
        conn.answer(200, b"page")
    w, b = pair(handler)
    with w.client() as c:
        c.ask("GET", "/")
        res = c.answer()
    assert [(i.status, i.get("link")) for i in res.interim] == [(103, "</style.css>; rel=preload")]
    assert "x-hop" not in res.interim[0]
    assert res.body == b"page"


def test_early_hints_arrive_before_the_answer(pair):
    release = threading.Event()

    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        release.wait(10)
        conn.answer(200, b"page")
    w, b = pair(handler)
    with w.client() as c:
        c.ask("GET", "/")
        assert read_response_head(c).status == 103
        release.set()
        assert c.answer().body == b"page"


def test_several_interim_answers_pass_in_order(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n")
        conn.answer(200, b"page")
    w, b = pair(handler)
    res = w.get("/")
    assert [i.status for i in res.interim] == [102, 103, 103] and res.body == b"page"


def test_an_unasked_100_does_not_break_the_answer(pair):
    def handler(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            conn.answer(200, b"page")
    w, b = pair(handler)
    with w.client() as c:
        for _ in range(3):
            assert c.request("GET", "/").body == b"page"


@pytest.mark.parametrize("value", ["100-Continue", "100-CONTINUE"])
def test_the_expectation_is_known_in_any_case(pair, value):
    def handler(conn):
        req = conn.read_head()
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.answer(200, req.stream.all())
    w, b = pair(handler)
    with w.client() as c:
        c.send(EXPECT.replace(b"100-continue", value.encode()))
        assert read_response_head(c).status == 100
        c.send(b"body")
        assert c.answer().body == b"body"


def test_an_expectation_without_a_body_is_served(pair):
    w, b = pair(answering(b"x"))
    assert w.get("/", headers={"Expect": "100-continue"}).body == b"x"


def test_a_refusal_of_our_own_comes_instead_of_100(pair):
    w, b = pair(answering(), limits={"request_body": "10"})
    with w.client() as c:
        c.send(EXPECT.replace(b"Content-Length: 4", b"Content-Length: 400"))
        assert c.answer().status == 413
    assert b.heads == []
