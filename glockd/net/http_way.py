"""What all HTTP connections on one kind of socket have in common: who answers, what is let in, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from glockd.core.stats import Traffic
from glockd.net.answers import Refused
from glockd.net.exchange import Ask, Handler
from glockd.net.heads import Clock
from glockd.net.http import HttpProtocol
from glockd.net.peer import Peer
from glockd.net.reader import BYTES_A_TURN, LARGEST_HEAD, Limits
from glockd.service import Service

# What is wrong with a request because of where it comes from; None if nothing is.
Guard: TypeAlias = Callable[[Ask], Refused | None]

# Who takes the connection over with a request for a websocket; None if nobody does.
Upgrade: TypeAlias = Callable[[Ask], Peer | None]


def no_upgrade(_: Ask) -> None:
    """No websocket is spoken here."""


class HttpWay:
    """What all HTTP connections on one kind of socket have in common.

    Args:
        service: the core at work.
        answer: answers requests.
        guard: says which are not even asked for: `Visitors.refuse_call` for a door, `refuse_page` for pages.
        traffic: counts bytes.
        limits: for what clients send.
        upgrade: says who takes over who asks for a websocket.
        half_close: whether a client that has shut down its side still waits for the answer in flight. If not, the call
            is given up: most clients that do so have left.

    Raises:
        ValueError: the limit for heads is out of its range.
    """

    def __init__(
        self,
        service: Service,
        answer: Handler,
        guard: Guard,
        traffic: Traffic,
        limits: Limits = Limits(),  # noqa: B008  # it cannot be changed
        *,
        upgrade: Upgrade = no_upgrade,
        half_close: bool = False,
    ) -> None:
        if not BYTES_A_TURN <= limits.head <= LARGEST_HEAD:
            raise ValueError(
                f"a head of {limits.head} bytes: from {BYTES_A_TURN} to {LARGEST_HEAD} may be allowed"
            )
        self.service = service
        self.answer = answer
        self.guard = guard
        self.traffic = traffic
        self.limits = limits
        self.upgrade = upgrade
        self.half_close = half_close
        self.clock = Clock()
        self.draining = False
        self.connections: set[HttpProtocol] = set()
        self._empty = asyncio.Event()

    def protocol(self) -> HttpProtocol:
        """What answers on one connection."""
        return HttpProtocol(self)

    def left(self, protocol: HttpProtocol) -> None:
        """A connection is no more."""
        self.connections.discard(protocol)
        if not self.connections:
            self._empty.set()

    async def drain(self, deadline: float) -> None:
        """Give the answers in flight, and close every connection.

        Streamed answers end in time only if the one who gives them ends them.

        Args:
            deadline: monotonic seconds; what is not closed by then is cut off.
        """
        self.draining = True
        for one in list(self.connections):
            one.wind_up()
        if self.connections:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), max(0.0, deadline - self.service.now()))
            except TimeoutError:
                for one in list(self.connections):
                    one.transport.abort()
