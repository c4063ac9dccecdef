"""The access log: combined and JSON, reopened on SIGUSR1, safe against what peers send, complete."""
import json
import os
import re
import signal
import threading

import pytest

from conftest import simple
from lib.backend import answering
from lib.timing import eventually

COMBINED = re.compile(r'(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\Z')


@pytest.mark.http1("the version in the line")
def test_a_json_line_has_all_that_one_asks_a_log(pair):
    w, b = pair(answering(b"hello"))
    w.request("POST", "/path?q=1", headers={"User-Agent": "test/1", "Referer": "http://r/"}, body=b"abc")
    e = w.logged(target="/path?q=1")
    assert (e["client"], e["method"], e["host"], e["protocol"], e["status"]) == ("127.0.0.1", "POST", "test.example", "HTTP/1.1", 200)
    assert (e["bytes_received"], e["bytes_sent"], e["user_agent"], e["referer"]) == (3, 5, "test/1", "http://r/")
    assert (e["listener"], e["pool"], e["backend"], e["attempts"], e["reused"]) == ("web", "app", b.text, 1, False)
    assert 0 < e["first_byte_us"] <= e["duration_us"] < 10_000_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", e["time"])


@pytest.mark.http1("the version in the line")
def test_a_combined_line_is_apaches(pair):
    w, b = pair(answering(b"hello"), log={"format": "combined"})
    w.get("/path?q=1", headers={"User-Agent": 'a "quoted" agent', "Referer": "http://r/"})
    line = eventually(w.access_lines)[0]
    m = COMBINED.match(line)
    assert m, line
    assert m[1] == "127.0.0.1" and m[4] == "GET /path?q=1 HTTP/1.1" and (m[5], m[6]) == ("200", "5") and m[7] == "http://r/"


def test_each_request_of_a_connection_has_its_line(pair):
    w, b = pair()
    with w.client() as c:
        for i in range(20):
            c.request("GET", f"/{i}")
    entries = eventually(lambda: len(w.access()) == 20 and w.access())
    assert [e["target"] for e in entries] == [f"/{i}" for i in range(20)]


HOSTILE = ['"', "\\", "\xff\xfe", "\xe2\x28\xa1", "a\tb", '{"a":1}', "</script>", "\x80" * 50, "%00%0a", "é"]


@pytest.mark.parametrize("form", ["json", "combined"])
@pytest.mark.parametrize("value", HOSTILE, ids=[str(i) for i in range(len(HOSTILE))])
def test_hostile_bytes_end_neither_a_field_nor_a_line(pair, form, value):
    w, b = pair(log={"format": form})
    with w.client() as c:
        c.send(b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: " + value.encode("latin-1") + b"\r\nReferer: " + value.encode("latin-1") + b"\r\n\r\n")
        c.answer()
        c.request("GET", "/second")
    lines = eventually(lambda: len(w.access_lines()) == 2 and w.access_lines())
    with open(w.access_path, "rb") as f:
        raw = f.read()
    assert raw.count(b"\n") == 2
    if form == "json":
        assert [json.loads(x)["target"] for x in lines] == ["/x", "/second"]
        raw.decode("utf-8")
    else:
        assert all(COMBINED.match(x) for x in lines), lines
        assert all(32 <= byte < 127 or byte == 10 for byte in raw)


def test_a_request_that_could_not_be_read_is_logged_too(pair):
    w, b = pair()
    w.send_raw(b"\x00\x01\x02 garbage\r\n\r\n")
    e = eventually(w.access)[0]
    assert e["status"] == 400 and e["reason"] == "bad_request_line"


def test_sigusr1_reopens_the_file_after_a_rename(pair):
    w, b = pair()
    w.get("/before")
    eventually(lambda: len(w.access()) == 1)
    os.rename(w.access_path, w.access_path + ".1")
    w.get("/between")
    eventually(lambda: len(w.access(w.access_path + ".1")) == 2)
    w.signal(signal.SIGUSR1)
    eventually(lambda: os.path.exists(w.access_path), what="a new file")
    w.get("/after")
    eventually(lambda: [e["target"] for e in w.access()] == ["/after"])
    assert [e["target"] for e in w.access(w.access_path + ".1")] == ["/before", "/between"]


def test_no_line_is_lost_or_torn_when_the_file_is_reopened_under_load(pair):
    w, b = pair()
    done = threading.Event()

    def one(n):
        with w.client() as c:
            i = 0
            while not done.is_set():
                c.request("GET", f"/{n}-{i}")
                i += 1
            sent[n] = i
    sent = [0] * 4
    threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    files = [w.access_path]
    for i in range(10):
        eventually(lambda: len(w.access_lines()) > 20)
        os.rename(w.access_path, f"{w.access_path}.{i}")
        files.append(f"{w.access_path}.{i}")
        w.signal(signal.SIGUSR1)
        eventually(lambda: os.path.exists(w.access_path))
    done.set()
    for t in threads:
        t.join()
    want = sum(sent)
    got = eventually(lambda: sum(len(w.access_lines(f)) for f in files) >= want and [e["target"] for f in files for e in w.access(f)])
    assert sorted(got) == sorted(f"/{n}-{i}" for n in range(4) for i in range(sent[n]))


def test_the_log_can_go_to_standard_output(pair):
    w, b = pair(log={"access": "stdout"})
    w.get("/seen")
    eventually(lambda: '"target":"/seen"' in w.stdout())


def test_the_log_can_be_off(pair):
    w, b = pair(log={"access": "off"})
    w.get("/")
    w.signal(signal.SIGUSR1)
    assert w.get("/").status == 200
    assert w.access_lines() == [] and "target" not in w.stdout()


def test_a_disk_that_is_full_does_not_stop_the_proxy(pair):
    w, b = pair(log={"access": "/dev/full"})
    with w.client() as c:
        for _ in range(500):  # 1 MiB a worker waits for the disk
            assert c.request("GET", "/" + "x" * 7000).status == 200
    eventually(lambda: w.metric("weir_access_log_lines_dropped_total") > 0)
    eventually(lambda: "No space left" in w.stderr())  # lines may be dropped before the first write is tried
    assert len(w.stderr().split("\n")) < 60


def test_a_log_file_that_cannot_be_opened_stops_the_start_with_its_name(weir, backend):
    b = backend()
    with pytest.raises(AssertionError) as e:
        weir(simple(b, log={"access": "/nonexistent-folder/access.log"}), expect_exit=None)
    assert "/nonexistent-folder" in str(e.value)


def test_the_time_of_the_first_byte_is_null_when_there_was_none(weir, refusing):
    w = weir(simple(refusing))
    w.get("/")
    e = w.logged(status=503)
    assert e["first_byte_us"] is None and e["reason"] == "connect_refused"


def test_everything_is_logged_when_it_stops(pair):
    w, b = pair()
    with w.client() as c:
        for _ in range(100):
            c.request("GET", "/")
    w.stop()
    assert len(w.access_lines()) == 100
