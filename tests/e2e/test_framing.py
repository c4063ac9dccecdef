"""
Requests that two parsers could read differently are refused and their connection closed; the backend sees nothing of
them.  RFC 9112 2.2-2.3, 3.2, 5.1-5.2, 6.1-6.3, 7.1; the vectors are the known ways of smuggling.
"""
import random

import pytest

from conftest import simple
from lib.backend import Backend, echo_request
from lib.client import Client, chunk, chunks, request_bytes
from lib.timing import eventually
from lib.weir import Weir
from lib.wire import read_response_head

H = b"Host: a.example\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"


def post(*fields, body=b"", line=b"POST / HTTP/1.1"):
    return line + b"\r\n" + H + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + body


# name -> (bytes, status).  Where the whole request head is at fault.
REFUSED = {
    # the length of the body (RFC 9112 6.1, 6.3)
    "content_length_and_chunked": (post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"), 400),
    "chunked_and_content_length": (post(b"Transfer-Encoding: chunked", b"Content-Length: 6", body=b"0\r\n\r\nG"), 400),
    "content_length_zero_and_chunked": (post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "two_content_lengths": (post(b"Content-Length: 3", b"Content-Length: 5", body=b"abc"), 400),
    "two_equal_content_lengths": (post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), 400),
    "a_list_of_content_lengths": (post(b"Content-Length: 3, 5", body=b"abc"), 400),
    "a_list_of_equal_content_lengths": (post(b"Content-Length: 3, 3", body=b"abc"), 400),
    "negative_content_length": (post(b"Content-Length: -1"), 400),
    "content_length_with_plus": (post(b"Content-Length: +3", body=b"abc"), 400),
    "content_length_in_hex": (post(b"Content-Length: 0x3", body=b"abc"), 400),
    "content_length_with_blank_inside": (post(b"Content-Length: 1 0", body=b"abc"), 400),
    "content_length_with_letters": (post(b"Content-Length: 3a", body=b"abc"), 400),
    "content_length_empty": (post(b"Content-Length: ", body=b"abc"), 400),
    "content_length_beyond_64_bits": (post(b"Content-Length: 18446744073709551617", body=b"abc"), 400),
    "content_length_of_100_digits": (post(b"Content-Length: " + b"9" * 100), 400),
    "content_length_with_decimal_point": (post(b"Content-Length: 3.0", body=b"abc"), 400),
    "content_length_quoted": (post(b'Content-Length: "3"', body=b"abc"), 400),
    "transfer_encoding_identity": (post(b"Transfer-Encoding: identity", body=b"abc"), (400, 501)),
    "transfer_encoding_gzip": (post(b"Transfer-Encoding: gzip", body=b"abc"), (400, 501)),
    "transfer_encoding_gzip_chunked": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_chunked_gzip": (post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_chunked_twice": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_twice": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_twice_second_identity": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_xchunked": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_chunked_with_parameter": (post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_quoted": (post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_empty": (post(b"Transfer-Encoding:", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_with_vertical_tab": (post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_chunked_comma": (post(b"Transfer-Encoding: chunked,", body=b"0\r\n\r\n"), (400, 501)),
    "transfer_encoding_after_linefeed": (post(b"X: y\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "transfer_encoding_in_http_1_0": (post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", line=b"POST / HTTP/1.0"), (400, 501)),
    # field lines (RFC 9112 5.1, 5.2)
    "blank_before_colon": (post(b"Content-Length : 3", body=b"abc"), 400),
    "tab_before_colon": (post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"), 400),
    "blank_before_the_first_name": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "obs_fold": (post(b"X: a\r\n b"), 400),
    "obs_fold_with_tab": (post(b"X: a\r\n\tb"), 400),
    "folded_transfer_encoding": (post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), 400),
    "no_colon": (post(b"NoColonHere"), 400),
    "empty_name": (post(b": value"), 400),
    "name_with_blank": (post(b"X Y: z"), 400),
    "name_with_nul": (post(b"X\x00Y: z"), 400),
    "name_with_paren": (post(b"X(Y): z"), 400),
    "name_with_high_byte": (post(b"X\xff: z"), 400),
    "name_with_quote": (post(b'"X": z'), 400),
    "value_with_nul": (post(b"X: a\x00b"), 400),
    "value_with_bell": (post(b"X: a\x07b"), 400),
    "value_with_delete": (post(b"X: a\x7fb"), 400),
    "value_with_bare_cr": (post(b"X: a\rb"), 400),
    "value_with_bare_cr_before_crlf": (post(b"X: a\r"), 400),
    "bare_lf_after_a_field": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    "bare_lf_throughout": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare_lf_ends_the_head": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    "bare_cr_ends_the_line": (b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    # the request line (RFC 9112 3)
    "no_version": (b"GET /\r\n\r\n", 400),
    "two_blanks_in_the_line": (b"GET  / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "tab_in_the_line": (b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    "blank_after_the_version": (b"GET / HTTP/1.1 \r\n" + H + b"\r\n", 400),
    "blank_before_the_method": (b" GET / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "method_with_colon": (b"GE:T / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "method_empty": (b" / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target_without_slash": (b"GET foo HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target_with_control_byte": (b"GET /a\x01b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target_with_nul": (b"GET /a\x00b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target_with_blank": (b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "target_with_fragment": (b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "asterisk_for_a_get": (b"GET * HTTP/1.1\r\n" + H + b"\r\n", 400),
    "lower_case_protocol": (b"GET / http/1.1\r\n" + H + b"\r\n", 400),
    "version_1_10": (b"GET / HTTP/1.10\r\n" + H + b"\r\n", (400, 505)),
    "version_11": (b"GET / HTTP/11\r\n" + H + b"\r\n", (400, 505)),
    "version_1_dot": (b"GET / HTTP/1. \r\n" + H + b"\r\n", (400, 505)),
    "version_2_0": (b"GET / HTTP/2.0\r\n" + H + b"\r\n", 505),
    "version_3_0": (b"GET / HTTP/3.0\r\n" + H + b"\r\n", 505),
    "version_0_9": (b"GET / HTTP/0.9\r\n" + H + b"\r\n", (400, 505)),
    "h2_preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    "tls_hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 300, 400),
    "several_empty_lines": (b"\r\n\r\n\r\nGET / HTTP/1.1\r\n" + H + b"\r\n", 400),
    # Host (RFC 9112 3.2)
    "no_host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two_hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two_equal_hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "host_with_path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host_with_user": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "host_with_blank": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "host_list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    "host_with_bad_port": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "absolute_target_with_user": (b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute_target_without_host": (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute_target_and_no_host": (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
    "connect": (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", (400, 405, 501)),
    "expect_of_something_else": (post(b"Expect: 200-ok", b"Content-Length: 0"), 417),
}

# Where the head is right and the body isn't: the request may have begun, no second one may come of it.
BAD_CHUNKS = {
    "size_not_hex": b"x\r\nabc\r\n0\r\n\r\n",
    "size_with_0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size_with_plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size_with_minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "size_empty": b"\r\nabc\r\n0\r\n\r\n",
    "size_with_blank_before": b" 3\r\nabc\r\n0\r\n\r\n",
    "size_with_blank_inside": b"1 0\r\nabc\r\n0\r\n\r\n",
    "size_beyond_64_bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size_of_many_zeros_and_digits": b"f" * 32 + b"\r\nabc\r\n0\r\n\r\n",
    "size_line_ends_in_lf": b"3\nabc\r\n0\r\n\r\n",
    "size_line_ends_in_cr": b"3\rabc\r\n0\r\n\r\n",
    "size_with_underscore": b"1_0\r\nabc\r\n0\r\n\r\n",
    "data_without_crlf": b"3\r\nabcd\r\n0\r\n\r\n",
    "data_ends_in_lf": b"3\r\nabc\n0\r\n\r\n",
    "last_chunk_ends_in_lf": b"3\r\nabc\r\n0\n\n",
    "extension_with_lf": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "extension_with_nul": b"3;a\x00b\r\nabc\r\n0\r\n\r\n",
    "extension_with_cr": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "extension_without_end": b"3;" + b"a" * 100000,
    "trailer_with_lf": b"0\r\nX: y\n\r\n",
    "trailer_without_colon": b"0\r\nbad\r\n\r\n",
    "trailer_folded": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer_with_nul": b"0\r\nX: \x00\r\n\r\n",
}


@pytest.fixture(scope="module")
def shared():
    """One proxy and one backend for the tables: a refused request must not disturb it."""
    b = Backend(echo_request)
    it = {"weir": Weir(simple(b)).start()}
    yield it, b
    b.stop()
    it["weir"].judge()


@pytest.fixture
def clean(shared):
    it, b = shared
    w = it["weir"]
    b.heads.clear()
    b.requests.clear()
    b.errors.clear()
    yield w, b
    if not w.alive():  # whoever kills it fails, and not all that come after
        it["weir"] = Weir(simple(b)).start()
        w.judge()


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_can_be_misread_is_refused(clean, name):
    w, b = clean
    data, status = REFUSED[name]
    with w.client() as c:
        c.try_send(data + SMUGGLED)
        res = c.answer(method="GET")
        assert res.status in (status if isinstance(status, tuple) else (status,)), res
        assert res.closes, "it doesn't say that it closes"
        assert c.at_end(), f"something came after the refusal: {c.read_all()!r}"
    assert w.get("/after").status == 200
    seen = [r.target for r in b.heads if r.target not in ("/bad", "/cut")]  # what another test cut may come in late
    assert seen == ["/after"], "the backend saw something of it"


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_malformed_chunked_body_ends_the_connection_and_smuggles_nothing(clean, name):
    w, b = clean
    with w.client() as c:
        c.try_send(b"POST /bad HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + BAD_CHUNKS[name] + SMUGGLED)
        answers = []
        while not c.at_end():
            answers.append(c.answer(method="POST").status)
    assert answers in ([400], [431], []), answers
    assert w.get("/after").status == 200
    eventually(lambda: any(r.target == "/after" for r in b.requests))
    assert not [r for r in b.heads if r.target == "/smuggled"]
    assert not [r for r in b.requests if r.target == "/bad"], "the backend got it as a whole request"


def test_the_rest_of_a_refused_request_is_not_taken_for_another(clean):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED)
        assert c.answer().status == 400
        assert c.at_end()
    assert w.get("/after").status == 200
    assert not [r for r in b.heads if r.target == "/smuggled"]


@pytest.mark.parametrize("name", ["chunked", "Chunked", "CHUNKED"])
def test_chunked_is_known_in_any_case(clean, name):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: " + name.encode() + b"\r\n\r\n" + chunks(b"body"))
        assert c.answer().body == b"body"


@pytest.mark.parametrize("extension", [b";a", b";a=b", b';a="b;\\"c"', b"; a = b", b";a;b;c", b" ;x"])
def test_chunk_extensions_are_dropped(clean, extension):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n3" + extension + b"\r\nabc\r\n0" + extension + b"\r\n\r\n")
        res = c.answer()
    if res.status == 400 and extension in (b" ;x", b"; a = b"):
        return  # white space there is "bad" by RFC 9112 7.1.1: refusing it is as right as dropping it
    assert res.body == b"abc"
    assert b.requests[-1].extensions == [] and b.requests[-1].body == b"abc"


@pytest.mark.http1("chunks")
def test_chunk_extensions_of_an_answer_are_dropped(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;secret=1\r\nabc\r\n0;x\r\n\r\n")
    w, _ = pair(handler)
    with w.client() as c:
        res = c.request("GET", "/")
    assert res.body == b"abc" and res.stream.extensions == []


def test_chunk_sizes_may_have_leading_zeros_and_any_case(clean):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n00A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n")
        assert c.answer().body == b"abc" + b"0123456789" * 2


def test_a_chunked_upload_reaches_the_backend_chunked(clean):
    w, b = clean
    with w.client() as c:
        c.ask("POST", "/", body=b"x" * 100000, chunked=True)
        assert c.answer().body == b"x" * 100000
    assert b.requests[-1].framing == "chunked" and "content-length" not in b.requests[-1]


def test_trailers_of_a_request_reach_the_backend(clean):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"TE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
               + chunks(b"abc", trailers=b"X-Sum: 42\r\nX-More: y\r\n"))
        assert c.answer().status == 200
    assert b.requests[-1].trailers == [("X-Sum", "42"), ("X-More", "y")] or \
        [(k.lower(), v) for k, v in b.requests[-1].trailers] == [("x-sum", "42"), ("x-more", "y")]


def test_trailers_of_an_answer_reach_the_client(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n")
    w, _ = pair(handler)
    with w.client() as c:
        res = c.request("GET", "/", headers={"TE": "trailers", "Connection": "TE"})
    assert [(k.lower(), v) for k, v in res.trailers] == [("x-sum", "42")]


FORGED = [("X-Client-Cert-Verify", "SUCCESS"), ("x_client_cert_spiffe", "spiffe://prod/x"), ("x.client.cert.subject", "CN=x"), ("Client-Cert", ":MII=:"),
          ("X_Forwarded_For", "6.6.6.6"), ("X-Forwarded-User", "root"), ("X-Forwarded-For", "9.9.9.9"), ("Forwarded", "for=1")]


def test_what_only_proxies_say_of_clients_does_not_pass_as_a_trailer(clean):
    w, b = clean
    with w.client() as c:
        fields = b"".join(f"{k}: {v}\r\n".encode() for k, v in [*FORGED, ("X-Sum", "42")])
        c.send(b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"abc", trailers=fields))
        assert c.answer().status == 200
    assert [k.lower() for k, _ in b.requests[-1].trailers] == ["x-sum"]


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: evil.example", b"Connection: close"])
def test_a_trailer_that_would_change_the_framing_does_not_pass(clean, field):
    w, b = clean
    with w.client() as c:
        c.try_send(b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"abc", trailers=field + b"\r\n"))
        assert c.answer().status in (200, 400)
    for r in b.requests:
        assert not [k for k, _ in r.trailers if k.lower() in ("content-length", "transfer-encoding", "host", "connection")]


def test_a_body_is_never_parsed_as_a_request(clean):
    w, b = clean
    with w.client() as c:
        assert c.request("POST", "/", body=SMUGGLED).body == SMUGGLED
        assert c.request("GET", "/next").status == 200
    assert [r.target for r in b.requests] == ["/", "/next"]


def test_a_get_with_a_chunked_body_is_framed_for_the_backend(clean):
    w, b = clean
    with w.client() as c:
        assert c.request("GET", "/", body=SMUGGLED, chunked=True).body == SMUGGLED
    assert [r.target for r in b.requests] == ["/"]


def test_a_request_with_no_body_says_nothing_of_a_length(clean):
    w, b = clean
    assert w.get("/").status == 200
    assert "content-length" not in b.requests[-1] and "transfer-encoding" not in b.requests[-1]


def test_a_post_without_length_has_no_body(clean):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"\r\n" + request_bytes("GET", "/second"))
        assert c.answer().status == 200
        assert c.answer().status == 200
    assert [r.target for r in b.requests] == ["/", "/second"]


def test_a_length_field_with_white_space_around_it_is_read(clean):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: \t 3 \t \r\n\r\nabc")
        assert c.answer().body == b"abc"


def test_connection_cannot_remove_the_length(clean):
    w, b = clean
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\n" + H + b"Connection: content-length, host\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED)
        assert c.answer().body == SMUGGLED
    assert len(b.requests) == 1 and b.requests[0].get("host") == "a.example"


@pytest.mark.parametrize("cut", range(0, 96, 5))
def test_a_request_split_anywhere_is_the_same_request(clean, cut):
    w, b = clean
    data = request_bytes("POST", "/split", headers={"X-A": "b"}, body=b"some body", chunked=True)
    with w.client() as c:
        c.send(data[:cut], data[cut:], gap=0.003)
        assert c.answer().body == b"some body"
    assert len(b.requests) == 1


def test_a_client_that_ends_within_a_body_does_not_make_a_whole_request(clean):
    w, b = clean
    out = w.send_raw(b"POST /cut HTTP/1.1\r\n" + H + b"Content-Length: 100\r\n\r\nonly this")
    assert b"200 OK" not in out
    assert w.get("/after").status == 200
    assert "/cut" not in [r.target for r in b.requests]


def test_a_client_that_ends_within_a_chunked_body_does_not_make_a_whole_request(clean):
    w, b = clean
    out = w.send_raw(b"POST /cut HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"only this"))
    assert b"200 OK" not in out
    assert w.get("/after").status == 200
    assert "/cut" not in [r.target for r in b.requests]


def test_a_client_that_ends_within_a_head_gets_nothing_served(clean):
    w, b = clean
    out = w.send_raw(b"GET /cut-head HTTP/1.1\r\nHost: a\r\n")
    assert b"200 OK" not in out
    assert w.get("/after").status == 200
    assert "/cut-head" not in [r.target for r in b.heads]  # what another test cut may come in late


def test_no_mangled_request_brings_the_proxy_down(clean):
    """A thousand random mutations of a good request: each is answered or refused, and the proxy goes on."""
    rng = random.Random(1)
    w, b = clean
    good = request_bytes("POST", "/mutated", headers={"X-A": "b", "Connection": "keep-alive"}, body=b"hello", chunked=True)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            i = rng.randrange(len(data))
            how = rng.randrange(3)
            if how == 0:
                data[i] = rng.randrange(256)
            elif how == 1:
                del data[i:i + rng.randrange(1, 9)]
            else:
                data[i:i] = bytes(rng.choice(b"\r\n\t :;,0a\x00\xff") for _ in range(rng.randrange(1, 4)))
        with w.client() as c:
            c.try_send(bytes(data))
            try:
                c.half_close()
            except OSError:
                pass
            out = c.read_all()
            assert out == b"" or out.startswith(b"HTTP/1.1 "), out[:100]
    assert w.get("/after").status == 200
    # What was cut may reach the backend only now, and would be taken for the next test's: its connections are ended, all that
    # have come before one of ours are known, and all of those are seen to the end.
    w.settle()
    b.close_open()
    eventually(lambda: w.metric("weir_upstream_connections") == 0)
    with Client(b.address) as c:
        c.request("GET", "/last")
    eventually(lambda: not b.open)
    b.errors[:] = [e for e in b.errors if "Malformed" in type(e).__name__]
    assert b.errors == [], "the backend got a malformed request"


def test_the_refusal_is_a_well_formed_answer_with_a_body_for_people(clean):
    w, b = clean
    with w.client() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        res = read_response_head(c)
        body = res.stream.all()
    assert res.framing == "length" and body and res.get("content-type")
