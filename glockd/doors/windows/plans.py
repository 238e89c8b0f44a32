"""What is planned, over all tasks: the schedule, and the monitor, which people look at too (section 10)."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from glockd.doors.windows import replies
from glockd.doors.windows.access import found
from glockd.doors.windows.call import Call, Reply, Routes
from glockd.doors.windows.monitor import Monitor
from glockd.doors.windows.offered import TESTS, TOOLS
from glockd.doors.windows.refusal import Refusal
from glockd.doors.windows.shown import show_planned, show_task
from glockd.doors.windows.states import NONSTART, ON_DECK, PENDING
from glockd.doors.windows.task import Run, Task
from glockd.net.exchange import Answer

if TYPE_CHECKING:
    from glockd.doors.windows.desk import Desk

# Runs that are looked at before others get their turn: some 2 ms.
RUNS_A_TURN: Final = 2000

# Where a run lies, as the monitor says it.
PAST, PRESENT, FUTURE = -1, 0, 1


class Plans:
    """Answers what is about the runs of all tasks.

    Args:
        desk: knows the time and the runs.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._book = desk.book

    def find(self, words: tuple[str, ...]) -> Routes | None:
        """Who answers at a path; None: it is none of these."""
        match words:
            case ("schedule",):
                return {"GET": self._schedule}
            case ("monitor",):
                return {"GET": self._monitor}
        return None

    async def _schedule(self, call: Call) -> Answer:
        wanted = call.given.get("format") or "json"
        if wanted != "json":
            raise Refusal(400, f"Invalid format '{wanted[:200]}'")
        start, end = call.span()
        runs = await self._chosen(
            lambda run: (end is None or run.start < end) and (start is None or run.end > start),
            self._of(call),
        )
        shown = _Shown(call)
        return replies.array(map(shown.in_full, runs), pretty=call.pretty)

    def _of(self, call: Call) -> Task | None:
        """The task that is meant; None: all are."""
        if "task" not in call.given:
            return None
        try:
            uuid = str(UUID(call.given["task"]))
        except ValueError:
            raise Refusal(400, "Invalid task UUID") from None
        return found(self._book.tasks, uuid)

    async def _chosen(self, fits: Callable[[Run], bool], task: Task | None = None) -> Iterator[Run]:
        """The runs that fit, by start; others have their turn meanwhile."""
        remaining = iter(list(self._book.runs.values()) if task is None else list(task.runs))
        sorted_ones: list[list[Run]] = []
        while some := list(islice(remaining, RUNS_A_TURN)):
            sorted_ones.append(sorted(filter(fits, some), key=_by_start))
            await asyncio.sleep(0)
        return heapq.merge(*sorted_ones, key=_by_start)

    def _monitor(self, call: Call) -> Reply:
        most = call.cardinal("window")
        if "text/html" in call.ask.headers.get("Accept"):
            return self._page(call, most)
        return self._listing(call, most)

    async def _listing(self, call: Call, most: int | None) -> Answer:
        shown = _Shown(call)
        runs = await self._around(most)
        return replies.array((shown.placed(run, place) for run, place in runs), pretty=call.pretty)

    async def _page(self, call: Call, most: int | None) -> Answer:
        runs = await self._around(most or Monitor.MOST)
        return Monitor(self._desk.wall()).page(call.view, runs)

    async def _around(self, most: int | None) -> list[tuple[Run, int]]:
        """The last past runs, all present ones and the next to come, each with where it lies."""
        now = self._desk.wall()
        past: list[Run] = []
        present: list[Run] = []
        future: list[Run] = []
        for number, run in enumerate(await self._chosen(lambda run: True)):
            place = _place(run, now)
            (past if place == PAST else present if place == PRESENT else future).append(run)
            if number % RUNS_A_TURN == RUNS_A_TURN - 1:
                await asyncio.sleep(0)
        places = (past[-most:] if most else past, PAST), (present, PRESENT), (future[:most], FUTURE)
        return [(run, place) for runs, place in places for run in runs]


class _Shown:
    """Shows runs one after another; those of one task, which often come in a row, with the same account of it."""

    def __init__(self, call: Call) -> None:
        self._view = call.view
        self._tasks: dict[str, dict[str, Any]] = {}

    def in_full(self, run: Run) -> dict[str, Any]:
        """As the schedule has it."""
        test, tool = TESTS[run.task.test].described(""), TOOLS[run.task.tool].described("")
        del test["href"], tool["href"]
        return self._planned(run) | {"errors": run.errors, "test": test, "tool": tool}

    def placed(self, run: Run, place: int) -> dict[str, Any]:
        """As the monitor has it."""
        return self._planned(run) | {"ppf": place}

    def _planned(self, run: Run) -> dict[str, Any]:
        task = self._tasks.get(run.task.uuid)
        if task is None:
            if len(self._tasks) >= replies.ITEMS_A_TURN:
                self._tasks.clear()
            task = self._tasks[run.task.uuid] = show_task(run.task, self._view)
        return show_planned(run, self._view, task)


def _place(run: Run, now: float) -> int:
    if run.is_on:
        return PRESENT
    if run.state in (PENDING, ON_DECK) or (run.state == NONSTART and run.start > now):
        return FUTURE
    return PAST


def _by_start(run: Run) -> tuple[int, int]:
    return run.start, run.number
