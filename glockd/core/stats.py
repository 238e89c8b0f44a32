"""Counters of what happened since the start; plain integers, because they are counted on the hot path."""

from __future__ import annotations

from collections.abc import Iterable


TRANSPORTS = ("tcp", "unix", "websocket")


class Durations:
    """How long something took, in buckets that double: below 1 ms, 2 ms, 4 ms and so on."""

    # 2**40 ms are 34 years, longer than a daemon runs.
    BUCKETS = 41

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * self.BUCKETS
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration of 0 or more seconds."""
        self.buckets[int(seconds * 1000).bit_length()] += 1
        self.sum += seconds


class TableStats:
    """What happened in one namespace of locks."""

    __slots__ = (
        "cancelled",
        "expired",
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

    __slots__ = ("commands", "invalid_commands", "lag", "traffic")

    def __init__(self, verbs: Iterable[bytes]) -> None:
        self.commands = dict.fromkeys(verbs, 0)  # uses by verb, successful or not, allowed or not
        self.invalid_commands = 0
        self.traffic = {transport: Traffic() for transport in TRANSPORTS}
        self.lag = Durations()  # how late the event loop came to a timer
