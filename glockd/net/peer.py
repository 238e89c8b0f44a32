"""One connection, whatever is spoken on it: how it comes in, how much it leaves unread, how it ends."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, NamedTuple, cast

from glockd.net.addresses import Callers, ip_address, neighbourhood

if TYPE_CHECKING:
    from glockd.service import Service

# tcp(7): a connection that times out says so, or what routers or neighbours said of its peer meanwhile.
VANISHED = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)


class Told(NamedTuple):
    """Whose a connection is, where a proxy may tell it."""

    host: str  # as the gate counts it
    address: bytes  # what the client is called
    callers: Callers  # where it was given that


class Looks:
    """What there is to know of few peers: what the sweep has seen so far, and what a proxy has told."""

    __slots__ = ("began", "ending", "quiet", "silent", "spoke", "stalled", "told", "unsent")

    def __init__(self) -> None:
        self.spoke = False  # something has come since the last look; kept only where it matters
        self.began = False  # something has ever come; kept as `spoke` is
        self.silent = 0  # looks since something came
        self.quiet = 0  # looks since it was last told that the daemon lives
        self.ending = False  # no more than what lies in the socket will come
        self.stalled = 0  # looks since it read something of what waits for it
        self.unsent = 0  # bytes that waited for it at the last look
        self.told: Told | None = None  # who it is, if that is not just where its connection comes from


class Peer(asyncio.Protocol):
    """The daemon's side of a connection, as the gate and the sweep see it.

    Args:
        service: the core at work.
    """

    __slots__ = ("_host", "_looks", "service", "transport")

    def __init__(self, service: Service) -> None:
        self.service = service
        self.transport = cast(asyncio.Transport, None)  # until the connection is made
        self._host: str | None = None  # as the gate counts it, while it does
        self._looks: Looks | None = None  # of most peers nothing of that is ever needed

    @property
    def looks(self) -> Looks:
        """What the sweep has seen, and a proxy has told."""
        if self._looks is None:
            self._looks = Looks()
        return self._looks

    def not_tls(self) -> bytes:
        """What to tell who has begun without TLS where only TLS is understood; the connection is closed behind it."""
        return b""

    def about_proxy(self, *, wanted: bool) -> bytes:
        """What to tell a proxy that says whose a connection is where nobody asked, or does not where it must."""
        return b""

    def introduce(self, told: Told) -> None:
        """Learn whose the connection is; to be called before it is made."""
        self.looks.told = told

    @property
    def address(self) -> bytes:
        """What the client on an IP socket is called everywhere: as told, or by where its connection comes from."""
        told = self._told
        return ip_address(self.transport) if told is None else told.address

    @property
    def _told(self) -> Told | None:
        return None if self._looks is None else self._looks.told

    def enter(self, transport: asyncio.BaseTransport) -> bool:
        """Take the connection, and ask the gate whether it may come in; if not, that has been counted.

        It may be asked again with the TLS transport of the same connection.
        """
        self.transport = cast(asyncio.Transport, transport)
        if self._host is not None:
            return True
        told = self._told
        peer = transport.get_extra_info("peername")
        host = told.host if told else neighbourhood(peer[0]) if isinstance(peer, tuple) else ""
        if not self.service.gate.enter(host):
            return False
        self._host = host
        return True

    def leave(self) -> None:
        """The connection is lost: the gate and the sweep forget it."""
        self.service.sweep.forget(self)
        host, self._host = self._host, None
        if host is not None:
            self.service.gate.leave(host)
        if self._looks is not None and self._looks.told is not None:
            self._looks.told.callers.free(self._looks.told.address)
            self._looks.told = None

    def give_way(self, successor: Peer) -> None:
        """Let `successor` have the connection, which has come in already; it is forgotten here."""
        self.service.sweep.forget(self)
        successor._host, self._host = self._host, None
        if self._looks is not None and self._looks.told is not None:
            successor.looks.told, self._looks.told = self._looks.told, None

    def look(self) -> bool:
        """Act on what has not happened since the last look, a second ago; whether to look again."""
        raise NotImplementedError

    def unread(self) -> int:
        """How many bytes wait for the client to read."""
        return self.transport.get_write_buffer_size()

    def drop(self) -> None:
        """End the connection at once, since the daemon ends."""
        self.transport.abort()

    def is_stalled(self) -> bool:
        """Whether it has left too much unread, or for too long; that is counted. To be asked once a look."""
        unsent = self.unread()
        looks, policy = self.looks, self.service.policy
        looks.stalled = looks.stalled + 1 if 0 < looks.unsent <= unsent else 0
        looks.unsent = unsent
        if unsent <= policy.config.max_output and looks.stalled < policy.config.slow_reader_seconds:
            return False
        policy.refused["output"] += 1
        return True


def how_it_ended(error: Exception | None) -> str:
    """closed, reset or dead peer, from what the event loop says of the end of a connection."""
    if error is None:
        return "closed"
    return "dead peer" if isinstance(error, OSError) and error.errno in VANISHED else "reset"
