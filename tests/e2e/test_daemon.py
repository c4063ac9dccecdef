"""The process around the proxy: checking a file, who it becomes, sockets of its own, what systemd hears, the demo."""
import ctypes
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
import urllib.request

import pytest

from conftest import simple
from lib.backend import answering
from lib.client import Client
from lib.timing import STRETCH, eventually, secs
from lib.weir import BINARY, Weir, address_of, free_port, run

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MINIMAL = 'listeners = ( {{ bind = "127.0.0.1:{port}"; pool = "app"; }} );\npools = ( {{ name = "app"; backends = [ "127.0.0.1:1" ]; }} );\n'


def started_by_hand(x):
    """Starts a Weir that the test has prepared, and judges it at the end."""
    class Run:
        def __enter__(self):
            try:
                return x.start()
            except BaseException:
                self.__exit__(AssertionError)
                raise

        def __exit__(self, kind, *rest):
            if kind is None:
                x.judge()
            else:
                x.stop()
                x.clean()
    return Run()


def refused(conf):
    """What is said by a start that must fail with status 1."""
    x = Weir(conf, expect_exit=None)
    x.spawn()
    try:
        assert x.wait_exit() == 1, x.stderr()
        return x.stderr()
    finally:
        x.stop()
        x.clean()


# -- checking a file ------------------------------------------------------------------------------------------------------
def test_a_good_file_is_said_to_be_valid(tmp_path):
    (tmp_path / "p.conf").write_text(MINIMAL.format(port=free_port()))
    done = run("-t", "-c", str(tmp_path / "p.conf"))
    assert done.returncode == 0 and done.stdout == f"{tmp_path}/p.conf is valid\n"


def test_the_order_of_options_means_nothing(tmp_path):
    (tmp_path / "p.conf").write_text(MINIMAL.format(port=free_port()))
    assert run("-c", str(tmp_path / "p.conf"), "-t").returncode == 0


def test_a_bad_file_is_told_whole_and_its_name_at_the_end(tmp_path):
    (tmp_path / "p.conf").write_text(MINIMAL.format(port=free_port()) + "one_typo = 1;\nother_typo = 2;\n")
    done = run("-t", "-c", str(tmp_path / "p.conf"))
    assert done.returncode == 1 and "one_typo" in done.stderr and "other_typo" in done.stderr
    assert "is valid" not in done.stdout and "2 errors" in done.stderr


def test_a_port_that_is_taken_is_only_a_warning_of_the_check(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "p.conf").write_text(MINIMAL.format(port=port))
        done = run("-t", "-c", str(tmp_path / "p.conf"))
    assert done.returncode == 0 and "is valid" in done.stdout and str(port) in done.stderr


def test_the_check_of_a_running_proxys_file_touches_nothing(weir, backend):
    w = weir(simple(backend()))
    assert run("-t", "-c", w.path).returncode == 0
    assert w.get("/").status == 200 and w.ctl("status").returncode == 0


def test_what_is_dumped_is_a_file_that_dumps_to_itself(tmp_path):
    (tmp_path / "p.conf").write_text(MINIMAL.format(port=free_port()))
    first = run("--dump-config", "-c", str(tmp_path / "p.conf"))
    assert first.returncode == 0 and "client_idle" in first.stdout
    (tmp_path / "p.conf").write_text(first.stdout)
    again = run("--dump-config", "-c", str(tmp_path / "p.conf"))
    assert again.returncode == 0 and again.stdout == first.stdout


@pytest.mark.parametrize("what", ["config", "metrics"])
def test_the_manual_is_a_page_of_tables(what):
    done = run("--manual", what)
    assert done.returncode == 0 and "|---|" in done.stdout


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        assert subprocess.run([BINARY, "--manual", "config"], stdout=full, stderr=subprocess.DEVNULL).returncode != 0


# -- who it becomes -------------------------------------------------------------------------------------------------------
def opened_up(conf):
    """A Weir whose folder and notify socket another user may use."""
    x = Weir(conf)
    os.chmod(x.dir, 0o777)
    os.chmod(x.notify.path, 0o777)
    return x


@as_root
def test_it_becomes_the_user_and_keeps_no_way_back(backend):
    b = backend()
    with started_by_hand(opened_up(simple(b, daemon={"user": "nobody"}, log={"access": "off"}))) as w:
        with open(f"/proc/{w.pid}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert len(set(status["Uid"].split())) == 1 and status["Uid"].split()[0] != "0"
        assert len(set(status["Gid"].split())) == 1 and status["Gid"].split()[0] != "0"
        assert "0" not in status["Groups"].split()
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert w.get("/").status == 200
        assert os.stat(w.control).st_uid == int(status["Uid"].split()[0])
        w.reload()
        assert w.metric("weir_open_fds") > 0, "it can't look at itself any more"


@as_root
def test_a_port_below_1024_is_opened_before_the_user_changes(backend):
    b = backend()
    conf = simple(b, listener={"bind": "127.0.0.77:81"}, daemon={"user": "nobody"}, log={"access": "off"})
    with started_by_hand(opened_up(conf)) as w:
        assert w.get("/").status == 200


def test_a_user_that_is_not_there_stops_the_start():
    said = refused(simple("127.0.0.1:1", daemon={"user": "no-such-user-here"}))
    assert "no-such-user-here" in said


def test_a_pid_file_that_cannot_be_written_stops_the_start():
    said = refused(simple("127.0.0.1:1", daemon={"pid_file": "/no/such/folder/pid"}))
    assert "/no/such/folder/pid" in said


def test_a_start_that_fails_leaves_the_pid_file_of_the_one_that_runs(weir, backend, tmp_path):
    w = weir(simple(backend(), daemon={"pid_file": str(tmp_path / "pid")}))
    second = run("-c", w.path)
    assert second.returncode == 1 and "in use" in second.stderr
    assert (tmp_path / "pid").read_text() == f"{w.pid}\n"


def test_an_admin_address_in_use_stops_the_start():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = f"127.0.0.1:{taken.getsockname()[1]}"
        assert text in refused(simple("127.0.0.1:1", daemon={"admin": text}))


# -- the control socket ---------------------------------------------------------------------------------------------------
def test_a_stale_control_socket_is_replaced(backend):
    x = Weir(simple(backend()))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(x.control)
    with started_by_hand(x) as w:
        assert w.ctl("status").returncode == 0
        assert stat.S_IMODE(os.stat(w.control).st_mode) == 0o600


def test_a_control_socket_that_another_process_answers_on_is_left_to_it(weir, backend):
    b = backend()
    w = weir(simple(b))
    assert w.control in refused(simple(b, daemon={"control": w.control}))
    assert w.ctl("status").returncode == 0


def test_a_file_that_is_no_socket_is_never_replaced():
    x = Weir(simple("127.0.0.1:1"), expect_exit=None)
    with open(x.control, "w") as f:
        f.write("precious")
    try:
        x.spawn()
        assert x.wait_exit() == 1 and x.control in x.stderr()
        with open(x.control) as f:
            assert f.read() == "precious"
    finally:
        x.stop()
        x.clean()


@pytest.mark.parametrize("words", [["log"], ["log", "level"], ["log", "level", "loud"], ["drain", "now"], ["a", "b", "c"], [""]])
def test_a_command_that_makes_no_sense_fails_and_says_what_there_is(pair, words):
    w, b = pair()
    done = w.ctl(*words)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr) > 10
    assert w.alive() and w.get("/").status == 200


@pytest.mark.parametrize("word", ["help", "-h", "--help"])
def test_help_lists_the_commands(word):
    """Whether one runs or not."""
    for done in (run("ctl", word), run("ctl", "-s", "/nowhere/ctl.sock", word)):
        assert done.returncode == 0 and done.stderr == ""
        for command in ("status", "reload", "fibers", "drain", "log level", "reopen"):
            assert command in done.stdout


def test_help_is_the_same_from_one_that_runs(pair):
    w, b = pair()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(w.control)
        s.sendall(b"help\n")
        said = b""
        while got := s.recv(65536):
            said += got
    assert said.decode() == w.ctl("help").stdout + "ok\n"


def test_the_logs_level_can_be_changed_while_it_runs(pair):
    w, b = pair(log={"level": "error"})
    w.reload(how="ctl")
    assert "reload.done" not in w.stderr()
    # until the next reload
    assert w.ctl("log", "level", "info").returncode == 0
    w.signal(signal.SIGUSR1)
    eventually(lambda: "access_log.reopened" in w.stderr())


def test_a_reload_tells_what_changed(pair):
    w, b = pair()
    conf = dict(w.conf)
    conf["listeners"] = conf["listeners"] + [{"name": "second", "bind": f"127.0.0.1:{free_port()}", "pool": "app"}]
    assert "+second" in w.reload(conf)


def test_a_key_that_stays_as_it_was_is_told(pair):
    w, b = pair(daemon={"workers": 1})
    conf = dict(w.conf)
    conf["daemon"] = {"workers": 2, "pid_file": "/tmp/never-written.pid"}
    said = w.reload(conf)
    assert "daemon.workers" in said and "daemon.pid_file" in said and "daemon.control" not in said
    assert not os.path.exists("/tmp/never-written.pid")


def test_a_reload_while_draining_is_refused(pair):
    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        asked.wait(secs(20))
    asked = threading.Event()
    w, b = pair(slow, timeouts={"drain": "30s"})
    with w.client() as c:
        c.ask("GET", "/")
        assert c.answer_head().stream.piece() == b"half"
        assert w.ctl("drain").returncode == 0
        done = w.ctl("reload")
        assert done.returncode == 1 and "draining" in done.stderr
        assert "draining" in w.ctl("status").stdout
        assert w.ctl("drain").returncode == 0, "asking twice is no second signal"
        assert w.alive()
        asked.set()
    assert w.wait_exit() == 0


def test_a_command_in_pieces_is_put_together(pair):
    w, b = pair()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(secs(5))
        s.connect(w.control)
        for piece in (b"he", b"l", b"p\n"):
            s.sendall(piece)
            time.sleep(0.01)
        text = b""
        while (more := s.recv(65536)):
            text += more
    assert text.endswith(b"\nok\n")


# -- the admin listener ---------------------------------------------------------------------------------------------------
def test_health_is_200_and_turns_503_while_draining(pair):
    def slow(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        seen.wait(secs(20))
    seen = threading.Event()
    w, b = pair(slow, timeouts={"drain": "30s"})
    assert w.admin("/healthz").status == 200
    with w.client() as c:
        c.ask("GET", "/")
        assert c.answer_head().stream.piece() == b"half"
        w.signal(signal.SIGTERM)
        eventually(lambda: w.admin("/healthz").status == 503)
        seen.set()
    assert w.wait_exit() == 0


def test_the_index_says_what_there_is(pair):
    w, b = pair()
    res = w.admin("/")
    assert res.status == 200 and b"/metrics" in res.body and b"/healthz" in res.body


def test_an_admin_connection_serves_several_requests(pair):
    w, b = pair()
    with Client(address_of(w.done_conf["daemon"]["admin"])) as c:
        for _ in range(3):
            assert c.request("GET", "/healthz").body == b"ok\n"


def test_backends_and_schedulers_have_their_metrics(pair):
    w, b = pair()
    w.get("/")
    assert w.metric("weir_backend_requests_total", pool="app", backend=b.text) == 1
    eventually(lambda: w.metric("weir_backend_idle_connections", backend=b.text) == 1)  # kept once the answer is on its way
    assert w.metric("weir_backend_connections", backend=b.text) == 1
    threads = {dict(labels)["thread"] for (name, labels) in w.metrics() if name == "weir_scheduler_turns_total"}
    assert threads == {"main", "worker 0", "worker 1", "health"}


# -- what systemd hears ---------------------------------------------------------------------------------------------------
def test_a_failed_reload_puts_its_error_in_the_status(pair):
    w, b = pair()
    with open(w.path, "a") as f:
        f.write("\nnonsense_key = 1;\n")
    assert w.ctl("reload").returncode == 1
    eventually(lambda: any(line.startswith("STATUS=") and "nonsense_key" in line for line in w.notify.lines()))


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


def test_a_worker_that_stands_still_is_not_vouched_for(pair):
    w, b = pair(weir_args={"env": {"WATCHDOG_USEC": str(int(200000 * STRETCH))}})
    eventually(lambda: w.notify.count("WATCHDOG=1") >= 2)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    worker = sorted(int(t) for t in os.listdir(f"/proc/{w.pid}/task"))[-2]  # the last is the health thread
    if libc.ptrace(PTRACE_SEIZE, worker, None, None) != 0:
        pytest.skip("no ptrace here")
    libc.ptrace(PTRACE_INTERRUPT, worker, None, None)
    os.waitpid(worker, 0x40000000)  # __WALL
    with open(w.stderr_path) as f:
        said = len(f.read())  # a busy machine may have made it say so before
    try:
        eventually(lambda: "worker_stuck" in w.stderr()[said:], what="the log naming the worker")
        before = w.notify.count("WATCHDOG=1")
        time.sleep(0.4 * STRETCH)
        assert w.notify.count("WATCHDOG=1") == before
        assert "does not answer" in w.fibers()
    finally:
        libc.ptrace(PTRACE_DETACH, worker, None, None)
    eventually(lambda: w.notify.count("WATCHDOG=1") > before, what="pings again")
    assert w.get("/").status == 200


# -- the demo -------------------------------------------------------------------------------------------------------------
def test_the_demo_shows_the_balance_and_leaves_nothing_behind():
    p = subprocess.Popen([BINARY, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        text = ""
        while "Ctrl-C" not in text:
            line = p.stdout.readline()
            assert line, p.stderr.read()
            text += line
        rows = re.findall(r"^  (red|green|blue) +(\d+) +(\d+) ", text, re.M)
        assert [(name, int(weight)) for name, weight, _ in rows] == [("red", 3), ("green", 2), ("blue", 1)]
        assert [int(n) for _, _, n in rows] == [60, 40, 20]
        url = re.search(r"curl (http://127\.0\.0\.1:\d+/)\n", text)[1]
        assert urllib.request.urlopen(url, timeout=secs(5)).read() in (b"red\n", b"green\n", b"blue\n")
        control = re.search(r"ctl -s (\S+) status", text)[1]
        assert run("ctl", "-s", control, "status").returncode == 0
        assert run("ctl", "-s", control, "reload").returncode == 0
        p.send_signal(signal.SIGINT)
        assert p.wait(secs(10)) == 0, p.stderr.read()
        assert not os.path.exists(os.path.dirname(control))
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
        p.stdout.close()
        p.stderr.close()


def test_two_demos_run_beside_each_other():
    demos = [subprocess.Popen([BINARY, "demo"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        urls = set()
        for p in demos:
            text = ""
            while "Ctrl-C" not in text:
                line = p.stdout.readline()
                assert line
                text += line
            urls.add(re.search(r"curl (\S+)", text)[1])
        assert len(urls) == 2
    finally:
        for p in demos:
            p.send_signal(signal.SIGTERM)
        codes = [p.wait(secs(10)) for p in demos]
        for p in demos:
            p.stdout.close()
    assert codes == [0, 0]
