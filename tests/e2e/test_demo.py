"""`weir demo`: a newcomer sees it work at once."""
import os
import re
import signal
import subprocess
import tempfile

import pytest

from lib.client import Client
from lib.timing import eventually, secs
from lib.weir import BINARY


class Demo:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="we-", dir="/tmp")
        self.path = os.path.join(self.dir, "out")
        self.out = open(self.path, "wb")
        self.proc = subprocess.Popen([BINARY, "demo"], stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT, cwd=self.dir)

    def text(self):
        with open(self.path, errors="replace") as f:
            return f.read()

    def url(self):
        return eventually(lambda: re.search(r"http://(127\.0\.0\.1|localhost|\[::1\]):(\d+)", self.text()) and "Ctrl-C" in self.text()
                          and re.search(r"http://(127\.0\.0\.1|localhost|\[::1\]):(\d+)", self.text()), 20, "an address to try")

    def stop(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
            try:
                self.proc.wait(secs(10))
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.out.close()
        os.unlink(self.path)
        for name in os.listdir(self.dir):
            os.unlink(os.path.join(self.dir, name))
        os.rmdir(self.dir)


@pytest.fixture
def demo():
    d = Demo()
    yield d
    d.stop()


def test_the_demo_shows_the_balance_as_a_table(demo):
    demo.url()
    rows = [line for line in demo.text().split("\n") if re.search(r"(127\.0\.0\.1:\d+|backend|one|two|three)", line) and re.search(r"\b\d+\b", line)]
    assert len(rows) >= 3, demo.text()


def test_the_demo_goes_on_serving_and_balances(demo):
    m = demo.url()
    seen = set()
    for _ in range(12):
        with Client(("127.0.0.1", int(m[2]))) as c:
            res = c.request("GET", "/")
            assert res.status == 200
            seen.add(res.body)
    assert len(seen) >= 3, f"all answers are the same: {seen}"
    assert demo.proc.poll() is None


def test_the_demo_says_what_to_try_next(demo):
    demo.url()
    assert "curl" in demo.text() and "Ctrl-C" in demo.text()


def test_ctrl_c_ends_the_demo_cleanly(demo):
    demo.url()
    demo.proc.send_signal(signal.SIGINT)
    assert demo.proc.wait(secs(10)) == 0
    assert "Sanitizer" not in demo.text() and "runtime error" not in demo.text()


def test_two_demos_run_side_by_side(demo):
    other = Demo()
    try:
        assert demo.url()[2] != other.url()[2]
    finally:
        other.stop()
