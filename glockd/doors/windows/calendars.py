"""The windows of all names: which are taken by runs, and where there is room for more.

Runs in the background take none, and find room everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from glockd.doors.windows.calendar import Calendar
from glockd.doors.windows.task import Run, Task


class Calendars:
    """The calendars of names that have windows."""

    def __init__(self) -> None:
        self._calendars: dict[bytes, Calendar] = {}

    def __len__(self) -> int:
        """How many names have windows."""
        return len(self._calendars)

    def place(self, task: Task, begin: int, end: int) -> int | None:
        """The first moment at which a run of a task may begin, and be over in time; None: there is none.

        Args:
            begin: not before; seconds since 1970.
            end: over by then; likewise.
        """
        calendar = self._calendar(task)
        if calendar is None:
            return begin if begin + task.length <= end else None
        return calendar.place(task.mode, begin, end, task.length)

    def is_free(self, task: Task, start: int) -> bool:
        """Whether a run of a task may begin just then."""
        calendar = self._calendar(task)
        return calendar is None or calendar.is_free(task.mode, start, start + task.length)

    def free(self, task: Task, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Where a run of a task could lie; nothing may be booked while this is run through."""
        calendar = self._calendar(task)
        if calendar is not None:
            return calendar.free(task.mode, begin, end, task.length)
        return iter([(begin, end)] if end - begin >= task.length else [])

    def add(self, run: Run) -> None:
        """Let the window of a run be taken, where it is free."""
        task = run.task
        if not task.is_background:
            self._calendars.setdefault(task.resource, Calendar()).add(task.mode, run.start, run.end)
            run.is_placed = True

    def vacate(self, runs: Iterable[Run], now: int) -> None:
        """Let the windows of runs be free, as far as they do not lie behind: those are forgotten by themselves."""
        ahead: dict[tuple[bytes, str], list[tuple[int, int]]] = {}
        for run in runs:
            calendar = self._calendars.get(run.task.resource)
            if run.is_placed and calendar is not None and run.end > max(now, calendar.forgotten):
                ahead.setdefault((run.task.resource, run.task.mode), []).append((run.start, run.end))
            run.is_placed = False
        for (name, mode), windows in ahead.items():
            self._calendars[name].remove(mode, windows)
            self._tidy(name)

    def forget(self, until: int) -> None:
        """Forget the windows that are over by then."""
        for name in list(self._calendars):
            self._calendars[name].forget(until)
            self._tidy(name)

    def _calendar(self, task: Task) -> Calendar | None:
        return None if task.is_background else self._calendars.get(task.resource)

    def _tidy(self, name: bytes) -> None:
        if not self._calendars[name]:
            del self._calendars[name]
