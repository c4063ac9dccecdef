"""The proxy as a process of ours: started with a configuration, awaited by sd_notify, judged when it ends."""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from . import over, over_h2c
from .client import Client
from .conf import conf_text
from .timing import eventually, secs

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BINARY = os.environ.get("WEIR") or os.path.join(ROOT, "build", "weir")
BAD_WORDS = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|UndefinedBehavior|broken promise|stack overflow in fiber|MUST\(")

ENDED_BADLY = "the proxy came to another end"

_ports_used = {}  # port -> what keeps others of these tests from it


def free_port():
    """
    A port that nobody listens on, outside the range that outgoing connections take theirs from.  No other process of these
    tests is given it while we live, though it is not bound yet or let go of in between: an abstract socket stands for it.
    """
    while True:
        port = random.SystemRandom().randrange(10240, 32700)
        if port in _ports_used:
            continue
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            ours.bind(f"\0weir-e2e-port-{port}")
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family, socket.SOCK_STREAM) as s:
                    s.bind((host, port))
        except OSError:
            ours.close()
            continue
        _ports_used[port] = ours
        return port


def address_of(text):
    """What a client connects to for a `bind` as written in the file."""
    if text.startswith("unix:"):
        return text[5:]
    host, port = text.rsplit(":", 1)
    host = host.strip("[]")
    return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port))


class Died(AssertionError):
    pass


class Notify:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.messages = []  # (time, text)
        self.marks = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                data = self.sock.recv(4096)
            except OSError:
                return
            if not data:
                return
            if data.startswith(b"\0"):
                self.marks = int(data[1:])
                continue
            for line in data.decode(errors="replace").split("\n"):
                if line:
                    self.messages.append((time.monotonic(), line))

    def settle(self):
        """Returns when all that has been sent has been read: our thread may be slower than who looks."""
        mark = self.marks + 1
        end = time.monotonic() + secs(5)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.sendto(b"\0%d" % mark, self.path)
        except OSError:
            return  # it has been stopped
        while self.marks < mark and self.thread.is_alive() and time.monotonic() < end:
            time.sleep(0.0002)

    def count(self, text):
        self.settle()
        return sum(1 for _, m in self.messages if m == text)

    def lines(self):
        self.settle()
        return [m for _, m in self.messages]

    def stop(self):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.sendto(b"", self.path)
        except OSError:
            pass
        self.sock.close()


class Weir:
    """
    conf: a dict (sections as in proxy.conf) or the text of a file.  In a dict, listeners without `bind` get a free
    loopback port; control socket, admin listener and JSON access log are added unless written.
    """

    def __init__(self, conf, env=None, nofile=None, args=(), expect_exit=0, cpu=None):
        self.dir = tempfile.mkdtemp(prefix="we-", dir="/tmp")
        self.conf = conf
        self.path = os.path.join(self.dir, "proxy.conf")
        self.control = os.path.join(self.dir, "ctl.sock")
        self.access_path = os.path.join(self.dir, "access.log")
        self.stderr_path = os.path.join(self.dir, "stderr")
        self.stdout_path = os.path.join(self.dir, "stdout")
        self.notify = Notify(os.path.join(self.dir, "notify"))
        self.env, self.nofile, self.args = env or {}, nofile, args
        self.expect_exit = expect_exit  # what SIGTERM must end in; None: the test ended it in its own way
        self.proc = None
        self.exit_code = None
        self.judged = False
        self.auto_binds = {}
        self.admin_port = None

    # -- configuration ------------------------------------------------------------------------------------------------
    def complete(self, conf):
        """The dict with what every test needs filled in."""
        conf = dict(conf)
        daemon = {"workers": 2, "control": self.control}
        daemon.update(conf.get("daemon", {}))
        if "admin" not in daemon:
            self.admin_port = self.admin_port or free_port()
            daemon["admin"] = f"127.0.0.1:{self.admin_port}"
        conf["daemon"] = {k: v for k, v in daemon.items() if v is not None}
        log = {"level": "debug", "access": self.access_path, "format": "json"}
        log.update(conf.get("log", {}))
        conf["log"] = log
        listeners = []
        for i, l in enumerate(conf.get("listeners", [{}])):
            l = dict(l)
            l.setdefault("name", "web" if i == 0 else f"l{i}")
            if "bind" not in l:
                if l["name"] not in self.auto_binds:
                    self.auto_binds[l["name"]] = f"127.0.0.1:{free_port()}"
                l = {"name": l["name"], "bind": self.auto_binds[l["name"]], **{k: v for k, v in l.items() if k != "name"}}
            at = address_of(l["bind"])
            listeners.append(over_h2c.listener(over.listener(l, at), at))
        conf["listeners"] = listeners
        for pool in conf.get("pools", []):
            if "backends" not in pool:
                continue
            pool["backends"] = [b if isinstance(b, dict) else str(b) for b in pool["backends"]]
            pool["backends"] = [{**b, "address": str(b["address"])} if isinstance(b, dict) else b for b in pool["backends"]]
            if any(isinstance(b, dict) for b in pool["backends"]):
                pool["backends"] = [b if isinstance(b, dict) else {"address": b} for b in pool["backends"]]
        order = ["daemon", "log", "limits", "timeouts", "listeners", "routes", "pools"]
        return {k: conf[k] for k in sorted(conf, key=lambda k: order.index(k) if k in order else len(order))}

    def write_conf(self, conf=None):
        """Writes the file (anew), as an editor would: whole or not at all."""
        if conf is not None:
            self.conf = conf
        if isinstance(self.conf, str):
            text = self.conf
        else:
            self.done_conf = self.complete(self.conf)
            text = conf_text(self.done_conf)
        with open(self.path + ".new", "w") as f:
            f.write(text)
        os.rename(self.path + ".new", self.path)
        self.text = text

    # -- life ---------------------------------------------------------------------------------------------------------
    def spawn(self):
        self.write_conf()
        env = dict(os.environ, NOTIFY_SOCKET=self.notify.path, **self.env)
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=66")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        env.setdefault("TSAN_OPTIONS", "exitcode=66:halt_on_error=0")
        # No preexec_fn: then Python forks, and the threads of a gRPC server in this process may abort() when they meet with that.
        limits = ["prlimit", "--core=0"] + ([f"--nofile={self.nofile}"] if self.nofile is not None else [])
        if "WEIR_PRELOAD" in os.environ:
            env["LD_PRELOAD"] = os.environ["WEIR_PRELOAD"]
        wrapped = [*limits, "setpriv", "--pdeathsig", "KILL", BINARY, "-c", self.path, *self.args]

        with open(self.stderr_path, "ab") as err, open(self.stdout_path, "ab") as out:
            self.proc = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=self.dir)
        return self

    def start(self):
        for attempt in range(5):
            self.spawn()
            end = time.monotonic() + secs(10)
            while time.monotonic() < end:
                if self.notify.count("READY=1"):
                    return self
                if self.proc.poll() is not None:
                    break
                time.sleep(0.002)
            if self.proc.poll() is None:
                raise Died(f"not ready in time\n{self.stderr()}")
            if "in use" in self.stderr() and self.auto_binds and not isinstance(self.conf, str) and attempt < 4:
                self.auto_binds.clear()  # somebody else took the port in between
                self.admin_port = None
                continue
            raise Died(f"exit {self.proc.returncode} at start\n{self.text}\n{self.stderr()}")

    @property
    def pid(self):
        return self.proc.pid

    def alive(self):
        return self.proc.poll() is None

    def signal(self, number):
        self.proc.send_signal(number)

    def wait_exit(self, timeout=15.0):
        self.exit_code = self.proc.wait(secs(timeout))
        return self.exit_code

    def stop(self):
        """SIGTERM, and a second one after a while: the first drains."""
        if self.proc is None:
            return
        if self.alive():
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(secs(1.5))
            except subprocess.TimeoutExpired:
                self.proc.send_signal(signal.SIGTERM)
                try:
                    self.proc.wait(secs(8))
                except subprocess.TimeoutExpired:
                    self.proc.kill()
                    self.proc.wait()
                    raise AssertionError(f"two SIGTERMs did not end it\n{self.stderr()[-3000:]}") from None
        self.exit_code = self.proc.returncode

    def judge(self):
        """What every test claims: no crash, no sanitizer report, no broken promise, exit 0 by SIGTERM."""
        if self.judged or self.proc is None:
            return
        self.judged = True
        died_before = not self.alive()
        try:
            self.stop()
            err = self.stderr()
            bad = BAD_WORDS.search(err)
            assert not bad, f"it printed {bad[0]!r}\n{err[-6000:]}"
            if self.expect_exit is not None:
                assert self.exit_code == self.expect_exit, (
                    f"{ENDED_BADLY}: {'died' if died_before else 'ended'} with {self.exit_code}, wanted {self.expect_exit}\n{err[-4000:]}")
            else:
                assert self.exit_code in (0, 1, -9, -15), f"{ENDED_BADLY}: {self.exit_code}\n{err[-4000:]}"
        finally:
            self.clean()

    def clean(self):
        self.notify.stop()
        if os.environ.get("WEIR_KEEP") != "1":
            shutil.rmtree(self.dir, ignore_errors=True)

    # -- looking at it ------------------------------------------------------------------------------------------------
    def settle(self):
        """
        Returns when what clients have seen has been noted, too: a worker counts and logs a request after it has sent the
        answer, and a test that looks at once may be faster.  Each thread answers `fibers` between two fibers, so never
        between a send and the noting of it; asked once more for each step that a note takes from thread to thread: the
        connection's fiber, the stream's, the health thread's.
        """
        for _ in range(3):
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(secs(1))
                    s.connect(self.control)
                    s.sendall(b"fibers\n")
                    while s.recv(65536):
                        pass
            except OSError:
                return  # it has none, or no descriptor left for one, or has ended

    def stderr(self):
        self.settle()
        with open(self.stderr_path, errors="replace") as f:
            return f.read()

    def stdout(self):
        with open(self.stdout_path, errors="replace") as f:
            return f.read()

    def access_lines(self, path=None):
        try:
            with open(path or self.access_path, errors="replace") as f:
                return [line for line in f.read().split("\n")[:-1] if line]  # what has no end yet is being written
        except FileNotFoundError:
            return []

    def access(self, path=None):
        return [json.loads(line) for line in self.access_lines(path)]

    def logged(self, **want):
        """Waits for a line of the JSON access log that has these values, and returns it."""
        def look():
            for entry in self.access():
                if all(str(entry.get(k)) == str(v) for k, v in want.items()):
                    return entry
            return None
        try:
            return eventually(look, 5)
        except AssertionError:
            raise AssertionError(f"no line with {want} in the access log:\n" + "\n".join(self.access_lines()[-20:])) from None

    def status_file(self, key):
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise KeyError(key)

    def rss(self):
        """Bytes of memory in use, without the shared pages of files."""
        return self.status_file("RssAnon") * 1024

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def sockets(self):
        def is_socket(fd):
            try:
                return os.readlink(f"/proc/{self.pid}/fd/{fd}").startswith("socket:")
            except FileNotFoundError:  # closed meanwhile
                return False

        return sum(map(is_socket, os.listdir(f"/proc/{self.pid}/fd")))

    def cpu(self):
        """Seconds of CPU time used so far."""
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- talking to it ------------------------------------------------------------------------------------------------
    def listeners(self):
        return {l["name"]: l["bind"] for l in self.done_conf["listeners"]}

    def address(self, listener="web"):
        return address_of(self.listeners()[listener])

    def url(self, path="/", listener="web"):
        host, port = self.address(listener)
        scheme = "http" if over.context_for((host, port)) is None else "https"
        return f"{scheme}://{'[' + host + ']' if ':' in host else host}:{port}{path}"

    def client(self, listener="web", **kw):
        return Client(self.address(listener), **kw)

    def request(self, method="GET", target="/", headers=(), body=None, listener="web", timeout=10.0, **kw):
        """One request on a connection of its own."""
        with self.client(listener, timeout=timeout) as c:
            return c.request(method, target, headers, body, **kw)

    def get(self, target="/", headers=(), listener="web", **kw):
        return self.request("GET", target, headers, None, listener, **kw)

    def send_raw(self, data, listener="web", timeout=10.0):
        """Sends bytes, closes our side, returns all that came back."""
        with self.client(listener, timeout=timeout) as c:
            c.try_send(data)
            try:
                c.half_close()
            except OSError:
                pass
            return c.read_all()

    def admin(self, target="/metrics", method="GET"):
        with Client(address_of(self.done_conf["daemon"]["admin"])) as c:
            return c.request(method, target)

    def metrics(self):
        """{'name{label="x"}': value} of /metrics."""
        self.settle()
        res = self.admin("/metrics")
        assert res.status == 200, res
        return parse_metrics(res.body.decode())

    def metric(self, name, **labels):
        """The sum of the samples of a metric that have these labels."""
        total = 0.0
        for (n, have), value in self.metrics().items():
            if n == name and all(dict(have).get(k) == str(v) for k, v in labels.items()):
                total += value
        return total

    def ctl(self, *args, timeout=10.0):
        """`weir ctl ...` for this process: a CompletedProcess with text."""
        self.settle()
        return subprocess.run([BINARY, "ctl", "-s", self.control, *args], capture_output=True, text=True, errors="replace", timeout=secs(timeout), cwd=self.dir)

    def reload(self, conf=None, how="ctl"):
        """A new configuration in effect, or an AssertionError with what the program said."""
        if conf is not None:
            self.write_conf(conf)
        if how == "ctl":
            done = self.ctl("reload")
            assert done.returncode == 0, f"reload: {done.returncode}\n{done.stdout}{done.stderr}\n{self.stderr()[-2000:]}"
            return done.stdout
        before = self.notify.count("READY=1")
        self.signal(signal.SIGHUP)
        eventually(lambda: self.notify.count("READY=1") > before, 5, "READY=1 after SIGHUP")
        return ""

    def fibers(self):
        done = self.ctl("fibers")
        assert done.returncode == 0, done.stderr
        return done.stdout


SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')


def parse_metrics(text):
    """Prometheus text format 0.0.4, strictly: {(name, ((label, value), ...)): number}."""
    out, types = {}, {}
    assert text.endswith("\n"), "the last line has no line feed"
    for line in text.split("\n"):
        if not line:
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"second TYPE of {name}"
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            types[name] = kind
            continue
        if line.startswith("#"):
            continue
        m = SAMPLE.match(line)
        assert m, f"no sample: {line!r}"
        labels, rest = [], m[2] or ""
        while rest:
            lm = LABEL.match(rest)
            assert lm, f"bad labels: {line!r}"
            labels.append((lm[1], lm[2]))
            rest = rest[lm.end():]
        key = (m[1], tuple(labels))
        assert key not in out, f"twice: {line!r}"
        base = re.sub(r"_(bucket|sum|count)\Z", "", m[1])
        assert m[1] in types or types.get(base) in ("histogram", "summary"), f"no TYPE for {m[1]}"
        out[key] = float(m[3])
    return out


def run(*args, timeout=20.0, **kw):
    """The program run to its end: weir -t, -V, explain ..."""
    return subprocess.run([BINARY, *args], capture_output=True, text=True, errors="replace", timeout=secs(timeout), **kw)
