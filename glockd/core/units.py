"""The named units of a pool: which are free, which is next, and who waits for which.

First come, first served is kept unit by unit. A waiter wants any unit or a certain one, and a unit that comes free goes
to whoever has waited longest among those who would take it. So one that wants a certain unit keeps nobody from the
others, and no unit is free while somebody waits who would take it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, final

if TYPE_CHECKING:
    from glockd.core.holds import Waiter

# In place of a unit: whichever is next.
ANY: Final[Hashable] = object()


@final
class Units:
    """The units of one pool. Which are held is known by the pool's holds: a hold's key is its unit."""

    # Below this many entries nothing is gained by dropping stale ones.
    SMALL: ClassVar[int] = 64

    __slots__ = ("_free", "_heap", "_lines", "_ranks", "_serial", "_ticket", "ended")

    def __init__(self) -> None:
        self._ranks: dict[Hashable, float] = {}  # of all units but the retired ones, held or free
        self._free: dict[Hashable, int] = {}  # with the serial of the entry that is in force
        self._heap: list[tuple[float, int, Hashable]] = []
        self._serial = 0  # the tie-break, so that two units are never compared
        # Who waits, by what they want, each with its ticket: a smaller one came earlier.
        self._lines: dict[Hashable, OrderedDict[Waiter, int]] = {}
        self._ticket = 0
        self.ended: dict[str, int] = {}  # holds, by how they ended: RELEASED, ORPHANED, DONE and so on

    @property
    def ranks(self) -> Mapping[Hashable, float]:
        """Every unit that is not retired, held or free, with its rank; a view."""
        return self._ranks

    @property
    def free(self) -> int:
        """How many units are free."""
        return len(self._free)

    def is_free(self, unit: Hashable) -> bool:
        """Whether `unit` is free; for ANY, whether one is."""
        return bool(self._free) if unit is ANY else unit in self._free

    def rank(self, unit: Hashable, rank: float) -> None:
        """Let `unit` be one of the pool's, with this rank; whether it is free is said by `put`."""
        self._ranks[unit] = rank

    def retire(self, unit: Hashable) -> bool:
        """Let `unit` be free no more, neither now nor when its holder gives it back; whether it was in the pool."""
        self._free.pop(unit, None)
        return self._ranks.pop(unit, None) is not None

    def tried(self, unit: Hashable) -> int:
        """Raise the rank of a unit by one; the new one."""
        rank = self._ranks[unit] = int(self._ranks[unit]) + 1
        return rank

    def put(self, unit: Hashable) -> Waiter | None:
        """Let `unit`, which nobody holds, be free.

        Returns:
            Whoever is to have it instead, since they have waited longest for it or for any; it is not free then.
        """
        rank = self._ranks.get(unit)
        if rank is None:
            return None
        waiter = self._first_for(unit)
        if waiter is None:
            # An entry that is no longer in force stays in the heap: finding it would cost a scan, and its serial
            # shows that it is stale.
            self._serial += 1
            self._free[unit] = self._serial
            heapq.heappush(self._heap, (rank, self._serial, unit))
            if len(self._heap) > 2 * len(self._free) + self.SMALL:
                self._heap = [entry for entry in self._heap if self._free.get(entry[2]) == entry[1]]
                heapq.heapify(self._heap)
        return waiter

    def take(self, unit: Hashable = ANY) -> Hashable | None:
        """Let `unit` be free no more, or the one of the lowest rank that has been free longest.

        Returns:
            The unit, or None if it is not free, or for ANY if none is.
        """
        free = self._free
        if unit is not ANY:
            return None if free.pop(unit, None) is None else unit
        while self._heap:
            _, serial, found = heapq.heappop(self._heap)
            if free.get(found) == serial:
                del free[found]
                return found
        return None

    def join(self, waiter: Waiter) -> None:
        """Put a waiter in line for its key: a unit that is not free, or ANY when none is."""
        self._ticket += 1
        self._lines.setdefault(waiter.key, OrderedDict())[waiter] = self._ticket

    def leave(self, waiter: Waiter) -> None:
        """Take a waiter out of its line."""
        line = self._lines[waiter.key]
        del line[waiter]
        if not line:
            del self._lines[waiter.key]

    def _first_for(self, unit: Hashable) -> Waiter | None:
        lines = (self._lines[key] for key in (unit, ANY) if key in self._lines)
        first = (next(iter(line.items())) for line in lines)
        return min(first, key=_ticket, default=(None, 0))[0]


def _ticket(entry: tuple[Waiter | None, int]) -> int:
    return entry[1]
