"""What happened to locks lately: a ring of records, cheap to add to and put into words only when somebody asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from glockd.core.holds import Hold, Waiter

GRANTED = "granted"
RELEASED = "released"
ORPHANED = "orphaned"
EXPIRED = "expired"
CANCELLED = "cancelled"
TIMED_OUT = "timed out"
REFUSED = "refused"
KICKED = "kicked"
# How the hold of an item ends that is not to be handed out again.
DONE = "done"
FAILED = "failed"


class Record(NamedTuple):
    """One event in the life of a lock."""

    kind: str  # one of the words above
    now: float  # monotonic seconds
    subject: Hold | Waiter  # names lock, table and session
    waited: float  # seconds in line
    detail: str  # why it was orphaned (closed, reset, dead peer), the cycle that was refused, else empty


# What is kept of an event. The less the better: memory that is run through costs throughput. So a hold stands for its
# grant, if it came without a wait, and a hold with a time for its release.
Entry: TypeAlias = "Hold | tuple[Hold, float] | Record"


class History:
    """The latest records of all locks, oldest first.

    Args:
        size: how many are kept, 0 or more.
    """

    def __init__(self, size: int) -> None:
        self._ring: deque[Entry] = deque(maxlen=size)
        # A bound method of the ring: one call into C a record.
        self.add: Callable[[Entry], None] = self._ring.append

    def records(self, name: bytes | None = None) -> Iterator[Record]:
        """The records of the lock `name` in both namespaces, or of all locks, oldest first."""
        records = map(_record, self._ring)
        return (record for record in records if name is None or record.subject.name == name)

    def latest(self) -> Iterator[Record]:
        """The records of all locks, newest first; not to be kept while more are added."""
        return map(_record, reversed(self._ring))

    def count(self) -> int:
        """How many records there are."""
        return len(self._ring)


class Journal(History):
    """A history that also hands each record on as it happens.

    Args:
        size: how many are kept, 0 or more.
        tell: gets every record.
    """

    def __init__(self, size: int, tell: Callable[[Record], None]) -> None:
        super().__init__(size)
        keep = self.add

        def add(entry: Entry) -> None:
            keep(entry)
            tell(_record(entry))

        self.add = add


def _record(entry: Entry) -> Record:
    if isinstance(entry, Record):
        return entry
    if isinstance(entry, tuple):
        hold, now = entry
        return Record(RELEASED, now, hold, 0.0, "")
    return Record(GRANTED, entry.since, entry, 0.0, "")
