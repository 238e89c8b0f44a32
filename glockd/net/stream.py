"""One request on an HTTP/2 connection and its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

H = TypeVar("H")


class Stream(Generic[H]):
    """One request and its answer.

    Args:
        number: the stream's.
        head: what its headers mean.
    """

    __slots__ = ("body", "closing", "ended", "extra", "head", "number", "received", "unsent", "waits")

    def __init__(self, number: int, head: H) -> None:
        self.number = number
        self.head = head
        self.body: bytearray | None = None  # what has come, unless all has come in one frame
        self.received = 0  # bytes of its body that have come
        self.ended = False
        self.extra = 0  # how far its window for our answer is from where windows begin
        self.unsent: bytes | memoryview = b""
        self.closing = b""  # the frames behind `unsent`; none: the last DATA ends the stream
        self.waits: Callable[[], object] | None = None  # gives up what the answer waits for
