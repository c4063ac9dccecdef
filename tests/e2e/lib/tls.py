"""
TLS for tests: authorities and certificates made at run time by openssl(1), and sockets that speak it with every step in the
test's hands: a close_notify can be sent, left out, or sent without closing.
"""
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from .timing import comes


def openssl(*args, **kw):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, timeout=60, **kw)
    assert done.returncode == 0, f"openssl {args}\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout


class Cert:
    """A certificate and its key, each in a file; `pem` has both."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    @property
    def conf(self):
        """An entry of `certificates`."""
        return {"cert": self.cert, "key": self.key}

    def replace_by(self, other):
        """Puts another one's files in place, as a renewal does: whole or not at all."""
        for mine, new in ((self.key, other.key), (self.cert, other.cert)):
            with open(new, "rb") as f, open(mine + ".new", "wb") as g:
                g.write(f.read())
            os.rename(mine + ".new", mine)

    def serial(self):
        return openssl("x509", "-in", self.cert, "-noout", "-serial").decode().strip().split("=")[1]


KINDS = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}


class Authority:
    """Issues certificates: issue("a.example"), issue(sans=["URI:spiffe://prod/x"], kind="rsa", days=-1)."""

    def __init__(self, folder=None, name="Test Authority", by=None, lasts=None):
        self.dir = folder or tempfile.mkdtemp(prefix="pki-")
        self.n = 0
        self.by = by
        self.conf_path = os.path.join(self.dir, "ca.conf")
        self.db = os.path.join(self.dir, "db")
        open(self.db, "w").close()
        with open(self.conf_path, "w") as f:
            f.write(f"[ca]\ndefault_ca = it\n[it]\ndatabase = {self.db}\ndefault_md = sha256\ndefault_crl_days = 1\n"
                    f"crlnumber = {self.dir}/crlnumber\nrand_serial = yes\nunique_subject = no\nnew_certs_dir = {self.dir}\n"
                    f"policy = any\n[any]\ncommonName = supplied\n[req]\ndistinguished_name = dn\n[dn]\n")
        with open(os.path.join(self.dir, "crlnumber"), "w") as f:
            f.write("01\n")
        made = self.make(name, ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"], "ec", 3650, by or self, lasts)
        self.cert, self.key = made.cert, made.key

    def make(self, subject, extensions, kind, days, signer, lasts=None):
        self.n += 1
        base = os.path.join(self.dir, str(self.n))
        key, csr, cert, ext = base + ".key", base + ".csr", base + ".pem", base + ".ext"
        openssl("genpkey", *KINDS[kind], "-out", key)
        subject = subject if subject.startswith("/") else "/CN=" + subject
        openssl("req", "-new", "-config", self.conf_path, "-key", key, "-subj", subject, "-out", csr)
        with open(ext, "w") as f:
            f.write("\n".join(extensions) + "\n")
        if lasts is not None:
            openssl("ca", "-batch", "-notext", "-config", self.conf_path, "-cert", signer.cert, "-keyfile", signer.key, "-in", csr,
                    "-extfile", ext, "-enddate", time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + lasts)), "-out", cert)
            return Cert(cert, key)
        signing = ["-signkey", key] if signer is self and self.n == 1 else ["-CA", signer.cert, "-CAkey", signer.key, "-CAcreateserial"]
        openssl("x509", "-req", "-in", csr, *signing, "-days", days, "-extfile", ext, "-out", cert)
        return Cert(cert, key)

    def issue(self, *names, sans=(), kind="ec", days=90, subject=None, extra=(), lasts=None):
        """For servers and clients alike; names are DNS names.  `lasts`: seconds instead of days."""
        all_sans = [f"DNS:{n}" for n in names] + list(sans)
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", "extendedKeyUsage=serverAuth,clientAuth", *extra]
        if all_sans:
            extensions.append("subjectAltName=" + ",".join(all_sans))
        made = self.make(subject or (names[0].replace("*", "any") if names else "nameless"), extensions, kind, days, self, lasts)
        if self.by is not None:  # an intermediate: its certificate comes along
            with open(made.cert, "a") as f, open(self.cert) as g:
                f.write(g.read())
        return made

    def crl(self, *revoked, lasts=86400):
        """A file with the revocation list in which those stand, good for so many seconds."""
        path = os.path.join(self.dir, f"crl{self.n}-{len(revoked)}.pem")
        for c in revoked:
            openssl("ca", "-config", self.conf_path, "-cert", self.cert, "-keyfile", self.key, "-revoke", c.cert)
        openssl("ca", "-config", self.conf_path, "-cert", self.cert, "-keyfile", self.key, "-gencrl", "-crlsec", int(lasts), "-out", path)
        return path

    def ocsp(self, cert, days=1):
        """A file with a signed answer that the certificate is good."""
        serial = cert.serial()
        with open(self.db, "a") as f:
            f.write(f"V\t301231235959Z\t\t{serial}\tunknown\t/CN={serial}\n")
        base = os.path.join(self.dir, "ocsp" + serial)
        openssl("ocsp", "-issuer", self.cert, "-cert", cert.cert, "-reqout", base + ".req", "-no_nonce")
        openssl("ocsp", "-index", self.db, "-CA", self.cert, "-rsigner", self.cert, "-rkey", self.key, "-reqin", base + ".req",
                "-respout", base + ".der", "-ndays", days)
        return base + ".der"

    def client_context(self, cert=None, **kw):
        return client_context(self.cert, cert, **kw)

    def server_context(self, cert, verify=False):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(cert.cert, cert.key)
        if verify:
            c.verify_mode = ssl.CERT_REQUIRED
            c.load_verify_locations(self.cert)
        return c


def client_context(ca=None, cert=None, version=None, alpn=None, ciphers=None):
    """Verifies by `ca`, or not at all."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = ca is not None
    c.verify_mode = ssl.CERT_REQUIRED if ca is not None else ssl.CERT_NONE
    if ca is not None:
        c.load_verify_locations(ca)
    if cert is not None:
        c.load_cert_chain(cert.cert, cert.key)
    if version is not None:
        c.minimum_version = c.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    if alpn is not None:
        c.set_alpn_protocols(alpn)
    if ciphers is not None:
        c.set_ciphers(ciphers)
    return c


class Truncated(ConnectionError):
    """The peer's socket ended without a close_notify."""


class TlsSocket:
    """A socket as far as lib/wire.py needs one; TLS goes through memory, so that no step happens by itself."""

    def __init__(self, raw, context, server_name=None, server_side=False, session=None, shake=True):
        self.raw = raw
        self.inside, self.outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inside, self.outside, server_side=server_side, server_hostname=server_name, session=session)
        self.ended = False
        self.ahead = b""  # what has been read before anybody asked for it
        self.lock, self.sending = threading.Lock(), threading.Lock()  # who needs both takes `sending` first
        if shake:
            self.shake()

    def shake(self):
        while not self.attempt(self.tls.do_handshake)[0]:
            pass

    def flush(self):
        """Sends what has been sealed, in order.  Others may read meanwhile: the peer may wait for that."""
        with self.sending:
            with self.lock:
                data = self.outside.read()
            if data:
                self.raw.sendall(data)

    def feed(self):
        data = self.raw.recv(65536)
        if not data:
            raise Truncated("the peer's end came without a close_notify")
        with self.lock:
            self.inside.write(data)

    def attempt(self, call, *args):
        """(True, result), or (False, None) after more bytes have been fed."""
        done, result = self.once(call, *args)
        if not done:
            self.feed()
        return done, result

    def once(self, call, *args):
        """One thread may read while another writes: each sends only what it has sealed itself."""
        done, result, failure = True, b"", None
        with self.lock:
            before = self.outside.pending
            try:
                result = call(*args)
            except ssl.SSLWantReadError:
                done, result = False, None
            except ssl.SSLZeroReturnError:
                self.ended = True
            except ssl.SSLError as e:
                failure = e
            sealed = self.outside.pending > before
        try:
            if sealed:
                self.flush()
        except OSError:
            if failure is None:
                raise
        if failure is not None:
            raise failure
        return done, result

    def sendall(self, data):
        view = memoryview(data)
        while view:
            n = self.once(self.tls.write, view[:65536])[1]
            view = view[n:]

    def send(self, data):
        self.sendall(data)
        return len(data)

    def next_bytes(self, most):
        if not self.ahead:
            return self.tls.read(most)
        data, self.ahead = self.ahead[:most], self.ahead[most:]
        return data

    def recv(self, most):
        while self.ahead or not self.ended:
            done, data = self.attempt(self.next_bytes, most)
            if done:
                if not data:
                    self.ended = True
                return data
        return b""

    def readable(self, timeout=0.0):
        """Whether recv() would have something to say at once.  Words between TLS and TLS are not for it."""
        end = time.monotonic() + timeout
        while not self.ahead and not self.ended:
            done, data = self.once(self.tls.read, 262144)
            if done:
                self.ahead, self.ended = data, not data
                break
            if not comes(self.raw, max(0, end - time.monotonic())):
                return False
            try:
                self.feed()
            except ConnectionError:  # recv() will meet it again
                break
        return True

    def say_end(self):
        """A close_notify."""
        with self.lock:
            try:
                while data := self.tls.read(262144):
                    self.ahead += data  # unwrap() also looks for the peer's close_notify, and ends everything if data stand before it
            except ssl.SSLError:
                pass
            try:
                self.tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass
        try:
            self.flush()
        except OSError:
            pass

    def shutdown(self, how):
        if how != socket.SHUT_RD:
            self.say_end()
        self.raw.shutdown(how)

    def close(self):
        if self.raw.fileno() >= 0:
            timeout = self.raw.gettimeout()
            try:
                self.raw.settimeout(0)
                self.say_end()
                self.raw.settimeout(timeout)
            except OSError:
                pass
        self.raw.close()

    def truncate(self):
        """Ends it without a word of TLS.  No close(): with a ticket unread that would be a reset, which overtakes what was sent."""
        self.raw.shutdown(socket.SHUT_WR)

    def settimeout(self, seconds):
        self.raw.settimeout(seconds)

    def gettimeout(self):
        return self.raw.gettimeout()

    def setsockopt(self, *args):
        self.raw.setsockopt(*args)

    def fileno(self):
        return self.raw.fileno()

    def getsockname(self):
        return self.raw.getsockname()
