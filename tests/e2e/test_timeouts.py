"""Each of `timeouts`: what it stops, how soon, and what it leaves alone."""
import threading
import time

from conftest import simple
from lib.backend import answering
from lib.client import request_bytes
from lib.timing import STRETCH, eventually, ms, secs
from lib.wire import CutShort


def taken(since):
    return time.monotonic() - since


def within(seconds, least, most=None):
    """A time-out may come late on a busy machine, but not before its time."""
    assert seconds >= least * 0.9 * STRETCH, f"after {seconds:.3f} s already"
    assert seconds <= (most or least + 3) * STRETCH, f"after {seconds:.3f} s only"


def test_a_head_that_never_ends_is_ended(pair):
    w, b = pair(timeouts={"request_header": ms(1000)})
    began = time.monotonic()
    with w.client() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        assert c.answer().status == 408
        within(taken(began), 1)
        assert c.at_end()


def test_trickling_does_not_stretch_the_time_for_a_head(pair):
    """Slowloris: a byte now and then must not restart the clock."""
    w, b = pair(timeouts={"request_header": ms(1000)})
    began = time.monotonic()
    with w.client() as c:
        c.send(b"GET / HTTP/1.1\r\n")
        while not c.readable(0.03) and taken(began) < 5 * STRETCH:
            if not c.try_send(b"X-A: b\r\n"):
                break
        within(taken(began), 1)
    assert w.logged(status=408)["reason"] == "request_timeout"


def test_two_hundred_slowloris_clients_do_not_keep_others_waiting(pair):
    w, b = pair(timeouts={"request_header": "10s"})
    slow = [w.client() for _ in range(200)]
    for c in slow:
        c.send(b"GET / HTTP/1.1\r\nX: ")
    began = time.monotonic()
    for _ in range(20):
        assert w.get("/").status == 200
    assert taken(began) < 5 * STRETCH
    for c in slow:
        c.reset()


def test_an_idle_connection_is_closed_without_an_answer(pair):
    w, b = pair(timeouts={"client_idle": ms(600)})
    with w.client() as c:
        began = time.monotonic()
        assert c.request("GET", "/").status == 200
        assert c.at_end(), "something was sent on an idle connection"
        within(taken(began), 0.6)


def test_a_fresh_connection_without_a_byte_is_closed(pair):
    w, b = pair(timeouts={"client_idle": ms(200), "request_header": ms(200)})
    began = time.monotonic()
    with w.client() as c:
        c.read_all()
        within(taken(began), 0.2)


def test_requests_keep_a_connection_from_being_idle(pair):
    w, b = pair(timeouts={"client_idle": ms(1000)})
    with w.client() as c:
        for _ in range(6):
            assert c.request("GET", "/").status == 200
            time.sleep(0.25 * STRETCH)


def test_a_slow_request_is_not_an_idle_connection(pair):
    w, b = pair(lambda conn: (conn.read_request(), time.sleep(1.2 * STRETCH), conn.answer(200, b"late")), timeouts={"client_idle": ms(600)})
    assert w.get("/").body == b"late"


def test_a_body_that_stops_is_ended(pair):
    w, b = pair(lambda conn: conn.read_request(), timeouts={"client_body": ms(200)})
    with w.client() as c:
        began = time.monotonic()
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        assert c.answer().status == 408
        within(taken(began), 0.2)
        assert c.at_end()
    assert w.logged(status=408)["reason"] == "request_body_timeout"
    assert b.requests == []


def test_a_body_that_comes_slowly_but_steadily_passes(pair):
    w, b = pair(timeouts={"client_body": ms(1000)})
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            time.sleep(0.25 * STRETCH)
            c.send(b"x")
        assert c.answer().status == 200


def test_a_backend_that_does_not_accept_is_given_up(weir, blackhole):
    w = weir(simple(blackhole, timeouts={"connect": ms(200)}))
    began = time.monotonic()
    assert w.get("/").status == 504
    within(taken(began), 0.2)


def test_a_backend_that_does_not_accept_is_replaced_by_another(weir, backend, blackhole):
    b = backend()
    w = weir(simple(blackhole, b, timeouts={"connect": ms(500)}))
    for _ in range(4):
        assert w.get("/").status == 200


def test_a_backend_that_does_not_answer_is_given_up(pair):
    done = threading.Event()
    w, b = pair(lambda conn: (conn.read_request(), done.wait(secs(10))), timeouts={"first_byte": ms(200)})
    began = time.monotonic()
    assert w.get("/").status == 504
    within(taken(began), 0.2)
    done.set()
    assert w.logged(status=504)["reason"] == "first_byte_timeout"


def test_the_time_for_the_first_byte_does_not_run_during_the_upload(pair):
    w, b = pair(timeouts={"first_byte": ms(1000)})
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            time.sleep(0.25 * STRETCH)
            c.send(b"x")
        assert c.answer().status == 200


def test_an_answer_that_stands_still_is_cut(pair):
    done = threading.Event()
    w, b = pair(lambda conn: (conn.read_request(), conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), done.wait(secs(10))),
                timeouts={"stream_idle": ms(200)})
    with w.client() as c:
        began = time.monotonic()
        c.ask("GET", "/")
        try:
            c.answer()
            raise AssertionError("it ended well")
        except CutShort:
            within(taken(began), 0.2)
    done.set()
    assert eventually(lambda: w.access())[0]["reason"] == "stream_idle"


def test_an_answer_that_goes_on_slowly_is_not_cut(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.15 * STRETCH)
            conn.send(b"x")
    w, b = pair(handler, timeouts={"stream_idle": ms(1000), "first_byte": ms(1000)})
    assert w.get("/").body == b"x" * 8


def test_a_client_that_does_not_take_its_answer_is_given_up(pair):
    def handler(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        try:
            for _ in range(1600):
                conn.send(b"x" * 62500)
        except OSError:
            conn.backend.freed = True
            raise ConnectionError from None
    w, b = pair(handler, timeouts={"stream_idle": ms(300)})
    with w.client(rcvbuf=4096) as c:
        c.ask("GET", "/")
        c.answer_head()
        eventually(lambda: getattr(b, "freed", False), 10, "the backend being freed")
        assert eventually(lambda: w.access())[0]["reason"] in ("client_write_timeout", "stream_idle")


def test_a_backend_that_does_not_take_the_request_is_given_up(pair):
    done = threading.Event()
    w, b = pair(lambda conn: (conn.read_head(), done.wait(secs(20))), timeouts={"stream_idle": ms(300), "first_byte": ms(300), "client_body": ms(10000)})
    with w.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        t = threading.Thread(target=lambda: c.try_send(b"x" * 100000000), daemon=True)
        t.start()
        entry = eventually(lambda: w.access(), 10)[0]
        assert entry["reason"] in ("backend_write_timeout", "first_byte_timeout", "stream_idle"), entry
    done.set()


def test_time_outs_of_many_connections_come_each_in_its_time(pair):
    w, b = pair(timeouts={"request_header": ms(1000)})
    clients = []
    for i in range(50):
        began = time.monotonic()
        c = w.client()
        c.send(b"GET / HTTP/1.1\r\n")
        clients.append((c, began))
        time.sleep(0.004)
    for c, began in clients:
        assert c.answer().status == 408
        within(taken(began), 1)
        c.close()


def test_an_upstream_connection_that_idles_is_closed(pair):
    w, b = pair(pool={"keepalive": {"timeout": ms(1000)}})
    w.get("/")
    assert len(b.open) == 1
    eventually(lambda: not b.open, what="the idle connection being closed")


def test_a_request_after_all_time_outs_works(pair):
    w, b = pair(answering(b"fine"), timeouts={"request_header": ms(1000), "client_idle": ms(1000)})
    clients = []
    for _ in range(5):
        clients.append(w.client())
        clients[-1].send(request_bytes()[:10])
    for c in clients:
        assert c.answer().status == 408
        c.close()
    assert w.get("/").body == b"fine"
