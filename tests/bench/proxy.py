"""The proxy as tests/bench/exact counts it: between clients and an origin of ours (http_load.c), all on loopback."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import lib


class Failed(Exception):
    """Something did not run, so there is nothing to count."""


def await_that(check, what, seconds=30):
    """Calls check() until it returns something true, and returns that."""
    until = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.005)


def free_port():
    """One that nobody listens on, outside the range that outgoing connections take theirs from."""
    while True:
        port = random.SystemRandom().randrange(10240, 32700)
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
                return port
        except OSError:
            pass


class Talker:
    """A program that says "key value" lines and, if it has nothing better to do, ends with its stdin."""

    def __init__(self, command, log):
        self.name, self.log = os.path.basename(command[0]) + " " + command[1], log
        with open(log, "w") as out:
            self.proc = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=out)

    def said(self, key, least=1, seconds=30):
        """What it said last about this, once that is at least so much."""
        def look():
            value = lib.numbers(open(self.log).read()).get(key, 0)
            if value < least and self.proc.poll() is not None:
                raise Failed(f"{self.name} ended with {self.proc.returncode}")
            return value if value >= least else None
        return await_that(look, f'{self.name} to say "{key} {least}"', seconds)

    def stop(self):
        self.proc.stdin.close()
        try:
            self.proc.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


WEIR = os.path.join(lib.ROOT, "build", "release", "weir")
# One worker, no access log, kept connections to the origin, X-Forwarded-For added (the default, and the origin looks);
# no timeout that fires on a slow machine, nor under valgrind.
PROXY_CONF = """\
daemon = {{ workers = 1; control = "off"; pid_file = "{dir}/pid"; }};
log = {{ level = "warn"; access = "off"; }};
timeouts = {{ client_idle = "10m"; first_byte = "10m"; tunnel_idle = "10m"; }};
listeners = ( {{ bind = "127.0.0.1:{port}"; mode = "{mode}"; pool = "origin"; {tls} }} );
pools = ( {{ name = "origin"; keepalive = {{ idle = 1000; timeout = "10m"; }}; backends = [ "127.0.0.1:{origin}" ]; }} );
"""


TLS_CONF = 'tls = {{ min = "1.3"; certificates = ( {{ cert = "{dir}/cert.pem"; key = "{dir}/key.pem"; }} ); }};'


def certificate(to):
    """One with a P-256 key, signed by itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example", "-keyout", f"{to}/key.pem", "-out", f"{to}/cert.pem"],
                   check=True, capture_output=True)


class Proxy:
    """The release build with an origin behind it, for a `with` block.  Its end is awaited and has to be a clean one."""

    def __init__(self, load, wrap=(), mode="http", tls=False):
        self.load, self.wrap, self.mode, self.tls = load, list(wrap), mode, tls
        self.clients, self.held, self.origin, self.proc = [], 0, None, None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="weir-exact-")
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def start(self):
        self.origin = Talker([self.load, "origin"], self.file("origin.log"))
        self.port = free_port()
        if self.tls:
            certificate(self.dir)
        with open(self.file("proxy.conf"), "w") as f:
            f.write(PROXY_CONF.format(dir=self.dir, port=self.port, mode=self.mode, origin=int(self.origin.said("port")),
                                      tls=TLS_CONF.format(dir=self.dir) if self.tls else ""))
        with open(self.file("weir.log"), "w") as log:
            self.proc = subprocess.Popen([*self.wrap, WEIR, "-c", self.file("proxy.conf")], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log)
        await_that(self.listens, "weir to listen")

    def file(self, name):
        return os.path.join(self.dir, name)

    def pid(self):
        """Of weir itself, not of what it may be wrapped in; 0 while it is not up."""
        try:
            return int(open(self.file("pid")).read())
        except (OSError, ValueError):
            return 0

    def listens(self):
        if self.proc.poll() is not None:
            raise Failed(f"weir ended with {self.proc.returncode}: {open(self.file('weir.log')).read()[-1000:]}")
        if not self.pid():
            return False
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def drive(self, mode, connections, requests):
        """Lets clients ask so much; returns when they have all answers."""
        done = subprocess.run([self.load, mode, str(self.port), str(connections), str(requests)], timeout=60)
        if done.returncode != 0:
            raise Failed(f"http_load {mode} ended with {done.returncode}")

    def hold(self, mode, connections):
        """Connects so many more clients, which stay; returns when they are as the mode says."""
        self.held += connections if mode == "held" else 0
        client = Talker([self.load, mode, self.port, connections], self.file(f"client.{len(self.clients)}"))
        self.clients.append(client)
        if mode == "held":
            self.origin.said("held", self.held)
        else:
            client.said("idle", connections)

    def resident(self):
        """Bytes.  Counted page by page: the figure in statm may lag, and PSS changes with what others run."""
        with open(f"/proc/{self.pid()}/smaps_rollup") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Rss:")) * 1024

    def kill(self):
        if self.proc is not None and self.proc.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid() or self.proc.pid, signal.SIGKILL)
            self.proc.wait()
        for talker in self.clients + [self.origin]:
            if talker is not None:
                talker.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                for client in self.clients:
                    client.stop()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid() or self.proc.pid, signal.SIGTERM)
                if self.proc.wait(timeout=60) != 0:
                    raise Failed(f"weir ended with {self.proc.returncode}: {open(self.file('weir.log')).read()[-1000:]}")
        finally:
            self.kill()
