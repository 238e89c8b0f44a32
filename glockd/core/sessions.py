"""Who is connected, and what clients call themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glockd.core.holds import Hold, Waiter


class Session:
    """What one client holds, waits for and calls itself.

    Args:
        address: what the daemon calls the client, unique among live sessions: `ip:port` or `unix:N`.
        transport: the door it came through: `tcp`, `unix` or `websocket`.
        since: monotonic seconds at which it began.
    """

    __slots__ = ("address", "holds", "name", "since", "transport", "waiters")

    def __init__(self, address: bytes, transport: str = "tcp", since: float = 0.0) -> None:
        self.address = address
        self.transport = transport
        self.since = since
        self.name: bytes | None = None
        # Most sessions hold one lock or none and wait for none: for them tuples are much smaller than sets.
        self.holds: tuple[Hold, ...] | set[Hold] = ()
        self.waiters: tuple[Waiter, ...] = ()

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

    @property
    def label(self) -> bytes:
        """The registered name, or else the address."""
        return self.address if self.name is None else self.name


class Registry:
    """Every live session, and those that have registered a name."""

    def __init__(self) -> None:
        self.owners: dict[
            Session, object
        ] = {}  # every live session, oldest first, with what its door keeps for it
        self._named: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self.owners)

    def sessions(self) -> Iterable[Session]:
        """Every live session, oldest first."""
        return self.owners

    def add(self, session: Session, owner: object = None) -> None:
        """Count `session` as connected.

        Args:
            owner: what its door wants to find again by the session; the core does not look at it.
        """
        self.owners[session] = owner

    def remove(self, session: Session) -> None:
        """Forget `session` and its registered name."""
        self._named.pop(session, None)
        self.owners.pop(session, None)

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
        return [session for session in self.owners if session.address == who] or self.named(who)
