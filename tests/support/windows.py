"""Tasks and bookings without a server."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

from glockd.doors.windows.book import Bookings
from glockd.doors.windows.calendar import BACKGROUND, EXCLUSIVE, SHARED
from glockd.doors.windows.plan import Plan
from glockd.doors.windows.task import Task

NOW = 1_000_000.0
HORIZON, KEEP = 86_400, 172_800
TESTS = {EXCLUSIVE: "window", SHARED: "window-shared", BACKGROUND: "idle"}

_numbers = itertools.count(1)


def bookings(horizon: int = HORIZON, keep: int = KEEP) -> Bookings:
    """Nothing is booked yet; what is left to chance is the same in each run."""
    return Bookings(None, Random(7), lambda: f"run-{next(_numbers)}", horizon, keep)


def task(
    name: bytes = b"db",
    mode: str = EXCLUSIVE,
    length: int = 10,
    *,
    by_verb: bool = False,
    added: float = NOW,
    **plan: Any,
) -> Task:
    """A task that nobody has posted yet."""
    number = next(_numbers)
    spec = {"schema": 1, "duration": f"PT{length}S", "resource": name.decode()}
    return Task(
        uuid=f"task-{number}",
        number=number,
        test=TESTS[mode],
        tool="hold",
        resource=name,
        mode=mode,
        length=length,
        lasts=float(length),
        plan=Plan(**plan),
        added=added,
        requester="127.0.0.1",
        by=b"somebody",
        spec=spec,
        posted=None if by_verb else {"test": {"type": TESTS[mode], "spec": spec}},
    )
