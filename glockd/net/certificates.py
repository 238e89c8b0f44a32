"""Until when certificates are good."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from typing import Any

# Less than this before its end, or than that part of its life, a certificate is told about. They are renewed when a
# third of their life is left; those that live for days only could never be told about otherwise.
SOON = 14 * 86400
PART = 1 / 5

# x509_vfy.h: an expired certificate is to be read, too. The ssl module has no name for it.
X509_V_FLAG_NO_CHECK_TIME = 0x200000


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an operator wants to know of a certificate; times are seconds since 1970."""

    option: str  # the option whose file it is in
    path: str
    subject: str
    serial: str
    begins: float
    ends: float

    def trouble(self, now: float) -> str:
        """What is wrong with it, or will soon be; empty: nothing."""
        if now >= self.ends:
            return "has expired"
        if now < self.begins:
            return "is not valid yet"
        if self.ends - now < min(SOON, (self.ends - self.begins) * PART):
            return "ends soon"
        return ""


def served(context: ssl.SSLContext, path: str) -> list[Certificate]:
    """The certificate that a server sends, and the others in its file.

    The ssl module shows a certificate only to whoever has verified it. So it is sent to a client in this process, which
    trusts what is in the file; a library that reads certificates would be as large as all the others together.

    Args:
        context: the server's; it asks for no certificate of the client.
        path: its file (PEM).

    Raises:
        ssl.SSLError: no client would accept it, whatever its time.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(path)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(X509_V_FLAG_NO_CHECK_TIME)
    own = _read(_sent(context, client), "-tls-cert", path)
    # The authorities in the file, of which a certificate that has signed itself is one.
    others = [_read(one, "-tls-cert", path) for one in client.get_ca_certs()]
    return list(dict.fromkeys([own, *others]))


def trusted(path: str) -> list[Certificate]:
    """The authorities of clients' certificates in a file (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(path)
    return [_read(one, "-tls-client-ca", path) for one in context.get_ca_certs()]


def _sent(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """What a client learns of the server's certificate in a handshake."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there)
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(3):  # RFC 5246, 7.3: the client has all after its third flight; in TLS 1.3 sooner
        for side in (ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return ours.getpeercert() or {}


def _read(found: dict[str, Any], option: str, path: str) -> Certificate:
    names = [f"{name}={value}" for part in found["subject"] for name, value in part]
    begins, ends = (float(ssl.cert_time_to_seconds(found[name])) for name in ("notBefore", "notAfter"))
    return Certificate(option, path, ", ".join(names), found["serialNumber"], begins, ends)
