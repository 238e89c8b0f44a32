"""What outlives the daemon: tasks, and their runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from glockd.doors.windows.book import Bookings
from glockd.doors.windows.cron import Cron
from glockd.doors.windows.plan import Plan
from glockd.doors.windows.states import FINISHED, MISSED, PENDING, RUNNING
from glockd.doors.windows.task import Run, Task
from glockd.store.shelf import Shelf

if TYPE_CHECKING:
    from glockd.store.book import Book

# Times are seconds since 1970. `first` and `latest` are when the first and the latest run ever were.
SHELF = Shelf(
    name="windows",
    version=1,
    tables=(
        "CREATE TABLE windows_numbers (task INTEGER, run INTEGER) STRICT",
        "CREATE TABLE windows_tasks (number INTEGER PRIMARY KEY, uuid TEXT, resource BLOB, caller BLOB, "
        "enabled INTEGER, made INTEGER, begun INTEGER, first INTEGER, latest INTEGER, description TEXT) STRICT",
        "CREATE TABLE windows_runs (number INTEGER PRIMARY KEY, uuid TEXT, task INTEGER, start INTEGER, "
        "over INTEGER, added REAL, state TEXT, errors TEXT) STRICT",
        "INSERT INTO windows_numbers VALUES (0, 0)",
    ),
)

_PUT_TASK = "INSERT OR REPLACE INTO windows_tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_RUN = "INSERT OR REPLACE INTO windows_runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_CHANGE_TASK = (
    "UPDATE windows_tasks SET enabled = ?, made = ?, begun = ?, first = ?, latest = ? WHERE number = ?"
)
_CHANGE_RUN = "UPDATE windows_runs SET over = ?, state = ?, errors = ? WHERE number = ?"


class Records:
    """What outlives the daemon, in the book.

    Args:
        book: all doors' records.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        # Called once all that was put in by now is written.
        self.then: Callable[[Callable[[], None]], None] = book.then

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty: it can."""
        return self._book.trouble

    # Journal

    def task_added(self, task: Task) -> None:
        """A task is new."""
        plan = task.plan
        described = {
            "test": task.test,
            "tool": task.tool,
            "mode": task.mode,
            "length": task.length,
            "lasts": task.lasts,
            "plan": {
                "start": plan.start,
                "slip": plan.slip,
                "sliprand": plan.sliprand,
                "repeat": plan.repeat,
                "cron": None if plan.cron is None else plan.cron.expression,
                "until": plan.until,
                "max_runs": plan.max_runs,
            },
            "added": task.added,
            "requester": task.requester,
            "spec": None if task.posted is not None else task.spec,
            "posted": task.posted,
            "key": task.key,
            "priority": task.priority,
        }
        row = (task.number, task.uuid, task.resource, task.by, *_changing(task), json.dumps(described))
        self._book.put(_PUT_TASK, row)
        self._book.put("UPDATE windows_numbers SET task = max(task, ?)", (task.number,))

    def task_changed(self, task: Task) -> None:
        """A task is another."""
        self._book.put(_CHANGE_TASK, (*_changing(task), task.number))

    def task_gone(self, task: Task) -> None:
        """A task is forgotten; it has no runs."""
        self._book.put("DELETE FROM windows_tasks WHERE number = ?", (task.number,))

    def run_added(self, run: Run) -> None:
        """A run is new, and its task has one more."""
        row = (run.number, run.uuid, run.task.number, run.start, run.end, run.added, run.state, run.errors)
        self._book.put(_PUT_RUN, row)
        self._book.put("UPDATE windows_numbers SET run = max(run, ?)", (run.number,))
        self.task_changed(run.task)

    def run_changed(self, run: Run) -> None:
        """A run is another."""
        self._book.put(_CHANGE_RUN, (run.end, run.state, run.errors, run.number))
        if run.state == RUNNING:
            self.task_changed(run.task)

    def runs_gone(self, runs: Sequence[Run]) -> None:
        """Runs are forgotten."""
        self._book.put("DELETE FROM windows_runs WHERE number = ?", *((run.number,) for run in runs))

    # At the start

    def restore(self, book: Bookings, now: float) -> list[Run]:
        """Put back all that outlived the last daemon; what has gone by meanwhile is over.

        Args:
            book: it is put in there.
            now: seconds since 1970.

        Returns:
            The runs that are on.

        Raises:
            StartError: the file cannot be used.
            ValueError: a record does not fit.
        """
        self._book.shelve(SHELF)
        [(latest_task, latest_run)] = self._book.read("SELECT task, run FROM windows_numbers")
        book.task_numbers, book.run_numbers = count(latest_task + 1), count(latest_run + 1)
        tasks: dict[int, Task] = {}
        for row in self._book.read("SELECT * FROM windows_tasks ORDER BY number"):
            task = _task(row)
            tasks[task.number] = task
            book.put(task)
        on: list[Run] = []
        for number, uuid, task_number, *rest in self._book.read(
            "SELECT * FROM windows_runs ORDER BY start, number"
        ):
            start, end, added, state, errors = rest
            run = Run(
                uuid=uuid,
                number=number,
                task=tasks[task_number],
                start=start,
                end=end,
                added=added,
                state=state,
                errors=errors,
            )
            self._pass_by(run, book, now)
            book.restore(run)
            if run.is_on:
                on.append(run)
        book.runs = dict(sorted(book.runs.items()))
        for task in book.tasks.values():
            book.resume(task, now)
        return on

    def _pass_by(self, run: Run, book: Bookings, now: float) -> None:
        """Let a run be over that would have ended while there was no daemon, or was missed."""
        if run.state == RUNNING and run.start + run.task.lasts <= now:
            run.state = FINISHED  # its window was held, by a promise to whoever was told of it
        elif run.state == PENDING and run.start <= now and book.is_missed(run, now):
            run.state = MISSED
            book.missed += 1
        else:
            return
        self.run_changed(run)


def _changing(task: Task) -> tuple[int, int, int, int | None, int | None]:
    return int(task.enabled), task.made, task.begun, task.first, task.latest


def _task(row: tuple[Any, ...]) -> Task:
    number, uuid, resource, by, enabled, made, begun, first, latest, text = row
    described = json.loads(text)
    plan, posted = described["plan"], described["posted"]
    cron = None if plan["cron"] is None else Cron(plan["cron"])
    return Task(
        uuid=uuid,
        number=number,
        resource=resource,
        by=by,
        enabled=bool(enabled),
        made=made,
        begun=begun,
        first=first,
        latest=latest,
        plan=Plan(**(plan | {"cron": cron})),
        spec=described["spec"] if posted is None else posted["test"]["spec"],
        **{
            name: described[name]
            for name in (
                "test",
                "tool",
                "mode",
                "length",
                "lasts",
                "added",
                "requester",
                "posted",
                "key",
                "priority",
            )
        },
    )
