"""/metrics on the admin listener, `weir ctl`, SIGQUIT."""
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from conftest import simple
from lib.backend import answering
from lib.client import Client
from lib.timing import STRETCH, eventually
from lib.weir import BINARY, address_of, run


def test_metrics_are_well_formed_and_typed_as_prometheus(pair):
    w, b = pair()
    w.get("/")
    res = w.admin("/metrics")
    assert res.status == 200 and res.get("content-type").startswith("text/plain; version=0.0.4")
    metrics = w.metrics()  # parsed strictly
    assert metrics[("weir_requests_total", (("code", "200"),))] == 1


def test_the_histogram_adds_up(pair):
    w, b = pair()
    with w.client() as c:
        for _ in range(25):
            c.request("GET", "/")
    eventually(lambda: w.metric("weir_request_duration_seconds_count") == 25)
    m = w.metrics()
    buckets = sorted((float(dict(k[1])["le"]), v) for k, v in m.items() if k[0] == "weir_request_duration_seconds_bucket")
    assert buckets[-1][0] == float("inf") and buckets[-1][1] == 25
    assert all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:]))
    assert 0 < w.metric("weir_request_duration_seconds_sum") < 25


def test_idle_admin_connections_make_room_for_newcomers(pair):
    w, b = pair()
    address = address_of(w.done_conf["daemon"]["admin"])
    kept = Client(address)
    assert kept.request("GET", "/healthz").status == 200
    idle = [Client(address) for _ in range(100)]
    began = time.monotonic()
    for _ in range(3):
        assert w.admin("/metrics").status == 200
    assert time.monotonic() - began < 3 * STRETCH, "they waited for idle ones to end"
    assert kept.at_end(), "the one that had idled longest is still there"
    for c in idle:
        c.close()


def test_idle_peers_of_the_control_socket_make_room_for_newcomers(pair):
    w, b = pair()
    idle = []
    for _ in range(20):
        s = socket.socket(socket.AF_UNIX)
        s.connect(w.done_conf["daemon"]["control"])
        idle.append(s)
    began = time.monotonic()
    assert w.ctl("status").returncode == 0
    assert time.monotonic() - began < 3 * STRETCH, "it waited for idle ones to end"
    for s in idle:
        s.close()


def test_connections_are_counted_up_and_down(pair):
    w, b = pair()
    conns = [w.client() for _ in range(7)]
    for c in conns:
        c.request("GET", "/")
    assert w.metric("weir_connections") == 7 and w.metric("weir_connections_accepted_total") == 7
    for c in conns:
        c.close()
    eventually(lambda: w.metric("weir_connections") == 0)


def test_bytes_are_counted_on_both_sides(pair):
    w, b = pair(answering(b"y" * 100000))
    w.request("POST", "/", body=b"x" * 50000)
    eventually(lambda: w.metric("weir_sent_bytes_total", side="client") >= 100000)
    assert w.metric("weir_received_bytes_total", side="client") >= 50000
    assert w.metric("weir_sent_bytes_total", side="backend") >= 50000
    assert w.metric("weir_received_bytes_total", side="backend") >= 100000


def test_counters_only_grow(pair):
    w, b = pair()
    before = w.metrics()
    for _ in range(5):
        w.get("/")
    after = w.metrics()
    for key, value in before.items():
        if key[0].endswith(("_total", "_count", "_bucket")):
            assert after[key] >= value, key


def test_the_admin_listener_knows_nothing_else(pair):
    w, b = pair()
    assert w.admin("/nonsense").status == 404
    assert b.requests == []


def test_the_admin_listener_refuses_what_it_does_not_do(pair):
    w, b = pair()
    assert w.admin("/metrics", method="POST").status in (400, 404, 405, 501)


def test_the_admin_listener_answers_head(pair):
    w, b = pair()
    with Client(address_of(w.done_conf["daemon"]["admin"])) as c:
        res = c.request("HEAD", "/metrics")
        assert res.status == 200 and res.body == b""


def test_the_admin_listener_survives_garbage(pair):
    w, b = pair()
    for data in (b"\x00\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"GET " + b"a" * 100000, b"\r\n"):
        with Client(address_of(w.done_conf["daemon"]["admin"])) as c:
            c.try_send(data)
            try:
                c.half_close()
            except OSError:
                pass
            c.read_all()
    assert w.admin("/metrics").status == 200


def test_an_idle_admin_client_does_not_keep_others_waiting(pair):
    w, b = pair()
    held = [Client(address_of(w.done_conf["daemon"]["admin"])) for _ in range(5)]
    assert w.admin("/metrics").status == 200
    for c in held:
        c.close()


def test_metrics_are_read_by_many_at_once(pair):
    w, b = pair()
    results = []
    threads = [threading.Thread(target=lambda: results.append(w.admin("/metrics").status)) for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [200] * 10


# -- weir ctl -------------------------------------------------------------------------------------------------------------
def test_status_says_what_runs(pair):
    w, b = pair()
    done = w.ctl("status")
    assert done.returncode == 0, done.stderr
    assert str(w.pid) in done.stdout and "web" in done.stdout and "app" in done.stdout, done.stdout


def test_fibers_are_listed_with_what_they_do_and_since_when(pair):
    go = threading.Event()
    w, b = pair(lambda conn: (conn.read_request(), go.wait(20), conn.answer(200, b"x")))
    with w.client() as c:
        c.ask("GET", "/waiting")
        eventually(lambda: b.requests)
        done = w.ctl("fibers")
        go.set()
        assert c.answer().status == 200
    assert done.returncode == 0, done.stderr
    assert re.search(r"wait|answer|head", done.stdout), done.stdout
    assert re.search(r"\d+(\.\d+)?\s?(us|ms|s)", done.stdout), "no time in it:\n" + done.stdout


def test_sigquit_lists_the_fibers_and_harms_nothing(pair):
    go = threading.Event()
    w, b = pair(lambda conn: (conn.read_request(), go.wait(20), conn.answer(200, b"x")))
    with w.client() as c:
        c.ask("GET", "/waiting")
        eventually(lambda: b.requests)
        before = len(w.stderr())
        w.signal(signal.SIGQUIT)
        eventually(lambda: "fiber" in w.stderr()[before:], what="a list of fibers on standard error")
        go.set()
        assert c.answer().status == 200
    assert w.alive()


def test_an_unknown_command_is_an_error_that_names_it(pair):
    w, b = pair()
    done = w.ctl("frobnicate")
    assert done.returncode != 0 and "frobnicate" in done.stderr + done.stdout


def test_ctl_without_a_daemon_says_so(tmp_path):
    done = run("ctl", "-s", str(tmp_path / "nobody.sock"), "status")
    assert done.returncode != 0 and "nobody.sock" in done.stderr


def test_ctl_reload_says_what_is_wrong_and_fails(pair):
    w, b = pair()
    good = w.text
    with open(w.path, "w") as f:
        f.write(good + "\nnonsense_key = 1;\n")
    done = w.ctl("reload")
    assert done.returncode != 0 and "nonsense_key" in done.stdout + done.stderr
    assert w.get("/").status == 200


def test_ctl_drain_lets_requests_end_and_ends_the_daemon(pair):
    go = threading.Event()
    w, b = pair(lambda conn: (conn.read_request(), go.wait(20), conn.answer(200, b"x")))
    with w.client() as c:
        c.ask("GET", "/")
        eventually(lambda: b.requests)
        done = w.ctl("drain")
        assert done.returncode == 0, done.stderr
        go.set()
        assert c.answer().body == b"x"
    assert w.wait_exit() == 0


def test_the_control_socket_is_for_its_owner_only(pair):
    w, b = pair()
    assert stat.S_IMODE(os.stat(w.control).st_mode) & 0o007 == 0


def test_the_control_socket_survives_garbage(pair):
    w, b = pair()
    for data in (b"", b"\n", b"\x00" * 1000, b"x" * 100000, b"status", b"reload\nstatus\n"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(w.control)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass
        s.close()
    assert w.ctl("status").returncode == 0


def test_a_silent_control_client_does_not_block_others_or_signals(pair):
    w, b = pair()
    s = socket.socket(socket.AF_UNIX)
    s.connect(w.control)
    assert w.ctl("status").returncode == 0
    w.reload(how="sighup")
    s.close()


def test_the_control_socket_can_be_off(weir, backend):
    b = backend()
    w = weir(simple(b, daemon={"control": "off"}))
    assert w.get("/").status == 200


# -- the program itself ---------------------------------------------------------------------------------------------------
def test_version_says_version_and_what_it_was_built_with():
    done = run("-V")
    assert done.returncode == 0 and re.search(r"\d+\.\d+", done.stdout) and "libevent" in done.stdout.lower()


@pytest.mark.parametrize("args", [["--help"], ["-h"]])
def test_help_names_the_commands(args):
    done = run(*args)
    assert done.returncode == 0
    for word in ("-c", "-t", "-V", "demo", "ctl", "explain"):
        assert word in done.stdout, word


@pytest.mark.parametrize("args", [["-z"], ["frobnicate"], ["-c"], ["explain"], ["ctl"], ["-t", "-c"]])
def test_wrong_arguments_are_refused_with_a_hint(args):
    done = run(*args)
    assert done.returncode not in (0, -11, -6) and done.stderr


def test_standard_error_closed_is_no_problem(tmp_path):
    done = subprocess.run([BINARY, "-t", "-c", str(tmp_path / "none.conf")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          preexec_fn=lambda: os.close(2))
    assert done.returncode == 1
