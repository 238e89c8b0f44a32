"""The sizes of locks, which stay known for a while after nobody holds the lock any more.

That a lock has the size 1 is not kept here while it is held: a hold of the whole tells it, and most locks are such.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

# What is remembered at most; beyond that the locks used least of late are forgotten before their time.
MOST_NAMES = 1_000_000
MOST_BYTES = 256 << 20
ENTRY = 250  # bytes of one besides its name


class Sizes:
    """How large each lock is, for as long as it is remembered.

    Args:
        is_held: whether somebody holds the lock of that name.
    """

    def __init__(self, is_held: Callable[[bytes], bool]) -> None:
        self._is_held = is_held
        self._known: OrderedDict[bytes, tuple[int, float]] = (
            OrderedDict()
        )  # size and last use, the latest last
        self._bytes = 0

    def __contains__(self, name: bytes) -> bool:
        return name in self._known

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: bytes) -> int | None:
        """The size of a lock; None if it is not known."""
        known = self._known.get(name)
        return None if known is None else known[0]

    def use(self, name: bytes, size: int, now: float) -> bool:
        """Whether `size` is that of the lock; it is from now on if none is known. If not, nothing has changed.

        Args:
            now: monotonic seconds.
        """
        known = self._known.get(name)
        if known is None:
            self._bytes += len(name) + ENTRY
            self._known[name] = size, now
            self._make_room(now)
            return True
        if known[0] != size:
            return False
        self._known[name] = size, now
        self._known.move_to_end(name)
        return True

    def drop(self, name: bytes) -> None:
        """Keep the size no more: a hold tells it."""
        if self._known.pop(name, None) is not None:
            self._bytes -= len(name) + ENTRY

    def collect(self, now: float, idle: float, most: int) -> bool:
        """Forget locks that nobody holds and that have not been used for more than `idle` seconds.

        Args:
            now: monotonic seconds.
            most: how many to look at.

        Returns:
            Whether there may be more.
        """
        for _ in range(most):
            if not self._known or next(iter(self._known.values()))[1] + idle >= now:
                return False
            self._forget_oldest(now)
        return True

    def _make_room(self, now: float) -> None:
        # Two for one: so it shrinks too. Those that are held stay, and their number has limits of its own.
        for _ in range(2):
            if len(self._known) > MOST_NAMES or self._bytes > MOST_BYTES:
                self._forget_oldest(now)

    def _forget_oldest(self, now: float) -> None:
        """Forget the lock whose last use is longest ago; one that is held is in use now."""
        name, (size, _) = self._known.popitem(last=False)
        if self._is_held(name):
            self._known[name] = size, now
        else:
            self._bytes -= len(name) + ENTRY
