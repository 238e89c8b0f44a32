"""Tasks, which are rules for making bookings, and runs, each of which is one booking."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import Any, Final

from glockd.doors.windows.calendar import BACKGROUND
from glockd.doors.windows.plan import Plan
from glockd.doors.windows.states import FINISHED, OVER, PENDING, RUNNING

DOOR: Final = "windows"


@dataclass(slots=True, kw_only=True, eq=False)
class Task:
    """A rule for making runs.

    Args:
        uuid: what it is called over HTTP.
        number: counts tasks, in the order in which they came.
        test: which one its runs carry out.
        tool: with what they do.
        resource: the name that its runs reserve.
        mode: EXCLUSIVE, SHARED, or BACKGROUND for one that reserves nothing.
        length: how long a window is, in whole seconds.
        lasts: how long a run takes, in seconds: as long as its window, or less.
        plan: when runs are wanted.
        added: seconds since 1970.
        requester: the address from which it came, without a port.
        by: who that is, as lines show it.
        spec: what the test is to do.
        posted: the task as it was posted, less comments; None if it was made by a verb.
        key: whoever knows it may change the task; None: there is none.
        priority: as it was posted; nothing follows from it.
    """

    uuid: str
    number: int
    test: str
    tool: str
    resource: bytes
    mode: str
    length: int
    lasts: float
    plan: Plan
    added: float
    requester: str
    by: bytes
    spec: dict[str, Any]
    posted: dict[str, Any] | None = None
    key: str | None = None
    priority: int | None = None
    enabled: bool = True
    runs: list[Run] = field(default_factory=list)  # by start
    made: int = 0  # how many runs there ever were
    begun: int = 0  # how many of them have begun
    pending: int = 0  # how many are
    first: int | None = None  # when the first one began, or was to
    latest: int | None = None  # when the latest one did, by start

    @property
    def is_background(self) -> bool:
        """Whether its runs are in nobody's way."""
        return self.mode == BACKGROUND

    def enter(self, run: Run) -> None:
        """Count a run as one of the task's."""
        insort(self.runs, run, key=_by_start)
        self.pending += run.state == PENDING

    def leave(self, run: Run) -> None:
        """Forget a run."""
        self.runs.remove(run)
        self.pending -= run.state == PENDING


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """One booking.

    Args:
        uuid: what it is called over HTTP.
        number: what it is called in lines; from 1 up, and never used again.
        task: that it was made for.
        start: seconds since 1970, whole.
        end: when its window is over, or was.
        added: seconds since 1970.
        state: see states.py.
        errors: why it is that.
    """

    uuid: str
    number: int
    task: Task
    start: int
    end: int
    added: float
    state: str = PENDING
    errors: str | None = None
    is_placed: bool = False  # its window is taken in the calendar

    @property
    def is_over(self) -> bool:
        """Whether nothing is to come of it any more."""
        return self.state in OVER

    @property
    def is_on(self) -> bool:
        """Whether it is on now."""
        return self.state == RUNNING

    @property
    def succeeded(self) -> bool:
        """Whether it was carried out."""
        return self.state == FINISHED


def _by_start(run: Run) -> tuple[int, int]:
    return run.start, run.number
