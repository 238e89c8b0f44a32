"""What decides about windows: which runs are made when, where they lie, and what becomes of them.

It knows no clock and no I/O: every call is given the moment, in seconds since 1970. A window that is on is besides a
hold in the core, see desk.py. Nothing that was told is moved: a run keeps its start.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count, islice
from math import floor
from random import Random
from typing import Final, Protocol

from glockd.doors.windows.calendars import Calendars
from glockd.doors.windows.plan import NEVER
from glockd.doors.windows.states import (
    CANCELED,
    MISSED,
    NONSTART,
    OVER,
    PENDING,
    RUNNING,
    may_become,
)
from glockd.doors.windows.task import Run, Task

# Bounds (the specification, section 11): tasks that were posted, runs made ahead of one, and runs of all.
MOST_TASKS: Final = 10_000
MOST_AHEAD: Final = 1000
MOST_RUNS: Final = 250_000

# How long before its start a run is made at the latest, in seconds.
LEAD: Final = 1

# How late a run may begin, in seconds; later it counts as missed.
STRAGGLE: Final = 30

# Gaps of which one is chosen by chance; those behind them are not looked at.
GAPS_MOST: Final = 1000

NO_TIME: Final = "No times available for this run."


class Full(Exception):
    """There is no room for another task, or run."""


class Journal(Protocol):
    """Keeps what outlives the daemon."""

    def task_added(self, task: Task) -> None:
        """A task is new."""

    def task_changed(self, task: Task) -> None:
        """A task is another."""

    def task_gone(self, task: Task) -> None:
        """A task is forgotten; it has no runs."""

    def run_added(self, run: Run) -> None:
        """A run is new, and its task has one more."""

    def run_changed(self, run: Run) -> None:
        """A run is another."""

    def runs_gone(self, runs: Sequence[Run]) -> None:
        """Runs are forgotten."""


class Bookings:
    """All tasks and runs, and the calendars of their resources.

    Args:
        journal: keeps what outlives the daemon; None: nothing does.
        chance: for what is to be left to it.
        uuid: makes a name that nobody has.
        horizon: how far ahead runs are made, in seconds.
        keep: how long one that is over is kept, in seconds.
    """

    def __init__(
        self,
        journal: Journal | None,
        chance: Random,
        uuid: Callable[[], str],
        horizon: int,
        keep: int,
    ) -> None:
        self.journal = journal
        self.horizon = horizon
        self.keep = keep
        self.tasks: dict[str, Task] = {}  # by UUID, oldest first
        self.runs: dict[int, Run] = {}  # by number, oldest first
        self.by_uuid: dict[str, Run] = {}  # the same
        self.calendars = Calendars()
        self.states: Counter[str] = Counter()  # of all runs that are known
        self.missed = 0  # how many ever were
        self.posted = 0  # how many tasks there are that no verb has made
        self.task_numbers = count(1)
        self.run_numbers = count(1)
        self._chance = chance
        self._uuid = uuid
        self._due: list[tuple[int, int, Task]] = []  # when a task may have a run to be made
        self._starts: list[tuple[int, int, Run]] = []  # of runs that were pending when put in
        self._ended: list[tuple[int, int, Run]] = []  # of runs that are over
        self._fading: list[tuple[float, int, Task]] = []  # tasks that make no more runs and have none

    # Tasks

    def add(self, task: Task, now: float) -> list[Run]:
        """A new task; the first of its runs, as far as it is time for one.

        Raises:
            Full: there are too many.
        """
        if task.posted is not None and self.posted >= MOST_TASKS:
            raise Full(f"There may be {MOST_TASKS} tasks")
        if len(self.runs) >= MOST_RUNS:
            raise Full(f"There may be {MOST_RUNS} runs")
        self.put(task)
        if self.journal is not None:
            self.journal.task_added(task)
        return self.make(task, now, 1)

    def put(self, task: Task) -> None:
        """Know a task, which is there already."""
        self.tasks[task.uuid] = task
        self.posted += task.posted is not None

    def make(self, task: Task, now: float, most: int) -> list[Run]:
        """Make the runs of a task whose time to be made has come, `most` at the most; the next ones are due later."""
        made: list[Run] = []
        while task.enabled:
            wanted = self._wanted(task, now)
            if wanted is None:
                self._consider(task, now)
                break
            seen_from = wanted - self.horizon + task.plan.slip
            if seen_from >= now and wanted > now + LEAD:
                self._expect(task, min(seen_from + 1, wanted - LEAD))
                break
            if task.pending >= MOST_AHEAD or len(self.runs) >= MOST_RUNS:
                self._expect(task, floor(now) + STRAGGLE)
                break
            if len(made) == most:
                self._expect(task, floor(now))
                break
            made.append(self._make(task, wanted, now))
        return made

    def book(self, task: Task, now: float) -> Run | None:
        """The one run of a new task that a verb makes; None if there is no room, and then nothing has changed.

        Raises:
            Full: there are too many.
        """
        if len(self.runs) >= MOST_RUNS:
            raise Full(f"There may be {MOST_RUNS} runs")
        wanted, slip = task.plan.start or 0, task.plan.slip
        latest = min(wanted + slip, floor(now) + self.horizon)
        start = self.calendars.place(task, wanted, latest + task.length)
        if start is None:
            return None
        self.put(task)
        if self.journal is not None:
            self.journal.task_added(task)
        return self._enter(task, start, now)

    def post(self, task: Task, start: int, now: float) -> Run | None:
        """Make a run of a task just there; None if there is no room.

        Raises:
            Full: there are too many.
        """
        if len(self.runs) >= MOST_RUNS or task.pending >= MOST_AHEAD:
            raise Full(f"There may be {MOST_AHEAD} runs of a task ahead, and {MOST_RUNS} of all")
        return self._enter(task, start, now) if self.calendars.is_free(task, start) else None

    def disable(self, task: Task, now: float) -> tuple[list[Run], list[Run]]:
        """Let a task make no more runs; those that have not begun are forgotten.

        Returns:
            Those that are forgotten, and those that are on, for the caller to `move`.
        """
        task.enabled = False
        gone = [
            run for run in task.runs if run.state == PENDING or (run.state == NONSTART and run.start > now)
        ]
        self._forget(gone, now)
        if self.journal is not None:
            self.journal.task_changed(task)
        self._consider(task, now)
        return gone, [run for run in task.runs if run.is_on]

    # Runs

    def find(self, number: int) -> Run | None:
        """The run of that number."""
        return self.runs.get(number)

    def move(self, run: Run, state: str, now: float, errors: str | None = None) -> bool:
        """Let a run become another; whether it has.

        One that is over before its end leaves the rest of its window free.

        Raises:
            ValueError: it cannot become that; nothing has changed.
        """
        if not may_become(run.state, state):
            return False
        task = run.task
        task.pending -= run.state == PENDING
        self.states[run.state] -= 1
        self.states[state] += 1
        run.state = state
        run.errors = errors
        if state == RUNNING:
            task.begun += 1
        if state == MISSED:
            self.missed += 1
        if state in OVER:
            self.calendars.vacate([run], floor(now))
            if state not in (CANCELED, NONSTART, MISSED):
                run.end = max(run.start, min(run.end, floor(now + 0.5)))
            heapq.heappush(self._ended, (run.end, run.number, run))
        if self.journal is not None:
            self.journal.run_changed(run)
        return True

    def remove(self, run: Run, now: float) -> None:
        """Forget a run; its window is free."""
        self._forget([run], now)
        self._consider(run.task, now)

    # What time brings

    def next_moment(self) -> int:
        """When there is something to do next: a run to make, or one that begins; later than all if there is not."""
        moments = [heap[0][0] for heap in (self._due, self._starts) if heap]
        return min(moments, default=NEVER)

    def due(self, now: float) -> Task | None:
        """A task that may have a run to be made, if it is time."""
        while self._due and self._due[0][0] <= now:
            task = heapq.heappop(self._due)[2]
            if self.tasks.get(task.uuid) is task:
                return task
        return None

    def starting(self, now: float, most: int) -> list[Run]:
        """Runs whose start has come, `most` at the most; for the caller to `move`."""
        found: list[Run] = []
        while self._starts and self._starts[0][0] <= now and len(found) < most:
            run = heapq.heappop(self._starts)[2]
            if run.state == PENDING and self.runs.get(run.number) is run:
                found.append(run)
        return found

    def is_missed(self, run: Run, now: float) -> bool:
        """Whether a run whose start has come is too late to begin."""
        return now - run.start > STRAGGLE or run.end <= now

    def sweep(self, now: float, most: int) -> bool:
        """Forget what has been kept long enough, `most` runs and tasks at the most; whether there is more."""
        limit = now - self.keep
        old: dict[int, Run] = {}
        while self._ended and self._ended[0][0] < limit and len(old) < most:
            run = heapq.heappop(self._ended)[2]
            if self.runs.get(run.number) is run and run.is_over:
                old[run.number] = run
        self._forget(list(old.values()), now)
        for task in {run.task.number: run.task for run in old.values()}.values():
            self._consider(task, now)
        gone = 0
        while self._fading and self._fading[0][0] < limit and gone < most:
            task = heapq.heappop(self._fading)[2]
            if not task.runs and self.tasks.get(task.uuid) is task:
                del self.tasks[task.uuid]
                self.posted -= task.posted is not None
                gone += 1
                if self.journal is not None:
                    self.journal.task_gone(task)
        return max(len(old), gone) >= most

    def tidy(self, now: float) -> None:
        """Let calendars forget what lies behind."""
        self.calendars.forget(floor(now))

    # At the start

    def restore(self, run: Run) -> None:
        """Put a run back as it was; its task is known, and its runs come by start.

        Raises:
            ValueError: its window is another's.
        """
        task = run.task
        if not run.is_over:
            if not self.calendars.is_free(task, run.start):
                raise ValueError(f"run {run.number} lies where another does")
            self.calendars.add(run)
        self._know(run)
        if run.is_over:
            heapq.heappush(self._ended, (run.end, run.number, run))
        elif run.state == PENDING:
            heapq.heappush(self._starts, (run.start, run.number, run))

    def resume(self, task: Task, now: float) -> None:
        """Go on with a task that was put back, and its runs."""
        self._expect(task, floor(now))
        self._consider(task, now)

    # Inside

    def _wanted(self, task: Task, now: float) -> int | None:
        plan = task.plan
        if plan.most is not None and task.made >= plan.most:
            return None
        return plan.wanted(floor(now) + LEAD, floor(now), task.first, task.latest)

    def _make(self, task: Task, wanted: int, now: float) -> Run:
        start = self._place(task, wanted)
        if start is not None:
            return self._enter(task, start, now)
        run = self._run(task, wanted, now)
        run.state, run.errors = NONSTART, NO_TIME
        self._know(run)
        self._count(run)
        heapq.heappush(self._ended, (run.end, run.number, run))
        return run

    def _place(self, task: Task, wanted: int) -> int | None:
        """Where a run that is wanted then is to begin."""
        slip, length = task.plan.slip_of(task.length), task.length
        end = wanted + slip + length
        if not (task.plan.sliprand and slip):
            return self.calendars.place(task, wanted, end)
        found = list(islice(self.calendars.free(task, wanted, end), GAPS_MOST))
        if not found:
            return None
        begin, until = self._chance.choice(found)
        return self._chance.randint(begin, until - length)

    def _enter(self, task: Task, start: int, now: float) -> Run:
        run = self._run(task, start, now)
        self.calendars.add(run)
        self._know(run)
        self._count(run)
        heapq.heappush(self._starts, (start, run.number, run))
        return run

    def _run(self, task: Task, start: int, now: float) -> Run:
        return Run(
            uuid=self._uuid(),
            number=next(self.run_numbers),
            task=task,
            start=start,
            end=start + task.length,
            added=now,
        )

    def _know(self, run: Run) -> None:
        self.runs[run.number] = run
        self.by_uuid[run.uuid] = run
        self.states[run.state] += 1
        run.task.enter(run)

    def _count(self, run: Run) -> None:
        task = run.task
        task.made += 1
        task.first = run.start if task.first is None else task.first
        task.latest = run.start if task.latest is None else max(task.latest, run.start)
        if self.journal is not None:
            self.journal.run_added(run)

    def _forget(self, runs: Sequence[Run], now: float) -> None:
        self.calendars.vacate(runs, floor(now))
        for run in runs:
            del self.runs[run.number], self.by_uuid[run.uuid]
            self.states[run.state] -= 1
            run.task.leave(run)
        if runs and self.journal is not None:
            self.journal.runs_gone(runs)

    def _expect(self, task: Task, moment: int) -> None:
        """Look at a task again at that moment."""
        heapq.heappush(self._due, (moment, task.number, task))

    def _consider(self, task: Task, now: float) -> None:
        """See whether nothing keeps a task any more."""
        if not task.runs and not (task.enabled and self._wanted(task, now) is not None):
            plan = task.plan
            reference = next(one for one in (plan.until, plan.start, task.added) if one is not None)
            heapq.heappush(self._fading, (reference, task.number, task))
