"""One look a second at the clients about whom nothing may be heard: those not read from, and those who are silent."""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

# Seconds between looks. Clients count looks and not seconds: a daemon that was stopped for a while has looked once,
# and blames nobody for it.
TICK = 1

# How many clients are looked at before others get their turn: some 1 ms.
LOOKS_A_TURN = 1000


class Watched(Protocol):
    """What can be looked at."""

    def look(self) -> bool:
        """Act on what has not happened since the last look; whether to look again."""

    def drop(self) -> None:
        """End the connection at once, since the daemon ends."""


class Sweep:
    """Looks at clients once every TICK.

    Args:
        loop: where it runs.
        then: called after each round.
    """

    def __init__(self, loop: AbstractEventLoop, then: Callable[[], None]) -> None:
        self._loop = loop
        self._then = then
        self._watched: dict[Watched, None] = {}
        self._timer: TimerHandle | None = None

    def watch(self, client: Watched) -> None:
        """Look at `client` from now on."""
        self._watched[client] = None

    def forget(self, client: Watched) -> None:
        """Do not look at `client` any more."""
        self._watched.pop(client, None)

    def start(self) -> None:
        """Begin."""
        self._timer = self._loop.call_later(TICK, self._begin)

    def stop(self) -> None:
        """End; nobody is looked at any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def drop(self) -> None:
        """End the connections of those who would still be looked at: they have no session by which doors know them."""
        watched, self._watched = self._watched, {}
        for client in watched:
            client.drop()

    def _begin(self) -> None:
        self._go_on(iter(list(self._watched)))

    def _go_on(self, rest: Iterator[Watched]) -> None:
        some = list(islice(rest, LOOKS_A_TURN))
        for client in some:
            if client in self._watched and not client.look():
                self.forget(client)
        if len(some) == LOOKS_A_TURN:
            self._loop.call_soon(self._go_on, rest)
        elif self._timer is not None:
            self._then()
            self._timer = self._loop.call_later(TICK, self._begin)


def has_hung_up(descriptor: int) -> bool:
    """Whether the peer has closed its side, which is not seen by who does not read (poll(2), POLLRDHUP)."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return bool(poll.poll(0))
