"""The daemon's certificate, and whom it trusts."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias


class TlsError(Exception):
    """Certificate, key or CA cannot be used; the text is for the operator."""


# What tells one context from another: the protocols that are offered (RFC 7301, ALPN), and whether clients must have
# a certificate.
Kind: TypeAlias = tuple[tuple[str, ...], bool]


class Tls:
    """What TLS connections are made with.

    Args:
        certificate: path of a PEM file: the daemon's certificate, and those between it and the root.
        key: path of the PEM file with its key, not encrypted; empty: it is in the certificate's file.
        client_ca: path of a PEM file with the CAs of which clients must have a certificate; empty: they need none.

    Raises:
        TlsError: a file cannot be read or does not fit.
    """

    def __init__(self, certificate: str, key: str = "", client_ca: str = "") -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._contexts: dict[Kind, ssl.SSLContext] = {}
        # Read now, whether or not anybody ever asks for it: what is wrong with it is told at the start.
        self.context()

    def context(self, alpn: Sequence[str] = (), *, verifies: bool = True) -> Callable[[], ssl.SSLContext]:
        """What gives the context in force for one kind of socket.

        Args:
            alpn: the protocols that are spoken there; none: nothing is negotiated.
            verifies: whether clients must have a certificate of the client CAs, if there are any.
        """
        kind = (tuple(alpn), verifies and bool(self._client_ca))
        if kind not in self._contexts:
            self._contexts[kind] = self._load(kind)
        return partial(self._contexts.__getitem__, kind)

    def reload(self) -> None:
        """Read the files again, for connections to come.

        Raises:
            TlsError: they cannot be used; then the ones in force stay.
        """
        self._contexts |= {kind: self._load(kind) for kind in self._contexts}

    def _load(self, kind: Kind) -> ssl.SSLContext:
        alpn, verifies = kind
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client could ask for a new handshake over and over, at little cost for itself.
        context.options |= ssl.OP_NO_RENEGOTIATION
        if alpn:
            context.set_alpn_protocols(alpn)
        try:
            # A password is asked for on the terminal otherwise.
            context.load_cert_chain(self._certificate, self._key or None, password=_no_password)
        except (OSError, ValueError) as error:
            raise TlsError(f"-tls-cert: {self._certificate}: {_reason(error)}") from error
        if verifies:
            try:
                context.load_verify_locations(self._client_ca)
            except OSError as error:
                raise TlsError(f"-tls-client-ca: {self._client_ca}: {_reason(error)}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no certificate and key that fit ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)
