"""What a transport needs to know of the daemon."""

from __future__ import annotations

from asyncio import AbstractEventLoop, BaseTransport
from collections import deque
from collections.abc import Callable
from typing import Protocol

from glockd.core.events import Notice
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.connection import Client
from glockd.net.gate import Gate, Limits
from glockd.net.sweep import Sweep
from glockd.policy import Policy


class Door(Protocol):
    """The daemon, as seen by what moves bytes."""

    loop: AbstractEventLoop
    state: State
    policy: Policy
    limits: Limits
    gate: Gate
    sweep: Sweep
    outbox: deque[Notice]  # what conversations leave for others; `deliver` empties it
    now: Callable[[], float]  # monotonic seconds
    names: dict[str, Callable[[BaseTransport], bytes]]  # gives a client's address, by kind of transport

    def admit(self, client: Client, session: Session) -> None:
        """Count `session` as connected and remember who moves its bytes."""

    def deliver(self) -> None:
        """Tell those concerned what is in the outbox."""

    def part(self, session: Session, how: str, then: Callable[[], None]) -> None:
        """End a session and deliver what follows from it: at once, but in several turns if it holds very much.

        Args:
            how: closed, reset, dead peer or why else it ended.
            then: called some time after, when it holds nothing any more.
        """
