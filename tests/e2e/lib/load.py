"""
Load and fast backends as processes of their own, so that they can be killed and don't share a lock with the test.

    FastBackend("b1")                      python3 lib/load.py backend
    Load(address, keep=4, fresh=2, ...)    python3 lib/load.py load
"""
import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib import over  # noqa: E402
from lib.timing import secs  # noqa: E402
from lib.tls import client_context  # noqa: E402

BODY = bytes(range(256)) * 256  # 64 KiB, the piece that big bodies are made of


# -- the test's side ----------------------------------------------------------------------------------------------------
class FastBackend:
    """GET /size/N, /chunked/N, /slow/MS, anything else: its name.  POST: length and sha256 of the body.  Upgrade: echo."""

    def __init__(self, name="b", idle=0.0, port=0):
        self.proc = subprocess.Popen([sys.executable, os.path.abspath(__file__), "backend", name, str(idle), str(port)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.name = name
        self.port = int(self.proc.stdout.readline())
        self.address = ("127.0.0.1", self.port)
        self.text = f"127.0.0.1:{self.port}"

    def __str__(self):
        return self.text

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def stop(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()
        self.proc.stdin.close()
        self.proc.stdout.close()


class Load:
    """Runs until stop(); report = {"ok": {kind: n}, "failed": [text, ...], "names": {backend: n}}."""

    def __init__(self, address, keep=4, fresh=2, posts=0, uploads=0, downloads=0, tunnels=0, pace=0.002, target="/"):
        plan = dict(address=address, keep=keep, fresh=fresh, posts=posts, uploads=uploads, downloads=downloads, tunnels=tunnels,
                    pace=pace, target=target, tls=over.context_for(address) is not None)
        self.proc = subprocess.Popen([sys.executable, os.path.abspath(__file__), "load", json.dumps(plan)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.proc.stdout.readline() == b"running\n"
        self.report = None

    def stop(self, timeout=40.0):
        """Ends it; every worker finishes what it has begun first."""
        out, _ = self.proc.communicate(b"stop\n", secs(timeout))
        self.report = json.loads(out)
        return self.report

    def kill(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
            self.proc.communicate()


# -- the backend process --------------------------------------------------------------------------------------------------
async def serve_one(reader, writer, name, idle):
    try:
        while True:
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), idle) if idle else await reader.readuntil(b"\r\n\r\n")
            except asyncio.TimeoutError:
                return
            lines = head.split(b"\r\n")
            method, target, _ = lines[0].split(b" ")
            fields = {}
            for line in lines[1:-2]:
                k, _, v = line.partition(b":")
                fields[k.lower()] = v.strip()
            if b"upgrade" in fields and b"upgrade" in fields.get(b"connection", b"").lower():
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
                return
            await answer(reader, writer, name, method, target.decode(), fields)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def read_body(reader, fields):
    digest, n = hashlib.sha256(), 0
    if fields.get(b"transfer-encoding") == b"chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            data = await reader.readexactly(size)
            await reader.readexactly(2)
            digest.update(data)
            n += size
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    else:
        left = int(fields.get(b"content-length", b"0"))
        while left:
            data = await reader.read(min(left, 262144))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            digest.update(data)
            n += len(data)
            left -= len(data)
    return n, digest.hexdigest()


async def answer(reader, writer, name, method, target, fields):
    n, digest = await read_body(reader, fields)
    parts = target.split("?")[0].split("/")
    if parts[1] == "slow":
        await asyncio.sleep(int(parts[2]) / 1000)
    if parts[1] == "drip":  # /drip/N/MS: N bytes, one each MS
        writer.write(b"HTTP/1.1 200 OK\r\nX-Backend: %s\r\nContent-Length: %d\r\n\r\n" % (name.encode(), int(parts[2])))
        for _ in range(int(parts[2])):
            writer.write(b"d")
            await writer.drain()
            await asyncio.sleep(int(parts[3]) / 1000)
        return
    if parts[1] == "size":
        left = int(parts[2])
        writer.write(b"HTTP/1.1 200 OK\r\nX-Backend: %s\r\nContent-Length: %d\r\n\r\n" % (name.encode(), left))
        while left:
            piece = BODY[:min(left, len(BODY))]
            writer.write(piece)
            await writer.drain()
            left -= len(piece)
        return
    if parts[1] == "chunked":
        left = int(parts[2])
        writer.write(b"HTTP/1.1 200 OK\r\nX-Backend: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % name.encode())
        while left:
            piece = BODY[:min(left, len(BODY))]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            left -= len(piece)
        writer.write(b"0\r\n\r\n")
        return
    body = name.encode() if method != b"POST" else f"{n} {digest}".encode()
    # in one piece: killed between head and body, it would leave an answer that nobody can mend
    writer.write(b"HTTP/1.1 200 OK\r\nX-Backend: %s\r\nContent-Length: %d\r\n\r\n" % (name.encode(), len(body)) + (b"" if method == b"HEAD" else body))


async def backend_main(name, idle, port):
    server = await asyncio.start_server(lambda r, w: serve_one(r, w, name, idle), "127.0.0.1", port, limit=1 << 20, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


# -- the load process -----------------------------------------------------------------------------------------------------
class State:
    def __init__(self, plan):
        self.plan = plan
        self.stopping = asyncio.Event()
        self.ok, self.names, self.failed = {}, {}, []

    def good(self, kind, name=None):
        self.ok[kind] = self.ok.get(kind, 0) + 1
        if name:
            self.names[name] = self.names.get(name, 0) + 1

    def bad(self, kind, what):
        if len(self.failed) < 200:
            self.failed.append(f"{kind}: {what}")


async def open_to(state):
    a = state.plan["address"]
    if isinstance(a, str):
        return await asyncio.open_unix_connection(a, limit=1 << 20)
    tls = dict(ssl=client_context(), server_hostname="") if state.plan["tls"] else {}
    return await asyncio.open_connection(a[0], a[1], limit=1 << 20, **tls)


async def one_request(state, reader, writer, kind, head, body_source=None, want=None):
    """Returns whether the connection may be used again."""
    writer.write(head)
    if body_source is not None:
        await body_source(writer)
    await writer.drain()
    answer_head = await reader.readuntil(b"\r\n\r\n")
    status = int(answer_head[9:12])
    fields = {}
    for line in answer_head.split(b"\r\n")[1:-2]:
        k, _, v = line.partition(b":")
        fields[k.lower()] = v.strip()
    digest, n, body = hashlib.sha256(), 0, b""
    if fields.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            digest.update(await reader.readexactly(size))
            await reader.readexactly(2)
            n += size
        await reader.readexactly(2)
    else:
        left = int(fields[b"content-length"])
        while left:
            data = await reader.read(min(left, 262144))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            n += len(data)
            left -= len(data)
            if n <= 4096:
                body += data
    if status != 200:
        state.bad(kind, f"{status} {body[:200]!r}")
    elif want is not None and not want(n, body):
        state.bad(kind, f"wrong body: {n} bytes, {body[:200]!r}")
    else:
        state.good(kind, fields.get(b"x-backend", b"").decode())
    return fields.get(b"connection", b"").lower() != b"close"


async def keep_alive(state, kind, fresh, head, body_source=None, want=None, pace=None):
    """A client with one connection (or one a request); a connection that ends while idle is reopened, as browsers do."""
    reader = writer = None
    while not state.stopping.is_set():
        began = time.monotonic()
        used = writer is not None
        try:
            if writer is None:
                reader, writer = await open_to(state)
            again = await one_request(state, reader, writer, kind, head, body_source, want)
            if fresh or not again:
                writer.close()
                writer = None
        except (asyncio.IncompleteReadError, ConnectionError, OSError) as e:
            # A reused connection on which nothing came back was closed under us; that is counted, not forgiven.
            state.bad(kind, f"{'reused' if used else 'new'} connection: {type(e).__name__} {e} after {time.monotonic() - began:.3f} s")
            if writer is not None:
                writer.close()
            writer = None
        except Exception as e:
            state.bad(kind, f"{type(e).__name__} {e}")
            if writer is not None:
                writer.close()
            writer = None
        await asyncio.sleep(state.plan["pace"] if pace is None else pace)
    if writer is not None:
        writer.close()


async def tunnel(state):
    """One long tunnel: what goes in must come out, until the end."""
    try:
        reader, writer = await open_to(state)
        writer.write(b"GET /tunnel HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            state.bad("tunnel", repr(head))
            return
        i = 0
        while not state.stopping.is_set():
            i += 1
            message = b"message %d\n" % i
            writer.write(message)
            got = await reader.readexactly(len(message))
            if got != message:
                state.bad("tunnel", f"{got!r} for {message!r}")
                return
            state.good("tunnel")
            await asyncio.sleep(0.01)
        writer.close()
    except (asyncio.IncompleteReadError, ConnectionError, OSError) as e:
        state.bad("tunnel", f"{type(e).__name__} {e}")


async def load_main(plan):
    state = State(plan)
    get = f"GET {plan['target']} HTTP/1.1\r\nHost: load.example\r\n\r\n".encode()
    post = b"POST /post HTTP/1.1\r\nHost: load.example\r\nContent-Length: 5\r\n\r\nhello"
    size = 4 << 20
    upload = f"POST /upload HTTP/1.1\r\nHost: load.example\r\nContent-Length: {size}\r\n\r\n".encode()
    whole = hashlib.sha256(BODY * (size // len(BODY))).hexdigest()

    async def send_slowly(writer):
        for _ in range(size // len(BODY)):
            writer.write(BODY)
            await writer.drain()
            await asyncio.sleep(0.002)

    jobs = [keep_alive(state, "keep", False, get) for _ in range(plan["keep"])]
    jobs += [keep_alive(state, "fresh", True, get, pace=max(plan["pace"], 0.004)) for _ in range(plan["fresh"])]
    jobs += [keep_alive(state, "post", False, post, want=lambda n, b: b.startswith(b"5 ")) for _ in range(plan["posts"])]
    jobs += [keep_alive(state, "upload", False, upload, send_slowly, lambda n, b: b.decode() == f"{size} {whole}") for _ in range(plan["uploads"])]
    jobs += [keep_alive(state, "download", False, f"GET /size/{size} HTTP/1.1\r\nHost: load.example\r\n\r\n".encode(),
                        want=lambda n, b: n == size) for _ in range(plan["downloads"])]
    jobs += [tunnel(state) for _ in range(plan["tunnels"])]
    tasks = [asyncio.ensure_future(j) for j in jobs]
    print("running", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    state.stopping.set()
    done, left = await asyncio.wait(tasks, timeout=secs(30)) if tasks else ((), ())
    for t in left:
        t.cancel()
        state.bad("hung", "a client did not end")
    print(json.dumps({"ok": state.ok, "failed": state.failed, "names": state.names}), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # end with the test
    if sys.argv[1] == "backend":
        asyncio.run(backend_main(sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
    else:
        asyncio.run(load_main(json.loads(sys.argv[2])))
