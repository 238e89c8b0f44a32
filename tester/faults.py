"""Faults done to a glockd on purpose, one by one, and the figures that come of each.

A fault is a function in one of the `faults_…` modules. It starts servers of its own, notes figures in a `Report`
and demands what must hold; a demand that is not met is a failure of the server.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from .addresses import Address
from .crowd import Crowd, crowd
from .peers import Ended, Peer, connect
from .replay import Failed, ask_counters

PATIENCE = 20.0  # seconds for what should come at once, on a machine that is busy


@dataclass
class Report:
    """What came of one fault."""

    name: str
    quick: bool = False  # a hundredth of the work, for those who wait for it
    figures: dict[str, float | str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def demand(self, holds: bool, sentence: str) -> None:
        """Note a failure unless `holds`."""
        if not holds:
            self.failures.append(sentence)

    def times(self, what: str, seconds: Iterable[float]) -> None:
        """Note how times are spread, in milliseconds."""
        ordered = sorted(seconds)
        if not ordered:
            self.failures.append(f"no {what} was measured")
            return
        self.figures[f"{what}, count"] = len(ordered)
        self.figures[f"{what}, p50 ms"] = round(statistics.median(ordered) * 1e3, 2)
        self.figures[f"{what}, p99 ms"] = round(ordered[math.ceil(len(ordered) * 0.99) - 1] * 1e3, 2)
        self.figures[f"{what}, max ms"] = round(ordered[-1] * 1e3, 2)

    def size(self, full: int, quick: int) -> int:
        """How many, by how thorough the run is."""
        return quick if self.quick else full

    def as_json(self) -> dict[str, Any]:
        return {
            "fault": self.name,
            "quick": self.quick,
            "figures": self.figures,
            "failures": self.failures,
        }


Fault = Callable[[Report], None]
FAULTS: dict[str, Fault] = {}


def fault(function: Fault) -> Fault:
    """Add a fault to the list, under its function's name."""
    FAULTS[function.__name__.replace("_", "-")] = function
    return function


def run(name: str, *, quick: bool = False) -> Report:
    """Do one fault.

    Raises:
        OSError, NotStarted, NoNetwork: it cannot be done here.
    """
    report = Report(name, quick)
    start = time.monotonic()
    try:
        FAULTS[name](report)
    except (Ended, TimeoutError, Failed) as problem:
        report.failures.append(f"{type(problem).__name__}: {problem}")
    report.figures["seconds"] = round(time.monotonic() - start, 1)
    return report


def until(so: Callable[[], bool], seconds: float = PATIENCE, pause: float = 0.01) -> bool:
    """Wait for what no reply tells; whether it came."""
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def count(peer: Peer, key: str) -> int:
    """One of the server's counters."""
    return ask_counters(peer)[key]


def watching(address: Address) -> AbstractContextManager[Crowd]:
    """Somebody in another process who asks all the time; `end` tells how long the answers took, in seconds."""
    return crowd("watch", address)


def still_serves(report: Report, address: Address) -> None:
    """Demand that a newcomer is served, and that nobody else is there any more."""
    with connect(address, PATIENCE) as peer:
        report.demand(peer.ask(b"g newcomer").startswith(b"1 "), "a newcomer is not served")
        report.demand(peer.ask(b"r newcomer").startswith(b"1 "), "a newcomer cannot release")
        gone = until(lambda: count(peer, "connections") == 1)
        report.demand(gone, "connections that have ended are still counted")
        report.demand(count(peer, "locks") == 0, "locks of those who are gone are still held")
