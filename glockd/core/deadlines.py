"""When leases and waits end: one heap for all of them."""

from __future__ import annotations

import heapq
import math
from typing import Protocol

NEVER = math.inf


class Timed(Protocol):
    """What can have a deadline: a hold with a lease, a waiter."""

    deadline: float  # monotonic seconds, or NEVER


class Deadlines:
    """The deadlines of holds and waiters, soonest first."""

    # Below this many entries nothing is gained by dropping stale ones.
    SMALL = 64

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._serial = 0  # the tie-break, so that two items are never compared
        self._live = 0  # how many items have a deadline
        self.moved = False  # there is an earlier deadline than before; whoever acts on it takes it back

    def set(self, item: Timed, deadline: float) -> None:
        """Give `item` a deadline in monotonic seconds, in place of an earlier one; NEVER takes it away."""
        # A changed deadline leaves its old entry in the heap: finding it would cost a scan, and that the item
        # has another deadline now shows that it is stale. `next` drops such entries.
        self._live += (deadline != NEVER) - (item.deadline != NEVER)
        item.deadline = deadline
        if deadline != NEVER:
            self._serial += 1
            if not self._heap or deadline < self._heap[0][0]:
                self.moved = True
            heapq.heappush(self._heap, (deadline, self._serial, item))

    def clear(self, item: Timed) -> None:
        """Take away the deadline of an item that has one."""
        self._live -= 1
        item.deadline = NEVER

    def next(self) -> float:
        """The soonest deadline, NEVER if there is none."""
        heap = self._heap
        if len(heap) > 2 * self._live + self.SMALL:
            heap = self._heap = [entry for entry in heap if entry[2].deadline == entry[0]]
            heapq.heapify(heap)
        while heap and heap[0][2].deadline != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else NEVER

    def pop(self, now: float) -> Timed | None:
        """The item with the soonest deadline if that is `now` or earlier; it has none from then on."""
        if self.next() > now:
            return None
        item = heapq.heappop(self._heap)[2]
        item.deadline = NEVER
        self._live -= 1
        return item
