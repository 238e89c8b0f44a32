"""Who holds the name of a window that is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glockd.core.sessions import Owner
from glockd.doors.windows.task import DOOR, Run

if TYPE_CHECKING:
    from glockd.core.events import Granted
    from glockd.core.holds import Hold, Waiter
    from glockd.doors.windows.desk import Desk


class Window(Owner):
    """A run that is on: it holds its resource with a lease, or, in the background, lives so long and holds nothing.

    Args:
        run: it.
        since: monotonic seconds at which it began.
    """

    __slots__ = ("run",)

    def __init__(self, run: Run, since: float) -> None:
        super().__init__(b"window:%d" % run.number, DOOR, since)
        self.run = run


class Keeper:
    """Listens for a window.

    Args:
        desk: where it was begun.
        window: it.
    """

    __slots__ = ("_desk", "_window")

    def __init__(self, desk: Desk, window: Window) -> None:
        self._desk = desk
        self._window = window

    def granted(self, event: Granted) -> None:
        """A window waits for nothing: its time was agreed before."""

    def timed_out(self, waiter: Waiter) -> None:
        """A window waits for nothing."""

    def hear(self, line: bytes) -> None:
        """A window has no ears."""

    def lost(self, hold: Hold, why: str) -> None:
        """Its lease is over, and so is it."""
        self._desk.over(self._window.run)

    def end(self, how: str) -> None:
        """Its time is over, or somebody has kicked it."""
        if how == "lapsed":
            self._desk.over(self._window.run)
        else:
            self._desk.cancel(self._window.run)


class Alarm(Owner):
    """Rings when something is to be done: an owner that holds nothing, and lives until then, again and again.

    Args:
        since: monotonic seconds.
    """

    __slots__ = ()

    def __init__(self, since: float) -> None:
        super().__init__(b"windows", DOOR, since)


class Clock:
    """Listens for the alarm.

    Args:
        desk: where something is to be done.
    """

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def granted(self, event: Granted) -> None:
        """It waits for nothing."""

    def timed_out(self, waiter: Waiter) -> None:
        """It waits for nothing."""

    def hear(self, line: bytes) -> None:
        """It has no ears."""

    def lost(self, hold: Hold, why: str) -> None:
        """It holds nothing."""

    def end(self, how: str) -> None:
        """It is time; to be kicked means nothing to it."""
        self._desk.look()
