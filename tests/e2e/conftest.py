"""
Fixtures of the end-to-end tests.  `weir(conf)` starts the proxy, `backend(handler)` a scriptable server, `pair(handler)`
both; each ends with its test, and the proxy is judged then (crash, sanitizer report, broken promise, exit status).

WEIR       the binary (build/weir)          WEIR_SLOW=1   everything waits five times as long (sanitizers)
WEIR_KEEP  =1 keeps the temporary folders     WEIR_OVER=tls HTTP listeners and their clients speak TLS (lib/over.py)
                                            WEIR_OVER=h2c HTTP listeners and their clients speak HTTP/2 (lib/over_h2c.py)
WEIR_PRELOAD  a library the proxy is started with (tests/e2e/lib/late.c)
WEIR_FAILED   a file that gets the names of the tests that failed, "!" before those that nothing excuses (tests/lib/run-e2e)
"""
import os
import resource
import shutil
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import over  # noqa: E402
from lib import over_h2c  # noqa: E402
from lib.backend import Backend, Blackhole, Refusing  # noqa: E402
from lib.load import FastBackend, Load  # noqa: E402
from lib.timing import STRETCH, eventually  # noqa: E402
from lib.tls import Authority  # noqa: E402
from lib.weir import BAD_WORDS, BINARY, ENDED_BADLY, Weir, free_port  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "in_clear(why): means nothing over TLS, or can't be done there")
    config.addinivalue_line("markers", "slow: takes long; run by `make soak`")
    config.addinivalue_line("markers", "http1(why): is about HTTP/1, skipped with WEIR_OVER=h2c")
    config.addinivalue_line("markers", "no_sanitizer: measures what a sanitizer changes (memory, time)")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_collection_modifyitems(config, items):
    chosen = config.getoption("-m")
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout((300 if item.get_closest_marker("slow") else 60) * STRETCH))
        if item.get_closest_marker("slow") and not chosen:
            item.add_marker(pytest.mark.skip(reason="slow: run with -m slow"))
        in_clear = item.get_closest_marker("in_clear")
        if over.TLS and in_clear:
            item.add_marker(pytest.mark.skip(reason=f"over TLS: {in_clear.args[0]}"))
        http1 = item.get_closest_marker("http1")
        if over_h2c.ON and http1:
            item.add_marker(pytest.mark.skip(reason=f"over h2c: {http1.args[0]}"))
        if STRETCH > 1 and item.get_closest_marker("no_sanitizer"):
            item.add_marker(pytest.mark.skip(reason="means nothing under a sanitizer"))


def pytest_sessionstart(session):
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"no program at {BINARY}: run `make` first", 2)


def pytest_terminal_summary(terminalreporter):
    if "WEIR_FAILED" not in os.environ:
        return
    failed = {}
    for report in terminalreporter.stats.get("failed", []) + terminalreporter.stats.get("error", []):
        text = report.longreprtext
        failed[report.nodeid] = failed.get(report.nodeid, False) or bool(BAD_WORDS.search(text) or ENDED_BADLY in text)
    with open(os.environ["WEIR_FAILED"], "w") as f:
        f.writelines(f"{'!' if bad else ''}{name}\n" for name, bad in failed.items())


@pytest.fixture
def weir():
    """weir(conf, ...) -> a running Weir."""
    started = []

    def start(conf, **kw):
        w = Weir(conf, **kw)
        started.append(w)
        return w.start()

    yield start
    failures = []
    for w in started:
        try:
            w.judge()
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, "\n".join(failures)


@pytest.fixture
def backend():
    """backend(handler, kind="tcp"|"tcp6"|"unix") -> a running Backend."""
    made = []

    def start(handler=None, **kw):
        b = Backend(handler, **kw)
        made.append(b)
        return b

    yield start
    for b in made:
        b.stop()
        b.release()
    errors = [e for b in made for e in b.errors]
    assert not errors, f"a backend saw: {errors!r}"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Issues certificates; made once a session."""
    return Authority(str(tmp_path_factory.mktemp("pki")))


@pytest.fixture
def program():
    """program(argv, port): runs another's program, which listens there on 127.0.0.1, until the test's end."""
    made = []

    def start(argv, port):
        if shutil.which(argv[0]) is None:
            pytest.skip(f"{argv[0]} is not installed")
        made.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        eventually(listens, 10, argv[0])

    yield start
    for p in made:
        p.terminate()
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


@pytest.fixture
def refusing():
    r = Refusing()
    yield r
    r.stop()


@pytest.fixture
def blackhole():
    b = Blackhole()
    yield b
    b.stop()


@pytest.fixture
def pair(weir, backend):
    """pair(handler, listener={...}, pool={...}, **sections) -> (Weir, Backend): one listener, one pool, one backend."""
    def start(handler=None, listener=None, pool=None, kind="tcp", path=None, weir_args=None, **sections):
        b = backend(handler, kind=kind, path=path)
        w = weir(simple(b, listener=listener, pool=pool, **sections), **(weir_args or {}))
        return w, b

    return start


def simple(*backends, listener=None, pool=None, **sections):
    """A configuration with one listener and one pool."""
    return {
        "listeners": [{"name": "web", "pool": "app", **(listener or {})}],
        "pools": [{"name": "app", "backends": list(backends), **(pool or {})}],
        **sections,
    }


@pytest.fixture
def fast_backend():
    """fast_backend(name) -> a process that serves HTTP quickly and says its name; nobody else gets its port when it is killed."""
    made = []

    def start(name="b", **kw):
        b = FastBackend(name, **{"port": free_port(), **kw})
        made.append(b)
        return b

    yield start
    for b in made:
        b.stop()


@pytest.fixture
def load():
    """load(weir, ...) -> a process that sends requests until .stop(), then has .report."""
    made = []

    def start(address, **kw):
        x = Load(address, **kw)
        made.append(x)
        return x

    yield start
    for x in made:
        x.kill()
