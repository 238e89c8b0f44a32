"""Counters of what happened since the start; plain integers, because they are counted on the hot path."""

from __future__ import annotations

from collections.abc import Callable, Iterable

TRANSPORTS = ("tcp", "unix", "websocket")


class Durations:
    """How long something took, in buckets that double: below 1 ms, 2 ms, 4 ms and so on."""

    # 2**40 ms are 34 years, longer than a daemon runs.
    BUCKETS = 41

    __slots__ = ("_buckets", "instant", "sum")

    def __init__(self) -> None:
        self.instant = 0  # those that took no time at all by the caller's clock
        self.sum = 0.0
        self._buckets = [0] * self.BUCKETS

    @property
    def buckets(self) -> list[int]:
        """How many took less than 1 ms, from there less than 2 ms, and so on."""
        return [self._buckets[0] + self.instant, *self._buckets[1:]]

    def add(self, seconds: float) -> None:
        """Count one duration of 0 or more seconds."""
        self._buckets[int(seconds * 1000).bit_length()] += 1
        self.sum += seconds


class TableStats:
    """What happened in one namespace of locks."""

    __slots__ = (
        "cancelled",
        "done",
        "expired",
        "failed",
        "granted_after_wait",
        "held",
        "orphans",
        "refused",
        "timed_out",
        "waited",
    )

    def __init__(self) -> None:
        self.orphans = 0  # holds released because their session ended
        self.expired = 0  # holds taken back because their lease was over
        self.done = 0  # units whose holder has said that they are
        self.failed = 0  # units that their holder has given up
        self.refused = 0  # waits that would have been a deadlock
        self.timed_out = 0  # waits whose time was up
        self.cancelled = 0  # waits ended by the client, or with its session
        self.granted_after_wait = 0
        self.held = Durations()  # of every hold that has ended
        self.waited = Durations()  # of every wait that has ended


class Traffic:
    """What went through one transport."""

    __slots__ = ("connections", "received", "sent")

    def __init__(self) -> None:
        self.connections = 0  # ever begun
        self.received = 0  # bytes, framing included
        self.sent = 0


class Stats:
    """What clients asked for.

    Args:
        verbs: the words of all commands.
    """

    __slots__ = ("_verbs", "invalid_commands", "lag", "traffic", "uses", "windows")

    def __init__(self, verbs: Iterable[bytes]) -> None:
        self._verbs = tuple(verbs)
        self.uses = [0] * len(self._verbs)  # by the verb's place; a list is the fastest to count in
        self.invalid_commands = 0
        self.traffic = {transport: Traffic() for transport in TRANSPORTS}
        # How many windows are to come, and how many were ever missed; None without their door.
        self.windows: Callable[[], tuple[int, int]] | None = None
        self.lag = Durations()  # how late the event loop came to a timer

    @property
    def commands(self) -> dict[bytes, int]:
        """Uses by verb, successful or not, allowed or not."""
        return dict(zip(self._verbs, self.uses, strict=True))
