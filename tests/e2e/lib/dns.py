"""A small name server on a free UDP port: A, AAAA and SRV records that a test changes while it runs."""
import socket
import struct
import threading

A, AAAA, SRV = 1, 28, 33


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class Dns:
    """.records = {name: [(type, bytes), ...]}; .rcode != 0: every answer is that error; .silent: no answer at all."""

    def __init__(self, ttl=0):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.text = f"127.0.0.1:{self.sock.getsockname()[1]}"
        self.ttl, self.records, self.rcode, self.silent, self.questions = ttl, {}, 0, False, 0
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def set_a(self, name, *addresses):
        self.records = {**self.records, name: [(A, socket.inet_aton(a)) for a in addresses]}

    def set_srv(self, name, *records):
        """Each (priority, weight, port, target)."""
        self.records = {**self.records, name: [(SRV, struct.pack("!HHH", p, w, port) + wire_name(t)) for p, w, port, t in records]}

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += query[at] + 1
        kind = struct.unpack_from("!H", query, at + 1)[0]
        known = self.records.get(".".join(labels))
        found = [] if self.rcode or not known else [data for k, data in known if k == kind]
        rcode = self.rcode or (0 if known else 3)
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, len(found), 0, 0) + query[12:at + 5]
        return head + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl, len(data)) + data for data in found)

    def run(self):
        while True:
            query, peer = self.sock.recvfrom(4096)
            if self.stopping:
                return
            self.questions += 1
            if not self.silent:
                self.sock.sendto(self.answer(query), peer)

    def stop(self):
        self.stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()
