"""Room for the long requests of one connection, so that they do not fill the memory and none waits for ever."""

from __future__ import annotations

from typing import TypeAlias

# Bytes of long requests that may be on their way on one connection. The longest fits, whatever else is there.
MOST_GRANTED = 32 << 20

# Streams, and by how many bytes their windows grow.
Grants: TypeAlias = list[tuple[int, int]]


class Room:
    """Who may send how much: first come, first served, and who has room has all that its request needs.

    So each of them can be sent to its end, and then makes room for others.
    """

    __slots__ = ("_free", "_granted", "_line")

    def __init__(self) -> None:
        self._free = MOST_GRANTED
        self._granted: dict[int, int] = {}
        self._line: dict[int, int] = {}

    def ask(self, stream: int, size: int) -> Grants:
        """Have `stream` send so many bytes more than the window that it began with; asked again, nothing changes.

        Args:
            size: at most MOST_GRANTED.

        Returns:
            What is granted now, to whomever.
        """
        if stream in self._granted or stream in self._line:
            return []
        self._line[stream] = size
        return self._serve()

    def leave(self, stream: int) -> Grants:
        """Nothing of `stream` takes room any more; what is granted to others by that."""
        self._line.pop(stream, None)
        self._free += self._granted.pop(stream, 0)
        return self._serve()

    def granted(self, stream: int) -> int:
        """How much more than at its beginning `stream` may send."""
        return self._granted.get(stream, 0)

    def _serve(self) -> Grants:
        served: Grants = []
        while self._line:
            stream = next(iter(self._line))
            size = self._line[stream]
            if size > self._free:
                break
            del self._line[stream]
            self._granted[stream] = size
            self._free -= size
            served.append((stream, size))
        return served
