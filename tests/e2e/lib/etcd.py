"""A real etcd of one member on free ports, spoken to by its JSON gateway."""
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request

from .timing import eventually, secs

PROGRAM = shutil.which("etcd")


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Etcd:
    def __init__(self, free_port):
        self.dir = tempfile.mkdtemp(prefix="we-etcd-", dir="/tmp")
        self.port, self.peer = free_port(), free_port()
        self.text = f"127.0.0.1:{self.port}"
        self.proc = None
        self.start()

    def start(self):
        client, peer = f"http://{self.text}", f"http://127.0.0.1:{self.peer}"
        self.proc = subprocess.Popen(
            [PROGRAM, "--data-dir", os.path.join(self.dir, "data"), "--listen-client-urls", client, "--advertise-client-urls", client,
             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}", "--unsafe-no-fsync"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self.answers, 15, what="etcd")

    def answers(self):
        try:
            self.post("/v3/kv/range", key=b64("\0"))
            return True
        except (OSError, urllib.error.URLError):
            return False

    def post(self, path, **json_fields):
        req = urllib.request.Request(f"http://{self.text}{path}", json.dumps(json_fields).encode(), method="POST")
        with urllib.request.urlopen(req, timeout=secs(5)) as res:
            return json.loads(res.read())

    def put(self, key, **document):
        self.post("/v3/kv/put", key=b64(key), value=b64(json.dumps(document)))

    def delete(self, key):
        self.post("/v3/kv/deleterange", key=b64(key))

    def kill(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def wipe(self):
        """What a member that is made anew on an empty disk has."""
        self.kill()
        shutil.rmtree(os.path.join(self.dir, "data"))

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
