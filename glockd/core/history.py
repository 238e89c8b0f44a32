"""What happened to locks lately: a ring of records, cheap to add to and put into words only when somebody asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from glockd.core.events import Notice
    from glockd.core.locks import Hold, Waiter

GRANTED = "granted"
RELEASED = "released"
ORPHANED = "orphaned"
EXPIRED = "expired"
CANCELLED = "cancelled"
TIMED_OUT = "timed out"
REFUSED = "refused"
KICKED = "kicked"


class Record(NamedTuple):
    """One event in the life of a lock."""

    kind: str  # one of the words above
    now: float  # monotonic seconds
    subject: Hold | Waiter  # names lock, table and session
    waited: float  # seconds in line
    detail: str  # why it was orphaned (closed, reset, dead peer), the cycle that was refused, else empty


Entry = tuple[str, float, "Hold | Waiter", float, str]  # the fields of a Record


class History:
    """The latest records of all locks, oldest first.

    Args:
        size: how many are kept, 0 or more.
    """

    def __init__(self, size: int) -> None:
        self._ring: deque[Entry] = deque(maxlen=size)
        # A bound method of the ring: one call into C a record. The ring has bare tuples for the same reason.
        self.add: Callable[[Entry], None] = self._ring.append

    def records(self, name: bytes | None = None) -> Iterator[Record]:
        """The records of the lock `name` in both namespaces, or of all locks, oldest first."""
        return (Record(*entry) for entry in self._ring if name is None or entry[2].name == name)

    def latest(self) -> Iterator[Record]:
        """The records of all locks, newest first; not to be kept while more are added."""
        return (Record(*entry) for entry in reversed(self._ring))

    def count(self) -> int:
        """How many records there are."""
        return len(self._ring)


class Journal(History):
    """A history that also hands each record on as it happens.

    Args:
        size: how many are kept, 0 or more.
        outbox: gets every record; whoever reads it empties it.
    """

    def __init__(self, size: int, outbox: list[Notice]) -> None:
        super().__init__(size)
        keep = self.add

        def add(entry: Entry) -> None:
            keep(entry)
            outbox.append(Record(*entry))

        self.add = add
