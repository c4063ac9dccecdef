"""Everything at once: clients and backends that misbehave at random, and after it the proxy is as it was."""
import random
import threading
import time

import pytest

from conftest import simple
from lib.backend import Backend
from lib.client import chunk, request_bytes
from lib.timing import eventually, secs
from lib.wire import CutShort, Malformed


def moody(conn):
    """A backend with moods; what it answers is told in the answer, so a client can judge what it gets."""
    rng = random.Random(conn.number)
    while (req := conn.read_head()) is not None:
        mood = rng.randrange(12)
        want = req.target[1:].encode()
        if mood == 0:  # closes without a byte
            return
        if mood == 1:
            conn.reset()
            return
        if mood == 2:  # answers before the request has ended, and closes
            conn.answer(200, want, headers=[("Connection", "close")])
            return
        body = req.stream.all()
        if mood == 3:  # cut short
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + want)
            return
        if mood == 4:  # cut short in chunks
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(want))
            return
        if mood == 5:
            conn.send(b"HTTP/1.1 nonsense\r\n\r\n")
            return
        if mood == 6:  # by the connection's end
            conn.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + want)
            return
        if mood == 7:
            time.sleep(rng.random() * 0.02)
        if mood == 8:
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for byte in want:
                conn.send(chunk(bytes([byte])))
            conn.send(b"0\r\n\r\n")
            continue
        conn.answer(200, want if req.method == "GET" else want + b" %d" % len(body))
        if mood == 9:
            return


def client_life(w, number, enough, wrong, counts):
    rng = random.Random(1000 + number)
    n = 0
    while not enough():
        c = w.client()
        try:
            for _ in range(rng.randrange(1, 6)):
                n += 1
                key = b"%d-%d" % (number, n)
                post = rng.random() < 0.4
                body = b"x" * rng.choice([0, 1, 1000, 100000]) if post else None
                data = request_bytes("POST" if post else "GET", "/" + key.decode(), body=body, chunked=post and rng.random() < 0.5)
                what = rng.randrange(10)
                if what == 0:  # leaves within its request
                    c.try_send(data[:rng.randrange(len(data))])
                    if rng.random() < 0.5:
                        c.reset()
                    break
                if what == 1:  # leaves without reading
                    c.try_send(data)
                    break
                if what == 2 and len(data) < 2000:
                    for i in range(0, len(data), 50):
                        c.send(data[i:i + 50])
                else:
                    c.send(data)
                if what == 3:
                    try:
                        c.half_close()
                    except OSError:  # the proxy was quicker to end it
                        break
                res = c.answer(method="POST" if post else "GET")
                counts[res.status] = counts.get(res.status, 0) + 1
                if res.status == 200:
                    want = {key, key + b" %d" % len(body)} if post else {key}
                    if res.body not in want:
                        wrong.append((key, res))
                elif res.status not in (502, 503, 504):
                    wrong.append((key, res))
                if res.closes or what == 3:
                    break
        except CutShort:
            counts["cut"] = counts.get("cut", 0) + 1
        except ConnectionError:
            counts["gone"] = counts.get("gone", 0) + 1
        except Malformed as e:
            wrong.append((key, e))
        finally:
            try:
                c.close()
            except OSError:
                pass


def worker_fibers(w):
    """Those that serve; the health thread's may still wait for backends that are gone."""
    return w.metric("weir_fibers") - w.metric("weir_fibers", thread="health")


@pytest.mark.http1("its clients break HTTP/1's messages and connections")
@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_among_moody_clients_and_backends_nobody_gets_a_wrong_answer_and_nothing_leaks(weir, seconds):
    backends = [Backend(moody, keep_raw=False) for _ in range(3)]
    try:
        w = weir(simple(*backends))
        w.get("/warm")
        eventually(lambda: w.metric("weir_connections") == 0)
        sockets, fibers = w.sockets(), worker_fibers(w)
        wrong, counts = [], {}
        began = time.monotonic()

        def enough():
            took = time.monotonic() - began
            return took > secs(30) or (took > seconds and counts.get(200, 0) > 50)
        threads = [threading.Thread(target=client_life, args=(w, i, enough, wrong, counts)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert wrong == [], wrong[:3]
        assert counts.get(200, 0) > 50, counts
        eventually(lambda: w.metric("weir_connections") == 0, what="all clients' connections being closed")
        for b in backends:
            b.stop()
        eventually(lambda: w.metric("weir_upstream_connections") == 0, what="all backends' connections being closed")
        eventually(lambda: worker_fibers(w) <= fibers, what="all fibers ending")
        eventually(lambda: w.sockets() <= sockets, what="all sockets being closed")  # pipes for splicing are kept, a few a worker
        assert all(e["reason"] for e in w.access())
    finally:
        for b in backends:
            b.stop()


def test_pipelining_mixed_with_closes_answers_in_order_or_not_at_all(weir, backend):
    def handler(conn):
        rng = random.Random(conn.number)
        while (req := conn.read_request()) is not None:
            close = rng.random() < 0.2
            conn.answer(200, req.target.encode() + b" " + req.body, headers=[("Connection", "close")] if close else [])
            if close:
                return
    b = backend(handler)
    w = weir(simple(b))
    rng = random.Random(7)
    for round_ in range(30):
        n = rng.randrange(1, 30)
        close_at = rng.randrange(n) if rng.random() < 0.5 else None
        asks = []
        for i in range(n):
            headers = {"Connection": "close"} if i == close_at else {}
            asks.append(request_bytes("POST", f"/{round_}-{i}", headers=headers, body=b"%d" % i, chunked=rng.random() < 0.3))
        data = b"".join(asks)
        with w.client() as c:
            at = 0
            while at < len(data):
                step = rng.randrange(1, 4000)
                if not c.try_send(data[at:at + step]):
                    break
                at += step
            for i in range(n if close_at is None else close_at + 1):
                assert c.answer(method="POST").body == b"/%d-%d %d" % (round_, i, i)
            if close_at is not None:
                assert c.at_end()
    targets = [r.target for r in b.requests]
    assert len(targets) == len(set(targets)), "a request came twice"
