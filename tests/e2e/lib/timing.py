"""Time as the tests see it: stretched under sanitizers, and spent awaiting conditions rather than sleeping."""
import os
import select
import time

STRETCH = 5.0 if os.environ.get("WEIR_SLOW") == "1" else 1.0


def secs(seconds):
    """A time-out for waiting: a failing test takes this long, a passing one never."""
    return seconds * STRETCH


def ms(milliseconds):
    """A duration for proxy.conf, stretched like everything else."""
    return f"{int(milliseconds * STRETCH)}ms"


class NeverHappened(AssertionError):
    pass


def eventually(check, timeout=5.0, what=None, every=0.005):
    """Calls check() until it returns something true, and returns that."""
    end = time.monotonic() + secs(timeout)
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise NeverHappened(f"{what or check} did not come true within {secs(timeout):g} s (last: {got!r})")
        time.sleep(every)


def stays(check, seconds, what=None):
    """Fails as soon as check() is false within that time.  For claims that something does not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert check(), f"{what or check} stopped being true"
        time.sleep(0.01)


def comes(sock, timeout=0.0):
    """Whether there is something to read, or the end, within that time.  select() knows no descriptor past 1023."""
    p = select.poll()
    p.register(sock, select.POLLIN)
    return bool(p.poll(timeout * 1000))
