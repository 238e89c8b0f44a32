"""The windows of one name: where they lie, and where there is room.

An exclusive window meets none, a shared one only shared ones. Windows are half-open: they may touch.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

from glockd.doors.windows.blocks import Blocks

# How a window lies beside others; those in the background are in nobody's way.
EXCLUSIVE: Final = "exclusive"
SHARED: Final = "shared"
BACKGROUND: Final = "background"


class Calendar:
    """The windows of one name."""

    __slots__ = ("_all", "_exclusive", "_shared", "forgotten")

    def __init__(self) -> None:
        self.forgotten = 0  # all that was over by then
        self._exclusive = Blocks()
        # The whole of what is taken: each exclusive window, and what shared ones cover together.
        self._all = Blocks()
        self._shared: list[tuple[int, int]] = []  # start and end, in order

    def place(self, mode: str, begin: int, end: int, length: int) -> int | None:
        """The first moment from `begin` on at which a window of `length` would be free, and over by `end`.

        Args:
            mode: EXCLUSIVE or SHARED.
            begin: seconds.
            end: seconds.
            length: seconds, 1 or more.

        Returns:
            Its start; None if there is no room.
        """
        found = self._in_the_way(mode).first_gap(begin, length)
        return found if found + length <= end else None

    def is_free(self, mode: str, begin: int, end: int) -> bool:
        """Whether a window may lie just there."""
        return self._in_the_way(mode).first_gap(begin, end - begin) == begin

    def free(self, mode: str, begin: int, end: int, length: int) -> Iterator[tuple[int, int]]:
        """The free ranges between `begin` and `end` that are at least so long, by start; not to be kept."""
        return self._in_the_way(mode).gaps(begin, end, length)

    def add(self, mode: str, begin: int, end: int) -> None:
        """Let a window lie there, where it is free."""
        if mode == EXCLUSIVE:
            self._exclusive.add(begin, end)
            self._all.add(begin, end)
        else:
            insort(self._shared, (begin, end))
            self._all.cover(begin, end)

    def remove(self, mode: str, windows: Iterable[tuple[int, int]]) -> None:
        """Take windows away that lie there."""
        covers: set[tuple[int, int]] = set()
        for window in windows:
            if mode == EXCLUSIVE:
                self._exclusive.discard(window[0])
                self._all.discard(window[0])
            else:
                del self._shared[bisect_left(self._shared, window)]
                covers.add(self._all.at(window[0]))
        for cover in covers:
            self._uncover(cover)

    def forget(self, until: int) -> None:
        """Forget what is over by then."""
        self.forgotten = max(self.forgotten, until)
        self._exclusive.forget(until)
        self._all.forget(until)
        if self._shared and self._shared[0][0] < until:
            self._shared = [window for window in self._shared if window[1] > until]

    def __bool__(self) -> bool:
        """Whether there is any window."""
        return bool(self._all)

    def _uncover(self, cover: tuple[int, int]) -> None:
        """Let a part of what shared windows cover be what those cover that are still there."""
        begin, end = cover
        self._all.discard(begin)
        first, last = bisect_left(self._shared, (begin,)), bisect_left(self._shared, (end,))
        for window in _union(self._shared[first:last]):
            self._all.add(*window)

    def _in_the_way(self, mode: str) -> Blocks:
        return self._all if mode == EXCLUSIVE else self._exclusive


def _union(windows: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What windows, in order, cover together."""
    begin = end = None
    for start, stop in windows:
        if end is None or begin is None:
            begin, end = start, stop
        elif start < end:
            end = max(end, stop)
        else:
            yield begin, end
            begin, end = start, stop
    if end is not None and begin is not None:
        yield begin, end
