"""The daemon's certificate, and whom it trusts."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from glockd.net.certificates import Certificate, served, trusted


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

    Attributes:
        certificates: those in force, the daemon's own first.
        objection: why no client accepts the daemon's own, whatever its time; empty: they do.

    Raises:
        TlsError: a file cannot be read or does not fit.
    """

    def __init__(self, certificate: str, key: str = "", client_ca: str = "") -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._contexts: dict[Kind, ssl.SSLContext] = {}
        self.certificates: list[Certificate] = []
        self.objection = ""
        # Read now, whether or not anybody ever asks for it: what is wrong with it is told at the start.
        self.context()
        self.context(verifies=False)
        self._look()

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
        self._look()

    def ends(self) -> dict[str, float]:
        """By option, when the first certificate of the daemon's own ends, and the last of the authorities of clients.

        In seconds since 1970; empty if no client accepts the daemon's own.
        """
        own = [one.ends for one in self.certificates if one.option == "-tls-cert"]
        others = [one.ends for one in self.certificates if one.option == "-tls-client-ca"]
        return ({"tls-cert": min(own)} if own else {}) | ({"tls-client-ca": max(others)} if others else {})

    def _look(self) -> None:
        """Note which certificates are in force."""
        self.objection = ""
        try:
            self.certificates = served(self._contexts[(), False], self._certificate)
        except ssl.SSLError as error:
            self.certificates = []
            self.objection = getattr(error, "verify_message", "") or _reason(error)
        if self._client_ca:
            self.certificates += trusted(self._client_ca)

    def _load(self, kind: Kind) -> ssl.SSLContext:
        alpn, verifies = kind
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client could ask for a new handshake over and over, at little cost for itself.
        context.options |= ssl.OP_NO_RENEGOTIATION
        if alpn:
            context.set_alpn_protocols(alpn)
        self._load_pair(context)
        if verifies:
            try:
                context.load_verify_locations(self._client_ca)
            except OSError as error:
                raise TlsError(f"-tls-client-ca: {self._client_ca}: {_reason(error)}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _load_pair(self, context: ssl.SSLContext) -> None:
        _see_readable("-tls-cert", self._certificate)
        if self._key:
            _see_readable("-tls-key", self._key)
        try:
            # A password is asked for on the terminal otherwise.
            context.load_cert_chain(self._certificate, self._key or None, password=_no_password)
        except (OSError, ValueError) as error:
            raise TlsError(self._blame(error)) from error

    def _blame(self, error: Exception) -> str:
        """Which of the two files is wrong, and how."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(self._certificate)
        except ssl.SSLError:
            return f"-tls-cert: {self._certificate}: there is no certificate in it"
        where = f"-tls-key: {self._key}" if self._key else f"-tls-cert: {self._certificate}"
        if not isinstance(error, ssl.SSLError):
            return f"{where}: {_reason(error)}"
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{where}: this is not the key of the certificate"
        # Without a reason OpenSSL means that it has found nothing that it knows.
        return f"{where}: no key that can be used ({error.reason or 'none found'})"


def _see_readable(option: str, path: str) -> None:
    # OpenSSL does not say which of the files it could not read.
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise TlsError(f"{option}: {path}: {error.strerror}") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no certificate in it ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)
