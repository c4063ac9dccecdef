"""What tests/bench/run and tests/bench/exact share: building the programs, running them, reading their "key value" lines."""

import glob
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, "build", "bench")
# as the release build has them (Makefile: HARDEN), so that what is measured is what is shipped
FLAGS = ("-std=gnu17 -O2 -g -Isrc -I. -fPIE -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE "
         "-D_FORTIFY_SOURCE=2 -fno-plt -pthread -pie -Wl,-z,relro -Wl,-z,now").split()


def sources():
    found = [s for pattern in ("src/fiber/*.c", "src/fiber/*.S", "src/base/*.c") for s in glob.glob(os.path.join(ROOT, pattern))]
    # what the build generates into one, and the one that needs libcrypto: the green threads use neither
    others = [os.path.join(ROOT, "src/base", name) for name in ("version.c", "sign.c")]
    return sorted(s for s in found if s not in others)


def compile_c(name, files, libs=()):
    """Builds build/bench/<name>, unless it is newer than everything it may depend on; None if that fails."""
    out = os.path.join(OUT, name)
    inputs = list(files) + glob.glob(os.path.join(ROOT, "src/*/*.h")) + glob.glob(os.path.join(ROOT, "tests/bench/*"))
    if os.path.exists(out) and all(os.path.getmtime(f) < os.path.getmtime(out) for f in inputs):
        return out
    os.makedirs(OUT, exist_ok=True)
    command = [os.environ.get("CC", "gcc"), *FLAGS, "-o", out, *files, *libs]
    return out if subprocess.run(command, cwd=ROOT).returncode == 0 else None


def here(*names):
    return [os.path.join(ROOT, "tests", "bench", n) for n in names]


def build_ours():
    ours = compile_c("fiber_bench", here("fiber_bench.c") + sources(), ["-levent_core"])
    client = compile_c("echo_client", here("echo_client.c"))
    if ours is None or client is None:
        sys.exit("bench: the programs do not build")
    return ours, client


def build_load():
    load = compile_c("http_load", here("http_load.c"), ["-lssl", "-lcrypto"])
    if load is None:
        sys.exit("bench: the programs do not build")
    return load


def build_others():
    """The floor, and those that are installed: {name: path}."""
    base = [os.path.join(ROOT, "src", f) for f in ("fiber/context.c", "fiber/context_x86_64.S", "fiber/context_aarch64.S", "base/must.c")]
    found = {"floor": compile_c("asm_floor", here("asm_floor.c") + base)}
    if os.path.exists("/usr/include/st.h"):
        found["st"] = compile_c("st_bench", here("st_bench.c"), ["-lst"])
    if shutil.which("go"):
        out = os.path.join(OUT, "go_bench")
        env = dict(os.environ, GOCACHE=os.path.join(OUT, "gocache"), GOFLAGS="-mod=mod")
        if subprocess.run(["go", "build", "-o", out, *here("go_bench.go")], env=env, cwd=OUT).returncode == 0:
            found["go"] = out
    return {name: path for name, path in found.items() if path is not None}


def numbers(text):
    values = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2:
            try:
                values[words[0]] = float(words[1])
            except ValueError:
                pass
    return values


def pinned(cpu):
    return ["taskset", "-c", str(cpu)] if shutil.which("taskset") else []


def run(command, timeout=300):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout)
    return numbers(done.stdout) if done.returncode == 0 else {}


def echo(server_command, client, connections, requests, client_cpu=None, timeout=300):
    """Starts the server, lets the client talk to it, and returns what the server says; {} on failure."""
    log = os.path.join(OUT, "echo.%d" % os.getpid())
    with open(log, "w") as out:
        server = subprocess.Popen([str(c) for c in server_command], stdout=out, stderr=subprocess.DEVNULL)
    try:
        port, until = None, time.monotonic() + 30
        while port is None and time.monotonic() < until and server.poll() is None:
            port = numbers(open(log).read()).get("port")
            time.sleep(0.01)
        if port is None:
            return {}
        talk = (pinned(client_cpu) if client_cpu is not None else []) + [client, str(int(port)), str(connections), str(requests)]
        if subprocess.run(talk, timeout=timeout).returncode != 0:
            return {}
        server.wait(timeout=60)
        return numbers(open(log).read())
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        os.unlink(log)
