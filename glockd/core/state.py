"""Everything the daemon knows, in one place; the one snapshot that all views show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, islice

from glockd.core.deadlines import NEVER, Deadlines
from glockd.core.events import Event, Expired, Lapsed, TimedOut
from glockd.core.history import EXPIRED, ORPHANED, TIMED_OUT, History
from glockd.core.holds import Hold, Lock, Waiter
from glockd.core.locks import LockTable
from glockd.core.sessions import Owner, Registry, Session
from glockd.core.stats import Stats

# The namespaces: locks of the line language, LDLM and Locket; counted shared locks; work; numbered slots; long-running
# processes; booked windows.
KINDS = ("exclusive", "shared", "items", "slots", "lrps", "windows")
# Those to whose pools anybody may add.
REPLENISHED = ("items",)


class State:
    """The tables of locks, the registry, the counters.

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
        # By kind. One source of tokens, so that they grow over all of them.
        self.tables = {
            kind: LockTable(
                kind, tokens, self.deadlines, contended, self.history, replenished=kind in REPLENISHED
            )
            for kind in KINDS
        }
        self.exclusive = self.tables["exclusive"]
        self.shared = self.tables["shared"]
        self.items = self.tables["items"]
        self.registry = Registry()
        self.stats = Stats(verbs)

    @property
    def held(self) -> int:
        """How many holds there are in all tables."""
        return sum([table.held for table in self.tables.values()])

    @property
    def waiting(self) -> int:
        """How many waiters there are in all tables."""
        return sum([table.waiting for table in self.tables.values()])

    def shown(self) -> list[LockTable]:
        """The tables that views show: those of the line language, and any other that has ever been used."""
        line = (self.exclusive, self.shared)
        return [table for table in self.tables.values() if table in line or table.is_used()]

    def next_deadline(self) -> float:
        """When `expire` has work, in monotonic seconds; infinity if there is no deadline."""
        return self.deadlines.next()

    def extend(self, owner: Owner, deadline: float) -> None:
        """Let an owner live until `deadline`, in monotonic seconds, or for NEVER until it is ended."""
        self.deadlines.set(owner, deadline)

    def expire(self, now: float, most: int) -> list[Event]:
        """End leases and waits whose time is up, and tell whose owner's time is.

        Args:
            now: monotonic seconds; what ends later stays.
            most: how many to end at the most, so that a great many do not hold up everybody else.

        Returns:
            An `Expired`, a `TimedOut` or a `Lapsed` for each, and a `Granted` for everyone whose turn has come by it.
            An owner that has lapsed is still there, without a deadline, for the caller to `end`.

        Raises:
            TypeError: something else has a deadline; it has none from then on.
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
            elif isinstance(item, Owner):
                events.append(Lapsed(item))
            else:
                raise TypeError(f"{type(item).__name__} has a deadline")
        return events

    def end(
        self, session: Session, now: float, most: int, why: str = ORPHANED, detail: str = ""
    ) -> tuple[list[Event], bool]:
        """End a session: its waits first, then its holds, then its registered name.

        Waits end latest first: so none has its turn by the end of another. Holds end by table and age, the exclusive
        ones first, among those that fit into one call.

        Args:
            now: monotonic seconds.
            most: how many waits and holds to end in this call, 1 or more. Call again, with other work in between, until
                all are gone.
            why: ORPHANED or KICKED, for the history.
            detail: how the session ended: closed, reset, dead peer.

        Returns:
            A `Granted` for everyone whose turn has come by it; and whether all is done.
        """
        events: list[Event] = []
        if isinstance(session, Owner):
            self.extend(session, NEVER)
        waiters = list(islice(reversed(session.waiters), most))
        for waiter in waiters:
            events += waiter.table.withdraw(waiter, now, why, detail)
        if len(waiters) < most:
            batch = session.pop(most - len(waiters))
            batch.sort(key=_by_table_and_age)
            for hold in batch:
                events += hold.table.drop(hold, now, why, detail)
        if session.waiters or session.holds:
            return events, False
        self.registry.remove(session)
        return events, True


def _by_table_and_age(hold: Hold) -> tuple[str, int]:
    return hold.table.kind, hold.token
