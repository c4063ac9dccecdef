"""HTTP/2's rules, one frame or field at a time: what breaks one ends the stream or the connection as RFC 9113 says, and no backend sees it."""
import threading

import pytest
from hyperframe.frame import (ContinuationFrame, DataFrame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame, PushPromiseFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

from lib.backend import echo_request
from lib.timing import eventually, secs
from lib.h2 import (COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, H2, NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, Gone, StreamReset)

H2C = {"protocols": ["h2", "http/1.1"]}


@pytest.fixture
def h2(pair):
    opened = []

    def start(handler=echo_request, **kw):
        w, b = pair(handler, listener=H2C, **kw)
        c = H2(w.address())
        opened.append(c)
        return b, c

    yield start
    for c in opened:
        c.close()


def raw_frame(kind, flags, stream, payload, length=None):
    n = len(payload) if length is None else length
    return n.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def ends_connection(c, *codes):
    goaway = c.wait_end()
    assert goaway is not None, "no GOAWAY"
    assert goaway.error_code in codes, goaway
    assert c.eof


# -- the connection -----------------------------------------------------------------------------------------------------
BREAKS = {
    "data_on_stream_0": (raw_frame(0, 0, 0, b"x"), (PROTOCOL_ERROR,)),
    "headers_on_stream_0": (raw_frame(1, 5, 0, b"\x82"), (PROTOCOL_ERROR,)),
    "headers_on_an_even_stream": (raw_frame(1, 5, 2, b"\x82\x84\x86\x41\x01a"), (PROTOCOL_ERROR,)),
    "data_on_an_idle_stream": (raw_frame(0, 0, 5, b"x"), (PROTOCOL_ERROR, STREAM_CLOSED)),
    "reset_of_an_idle_stream": (raw_frame(3, 0, 5, b"\0\0\0\x08"), (PROTOCOL_ERROR,)),
    "reset_on_stream_0": (raw_frame(3, 0, 0, b"\0\0\0\x08"), (PROTOCOL_ERROR,)),
    "a_reset_of_wrong_length": (raw_frame(3, 0, 1, b"\0\0\0"), (FRAME_SIZE_ERROR,)),
    "a_window_update_of_an_idle_stream": (raw_frame(8, 0, 5, b"\0\0\0\x08"), (PROTOCOL_ERROR,)),
    "a_window_update_of_nothing": (raw_frame(8, 0, 0, b"\0\0\0\0"), (PROTOCOL_ERROR,)),
    "a_window_update_of_wrong_length": (raw_frame(8, 0, 0, b"\0\0\0"), (FRAME_SIZE_ERROR,)),
    "a_window_beyond_2_31": (raw_frame(8, 0, 0, b"\x7f\xff\xff\xff"), (FLOW_CONTROL_ERROR,)),
    "a_ping_of_wrong_length": (raw_frame(6, 0, 0, b"1234567"), (FRAME_SIZE_ERROR,)),
    "a_ping_on_a_stream": (raw_frame(6, 0, 1, b"12345678"), (PROTOCOL_ERROR,)),
    "settings_on_a_stream": (raw_frame(4, 0, 1, b""), (PROTOCOL_ERROR,)),
    "settings_of_wrong_length": (raw_frame(4, 0, 0, b"\0\x01\0"), (FRAME_SIZE_ERROR,)),
    "an_ack_of_settings_with_content": (raw_frame(4, 1, 0, b"\0\x01\0\0\0\0"), (FRAME_SIZE_ERROR,)),
    "enable_push_2": (raw_frame(4, 0, 0, b"\0\x02\0\0\0\x02"), (PROTOCOL_ERROR,)),
    "an_initial_window_beyond_2_31": (raw_frame(4, 0, 0, b"\0\x04\x80\0\0\0"), (FLOW_CONTROL_ERROR,)),
    "a_frame_size_below_16384": (raw_frame(4, 0, 0, b"\0\x05\0\0\0\x01"), (PROTOCOL_ERROR,)),
    "a_frame_beyond_16384": (raw_frame(0, 0, 1, b"", 16385), (FRAME_SIZE_ERROR,)),
    "a_push_from_the_client": (raw_frame(5, 4, 1, b"\0\0\0\x02\x82"), (PROTOCOL_ERROR,)),
    "a_continuation_of_nothing": (raw_frame(9, 4, 1, b"\x82"), (PROTOCOL_ERROR,)),
    "another_frame_within_a_block": (raw_frame(1, 1, 1, b"\x82") + raw_frame(6, 0, 0, b"12345678"), (PROTOCOL_ERROR,)),
    "a_continuation_of_another_stream": (raw_frame(1, 1, 1, b"\x82") + raw_frame(9, 4, 3, b"\x84"), (PROTOCOL_ERROR,)),
    "padding_longer_than_its_frame": (raw_frame(1, 0xd, 1, b"\x09\x82"), (PROTOCOL_ERROR,)),
    "an_index_that_is_not_there": (raw_frame(1, 5, 1, b"\xff\x80\x01"), (COMPRESSION_ERROR,)),
    "a_table_larger_than_allowed": (raw_frame(1, 5, 1, b"\x3f\xe1\xff\x03\x82"), (COMPRESSION_ERROR,)),
    "a_huffman_code_that_is_none": (raw_frame(1, 5, 1, b"\x00\x84\xff\xff\xff\xff\x01a"), (COMPRESSION_ERROR,)),
    "goaway_on_a_stream": (raw_frame(7, 0, 1, b"\0" * 8), (PROTOCOL_ERROR,)),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_connection_ends_after(h2, name):
    data, codes = BREAKS[name]
    b, c = h2()
    c.raw(data)
    ends_connection(c, *codes)
    assert not b.requests


def never_served(b, c, stream):
    """The connection may end or go on, as if the stream had been reset before (RFC 9113 5.1)."""
    try:
        c.sync()
        assert c.request("GET", "/after").status == 200
        assert c.response_of(stream) is None or stream == 1
    except Gone as e:
        assert e.goaway.error_code in (PROTOCOL_ERROR, STREAM_CLOSED)
    assert "/again" not in [r.target for r in b.requests]


def test_a_stream_number_that_goes_back_is_not_served(h2):
    b, c = h2()
    c.next_stream = 5
    assert c.request().status == 200
    c.headers(3, c.request_fields("GET", "/again"), end=True)
    never_served(b, c, 3)


def test_headers_on_a_stream_that_has_ended_are_not_served(h2):
    b, c = h2()
    s = c.ask()
    c.answer(s)
    c.headers(s, c.request_fields("GET", "/again"), end=True)
    never_served(b, c, s)


@pytest.mark.parametrize("preface", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 40, b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n" + b"\0" * 40])
def test_another_preface_is_not_answered_with_http(pair, preface):
    w, b = pair(listener=H2C)
    with H2(w.address(), start=False) as c:
        c.raw(preface)
        while c.fill():
            pass
    assert b"HTTP/" not in c.buf and not b.requests


def test_what_is_not_known_is_ignored(h2):
    _, c = h2()
    c.raw(raw_frame(0xfa, 0xff, 0, b"whatever") + raw_frame(4, 0, 0, b"\xff\xff\0\0\0\x01") + raw_frame(6, 0x2, 0, b"12345678"))
    assert c.request().status == 200
    assert b"12345678" in c.pongs


def test_padding_is_passed_over_and_counted(h2):
    _, c = h2()
    s = c.new_stream()
    f = HeadersFrame(s, c.block_of(c.request_fields("POST")), flags=["END_HEADERS", "PADDED"])
    f.pad_length = 50
    c.send_frame(f)
    for i in range(40):  # more padding than a window holds
        d = DataFrame(s, b"abc", flags=["PADDED"] + (["END_STREAM"] if i == 39 else []))
        d.pad_length = 255
        c.send_frame(d)
    assert c.answer(s).body == b"abc" * 40


def test_a_head_with_eight_continuations_is_whole(h2):
    b, c = h2()
    s = c.new_stream()
    fields = c.request_fields(headers=[(f"x-field-{i}", "v" * 20) for i in range(30)])
    c.headers(s, fields, end=True, frames=9)
    assert c.answer(s).status == 200
    assert len([k for k, _ in b.requests[0].headers if k.startswith("x-field-")]) == 30


# -- streams ------------------------------------------------------------------------------------------------------------
def refused(c, s):
    """The stream got an answer of 4xx or 5xx, or was reset, or took the connection with it."""
    try:
        res = c.answer(s)
    except StreamReset as e:
        assert e.code in (PROTOCOL_ERROR, STREAM_CLOSED, FLOW_CONTROL_ERROR), e.code
        return "reset"
    except Gone as e:
        assert e.goaway is not None and e.goaway.error_code in (PROTOCOL_ERROR, STREAM_CLOSED, COMPRESSION_ERROR)
        return "gone"
    assert 400 <= res.status < 600, res
    return res.status


GOOD = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "test.example")]


def without(name):
    return [f for f in GOOD if f[0] != name]


def with_(name, value):
    return [(k, value if k == name else v) for k, v in GOOD]


MALFORMED = {
    "no_method": without(":method"),
    "no_scheme": without(":scheme"),
    "no_path": without(":path"),
    "no_authority_and_no_host": without(":authority"),
    "an_empty_path": with_(":path", ""),
    "a_path_without_slash": with_(":path", "x"),
    "a_path_with_a_space": with_(":path", "/x HTTP/1.1"),
    "a_path_with_crlf": with_(":path", "/x HTTP/1.1\r\nX-Smuggled: 1"),
    "a_path_with_a_fragment": with_(":path", "/x#y"),
    "an_absolute_path": with_(":path", "http://other/x"),
    "a_star_for_get": with_(":path", "*"),
    "an_empty_method": with_(":method", ""),
    "a_method_with_a_space": with_(":method", "GET /smuggled HTTP/1.1\r\n"),
    "another_scheme": with_(":scheme", "ftp"),
    "an_authority_with_user": with_(":authority", "user@test.example"),
    "an_authority_with_a_slash": with_(":authority", "test.example/x"),
    "an_authority_with_crlf": with_(":authority", "test.example\r\nX-Smuggled: 1"),
    "an_empty_authority": with_(":authority", ""),
    "two_paths": GOOD + [(":path", "/y")],
    "two_methods": GOOD + [(":method", "POST")],
    "two_authorities": GOOD + [(":authority", "other")],
    "a_status": GOOD + [(":status", "200")],
    "an_unknown_pseudo_field": GOOD + [(":what", "x")],
    "a_pseudo_field_after_a_field": [GOOD[0], GOOD[1], ("x-a", "1"), GOOD[2], GOOD[3]],
    "a_protocol_without_connect": GOOD + [(":protocol", "websocket")],
    "a_host_that_is_not_the_authority": GOOD + [("host", "other.example")],
    "two_hosts": without(":authority") + [("host", "test.example"), ("host", "test.example")],
    "upper_case": GOOD + [("X-Upper", "1")],
    "connection": GOOD + [("connection", "close")],
    "keep_alive": GOOD + [("keep-alive", "1")],
    "proxy_connection": GOOD + [("proxy-connection", "close")],
    "upgrade": GOOD + [("upgrade", "websocket")],
    "transfer_encoding": GOOD + [("transfer-encoding", "chunked")],
    "te_gzip": GOOD + [("te", "gzip")],
    "te_trailers_and_more": GOOD + [("te", "trailers, gzip")],
    "cr_in_a_value": GOOD + [("x-a", "1\r2")],
    "lf_in_a_value": GOOD + [("x-a", "1\nX-Smuggled: 1")],
    "nul_in_a_value": GOOD + [("x-a", "1\0002")],
    "crlf_in_a_value": GOOD + [("x-a", "1\r\nContent-Length: 5")],
    "a_blank_before_a_value": GOOD + [("x-a", " 1")],
    "a_blank_after_a_value": GOOD + [("x-a", "1 ")],
    "an_empty_name": GOOD + [("", "1")],
    "a_name_with_a_colon": GOOD + [("x-a:b", "1")],
    "a_name_with_a_blank": GOOD + [("x-a ", "1")],
    "a_name_with_crlf": GOOD + [("x-a\r\nx-b", "1")],
    "a_name_with_obs_text": GOOD + [("x-\xe4", "1")],
    "an_empty_length": GOOD + [("content-length", "")],
    "a_length_with_a_sign": GOOD + [("content-length", "+0")],
    "a_length_in_hex": GOOD + [("content-length", "0x0")],
    "two_lengths": GOOD + [("content-length", "0"), ("content-length", "0")],
    "a_list_of_lengths": GOOD + [("content-length", "0, 0")],
    "a_length_beyond_all": GOOD + [("content-length", "9" * 30)],
    "a_length_without_body": GOOD + [("content-length", "5")],
    "another_expectation": GOOD + [("expect", "200-ok")],
    "connect": [(":method", "CONNECT"), (":authority", "test.example:80")],
    "connect_udp": with_(":method", "CONNECT") + [(":protocol", "connect-udp")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_refused_is_a_request_with(h2, name):
    b, c = h2()
    s = c.new_stream()
    c.headers(s, MALFORMED[name], end=True)
    what = refused(c, s)
    assert not b.requests and not b.all_raw()
    if what != "gone":
        assert c.request("GET", "/after").status == 200


def test_authority_may_come_as_host(h2):
    b, c = h2()
    s = c.new_stream()
    c.headers(s, without(":authority") + [("host", "by.host")], end=True)
    assert c.answer(s).status == 200
    assert b.requests[0].all("host") == ["by.host"]


def test_host_and_authority_may_say_the_same(h2):
    b, c = h2()
    s = c.new_stream()
    c.headers(s, GOOD + [("host", "TEST.example")], end=True)
    assert c.answer(s).status == 200
    assert len(b.requests[0].all("host")) == 1


def test_an_options_star_is_one(h2):
    b, c = h2()
    assert c.request("OPTIONS", "*").status == 200
    assert b.requests[0].target == "*"


@pytest.mark.parametrize("sent", [b"123", b"1234567"])
def test_a_body_of_another_length_than_said_is_not_taken_for_whole(h2, sent):
    b, c = h2()
    s = c.ask("POST", "/", [("content-length", "5")], end=False)
    c.data(s, sent, end=True)
    refused(c, s)
    assert not b.requests  # whole ones


# What a client sends behind the head of a POST, on that stream `s`, and what then comes back.
FAULTS = {
    "longer_than_said": ([("content-length", "3")], lambda s: raw_frame(0, 1, s, b"hello"), "reset"),
    "longer_than_said_in_the_end": ([("content-length", "3")], lambda s: raw_frame(0, 0, s, b"12") + raw_frame(0, 1, s, b"34"), "reset"),
    "shorter_than_said": ([("content-length", "10")], lambda s: raw_frame(0, 1, s, b"hello"), "reset"),
    "more_padding_than_frame": ([], lambda s: raw_frame(0, 9, s, b"\xffhello"), "gone"),
    "data_on_stream_0": ([], lambda s: raw_frame(0, 1, 0, b"hello"), "gone"),
    "data_of_an_idle_stream": ([], lambda s: raw_frame(0, 1, s + 2, b"hello"), "gone"),
    "a_window_update_of_nothing": ([], lambda s: raw_frame(8, 0, s, b"\0\0\0\0"), "gone"),
    "a_connections_window_update_of_nothing": ([], lambda s: raw_frame(8, 0, 0, b"\0\0\0\0"), "gone"),
    "whole_before_data_on_stream_0": ([], lambda s: raw_frame(0, 1, s, b"hello") + raw_frame(0, 1, 0, b"x"), "gone"),
    "whole_before_its_window_breaks": ([], lambda s: raw_frame(0, 1, s, b"hello") + raw_frame(8, 0, s, b"\x7f\xff\xff\xff"), "reset"),
}


@pytest.mark.parametrize("when", ["with_the_head", "later"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_client_that_breaks_the_rules_is_counted_as_one_that_went(pair, name, when):
    """Whether its request was being read or was under way by then: no fault of ours, and nothing was answered."""
    fields, fault, end = FAULTS[name]
    w, b = pair(lambda conn: conn.read_head() and conn.at_end(), listener=H2C)
    with H2(w.address()) as c:
        c.sync()
        s = c.new_stream()
        head = raw_frame(1, 4, s, c.block_of(c.request_fields("POST", headers=fields)))
        if when == "later":
            c.raw(head)
            eventually(lambda: b"\r\n\r\n" in b.all_raw())
            head = b""
        c.raw(head + fault(s))
        assert refused(c, s) == end
    entry = w.logged(reason="client_reset")
    assert entry["status"] == 0 and len(w.access()) == 1, w.access()
    assert w.metric("weir_failures_total", reason="client_reset") == 1
    assert w.metric("weir_failures_total") == 1 and w.metric("weir_requests_total") == 0


def test_data_after_the_end_is_an_error_of_the_stream(h2):
    b, c = h2(lambda conn: conn.read_request() and conn.at_end())  # no answer, which could come before the second DATA has gone
    s = c.ask("POST", "/", body=b"abc")
    c.send_frame(DataFrame(s, b"GET /smuggled HTTP/1.1\r\n\r\n"))
    refused(c, s)
    assert b"smuggled" not in b.all_raw()


def test_trailers_with_a_pseudo_field_are_refused(h2):
    b, c = h2()
    s = c.ask("POST", "/", end=False)
    c.data(s, b"abc")
    c.trailers(s, [(":path", "/x")])
    refused(c, s)
    assert not b.requests


def test_trailers_that_end_nothing_are_refused(h2):
    b, c = h2()
    s = c.ask("POST", "/", end=False)
    c.headers(s, [("x-a", "1")])
    refused(c, s)
    assert not b.requests


def test_a_window_update_of_nothing_resets_its_stream(h2):
    _, c = h2()
    s = c.ask("POST", "/", end=False)
    c.send_frame(WindowUpdateFrame(s, 1))
    c.raw(raw_frame(8, 0, s, b"\0\0\0\0"))
    refused(c, s)


def test_a_stream_window_beyond_2_31_resets_its_stream(h2):
    _, c = h2()
    s = c.ask("POST", "/", end=False)
    c.send_frame(WindowUpdateFrame(s, 0x7fffffff))
    assert refused(c, s) == "reset"
    assert c.request().status == 200


def test_more_data_than_the_window_ends_the_connection(h2):
    done = threading.Event()

    def handler(conn):
        conn.read_head()
        done.wait(secs(5))  # takes nothing

    _, c = h2(handler)
    s = c.ask("POST", "/", end=False)
    try:
        for _ in range(1000):
            c.send_frame(DataFrame(s, b"x" * 16384))
    except OSError:
        pass
    try:
        c.answer(s)
        assert False, "answered"
    except StreamReset as e:
        assert e.code == FLOW_CONTROL_ERROR
    except Gone as e:
        assert e.goaway is None or e.goaway.error_code == FLOW_CONTROL_ERROR
    finally:
        done.set()


def test_the_101st_stream_is_refused(h2):
    def handler(conn):
        conn.read_request()
        conn.at_end()

    _, c = h2(handler)
    c.sync()
    c.step(1) if c.readable(0.2) else None
    streams = [c.ask() for _ in range(101)]
    c.until(lambda: c.incoming(streams[-1]).reset is not None or c.goaway is not None, "a refusal")
    assert c.incoming(streams[-1]).reset == 7 or c.goaway.error_code == PROTOCOL_ERROR
    assert all(c.incoming(s).reset is None for s in streams[:-1]) or c.goaway is not None


def test_a_head_that_is_too_large_is_a_431(h2):
    b, c = h2()
    s = c.new_stream()
    c.headers(s, GOOD + [(f"x-{i}", "v" * 3000) for i in range(12)], end=True)
    assert c.answer(s).status == 431
    assert not b.requests


def test_a_head_with_too_many_fields_is_a_431(h2):
    _, c = h2()
    s = c.new_stream()
    c.headers(s, GOOD + [(f"x-{i}", "v") for i in range(101)], end=True)
    assert c.answer(s).status == 431


def test_a_path_that_is_too_long_is_a_414(h2):
    _, c = h2()
    assert c.request("GET", "/" + "a" * 9000).status == 414


def test_a_field_that_is_not_indexed_is_passed_as_any(h2):
    b, c = h2()
    block = c.block_of(GOOD) + b"\x10\x08x-secret\x01v"  # never indexed
    c.raw(raw_frame(1, 5, 1, block))
    assert c.answer(1).status == 200
    assert b.requests[0].get("x-secret") == "v"


def test_a_table_update_is_followed(h2):
    _, c = h2()
    c.encoder.header_table_size = 0
    assert c.request(headers=[("x-a", "1")]).status == 200
    c.encoder.header_table_size = 4096
    assert c.request(headers=[("x-a", "1")]).status == 200


def test_priorities_are_no_concern(h2):
    _, c = h2()
    s = c.new_stream()
    f = HeadersFrame(s, c.block_of(GOOD), flags=["END_HEADERS", "END_STREAM", "PRIORITY"], depends_on=0, stream_weight=5, exclusive=True)
    c.send_frame(PriorityFrame(s, depends_on=0, stream_weight=9), f)
    assert c.answer(s).status == 200


def test_a_goaway_of_the_client_lets_its_streams_end(h2):
    _, c = h2()
    s = c.ask("POST", "/", end=False)
    c.send_frame(GoAwayFrame(0, last_stream_id=0, error_code=NO_ERROR))
    c.data(s, b"last words", end=True)
    assert c.answer(s).body == b"last words"
