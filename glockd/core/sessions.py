"""Who can hold locks: sessions that a connection carries, and owners that live by a deadline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol

from glockd.core.deadlines import NEVER

if TYPE_CHECKING:
    from glockd.core.events import Granted
    from glockd.core.holds import Hold, Waiter


class Session:
    """What one client holds, waits for and calls itself.

    A session of this class says nothing while it waits, and so waits for one lock at a time.

    Args:
        address: what the daemon calls the client, unique among live sessions: `ip:port` or `unix:N`.
        transport: the door it came through: `tcp`, `unix` or `websocket`.
        since: monotonic seconds at which it began.
    """

    __slots__ = ("address", "holds", "name", "since", "transport", "waiters")

    concurrent: ClassVar[bool] = (
        False  # whether it can act while it waits, and wait for several locks at once
    )
    carried: ClassVar[bool] = True  # whether a connection carries it

    def __init__(self, address: bytes, transport: str = "tcp", since: float = 0.0) -> None:
        self.address = address
        self.transport = transport
        self.since = since
        self.name: bytes | None = None
        # Most sessions hold one lock or none and wait for one or none: for them tuples are much smaller.
        self.holds: tuple[Hold, ...] | set[Hold] = ()
        self.waiters: tuple[Waiter, ...] | dict[Waiter, None] = ()  # oldest first

    def add(self, hold: Hold) -> None:
        """Note a new hold."""
        holds = self.holds
        if not holds:
            self.holds = (hold,)
        elif type(holds) is set:
            holds.add(hold)
        else:
            self.holds = {hold, *holds}

    def discard(self, hold: Hold) -> None:
        """Forget a hold that has ended."""
        holds = self.holds
        if type(holds) is set:
            holds.discard(hold)
            if not holds:
                self.holds = ()
        elif hold in holds:
            self.holds = ()

    def pop(self, most: int) -> list[Hold]:
        """Forget up to `most` holds, any of them; those forgotten."""
        holds = self.holds
        if type(holds) is set:
            popped = [holds.pop() for _ in range(min(most, len(holds)))]
            if not holds:
                self.holds = ()
            return popped
        self.holds = ()
        return list(holds)

    def join(self, waiter: Waiter) -> None:
        """Note a new wait."""
        waiters = self.waiters
        if not waiters:
            self.waiters = (waiter,)
        elif type(waiters) is dict:
            waiters[waiter] = None
        else:
            self.waiters = dict.fromkeys((*waiters, waiter))

    def leave(self, waiter: Waiter) -> None:
        """Forget one of its waits, which has ended."""
        waiters = self.waiters
        if type(waiters) is dict:
            del waiters[waiter]
            if not waiters:
                self.waiters = ()
        else:
            self.waiters = ()

    @property
    def door(self) -> str:
        """The language that it speaks."""
        return "line"

    @property
    def label(self) -> bytes:
        """The registered name, or else the address."""
        return self.address if self.name is None else self.name


class Concurrent(Session):
    """A session that can act while it waits, since its connection carries several calls at a time.

    Whoever waits for it does not wait in vain, so it has no part in a deadlock.

    Args:
        address: what the daemon calls it, unique among live sessions.
        door: the language that it speaks: `ldlm`, `dispatch`, `diego` or `windows`.
        transport: what its connection is: `tcp`, `unix` or `websocket`.
        since: monotonic seconds at which it began.
    """

    __slots__ = ("_door",)

    concurrent: ClassVar[bool] = True

    def __init__(self, address: bytes, door: str, transport: str = "tcp", since: float = 0.0) -> None:
        super().__init__(address, transport, since)
        self._door = door

    @property
    def door(self) -> str:
        """The language that it speaks."""
        return self._door


class Owner(Concurrent):
    """A session that no connection carries: it lives until its deadline, which its door puts off.

    Its transport is empty. The deadline is for `State.extend` to set; `State.expire` tells when it is over.

    Args:
        address: what the daemon calls it, unique among live sessions.
        door: the language that it speaks.
        since: monotonic seconds at which it began.
    """

    __slots__ = ("deadline",)

    carried: ClassVar[bool] = False

    def __init__(self, address: bytes, door: str, since: float = 0.0) -> None:
        super().__init__(address, door, "", since)
        self.deadline = NEVER  # monotonic seconds


class Listener(Protocol):
    """Who is told what befalls a session; the core does not look at it.

    While a session is being ended it may still be told, and minds nothing of it.
    """

    def granted(self, event: Granted) -> None:
        """A waiter's turn has come."""

    def timed_out(self, waiter: Waiter) -> None:
        """A waiter's time was up."""

    def lost(self, hold: Hold, why: str) -> None:
        """A hold has ended without the session's doing: expired."""

    def hear(self, line: bytes) -> None:
        """A door has a line for it that it has not asked for; of use to who speaks the line language."""

    def end(self, how: str) -> None:
        """The session is to end (kicked, lapsed, shutdown): answer what is due, then part."""


class Registry:
    """Every live session, and those that have registered a name."""

    def __init__(self) -> None:
        self.connections = 0  # live sessions that a connection carries
        self.listeners: dict[Session, Listener | None] = {}  # every live session, oldest first
        self._named: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self.listeners)

    def sessions(self) -> Iterable[Session]:
        """Every live session, oldest first."""
        return self.listeners

    def add(self, session: Session, listener: Listener | None = None) -> None:
        """Count `session`, which is new, as live.

        Args:
            listener: is told what befalls it; nobody is if there is none.
        """
        self.connections += session.carried
        self.listeners[session] = listener

    def remove(self, session: Session) -> None:
        """Forget `session` and its registered name."""
        self._named.pop(session, None)
        if session in self.listeners:
            del self.listeners[session]
            self.connections -= session.carried

    def register(self, session: Session, name: bytes) -> None:
        """Call `session` by `name` from now on; the empty name takes an earlier one back."""
        if name:
            session.name = name
            self._named[session] = None
        else:
            session.name = None
            self._named.pop(session, None)

    def named(self, name: bytes = b"") -> list[Session]:
        """The sessions with a registered name, or with just this one, in the order in which they first took one."""
        return [session for session in self._named if not name or session.name == name]

    def find(self, who: bytes) -> list[Session]:
        """The session with the address `who`, or else every session of that registered name."""
        return [session for session in self.listeners if session.address == who] or self.named(who)
