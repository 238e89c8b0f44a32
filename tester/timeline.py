"""Things that last for a while, found again by time."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Generic, TypeVar

Item = TypeVar("Item")
SLOT = 0.05  # seconds


class Timeline(Generic[Item]):
    """Items with a start and an end; `touching` finds those of a period without looking at all the others."""

    def __init__(self, last: float) -> None:
        """`last`: where an infinite end is taken to be."""
        self.last = last
        self.slots: dict[int, list[tuple[float, float, Item]]] = defaultdict(list)

    def add(self, start: float, end: float, item: Item) -> None:
        """Remember `item`; one that ends before it starts is not there at all."""
        if start <= end:
            for slot in self._slots(start, end):
                self.slots[slot].append((start, end, item))

    def touching(self, start: float, end: float) -> list[Item]:
        """What lasts at any moment from `start` to `end`, both included, each once."""
        found = {
            id(item): item
            for slot in self._slots(start, end)
            for begins, ends, item in self.slots.get(slot, ())
            if begins <= end and ends >= start
        }
        return list(found.values())

    def _slots(self, start: float, end: float) -> range:
        first, last = max(start, 0.0), min(end, self.last)
        return range(math.floor(min(first, self.last) / SLOT), math.floor(max(last, 0.0) / SLOT) + 1)
