"""From options to sockets, each with who answers on it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple, cast

from glockd.config import SOCKETS, Config, StartError, flag
from glockd.doors import OPTIONAL, Answers
from glockd.net.addresses import Callers
from glockd.net.introduction import Introduction
from glockd.net.peer import Peer
from glockd.net.porch import Porch
from glockd.net.tls import Tls
from glockd.process.binding import addresses, overlaps
from glockd.process.sockets import BACKLOG, UnixSocket, bound_keepalive, inherited_sockets, listen_ip
from glockd.service import Service

# The protocols that are offered in a TLS handshake (RFC 7301, ALPN), by kind of socket; the others negotiate none.
ALPN: dict[str, Sequence[str]] = {
    "http": ("http/1.1",),
    "ldlm": ("h2",),
    "ldlm-rest": ("http/1.1",),
    "dispatch": ("http/1.1",),
    "windows": ("http/1.1",),
}


class Listener(NamedTuple):
    """A socket that listens."""

    kind: str
    server: asyncio.Server

    @property
    def addresses(self) -> list[str]:
        """Where it listens; a port that was left to the system is the one it became."""
        return [_name(sock) for sock in self.server.sockets]


class Listening:
    """Every socket that listens.

    Args:
        config: where to listen.
        service: the core at work.
        tls: the certificate, if there is one.
        answers: who answers on each kind of socket.
    """

    def __init__(self, config: Config, service: Service, tls: Tls | None, answers: Answers) -> None:
        self._config = config
        self._service = service
        self._tls = tls
        self._answers = answers
        self._callers = Callers()
        self._unix_socket: UnixSocket | None = None
        self.listeners: list[Listener] = []
        self._bound: list[tuple[str, socket.socket]] = []  # where nobody answers yet

    @property
    def addresses(self) -> dict[str, list[str]]:
        """Where it is listened, by kind of socket."""
        found: dict[str, list[str]] = {}
        for listener in self.listeners:
            found.setdefault(listener.kind, []).extend(listener.addresses)
        return found

    @property
    def tls(self) -> list[str]:
        """The kinds of sockets with TLS."""
        return [kind for kind in self.addresses if self._has_tls(kind)]

    @property
    def console(self) -> str:
        """The URL of the console page, as one says it on this machine; empty: there is none."""
        return self._pages("localhost") if self._config.console else ""

    @property
    def pages(self) -> str:
        """The URL at which HTTP is spoken, as one says it anywhere; empty: it is not."""
        return self._pages(socket.gethostname())

    def _pages(self, me: str) -> str:
        """The URL of the pages; `me` is the machine, where they are on all of its addresses."""
        addresses = self.addresses
        kind = "http" if "http" in addresses else "ws"
        if kind not in addresses:
            return ""
        host, _, port = addresses[kind][0].rpartition(":")
        host = me if host in ("0.0.0.0", "[::]") else host
        return f"http{'s' if self._has_tls(kind) else ''}://{host}:{port}/"

    def bind(self, inherited: Sequence[tuple[str, socket.socket]]) -> None:
        """Listen on every address that the options name, and on the sockets that were handed over; `open` answers.

        Args:
            inherited: listening sockets with their kinds, instead of those that the options name of that kind.

        Raises:
            StartError: an address cannot be listened on.
        """
        self._bound = list(inherited)
        try:
            self._bind(self._bound)
        except StartError:
            self.unbind()
            raise

    def unbind(self) -> None:
        """Listen nowhere any more, before `open`."""
        for _, sock in self._bound:
            sock.close()
        self._bound = []
        self.remove()

    async def open(self) -> None:
        """Answer wherever it is listened."""
        sockets, self._bound = self._bound, []
        for kind, sock in sockets:
            await self._serve(kind, sock)

    def _bind(self, sockets: list[tuple[str, socket.socket]]) -> None:
        """Add to `sockets`, each with its kind, what the options name and nobody has handed over."""
        config = self._config
        given = {kind for kind, _ in sockets}
        for kind in SOCKETS:
            if kind not in given:
                _listen(config, kind, sockets)
        if config.unix and "unix" not in given:
            mode = int(config.unix_mode, 8)
            self._unix_socket = UnixSocket(config.unix, mode, config.unix_owner, config.unix_group)
            sockets.append(("unix", self._unix_socket.socket))
        if not sockets:
            raise StartError(
                "there is nothing to listen on: no option names an address that this machine has, "
                "and no socket was handed over"
            )

    async def _serve(self, kind: str, sock: socket.socket) -> None:
        loop = self._service.loop
        if kind == "unix":
            server = await loop.create_unix_server(self._answers[kind], sock=sock, backlog=BACKLOG)
        else:
            bound_keepalive(sock, self._config.dead_peer(kind))
            server = await loop.create_server(self._on_ip(kind), sock=sock, backlog=BACKLOG)
        self.listeners.append(Listener(kind, server))

    def _on_ip(self, kind: str) -> Callable[[], asyncio.Protocol]:
        """Who answers on an IP socket: behind what a proxy says first, and behind TLS, where that is asked for."""
        config, answer = self._config, cast(Callable[[], Peer | Porch], self._answers[kind])
        if self._tls is not None and self._has_tls(kind):
            context = self._tls.context(ALPN.get(kind, ()), verifies=kind in config.tls_client_ca_sockets)
            answer = partial(Porch, self._service, context, cast(Callable[[], Peer], answer))
        if config.proxies:
            return partial(Introduction, self._service, config.proxies, self._callers, answer)
        return answer

    def _has_tls(self, kind: str) -> bool:
        return self._tls is not None and kind in self._config.tls_sockets

    def exposed(self, secrets_of: Mapping[str, Sequence[bytes]]) -> Iterator[tuple[str, bool]]:
        """What is to be said of doors that other machines reach without a secret or a client's certificate.

        With each whether that must not be, whatever the line language asks for.

        Args:
            secrets_of: by the option that names their file.
        """
        config = self._config
        bound = [*self._bound, *((kind, sock) for kind, server in self.listeners for sock in server.sockets)]
        for kind, sock in bound:
            door = next((one for one in OPTIONAL if kind in one.switches), None)
            knows = config.tls_client_ca and kind in config.tls_sockets & config.tls_client_ca_sockets
            if door is None or knows or (door.secrets and secrets_of[door.secrets]):
                continue
            if not ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback:
                ways = f"-{flag(door.secrets)} and -tls-client-ca" if door.secrets else "-tls-client-ca"
                said = f"-{kind}: {_name(sock)} lets in everybody who reaches it: see {ways}"
                yield said, door.only_at_home

    def close(self, *, but: str = "") -> None:
        """Listen no more, but on sockets of the kind `but`."""
        for kind, server in self.listeners:
            if kind != but:
                server.close()
        self.listeners = [one for one in self.listeners if one.kind == but]

    def remove(self) -> None:
        """Take the Unix socket's file away."""
        if self._unix_socket is not None:
            self._unix_socket.remove()


def _listen(config: Config, kind: str, sockets: list[tuple[str, socket.socket]]) -> None:
    """Listen on all addresses that the options name for a kind of socket.

    Args:
        config: the options.
        kind: one of SOCKETS.
        sockets: those that there are, with their kinds; the new ones are added.
    """
    where = config.addresses(kind)
    for address in addresses([host for host, _ in where], where[0][1]) if where else ():
        try:
            sock = listen_ip(address)
        except OSError as error:
            said = f"cannot listen on {address.host} port {address.address[1]}: {error.strerror}"
            own = [f"{which} {_name(one)}" for which, one in sockets if overlaps(address, one)]
            if own and error.errno == errno.EADDRINUSE:
                said += f", by this daemon itself ({own[0]})"
            raise StartError(said) from error
        if sock is not None:
            sockets.append((kind, sock))


def handed_over(config: Config) -> list[tuple[str, socket.socket]]:
    """The listening sockets that a service manager has handed over, each with its kind.

    Raises:
        StartError: a descriptor is no socket.
    """
    return inherited_sockets(config.ws)


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return str(name)
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
