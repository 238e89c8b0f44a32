"""When leases, waits and owners end: one heap for all of them."""

from __future__ import annotations

import heapq
import math
from typing import Protocol

NEVER = math.inf


class Timed(Protocol):
    """What can have a deadline: a hold with a lease, a waiter, an owner."""

    deadline: float  # monotonic seconds, or NEVER


class Deadlines:
    """The deadlines of holds, waiters and owners, soonest first."""

    # Below this many entries nothing is gained by dropping stale ones.
    SMALL = 64

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._serial = 0  # the tie-break, so that two items are never compared
        self._live = 0  # how many items have a deadline
        # Something has been set that ends before all else: an alarm is to be set anew, for `next()`. Whoever does that
        # says False here. A deadline that is taken away or put off leaves an alarm that rings early, which is harmless.
        self.moved = False

    def set(self, item: Timed, deadline: float) -> None:
        """Give `item` a deadline in monotonic seconds, in place of an earlier one; NEVER takes it away."""
        # A changed deadline leaves its old entry in the heap: finding it would cost a scan, and that the item
        # has another deadline now shows that it is stale. Such entries are dropped when they are the soonest.
        self._live += (deadline != NEVER) - (item.deadline != NEVER)
        item.deadline = deadline
        if deadline != NEVER:
            heap = self._heap
            while heap and heap[0][2].deadline != heap[0][0]:
                heapq.heappop(heap)
            self._serial += 1
            heapq.heappush(heap, (deadline, self._serial, item))
            if heap[0][1] == self._serial:
                self.moved = True

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
