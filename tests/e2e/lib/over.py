"""
The whole suite over TLS: with WEIR_OVER=tls each HTTP listener that a test configures in clear gets a certificate, and each client
that connects to its address speaks TLS; what else it speaks, HTTP/1 or HTTP/2, it says by ALPN.  Tests that can't are marked
`in_clear("why")` and skipped.
"""
import functools
import os

from .tls import Authority, client_context

TLS = os.environ.get("WEIR_OVER", "clear") == "tls"
SCHEME = "https" if TLS else "http"

_addresses = set()  # where TLS is spoken


@functools.lru_cache(None)
def _authority():
    return Authority()


@functools.lru_cache(None)
def _site():
    site = _authority().issue("test.example", sans=["IP:127.0.0.1", "IP:0:0:0:0:0:0:0:1"])
    os.chmod(os.path.dirname(site.key), 0o755)  # some tests give up their rights
    os.chmod(site.key, 0o644)
    return site


@functools.lru_cache(None)
def _context(protocol):
    return client_context(alpn=[protocol])


def _key(address):
    return address if isinstance(address, str) else address[1]  # who listens on [::] is also found at 127.0.0.1


def listener(conf, address):
    """A listener's configuration as it is to be served at that address."""
    _addresses.discard(_key(address))
    if not TLS or "tls" in conf or conf.get("redirect_https") or conf.get("mode", "http") != "http":
        return conf
    _addresses.add(_key(address))
    return {**conf, "tls": {"certificates": [_site().conf]}}


def context_for(address, protocol="http/1.1"):
    """What a client connects by; None: in clear."""
    return _context(protocol) if _key(address) in _addresses else None


def pool(address):
    """What a pool needs whose backend is a proxy that listens there."""
    return {"tls": {"ca": _authority().cert}} if _key(address) in _addresses else {}


def authority_of(address):
    """The certificate by which a client that insists may know who listens there; None: in clear."""
    return _authority().cert if _key(address) in _addresses else None
