"""Whether a running daemon is well: `glockd -probe`, for containers and supervisors.

It asks the way that the daemon's own options leave open: by HTTP if they serve it, else in the line language. Whatever
it answers, it is well: one that refuses, as it is full or wants a secret, must not be restarted for that, since all
locks would be lost. Silence and a closed port are not well.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import NamedTuple

from glockd.config import Config

# How long the daemon may take to answer, in seconds.
PATIENCE = 2.0

PING = b"ping\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

# What a proxy says that speaks for itself (PROXY protocol, 2.1).
FOR_ITSELF = b"PROXY UNKNOWN\r\n"

# Under these names everybody is reached who listens on all addresses.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}


class ProbeError(Exception):
    """The daemon is not well, or cannot be asked; the text is for the operator."""


class Way(NamedTuple):
    """One way to ask."""

    kind: str  # tcp, ws, http or unix
    where: tuple[str, int] | str
    tls: bool
    proxies: Sequence[
        IPv4Network | IPv6Network
    ] = ()  # whose connections begin with a header of the PROXY protocol

    def __str__(self) -> str:
        where = self.where if isinstance(self.where, str) else f"{self.where[0]} port {self.where[1]}"
        return f"{self.kind} {where}"


def ways(config: Config) -> Iterator[Way]:
    """Every way to ask a daemon with these options, the one that tells most first."""
    asked = ("http", "ws", "unix", "tcp") if config.health else ("unix", "tcp", "http", "ws")
    for kind in asked:
        if kind == "unix":
            if config.unix:
                yield Way(kind, config.unix, False)
            continue
        for host, port in config.addresses(kind):
            if port:  # nobody knows what port 0 has become
                tls = bool(config.tls_cert) and kind in config.tls_sockets
                yield Way(kind, (LOOPBACK.get(host, host), port), tls, tuple(config.proxies))


def probe(config: Config) -> str:
    """What a daemon with these options says when it is asked.

    Raises:
        ProbeError: it says nothing, or there is no way to ask.
    """
    failures = []
    for way in ways(config):
        try:
            return f"{way}: {_ask(way)}"
        except OSError as error:
            failures.append(f"{way}: {error.strerror or error}")
            if isinstance(error, TimeoutError):
                break  # it is there, and does not answer
    raise ProbeError("; ".join(failures) or "these options name no address to ask at")


def options_of(pid: int) -> tuple[list[str], Mapping[str, str], str]:
    """With which words, environment and working directory a daemon was started (proc(5)).

    Raises:
        ProbeError: this process may not see it, or it is no daemon.
    """
    folder = Path(f"/proc/{pid}")
    try:
        words = [os.fsdecode(word) for word in (folder / "cmdline").read_bytes().split(b"\0")[:-1]]
        pairs = [os.fsdecode(pair).partition("=") for pair in (folder / "environ").read_bytes().split(b"\0")]
        here = os.readlink(folder / "cwd")
    except OSError as error:
        raise ProbeError(f"process {pid}: {error.strerror}") from error
    return _behind_the_name(words, pid), {name: value for name, _, value in pairs if name}, here


def _behind_the_name(words: Sequence[str], pid: int) -> list[str]:
    """The options on a command line: an interpreter, or an init that started it, may stand before the name."""
    for place, word in enumerate(words):
        if Path(word).name == "glockd":
            return list(words[place + 1 :])
    raise ProbeError(f"process {pid} is no glockd")


def _ask(way: Way) -> str:
    with _connect(way) as plain:
        try:
            with _secure(plain) if way.tls else plain as sock:
                return _hear(sock, PING if way.kind in ("tcp", "unix") else GET)
        except ssl.SSLError as error:
            # It wants a certificate that this process does not have: somebody is there who looks at what is sent.
            if "ALERT" in (error.reason or ""):
                return "it lets in nobody without a certificate"
            raise


def _connect(way: Way) -> socket.socket:
    if not isinstance(way.where, str):
        sock = socket.create_connection(way.where, PATIENCE)
        here = ip_address(sock.getsockname()[0])
        if any(here in network for network in way.proxies):
            sock.sendall(FOR_ITSELF)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    try:
        sock.connect(way.where)
    except OSError:
        sock.close()
        raise
    return sock


def _secure(plain: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It asks its own daemon over its own machine, by an address that no certificate names.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def _hear(sock: socket.socket, question: bytes) -> str:
    with suppress(ConnectionError):  # a daemon that resets is there
        sock.sendall(question)
        answer = sock.makefile("rb").readline(1000).decode("ascii", "replace").strip()
        if answer:
            return answer
    return "it lets nobody in now"
