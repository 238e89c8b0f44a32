"""Everything the daemon knows, in one place; the one snapshot that all views show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

from glockd.core.deadlines import Deadlines
from glockd.core.events import Event, Expired, TimedOut
from glockd.core.history import EXPIRED, ORPHANED, TIMED_OUT, History
from glockd.core.holds import Hold, Lock, Waiter
from glockd.core.locks import LockTable
from glockd.core.sessions import Registry, Session
from glockd.core.stats import Stats


class State:
    """The exclusive table, the shared table, the registry, the counters.

    Args:
        tokens: gives the fencing tokens, each larger than all before.
        history: remembers what happened to locks, if somebody wants to know.
        verbs: the words of all commands, to be counted.
    """

    def __init__(
        self, tokens: Iterator[int] | None = None, history: History | None = None, verbs: Iterable[bytes] = ()
    ) -> None:
        if tokens is None:
            tokens = count(1)
        self.history = history
        self.deadlines = Deadlines()
        contended: dict[Lock, None] = {}
        self.exclusive = LockTable("exclusive", tokens, self.deadlines, contended, self.history)
        self.shared = LockTable("shared", tokens, self.deadlines, contended, self.history)
        self.registry = Registry()
        self.stats = Stats(verbs)

    def next_deadline(self) -> float:
        """When `expire` has work, in monotonic seconds; infinity if there is no deadline."""
        return self.deadlines.next()

    def expire(self, now: float, most: int) -> list[Event]:
        """End leases and waits whose time is up.

        Args:
            now: monotonic seconds; what ends later stays.
            most: how many to end at the most, so that a great many do not hold up everybody else.

        Returns:
            An `Expired` or a `TimedOut` for each, and a `Granted` for everyone whose turn has come by it.
        """
        events: list[Event] = []
        for _ in range(most):
            item = self.deadlines.pop(now)
            if item is None:
                break
            if isinstance(item, Hold):
                events.append(Expired(item))
                events += item.table.drop(item, now, EXPIRED)
            elif isinstance(item, Waiter):
                events.append(TimedOut(item))
                events += item.table.withdraw(item, now, TIMED_OUT)
        return events

    def end(
        self, session: Session, now: float, most: int, why: str = ORPHANED, detail: str = ""
    ) -> tuple[list[Event], bool]:
        """End a session: its waits first, then its holds, then its registered name.

        Holds end oldest first, the exclusive ones before the shared ones, among those that fit into one call.

        Args:
            now: monotonic seconds.
            most: how many holds to end in this call. Call again, with other work in between, until all are gone.
            why: ORPHANED or KICKED, for the history.
            detail: how the session ended: closed, reset, dead peer.

        Returns:
            A `Granted` for everyone whose turn has come by it; and whether all is done.
        """
        events: list[Event] = []
        for waiter in session.waiters:
            events += waiter.table.withdraw(waiter, now, why, detail)
        batch = session.pop(most)
        batch.sort(key=_by_table_and_age)
        for hold in batch:
            events += hold.table.drop(hold, now, why, detail)
        if session.holds:
            return events, False
        self.registry.remove(session)
        return events, True


def _by_table_and_age(hold: Hold) -> tuple[str, int]:
    return hold.table.kind, hold.token
