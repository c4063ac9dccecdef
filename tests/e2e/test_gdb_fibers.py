"""The debugger's view of fibers (tests/lib/gdb_fibers.py), live and in a core file."""

import glob
import os
import re
import resource
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

pytestmark = [
    pytest.mark.skipif(shutil.which("gdb") is None, reason="no gdb here"),
    pytest.mark.no_sanitizer,  # its program is one of its own
    pytest.mark.in_clear("its program listens to nobody"),
    pytest.mark.http1("its program listens to nobody"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("gdb") / "parked")
    sources = [s for pattern in ("src/fiber/*.c", "src/fiber/*.S", "src/base/*.c") for s in glob.glob(os.path.join(ROOT, pattern))]
    sources = [s for s in sources if not s.endswith("/version.c")]
    subprocess.run(["gcc", "-std=gnu17", "-O2", "-g", "-Isrc", "-I.", "-pthread", "-o", out, "tests/lib/parked_main.c", *sources,
                    "-levent_core", "-lcrypto"], cwd=ROOT, check=True)
    return out


def gdb(*arguments):
    done = subprocess.run(["gdb", "-nx", "-batch", *arguments], capture_output=True, text=True, timeout=100, cwd=ROOT)
    if "ptrace: Operation not permitted" in done.stderr:
        pytest.skip("tracing is not allowed here")
    return done.stdout + done.stderr


def id_of(listing, name):
    return re.search(r"^ *(\d+) parked +stage +%s" % name, listing, re.M).group(1)


def check(view):
    listing = view("fibers")
    assert "waiting for Godot" in listing and "waiting for the rain" in listing
    assert re.search(r"running +stage +director", listing)
    trace = view("fiber-bt " + id_of(listing, "farmer"))
    names = re.findall(r"^#\d+ +0x[0-9a-f]+ in (\w+)", trace, re.M)
    assert "waits_inside" in names and "waits" in names, trace
    assert names.index("waits_inside") < names.index("waits")
    assert names[-1] == "context_entry", trace  # a clean end, nothing made up beyond it
    assert "no such fiber" in view("fiber-bt 999999")


def test_a_live_process_shows_its_fibers(program):
    check(lambda command: gdb("-x", "tests/lib/gdb_fibers.py", "-ex", "run", "-ex", command, program))


def test_a_core_file_shows_its_fibers(program, tmp_path):
    """The kernel's own core file: gdb's generate-core-file gives up on a region at its first guard page."""
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    subprocess.run([program], cwd=tmp_path, stderr=subprocess.DEVNULL,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (most, most)))
    cores = glob.glob(str(tmp_path / "core*"))
    if not cores:
        pytest.skip("no core file is written here")
    check(lambda command: gdb("-x", "tests/lib/gdb_fibers.py", "-ex", command, program, cores[0]))


def test_after_looking_the_thread_stands_where_it_stood(program):
    said = gdb("-x", "tests/lib/gdb_fibers.py", "-ex", "run", "-ex", "p $pc", "-ex", "fiber-bt 2", "-ex", "p $pc", "-ex", "backtrace", program)
    places = re.findall(r"^\$\d+ = .*$", said, re.M)
    assert len(places) == 2 and places[0].split("=")[1] == places[1].split("=")[1]
    assert "abort" in said.split(places[1])[1]
