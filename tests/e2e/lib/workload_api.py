"""
A SPIFFE Workload API on a Unix socket: real gRPC, messages encoded by hand.

    api = WorkloadApi(path)
    api.give(svid(authority, "spiffe://prod.example/web"))    # to the streams that are open, and to those that come
    api.start(); api.stop()
"""
import base64
import os
import threading
from concurrent import futures

import grpc

from .timing import eventually, secs


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def ders(path):
    """The DER of all blocks of a PEM file, one behind the other."""
    out, block = b"", None
    with open(path) as f:
        for line in f:
            if line.startswith("-----BEGIN"):
                block = ""
            elif line.startswith("-----END"):
                out += base64.b64decode(block)
                block = None
            elif block is not None:
                block += line
    return out


def entry(spiffe_id, cert, key, bundle, hint=""):
    """An X509SVID of parts in DER."""
    return field(1, spiffe_id) + field(2, cert) + field(3, key) + field(4, bundle) + (field(5, hint) if hint else b"")


def svid(authority, spiffe_id, hint="", bundle=None, **kw):
    """A fresh one by that authority, as an X509SVID; .cert of it is the files'."""
    made = authority.issue(sans=["URI:" + spiffe_id], **kw)
    return entry(spiffe_id, ders(made.cert), ders(made.key), bundle if bundle is not None else ders(authority.cert), hint)


def response(*svids, federated=None, crls=()):
    out = b"".join(field(1, s) for s in svids) + b"".join(field(2, c) for c in crls)
    for domain, bundle in (federated or {}).items():
        out += field(3, field(1, domain) + field(2, bundle))
    return out


class WorkloadApi(grpc.GenericRpcHandler):
    def __init__(self, path, start=True):
        self.path, self.server = path, None
        self.message, self.number, self.code = None, 0, None
        self.changed = threading.Condition()
        self.streams, self.opened, self.stopping, self.wrong = 0, 0, False, []
        if start:
            self.start()

    @property
    def address(self):
        return "unix:" + self.path

    def start(self):
        self.stopping = False
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        self.server.add_generic_rpc_handlers((self,))
        self.server.add_insecure_port(self.address)
        self.server.start()

    def stop(self):
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        if self.server is not None:
            self.server.stop(None).wait(secs(10))
            self.server = None
        if os.path.exists(self.path):
            os.unlink(self.path)

    def give(self, *svids, **kw):
        self.give_raw(response(*svids, **kw))

    def give_raw(self, message):
        with self.changed:
            self.message, self.code = message, None
            self.number += 1
            self.changed.notify_all()

    def end_streams(self, code):
        """Streams end with that status, new ones too, until something is given."""
        with self.changed:
            self.code = code
            self.number += 1
            self.changed.notify_all()

    def has_streams(self, n):
        eventually(lambda: self.streams == n, 20, f"{n} streams, not {self.streams}")

    def service(self, call):
        if call.method != "/SpiffeWorkloadAPI/FetchX509SVID":
            self.wrong.append(call.method)
            return None
        if dict(call.invocation_metadata).get("workload.spiffe.io") != "true":
            self.wrong.append("no header")
        return grpc.unary_stream_rpc_method_handler(self.fetch)

    def fetch(self, request, context):
        if request != b"":
            self.wrong.append(request)
        context.add_callback(self.wake)
        with self.changed:
            self.streams += 1
            self.opened += 1
        seen = -1 if self.message is not None or self.code is not None else self.number
        try:
            while True:
                with self.changed:
                    while self.number == seen and not self.stopping and context.is_active():
                        self.changed.wait()
                    if self.stopping or not context.is_active():
                        return
                    seen, message, code = self.number, self.message, self.code
                if code is not None:
                    context.abort(code, "not for you")
                yield message
        finally:
            with self.changed:
                self.streams -= 1

    def wake(self):
        with self.changed:
            self.changed.notify_all()
