"""The PROXY protocol for tests, by itself and strictly: headers as bytes, and what a receiver makes of them."""
import ipaddress
import struct

from . import over
from .client import Client, connect
from .tls import TlsSocket
from .wire import Wire

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, CRC32C, NOOP, SSL, SPIFFE = 0x01, 0x02, 0x03, 0x04, 0x20, 0xE0
SSL_VERSION, SSL_CN, SSL_CIPHER, SSL_SIG_ALG, SSL_KEY_ALG = 0x21, 0x22, 0x23, 0x24, 0x25


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v1(source, port=51000, to="203.0.113.9", to_port=443):
    family = 6 if ":" in source else 4
    return f"PROXY TCP{family} {source} {'2001:db8::9' if family == 6 else to} {port} {to_port}\r\n".encode()


def v2(source, port=51000, to="203.0.113.9", to_port=443, tlvs=b"", checksum=False, command=1):
    a = ipaddress.ip_address(source)
    b = ipaddress.ip_address("2001:db8::9" if a.version == 6 else to)
    block = a.packed + b.packed + struct.pack("!HH", port, to_port) + tlvs + (tlv(CRC32C, bytes(4)) if checksum else b"")
    out = SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x21 if a.version == 6 else 0x11, len(block)) + block
    return out[:-4] + struct.pack("!I", crc32c(out)) if checksum else out


LOCAL = SIGNATURE + b"\x20\0\0\0"
UNKNOWN = b"PROXY UNKNOWN\r\n"


class Header:
    """What a receiver reads.  .local, .source, .to: (address, port); .tlvs: {type: value}."""

    def __init__(self, version, local, source=None, to=None, tlvs=None, raw=b""):
        self.version, self.local, self.source, self.to, self.tlvs, self.raw = version, local, source, to, tlvs or {}, raw

    def __repr__(self):
        return f"<v{self.version} {'local' if self.local else f'{self.source} -> {self.to}'} {self.tlvs}>"

    @property
    def ssl(self):
        """(flags, verify, {type: value})"""
        value = self.tlvs[SSL]
        return value[0], struct.unpack("!I", value[1:5])[0], tlvs_of(value[5:])


def tlvs_of(data):
    out = {}
    while data:
        kind, n = struct.unpack("!BH", data[:3])
        assert kind not in out and len(data) >= 3 + n, data
        out[kind], data = data[3:3 + n], data[3 + n:]
    return out


def read_header(wire):
    """The header at the start of a connection, and no byte more; None: the connection ended before its first byte."""
    if not wire.buf and not wire.fill():
        return None
    first = wire.read_exactly(1)
    if first == b"P":
        return read_v1(first + wire.read_line(107))
    raw = first + wire.read_exactly(15)
    assert raw[:12] == SIGNATURE and raw[12] in (0x20, 0x21), raw
    raw += wire.read_exactly(struct.unpack("!H", raw[14:])[0])
    block, family = raw[16:], raw[13]
    if raw[12] == 0x20:
        return Header(2, True, raw=raw)
    size = {0: 0, 0x11: 4, 0x21: 16}[family]
    source = to = None
    if size:
        ports = struct.unpack("!HH", block[2 * size:2 * size + 4])
        source, to = ((str(ipaddress.ip_address(block[i * size:(i + 1) * size])), ports[i]) for i in (0, 1))
        block = block[2 * size + 4:]
    h = Header(2, family == 0, source, to, tlvs_of(block), raw)
    if CRC32C in h.tlvs:
        at = raw.index(tlv(CRC32C, h.tlvs[CRC32C])) + 3
        assert crc32c(raw[:at] + bytes(4) + raw[at + 4:]) == struct.unpack("!I", h.tlvs[CRC32C])[0], "wrong checksum"
    return h


def read_v1(line):
    words = line.decode().split(" ")
    assert words[0] == "PROXY" and words[1] in ("TCP4", "TCP6", "UNKNOWN"), line
    if words[1] == "UNKNOWN":
        return Header(1, True, raw=line)
    assert len(words) == 6, line
    a, b = map(ipaddress.ip_address, words[2:4])
    assert a.version == b.version == int(words[1][3]), line
    return Header(1, False, (str(a), int(words[4])), (str(b), int(words[5])), raw=line)


def expecting(handler, tls=None):
    """A backend's handler that takes a header first (kept in conn.header and in backend.headers), then speaks TLS if it is to."""
    def run(conn):
        header = read_header(conn)
        if header is None:
            return
        conn.header = header
        conn.backend.__dict__.setdefault("headers", []).append(header)
        if tls is not None:
            early, conn.buf[:] = bytes(conn.buf), b""
            conn.sock = TlsSocket(conn.sock, tls, server_side=True, shake=False)
            conn.sock.inside.write(early)
            conn.sock.shake()
        if handler is not None:
            handler(conn)
    return run


def dial(address, header, tls=None, name=None, source=None, pieces=None, timeout=10.0):
    """A client's connection that begins with the header, whole or in pieces of so many bytes; then TLS, where that is spoken."""
    sock = connect(address, timeout, source=source)
    for i in range(0, len(header), pieces or max(1, len(header))):
        sock.sendall(header[i:i + (pieces or len(header))])
    tls = tls or over.context_for(address)
    if tls is not None:
        sock = TlsSocket(sock, tls, name)
    c = object.__new__(Client)  # HTTP/1, whatever else is spoken there
    Wire.__init__(c, sock, timeout)
    c.method = "GET"
    return c
